/* The public face: one whole life of a job through dfq/synthesizer.h. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "synth/cases.h"

START_TEST(test_whole_life)
{
    char folder[64], path[128];
    dfqt_folder(folder);
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g;
    dfq_synthesizer *synth, *again;
    dfq_synthesizer_options o;
    dfq_synthesizer_cost cost = {.struct_size = sizeof cost};
    dfq_tensor *x, *y, *losses, *before, *after, *sim, *x2, *y2;
    int32_t finished = -1;
    ck_assert_int_eq(dfqt_random_model(ctx, &g), DFQ_OK);
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NULL);
    ck_assert_int_eq(o.images, 256);
    ck_assert_int_eq(o.batch, 16);
    ck_assert_int_eq(o.iterations, 100);
    ck_assert_float_eq(o.tv_weight, 2.5e-5f);
    o.images = 3;
    o.batch = 2;
    o.iterations = 4;
    ck_assert_int_eq(dfq_synthesizer_create(g, &o, &synth), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_estimate(synth, 0, &cost), DFQ_OK);
    ck_assert(isnan(cost.seconds));
    ck_assert_int_eq(cost.units, 8);
    ck_assert_int_eq(dfq_synthesizer_get_images(synth, &x), DFQ_E_INVALID);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(dfq_synthesizer_step(synth, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    ck_assert_int_eq(dfq_synthesizer_save_checkpoint(synth, path), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_run(synth), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_get_images(synth, &x), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_get_labels(synth, &y), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_create(g, &o, &again), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_load_checkpoint(again, path), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_run(again), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_get_images(again, &x2), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(x2), dfq_tensor_get_bytes(x));
    dfq_tensor_release(x2);
    ck_assert_int_eq(dfq_synthesizer_get_losses(synth, &losses), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(losses)[0], 8);
    ck_assert_int_eq(dfq_tensor_get_dims(losses)[1], DFQ_LOSS_COUNT);
    ck_assert_int_eq(dfq_synthesizer_get_similarity(synth, 0, &before, &after), DFQ_OK);
    ck_assert_int_eq(dfq_graph_get_head_similarity(g, x, &sim), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(sim), dfq_tensor_get_data(after), 2 * sizeof(float));
    ck_assert_int_eq(dfq_synthesizer_save(synth, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfq_image_set_save_tensors(g, x, y, folder, 0), DFQ_E_EXISTS);
    ck_assert_int_eq(dfq_image_set_save_tensors(g, x, y, folder, 1), DFQ_OK);
    ck_assert_int_eq(dfq_image_set_load_tensors(g, folder, &x2, &y2), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(x2), dfq_tensor_get_bytes(x));
    ck_assert_mem_eq(dfq_tensor_get_data(y), dfq_tensor_get_data(y2), dfq_tensor_get_bytes(y));
    snprintf(path, sizeof path, "%s/attention.png", folder);
    ck_assert_int_eq(dfq_graph_save_attention(g, x, 2, path), DFQ_OK);
    ck_assert_int_eq(dfq_graph_save_attention(g, x, 3, path), DFQ_E_INVALID);
    dfq_tensor *all[] = {x, y, x2, y2, losses, before, after, sim};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) dfq_tensor_release(all[i]);
    dfq_synthesizer_release(again);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
    dfq_synthesizer_release(synth); /* the last handle: it kept graph and context */
    dfqt_remove(folder);
}
END_TEST

START_TEST(test_bad_arguments)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g;
    dfq_synthesizer *synth = NULL;
    dfq_tensor *t = NULL;
    dfq_synthesizer_options o;
    dfq_synthesizer_cost cost = {.struct_size = 0};
    struct {
        dfq_synthesizer_options o;
        uint64_t more;
    } newer;
    ck_assert_int_eq(dfqt_random_model(ctx, &g), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_create(NULL, NULL, &synth), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_create(g, NULL, NULL), DFQ_E_INVALID);
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NULL);
    o.kind = 9;
    ck_assert_int_eq(dfq_synthesizer_create(g, &o, &synth), DFQ_E_INVALID);
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NULL);
    o.distance = -1;
    ck_assert_int_eq(dfq_synthesizer_create(g, &o, &synth), DFQ_E_INVALID);
    dfq_synthesizer_options_init(&newer.o, sizeof newer, DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED,
                                 NULL);
    newer.more = 1;
    ck_assert_int_eq(dfq_synthesizer_create(g, &newer.o, &synth), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(synth);
    ck_assert_int_eq(dfq_synthesizer_create(g, NULL, &synth), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_step(synth, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_step(NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_run(NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_get_losses(synth, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_get_similarity(synth, -1, &t, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_estimate(synth, 0, &cost), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_save(synth, "nowhere", 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_save_tensors(g, NULL, NULL, "nowhere", 0), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    dfq_synthesizer_release(NULL);
    dfq_synthesizer_release(synth);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Defaults depend on kind, mode and network, as those of the program do. */
START_TEST(test_recipes)
{
    enum { TRANSFORMER, SMALL, LARGE, NONE }; /* networks: of 16, 8 and 80 pixels */
    static const struct {
        int32_t kind, mode, network, made;
        int64_t batch, iterations;
        int32_t multi_scale;
    } rows[] = {
        {DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NONE, DFQ_SYNTHESIZER_AUTO, 16, 100, 1},
        {DFQ_SYNTHESIZER_AUTO, DFQ_MODE_PARITY, NONE, DFQ_SYNTHESIZER_AUTO, 16, 2000, 0},
        {DFQ_SYNTHESIZER_AUTO, DFQ_MODE_PARITY, TRANSFORMER, DFQ_SYNTHESIZER_ATTENTION, 16, 2000,
         0},
        {DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, SMALL, DFQ_SYNTHESIZER_BNS, 16, 100, 1},
        {DFQ_SYNTHESIZER_AUTO, DFQ_MODE_PARITY, LARGE, DFQ_SYNTHESIZER_BNS, 16, 500, 0},
        {DFQ_SYNTHESIZER_PSE, DFQ_MODE_IMPROVED, TRANSFORMER, DFQ_SYNTHESIZER_PSE, 16, 100, 1},
        {DFQ_SYNTHESIZER_PSE, DFQ_MODE_PARITY, TRANSFORMER, DFQ_SYNTHESIZER_PSE, 16, 1000, 0},
        {DFQ_SYNTHESIZER_PRIOR, DFQ_MODE_PARITY, SMALL, DFQ_SYNTHESIZER_PRIOR, 16, 2000, 0},
        {DFQ_SYNTHESIZER_GDFQ, DFQ_MODE_IMPROVED, SMALL, DFQ_SYNTHESIZER_GDFQ, 200, 1000, 1},
        {DFQ_SYNTHESIZER_ARC, DFQ_MODE_PARITY, LARGE, DFQ_SYNTHESIZER_ARC, 16, 1000, 0},
        {DFQ_SYNTHESIZER_QIMERA, DFQ_MODE_IMPROVED, NONE, DFQ_SYNTHESIZER_QIMERA, 200, 1000, 1}};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *networks[4] = {NULL};
    ck_assert_int_eq(dfqt_random_model(ctx, &networks[TRANSFORMER]), DFQ_OK);
    ck_assert_int_eq(dfqt_random_cnn(ctx, &networks[SMALL]), DFQ_OK);
    ck_assert_int_eq(dfqt_random_cnn(ctx, &networks[LARGE]), DFQ_OK);
    networks[LARGE]->net.arch.image = dfqi_square(80); /* of which options alone see anything */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfq_synthesizer_options o;
        dfq_synthesizer_options_init(&o, sizeof o, rows[i].kind, rows[i].mode,
                                     networks[rows[i].network]);
        ck_assert_msg(o.kind == rows[i].made && o.batch == rows[i].batch &&
                          o.iterations == rows[i].iterations &&
                          o.multi_scale == rows[i].multi_scale && o.images == 256,
                      "row %d: kind %d, batch %d, %d iterations, multi-scale %d", (int)i,
                      (int)o.kind, (int)o.batch, (int)o.iterations, (int)o.multi_scale);
    }
    for (int i = 0; i < 4; i++) dfq_graph_release(networks[i]);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_api_case(void)
{
    TCase *t = tcase_create("api");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_whole_life);
    tcase_add_test(t, test_bad_arguments);
    tcase_add_test(t, test_recipes);
    return t;
}
