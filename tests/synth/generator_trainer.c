/* Generators trained against a CNN: they learn, do not depend on threads, refuse what they cannot
 * use, and lose no memory. */
#include "synth/generator_trainer_priv.h"

#include <math.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "synth/cases.h"

enum { BATCH = 16, CLASSES = 4, PIXELS = DFQT_CNN_PIXELS };

static dfqi_generator_options options(void)
{
    dfqi_generator_options o;
    dfqi_generator_trainer_defaults(&o);
    o.bns_weight = 0.1f;
    o.batch = BATCH;
    o.seed = 3;
    return o;
}

START_TEST(test_learns)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    o.kind = (dfqi_generator_kind)_i;
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h;
    double first[DFQI_GENERATOR_LOSSES] = {0}, last[DFQI_GENERATOR_LOSSES] = {0};
    ck_assert_int_eq(dfqt_random_cnn(ctx, &m), DFQ_OK);
    ck_assert_msg(dfqi_generator_trainer_new(m, &o, &h) == DFQ_OK, "%s", ctx->error);
    for (int i = 0; i < 60; i++) {
        ck_assert_msg(dfqi_generator_trainer_step(h, 1e-3f, &b) == DFQ_OK, "%s", ctx->error);
        ck_assert_float_eq_tol(b.losses[DFQI_GENERATOR_LOSS_TOTAL],
                               b.losses[DFQI_GENERATOR_LOSS_CLASS] +
                                   0.1f * b.losses[DFQI_GENERATOR_LOSS_BNS],
                               1e-4f * b.losses[DFQI_GENERATOR_LOSS_TOTAL]);
        for (int k = 0; k < DFQI_GENERATOR_LOSSES; k++)
            if (i < 10 || i >= 50) (i < 10 ? first : last)[k] += (double)b.losses[k];
    }
    ck_assert_int_eq(dfqi_generator_trainer_done(h), 60);
    ck_assert_double_lt(last[DFQI_GENERATOR_LOSS_TOTAL], 0.8 * first[DFQI_GENERATOR_LOSS_TOTAL]);
    for (int i = 0; i < BATCH; i++) ck_assert(b.labels[i] >= 0 && b.labels[i] < CLASSES);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* A job of `kind`: `before` steps, then another trainer goes on from its arrays, `steps` steps in
 * all. */
static void make(dfqi_generator_kind kind, int32_t threads, int before, int steps,
                 float images[BATCH * PIXELS])
{
    dfq_context *ctx = dfqt_context(threads);
    dfqi_generator_options o = options();
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h, *next;
    o.kind = kind;
    ck_assert_int_eq(dfqt_random_cnn(ctx, &m), DFQ_OK);
    ck_assert_msg(dfqi_generator_trainer_new(m, &o, &h) == DFQ_OK, "%s", ctx->error);
    for (int i = 0; i < before; i++)
        ck_assert_int_eq(dfqi_generator_trainer_step(h, 1e-3f, &b), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &next), DFQ_OK);
    for (int32_t i = 0; i < dfqi_generator_trainer_arrays(h); i++) {
        dfqi_generator_array from = dfqi_generator_trainer_array_at(h, i),
                             to = dfqi_generator_trainer_array_at(next, i);
        ck_assert_str_eq(from.name, to.name);
        memcpy(to.data, from.data, (size_t)from.count * sizeof(float));
    }
    dfqi_generator_trainer_resume(next, dfqi_generator_trainer_done(h));
    dfqi_generator_trainer_release(h);
    for (int i = before; i < steps; i++)
        ck_assert_int_eq(dfqi_generator_trainer_step(next, 1e-3f, &b), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_done(next), steps);
    memcpy(images, b.images, BATCH * PIXELS * sizeof *images);
    dfqi_generator_trainer_release(next);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}

START_TEST(test_threads_and_stops_do_not_matter)
{
    static float one[BATCH * PIXELS], two[BATCH * PIXELS], stopped[BATCH * PIXELS];
    make((dfqi_generator_kind)_i, 1, 0, 5, one);
    make((dfqi_generator_kind)_i, 2, 0, 5, two);
    make((dfqi_generator_kind)_i, 1, 3, 5, stopped);
    ck_assert_mem_eq(one, two, sizeof one);
    ck_assert_mem_eq(one, stopped, sizeof one);
}
END_TEST

/* Samples leave the generator and the draws of its steps alone. */
START_TEST(test_samples)
{
    static float first[BATCH * PIXELS], want[BATCH * PIXELS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h;
    o.kind = (dfqi_generator_kind)_i;
    make(o.kind, 1, 0, 3, want);
    ck_assert_int_eq(dfqt_random_cnn(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dfqi_generator_trainer_sample(h, 0, &b), DFQ_OK);
        memcpy(first, b.images, sizeof first);
        ck_assert_int_eq(dfqi_generator_trainer_sample(h, 1, &b), DFQ_OK);
        ck_assert_mem_ne(first, b.images, sizeof first);
        ck_assert_int_eq(dfqi_generator_trainer_sample(h, 0, &b), DFQ_OK);
        ck_assert_mem_eq(first, b.images, sizeof first);
        ck_assert_int_eq(dfqi_generator_trainer_step(h, 1e-3f, &b), DFQ_OK);
        ck_assert_mem_ne(first, b.images, sizeof first);
    }
    ck_assert_mem_eq(want, b.images, sizeof want);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* 40 % of Qimera's iterations have images of several classes; their weights are those of the
 * loss. */
START_TEST(test_mixtures)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h;
    int mixed = 0;
    o.kind = DFQI_GENERATOR_QIMERA;
    ck_assert_int_eq(dfqt_random_cnn(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    for (int i = 0; i < 60; i++) {
        int soft = 0;
        double loss = 0;
        ck_assert_int_eq(dfqi_generator_trainer_sample(h, i, &b), DFQ_OK);
        for (int k = 0; k < BATCH; k++) {
            const float *y = b.targets + CLASSES * k, *z = b.logits + CLASSES * k;
            double sum = 0, exps = 0;
            for (int c = 0; c < CLASSES; c++) {
                sum += (double)y[c];
                exps += exp((double)z[c]);
                soft += y[c] > 0 && y[c] < 0.999f;
                ck_assert_float_le(y[c], y[(int)b.labels[k]]);
            }
            for (int c = 0; c < CLASSES; c++)
                loss += (double)y[c] * (log(exps) - (double)z[c]) / BATCH;
            ck_assert_double_eq_tol(sum, 1, 1e-5);
        }
        ck_assert_double_eq_tol(loss, (double)b.losses[DFQI_GENERATOR_LOSS_CLASS],
                                1e-4 * fabs(loss));
        mixed += soft > 0;
    }
    ck_assert(mixed > 12 && mixed < 36);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* What a generator is fed: a mixture's slots weigh as its noise does, its BatchNorms get the
 * published mean over slots, 1 / K of that; an image of one class has its own slot alone. */
START_TEST(test_weights_of_slots)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_model *m;
    dfqi_generator_trainer *h;
    int mixed = 0, plain = 0;
    o.kind = DFQI_GENERATOR_QIMERA;
    ck_assert_int_eq(dfqt_random_cnn_of(ctx, 12, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    const dfqi_generator_draws *d = &h->draws;
    const int slots = 3; /* a quarter of the classes */
    ck_assert_int_eq(h->net.arch.slots, slots);
    for (int i = 0; i < 400; i++) {
        dfqi_generator_trainer_draw(h, 0, i);
        int own = d->own[0] > 0;
        own ? plain++ : mixed++;
        for (int b = 0; b < BATCH; b++) {
            double sum = 0;
            for (int k = b * slots; k < (b + 1) * slots; k++) {
                sum += (double)d->mix[k];
                ck_assert_float_eq(d->own[k], own && k == b * slots ? 1.0f : 0.0f);
                ck_assert_float_eq(d->norm_mix[k], own ? d->own[k] : d->mix[k] / 3.0f);
            }
            ck_assert_double_eq_tol(sum, own ? 0.0 : 1.0, 1e-6);
        }
    }
    ck_assert_int_eq(mixed + plain, 400);
    ck_assert_msg(mixed > 130 && mixed < 190, "%d of 400 mixed", mixed); /* 40 % */
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* What is chosen by the network, as in AIT's runs: mixtures, embeddings, cells. */
START_TEST(test_recipes)
{
    static const struct {
        int64_t classes, slots;
        dfqi_arc_cells cells;
    } rows[] = {{10, 2, DFQI_ARC_CIFAR10}, {100, 25, DFQI_ARC_CIFAR100}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_model *m;
    dfqi_generator_trainer *h;
    ck_assert_int_eq(dfqt_random_cnn_of(ctx, rows[_i].classes, &m), DFQ_OK);
    o.kind = DFQI_GENERATOR_QIMERA;
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    const dfq_tensor *own = dfqi_generator_find(&h->net, "embed.weight");
    const dfq_tensor *teacher = dfqi_network_find(&m->net, "linear.weight");
    size_t bytes = (size_t)dfqi_tensor_count(own) * sizeof(float);
    ck_assert_int_eq(dfqi_tensor_count(teacher), dfqi_tensor_count(own));
    ck_assert_int_eq(memcmp(own->data, teacher->data, bytes) == 0, rows[_i].classes == 100);
    ck_assert_int_eq(h->net.arch.slots, rows[_i].slots);
    ck_assert_int_eq(h->net.arch.latent, 16);
    ck_assert_int_eq(h->net.arch.reduced, 0);
    dfqi_generator_trainer_release(h);
    o.kind = DFQI_GENERATOR_ARC;
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    ck_assert_int_eq(h->net.arch.cells, rows[_i].cells);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_rate)
{
    static const struct {
        int64_t step;
        float learning_rate;
    } rows[] = {{0, 1e-3f}, {99, 1e-3f}, {100, 1e-4f}, {200, 1e-5f}, {300, 1e-6f}, {399, 1e-6f}};
    dfqi_generator_options o = options();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_float_eq_tol(dfqi_generator_trainer_learning_rate(&o, rows[i].step, 400),
                               rows[i].learning_rate, 1e-6f * rows[i].learning_rate);
}
END_TEST

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_model *vit, *cnn;
    dfqi_generator_trainer *h = NULL;
    ck_assert_int_eq(dfqt_random_model(ctx, &vit), DFQ_OK);
    ck_assert_int_eq(dfqt_random_cnn(ctx, &cnn), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_new(vit, &o, &h), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(ctx->error, "BatchNorm"));
    o.batch = 1;
    ck_assert_int_eq(dfqi_generator_trainer_new(cnn, &o, &h), DFQ_E_INVALID);
    o.batch = 5000;
    ck_assert_int_eq(dfqi_generator_trainer_new(cnn, &o, &h), DFQ_E_INVALID);
    o = options();
    o.kind = (dfqi_generator_kind)3;
    ck_assert_int_eq(dfqi_generator_trainer_new(cnn, &o, &h), DFQ_E_INVALID);
    ck_assert_ptr_null(h);
    dfqi_model_release(cnn);
    dfqi_model_release(vit);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_not_finite)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator_options o = options();
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h;
    ck_assert_int_eq(dfqt_random_cnn(ctx, &m), DFQ_OK);
    dfqi_tensor_f32(m->net.params[0].tensor)[0] = NAN;
    ck_assert_int_eq(dfqi_generator_trainer_new(m, &o, &h), DFQ_OK);
    ck_assert_int_eq(dfqi_generator_trainer_step(h, 1e-3f, &b), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_generator_trainer_done(h), 0);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *user)
{
    dfqi_generator_options o = options();
    dfqi_generator_batch b;
    dfqi_model *m;
    dfqi_generator_trainer *h = NULL;
    o.kind = *(const dfqi_generator_kind *)user;
    o.batch = 2;
    DFQI_TRY(dfqt_random_cnn(ctx, &m));
    dfq_status status = dfqi_generator_trainer_new(m, &o, &h);
    if (status == DFQ_OK) status = dfqi_generator_trainer_step(h, 1e-3f, &b);
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_no_memory)
{
    dfqi_generator_kind kind = (dfqi_generator_kind)_i;
    fail_alloc_sweep(life, &kind, 1);
}
END_TEST

TCase *dfqt_generator_trainer_case(void)
{
    TCase *t = tcase_create("generator_trainer");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_learns, DFQI_GENERATOR_GDFQ, DFQI_GENERATOR_ARC + 1);
    tcase_add_loop_test(t, test_threads_and_stops_do_not_matter, DFQI_GENERATOR_GDFQ,
                        DFQI_GENERATOR_ARC + 1);
    tcase_add_loop_test(t, test_samples, DFQI_GENERATOR_GDFQ, DFQI_GENERATOR_ARC + 1);
    tcase_add_test(t, test_mixtures);
    tcase_add_test(t, test_weights_of_slots);
    tcase_add_loop_test(t, test_recipes, 0, 2);
    tcase_add_test(t, test_rate);
    tcase_add_test(t, test_refused);
    tcase_add_test(t, test_not_finite);
    tcase_add_loop_test(t, test_no_memory, DFQI_GENERATOR_GDFQ, DFQI_GENERATOR_QIMERA + 1);
    return t;
}
