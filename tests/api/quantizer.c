/* dfq/quantizer.h: one fake-quant module by the public interface. Its numbers are tested in
 * tests/quant. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "api/cases.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))
/* Refused with `status`, in words that have `text`. */
#define REFUSED(call, status, text)                                                                \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_msg(strstr(dfq_context_get_error(ctx), (text)) != NULL, "%s",                    \
                      dfq_context_get_error(ctx));                                                 \
    } while (0)

static dfq_context *ctx;
static dfq_tensor *x; /* [3,8] */

static dfq_tensor *make(int32_t dtype, int32_t rank, const int64_t *dims, float from, float step)
{
    dfq_tensor *t;
    OK(dfq_tensor_create(ctx, dtype, rank, dims, &t));
    size_t n = dfq_tensor_get_bytes(t) / dfq_dtype_bytes(dtype);
    for (size_t i = 0; i < n && dtype == DFQ_DTYPE_F32; i++)
        ((float *)dfq_tensor_get_data(t))[i] = from + step * (float)i;
    return t;
}

static dfq_tensor *row(int64_t n, float from, float step)
{
    return make(DFQ_DTYPE_F32, 1, &n, from, step);
}

static void setup(void)
{
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    x = make(DFQ_DTYPE_F32, 2, (int64_t[]){3, 8}, -1.1f, 0.1f);
}

static void teardown(void)
{
    dfq_tensor_release(x);
    dfq_context_release(ctx);
}

static dfq_quantizer_options options(int32_t kind)
{
    dfq_quantizer_options o;
    dfq_quantizer_options_init(&o, sizeof o);
    o.kind = kind;
    return o;
}

START_TEST(test_life)
{
    dfq_tensor *scales = row(1, 0.25f, 0), *zero = row(1, 1, 0), *y, *got, *codes, *back;
    dfq_quantizer_info info = {.struct_size = sizeof info};
    dfq_quantizer *q, *same;
    OK(dfq_quantizer_create(ctx, NULL, scales, zero, &q));
    dfq_tensor_release(scales);
    dfq_tensor_release(zero);
    same = dfq_quantizer_retain(q);
    ck_assert_ptr_eq(same, q);
    dfq_quantizer_release(same);
    OK(dfq_quantizer_get_info(q, &info));
    ck_assert(info.kind == DFQ_QUANTIZER_UNIFORM && info.bits == 4 && info.scales == 1);
    ck_assert(info.qmin == -8 && info.qmax == 7 && info.scale_min == 0.25f &&
              info.zero_point_max == 1);
    ck_assert_str_eq(info.name, "");
    ck_assert(info.error < 0);
    OK(dfq_quantizer_get_zero_points(q, &got));
    ck_assert(*(float *)dfq_tensor_get_data(got) == 1);
    dfq_tensor_release(got);
    OK(dfq_quantizer_get_column_factors(q, &got));
    ck_assert_ptr_null(got);
    OK(dfq_quantizer_apply(q, x, &y));
    OK(dfq_quantizer_get_codes(q, x, &codes));
    for (int i = 0; i < 24; i++) {
        float v = ((float *)dfq_tensor_get_data(x))[i];
        float code = fminf(fmaxf(rintf(v / 0.25f + 1), -8), 7);
        ck_assert(((int8_t *)dfq_tensor_get_data(codes))[i] == (int8_t)code);
        ck_assert(((float *)dfq_tensor_get_data(y))[i] == (code - 1) * 0.25f);
    }
    OK(dfq_quantizer_dequantize(q, codes, &back));
    ck_assert_mem_eq(dfq_tensor_get_data(back), dfq_tensor_get_data(y), 24 * sizeof(float));
    dfq_tensor_release(y);
    dfq_tensor_release(back);
    dfq_tensor_release(codes);
    OK(dfq_quantizer_set_scales(q, NULL, NULL));
    REFUSED(dfq_quantizer_get_scales(q, &got), DFQ_E_INVALID, "no scales");
    REFUSED(dfq_quantizer_apply(q, x, &y), DFQ_E_INVALID, "calibrate");
    OK(dfq_quantizer_calibrate(q, x, DFQ_CALIBRATION_MINMAX));
    OK(dfq_quantizer_get_scales(q, &got));
    ck_assert(fabsf(*(float *)dfq_tensor_get_data(got) - 2.3f / 15) < 1e-6f);
    dfq_tensor_release(got);
    dfq_quantizer_release(q);
    dfq_quantizer_release(NULL);
    ck_assert_ptr_null(dfq_quantizer_retain(NULL));
}
END_TEST

/* Each option out of its range, one by one. */
START_TEST(test_options)
{
    dfq_quantizer *q = NULL;
    struct {
        size_t at;
        int32_t value;
        const char *text;
    } wrong[] = {{offsetof(dfq_quantizer_options, kind), 6, "kind is 6"},
                 {offsetof(dfq_quantizer_options, kind), -1, "kind is -1"},
                 {offsetof(dfq_quantizer_options, bits), 1, "bits is 1"},
                 {offsetof(dfq_quantizer_options, bits), 9, "bits is 9"},
                 {offsetof(dfq_quantizer_options, is_signed), 2, "is_signed is 2"},
                 {offsetof(dfq_quantizer_options, granularity), 3, "granularity is 3"},
                 {offsetof(dfq_quantizer_options, axis), 6, "axis is 6"},
                 {offsetof(dfq_quantizer_options, axis), -7, "axis is -7"},
                 {offsetof(dfq_quantizer_options, input_gradient), 4, "input_gradient is 4"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM);
        memcpy((char *)&o + wrong[i].at, &wrong[i].value, sizeof wrong[i].value);
        REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_INVALID, wrong[i].text);
    }
    dfq_quantizer_options o = options(DFQ_QUANTIZER_UNIFORM);
    o.scale_grad_factor = -1;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_INVALID, "scale_grad_factor");
    o.scale_grad_factor = 1;
    o.zero_point_grad_factor = NAN;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_INVALID, "zero_point_grad_factor");
    o = options(DFQ_QUANTIZER_LOG);
    o.granularity = DFQ_GRANULARITY_AXIS;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_UNSUPPORTED, "one scale");
    o = options(DFQ_QUANTIZER_LOG);
    o.input_gradient = DFQ_INPUT_GRADIENT_CLIPPED;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_UNSUPPORTED, "does not clip");
    o = options(DFQ_QUANTIZER_WEIGHT);
    o.granularity = DFQ_GRANULARITY_HEAD_CHANNEL;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_UNSUPPORTED, "weights");
    o = options(DFQ_QUANTIZER_UNIFORM);
    o.input_gradient = DFQ_INPUT_GRADIENT_RANGE;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_UNSUPPORTED, "take auto");
    o = options(DFQ_QUANTIZER_ROW);
    o.granularity = DFQ_GRANULARITY_AXIS;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_UNSUPPORTED, "leave granularity");
    o = options(DFQ_QUANTIZER_UNIFORM);
    o.struct_size = 0;
    REFUSED(dfq_quantizer_create(ctx, &o, NULL, NULL, &q), DFQ_E_INVALID, "struct_size");
    ck_assert_int_eq(dfq_quantizer_create(NULL, NULL, NULL, NULL, &q), DFQ_E_INVALID);
    REFUSED(dfq_quantizer_create(ctx, NULL, NULL, NULL, NULL), DFQ_E_INVALID, "out_quantizer");
    ck_assert_ptr_null(q);
}
END_TEST

/* Scales, zero points and column factors that do not fit. */
START_TEST(test_scales)
{
    dfq_quantizer *q = NULL, *w;
    dfq_tensor *one = row(1, 1, 0), *two = row(2, 1, 1), *zero = row(1, 0, 0), *half;
    dfq_tensor *nan = row(1, NAN, 0), *eight = row(8, 1, 1), *t = NULL;
    half = make(DFQ_DTYPE_F16, 1, (int64_t[]){1}, 0, 0);
    REFUSED(dfq_quantizer_create(ctx, NULL, two, NULL, &q), DFQ_E_SHAPE, "must be one value");
    REFUSED(dfq_quantizer_create(ctx, NULL, zero, NULL, &q), DFQ_E_NUMERIC, "above 0");
    REFUSED(dfq_quantizer_create(ctx, NULL, nan, NULL, &q), DFQ_E_NUMERIC, "finite");
    REFUSED(dfq_quantizer_create(ctx, NULL, half, NULL, &q), DFQ_E_SHAPE, "F16");
    REFUSED(dfq_quantizer_create(ctx, NULL, one, two, &q), DFQ_E_SHAPE, "as the scales");
    REFUSED(dfq_quantizer_create(ctx, NULL, one, nan, &q), DFQ_E_NUMERIC, "zero points");
    REFUSED(dfq_quantizer_create(ctx, NULL, NULL, one, &q), DFQ_E_INVALID, "without scales");
    dfq_quantizer_options o = options(DFQ_QUANTIZER_WEIGHT);
    REFUSED(dfq_quantizer_create(ctx, &o, one, one, &q), DFQ_E_INVALID, "symmetric");
    o = options(DFQ_QUANTIZER_LOG);
    REFUSED(dfq_quantizer_create(ctx, &o, one, one, &q), DFQ_E_INVALID, "logarithmic");
    o = options(DFQ_QUANTIZER_UNIFORM);
    o.granularity = DFQ_GRANULARITY_HEAD_CHANNEL;
    REFUSED(dfq_quantizer_create(ctx, &o, two, NULL, &q), DFQ_E_SHAPE, "[H,d]");
    ck_assert_ptr_null(q);
    OK(dfq_quantizer_create(ctx, NULL, NULL, NULL, &q));
    REFUSED(dfq_quantizer_set_column_factors(q, eight), DFQ_E_UNSUPPORTED, "symmetric weights");
    o = options(DFQ_QUANTIZER_WEIGHT);
    o.granularity = DFQ_GRANULARITY_AXIS;
    OK(dfq_quantizer_create(ctx, &o, NULL, NULL, &w));
    REFUSED(dfq_quantizer_set_column_factors(w, x), DFQ_E_SHAPE, "[K]");
    REFUSED(dfq_quantizer_set_column_factors(w, nan), DFQ_E_NUMERIC, "column factors");
    OK(dfq_quantizer_set_column_factors(w, two));
    REFUSED(dfq_quantizer_apply(w, x, &t), DFQ_E_SHAPE, "columns");
    OK(dfq_quantizer_set_column_factors(w, eight));
    OK(dfq_quantizer_apply(w, x, &t));
    dfq_tensor_release(t);
    OK(dfq_quantizer_set_column_factors(w, NULL));
    OK(dfq_quantizer_set_scales(w, two, NULL));
    REFUSED(dfq_quantizer_apply(w, x, &t), DFQ_E_SHAPE, "number of scales");
    dfq_quantizer_release(q);
    dfq_quantizer_release(w);
    dfq_tensor *all[] = {one, two, zero, half, nan, eight};
    for (int i = 0; i < 6; i++) dfq_tensor_release(all[i]);
}
END_TEST

/* Tensors that do not fit, gradients that are not there, NULL one by one; outputs stay as they
 * were. */
START_TEST(test_tensors)
{
    dfq_quantizer *q, *log, *weight, *axis;
    dfq_quantizer_info unset = {.struct_size = 0};
    dfq_tensor *one = row(1, 1, 0), *empty = row(0, 0, 0), *codes, *other, *t = NULL, *nan;
    dfq_quantizer_options o = options(DFQ_QUANTIZER_LOG);
    OK(dfq_quantizer_create(ctx, NULL, one, NULL, &q));
    OK(dfq_quantizer_create(ctx, &o, one, NULL, &log));
    o = options(DFQ_QUANTIZER_WEIGHT);
    OK(dfq_quantizer_create(ctx, &o, NULL, NULL, &weight));
    o = options(DFQ_QUANTIZER_UNIFORM);
    o.granularity = DFQ_GRANULARITY_AXIS;
    o.axis = 2;
    OK(dfq_quantizer_create(ctx, &o, NULL, NULL, &axis));
    other = make(DFQ_DTYPE_F32, 2, (int64_t[]){8, 3}, 0, 1);
    nan = make(DFQ_DTYPE_F32, 2, (int64_t[]){3, 8}, NAN, 0);
    codes = make(DFQ_DTYPE_I32, 1, (int64_t[]){2}, 0, 0);
    ((int32_t *)dfq_tensor_get_data(codes))[1] = 8;
    REFUSED(dfq_quantizer_apply(q, codes, &t), DFQ_E_SHAPE, "I32");
    REFUSED(dfq_quantizer_apply(q, empty, &t), DFQ_E_SHAPE, "no values");
    REFUSED(dfq_quantizer_calibrate(axis, x, DFQ_CALIBRATION_MINMAX), DFQ_E_SHAPE, "axis");
    REFUSED(dfq_quantizer_calibrate(q, x, 2), DFQ_E_INVALID, "method is 2");
    REFUSED(dfq_quantizer_calibrate(q, nan, 0), DFQ_E_NUMERIC, "element 0");
    REFUSED(dfq_quantizer_calibrate(q, codes, 0), DFQ_E_SHAPE, "I32");
    REFUSED(dfq_quantizer_calibrate(log, x, DFQ_CALIBRATION_SEARCH), DFQ_E_UNSUPPORTED,
            "method search");
    REFUSED(dfq_quantizer_get_codes(q, nan, &t), DFQ_E_NUMERIC, "NaN");
    REFUSED(dfq_quantizer_dequantize(q, codes, &t), DFQ_E_INVALID, "outside of -8 to 7");
    REFUSED(dfq_quantizer_dequantize(q, x, &t), DFQ_E_SHAPE, "F32");
    ((int32_t *)dfq_tensor_get_data(codes))[1] = 7;
    REFUSED(dfq_quantizer_dequantize(weight, codes, &t), DFQ_E_INVALID, "no scales");
    REFUSED(dfq_quantizer_backward(q, x, other, &t, NULL, NULL), DFQ_E_SHAPE, "as the tensor");
    REFUSED(dfq_quantizer_backward(q, x, codes, &t, NULL, NULL), DFQ_E_SHAPE, "I32");
    REFUSED(dfq_quantizer_backward(log, x, x, NULL, &t, NULL), DFQ_E_UNSUPPORTED, "logarithmic");
    REFUSED(dfq_quantizer_backward(weight, x, x, NULL, &t, NULL), DFQ_E_UNSUPPORTED, "each tensor");
    OK(dfq_quantizer_calibrate(weight, x, DFQ_CALIBRATION_SEARCH));
    REFUSED(dfq_quantizer_backward(weight, x, x, NULL, NULL, &t), DFQ_E_UNSUPPORTED, "symmetric");
    OK(dfq_quantizer_backward(weight, x, x, NULL, NULL, NULL));
    ck_assert_int_eq(dfq_quantizer_apply(NULL, x, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_backward(NULL, x, x, &t, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_get_codes(NULL, x, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_dequantize(NULL, codes, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_calibrate(NULL, x, 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_set_scales(NULL, one, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_set_column_factors(NULL, one), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_get_info(NULL, &unset), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_get_scales(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_get_zero_points(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_quantizer_get_column_factors(NULL, &t), DFQ_E_INVALID);
    REFUSED(dfq_quantizer_apply(q, NULL, &t), DFQ_E_INVALID, "argument x");
    REFUSED(dfq_quantizer_apply(q, x, NULL), DFQ_E_INVALID, "out_y");
    REFUSED(dfq_quantizer_backward(q, NULL, x, &t, NULL, NULL), DFQ_E_INVALID, "argument x");
    REFUSED(dfq_quantizer_backward(q, x, NULL, &t, NULL, NULL), DFQ_E_INVALID, "grad_y");
    REFUSED(dfq_quantizer_get_codes(q, NULL, &t), DFQ_E_INVALID, "argument x");
    REFUSED(dfq_quantizer_get_codes(q, x, NULL), DFQ_E_INVALID, "out_codes");
    REFUSED(dfq_quantizer_dequantize(q, NULL, &t), DFQ_E_INVALID, "codes");
    REFUSED(dfq_quantizer_dequantize(q, codes, NULL), DFQ_E_INVALID, "out_x");
    REFUSED(dfq_quantizer_calibrate(q, NULL, 0), DFQ_E_INVALID, "argument x");
    REFUSED(dfq_quantizer_get_info(q, NULL), DFQ_E_INVALID, "out_info");
    REFUSED(dfq_quantizer_get_info(q, &unset), DFQ_E_INVALID, "struct_size");
    REFUSED(dfq_quantizer_get_scales(q, NULL), DFQ_E_INVALID, "out_scales");
    REFUSED(dfq_quantizer_get_zero_points(q, NULL), DFQ_E_INVALID, "out_zero_points");
    REFUSED(dfq_quantizer_get_column_factors(q, NULL), DFQ_E_INVALID, "out_factors");
    ck_assert_ptr_null(t);
    dfq_quantizer *quantizers[] = {q, log, weight, axis};
    dfq_tensor *tensors[] = {one, empty, codes, other, nan};
    for (int i = 0; i < 4; i++) dfq_quantizer_release(quantizers[i]);
    for (int i = 0; i < 5; i++) dfq_tensor_release(tensors[i]);
}
END_TEST

/* The same bits at any number of threads, sums of gradients included. */
START_TEST(test_threads)
{
    float sums[2], first[2][4];
    for (int k = 0; k < 2; k++) {
        dfq_context_options c;
        dfq_tensor *y, *ds, *one, *big;
        dfq_quantizer *q;
        dfq_context_release(ctx);
        dfq_context_options_init(&c, sizeof c);
        c.threads = k ? 3 : 1;
        ck_assert_int_eq(dfq_context_create(&c, &ctx), DFQ_OK);
        one = row(1, 0.37f, 0);
        big = row(100003, -2, 4e-5f);
        OK(dfq_quantizer_create(ctx, NULL, one, NULL, &q));
        OK(dfq_quantizer_apply(q, big, &y));
        OK(dfq_quantizer_backward(q, big, big, NULL, &ds, NULL));
        sums[k] = *(float *)dfq_tensor_get_data(ds);
        memcpy(first[k], (float *)dfq_tensor_get_data(y) + 50000, sizeof first[k]);
        dfq_tensor_release(y);
        dfq_tensor_release(ds);
        dfq_tensor_release(one);
        dfq_tensor_release(big);
        dfq_quantizer_release(q);
    }
    ck_assert_mem_eq(&sums[0], &sums[1], sizeof sums[0]);
    ck_assert_mem_eq(first[0], first[1], sizeof first[0]);
}
END_TEST

/* -- of a graph -------------------------------------------------------------------------------- */

START_TEST(test_graph)
{
    dfq_vit_options v;
    dfq_graph *g, *low;
    dfq_quantizer *q = NULL, *input;
    dfq_tensor *images, *weight = NULL, *codes = NULL, *back, *factors, *scales;
    dfq_quantizer_info info = {.struct_size = sizeof info}, own = info;
    dfq_quantize_options o;
    int32_t i = -1;
    dfq_quantize_options_init(&o, sizeof o);
    o.act_scale = DFQ_ACT_SCALE_TENSOR; /* scales to look at */
    dfq_vit_options_init(&v, sizeof v);
    v.image = 16;
    v.patch = 4;
    v.width = 24;
    v.depth = 1;
    v.heads = 2;
    v.hidden = 8;
    v.classes = 3;
    OK(dfq_graph_create(ctx, &v, &g));
    images = make(DFQ_DTYPE_F32, 4, (int64_t[]){2, 3, 16, 16}, -1, 1.0f / 768);
    OK(dfq_graph_quantize(g, images, &o, &low));
    OK(dfq_graph_find_quantizer(low, "blocks.0.attn.qkv.weight", &i));
    OK(dfq_graph_get_quantizer(low, i, &info));
    OK(dfq_graph_get_quantizer_handle(low, "blocks.0.attn.qkv.weight", &q));
    OK(dfq_quantizer_get_info(q, &own));
    ck_assert_str_eq(own.name, info.name);
    ck_assert(own.kind == info.kind && own.bits == info.bits && own.scales == 72);
    ck_assert(own.scale_min == info.scale_min && own.scale_max == info.scale_max);
    OK(dfq_graph_get_weight(low, "blocks.0.attn.qkv.weight", &weight));
    OK(dfq_graph_get_codes(low, "blocks.0.attn.qkv.weight", &codes));
    ck_assert_int_eq(dfq_tensor_get_dtype(codes), DFQ_DTYPE_I8);
    ck_assert_int_eq(dfq_tensor_get_dims(codes)[0], 72);
    OK(dfq_quantizer_dequantize(q, codes, &back));
    ck_assert_mem_eq(dfq_tensor_get_data(back), dfq_tensor_get_data(weight),
                     dfq_tensor_get_bytes(weight));
    /* the weight has taken the scales of its input into itself */
    OK(dfq_graph_get_quantizer_handle(low, "blocks.0.attn.qkv.input", &input));
    OK(dfq_quantizer_get_column_factors(q, &factors));
    OK(dfq_quantizer_get_scales(input, &scales));
    ck_assert_int_eq(dfq_tensor_get_bytes(scales), 24 * sizeof(float));
    ck_assert_mem_eq(dfq_tensor_get_data(factors), dfq_tensor_get_data(scales), 24 * sizeof(float));
    dfq_graph_release(low); /* handles live on */
    dfq_quantizer_release(input);
    dfq_tensor *all[] = {weight, codes, back, factors, scales};
    for (int k = 0; k < 5; k++) dfq_tensor_release(all[k]);
    OK(dfq_quantizer_get_info(q, &own));
    ck_assert_str_eq(own.name, "blocks.0.attn.qkv.weight");
    dfq_quantizer_release(q);
    OK(dfq_graph_quantize(g, images, NULL, &low));
    weight = codes = NULL;
    q = NULL;
    i = -1;
    REFUSED(dfq_graph_find_quantizer(low, "blocks.0.attn.qvk.weight", &i), DFQ_E_INVALID,
            "similar names: blocks.0.attn.qkv.weight");
    REFUSED(dfq_graph_get_quantizer_handle(low, "x", &q), DFQ_E_INVALID, "similar names");
    REFUSED(dfq_graph_get_weight(low, "head.input", &weight), DFQ_E_INVALID, "of a weight");
    REFUSED(dfq_graph_get_codes(low, "head.input", &codes), DFQ_E_INVALID, "of a weight");
    REFUSED(dfq_graph_get_codes(g, "head.weight", &codes), DFQ_E_INVALID, "not quantized");
    ck_assert_int_eq(dfq_graph_find_quantizer(NULL, "x", &i), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_quantizer_handle(NULL, "x", &q), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_weight(NULL, "x", &weight), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_codes(NULL, "x", &codes), DFQ_E_INVALID);
    REFUSED(dfq_graph_find_quantizer(low, NULL, &i), DFQ_E_INVALID, "argument name");
    REFUSED(dfq_graph_find_quantizer(low, "head.input", NULL), DFQ_E_INVALID, "out_index");
    REFUSED(dfq_graph_get_quantizer_handle(low, NULL, &q), DFQ_E_INVALID, "argument name");
    REFUSED(dfq_graph_get_quantizer_handle(low, "head.input", NULL), DFQ_E_INVALID,
            "out_quantizer");
    REFUSED(dfq_graph_get_weight(low, NULL, &weight), DFQ_E_INVALID, "argument name");
    REFUSED(dfq_graph_get_weight(low, "head.weight", NULL), DFQ_E_INVALID, "out_weight");
    REFUSED(dfq_graph_get_codes(low, NULL, &codes), DFQ_E_INVALID, "argument name");
    REFUSED(dfq_graph_get_codes(low, "head.weight", NULL), DFQ_E_INVALID, "out_codes");
    ck_assert(weight == NULL && codes == NULL && q == NULL && i == -1);
    dfq_tensor_release(images);
    dfq_graph_release(g);
    dfq_graph_release(low);
}
END_TEST

TCase *dfqt_api_quantizer_case(void)
{
    TCase *c = tcase_create("quantizer");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_life);
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_scales);
    tcase_add_test(c, test_tensors);
    tcase_add_test(c, test_threads);
    tcase_add_test(c, test_graph);
    return c;
}
