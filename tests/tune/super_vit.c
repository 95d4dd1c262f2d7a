/* Supernets of vision transformers: passes and steps against PyTorch, what a step leaves alone,
 * training at any thread count, refused allocations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "support/fail_alloc.h"
#include "support/suite.h"
#include "tune/cases.h"
#include "tune/super_train.h"

enum { N = 24, BATCH = 4, PIXELS = 3 * 8 * 8, CLASSES = 3, CELLS = 2, ALL = 4096 };

/* Choice = 8 width + 4 depth + 2 heads + ratio, each 0 or 1; 16: left out. */
static const dfqi_supernet_space tiny = {.name = "tiny",
                                         .family = DFQI_SUPER_VIT,
                                         .n_stages = CELLS,
                                         .n_choices = 16,
                                         .image = 8,
                                         .classes = CLASSES,
                                         .vit = {.patch = 4,
                                                 .tokens = 6,
                                                 .head = 3,
                                                 .optional = 1,
                                                 .width = {2, {4, 7}},
                                                 .depth = {2, {1, 2}},
                                                 .heads = {2, {1, 2}},
                                                 .ratio = {2, {1, 2}}}};
static const int32_t paths[2][CELLS] = {{15, 2}, {4, 11}};

static dfqi_super_options options(int64_t batch, int64_t steps)
{
    dfqi_super_options o;
    dfqi_super_defaults_of(&tiny, &o);
    o.batch = batch;
    o.steps = steps;
    o.learning_rate = 0.01f;
    o.crop = 0;
    o.seed = 3;
    return o;
}

/* -- golden data ------------------------------------------------------------------------------- */

static const char *tensor_name(char text[48], const char *prefix, int32_t layer, int32_t k)
{
    snprintf(text, 48, "%s%d.%d", prefix, layer, k);
    return text;
}

static dfqi_supernet golden_net(dfq_context *ctx, const dfqi_safetensors *st)
{
    dfqi_supernet net;
    char name[48];
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 3, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS && net.layers[i].t[k]; k++) {
            dfq_tensor *t = net.layers[i].t[k];
            memcpy(t->data, dfqt_golden_data(st, "w.", tensor_name(name, "", i, k)),
                   (size_t)dfqi_tensor_count(t) * sizeof(float));
        }
    return net;
}

START_TEST(passes_agree_with_pytorch)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_safetensors st = dfqt_golden_read(ctx, "super_vit.safetensors");
    dfqi_supernet net = golden_net(ctx, &st);
    dfqi_super_pass p;
    double gates[CELLS];
    float single[CELLS];
    char name[48], prefix[8];
    snprintf(prefix, sizeof prefix, "%d.", _i);
    ck_assert_int_eq(dfqi_super_pass_new(&net, paths[_i], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    dfqi_exec_bind(p.e, p.x, dfqt_golden_data(&st, "", "x"));
    dfqi_exec_bind(p.e, p.targets, dfqt_golden_data(&st, "", "targets"));
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    dfqt_golden_compare(dfqi_exec_data(p.e, p.logits), dfqt_golden_data(&st, prefix, "logits"),
                        BATCH * CLASSES, 5e-6, prefix, "logits");
    dfqt_golden_compare(dfqi_exec_data(p.e, p.loss), dfqt_golden_data(&st, prefix, "loss"), 1, 1e-6,
                        prefix, "loss");
    dfqi_super_pass_gates(&p, gates);
    for (int32_t c = 0; c < CELLS; c++) single[c] = (float)gates[c];
    dfqt_golden_compare(single, dfqt_golden_data(&st, prefix, "gates"), CELLS, 2e-5, prefix,
                        "gates");
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < 2 && p.taps[i].grad[k] >= 0; k++) {
            int64_t n = dfqi_value_count(dfqi_graph_value(p.g, p.taps[i].grad[k]));
            const float *have = dfqi_exec_data(p.e, p.taps[i].grad[k]);
            const float *want = dfqt_golden_data(&st, prefix, tensor_name(name, "grad.", i, k));
            if (net.layers[i].groups == 3 && k == 1) { /* the keys' are 0 but for rounding */
                dfqt_golden_compare(have + 2 * n / 3, want + 2 * n / 3, n / 3, 2e-5, prefix, name);
                n /= 3;
            }
            dfqt_golden_compare(have, want, n, 2e-5, prefix, name);
        }
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfqi_st_fini(&st);
    dfq_context_release(ctx);
}
END_TEST

/* Image 0 as class 0, so often that whatever is drawn is the same batch. */
static dfqi_super_data only_first(const float *x, float *images, int32_t *labels)
{
    for (int i = 0; i < N; i++) memcpy(images + i * PIXELS, x, PIXELS * sizeof *x);
    memset(labels, 0, N * sizeof *labels);
    return (dfqi_super_data){N, images, labels};
}

START_TEST(steps_agree_with_pytorch)
{
    static const int along[3] = {1, 0, 1};
    dfq_context *ctx = dfqt_context(1);
    dfqi_safetensors st = dfqt_golden_read(ctx, "super_vit.safetensors");
    dfqi_supernet net = golden_net(ctx, &st);
    dfqi_super_options o = options(BATCH, 10);
    dfqi_super_train *t;
    float images[N * PIXELS], loss;
    int32_t labels[N];
    char name[48];
    dfqi_super_data data = only_first(dfqt_golden_data(&st, "", "x"), images, labels);
    o.warmup_steps = 2;
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_moments(t), 2);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dfqi_super_train_step(t, &data, paths[along[i]], &loss), DFQ_OK);
        snprintf(name, sizeof name, "step%d.", i);
        dfqt_golden_compare(&loss, dfqt_golden_data(&st, name, "loss"), 1, 3e-6, name, "loss");
    }
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&net.layers[i]); k++) {
            float *have = dfqi_tensor_f32(net.layers[i].t[k]);
            int64_t n = dfqi_tensor_count(net.layers[i].t[k]);
            const float *want = dfqt_golden_data(&st, "after.", tensor_name(name, "", i, k));
            if (net.layers[i].groups == 3 && k == 1) { /* without the keys' */
                memmove(have + n / 3, have + 2 * n / 3, (size_t)(n / 3) * sizeof *have);
                n = n / 3 * 2;
            }
            dfqt_golden_compare(have, want, n, 2e-5, "after.", name);
        }
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    dfqi_st_fini(&st);
    dfq_context_release(ctx);
}
END_TEST

/* -- shared weights ---------------------------------------------------------------------------- */

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

/* Which elements of a tensor a path uses. */
static void mark_used(const dfqi_super_pass *p, int32_t layer, int32_t k, float *used)
{
    float part[512];
    const dfq_tensor *t = p->net->layers[layer].t[k];
    ck_assert_int_le(dfqi_tensor_count(t), 512);
    memset(used, 0, (size_t)dfqi_tensor_count(t) * sizeof *used);
    for (int i = 0; i < 512; i++) part[i] = 1;
    if (p->taps[layer].t[k] >= 0) dfqi_super_pass_copy(p, layer, k, used, part, 1);
}

/* All weights (or the first moments of all) one behind the other; returns their number. */
static int64_t collect(const dfqi_supernet *net, const dfqi_super_train *moments, float *out)
{
    int64_t at = 0;
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&net->layers[i]); k++) {
            int64_t n = dfqi_tensor_count(net->layers[i].t[k]);
            const float *from = moments ? dfqi_super_train_momentum(moments, i, k)
                                        : dfqi_tensor_f32(net->layers[i].t[k]);
            ck_assert_int_le(at + n, ALL);
            memcpy(out + at, from, (size_t)n * sizeof *out);
            at += n;
        }
    return at;
}

/* The second step, when there is momentum: no bit moves of what is off the path, not of the weights
 * and not of the moments. */
START_TEST(steps_leave_alone_what_is_off_the_path)
{
    dfq_context *ctx = dfqt_context(1);
    images im;
    dfqi_supernet net;
    dfqi_super_train *t;
    dfqi_super_pass p;
    dfqi_super_options o = options(12, 10);
    float loss, before[2][ALL], after[2][ALL], used[ALL];
    int64_t moved = 0, left = 0, n = 0;
    make_images(&im);
    if (_i) o.optimizer = DFQI_SGD;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 5, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_step(t, &im.data, (int32_t[]){15, 15}, &loss), DFQ_OK);
    for (int i = 0; i < 2; i++) collect(&net, i ? t : NULL, before[i]);
    ck_assert_int_eq(dfqi_super_train_step(t, &im.data, paths[1], &loss), DFQ_OK);
    for (int i = 0; i < 2; i++) collect(&net, i ? t : NULL, after[i]);
    ck_assert_int_eq(dfqi_super_pass_new(&net, paths[1], 1, DFQI_SUPER_EVAL, &p), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&net.layers[i]); k++) {
            mark_used(&p, i, k, used + n);
            n += dfqi_tensor_count(net.layers[i].t[k]);
        }
    for (int64_t j = 0; j < n; j++) {
        moved += used[j] > 0 && before[0][j] != after[0][j] && before[1][j] != after[1][j];
        left += used[j] <= 0;
        ck_assert(used[j] > 0 || (before[0][j] == after[0][j] && before[1][j] == after[1][j]));
    }
    ck_assert_int_gt(left, n / 3);
    ck_assert_int_gt(moved, (n - left) * 9 / 10);
    dfqi_super_pass_fini(&p);
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- training ---------------------------------------------------------------------------------- */

/* Uniform paths; out: the last loss and a weight. */
static dfq_status train(dfq_context *ctx, int64_t steps, float *out, int64_t *out_correct)
{
    images im;
    dfqi_supernet net;
    dfqi_super_train *t = NULL;
    int64_t not_finite;
    dfqi_super_options o = options(12, steps);
    make_images(&im);
    o.crop = 1;
    dfq_status status = dfqi_supernet_new(ctx, &tiny, NULL, 5, &net);
    if (status != DFQ_OK) return status;
    status = dfqi_super_train_new(&net, &o, &t);
    for (int64_t i = 0; i < steps && status == DFQ_OK; i++) {
        int32_t drawn[CELLS];
        dfqi_super_sample(&net, NULL, o.seed, i, drawn);
        status = dfqi_super_train_step(t, &im.data, drawn, &out[0]);
    }
    if (status == DFQ_OK) status = dfqi_super_recalibrate(&net, paths[0], &im.data, 12, 2);
    if (status == DFQ_OK)
        status = dfqi_super_evaluate(&net, paths[0], &im.data, 10, out_correct, &not_finite);
    out[1] = dfqi_tensor_f32(net.layers[0].t[0])[0];
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    return status;
}

START_TEST(they_learn_the_same_at_any_thread_count)
{
    float out[2][2];
    int64_t correct[2];
    for (int i = 0; i < 2; i++) {
        dfq_context *ctx = dfqt_context(i + 1);
        ck_assert_int_eq(train(ctx, 200, out[i], &correct[i]), DFQ_OK);
        dfq_context_release(ctx);
    }
    ck_assert_mem_eq(out[0], out[1], sizeof out[0]);
    ck_assert_int_eq(correct[0], correct[1]);
    ck_assert_msg(correct[0] >= N - 3, "%d of %d", (int)correct[0], N);
}
END_TEST

START_TEST(other_optimizers_are_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    dfqi_super_train *t;
    dfqi_super_options o = options(4, 4);
    o.optimizer = DFQI_RMSPROP;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, paths[0], 5, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "SGD or AdamW"));
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* One image, shifted by up to a pixel each way: 9 pictures make 45 batches of two, mirrored ones as
 * well 171. The mean loss tells them apart. */
START_TEST(pictures_are_shifted_and_mirrored)
{
    enum { DRAWS = 600 };
    dfq_context *ctx = dfqt_context(1);
    dfqi_super_options o = options(2, 10);
    float x[PIXELS], losses[DRAWS];
    int32_t label = 0, different = 1;
    dfqi_super_data data = {1, x, &label};
    dfqi_supernet net;
    dfqi_super_train *t;
    dfqi_rng r = dfqi_rng_make(8, 0);
    dfqi_rng_fill_normal(&r, x, PIXELS);
    o.crop = 1;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 3, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_train_new(&net, &o, &t), DFQ_OK);
    for (int i = 0; i < DRAWS; i++)
        ck_assert_int_eq(dfqi_super_train_loss(t, &data, i, paths[0], &losses[i]), DFQ_OK);
    qsort(losses, DRAWS, sizeof *losses, by_value);
    for (int i = 1; i < DRAWS; i++) different += losses[i] > losses[i - 1];
    ck_assert_int_gt(different, 130);
    ck_assert_int_le(different, 171);
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

TCase *dfqt_super_vit_case(void)
{
    TCase *c = tcase_create("super_vit");
    tcase_add_loop_test(c, passes_agree_with_pytorch, 0, 2);
    tcase_add_test(c, steps_agree_with_pytorch);
    tcase_add_loop_test(c, steps_leave_alone_what_is_off_the_path, 0, 2);
    tcase_add_test(c, they_learn_the_same_at_any_thread_count);
    tcase_add_test(c, pictures_are_shifted_and_mirrored);
    tcase_add_test(c, other_optimizers_are_refused);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
