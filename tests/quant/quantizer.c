/* One fake-quant module: against PyTorch (tests/golden), against the ops of quantized graphs, value
 * by value along any axis, and where its gradients are smooth against finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "io/safetensors.h"
#include "quant/cases.h"
#include "quant/quantizer.h"
#include "support/fail_alloc.h"
#include "support/path.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", ctx->error)

static dfq_context *ctx;

static void setup(void)
{
    ctx = dfqt_context(2);
}

static void teardown(void)
{
    dfqi_context_release(ctx);
}

static dfq_tensor *tensor(int32_t rank, const int64_t *dims)
{
    dfq_tensor *t;
    OK(dfqi_tensor_new(ctx, DFQI_F32, rank, dims, &t));
    return t;
}

static dfq_tensor *random_tensor(int32_t rank, const int64_t *dims, float lo, float hi)
{
    static uint64_t stream;
    dfqi_rng r = dfqi_rng_make(77, ++stream);
    dfq_tensor *t = tensor(rank, dims);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        dfqi_tensor_f32(t)[i] = dfqi_rng_range(&r, lo, hi);
    return t;
}

static dfq_tensor *one_value(float v)
{
    dfq_tensor *t = tensor(1, (int64_t[]){1});
    *dfqi_tensor_f32(t) = v;
    return t;
}

/* Takes scales and zero over. */
static dfqi_quantizer *quantizer(dfq_quantizer_options o, dfq_tensor *take_scales,
                                 dfq_tensor *take_zero)
{
    dfqi_quantizer *q;
    OK(dfqi_quantizer_new(ctx, &o, &q));
    OK(dfqi_quantizer_set_scales(q, take_scales, take_zero));
    dfqi_tensor_release(take_scales);
    dfqi_tensor_release(take_zero);
    return q;
}

static dfq_quantizer_options options(int32_t kind, int32_t bits, int32_t granularity, int32_t axis)
{
    return (dfq_quantizer_options){.kind = kind,
                                   .bits = bits,
                                   .is_signed = 1,
                                   .granularity = granularity,
                                   .axis = axis,
                                   .scale_grad_factor = 1,
                                   .zero_point_grad_factor = 1};
}

static void same(const dfq_tensor *a, const float *b, const char *what)
{
    for (int64_t i = 0, n = dfqi_tensor_count(a); i < n; i++)
        ck_assert_msg(memcmp(&dfqi_tensor_f32(a)[i], &b[i], sizeof *b) == 0,
                      "%s[%d] is %.9g, expected %.9g", what, (int)i, (double)dfqi_tensor_f32(a)[i],
                      (double)b[i]);
}

static void near(const dfq_tensor *a, const float *b, double tolerance, const char *what)
{
    double scale = 1e-6;
    int64_t n = dfqi_tensor_count(a);
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)b[i]));
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)dfqi_tensor_f32(a)[i] - (double)b[i]) <= tolerance * scale,
                      "%s[%d] is %.9g, expected %.9g", what, (int)i, (double)dfqi_tensor_f32(a)[i],
                      (double)b[i]);
}

/* Codes stand for what the forward pass gives. Returns their number of different values. */
static int check_codes(const dfqi_quantizer *q, const dfq_tensor *x, const dfq_tensor *y)
{
    dfq_tensor *codes, *back;
    int seen[512] = {0}, n = 0;
    OK(dfqi_quantizer_codes(q, x, &codes));
    ck_assert_int_eq(codes->dtype, q->qmin < 0 ? DFQI_I8 : DFQI_U8);
    for (int64_t i = 0; i < dfqi_tensor_count(codes); i++) {
        int code = q->qmin < 0 ? ((int8_t *)codes->data)[i] : ((uint8_t *)codes->data)[i];
        n += !seen[code + 128]++;
    }
    if (q->scales) {
        OK(dfqi_quantizer_dequantize(q, codes, &back));
        for (int64_t i = 0; i < dfqi_tensor_count(y); i++)
            ck_assert(dfqi_tensor_f32(back)[i] == dfqi_tensor_f32(y)[i]);
        dfqi_tensor_release(back);
    }
    dfqi_tensor_release(codes);
    return n;
}

/* -- golden ------------------------------------------------------------------------------------ */

static dfqi_safetensors golden;

static const dfq_tensor *find(const char *name, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", name, what);
    const dfq_tensor *t = dfqi_st_find(&golden, text);
    ck_assert_msg(t != NULL, "no %s", text);
    return t;
}

static const float *data(const char *name, const char *what)
{
    return dfqi_tensor_f32(find(name, what));
}

static void lsq_golden(const char *name, int bits)
{
    const dfq_tensor *x = find(name, ".x"), *alpha = find(name, ".scale");
    const int32_t *range = find(name, ".range")->data;
    int columns = dfqi_tensor_count(alpha) > 1;
    dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM, bits, columns, -1);
    dfq_tensor *y, *dx, *ds, *dz;
    o.is_signed = range[0] < 0;
    dfqi_quantizer *q =
        quantizer(o, dfqi_tensor_retain(alpha), dfqi_tensor_retain(find(name, ".zero_point")));
    ck_assert(q->qmin == (float)range[0] && q->qmax == (float)range[1]);
    OK(dfqi_quantizer_apply(q, x, &y));
    near(y, data(name, ".y"), 1e-6, name);
    check_codes(q, x, y);
    OK(dfqi_quantizer_backward(q, x, find(name, ".dy"), &dx, &ds, &dz));
    same(dx, data(name, ".dx"), name);
    near(ds, data(name, ".dscale"), 1e-5, name);
    near(dz, data(name, ".dzero_point"), 1e-5, name);
    dfqi_tensor_release(ds);
    dfqi_tensor_release(dz);
    dfqi_tensor_release(dx);
    if (!columns) { /* LSQ's factor 1 / sqrt(N qmax) */
        q->scale_grad_factor = 0;
        OK(dfqi_quantizer_backward(q, x, find(name, ".dy"), NULL, &ds, NULL));
        near(ds, data(name, ".dscale_g"), 1e-5, name);
        dfqi_tensor_release(ds);
    }
    dfqi_tensor_release(y);
    dfqi_quantizer_release(q);
}

/* Scales that follow from the weights, and the same fixed. */
static void weight_golden(const char *name, int bits)
{
    const dfq_tensor *w = find(name, ".w");
    dfqi_quantizer *q =
        quantizer(options(DFQ_QUANTIZER_WEIGHT, bits, DFQ_GRANULARITY_AXIS, 0), NULL, NULL);
    const int32_t *want = find(name, ".codes")->data;
    dfq_tensor *y, *codes;
    for (int fixed = 0; fixed < 2; fixed++) {
        OK(dfqi_quantizer_apply(q, w, &y));
        near(y, data(name, ".y"), 1e-6, name);
        OK(dfqi_quantizer_codes(q, w, &codes));
        for (int64_t i = 0; i < dfqi_tensor_count(w); i++)
            ck_assert_int_eq(((int8_t *)codes->data)[i], want[i]);
        dfqi_tensor_release(y);
        dfqi_tensor_release(codes);
        OK(dfqi_quantizer_calibrate(q, w, DFQ_CALIBRATION_MINMAX));
        near(q->scales, data(name, ".scale"), 1e-6, name);
    }
    dfqi_quantizer_release(q);
}

static void log_golden(const char *name, int bits)
{
    dfqi_quantizer *q = quantizer(options(DFQ_QUANTIZER_LOG, bits, DFQ_GRANULARITY_TENSOR, 0),
                                  dfqi_tensor_retain(find(name, ".top")), NULL);
    const dfq_tensor *x = find(name, ".x");
    dfq_tensor *y;
    OK(dfqi_quantizer_apply(q, x, &y));
    near(y, data(name, ".y"), 1e-6, name);
    check_codes(q, x, y);
    dfqi_tensor_release(y);
    dfqi_quantizer_release(q);
}

START_TEST(test_golden)
{
    static const char *const lsq[] = {"edge", "random", "unsigned", "columns"};
    static const int bits[] = {2, 3, 4, 8};
    char path[512], name[32];
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "fake_quant.safetensors", path, sizeof path));
    OK(dfqi_st_read(ctx, path, &golden));
    for (int b = 0; b < 4; b++) {
        snprintf(name, sizeof name, "weight%d", bits[b]);
        weight_golden(name, bits[b]);
        snprintf(name, sizeof name, "log%d", bits[b]);
        log_golden(name, bits[b]);
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "lsq%d.%s", bits[b], lsq[i]);
            lsq_golden(name, bits[b]);
        }
    }
    dfqi_st_fini(&golden);
}
END_TEST

/* -- the ops of graphs ------------------------------------------------------------------------- */

/* One op between x and its gradient; `wrt` of the inputs have one. */
typedef struct op_rig {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, y, seed, scale, zero, col, grad[3];
} op_rig;

static dfqi_id shared(op_rig *r, const dfq_tensor *t)
{
    int64_t n = t ? dfqi_tensor_count(t) : 0;
    return t ? dfqi_graph_input(r->g, "p", 0, 1, &n) : DFQI_NONE;
}

static void bind(op_rig *r, dfqi_id id, const dfq_tensor *t)
{
    if (t) dfqi_exec_bind(r->e, id, dfqi_tensor_f32(t));
}

/* The inputs of the op; x is a weight, or its first extent the batch. */
static op_rig op_begin(const dfqi_quantizer *q, const dfq_tensor *x, bool weight)
{
    op_rig r;
    OK(dfqi_graph_new(ctx, weight ? 1 : x->dims[0], &r.g));
    r.x = dfqi_graph_input(r.g, "x", !weight, x->rank - !weight, x->dims + !weight);
    r.scale = shared(&r, q->scales);
    r.zero = shared(&r, weight ? NULL : q->zero_points);
    r.col = shared(&r, q->column_factors);
    return r;
}

/* Runs it and compares everything with the quantizer. */
static void op_compare(op_rig *r, const dfqi_quantizer *q, const dfq_tensor *x, bool weight,
                       const char *what)
{
    dfq_tensor *dy = random_tensor(x->rank, x->dims, -1, 1), *y, *dx, *ds = NULL, *dz = NULL;
    dfqi_id wrt[3] = {r->x, r->scale, r->zero};
    int n = q->kind == DFQI_SITE_LOG || !q->scales ? 1 : weight ? 2 : 3;
    r->seed = dfqi_graph_input(r->g, "dy", !weight, x->rank - !weight, x->dims + !weight);
    OK(dfqi_graph_grad(r->g, 1, &r->y, &r->seed, n, wrt, r->grad));
    dfqi_graph_keep(r->g, r->y);
    for (int i = 0; i < n; i++)
        if (r->grad[i] != r->seed) dfqi_graph_keep(r->g, r->grad[i]);
    OK(dfqi_graph_status(r->g));
    OK(dfqi_exec_new(r->g, &r->e));
    bind(r, r->x, x);
    bind(r, r->seed, dy);
    bind(r, r->scale, q->scales);
    bind(r, r->zero, weight ? NULL : q->zero_points);
    bind(r, r->col, q->column_factors);
    OK(dfqi_exec_run(r->e));
    OK(dfqi_quantizer_apply(q, x, &y));
    same(y, dfqi_exec_data(r->e, r->y), what);
    check_codes(q, x, y);
    OK(dfqi_quantizer_backward(q, x, dy, &dx, n > 1 ? &ds : NULL, n > 2 ? &dz : NULL));
    same(dx, r->grad[0] == r->seed ? dfqi_tensor_f32(dy) : dfqi_exec_data(r->e, r->grad[0]), what);
    if (ds) near(ds, dfqi_exec_data(r->e, r->grad[1]), 1e-5, what);
    if (dz) near(dz, dfqi_exec_data(r->e, r->grad[2]), 1e-5, what);
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    dfqi_tensor_release(dy);
    dfqi_tensor_release(y);
    dfqi_tensor_release(dx);
    dfqi_tensor_release(ds);
    dfqi_tensor_release(dz);
}

/* Activations with one scale, one for each channel, head, or head and channel; more values than a
 * body of a loop takes. */
START_TEST(test_uniform_op)
{
    static const int64_t x_dims[4] = {3, 4, 61, 32}, scales_dims[2] = {4, 32};
    static const int32_t granularity[4] = {DFQ_GRANULARITY_TENSOR, DFQ_GRANULARITY_AXIS,
                                           DFQ_GRANULARITY_AXIS, DFQ_GRANULARITY_HEAD_CHANNEL};
    int32_t rank = _i == 1 ? 3 : 4, axis = _i == 1 ? -1 : 1;
    int64_t n = _i == 0 ? 1 : _i == 1 ? 32 : 4;
    dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM, 3, granularity[_i], axis);
    const int64_t *d = _i == 3 ? scales_dims : &n;
    o.is_signed = _i != 2;
    dfqi_quantizer *q = quantizer(o, random_tensor(_i == 3 ? 2 : 1, d, 0.1f, 0.4f),
                                  random_tensor(_i == 3 ? 2 : 1, d, -1.4f, 2.3f));
    dfq_tensor *x = random_tensor(rank, x_dims + (rank == 3), -1.5f, 1.5f);
    op_rig r = op_begin(q, x, false);
    r.y = dfqi_fq(r.g, r.x, r.scale, r.zero, q->qmin, q->qmax, 1, 1);
    op_compare(&r, q, x, false, "uniform");
    q->input_gradient = DFQ_INPUT_GRADIENT_IDENTITY;
    dfq_tensor *dy = random_tensor(rank, x->dims, -1, 1), *dx;
    OK(dfqi_quantizer_backward(q, x, dy, &dx, NULL, NULL));
    same(dx, dfqi_tensor_f32(dy), "straight");
    dfqi_tensor_release(dx);
    dfqi_tensor_release(dy);
    dfqi_tensor_release(x);
    dfqi_quantizer_release(q);
}
END_TEST

START_TEST(test_log_op)
{
    dfqi_quantizer *q =
        quantizer(options(DFQ_QUANTIZER_LOG, _i, DFQ_GRANULARITY_TENSOR, 0), one_value(0.7f), NULL);
    dfq_tensor *x = random_tensor(3, (int64_t[]){2, 50, 300}, 0, 1);
    op_rig r = op_begin(q, x, false);
    r.y = dfqi_fq_log(r.g, r.x, r.scale, q->qmax);
    op_compare(&r, q, x, false, "log");
    dfqi_tensor_release(x);
    dfqi_quantizer_release(q);
}
END_TEST

/* Weights: 0 min-max, 1 learned, 2 with column factors, 3 LSQ's gradient, 4 asymmetric, 5 its
 * scales fixed. */
START_TEST(test_weight_op)
{
    static const int64_t dims[4] = {70, 5, 3, 3}, rows = 70, cols = 45;
    int range = _i >= 4;
    dfq_quantizer_options o = options(range ? DFQ_QUANTIZER_WEIGHT_MINMAX : DFQ_QUANTIZER_WEIGHT, 3,
                                      DFQ_GRANULARITY_AXIS, 0);
    if (_i == 3) o.input_gradient = DFQ_INPUT_GRADIENT_CLIPPED;
    dfq_tensor *w = random_tensor(4, dims, -1, 1.2f), *col = NULL;
    dfqi_quantizer *q =
        quantizer(o, _i >= 1 && _i <= 3 ? random_tensor(1, &rows, 0.1f, 0.4f) : NULL, NULL);
    if (_i == 2) {
        col = random_tensor(1, &cols, 0.5f, 2);
        OK(dfqi_quantizer_set_columns(q, col));
    }
    op_rig r = op_begin(q, w, true);
    r.y = range     ? dfqi_fq_weight_range(r.g, r.x, 3)
          : _i == 3 ? dfqi_fq_weight_lsq(r.g, r.x, r.scale, 3, 1)
                    : dfqi_fq_weight(r.g, r.x, r.col, r.scale, DFQI_NONE, 3, 1);
    if (_i == 5) {
        dfq_tensor *dy, *y, *again;
        OK(dfqi_quantizer_apply(q, w, &y));
        OK(dfqi_quantizer_calibrate(q, w, DFQ_CALIBRATION_MINMAX));
        OK(dfqi_quantizer_apply(q, w, &again));
        same(again, dfqi_tensor_f32(y), "fixed");
        dy = y; /* what is on its grid stays there */
        OK(dfqi_quantizer_apply(q, dy, &y));
        near(y, dfqi_tensor_f32(dy), 0, "twice");
        dfqi_tensor_release(dy);
        dfqi_tensor_release(y);
        dfqi_tensor_release(again);
        dfqi_graph_free(r.g);
    } else {
        op_compare(&r, q, w, true, "weight");
    }
    dfqi_tensor_release(col);
    dfqi_tensor_release(w);
    dfqi_quantizer_release(q);
}
END_TEST

/* A gradient that is clipped passes through column factors as it is. */
START_TEST(test_clipped_columns)
{
    const int64_t dims[2] = {3, 7};
    dfq_quantizer_options o = options(DFQ_QUANTIZER_WEIGHT, 3, DFQ_GRANULARITY_AXIS, 0);
    o.input_gradient = DFQ_INPUT_GRADIENT_CLIPPED;
    dfq_tensor *w = random_tensor(2, dims, -1, 1), *dy = random_tensor(2, dims, -1, 1), *dx;
    dfq_tensor *col = random_tensor(1, dims + 1, 0.5f, 3);
    dfqi_quantizer *q = quantizer(o, random_tensor(1, dims, 0.2f, 0.3f), NULL);
    int clipped = 0;
    OK(dfqi_quantizer_set_columns(q, col));
    OK(dfqi_quantizer_backward(q, w, dy, &dx, NULL, NULL));
    for (int i = 0; i < 21; i++) {
        float u =
            dfqi_tensor_f32(w)[i] * dfqi_tensor_f32(col)[i % 7] / dfqi_tensor_f32(q->scales)[i / 7];
        int inside = u >= -4 && u <= 3;
        clipped += !inside;
        ck_assert(dfqi_tensor_f32(dx)[i] == (inside ? dfqi_tensor_f32(dy)[i] : 0));
    }
    ck_assert(clipped > 2 && clipped < 18);
    dfqi_tensor_release(w);
    dfqi_tensor_release(dy);
    dfqi_tensor_release(dx);
    dfqi_tensor_release(col);
    dfqi_quantizer_release(q);
}
END_TEST

/* -- any axis ---------------------------------------------------------------------------------- */

/* Along axis _i - 3 of [5,6,7] each slice by itself gives the same values, codes and gradients. */
START_TEST(test_axis)
{
    static const int64_t dims[3] = {5, 6, 7};
    int axis = (_i + 3) % 3;
    int64_t n = dims[axis], stride = 1, outer = 1;
    for (int a = axis + 1; a < 3; a++) stride *= dims[a];
    for (int a = 0; a < axis; a++) outer *= dims[a];
    dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM, 4, DFQ_GRANULARITY_AXIS, _i);
    dfq_tensor *x = random_tensor(3, dims, -2, 2), *dy = random_tensor(3, dims, -1, 1);
    dfq_tensor *y, *dx, *ds, *dz, *part[2], *out[4];
    dfqi_quantizer *q =
        quantizer(o, random_tensor(1, &n, 0.05f, 0.2f), random_tensor(1, &n, -3, 3));
    OK(dfqi_quantizer_apply(q, x, &y));
    check_codes(q, x, y);
    OK(dfqi_quantizer_backward(q, x, dy, &dx, &ds, &dz));
    for (int64_t i = 0; i < n; i++) {
        dfqi_quantizer *one =
            quantizer(options(DFQ_QUANTIZER_UNIFORM, 4, DFQ_GRANULARITY_TENSOR, 0),
                      one_value(dfqi_tensor_f32(q->scales)[i]),
                      one_value(dfqi_tensor_f32(q->zero_points)[i]));
        int64_t count = outer * stride;
        for (int k = 0; k < 2; k++) {
            part[k] = tensor(1, &count);
            const float *from = dfqi_tensor_f32(k ? dy : x);
            for (int64_t at = 0; at < count; at++)
                dfqi_tensor_f32(part[k])[at] = from[(at / stride * n + i) * stride + at % stride];
        }
        OK(dfqi_quantizer_apply(one, part[0], &out[0]));
        OK(dfqi_quantizer_backward(one, part[0], part[1], &out[1], &out[2], &out[3]));
        for (int64_t at = 0; at < count; at++) {
            int64_t full = (at / stride * n + i) * stride + at % stride;
            ck_assert(dfqi_tensor_f32(y)[full] == dfqi_tensor_f32(out[0])[at]);
            ck_assert(dfqi_tensor_f32(dx)[full] == dfqi_tensor_f32(out[1])[at]);
        }
        near(out[2], dfqi_tensor_f32(ds) + i, 1e-5, "dscale");
        near(out[3], dfqi_tensor_f32(dz) + i, 1e-5, "dzero_point");
        for (int k = 0; k < 4; k++) dfqi_tensor_release(out[k]);
        for (int k = 0; k < 2; k++) dfqi_tensor_release(part[k]);
        dfqi_quantizer_release(one);
    }
    dfq_tensor *all[6] = {x, dy, y, dx, ds, dz};
    for (int k = 0; k < 6; k++) dfqi_tensor_release(all[k]);
    dfqi_quantizer_release(q);
}
END_TEST

/* Both calibrations give each slice what it gets by itself; a search loses no more than min-max. */
START_TEST(test_calibrate_axis)
{
    static const int64_t dims[3] = {4, 3, 50};
    int32_t kind = _i % 2 ? DFQ_QUANTIZER_WEIGHT : DFQ_QUANTIZER_UNIFORM;
    int32_t axis = _i / 2;
    int64_t n = dims[axis], stride = 1;
    for (int a = axis + 1; a < 3; a++) stride *= dims[a];
    double error[2] = {0, 0};
    dfq_tensor *x = random_tensor(3, dims, -1, 1), *y;
    for (int64_t i = 0; i < 600; i += 37) dfqi_tensor_f32(x)[i] *= 3;
    for (int method = DFQ_CALIBRATION_MINMAX; method <= DFQ_CALIBRATION_SEARCH; method++) {
        dfqi_quantizer *q = quantizer(options(kind, 3, DFQ_GRANULARITY_AXIS, axis), NULL, NULL);
        OK(dfqi_quantizer_calibrate(q, x, method));
        for (int64_t i = 0; i < n; i++) {
            int64_t count = 600 / n, at = 0;
            dfq_tensor *part = tensor(1, &count);
            dfqi_quantizer *one =
                quantizer(options(kind, 3, DFQ_GRANULARITY_TENSOR, 0), NULL, NULL);
            for (int64_t k = 0; k < 600; k++)
                if (k / stride % n == i) dfqi_tensor_f32(part)[at++] = dfqi_tensor_f32(x)[k];
            OK(dfqi_quantizer_calibrate(one, part, method));
            near(one->scales, dfqi_tensor_f32(q->scales) + i, 1e-6, "scale");
            if (q->zero_points)
                near(one->zero_points, dfqi_tensor_f32(q->zero_points) + i, 1e-6, "zero point");
            dfqi_quantizer_release(one);
            dfqi_tensor_release(part);
        }
        OK(dfqi_quantizer_apply(q, x, &y));
        for (int64_t i = 0; i < 600; i++) {
            double d = (double)dfqi_tensor_f32(x)[i] - (double)dfqi_tensor_f32(y)[i];
            error[method] += d * d;
        }
        ck_assert((q->error >= 0) == (method == DFQ_CALIBRATION_SEARCH));
        dfqi_tensor_release(y);
        dfqi_quantizer_release(q);
    }
    ck_assert_msg(error[1] < error[0], "search %g, min-max %g", error[1], error[0]);
    dfqi_tensor_release(x);
}
END_TEST

/* -- 2^b values -------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Every kind at width _i, found from a dense ramp: so many values and codes, no more and no
 * less. */
START_TEST(test_levels)
{
    static const int32_t kinds[5] = {DFQ_QUANTIZER_WEIGHT, DFQ_QUANTIZER_UNIFORM,
                                     DFQ_QUANTIZER_UNIFORM, DFQ_QUANTIZER_WEIGHT_MINMAX,
                                     DFQ_QUANTIZER_LOG};
    for (int k = 0; k < 5; k++) {
        int log = kinds[k] == DFQ_QUANTIZER_LOG, want = log && _i == 8 ? 254 : 1 << _i, n = 1;
        const int64_t count = 40000;
        dfq_quantizer_options o = options(kinds[k], _i, DFQ_GRANULARITY_TENSOR, 0);
        o.is_signed = k != 2;
        dfqi_quantizer *q = quantizer(o, NULL, NULL);
        dfq_tensor *x = tensor(1, &count), *y;
        for (int64_t i = 0; i < count; i++) {
            float u = (float)i / (float)(count - 1);
            dfqi_tensor_f32(x)[i] = log      ? i % 2 ? u : ldexpf(1 + u, -(int)(i % 131))
                                         : k == 0 ? 3.4f * u - 1.7f
                                             : 3 * u - 1.4f;
        }
        OK(dfqi_quantizer_calibrate(q, x, DFQ_CALIBRATION_MINMAX));
        /* half a code more at either end, so that rounding cannot miss the smallest */
        if (k == 0) dfqi_tensor_f32(q->scales)[0] *= 0.97f;
        OK(dfqi_quantizer_apply(q, x, &y));
        int codes = check_codes(q, x, y);
        qsort(y->data, (size_t)count, sizeof(float), ascending);
        for (int64_t i = 1; i < count; i++) n += dfqi_tensor_f32(y)[i] != dfqi_tensor_f32(y)[i - 1];
        ck_assert_msg(n == want && codes == n, "kind %d, %d bits: %d values, %d codes, not %d", k,
                      _i, n, codes, want);
        dfqi_tensor_release(x);
        dfqi_tensor_release(y);
        dfqi_quantizer_release(q);
    }
}
END_TEST

/* -- finite differences ------------------------------------------------------------------------ */

/* sum of g y, in double. */
static double loss(const dfqi_quantizer *q, const dfq_tensor *x, const dfq_tensor *g)
{
    dfq_tensor *y;
    double sum = 0;
    OK(dfqi_quantizer_apply(q, x, &y));
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++)
        sum += (double)dfqi_tensor_f32(y)[i] * (double)dfqi_tensor_f32(g)[i];
    dfqi_tensor_release(y);
    return sum;
}

/* Where values are clipped, y = (Q - z) s is smooth in s and moves by -s with z: the gradients are
 * derivatives. Inside, y follows x over whole codes, with slope 1. */
START_TEST(test_differences)
{
    const int64_t n = 64;
    const float s = 0.125f, h = 1.0f / 1024;
    dfq_tensor *g = random_tensor(1, &n, -1, 1), *x = tensor(1, &n), *dx, *ds, *dz;
    for (int64_t i = 0; i < n; i++) dfqi_tensor_f32(x)[i] = i % 2 ? 9.0f + (float)i : -7.0f;
    dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM, 4, DFQ_GRANULARITY_TENSOR, 0);
    double at[2], shifted[2];
    for (int k = 0; k < 2; k++) {
        dfqi_quantizer *a = quantizer(o, one_value(k ? s + h : s - h), one_value(2));
        dfqi_quantizer *b = quantizer(o, one_value(s), one_value(k ? 3 : 1));
        at[k] = loss(a, x, g);
        shifted[k] = loss(b, x, g);
        dfqi_quantizer_release(a);
        dfqi_quantizer_release(b);
    }
    dfqi_quantizer *q = quantizer(o, one_value(s), one_value(2));
    OK(dfqi_quantizer_backward(q, x, g, &dx, &ds, &dz));
    const float by_s = (float)((at[1] - at[0]) / (2 * (double)h));
    const float by_z = (float)((shifted[1] - shifted[0]) / 2);
    near(ds, &by_s, 1e-4, "dscale");
    near(dz, &by_z, 1e-5, "dzero_point");
    for (int64_t i = 0; i < n; i++) ck_assert(dfqi_tensor_f32(dx)[i] == 0);
    dfqi_tensor_release(dx);
    dfqi_tensor_release(ds);
    dfqi_tensor_release(dz);
    for (int64_t i = 0; i < n; i++) dfqi_tensor_f32(x)[i] = s * (float)(i % 10 - 5) + 0.03f;
    OK(dfqi_quantizer_backward(q, x, g, &dx, NULL, NULL));
    for (int64_t i = 0; i < n; i++) { /* one value a code further */
        double before = loss(q, x, g);
        float was = dfqi_tensor_f32(x)[i];
        int up = i % 10 < 9; /* the last code is at 5 s */
        dfqi_tensor_f32(x)[i] += up ? s : -s;
        float slope = (float)((loss(q, x, g) - before) / (double)(up ? s : -s));
        dfqi_tensor_f32(x)[i] = was;
        ck_assert(fabsf(slope - dfqi_tensor_f32(dx)[i]) < 1e-4f);
    }
    dfqi_tensor_release(dx);
    dfqi_tensor_release(g);
    dfqi_tensor_release(x);
    dfqi_quantizer_release(q);
}
END_TEST

/* Inside, LSQ takes what rounding adds, r = q - z - x / s, for a constant: y = x + r s. */
START_TEST(test_surrogate)
{
    const int64_t n = 40;
    const float s = 0.3f;
    dfqi_quantizer *q = quantizer(options(DFQ_QUANTIZER_UNIFORM, 5, DFQ_GRANULARITY_TENSOR, 0),
                                  one_value(s), one_value(1));
    dfq_tensor *x = random_tensor(1, &n, -4, 4), *g = random_tensor(1, &n, -1, 1), *y, *ds, *dz;
    double want = 0;
    OK(dfqi_quantizer_apply(q, x, &y));
    for (int64_t i = 0; i < n; i++) {
        double v = (double)dfqi_tensor_f32(x)[i];
        want += (double)dfqi_tensor_f32(g)[i] * ((double)dfqi_tensor_f32(y)[i] - v) / (double)s;
    }
    OK(dfqi_quantizer_backward(q, x, g, NULL, &ds, &dz));
    near(ds, &(float){(float)want}, 1e-4, "dscale");
    ck_assert(*dfqi_tensor_f32(dz) == 0);
    dfqi_tensor_release(x);
    dfqi_tensor_release(g);
    dfqi_tensor_release(y);
    dfqi_tensor_release(ds);
    dfqi_tensor_release(dz);
    dfqi_quantizer_release(q);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

static dfq_status scenario(dfq_context *own, void *arg)
{
    int kind = *(const int *)arg;
    dfq_quantizer_options o = options(kind, 4, DFQ_GRANULARITY_AXIS, 0);
    dfqi_quantizer *q = NULL;
    dfq_tensor *x = NULL, *col = NULL, *out[6] = {NULL};
    int weight = kind == DFQ_QUANTIZER_WEIGHT;
    dfq_status status;
    DFQI_GOTO(dfqi_quantizer_new(own, &o, &q), out);
    DFQI_GOTO(dfqi_tensor_new(own, DFQI_F32, 2, (int64_t[]){3, 8}, &x), out);
    DFQI_GOTO(dfqi_tensor_new(own, DFQI_F32, 1, (int64_t[]){8}, &col), out);
    for (int i = 0; i < 24; i++) dfqi_tensor_f32(x)[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 8; i++) dfqi_tensor_f32(col)[i] = 1 + (float)i;
    if (weight) DFQI_GOTO(dfqi_quantizer_set_columns(q, col), out);
    if (weight) DFQI_GOTO(dfqi_quantizer_apply(q, x, &out[0]), out);
    DFQI_GOTO(dfqi_quantizer_calibrate(q, x, DFQ_CALIBRATION_MINMAX), out);
    DFQI_GOTO(dfqi_quantizer_calibrate(q, x, DFQ_CALIBRATION_SEARCH), out);
    DFQI_GOTO(dfqi_quantizer_apply(q, x, &out[1]), out);
    DFQI_GOTO(dfqi_quantizer_backward(q, x, x, &out[2], &out[3], NULL), out);
    DFQI_GOTO(dfqi_quantizer_codes(q, x, &out[4]), out);
    status = dfqi_quantizer_dequantize(q, out[4], &out[5]);
out:
    for (int i = 0; i < 6; i++) dfqi_tensor_release(out[i]);
    dfqi_tensor_release(x);
    dfqi_tensor_release(col);
    dfqi_quantizer_release(q);
    return status;
}

START_TEST(test_out_of_memory)
{
    int kind = _i;
    fail_alloc_sweep(scenario, &kind, 1);
}
END_TEST

TCase *dfqt_quantizer_case(void)
{
    TCase *c = tcase_create("quantizer");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_golden);
    tcase_add_loop_test(c, test_uniform_op, 0, 4);
    tcase_add_loop_test(c, test_log_op, 2, 9);
    tcase_add_loop_test(c, test_weight_op, 0, 6);
    tcase_add_test(c, test_clipped_columns);
    tcase_add_loop_test(c, test_axis, -3, 3);
    tcase_add_loop_test(c, test_calibrate_axis, 0, 6);
    tcase_add_loop_test(c, test_levels, 2, 9);
    tcase_add_test(c, test_differences);
    tcase_add_test(c, test_surrogate);
    tcase_add_loop_test(c, test_out_of_memory, DFQ_QUANTIZER_WEIGHT, DFQ_QUANTIZER_UNIFORM + 1);
    return c;
}
