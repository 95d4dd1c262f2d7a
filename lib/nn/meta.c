/* Reads and writes the metadata that describe a network. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/json.h"
#include "nn/cnn.h"
#include "nn/load.h"
#include "nn/meta_priv.h"
#include "nn/swin.h"

/* -- numbers in metadata ----------------------------------------------------------------------- */

/* "0.5,0.5,0.5" -> out[n], each in lo..hi; false if it is anything else. */
static bool parse_numbers(const char *text, int n, double lo, double hi, double *out)
{
    int good = 0;
    for (; good < n; good++) {
        char *end;
        double v = dfqi_parse_real(text, &end);
        if (end == text || !(v >= lo && v <= hi) || *end != (good + 1 < n ? ',' : '\0')) break;
        out[good] = v;
        text = end + 1;
    }
    return good == n;
}

static dfq_status meta_numbers(const dfqi_safetensors *st, const char *path, const char *key, int n,
                               double lo, double hi, double *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX];
    double v[3];
    if (!text) return DFQ_OK;
    if (!parse_numbers(text, n, lo, hi, v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.40s\", must be %d number%s from %g to %g%s", path,
                         key, dfqi_show(text, show), n, n > 1 ? "s" : "", lo, hi,
                         n > 1 ? " for pixels of 0..1, separated by commas" : "");
    memcpy(out, v, (size_t)n * sizeof *v);
    return DFQ_OK;
}

static dfq_status meta_floats(const dfqi_safetensors *st, const char *path, const char *key, int n,
                              double lo, double hi, float *out)
{
    double v[3];
    for (int i = 0; i < n; i++) v[i] = (double)out[i];
    DFQI_TRY(meta_numbers(st, path, key, n, lo, hi, v));
    for (int i = 0; i < n; i++) out[i] = (float)v[i];
    return DFQ_OK;
}

static dfq_status meta_int(const dfqi_safetensors *st, const char *path, const char *key,
                           int64_t lo, int64_t hi, int64_t *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX];
    double v;
    if (!text) return DFQ_OK;
    if (!parse_numbers(text, 1, (double)lo, (double)hi, &v) || v != floor(v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.40s\", must be a whole number from %lld to %lld",
                         path, key, dfqi_show(text, show), (long long)lo, (long long)hi);
    *out = (int64_t)v;
    return DFQ_OK;
}

/* One of `words`; *out is its number. */
dfq_status dfqi_meta_word(const dfqi_safetensors *st, const char *path, const char *key,
                          const char *const *words, int32_t *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char all[96] = "", show[DFQI_SHOW_MAX];
    if (!text) return DFQ_OK;
    for (int32_t i = 0; words[i]; i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", words[i]);
        if (strcmp(text, words[i]) != 0) continue;
        *out = i;
        return DFQ_OK;
    }
    return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED, "%s: metadata %s is \"%.40s\", must be %s", path,
                     key, dfqi_show(text, show), all);
}

/* -- properties -------------------------------------------------------------------------------- */

/* NORM: of mean and std, so that those of pixels of 0..255 do not pass */
enum { HEADS_MAX = 4096, NORM_MAX = 10 };

/* Is this property read from the metadata? A search space defines most of its own. */
static bool hears(const dfqi_arch *a, dfqi_prop p)
{
    if (!dfqi_prop_applies(a, p) || !dfqi_prop_decides(p)) return false;
    if (p == DFQI_PROP_IMAGE && dfqi_family_get(a->family)->fixed_image) return false;
    return !dfqi_arch_is_derived(a) || p == DFQI_PROP_EPS || p >= DFQI_PROP_MEAN;
}

/* The usual stem has one form, so that networks can be compared byte by byte. */
static void take_stem(int32_t stem, dfqi_arch *a)
{
    a->of.cnn.stem = 0;
    if (stem != dfqi_resnet_stem(a)) a->of.cnn.stem = stem;
}

static dfq_status read_shape(const dfqi_safetensors *st, const char *path, dfqi_prop p,
                             const char *key, dfqi_arch *a)
{
    const bool told = dfqi_family_get(a->family)->told_activation;
    int32_t word = 0;
    switch (p) {
    case DFQI_PROP_IMAGE:
        return dfqi_meta_image(st, path, key, a);
    case DFQI_PROP_HEADS:
        return meta_int(st, path, key, 1, HEADS_MAX, &a->of.vit.heads);
    case DFQI_PROP_STEM:
        DFQI_TRY(dfqi_meta_word(st, path, key, dfqi_stem_words, &word));
        take_stem(word + 1, a);
        return DFQ_OK;
    case DFQI_PROP_BOTTLENECK:
        return dfqi_meta_word(st, path, key, dfqi_bottleneck_words, &a->of.cnn.stride_first);
    case DFQI_PROP_PADDING:
        return dfqi_meta_word(st, path, key, dfqi_padding_words, &a->of.swin.pad_first);
    case DFQI_PROP_CONV_PADDING:
        return dfqi_meta_word(st, path, key, dfqi_conv_padding_words, &a->of.inverted.same);
    case DFQI_PROP_ACTIVATION:
        if (told) return dfqi_meta_activation(st, path, key, a);
        return dfqi_meta_word(st, path, key, (const char *[]){dfqi_activation_word(a), NULL},
                              &word);
    case DFQI_PROP_POOLING:
        if (told) return dfqi_meta_pooling(st, path, key, a);
        return dfqi_meta_word(st, path, key, (const char *[]){dfqi_pooling_word(a), NULL}, &word);
    default:
        return DFQ_OK;
    }
}

static dfq_status read_values(const dfqi_safetensors *st, const char *path, dfqi_prop p,
                              const char *key, dfqi_arch *a)
{
    int32_t word = 0;
    switch (p) {
    case DFQI_PROP_EPS:
        return meta_floats(st, path, key, 1, 0.0, 1.0, &a->eps);
    case DFQI_PROP_MEAN:
        return meta_floats(st, path, key, 3, -NORM_MAX, NORM_MAX, a->mean);
    case DFQI_PROP_STD:
        return meta_floats(st, path, key, 3, 1e-6, NORM_MAX, a->std);
    case DFQI_PROP_RESIZE:
        return dfqi_meta_resize(st, path, key, a);
    case DFQI_PROP_INTERPOLATION:
        DFQI_TRY(dfqi_meta_word(st, path, key, dfqi_interpolation_words, &word));
        a->filter = (dfqi_filter)word;
        return DFQ_OK;
    default:
        return read_shape(st, path, p, key, a);
    }
}

void dfqi_prop_warn_unheard(const dfqi_safetensors *st, const char *path, const dfqi_arch *a)
{
    char what[96];
    dfqi_family_get(a->family)->describe(a, what, sizeof what);
    for (int i = 0; i < DFQI_PROP_COUNT; i++) {
        dfqi_prop p = (dfqi_prop)i;
        const char *key = dfqi_prop_name(p);
        if (hears(a, p) || !dfqi_prop_decides(p) || !dfqi_st_meta_find(st, key)) continue;
        dfqi_log(st->ctx, DFQ_LOG_WARNING, "%s: metadata %s is not for %s and is ignored", path,
                 key, what);
    }
}

dfq_status dfqi_prop_read_meta(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    static const char crop_key[] = "crop_pct"; /* timm's name of it */
    if (dfqi_st_meta_find(st, crop_key) && dfqi_st_meta_find(st, dfqi_prop_name(DFQI_PROP_RESIZE)))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata resize and %s exclude each other; leave one out", path,
                         crop_key);
    if (dfqi_st_meta_find(st, crop_key)) {
        DFQI_TRY(meta_numbers(st, path, crop_key, 1, 0.01, 1.0, &a->crop));
        a->source[DFQI_PROP_RESIZE] = DFQ_SOURCE_METADATA;
    }
    for (int i = 0; i < DFQI_PROP_COUNT; i++) {
        dfqi_prop p = (dfqi_prop)i;
        const char *key = dfqi_prop_name(p);
        if (!hears(a, p) || !dfqi_st_meta_find(st, key)) continue;
        DFQI_TRY(read_values(st, path, p, key, a));
        a->source[p] = DFQ_SOURCE_METADATA;
    }
    return DFQ_OK;
}

/* DFQ_E_INVALID for a property that the network does not have. */
dfq_status dfqi_prop_need(dfq_context *ctx, const char *path, const dfqi_arch *a, dfqi_prop p,
                          bool good, const char *range)
{
    const char *name = dfqi_prop_name(p);
    if (!hears(a, p))
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: %s is not for %.63s; leave it out", path, name,
                         a->name);
    if (!good)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: option %s is out of range, must be %s", path,
                         name, range);
    return DFQ_OK;
}

static dfq_status take_numbers(dfq_context *ctx, const char *path, dfqi_prop p, const float *v,
                               double least, dfqi_arch *a)
{
    bool good = true;
    if (!v) return DFQ_OK;
    for (int i = 0; i < 3; i++) good &= (double)v[i] >= least && v[i] <= NORM_MAX;
    DFQI_TRY(dfqi_prop_need(ctx, path, a, p, good,
                            p == DFQI_PROP_MEAN ? "-10 to 10 for pixels of 0..1"
                                                : "1e-6 to 10 for pixels of 0..1"));
    memcpy(p == DFQI_PROP_MEAN ? a->mean : a->std, v, 3 * sizeof *v);
    a->source[p] = DFQ_SOURCE_OPTION;
    return DFQ_OK;
}

dfq_status dfqi_prop_read_options(dfq_context *ctx, const char *path, const dfq_load_options *o,
                                  dfqi_arch *a)
{
    DFQI_TRY(take_numbers(ctx, path, DFQI_PROP_MEAN, o->mean, -NORM_MAX, a));
    DFQI_TRY(take_numbers(ctx, path, DFQI_PROP_STD, o->std, 1e-6, a));
    DFQI_TRY(dfqi_resize_take_told(ctx, path, o, a));
    if (o->heads != 0) {
        DFQI_TRY(dfqi_prop_need(ctx, path, a, DFQI_PROP_HEADS,
                                o->heads > 0 && o->heads <= HEADS_MAX, "1 to 4096"));
        a->of.vit.heads = o->heads;
        a->source[DFQI_PROP_HEADS] = DFQ_SOURCE_OPTION;
    }
    DFQI_TRY(dfqi_image_take_told(ctx, path, o, a));
    if (o->interpolation != 0) {
        DFQI_TRY(dfqi_prop_need(ctx, path, a, DFQI_PROP_INTERPOLATION,
                                o->interpolation == DFQ_INTERPOLATION_BILINEAR ||
                                    o->interpolation == DFQ_INTERPOLATION_BICUBIC,
                                "1 (bilinear) or 2 (bicubic)"));
        a->filter = (dfqi_filter)(o->interpolation - 1);
        a->source[DFQI_PROP_INTERPOLATION] = DFQ_SOURCE_OPTION;
    }
    DFQI_TRY(dfqi_vit_take_told(ctx, path, o, a));
    if (o->stem != 0) {
        DFQI_TRY(dfqi_prop_need(ctx, path, a, DFQI_PROP_STEM,
                                o->stem >= DFQ_STEM_STRIDE1 && o->stem <= DFQ_STEM_STRIDE2_POOL,
                                "1 to 4, DFQ_STEM_*"));
        take_stem(o->stem, a);
        a->source[DFQI_PROP_STEM] = DFQ_SOURCE_OPTION;
    }
    return DFQ_OK;
}

/* -- metadata ---------------------------------------------------------------------------------- */

static dfq_status put(dfqi_arena *arena, const char *key, const char *value, dfqi_st_meta *out)
{
    out->key = dfqi_arena_strdup(arena, key);
    out->value = dfqi_arena_strdup(arena, value);
    return out->key && out->value ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_arch_meta(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta out[DFQI_ARCH_META],
                          int64_t *out_n)
{
    char text[DFQI_PROP_TEXT];
    int64_t n = 0;
    DFQI_TRY(put(arena, "format", "dfq", &out[n++]));
    if (!dfqi_arch_is_derived(a)) DFQI_TRY(put(arena, "architecture", a->name, &out[n++]));
    for (int i = 0; i < DFQI_PROP_COUNT; i++) {
        dfqi_prop p = (dfqi_prop)i;
        if (hears(a, p))
            DFQI_TRY(put(arena, dfqi_prop_name(p), dfqi_prop_text(a, p, text), &out[n++]));
    }
    const dfqi_family_row *row = dfqi_family_get(a->family);
    int64_t own = 0;
    if (row->meta) DFQI_TRY(row->meta(a, arena, out + n, &own));
    *out_n = n + own;
    return DFQ_OK;
}
