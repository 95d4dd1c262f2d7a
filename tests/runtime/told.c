/* What a runtime tells of itself: its outputs, its kinds of steps, the machine, and how many images
 * it classifies right. */
#include <string.h>

#include <dfq/graph.h>

#include "runtime/cases.h"

enum { IMAGES = 6 };

static dfq_context *ctx;
static dfq_graph *g;

static void start(int network)
{
    ctx = dfqt_context(2);
    g = dfqt_network(ctx, network);
}

static void stop(void)
{
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}

/* Kinds of steps together have the products of the whole network; time is measured on request. */
START_TEST(test_parts)
{
    float logits[IMAGES * 5];
    dfq_runtime_options o;
    dfq_runtime *rt;
    dfq_runtime_info info = {.struct_size = sizeof info};
    start(DFQT_LOW_ROW);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = IMAGES;
    o.profile = _i;
    OK(ctx, dfq_runtime_create(g, &o, &rt));
    OK(ctx, dfq_runtime_get_info(rt, &info));
    dfqt_run_images(rt, x, 0, IMAGES, logits);
    int64_t macs = 0, integer = 0;
    double seconds = 0;
    int32_t n = dfq_runtime_get_part_count(rt);
    ck_assert_int_gt(n, 3);
    for (int32_t i = 0; i < n; i++) {
        dfq_runtime_part part = {.struct_size = sizeof part};
        OK(ctx, dfq_runtime_get_part(rt, i, &part));
        ck_assert(part.name[0] != '\0' && part.seconds >= 0);
        macs += part.macs;
        integer += part.integer ? part.macs : 0;
        seconds += part.seconds;
    }
    ck_assert_int_eq(macs, info.macs);
    ck_assert_int_eq(integer, info.integer_macs);
    ck_assert_int_eq(seconds > 0, _i);
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    stop();
}
END_TEST

START_TEST(test_outputs)
{
    static const char *const probes[] = {"blocks.0", "blocks.0.attn.map"};
    start(DFQI_FAMILY_VIT);
    for (int32_t n = 0; n <= 2; n++) {
        dfq_runtime *rt = dfqt_runtime(g, 1, n, probes);
        dfq_runtime_output out = {.struct_size = sizeof out};
        ck_assert_int_eq(dfq_runtime_get_output_count(rt), 1 + n);
        OK(ctx, dfq_runtime_get_output(rt, n, &out));
        ck_assert_str_eq(out.name, n ? probes[n - 1] : "logits");
        dfq_runtime_release(rt);
    }
    stop();
}
END_TEST

/* Images of the caller, every other one labelled with its class: the graph finds the same. */
START_TEST(test_evaluate)
{
    int32_t labels[IMAGES];
    float logits[IMAGES * 5];
    dfq_accuracy have = {.struct_size = sizeof have}, want = {.struct_size = sizeof want};
    dfq_dataset *data;
    start(_i);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    dfq_runtime *rt = dfqt_runtime(g, 4, 0, NULL);
    dfq_runtime_info info = {.struct_size = sizeof info};
    OK(ctx, dfq_runtime_get_info(rt, &info));
    for (int i = 0; i < IMAGES; i++) {
        dfqt_run_images(rt, x, i, 1, logits);
        int32_t best = 0;
        for (int32_t k = 1; k < info.classes; k++) best = logits[k] > logits[best] ? k : best;
        labels[i] = i % 2 ? best : (best + 1) % (int32_t)info.classes;
    }
    dfq_dataset_source source = {.struct_size = sizeof source,
                                 .pixels = DFQ_PIXELS_F32_NCHW,
                                 .count = IMAGES,
                                 .height = (int32_t)info.image,
                                 .width = (int32_t)info.image,
                                 .images = x->data,
                                 .labels = labels};
    OK(ctx, dfq_dataset_create(ctx, &source, &data));
    OK(ctx, dfq_runtime_evaluate(rt, data, 0, 0, &have));
    OK(ctx, dfq_graph_evaluate(g, data, 0, 0, &want));
    ck_assert(have.n == IMAGES && have.correct == IMAGES / 2 && have.not_finite == 0);
    ck_assert_mem_eq(&have, &want, sizeof have);
    OK(ctx, dfq_runtime_evaluate(rt, data, 1, 3, &have));
    ck_assert(have.n == 3 && have.correct == 2);
    ck_assert_int_eq(dfq_runtime_evaluate(rt, data, 4, 3, &have), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "first is 4 and n is 3"));
    dfq_context_cancel(ctx);
    ck_assert_int_eq(dfq_runtime_evaluate(rt, data, 0, 0, &have), DFQ_E_CANCELLED);
    dfq_dataset_release(data);
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    stop();
}
END_TEST

/* With scales of rows, and of their groups, what quantizes and what adds is part of other steps. */
START_TEST(test_fused)
{
    start(_i ? DFQT_LOW_ROW_GROUPS : DFQT_LOW_ROW);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL);
    for (int32_t i = 0; i < dfq_runtime_get_part_count(rt); i++) {
        dfq_runtime_part part = {.struct_size = sizeof part};
        OK(ctx, dfq_runtime_get_part(rt, i, &part));
        ck_assert_str_ne(part.name, "add");
    }
    dfq_runtime_release(rt);
    stop();
}
END_TEST

/* More than one operation a microsecond, less than a supercomputer. */
START_TEST(test_peak)
{
    double of_floats = -1, of_codes = -1;
    start(DFQT_LOW_ROW);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL);
    OK(ctx, dfq_runtime_measure_peak(rt, &of_floats, &of_codes));
    ck_assert(of_floats == 0 || (of_floats > 1e6 && of_floats < 1e16));
    ck_assert(of_codes == 0 || (of_codes > 1e6 && of_codes < 1e16));
    dfq_runtime_release(rt);
    stop();
}
END_TEST

START_TEST(test_refused)
{
    dfq_runtime_part part = {.struct_size = sizeof part};
    dfq_runtime_output out = {.struct_size = sizeof out};
    dfq_accuracy a = {.struct_size = sizeof a};
    double peak;
    start(DFQI_FAMILY_VIT);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL);
    ck_assert_int_eq(dfq_runtime_get_output_count(NULL), 0);
    ck_assert_int_eq(dfq_runtime_get_part_count(NULL), 0);
    ck_assert_int_eq(dfq_runtime_get_part(NULL, 0, &part), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_get_part(rt, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_get_part(rt, -1, &part), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_get_part(rt, dfq_runtime_get_part_count(rt), &part),
                     DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_get_output(rt, 1, &out), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_evaluate(rt, NULL, 0, 0, &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_evaluate(NULL, NULL, 0, 0, &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_measure_peak(rt, NULL, &peak), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_runtime_measure_peak(NULL, &peak, &peak), DFQ_E_INVALID);
    dfq_runtime_release(rt);
    stop();
}
END_TEST

TCase *dfqt_told_case(void)
{
    TCase *c = tcase_create("told");
    tcase_add_loop_test(c, test_parts, 0, 2);
    tcase_add_test(c, test_outputs);
    tcase_add_loop_test(c, test_evaluate, DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET + 1);
    tcase_add_loop_test(c, test_fused, 0, 2);
    tcase_add_test(c, test_peak);
    tcase_add_test(c, test_refused);
    return c;
}
