/* Per-layer bit widths: finds the sites of a layer name, and removes the sites of layers that stay
 * float. */
#include "quant/layers.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "io/json.h"
#include "quant/scheme_priv.h"

enum { NAME_MAX_BYTES = 79, ENTRY = NAME_MAX_BYTES + 8 /* "=float," */ };

bool dfqi_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL; /* the last star, and the end of its match */
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

void dfqi_site_layer(const dfqi_site *site, char out[80])
{
    snprintf(out, 80, "%s", site->name);
    char *dot = strrchr(out, '.');
    if (dot) *dot = '\0';
}

/* -- one configuration ------------------------------------------------------------------------- */

static dfq_status check_width(dfq_context *ctx, const char *layer, const char *what, int32_t bits)
{
    if (bits == 0 || (bits >= 2 && bits <= 8)) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "layer %s: %s is %d, must be 2 to 8, or 0 for the network's bits", layer, what,
                     bits);
}

static dfq_status check_config(dfq_context *ctx, const dfq_layer_config *c)
{
    char show[DFQI_SHOW_MAX];
    if (c->name == NULL || c->name[0] == '\0' || strlen(c->name) > NAME_MAX_BYTES ||
        strpbrk(c->name, "=,") != NULL)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "layer name \"%s\" must have 1 to %d characters without \"=\" and \",\"",
                         c->name ? dfqi_show(c->name, show) : "", NAME_MAX_BYTES);
    dfqi_show(c->name, show);
    DFQI_TRY(check_width(ctx, show, "weight_bits", c->weight_bits));
    DFQI_TRY(check_width(ctx, show, "act_bits", c->act_bits));
    if (c->skip != 0 && c->skip != 1)
        return dfqi_fail(ctx, DFQ_E_INVALID, "layer %s: skip is %d, must be 0 or 1", show, c->skip);
    if ((c->skip != 0) == (c->weight_bits != 0 || c->act_bits != 0))
        return dfqi_fail(ctx, DFQ_E_INVALID, "layer %s: set exactly one of bits and skip", show);
    return DFQ_OK;
}

/* Reports that no site has this name. `weights` 0, 1: suggests layers whose activations, weights
 * have a site; -1: any. */
static dfq_status no_layer(const dfqi_scheme *s, const char *name, int weights, const char *what)
{
    char text[320], show[DFQI_SHOW_MAX], layer[80];
    dfqi_nearest near = dfqi_nearest_to(name);
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (weights >= 0 && dfqi_site_is_weight(&s->sites[i]) != weights) continue;
        dfqi_site_layer(&s->sites[i], layer);
        dfqi_nearest_add(&near, layer);
    }
    return dfqi_fail(s->ctx, DFQ_E_INVALID, "layer \"%s\" %s; similar names: %s",
                     dfqi_show(name, show), what, dfqi_nearest_text(&near, text, sizeof text));
}

/* Sets the widths of matching sites, and marks sites that stay float. */
static dfq_status apply(dfqi_scheme *s, const dfq_layer_config *c, uint8_t *skip)
{
    int32_t found[2] = {0, 0}; /* activations, weights */
    char layer[80];
    DFQI_TRY(check_config(s->ctx, c));
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        int weight = dfqi_site_is_weight(site);
        int32_t bits = weight ? c->weight_bits : c->act_bits;
        dfqi_site_layer(site, layer);
        if (!dfqi_name_matches(c->name, layer)) continue;
        found[weight]++;
        skip[i] = c->skip != 0;
        if (bits == 0) continue;
        site->bits = bits;
        dfqi_site_set_codes(site, site->qmin < 0);
    }
    if (found[0] + found[1] == 0)
        return no_layer(s, c->name, -1, "has no quantizers, or does not exist");
    if (c->weight_bits != 0 && found[1] == 0)
        return no_layer(s, c->name, 1, "has no weight and takes act_bits alone");
    if (c->act_bits != 0 && found[0] == 0)
        return no_layer(s, c->name, 0,
                        "has no activations to quantize and takes weight_bits alone");
    return DFQ_OK;
}

/* -- all of them ------------------------------------------------------------------------------- */

/* Moves the remaining sites up and looks up the inputs of weights again. */
static dfq_status remove_skipped(dfqi_scheme *s, const uint8_t *skip)
{
    int32_t left = 0;
    for (int32_t i = 0; i < s->n_sites; i++) left += !skip[i];
    if (left == 0)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "all layers are skipped, and nothing is left to quantize; skip fewer");
    int32_t *moved = dfqi_calloc(s->ctx, (size_t)s->n_sites, sizeof *moved);
    if (!moved) return DFQ_E_NOMEM;
    int32_t n = s->n_sites;
    left = 0;
    for (int32_t i = 0; i < n; i++) moved[i] = skip[i] ? -1 : left++;
    for (int32_t i = 0; i < n; i++) {
        dfqi_site *site = &s->sites[i];
        if (site->input >= 0) site->input = moved[site->input];
        if (skip[i])
            dfqi_site_fini(site);
        else
            s->sites[moved[i]] = *site;
    }
    s->n_sites = left;
    dfqi_free(s->ctx, moved);
    return DFQ_OK;
}

/* Appends a configuration to the text that the file will have. */
static void append(char *text, const dfq_layer_config *c)
{
    size_t at = strlen(text);
    at += (size_t)sprintf(text + at, "%s%s=%s", at ? "," : "", c->name, c->skip ? "float" : "");
    if (c->weight_bits) at += (size_t)sprintf(text + at, "w%d", c->weight_bits);
    if (c->act_bits) sprintf(text + at, "a%d", c->act_bits);
}

dfq_status dfqi_scheme_configure(dfqi_scheme *s, const dfq_layer_config *first, size_t stride,
                                 int32_t n)
{
    dfq_status status = DFQ_E_NOMEM;
    if (n == 0) return DFQ_OK;
    uint8_t *skip = dfqi_calloc(s->ctx, (size_t)s->n_sites, sizeof *skip);
    char *text = dfqi_calloc(s->ctx, (size_t)n, ENTRY + 1);
    if (!skip || !text) goto out;
    for (int32_t i = 0; i < n; i++) {
        dfq_layer_config c = {0};
        memcpy(&c, (const char *)first + (size_t)i * stride, stride < sizeof c ? stride : sizeof c);
        DFQI_GOTO(apply(s, &c, skip), out);
        append(text, &c);
    }
    DFQI_GOTO(remove_skipped(s, skip), out);
    s->layers = text;
    text = NULL;
out:
    dfqi_free(s->ctx, skip);
    dfqi_free(s->ctx, text);
    return status;
}

/* -- from text --------------------------------------------------------------------------------- */

/* "w8a4", "w8", "a4" or "float", up to `end`. */
static bool read_setting(const char *text, const char *end, dfq_layer_config *c)
{
    if (end - text == 5 && strncmp(text, "float", 5) == 0) {
        c->skip = 1;
        return true;
    }
    for (int weight = 1; weight >= 0; weight--) {
        if (end - text < 2 || *text != "aw"[weight]) continue;
        if (text[1] < '0' || text[1] > '9') return false;
        *(weight ? &c->weight_bits : &c->act_bits) = text[1] - '0';
        text += 2;
    }
    return text == end && (c->weight_bits || c->act_bits);
}

/* Reads one entry of the text, its name into `name`; *text moves past it. */
static bool read_entry(const char **text, char name[NAME_MAX_BYTES + 1], dfq_layer_config *c)
{
    const char *end = *text + strcspn(*text, ","), *mark = *text + strcspn(*text, "=");
    if (mark >= end || mark - *text > NAME_MAX_BYTES) return false;
    memcpy(name, *text, (size_t)(mark - *text));
    name[mark - *text] = '\0';
    *c = (dfq_layer_config){.struct_size = sizeof *c, .name = name};
    *text = *end ? end + 1 : end;
    return read_setting(mark + 1, end, c);
}

dfq_status dfqi_scheme_configure_text(dfqi_scheme *s, const char *text)
{
    char show[DFQI_SHOW_MAX];
    const char *at = text;
    int32_t n = 1;
    for (const char *p = text; *p; p++) n += *p == ',';
    dfq_status status = DFQ_E_NOMEM;
    dfq_layer_config *list = dfqi_calloc(s->ctx, (size_t)n, sizeof *list);
    char(*names)[NAME_MAX_BYTES + 1] = dfqi_calloc(s->ctx, (size_t)n, sizeof *names);
    if (!list || !names) goto out;
    for (int32_t i = 0; i < n; i++)
        if (!read_entry(&at, names[i], &list[i])) {
            status =
                dfqi_fail(s->ctx, DFQ_E_INVALID,
                          "layers are \"%s\", must be NAME=w8a8 or NAME=float, separated by commas",
                          dfqi_show(text, show));
            goto out;
        }
    status = dfqi_scheme_configure(s, list, sizeof *list, n);
out:
    dfqi_free(s->ctx, list);
    dfqi_free(s->ctx, names);
    return status;
}
