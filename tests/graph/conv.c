/* Convolution through the graph: PyTorch's numbers, and the same bits at any thread count. */
#include "graph/cases.h"
#include "graph/golden.h"

static const char *const cases[] = {"plain",  "stride",    "dilated",          "point",
                                    "oblong", "depthwise", "depthwise_stride", "depthwise_dilated"};
enum { N_CASES = sizeof cases / sizeof *cases };

START_TEST(test_golden)
{
    const char *name = cases[_i];
    golden st = dfqt_golden("conv.safetensors");
    rig r = dfqt_rig(1, dfqt_golden_tensor(&st, name, "x")->dims[0], 1);
    const int32_t *a = dfqt_golden_tensor(&st, name, "attr")->data;
    dfqi_conv_attr attr = {a[0], a[1], a[2], a[3], 0};
    dfqi_id in[3] = {dfqt_golden_input(&r, &st, name, "x", 1),
                     dfqt_golden_input(&r, &st, name, "w", 0),
                     dfqt_golden_input(&r, &st, name, "b", 0)};
    dfqi_id y = dfqi_conv(r.g, name, in[0], in[1], in[2], &attr), d[3];
    ck_assert_msg(y >= 0, "%s", r.ctx->error);
    dfqi_id dy = dfqt_golden_input(&r, &st, name, "dy", 1);
    ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &dy, 3, in, d), DFQ_OK);
    dfqi_graph_keep(r.g, y);
    for (int i = 0; i < 3; i++) dfqi_graph_keep(r.g, d[i]);
    dfqt_start(&r);
    dfqt_run(&r);
    dfqt_golden_check(&r, y, &st, name, "y", 1e-6);
    dfqt_golden_check(&r, d[0], &st, name, "dx", 1e-6);
    dfqt_golden_check(&r, d[1], &st, name, "dw", 1e-6);
    dfqt_golden_check(&r, d[2], &st, name, "db", 1e-6);
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&st);
}
END_TEST

/* Three layers, dense, by tiles, depthwise, with more images than there are parts. */
START_TEST(test_threads)
{
    enum { WRT = 5, KEPT = WRT + 1 };
    rig first = {0};
    for (int32_t threads = 1; threads <= 3; threads++) {
        rig r = dfqt_rig(threads, 37, 5);
        dfqi_id in[WRT] = {dfqt_input(&r, 1, 3, (int64_t[]){9, 8, 5}, -1, 1),
                           dfqt_input(&r, 0, 4, (int64_t[]){48, 5, 3, 3}, -1, 1),
                           dfqt_input(&r, 0, 1, (int64_t[]){48}, -1, 1),
                           dfqt_input(&r, 0, 4, (int64_t[]){48, 1, 3, 3}, -1, 1),
                           dfqt_input(&r, 0, 4, (int64_t[]){48, 48, 3, 3}, -1, 1)};
        dfqi_id y = dfqi_conv(r.g, "a", in[0], in[1], in[2], &(dfqi_conv_attr){1, 1, 1, 1, 0});
        y = dfqi_conv(r.g, "b", y, in[4], DFQI_NONE, &(dfqi_conv_attr){1, 1, 1, 1, 0});
        y = dfqi_conv(r.g, "c", y, in[3], DFQI_NONE, &(dfqi_conv_attr){2, 1, 1, 48, 0});
        dfqi_id dy = dfqt_seed(&r, y), d[WRT];
        ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &dy, WRT, in, d), DFQ_OK);
        const dfqi_id kept[KEPT] = {y, d[0], d[1], d[2], d[3], d[4]};
        for (int i = 0; i < KEPT; i++) dfqi_graph_keep(r.g, kept[i]);
        dfqt_start(&r);
        dfqt_run(&r);
        if (threads == 1) {
            first = r;
            continue;
        }
        for (int i = 0; i < KEPT; i++)
            ck_assert_mem_eq(dfqi_exec_data(r.e, kept[i]), dfqi_exec_data(first.e, kept[i]),
                             (size_t)dfqt_count(&r, kept[i]) * sizeof(float));
        dfqt_rig_fini(&r);
    }
    dfqt_rig_fini(&first);
}
END_TEST

TCase *dfqt_conv_case(void)
{
    TCase *c = tcase_create("conv");
    tcase_add_loop_test(c, test_golden, 0, N_CASES);
    tcase_add_test(c, test_threads);
    return c;
}
