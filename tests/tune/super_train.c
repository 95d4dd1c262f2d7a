/* Training of a tiny supernet: it learns, as its rule says, the same at any thread count; sampling;
 * evaluation; refused allocations. */
#include "tune/super_train.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "support/fail_alloc.h"
#include "support/suite.h"
#include "tune/cases.h"

enum { N = 24, PIXELS = 3 * 8 * 8, CLASSES = 3, CELLS = 4 };

static const dfqi_supernet_space tiny = {.name = "tiny",
                                         .image = 8,
                                         .classes = CLASSES,
                                         .stem = 4,
                                         .first = 4,
                                         .head = 8,
                                         .n_stages = 2,
                                         .n_choices = 2,
                                         .stages = {{4, 2, 1}, {6, 2, 2}},
                                         .choices = {{3, 2}, {5, 3}}};

typedef struct images {
    float x[N * PIXELS];
    int32_t labels[N];
    dfqi_super_data data;
} images;

/* A class is the colour that is bright. */
static void make_images(images *im)
{
    dfqi_rng r = dfqi_rng_make(7, 0);
    dfqi_rng_fill_normal(&r, im->x, N * PIXELS);
    for (int i = 0; i < N; i++) {
        im->labels[i] = i % CLASSES;
        for (int k = 0; k < 64; k++) im->x[i * PIXELS + im->labels[i] * 64 + k] += 1.5f;
    }
    im->data = (dfqi_super_data){N, im->x, im->labels};
}

static dfqi_super_options options(int64_t steps)
{
    dfqi_super_options o;
    dfqi_super_defaults(&o);
    o.batch = 12;
    o.steps = steps;
    o.learning_rate = 0.05f;
    o.crop = 1;
    o.seed = 3;
    return o;
}

/* Uniform paths; out: the last loss and a weight. */
static dfq_status train(dfq_context *ctx, int64_t steps, float *out, int64_t *out_correct)
{
    static const int32_t path[CELLS] = {1, 0, 1, 1};
    images im;
    dfqi_supernet net;
    dfqi_super_train *t = NULL;
    int64_t not_finite;
    dfqi_super_options o = options(steps);
    make_images(&im);
    dfq_status status = dfqi_supernet_new(ctx, &tiny, NULL, 5, &net);
    if (status != DFQ_OK) return status;
    status = dfqi_super_train_new(&net, &o, &t);
    for (int64_t i = 0; i < steps && status == DFQ_OK; i++) {
        int32_t drawn[CELLS];
        dfqi_super_sample(&net, NULL, o.seed, i, drawn);
        status = dfqi_super_train_step(t, &im.data, drawn, &out[0]);
    }
    if (status == DFQ_OK) status = dfqi_super_recalibrate(&net, path, &im.data, 12, 2);
    if (status == DFQ_OK)
        status = dfqi_super_evaluate(&net, path, &im.data, 10, out_correct, &not_finite);
    out[1] = dfqi_tensor_f32(net.layers[0].t[0])[0];
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    return status;
}

START_TEST(supernets_learn_the_same_at_any_thread_count)
{
    float out[2][2];
    int64_t correct[2];
    for (int i = 0; i < 2; i++) {
        dfq_context *ctx = dfqt_context(i + 1);
        ck_assert_int_eq(train(ctx, 120, out[i], &correct[i]), DFQ_OK);
        dfq_context_release(ctx);
    }
    ck_assert(memcmp(out[0], out[1], sizeof out[0]) == 0);
    ck_assert_int_eq(correct[0], correct[1]);
    ck_assert_msg(correct[0] >= N - 3, "%d of %d", (int)correct[0], N);
}
END_TEST

/* Paths that answer NaN are right about nothing. */
START_TEST(paths_that_are_not_finite_are_not_right)
{
    int32_t path[CELLS] = {0};
    int64_t correct, not_finite;
    images im;
    dfqi_supernet net;
    dfq_context *ctx = dfqt_context(1);
    make_images(&im);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    dfqi_tensor_f32(net.layers[net.n_layers - 1].t[1])[0] = NAN;
    ck_assert_int_eq(dfqi_super_evaluate(&net, path, &im.data, 10, &correct, &not_finite), DFQ_OK);
    ck_assert_int_eq(correct, 0);
    ck_assert_int_eq(not_finite, N);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* The first step: p - learning rate ((1 + momentum) g + decay p), here by the gradient of a pass of
 * its own. */
START_TEST(a_step_is_nesterovs)
{
    static const int32_t path[CELLS] = {0, 1, 0, 1};
    dfq_context *ctx = dfqt_context(1);
    images im;
    dfqi_supernet net;
    dfqi_super_train *t;
    dfqi_super_options o = options(10);
    float loss, before[16], same[N * PIXELS], targets[N * CLASSES];
    make_images(&im);
    for (int i = 0; i < N; i++) /* all alike: whatever is drawn, the batch is the same */
        memcpy(same + i * PIXELS, im.x, PIXELS * sizeof *same);
    for (int i = 0; i < N * CLASSES; i++) targets[i] = i % CLASSES ? 0.1f / 3 : 0.9f + 0.1f / 3;
    memset(im.labels, 0, sizeof im.labels);
    im.data.images = same;
    o.crop = 0;
    o.weight_decay = 0.01f;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    dfqi_super_layer *fc = &net.layers[net.n_layers - 1];
    dfqi_super_pass p;
    ck_assert_int_eq(dfqi_super_pass_new(&net, path, o.batch, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    dfqi_exec_bind(p.e, p.x, same);
    dfqi_exec_bind(p.e, p.targets, targets);
    for (int64_t c = 0; c < net.space.head; c++) /* normalised copies are 0: betas count */
        dfqi_tensor_f32(net.layers[net.n_layers - 2].t[2])[c] = 0.5f;
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    memcpy(before, dfqi_tensor_f32(fc->t[0]), sizeof before);
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_step(t, &im.data, path, &loss), DFQ_OK);
    const float *g = dfqi_exec_data(p.e, p.taps[net.n_layers - 1].grad[0]);
    for (int i = 0; i < 16; i++) {
        float want = before[i] - 0.05f * (1.9f * g[i] + 0.01f * before[i]);
        ck_assert_float_eq_tol(dfqi_tensor_f32(fc->t[0])[i], want, 1e-6f);
        ck_assert_float_ne(dfqi_tensor_f32(fc->t[0])[i], before[i]);
    }
    dfqi_super_pass_fini(&p);
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* Statistics are the mean of those of the batches, wherever training had left them. */
START_TEST(recalibration_takes_all_batches)
{
    enum { HALF = N / 2, STEM = 4 };
    static const int32_t path[CELLS] = {1, 0, 1, 1};
    dfq_context *ctx = dfqt_context(1);
    float found[3][2][STEM];
    images im;
    dfqi_supernet net;
    make_images(&im);
    for (int i = HALF * PIXELS; i < N * PIXELS; i++) im.x[i] = 2 * im.x[i] + 1;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    for (int i = 0; i < 3; i++) { /* each half, and both */
        dfqi_super_data data = im.data;
        if (i < 2) data = (dfqi_super_data){HALF, im.x + i * HALF * PIXELS, im.labels + i * HALF};
        ck_assert_int_eq(dfqi_super_recalibrate(&net, path, &data, HALF, i < 2 ? 1 : 2), DFQ_OK);
        for (int k = 0; k < 2; k++)
            memcpy(found[i][k], net.layers[0].t[3 + k]->data, sizeof found[i][k]);
    }
    for (int k = 0; k < 2; k++)
        for (int c = 0; c < STEM; c++) {
            float one = found[0][k][c], two = found[1][k][c];
            ck_assert_float_eq_tol(found[2][k][c], 0.5f * (one + two), 1e-5f);
            ck_assert(fabsf(one - two) > 1e-2f);
        }
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(paths_are_drawn_by_their_logits)
{
    enum { ROW = DFQI_SUPER_CHOICES + 1, DRAWS = 4000 };
    dfq_context *ctx = dfqt_context(1);
    float logits[CELLS * ROW] = {0};
    int count[CELLS][3] = {{0}};
    dfqi_supernet net;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    logits[ROW] = logf(6.0f); /* cell 1 has three choices: 6/8, 1/8, 1/8 */
    for (int i = 0; i < DRAWS; i++) {
        int32_t path[CELLS];
        dfqi_super_sample(&net, logits, 9, i, path);
        for (int c = 0; c < CELLS; c++) count[c][path[c]]++;
    }
    ck_assert_int_lt(abs(count[1][0] - DRAWS * 6 / 8), 150);
    ck_assert_int_lt(abs(count[1][2] - DRAWS / 8), 120);
    ck_assert_int_lt(abs(count[2][0] - DRAWS / 2), 170);
    ck_assert_int_eq(count[2][2], 0); /* its stride is 2 */
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* A loss alone is that which comes with gates, and of the same batch. */
START_TEST(losses_need_no_gradients)
{
    static const int32_t path[CELLS] = {0, 2, 1, 0};
    dfq_context *ctx = dfqt_context(1);
    dfqi_super_options o = options(10);
    images im;
    dfqi_supernet net;
    dfqi_super_train *t;
    double gates[CELLS];
    float with, without, other;
    make_images(&im);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_gates(t, &im.data, 3, path, &with, gates), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_loss(t, &im.data, 3, path, &without), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_loss(t, &im.data, 4, path, &other), DFQ_OK);
    ck_assert_float_eq(with, without);
    ck_assert_float_ne(with, other);
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    float out[2];
    int64_t correct;
    (void)arg;
    return train(ctx, 1, out, &correct);
}

START_TEST(refused_allocations_leave_nothing)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_super_train_case(void)
{
    TCase *c = tcase_create("super_train");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, supernets_learn_the_same_at_any_thread_count);
    tcase_add_test(c, paths_that_are_not_finite_are_not_right);
    tcase_add_test(c, a_step_is_nesterovs);
    tcase_add_test(c, recalibration_takes_all_batches);
    tcase_add_test(c, paths_are_drawn_by_their_logits);
    tcase_add_test(c, losses_need_no_gradients);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
