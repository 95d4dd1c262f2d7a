/* The public face: one whole life of a job through dfq/generator.h. */
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
    dfq_generator *gen, *again;
    dfq_generator_options o;
    dfq_generator_cost cost = {.struct_size = sizeof cost};
    dfq_tensor *x, *y, *losses, *before, *after, *sim, *x2, *y2;
    int32_t finished = -1;
    ck_assert_int_eq(dfqt_random_model(ctx, &g), DFQ_OK);
    dfq_generator_options_init(&o, sizeof o);
    ck_assert_int_eq(o.images, 256);
    ck_assert_int_eq(o.batch, 16);
    ck_assert_int_eq(o.iterations, 100);
    ck_assert_float_eq(o.tv_weight, 2.5e-5f);
    o.images = 3;
    o.batch = 2;
    o.iterations = 4;
    ck_assert_int_eq(dfq_generator_create(g, &o, &gen), DFQ_OK);
    ck_assert_int_eq(dfq_generator_estimate(gen, 0, &cost), DFQ_OK);
    ck_assert(isnan(cost.seconds));
    ck_assert_int_eq(cost.units, 8);
    ck_assert_int_eq(dfq_generator_get_images(gen, &x), DFQ_E_INVALID);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(dfq_generator_step(gen, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    ck_assert_int_eq(dfq_generator_save_checkpoint(gen, path), DFQ_OK);
    ck_assert_int_eq(dfq_generator_run(gen), DFQ_OK);
    ck_assert_int_eq(dfq_generator_get_images(gen, &x), DFQ_OK);
    ck_assert_int_eq(dfq_generator_get_labels(gen, &y), DFQ_OK);
    ck_assert_int_eq(dfq_generator_create(g, &o, &again), DFQ_OK);
    ck_assert_int_eq(dfq_generator_load_checkpoint(again, path), DFQ_OK);
    ck_assert_int_eq(dfq_generator_run(again), DFQ_OK);
    ck_assert_int_eq(dfq_generator_get_images(again, &x2), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(x2), dfq_tensor_get_bytes(x));
    dfq_tensor_release(x2);
    ck_assert_int_eq(dfq_generator_get_losses(gen, &losses), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(losses)[0], 8);
    ck_assert_int_eq(dfq_tensor_get_dims(losses)[1], DFQ_LOSS_COUNT);
    ck_assert_int_eq(dfq_generator_get_similarity(gen, 0, &before, &after), DFQ_OK);
    ck_assert_int_eq(dfq_images_get_similarity(g, x, &sim), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(sim), dfq_tensor_get_data(after), 2 * sizeof(float));
    ck_assert_int_eq(dfq_generator_save(gen, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfq_images_save(g, x, y, folder, 0), DFQ_E_EXISTS);
    ck_assert_int_eq(dfq_images_save(g, x, y, folder, 1), DFQ_OK);
    ck_assert_int_eq(dfq_images_load(g, folder, &x2, &y2), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(x2), dfq_tensor_get_bytes(x));
    ck_assert_mem_eq(dfq_tensor_get_data(y), dfq_tensor_get_data(y2), dfq_tensor_get_bytes(y));
    snprintf(path, sizeof path, "%s/attention.png", folder);
    ck_assert_int_eq(dfq_images_save_attention(g, x, 2, path), DFQ_OK);
    ck_assert_int_eq(dfq_images_save_attention(g, x, 3, path), DFQ_E_INVALID);
    dfq_tensor *all[] = {x, y, x2, y2, losses, before, after, sim};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) dfq_tensor_release(all[i]);
    dfq_generator_release(again);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
    dfq_generator_release(gen); /* the last handle: it kept graph and context */
    dfqt_remove(folder);
}
END_TEST

START_TEST(test_bad_arguments)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g;
    dfq_generator *gen = NULL;
    dfq_tensor *t = NULL;
    dfq_generator_options o;
    dfq_generator_cost cost = {.struct_size = 0};
    struct {
        dfq_generator_options o;
        uint64_t more;
    } newer;
    ck_assert_int_eq(dfqt_random_model(ctx, &g), DFQ_OK);
    ck_assert_int_eq(dfq_generator_create(NULL, NULL, &gen), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_create(g, NULL, NULL), DFQ_E_INVALID);
    dfq_generator_options_init(&o, sizeof o);
    o.kind = 9;
    ck_assert_int_eq(dfq_generator_create(g, &o, &gen), DFQ_E_INVALID);
    dfq_generator_options_init(&o, sizeof o);
    o.distance = -1;
    ck_assert_int_eq(dfq_generator_create(g, &o, &gen), DFQ_E_INVALID);
    dfq_generator_options_init(&newer.o, sizeof newer);
    newer.more = 1;
    ck_assert_int_eq(dfq_generator_create(g, &newer.o, &gen), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(gen);
    ck_assert_int_eq(dfq_generator_create(g, NULL, &gen), DFQ_OK);
    ck_assert_int_eq(dfq_generator_step(gen, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_step(NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_run(NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_get_losses(gen, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_get_similarity(gen, -1, &t, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_estimate(gen, 0, &cost), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_generator_save(gen, "nowhere", 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_images_save(g, NULL, NULL, "nowhere", 0), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    dfq_generator_release(NULL);
    dfq_generator_release(gen);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_api_case(void)
{
    TCase *t = tcase_create("api");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_whole_life);
    tcase_add_test(t, test_bad_arguments);
    return t;
}
