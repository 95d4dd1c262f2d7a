/* Quantizers whose grids are found at run time: of each row (kind row), or of each column over the
 * rows of an image and head (kind column). They have no scales of their own. */
#include "base/parallel.h"
#include "kernel/codes.h"
#include "kernel/fq_column.h"
#include "quant/quantizer.h"

enum { CHUNK = 1 << 14 }; /* values that one body takes, about */

/* The state of one call. The tensor is `parts` of [rows, cols]. */
typedef struct work {
    const dfqi_quantizer *q;
    const dfqi_kernels *k;
    int64_t count, parts, rows, cols; /* count: all values; rows: the last part may have less */
    const float *x, *dy;
    float *y;       /* forward: y; backward: dx */
    float *scratch; /* columns: [threads][2 * rows * cols]; codes: [threads][2][grids] behind it */
    int64_t scratch_floats;
    int8_t *codes; /* I8, or U8 in the same memory; y is scratch then */
    int32_t odd;   /* 1: a row that is not finite was met; atomic */
} work;

static dfq_status split(const dfqi_quantizer *q, const dfq_tensor *x, work *w)
{
    char text[96];
    int64_t count = dfqi_tensor_count(x);
    int columns = q->kind == DFQI_SITE_COLUMN;
    if (x->dtype != DFQI_F32)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "the tensor is %s, must be F32",
                         dfqi_dtype_name(x->dtype));
    if (count < 1 || x->rank < 1 + columns)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE,
                         "the tensor is %s, must be [..,%sC] with values in it",
                         dfqi_shape_text(x->rank, x->dims, text, sizeof text), columns ? "N," : "");
    *w = (work){.q = q, .k = dfqi_kernels_get(q->ctx), .x = dfqi_tensor_f32(x), .count = count};
    w->cols = x->dims[x->rank - 1];
    if (q->group > 0 && w->cols % q->group != 0)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "the tensor is %s, must have groups of %lld channels",
                         dfqi_shape_text(x->rank, x->dims, text, sizeof text), (long long)q->group);
    if (q->group > 0) w->cols = q->group; /* a group of a row is a row */
    w->rows = columns ? x->dims[x->rank - 2] : (CHUNK + w->cols - 1) / w->cols;
    w->parts = (count + w->rows * w->cols - 1) / (w->rows * w->cols);
    return DFQ_OK;
}

static int64_t rows_of(const work *w, int64_t i)
{
    int64_t left = w->count / w->cols - i * w->rows;
    return left < w->rows ? left : w->rows;
}

static dfq_status take_scratch(work *w, int64_t floats)
{
    w->scratch_floats = floats;
    w->scratch = dfqi_calloc(w->q->ctx, (size_t)(floats * w->q->ctx->threads), sizeof(float));
    return w->scratch ? DFQ_OK : DFQ_E_NOMEM;
}

/* -- forward and backward ---------------------------------------------------------------------- */

static void part(void *arg, int64_t i, int32_t thread)
{
    const work *w = arg;
    int64_t rows = rows_of(w, i), at = i * w->rows * w->cols;
    float *scratch = w->scratch ? w->scratch + thread * w->scratch_floats : NULL;
    int bits = w->q->bits, is_signed = w->q->qmin < 0, columns = w->q->kind == DFQI_SITE_COLUMN;
    if (columns && w->dy)
        dfqi_fq_columns_bwd(w->k, rows, w->cols, bits, is_signed, w->x + at, w->dy + at, w->y + at,
                            scratch);
    else if (columns)
        dfqi_fq_columns(w->k, rows, w->cols, bits, is_signed, w->x + at, w->y + at, NULL, NULL,
                        scratch);
    else if (w->dy)
        w->k->fq_row_bwd(rows, w->cols, bits, is_signed, w->x + at, w->dy + at, w->y + at);
    else
        w->k->fq_row(rows, w->cols, bits, is_signed, w->x + at, w->y + at, NULL, NULL);
}

/* y of x, or with dy dx. */
static dfq_status run(const dfqi_quantizer *q, const dfq_tensor *x, const dfq_tensor *dy,
                      dfq_tensor **out)
{
    work w;
    dfq_tensor *y = NULL;
    dfq_status status;
    DFQI_TRY(split(q, x, &w));
    if (q->kind == DFQI_SITE_COLUMN) DFQI_GOTO(take_scratch(&w, 2 * w.rows * w.cols), out);
    DFQI_GOTO(dfqi_tensor_new(q->ctx, DFQI_F32, x->rank, x->dims, &y), out);
    w.dy = dy ? dfqi_tensor_f32(dy) : NULL;
    w.y = dfqi_tensor_f32(y);
    dfqi_parallel_for(q->ctx, w.parts, part, &w);
    *out = y;
    status = DFQ_OK;
out:
    dfqi_free(q->ctx, w.scratch);
    return status;
}

dfq_status dfqi_quantizer_rows_apply(const dfqi_quantizer *q, const dfq_tensor *x,
                                     dfq_tensor **out_y)
{
    return run(q, x, NULL, out_y);
}

dfq_status dfqi_quantizer_rows_backward(const dfqi_quantizer *q, const dfq_tensor *x,
                                        const dfq_tensor *dy, dfq_tensor **out_dx)
{
    return run(q, x, dy, out_dx);
}

/* -- codes ------------------------------------------------------------------------------------- */

static void codes_part(void *arg, int64_t i, int32_t thread)
{
    work *w = arg;
    int64_t rows = rows_of(w, i), values = w->rows * w->cols, at = i * values;
    int columns = w->q->kind == DFQI_SITE_COLUMN;
    int64_t grids = columns ? w->cols : w->rows;
    float *y = w->scratch + thread * w->scratch_floats, *turned = y + values;
    float *scale = turned + values, *zero_point = scale + grids;
    int bits = w->q->bits, is_signed = w->q->qmin < 0;
    if (columns)
        dfqi_fq_columns(w->k, rows, w->cols, bits, is_signed, w->x + at, y, scale, zero_point,
                        turned);
    else
        w->k->fq_row(rows, w->cols, bits, is_signed, w->x + at, y, scale, zero_point);
    int32_t odd = 0;
    for (int64_t k = 0; k < rows * w->cols; k++) {
        int64_t g = columns ? k % w->cols : k / w->cols;
        float code =
            dfqi_code_uniform(w->x[at + k], scale[g], zero_point[g], w->q->qmin, w->q->qmax);
        odd |= code != code;
        w->codes[at + k] = (int8_t)(code == code ? (int32_t)code : 0);
    }
    if (odd) __atomic_store_n(&w->odd, 1, __ATOMIC_RELAXED);
}

dfq_status dfqi_quantizer_rows_codes(const dfqi_quantizer *q, const dfq_tensor *x,
                                     dfq_tensor **out_codes)
{
    work w;
    dfq_tensor *codes = NULL;
    dfq_status status;
    DFQI_TRY(split(q, x, &w));
    int64_t grids = w.rows > w.cols ? w.rows : w.cols;
    DFQI_GOTO(take_scratch(&w, 2 * (w.rows * w.cols + grids)), out);
    DFQI_GOTO(dfqi_tensor_new(q->ctx, q->qmin < 0 ? DFQI_I8 : DFQI_U8, x->rank, x->dims, &codes),
              out);
    w.codes = codes->data;
    dfqi_parallel_for(q->ctx, w.parts, codes_part, &w);
    if (w.odd) {
        status =
            dfqi_fail(q->ctx, DFQ_E_NUMERIC,
                      "a row holds NaN or an infinity, or its range overflows: it has no codes");
        goto out;
    }
    *out_codes = codes;
    codes = NULL;
out:
    dfqi_tensor_release(codes);
    dfqi_free(q->ctx, w.scratch);
    return status;
}
