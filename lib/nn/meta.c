/* What the metadata of a file say about a network, read and written. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/json.h"
#include "nn/family.h"
#include "nn/load.h"

/* -- numbers in metadata ----------------------------------------------------------------------- */

/* "0.5,0.5,0.5" -> out[n], each in lo..hi; false if it is anything else. */
static bool parse_floats(const char *text, int n, double lo, double hi, float *out)
{
    int good = 0;
    for (; good < n; good++) {
        char *end;
        double v = dfqi_parse_real(text, &end);
        if (end == text || !(v >= lo && v <= hi) || *end != (good + 1 < n ? ',' : '\0')) break;
        out[good] = (float)v;
        text = end + 1;
    }
    return good == n;
}

dfq_status dfqi_meta_floats(const dfqi_safetensors *st, const char *path, const char *key, int n,
                            double lo, double hi, float *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX];
    float v[3];
    if (!text) return DFQ_OK;
    if (!parse_floats(text, n, lo, hi, v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.40s\", expected %d number%s from %g to %g%s", path,
                         key, dfqi_show(text, show), n, n > 1 ? "s" : "", lo, hi,
                         n > 1 ? ", separated by commas" : "");
    memcpy(out, v, (size_t)n * sizeof *v);
    return DFQ_OK;
}

dfq_status dfqi_meta_int(const dfqi_safetensors *st, const char *path, const char *key, int64_t lo,
                         int64_t hi, int64_t *out)
{
    float v = (float)*out;
    DFQI_TRY(dfqi_meta_floats(st, path, key, 1, (double)lo, (double)hi, &v));
    if (v != floorf(v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: metadata %s is %g, expected a whole number",
                         path, key, (double)v);
    *out = (int64_t)v;
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
    enum { COMMON = 5, OWN = 2 };
    const int vit = a->family == DFQI_FAMILY_VIT;
    const char *const keys[COMMON + OWN] = {
        "eps", "mean", "resize", "std", "format", "architecture", vit ? "heads" : "image"};
    char text[COMMON + OWN][96];
    const float *m = a->mean, *s = a->std;
    int64_t n = dfqi_arch_is_derived(a) ? COMMON : COMMON + OWN;
    dfqi_print(text[0], sizeof text[0], "%.9g", (double)a->eps);
    dfqi_print(text[1], sizeof text[1], "%.9g,%.9g,%.9g", (double)m[0], (double)m[1], (double)m[2]);
    snprintf(text[2], sizeof text[2], "%d", a->resize);
    dfqi_print(text[3], sizeof text[3], "%.9g,%.9g,%.9g", (double)s[0], (double)s[1], (double)s[2]);
    snprintf(text[4], sizeof text[4], "dfq");
    snprintf(text[5], sizeof text[5], "%s", a->name);
    snprintf(text[6], sizeof text[6], "%lld", (long long)(vit ? a->vit.heads : a->image));
    for (int64_t i = 0; i < n; i++) DFQI_TRY(put(arena, keys[i], text[i], &out[i]));
    if (dfqi_arch_is_derived(a)) {
        DFQI_TRY(dfqi_derived_meta(a, arena, out + n));
        n += DFQI_DERIVED_META;
    }
    *out_n = n;
    return DFQ_OK;
}
