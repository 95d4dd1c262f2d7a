/* The quantizers of low-bit files (quant/file_priv.h): scales, zero points, ranges and groups. */
#include <string.h>

#include "quant/file_priv.h"
#include "quant/scheme_priv.h"

static dfq_status copy_of(const dfq_tensor *t, dfq_tensor **slot)
{
    dfq_tensor *copy;
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, t->rank, t->dims, &copy));
    memcpy(copy->data, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    dfqi_tensor_release(*slot);
    *slot = copy;
    return DFQ_OK;
}

/* Grids that begin at 0 or are symmetric have no zero point. Earlier versions had one for every
 * grid of a CNN, and no word in the metadata that says so. */
static dfq_status check_zero_point(const dfqi_safetensors *st, const char *path,
                                   const dfqi_site *site)
{
    bool has = site->kind == DFQI_SITE_WEIGHT_MINMAX || site->zero_point;
    if (has || !dfqi_file_find(st, site->name, ".zero_point")) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                     "%s: %s has zero points, the grids of mode improved have none; quantize the "
                     "float network again",
                     path, site->name);
}

/* The weight was decoded, so that its groups are right; are they those of the metadata? */
static dfq_status read_groups(const dfqi_safetensors *st, const char *path, dfqi_site *site)
{
    const dfq_tensor *t = dfqi_file_find(st, site->name, ".groups");
    const int64_t want = site->groups ? dfqi_tensor_count(site->groups) : 0;
    if ((t ? dfqi_tensor_count(t) : 0) != want)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s.groups has %lld elements, must have %lld by metadata %s; "
                         "quantize the float network again",
                         path, site->name, (long long)(t ? dfqi_tensor_count(t) : 0),
                         (long long)want, DFQI_META_WEIGHT_GROUP);
    for (int64_t i = 0; i < want; i++)
        dfqi_tensor_f32(site->groups)[i] = ((const uint8_t *)t->data)[i];
    return DFQ_OK;
}

dfq_status dfqi_file_read_site(const dfqi_safetensors *st, const char *path, dfqi_site *site)
{
    const dfq_tensor *scale, *zero_point, *range;
    int64_t count = site->scale ? dfqi_tensor_count(site->scale) : 0;
    if (dfqi_site_is_runtime(site)) {
        if (!dfqi_file_find(st, site->name, ".scale")) return DFQ_OK;
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s.scale must be missing, since metadata %s has scales found "
                         "at run time; quantize the float network again",
                         path, site->name, DFQI_META_ACT_SCALE);
    }
    DFQI_TRY(dfqi_file_need(st, path, site->name, ".scale", count, 1, &scale));
    DFQI_TRY(copy_of(scale, &site->scale));
    DFQI_TRY(check_zero_point(st, path, site));
    if (site->kind == DFQI_SITE_WEIGHT) return read_groups(st, path, site);
    if (site->kind == DFQI_SITE_WEIGHT_MINMAX) {
        DFQI_TRY(dfqi_file_need(st, path, site->name, ".zero_point", dfqi_tensor_count(scale), 0,
                                &zero_point));
        return copy_of(zero_point, &site->zero_point);
    }
    DFQI_TRY(dfqi_file_need(st, path, site->name, ".range", 2, 0, &range));
    site->qmin = dfqi_tensor_f32(range)[0];
    site->qmax = dfqi_tensor_f32(range)[1];
    if (!(site->qmin < site->qmax && site->qmin >= -256 && site->qmax <= 255))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s.range is %g to %g, which no quantizer has; quantize the "
                         "float network again",
                         path, site->name, (double)site->qmin, (double)site->qmax);
    int log = dfqi_site_is_map(site) && !dfqi_file_find(st, site->name, ".zero_point");
    int values =
        (int)(site->qmax - site->qmin) + 1 + log; /* zero is a value of a logarithmic grid */
    if (values > 1 << site->bits)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s.range makes %d values, must make %d for %d bits; quantize "
                         "the float network again",
                         path, site->name, values, 1 << site->bits, site->bits);
    if (log) {
        site->kind = DFQI_SITE_LOG;
        dfqi_tensor_release(site->zero_point);
        site->zero_point = NULL;
        return DFQ_OK;
    }
    if (!site->zero_point) return DFQ_OK;
    DFQI_TRY(dfqi_file_need(st, path, site->name, ".zero_point", dfqi_tensor_count(scale), 0,
                            &zero_point));
    dfqi_tensor_release(site->zero_point);
    site->zero_point = NULL;
    return dfqi_whole_zero_points(zero_point, &site->zero_point);
}
