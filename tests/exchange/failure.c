/* What is refused, and memory that is not there. */
#include <string.h>
#include <unistd.h>

#include "exchange/cases.h"
#include "exchange/onnx_priv.h"
#include "graph/ops.h"
#include "quant/cases.h"
#include "support/fail_alloc.h"

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_model *m = NULL;
    dfq_tensor *bytes = NULL;
    dfqi_onnx_info info;
    const dfqi_st_target to = {.bytes = &bytes};
    dfq_status status = dfqt_family_new(ctx, *(const int *)arg, &m);
    if (status == DFQ_OK) status = dfqi_onnx_write(m, &(dfqi_onnx_options){0}, &to, &info);
    dfq_tensor_release(bytes);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_out_of_memory)
{
    int family = _i ? DFQI_FAMILY_RESNET : DFQI_FAMILY_VIT;
    fail_alloc_sweep(scenario, &family, 1);
}
END_TEST

/* Of a quantized network, which is made once: each allocation of the export fails, and all memory
 * that it took comes back. */
static void sweep(dfqi_model *m, fail_alloc *fa, int32_t int4)
{
    const dfqi_onnx_options o = {.int4 = int4};
    dfq_status status = DFQ_E_NOMEM;
    for (int64_t n = 0; status == DFQ_E_NOMEM && n < 100000; n++) {
        int64_t live = fa->live_blocks, end = fa->calls + n;
        dfq_tensor *bytes = NULL;
        dfqi_onnx_info info;
        const dfqi_st_target to = {.bytes = &bytes};
        fa->fail_at = end;
        status = dfqi_onnx_write(m, &o, &to, &info);
        ck_assert_int_eq(status, fa->calls > end ? DFQ_E_NOMEM : DFQ_OK);
        fa->fail_at = -1;
        dfq_tensor_release(bytes);
        ck_assert_int_eq(fa->live_blocks, live);
    }
    ck_assert_int_eq(status, DFQ_OK);
}

START_TEST(test_out_of_memory_quantized)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx;
    dfqi_model *m, *low;
    dfqi_grids grids = {.act_scale = _i == 1 ? DFQI_ACT_SCALE_ROW : DFQI_ACT_SCALE_TENSOR};
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_teacher(ctx, &m), DFQ_OK);
    if (_i < 3)
        ck_assert_int_eq(dfqt_quantize_with(m, _i < 2 ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY,
                                            (dfqi_widths){4, 4, 0}, grids, &low),
                         DFQ_OK);
    dfqi_model_release(m);
    if (_i == 3) {
        m = dfqt_family(ctx, DFQI_FAMILY_RESNET);
        low = dfqt_family_low(m);
        dfqi_model_release(m);
    }
    sweep(low, &fa, 0);
    sweep(low, &fa, 1);
    dfqi_model_release(low);
    dfq_context_release(ctx);
    ck_assert_int_eq(fa.live_blocks, 0);
}
END_TEST

START_TEST(test_opset_out_of_range)
{
    static const int32_t wrong[] = {-1, 1, 16, 26};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfq_tensor *bytes = NULL;
    const dfqi_st_target to = {.bytes = &bytes};
    dfqi_onnx_info info;
    const dfqi_onnx_options o = {.opset = wrong[_i]};
    ck_assert_int_eq(dfqi_onnx_write(g, &o, &to, &info), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "must be 17 to 25"));
    ck_assert_ptr_null(bytes);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* An op that no emitter writes is named, and so is the layer that it stands behind. */
START_TEST(test_op_without_emitter)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *m = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfqi_graph *g;
    dfqi_onnx_info info;
    dfq_tensor *bytes = NULL;
    const dfqi_st_target to = {.bytes = &bytes};
    const dfqi_onnx_options o = {.opset = 20};
    ck_assert_int_eq(dfqi_graph_new(ctx, 1, &g), DFQ_OK);
    dfqi_id x = dfqi_graph_input(g, "image", 1, 3, (int64_t[]){4, 4, 4});
    dfqi_id y = dfqi_upsample(g, dfqi_relu(g, "first", x, 1.0f), 0);
    ck_assert_int_eq(dfqi_onnx_write_graph(m, g, x, y, &o, &to, &info), DFQ_E_UNSUPPORTED);
    ck_assert_str_eq(ctx->error, "vit_random: op upsample behind first cannot be written as ONNX");
    ck_assert_ptr_null(bytes);
    dfqi_graph_free(g);
    dfq_graph_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* 1.5 GB fit, 3 do not; the bytes are never looked at. */
START_TEST(test_more_than_2_gb)
{
    dfq_context *ctx = dfqt_context(1);
    const int64_t dims[2] = {3 << 14, 1 << 13};
    static const float none;
    dfqi_onnx e = {.ctx = ctx, .label = "", .status = DFQ_OK};
    dfqi_arena_init(&e.mem, ctx);
    const int32_t type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    ck_assert_ptr_nonnull(dfqi_onnx_tensor(&e, "first", type, 2, dims, &none));
    ck_assert_ptr_null(dfqi_onnx_tensor(&e, "second", type, 2, dims, &none));
    ck_assert_int_eq(e.status, DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, "second: the weights up to this one") == ctx->error, "%s",
                  ctx->error);
    dfqi_arena_fini(&e.mem);
    dfq_context_release(ctx);
}
END_TEST

/* Nothing is left where a file cannot be written. */
START_TEST(test_file)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfqi_onnx_info info;
    char path[] = "/tmp/dfq-exchange-XXXXXX", file[64];
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(file, sizeof file, "%s/no/net.onnx", path);
    dfqi_st_target to = {.path = file};
    ck_assert_int_eq(dfqi_onnx_write(g, &(dfqi_onnx_options){0}, &to, &info), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(ctx->error, "no/net.onnx"));
    snprintf(file, sizeof file, "%s/net.onnx", path);
    ck_assert_int_eq(dfqi_onnx_write(g, &(dfqi_onnx_options){0}, &to, &info), DFQ_OK);
    FILE *f = fopen(file, "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    ck_assert_int_eq(ftell(f), info.bytes);
    fclose(f);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rmdir(path), 0); /* it is empty */
    to.path = "/dev/full";
    ck_assert_int_eq(dfqi_onnx_write(g, &(dfqi_onnx_options){0}, &to, &info), DFQ_E_IO);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_loop_test(c, test_out_of_memory, 0, 2);
    tcase_add_loop_test(c, test_out_of_memory_quantized, 0, 4);
    tcase_add_loop_test(c, test_opset_out_of_range, 0, 4);
    tcase_add_test(c, test_op_without_emitter);
    tcase_add_test(c, test_more_than_2_gb);
    tcase_add_test(c, test_file);
    return c;
}
