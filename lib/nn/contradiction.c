/* What the name of an architecture says and the tensors contradict: sizes that both tell. */
#include <stdio.h>

#include "io/json.h"
#include "nn/names_priv.h"

/* Each returns whether the two differ. */
static bool texts(dfqi_contradiction *out, const char *what, const char *name, const char *file)
{
    out->what = what;
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->file, sizeof out->file, "%s", file);
    return strcmp(name, file) != 0;
}

static bool numbers(dfqi_contradiction *out, const char *what, int64_t name, int64_t file)
{
    out->what = what;
    snprintf(out->name, sizeof out->name, "%lld", (long long)name);
    snprintf(out->file, sizeof out->file, "%lld", (long long)file);
    return name != file;
}

/* -- transformers ------------------------------------------------------------------------------ */

bool dfqi_vit_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out)
{
    const dfqi_vit_arch *v = &a->of.vit;
    const int32_t told = a->source[DFQI_PROP_HEADS];
    const char *at = name;
    const bool deit = dfqi_name_skip(&at, "vit_deit_") || dfqi_name_skip(&at, "deit_") ||
                      dfqi_name_skip(&at, "deit3_");
    if (!deit && !dfqi_name_skip(&at, "vit_")) return false;
    const dfqi_vit_size *said = dfqi_vit_size_at(&at, v->width);
    if (!said) return false;
    int64_t depth = said->depth, heads = said->heads;
    const bool two = dfqi_name_skip(&at, "distilled_");
    if ((dfqi_name_skip(&at, "patch") || (*at >= '0' && *at <= '9')) &&
        numbers(out, "patch", dfqi_name_number(&at), v->patch))
        return true;
    if (strncmp(at, "_36x1", 5) == 0) depth = 36;
    if (strncmp(at, "_gap_", 5) == 0 && said->width == 768) heads = 16; /* I-JEPA's */
    return numbers(out, "width", said->width, v->width) ||
           numbers(out, "blocks", depth, v->depth) ||
           ((told == DFQ_SOURCE_TENSOR || told == DFQ_SOURCE_METADATA) &&
            numbers(out, "heads", heads, v->heads)) ||
           (deit && !(v->parts & DFQI_VIT_NO_HEAD) &&
            numbers(out, "classifiers", two ? 2 : 1,
                    v->pooling >= DFQI_VIT_TOKEN_DISTILLED ? 2 : 1));
}

/* "2,2,6,2" */
static const char *stages_text(int32_t n, const int32_t *values, char *text, size_t size)
{
    size_t at = 0;
    for (int32_t s = 0; s < n && at < size; s++)
        at += (size_t)snprintf(text + at, size - at, "%s%d", s ? "," : "", (int)values[s]);
    return text;
}

bool dfqi_swin_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out)
{
    static const struct {
        const char *word, *letter; /* timm's and transformers', torchvision's */
        int64_t width;
        const char *depth, *heads;
    } sizes[] = {{"tiny_", "t", 96, "2,2,6,2", "3,6,12,24"},
                 {"small_", "s", 96, "2,2,18,2", "3,6,12,24"},
                 {"base_", "b", 128, "2,2,18,2", "4,8,16,32"},
                 {"large_", "l", 192, "2,2,18,2", "6,12,24,48"}};
    const dfqi_swin_arch *w = &a->of.swin;
    const char *at = name;
    char own[64];
    size_t i = 0;
    if (dfqi_name_skip(&at, "swinv2_") || dfqi_name_skip(&at, "swin_v2_"))
        return texts(out, "version", "2", "1");
    if (!dfqi_name_skip(&at, "swin_")) return false;
    while (i < sizeof sizes / sizeof *sizes && strcmp(at, sizes[i].letter) != 0 &&
           !dfqi_name_skip(&at, sizes[i].word))
        i++;
    if (i == sizeof sizes / sizeof *sizes) return false;
    if (numbers(out, "width", sizes[i].width, w->width) ||
        texts(out, "depth", sizes[i].depth, stages_text(w->stages, w->depth, own, sizeof own)) ||
        texts(out, "heads", sizes[i].heads, stages_text(w->stages, w->heads, own, sizeof own)))
        return true;
    if (!dfqi_name_skip(&at, "patch")) return false;
    if (numbers(out, "patch", dfqi_name_number(&at), w->patch)) return true;
    if (!dfqi_name_skip(&at, "_window")) return false;
    const int64_t window = dfqi_name_number(&at);
    return numbers(out, "window", window, w->window[0].height) ||
           numbers(out, "window", window, w->window[0].width);
}

/* -- convolutional networks -------------------------------------------------------------------- */

/* Hundredths of the usual channels: "_w3d4", "_wd2", "_050", "_110d"; -1: the name says nothing. */
static int64_t share(const char *at)
{
    if (dfqi_name_skip(&at, "_w")) {
        const int64_t whole = dfqi_name_number(&at),
                      part = dfqi_name_skip(&at, "d") ? dfqi_name_number(&at) : 1;
        return part > 0 ? 100 * (whole < 0 ? 1 : whole) / part : -1;
    }
    return dfqi_name_skip(&at, "_") ? dfqi_name_number(&at) : -1;
}

/* "_32x4d", "_2": groups and channels of a group, the factor of wide ones. `at`: behind the number
 * of layers. */
static bool widths(const dfqi_cnn_arch *c, bool next, bool wide, const char *at,
                   dfqi_contradiction *out)
{
    const int64_t planes = c->planes ? c->planes : c->width, inner = c->inner ? c->inner : planes,
                  groups = c->groups ? c->groups : 1;
    if (!next && numbers(out, "groups", 1, groups)) return true;
    if (!next && !wide) return numbers(out, "inner channels", planes, inner);
    at = strchr(at, '_');
    const int64_t first = at && *at++ ? dfqi_name_number(&at) : -1;
    if (first < 0) return false;
    if (!next) return numbers(out, "inner channels", planes * first, inner);
    return numbers(out, "groups", first, groups) ||
           (dfqi_name_skip(&at, "x") &&
            numbers(out, "channels of a group", dfqi_name_number(&at), inner / groups));
}

/* `at`: behind the number of layers, "", "d", "_cifar10". */
static bool stem(const dfqi_cnn_arch *c, const char *at, dfqi_contradiction *out)
{
    const char *own = c->deep[0] ? "three of 3x3" : c->small ? "3x3" : "7x7";
    const bool three = c->units[DFQI_STAGES - 1] == 0, cifar = strstr(at, "_cifar") != NULL;
    if ((*at == 'd' || *at == 'c') && texts(out, "stem", "three of 3x3", own)) return true;
    if (*at == 'd')
        return texts(out, "shortcuts", "averaged", c->averaged ? "averaged" : "not averaged");
    if (*at != '\0' && *at != 'b' && *at != '_' && *at != '.') return false;
    if (cifar && texts(out, "stem", "3x3", own)) return true;
    if (!c->small && texts(out, "stem", "7x7", own)) return true;
    at = strstr(at, "_w");
    return numbers(out, "channels of the stem", (three ? 16 : 64) * (at ? share(at) : 100) / 100,
                   c->width);
}

bool dfqi_resnet_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    const char *at = name;
    (void)dfqi_name_skip(&at, "tv_");
    const bool wide = dfqi_name_skip(&at, "wide_"), next = dfqi_name_skip(&at, "resnext");
    const int64_t layers = next || dfqi_name_skip(&at, "resnet") ? dfqi_name_number(&at) : -1;
    if (layers < 0) return false;
    return numbers(out, "layers", layers, dfqi_resnet_layers(a)) ||
           (c->bottleneck && widths(c, next, wide, at, out)) || (!next && stem(c, at, out));
}

bool dfqi_mobilenet_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out)
{
    const char *at = name;
    (void)a; /* it has one shape */
    if (!dfqi_name_skip(&at, "mobilenet_v") && !dfqi_name_skip(&at, "mobilenetv")) return false;
    if (numbers(out, "version", dfqi_name_number(&at), 2)) return true;
    const int64_t hundredths = share(at);
    return hundredths >= 0 && numbers(out, "hundredths of the channels", hundredths, 100);
}

/* Channels behind the last block of MobileNets: "mobilenetv3_large_075" has three quarters. */
static bool last_channels(const dfqi_arch *a, const char *at, dfqi_contradiction *out)
{
    static const int32_t usual[DFQI_INVERTED_FORMS] = {[DFQI_INVERTED_MOBILENETV2] = 320,
                                                       [DFQI_INVERTED_MOBILENETV3_LARGE] = 160,
                                                       [DFQI_INVERTED_MOBILENETV3_SMALL] = 96};
    const dfqi_inverted_arch *c = &a->of.inverted;
    at += strcspn(at, "_0123456789"); /* the version may have a "_" in front */
    at = strpbrk(at + (*at == '_'), "_.");
    while (at && *at == '_' && (at[1] < '0' || at[1] > '9')) at = strpbrk(at + 1, "_.");
    const int64_t hundredths = at ? share(at) : -1;
    return usual[c->form] > 0 && hundredths > 0 &&
           numbers(out, "channels behind the blocks",
                   dfqi_inverted_channels(usual[c->form], (double)hundredths / 100),
                   c->blocks[c->n_blocks - 1].out);
}

bool dfqi_inverted_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out)
{
    const char *at = name, *form = dfqi_inverted_form_of(a)->name;
    const int32_t size = dfqi_inverted_size(a);
    const bool efficient = a->of.inverted.form <= DFQI_INVERTED_LITE;
    char own[64], digits[16] = "";
    dfqi_arch other = *a;
    (void)dfqi_name_skip(&at, "tf_");
    if (size >= 0) snprintf(digits, sizeof digits, "%d", (int)size);
    snprintf(own, sizeof own, "%s%s", form, efficient && size < 0 ? "?" : digits);
    if (!dfqi_inverted_name(&other, name, DFQ_SOURCE_NAME)) return texts(out, "network", at, own);
    return last_channels(a, at, out);
}

/* -- the check --------------------------------------------------------------------------------- */

void dfqi_name_plain(const char *name, char out[DFQI_NAME_MAX])
{
    snprintf(out, DFQI_NAME_MAX, "%s", name);
    for (char *c = out; *c; c++)
        if (*c == '-') *c = '_';
}

dfq_status dfqi_name_check(dfq_context *ctx, const char *path, const char *name, const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    dfqi_contradiction says;
    char plain[DFQI_NAME_MAX], what[96], show[DFQI_SHOW_MAX];
    dfqi_name_plain(name, plain);
    if (!row->contradicts || !row->contradicts(a, plain, &says)) return DFQ_OK;
    row->describe(a, what, sizeof what);
    return dfqi_fail(
        ctx, DFQ_E_INVALID,
        "%s: the option arch is \"%s\" (%s: %s), but the tensors are those of %s (%s: %s); "
        "give the network's own name or none",
        path, dfqi_show(name, show), says.what, says.name, what, says.what, says.file);
}
