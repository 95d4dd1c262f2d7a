/* Which images and weights the stages see, at which rates, and which paths are judged. */
#include <math.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/coexplore/coexplore_priv.h"
#include "explore/coexplore_scene.h"
#include "explore/solver/solver_priv.h"
#include "tensor/tensor.h"

static dfqi_coexplore *create(dfq_context *ctx, const dfqt_scene *s)
{
    dfqi_coexplore *e;
    ck_assert_int_eq(dfqt_scene_create(ctx, s, &e), DFQ_OK);
    return e;
}

/* The images held out are NaN: steps of weights do not notice, the judged paths do. */
START_TEST(looks_are_at_images_that_no_step_sees)
{
    dfqt_scene s;
    int32_t finished;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    s.o.warmup_steps = 20;
    dfqi_coexplore *e = create(ctx, &s);
    size_t pixels = 3 * 8 * 8;
    ck_assert_int_eq(e->learn.n + e->held.n, N);
    ck_assert_ptr_eq(e->held.images, e->learn.images + (size_t)e->learn.n * pixels);
    float *held = e->images + (size_t)e->learn.n * pixels;
    for (size_t i = 0; i < (size_t)e->held.n * pixels; i++) held[i] = NAN;
    for (int i = 0; i < 20 + 2; i++)
        ck_assert_msg(dfqi_coexplore_step(e, &finished) == DFQ_OK, "%s",
                      dfq_context_get_error(ctx));
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_E_NUMERIC);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* A search that is certain of its choices still judges others: a tenth of the paths choose
 * uniformly. */
START_TEST(some_paths_stay_open)
{
    dfqt_scene s;
    int32_t finished;
    double others = 0;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    s.o.sampled_paths = DFQI_SAMPLED_PATHS_MAX;
    dfqi_coexplore *e = create(ctx, &s);
    for (int i = 0; i < 6 + 2; i++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    const dfqi_effects *f = &e->s->effects;
    for (int32_t c = 0; c < CELLS; c++) e->s->solver->x[f->first[c]] = 1000;
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    for (int32_t c = 0; c < CELLS; c++)
        for (int32_t i = f->first[c] + 1; i < f->first[c + 1]; i++) others += f->seen[i] / CELLS;
    ck_assert_msg(others > 0.01 && others < 0.15, "%g of the choices", others);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Without training of its own the derived network has the supernet's weights, and statistics of its
 * own path. */
START_TEST(a_derived_network_inherits)
{
    dfqt_scene s;
    dfqi_supernet expected;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    s.o.fine_tune = 1;
    s.o.train_steps = 0;
    dfqi_coexplore *e = create(ctx, &s);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    const dfqi_supernet *have = &e->s->derived;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &e->s->net.space, e->s->path, 0, &expected), DFQ_OK);
    ck_assert_int_eq(dfqi_supernet_hand_down(&e->s->net, &expected), DFQ_OK);
    ck_assert_int_eq(dfqi_super_recalibrate(&expected, e->s->path, &e->all, 6, N / 6), DFQ_OK);
    for (int32_t i = 0; i < have->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) {
            const dfq_tensor *a = have->layers[i].t[k], *b = expected.layers[i].t[k];
            ck_assert_int_eq(a != NULL, b != NULL);
            if (!a) continue;
            ck_assert_msg(memcmp(a->data, b->data, dfq_tensor_get_bytes(a)) == 0,
                          "layer %d, tensor %d", (int)i, (int)k);
        }
    dfqi_supernet_fini(&expected);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Exploring goes at a fifth of the warm-up's rate, training at the same. */
START_TEST(rates_follow_the_first)
{
    static const double rates[3][2] = {{0, 0}, {0.02, 0.1}, {0.1, 0.02}};
    uint64_t sum[3];
    dfqt_scene s;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    s.o.learning_rate = 0.1;
    for (int i = 0; i < 3; i++) {
        s.o.search_learning_rate = rates[i][0];
        s.o.train_learning_rate = rates[i][1];
        dfqi_coexplore *e = create(ctx, &s);
        ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
        sum[i] = dfqt_scene_bits(e, &s);
        dfqi_coexplore_release(e);
    }
    ck_assert_uint_eq(sum[0], sum[1]);
    ck_assert_uint_ne(sum[0], sum[2]);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

TCase *dfqt_coexplore_data_case(void)
{
    TCase *c = tcase_create("coexplore data");
    tcase_add_test(c, looks_are_at_images_that_no_step_sees);
    tcase_add_test(c, some_paths_stay_open);
    tcase_add_test(c, a_derived_network_inherits);
    tcase_add_test(c, rates_follow_the_first);
    return c;
}
