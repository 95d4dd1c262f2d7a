/* Tensors of low-bit files (quant/file_priv.h): found, checked, and codes decoded. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernel/weight_groups.h"
#include "quant/file_priv.h"

const dfq_tensor *dfqi_file_find(const dfqi_safetensors *st, const char *name, const char *suffix)
{
    char text[200];
    snprintf(text, sizeof text, "%.*s%s", 150, name, suffix);
    return dfqi_st_find(st, text);
}

dfq_status dfqi_file_need(const dfqi_safetensors *st, const char *path, const char *name,
                          const char *suffix, int64_t count, int positive, const dfq_tensor **out)
{
    const dfq_tensor *t = dfqi_file_find(st, name, suffix);
    if (!t)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s%s is missing; quantize the float network again", path, name,
                         suffix);
    if (t->dtype != DFQI_F32 || (count > 0 && dfqi_tensor_count(t) != count))
        return dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s%s must be F32 with %lld elements",
                         path, name, suffix, (long long)count);
    const float *v = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        if (!isfinite(v[i]) || (positive && !(v[i] > 0)))
            return dfqi_fail(st->ctx, DFQ_E_NUMERIC,
                             "%s: tensor %s%s holds %g at element %lld, must be %sfinite", path,
                             name, suffix, (double)v[i], (long long)i,
                             positive ? "above 0 and " : "");
    *out = t;
    return DFQ_OK;
}

static dfq_status read_shape(const dfqi_safetensors *st, const char *path, const char *name,
                             int32_t *rank, int64_t *dims, int64_t *count)
{
    const dfq_tensor *t = dfqi_file_find(st, name, ".shape");
    *count = 1;
    if (!t || t->dtype != DFQI_I64 || t->rank != 1 || t->dims[0] < 2 || t->dims[0] > DFQI_RANK_MAX)
        return dfqi_fail(
            st->ctx, DFQ_E_CORRUPT,
            "%s: tensor %s.shape is missing or misshapen; quantize the float network again", path,
            name);
    *rank = (int32_t)t->dims[0];
    memcpy(dims, t->data, (size_t)*rank * sizeof *dims);
    for (int32_t i = 0; i < *rank; i++)
        if (dims[i] < 1 || !dfqi_mul_i64(*count, dims[i], count) || *count > INT64_MAX / 64)
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %s.shape holds %lld at element %d, must be 1 or more; "
                             "quantize the float network again",
                             path, name, (long long)dims[i], i);
    return DFQ_OK;
}

dfq_status dfqi_file_bits(const dfqi_safetensors *st, const char *path, const char *name, int *bits)
{
    const dfq_tensor *t = dfqi_file_find(st, name, ".bits");
    if (!t) return DFQ_OK;
    int own = t->dtype == DFQI_U8 && dfqi_tensor_count(t) == 1 ? *(const uint8_t *)t->data : -1;
    if (own < 2 || own > 8)
        return dfqi_fail(
            st->ctx, DFQ_E_CORRUPT,
            "%s: tensor %s.bits must be U8 and hold 2 to 8; quantize the float network again", path,
            name);
    *bits = own;
    return DFQ_OK;
}

/* -- weights ----------------------------------------------------------------------------------- */

/* The tensors that a weight is made of; codes and scale are there, all are retained. */
typedef struct coded {
    dfq_tensor *codes, *scale, *zero_point, *groups, *input; /* input: scales of columns */
    int64_t count, cols;
    int bits;
} coded;

static void fill_groups(const coded *c, const float *scale, const float *col, float *out)
{
    const uint8_t *bytes = c->groups->data;
    const int64_t groups = c->groups->dims[1], group = c->cols / groups;
    for (int64_t i = 0; i < dfqi_tensor_count(c->groups); i++) {
        const dfqi_group_grid g = dfqi_group_grid_of((float)bytes[i]);
        const float s = scale[i / groups], *f = col ? col + i % groups * group : NULL;
        for (int64_t k = 0; k < group; k++) {
            const float code = (float)dfqi_get_code(c->codes->data, i * group + k, c->bits);
            out[i * group + k] = dfqi_group_value(code, s, g);
            if (f) out[i * group + k] /= f[k];
        }
    }
}

static void fill(const void *owner, float *out)
{
    const coded *c = owner;
    const float *scale = dfqi_tensor_f32(c->scale),
                *col = c->input ? dfqi_tensor_f32(c->input) : NULL;
    const float *zero_point = c->zero_point ? dfqi_tensor_f32(c->zero_point) : NULL;
    if (c->groups) {
        fill_groups(c, scale, col, out);
        return;
    }
    for (int64_t i = 0; i < c->count; i++) {
        float q =
            (float)((int32_t)dfqi_get_code(c->codes->data, i, c->bits) - (1 << (c->bits - 1)));
        if (zero_point) q -= zero_point[i / c->cols];
        out[i] = q * scale[i / c->cols];
        if (col) out[i] /= col[i % c->cols];
    }
}

static void give_back(void *owner)
{
    coded *c = owner;
    dfq_context *ctx = dfqi_context_retain(c->codes->ctx);
    dfqi_tensor_release(c->codes);
    dfqi_tensor_release(c->scale);
    dfqi_tensor_release(c->zero_point);
    dfqi_tensor_release(c->groups);
    dfqi_tensor_release(c->input);
    dfqi_free(ctx, c);
    dfqi_context_release(ctx);
}

/* Are all values that the codes can give finite? Whoever reads the float weight need not look. */
static bool is_finite(const coded *c)
{
    const float *zero_point = c->zero_point ? dfqi_tensor_f32(c->zero_point) : NULL;
    float least = 1.0f;
    for (int64_t i = 0; c->input && i < c->cols; i++)
        least = fminf(least, dfqi_tensor_f32(c->input)[i]);
    for (int64_t r = 0; r < c->count / c->cols; r++) {
        const float code = 256.0f + (zero_point ? fabsf(zero_point[r]) : 0.0f);
        if (!isfinite(code * dfqi_tensor_f32(c->scale)[r] / least)) return false;
    }
    return true;
}

static dfq_tensor *retain(const dfq_tensor *t)
{
    return t ? dfqi_tensor_retain(t) : NULL;
}

static dfq_status keep_coded(dfq_context *ctx, const coded *c, int32_t rank, const int64_t *dims,
                             dfq_tensor **out)
{
    coded *own = dfqi_alloc(ctx, sizeof *own);
    if (!own) return DFQ_E_NOMEM;
    *own = *c;
    dfq_status status = dfqi_tensor_new_filled(ctx, rank, dims, fill, give_back, own, out);
    if (status != DFQ_OK) {
        dfqi_free(ctx, own);
        return status;
    }
    (void)retain(c->codes);
    (void)retain(c->scale);
    (void)retain(c->zero_point);
    (void)retain(c->groups);
    (void)retain(c->input);
    return DFQ_OK;
}

dfq_status dfqi_file_groups(const dfqi_safetensors *st, const char *path, const char *name,
                            int64_t rows, int64_t cols, int bits, const dfq_tensor **out)
{
    const dfq_tensor *t = *out = dfqi_file_find(st, name, ".groups");
    if (!t) return DFQ_OK;
    if (t->dtype != DFQI_U8 || t->rank != 2 || t->dims[0] != rows || t->dims[1] < 1 ||
        cols % t->dims[1] != 0 || bits > DFQI_GROUP_BITS)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s.groups must be U8 with %lld rows of a divisor of %lld, of "
                         "a weight of at most %d bits; quantize the float network again",
                         path, name, (long long)rows, (long long)cols, DFQI_GROUP_BITS);
    const float top = (float)((1 << bits) - 1);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++) {
        const int byte = ((const uint8_t *)t->data)[i];
        if (!dfqi_group_fits(dfqi_group_grid_of((float)byte), top))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %s.groups holds %d at element %lld, whose multiplier %d "
                             "and zero point %d give numbers beyond 8 bits; quantize the float "
                             "network again",
                             path, name, byte, (long long)i, byte & DFQI_GROUP_TOP,
                             byte >> DFQI_GROUP_BITS);
    }
    return DFQ_OK;
}

dfq_status dfqi_file_decode(const dfqi_safetensors *st, const char *path, const char *name,
                            int bits, bool lazy, dfq_tensor **out)
{
    char layer[96];
    int64_t dims[DFQI_RANK_MAX], count;
    int32_t rank;
    const dfq_tensor *codes = dfqi_file_find(st, name, ".codes"), *scale, *zero_point = NULL;
    const dfq_tensor *groups;
    DFQI_TRY(dfqi_file_bits(st, path, name, &bits));
    DFQI_TRY(read_shape(st, path, name, &rank, dims, &count));
    DFQI_TRY(dfqi_file_need(st, path, name, ".scale", dims[0], 1, &scale));
    if (dfqi_file_find(st, name, ".zero_point"))
        DFQI_TRY(dfqi_file_need(st, path, name, ".zero_point", dims[0], 0, &zero_point));
    if (codes->dtype != DFQI_U8 || dfqi_tensor_count(codes) != dfqi_code_bytes(count, bits))
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s.codes has %lld bytes, must have %lld for %lld codes of %d "
                         "bits; quantize the float network again",
                         path, name, (long long)dfqi_tensor_count(codes),
                         (long long)dfqi_code_bytes(count, bits), (long long)count, bits);
    size_t stem = strlen(name) > 7 ? strlen(name) - 7 : 0; /* without ".weight" */
    snprintf(layer, sizeof layer, "%.*s.input", (int)(stem < 80 ? stem : 80), name);
    const dfq_tensor *input = NULL;
    if (dfqi_file_find(st, layer, ".scale"))
        DFQI_TRY(dfqi_file_need(st, path, layer, ".scale", 0, 1, &input));
    const int64_t cols = count / dims[0];
    DFQI_TRY(dfqi_file_groups(st, path, name, dims[0], cols, bits, &groups));
    const coded c = {.codes = (dfq_tensor *)(uintptr_t)codes, /* retained where it is kept */
                     .scale = (dfq_tensor *)(uintptr_t)scale,
                     .zero_point = (dfq_tensor *)(uintptr_t)zero_point,
                     .groups = (dfq_tensor *)(uintptr_t)groups,
                     .input =
                         dfqi_column_factors(input, cols) ? (dfq_tensor *)(uintptr_t)input : NULL,
                     .count = count,
                     .cols = cols,
                     .bits = bits};
    if (lazy && is_finite(&c)) return keep_coded(st->ctx, &c, rank, dims, out);
    DFQI_TRY(dfqi_tensor_new(st->ctx, DFQI_F32, rank, dims, out));
    fill(&c, dfqi_tensor_f32(*out));
    return DFQ_OK;
}
