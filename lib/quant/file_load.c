/* Reading model files, float or low-bit (quant/file_priv.h). Files are untrusted input. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "nn/config.h"
#include "nn/family.h"
#include "nn/load.h"
#include "nn/positions.h"
#include "nn/vit_forms.h"
#include "nn/rotate.h"
#include "quant/file_priv.h"
#include "quant/layers.h"
#include "quant/scheme_priv.h"

static int meta_int(const dfqi_safetensors *st, const char *key)
{
    const char *text = dfqi_st_meta_find(st, key);
    return text && text[0] >= '0' && text[0] <= '9' && text[1] == '\0' ? text[0] - '0' : -1;
}

static bool width_ok(int bits)
{
    return bits >= 2 && bits <= 8;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The float view of a low-bit file: decoded weights and the plain tensors, without quantizers.
 * view->entries[i].name is borrowed from st, or made here in `names`. */
static dfq_status float_view(const dfqi_safetensors *st, const char *path, int bits, bool lazy,
                             dfqi_arena *names, dfqi_safetensors *view)
{
    static const char *const quant[] = {".scale", ".zero_point", ".range",
                                        ".shape", ".bits",       ".groups"};
    view->entries = dfqi_calloc(st->ctx, (size_t)st->n_entries, sizeof *view->entries);
    if (!view->entries) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < st->n_entries; i++) {
        const dfqi_st_entry *e = &st->entries[i];
        dfqi_st_entry *to = &view->entries[view->n_entries];
        bool skip = false;
        for (size_t k = 0; k < sizeof quant / sizeof *quant; k++)
            skip |= ends_with(e->name, quant[k]);
        if (skip) continue;
        if (ends_with(e->name, ".codes")) {
            to->name = dfqi_arena_strdup(names, e->name);
            if (!to->name) return DFQ_E_NOMEM;
            to->name[strlen(to->name) - 6] = '\0';
            DFQI_TRY(dfqi_file_decode(st, path, to->name, bits, lazy, &to->tensor));
        } else {
            to->name = e->name;
            to->tensor = dfqi_tensor_retain(e->tensor);
        }
        view->n_entries++;
    }
    return DFQ_OK;
}

static dfq_status read_grids(const dfqi_safetensors *st, const char *path, dfqi_grids *out)
{
    const char *weights = dfqi_st_meta_find(st, DFQI_META_WEIGHT_GRID);
    const char *acts = dfqi_st_meta_find(st, DFQI_META_ACT_GRID);
    const char *scale = dfqi_st_meta_find(st, DFQI_META_ACT_SCALE);
    char show[DFQI_SHOW_MAX];
    *out = (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_AUTO};
    if (scale && strcmp(scale, "row") == 0) out->act_scale = DFQI_ACT_SCALE_ROW;
    if (scale && out->act_scale != DFQI_ACT_SCALE_ROW)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.20s\", must be row; quantize the float network "
                         "again",
                         path, DFQI_META_ACT_SCALE, dfqi_show(scale, show));
    if (weights && strcmp(weights, "minmax-asym") == 0)
        out->weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM;
    if (weights && strcmp(weights, "lsq") == 0) out->weight_grid = DFQI_WEIGHT_GRID_LSQ;
    if (acts && strcmp(acts, "minmax") == 0) out->act_grid = DFQI_ACT_GRID_MINMAX;
    if ((weights && out->weight_grid == DFQI_WEIGHT_GRID_AUTO) ||
        (acts && out->act_grid == DFQI_ACT_GRID_AUTO))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata dfq.weight_grid must be minmax-asym or lsq, and "
                         "dfq.act_grid minmax; quantize the float network again",
                         path);
    return DFQ_OK;
}

/* Channels that share a grid; the scheme checks whether they fit. */
static dfq_status read_group(const dfqi_safetensors *st, const char *path, const char *key,
                             int32_t *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX], again[16];
    if (!text) return DFQ_OK;
    for (const char *c = text; c < text + 5 && *c >= '0' && *c <= '9'; c++)
        *out = 10 * *out + (*c - '0');
    snprintf(again, sizeof again, "%d", *out);
    if (*out > 0 && strcmp(again, text) == 0) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                     "%s: metadata %s is \"%.20s\", must be a number of channels; quantize the "
                     "float network again",
                     path, key, dfqi_show(text, show));
}

/* The seed of a rotated stream. */
static dfq_status read_rotation(const dfqi_safetensors *st, const char *path, const dfqi_arch *a,
                                uint64_t *out)
{
    char show[DFQI_SHOW_MAX], again[24];
    const char *text = dfqi_st_meta_find(st, DFQI_META_ROTATION);
    *out = 0;
    if (!text) return DFQ_OK;
    for (const char *c = text; *c >= '0' && *c <= '9'; c++)
        *out = 10 * *out + (uint64_t)(*c - '0'); /* wraps: then it reads back as another number */
    snprintf(again, sizeof again, "%" PRIu64, *out);
    if (*out == 0 || strcmp(again, text) != 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.20s\", must be the seed of a rotation, 1 or more; "
                         "quantize the float network again",
                         path, DFQI_META_ROTATION, dfqi_show(text, show));
    if (dfqi_arch_unrotatable(a))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is not for a network without a stream that can be "
                         "rotated: %s; quantize the float network again",
                         path, DFQI_META_ROTATION, dfqi_arch_unrotatable(a));
    return DFQ_OK;
}

/* The width of a weight's codes must be that of its site. */
static dfq_status check_bits(const dfqi_safetensors *st, const char *path, const dfqi_scheme *s,
                             const dfqi_site *site)
{
    int bits = s->weight_bits;
    if (!dfqi_site_is_weight(site)) return DFQ_OK;
    DFQI_TRY(dfqi_file_bits(st, path, site->name, &bits));
    if (bits == site->bits) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                     "%s: tensor %s.codes has %d bits, must have %d by the metadata; quantize the "
                     "float network again",
                     path, site->name, bits, site->bits);
}

/* Only weights with quantizers may have codes. */
static dfq_status check_codes(const dfqi_safetensors *st, const char *path, const dfqi_scheme *s)
{
    for (int64_t i = 0; i < st->n_entries; i++) {
        const char *name = st->entries[i].name;
        char weight[96];
        if (!ends_with(name, ".codes")) continue;
        snprintf(weight, sizeof weight, "%.*s", (int)(strlen(name) < 96 ? strlen(name) - 6 : 89),
                 name);
        const dfqi_site *site = dfqi_scheme_find(s, weight);
        if (!site || !dfqi_site_is_weight(site))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %.120s belongs to no quantized weight; quantize the float "
                             "network again",
                             path, name);
    }
    return DFQ_OK;
}

/* Widths of single layers; a text that does not fit the network is a corrupt file. */
static dfq_status read_layers(const dfqi_safetensors *st, const char *path, dfqi_scheme *s)
{
    char why[512];
    const char *text = dfqi_st_meta_find(st, DFQI_META_LAYERS);
    dfq_status status = text ? dfqi_scheme_configure_text(s, text) : DFQ_OK;
    if (status != DFQ_E_INVALID) return status;
    snprintf(why, sizeof why, "%.500s", st->ctx->error);
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: metadata %s: %s", path, DFQI_META_LAYERS, why);
}

/* What the metadata say of grids does not go together, or not with the network: what an option
 * would be told is said of the file, without the option's cure. */
static dfq_status bad_grids(const dfqi_safetensors *st, const char *path)
{
    char why[400];
    snprintf(why, sizeof why, "%.399s", st->ctx->error);
    why[strcspn(why, ";")] = '\0';
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: metadata: %s; quantize the float network again",
                     path, why);
}

static bool is_refusal(dfq_status status)
{
    return status == DFQ_E_INVALID || status == DFQ_E_UNSUPPORTED;
}

static dfq_status read_scheme(const dfqi_safetensors *st, const char *path, const dfqi_network *net,
                              dfqi_mode mode, dfqi_widths widths, dfqi_scheme *out)
{
    dfqi_scheme s;
    dfqi_grids grids;
    dfq_status status;
    DFQI_TRY(read_grids(st, path, &grids));
    DFQI_TRY(read_group(st, path, DFQI_META_ACT_GROUP, &grids.act_group));
    DFQI_TRY(read_group(st, path, DFQI_META_WEIGHT_GROUP, &grids.weight_group));
    DFQI_TRY(read_rotation(st, path, &net->arch, &grids.rotation));
    status = dfqi_scheme_new_with(net, mode, widths, grids, &s);
    if (status != DFQ_OK) return is_refusal(status) ? bad_grids(st, path) : status;
    DFQI_GOTO(read_layers(st, path, &s), fail);
    status = dfqi_scheme_group_weights(net, false, &s);
    if (is_refusal(status)) status = bad_grids(st, path);
    if (status != DFQ_OK) goto fail;
    DFQI_GOTO(check_codes(st, path, &s), fail);
    for (int32_t i = 0; i < s.n_sites; i++) {
        DFQI_GOTO(check_bits(st, path, &s, &s.sites[i]), fail);
        DFQI_GOTO(dfqi_file_read_site(st, path, &s.sites[i]), fail);
    }
    *out = s;
    return DFQ_OK;
fail:
    dfqi_scheme_fini(&s);
    return status;
}

/* Mode and widths; that of the first and last layers may be absent. */
static dfq_status read_mode(const dfqi_safetensors *st, const char *path, const char *mode,
                            dfqi_widths *out)
{
    static const char *const keys[] = {"dfq.weight_bits", "dfq.act_bits", "dfq.first_last_bits"};
    int32_t *const to[] = {&out->weight, &out->act, &out->first_last};
    char show[DFQI_SHOW_MAX];
    if (strcmp(mode, "parity") != 0 && strcmp(mode, "improved") != 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata dfq.mode is \"%.20s\", must be parity or improved; quantize "
                         "the float network again",
                         path, dfqi_show(mode, show));
    for (int i = 0; i < 3; i++) {
        const char *text = dfqi_st_meta_find(st, keys[i]);
        if (i == 2 && !text) continue;
        *to[i] = meta_int(st, keys[i]);
        if (!width_ok(*to[i]))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: metadata %s is \"%.20s\", must be 2 to 8; quantize the float "
                             "network again",
                             path, keys[i], text ? dfqi_show(text, show) : "");
    }
    return DFQ_OK;
}

/* A low-bit file of another format has other names. */
static dfq_status check_format(const dfqi_safetensors *st, const char *path)
{
    static const char *const known[] = {DFQI_QUANT_FORMAT, DFQI_QUANT_FORMAT_ROW,
                                        DFQI_QUANT_FORMAT_GROUP, DFQI_QUANT_FORMAT_5};
    const char *format = dfqi_st_meta_find(st, DFQI_META_FORMAT);
    for (size_t i = 0; format && i < sizeof known / sizeof *known; i++)
        if (strcmp(format, known[i]) == 0) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                     "%s: the quantized network's format is %.8s, must be " DFQI_QUANT_FORMAT
                     ", " DFQI_QUANT_FORMAT_ROW ", " DFQI_QUANT_FORMAT_GROUP
                     " or " DFQI_QUANT_FORMAT_5 "; quantize the float network again",
                     path, format ? format : "1");
}

/* Quantizers were calibrated on the old grid. */
static dfq_status fit_image(dfqi_safetensors *st, const char *path, bool quantized,
                            const dfqi_arch *arch)
{
    if (!quantized) return dfqi_positions_fit(st, arch);
    return dfqi_fail(st->ctx, DFQ_E_INVALID,
                     "%s: image_size is for float networks, and this one is quantized; quantize "
                     "the float network at that size",
                     path);
}

/* Keeps the names of tensors that the network does without. */
static dfq_status note_leftover(const dfqi_safetensors *st, dfqi_model *m)
{
    int64_t n = 0;
    for (int64_t i = 0; i < st->n_entries; i++)
        n += dfqi_naming_leaves(m->naming, &m->net.arch, st->entries[i].name);
    m->leftover = n ? dfqi_calloc(m->ctx, (size_t)n, sizeof *m->leftover) : NULL;
    if (n && !m->leftover) return DFQ_E_NOMEM;
    for (int64_t i = 0; n && i < st->n_entries; i++) {
        const char *name = st->entries[i].name;
        if (!dfqi_naming_leaves(m->naming, &m->net.arch, name)) continue;
        if (!(m->leftover[m->n_leftover] = dfqi_strdup(m->ctx, name))) return DFQ_E_NOMEM;
        m->n_leftover++;
    }
    return DFQ_OK;
}

static dfq_status model_from(const dfqi_safetensors *st, const char *path,
                             const dfq_load_options *o, bool lazy, dfqi_model **out)
{
    dfq_context *ctx = st->ctx;
    dfqi_safetensors plain = {.ctx = ctx},
                     view = {.ctx = ctx, .n_meta = st->n_meta, .meta = st->meta};
    const dfqi_naming *naming = NULL;
    dfqi_model *m;
    dfqi_network net = {0};
    dfqi_scheme scheme = {0};
    dfqi_arch arch = {.channels = 0};
    dfqi_arena names;
    dfq_status status;
    dfqi_arena_init(&names, ctx);
    const char *mode = dfqi_st_meta_find(st, "dfq.mode");
    if (mode) DFQI_GOTO(check_format(st, path), out);
    dfqi_widths widths = {0};
    int parity = mode && strcmp(mode, "parity") == 0;
    if (mode) DFQI_GOTO(read_mode(st, path, mode, &widths), out);
    DFQI_GOTO(dfqi_naming_apply(st, path, &names, &plain, &naming), out);
    if (!mode && !dfqi_imported_fits(&plain))
        DFQI_GOTO(dfqi_vit_unify(&plain, &names, path, dfqi_image_told(st, o)), out);
    if (mode) DFQI_GOTO(float_view(&plain, path, widths.weight, lazy, &names, &view), out);
    const dfqi_safetensors *from = mode ? &view : &plain;
    DFQI_GOTO(dfqi_arch_find(from, path, naming, o, &arch), out);
    if (o && o->image_size) DFQI_GOTO(fit_image(&plain, path, mode != NULL, &arch), out);
    dfqi_arch_read(&arch);
    DFQI_GOTO(dfqi_network_take(from, path, &arch, &net), out);
    DFQI_GOTO(dfqi_network_take_names(from, path, &net), out);
    if (mode)
        DFQI_GOTO(read_scheme(&plain, path, &net, parity ? DFQI_MODE_PARITY : DFQI_MODE_IMPROVED,
                              widths, &scheme),
                  out);
    DFQI_GOTO(dfqi_model_new(&net, mode ? &scheme : NULL, &m), out);
    m->bytes = st->bytes;
    m->naming = naming;
    if (!mode) status = note_leftover(st, m);
    if (status == DFQ_OK)
        *out = m;
    else
        dfqi_model_release(m);
out:
    dfqi_naming_view_fini(&view);
    dfqi_naming_view_fini(&plain);
    dfqi_arch_fini(&arch);
    dfqi_network_fini(&net);
    dfqi_scheme_fini(&scheme);
    dfqi_arena_fini(&names);
    return status;
}

dfq_status dfqi_model_from(const dfqi_safetensors *st, const char *path, const dfq_load_options *o,
                           dfqi_model **out)
{
    return model_from(st, path, o, false, out);
}

static dfq_status model_load(dfq_context *ctx, const char *path, const dfq_load_options *o,
                             bool lazy, dfqi_model **out)
{
    dfqi_safetensors st;
    DFQI_TRY(dfqi_st_is_index(path) ? dfqi_st_read_index(ctx, path, &st)
                                    : dfqi_st_read(ctx, path, &st));
    dfq_status status = dfqi_config_add(path, &st);
    if (status == DFQ_OK) status = model_from(&st, path, o, lazy, out);
    dfqi_st_fini(&st);
    return status;
}

dfq_status dfqi_model_load(dfq_context *ctx, const char *path, const dfq_load_options *o,
                           dfqi_model **out)
{
    return model_load(ctx, path, o, false, out);
}

dfq_status dfqi_model_load_lazily(dfq_context *ctx, const char *path, const dfq_load_options *o,
                                  dfqi_model **out)
{
    return model_load(ctx, path, o, true, out);
}
