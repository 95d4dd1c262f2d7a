/* Training jobs: they learn, on schedule, what they should, with the same bits on any machine. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/cases.h"

static dfq_graph *make(dfq_context *ctx)
{
    dfq_vit_options o = dfqt_vit();
    dfq_graph *g;
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &g), DFQ_OK);
    return g;
}

/* Chance is log(3) = 1.0986. */
START_TEST(test_learns)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = make(ctx);
    dfq_trainer_options o = dfqt_trainer();
    double early = dfqt_train(g, &o, 4);
    ck_assert_double_eq_tol(early, 1.0986, 0.1);
    ck_assert_double_lt(dfqt_train(g, &o, 60), 0.15);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* The trained weights are what a forward pass sees. */
START_TEST(test_forward_sees_it)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = make(ctx);
    dfq_trainer_options o = dfqt_trainer();
    dfq_tensor *x, *y, *z;
    dfqt_train(g, &o, 60);
    ck_assert_int_eq(dfqt_batch(ctx, 1000, &x, &y), DFQ_OK);
    ck_assert_int_eq(dfq_graph_forward(g, x, &z), DFQ_OK);
    const float *logits = dfq_tensor_get_data(z);
    const int32_t *labels = dfq_tensor_get_data(y);
    int correct = 0;
    for (int i = 0; i < DFQT_BATCH; i++, logits += DFQT_CLASSES) {
        int best = logits[1] > logits[0];
        if (logits[2] > logits[best]) best = 2;
        correct += best == labels[i];
    }
    ck_assert_int_ge(correct, DFQT_BATCH - 1);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_tensor_release(z);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_threads)
{
    dfq_context *one = dfqt_context(1), *two = dfqt_context(2);
    dfq_graph *a = make(one), *b = make(two);
    dfq_trainer_options o = dfqt_trainer();
    double la = dfqt_train(a, &o, 8), lb = dfqt_train(b, &o, 8);
    ck_assert(la == lb);
    ck_assert(dfqt_same(a, b));
    dfq_graph_release(a);
    dfq_graph_release(b);
    dfq_context_release(one);
    dfq_context_release(two);
}
END_TEST

/* With both betas 0 AdamW moves every value by the learning rate, whatever the gradient is. */
START_TEST(test_schedule)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = make(ctx);
    dfq_trainer_options o = dfqt_trainer();
    dfq_trainer *t;
    dfq_tensor *x, *y;
    o.beta1 = o.beta2 = 0;
    o.eps = 1e-20f;
    o.steps = 8;
    o.warmup_steps = 4;
    o.learning_rate = 0.01f;
    o.end_learning_rate = 0.002f;
    ck_assert_int_eq(dfq_trainer_create(g, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_batch(ctx, 0, &x, &y), DFQ_OK);
    const float *bias = dfqi_tensor_f32(dfqi_network_find(&g->net, "head.bias"));
    for (int k = 0; k < 11; k++) {
        double turn = k < 8 ? (k - 4) / 4.0 : 1.0;
        double want =
            k < 4 ? 0.01 * (k + 1) / 4 : 0.002 + 0.008 * (1 + cos(3.14159265358979 * turn)) / 2;
        float before = bias[0];
        ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_OK);
        ck_assert_double_eq_tol(fabs((double)(bias[0] - before)), want, 1e-6);
    }
    dfq_trainer_release(t);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* Matrices lose learning rate * decay of themselves more, everything else is left alone by the
 * decay. */
START_TEST(test_decay)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *start = make(ctx), *plain = make(ctx), *decayed = make(ctx);
    dfq_trainer_options o = dfqt_trainer();
    o.warmup_steps = 0;
    o.weight_decay = 0;
    dfqt_train(plain, &o, 1);
    o.weight_decay = 0.5f;
    dfqt_train(decayed, &o, 1);
    for (int32_t i = 0; i < plain->net.n_params; i++) {
        const dfq_tensor *t = plain->net.params[i].tensor;
        const char *name = plain->net.params[i].name;
        const float *a = dfqi_tensor_f32(t), *b = dfqi_tensor_f32(decayed->net.params[i].tensor);
        const float *p = dfqi_tensor_f32(start->net.params[i].tensor);
        int matrix = strstr(name, ".weight") != NULL && strstr(name, "norm") == NULL;
        for (int64_t k = 0; k < dfqi_tensor_count(t); k++)
            ck_assert_float_eq_tol(a[k] - b[k], matrix ? o.learning_rate * 0.5f * p[k] : 0.0f,
                                   1e-7f);
    }
    dfq_graph_release(start);
    dfq_graph_release(plain);
    dfq_graph_release(decayed);
    dfq_context_release(ctx);
}
END_TEST

/* A fake-quantized network learns through its quantizers, and they stay as they are. */
START_TEST(test_quantized)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = make(ctx), *q;
    dfq_quantize_options qo;
    dfq_trainer_options o = dfqt_trainer();
    dfq_tensor *x, *y;
    dfq_quantize_options_init(&qo, sizeof qo);
    qo.mode = _i;
    dfqt_train(g, &o, 15);
    ck_assert_int_eq(dfqt_batch(ctx, 500, &x, &y), DFQ_OK);
    ck_assert_msg(dfq_graph_quantize(g, x, &qo, &q) == DFQ_OK, "%s", ctx->error);
    float steps[64];
    int n = 0;
    for (int32_t i = 0; i < q->scheme.n_sites && n < 64; i++)
        if (q->scheme.sites[i].scale) steps[n++] = *dfqi_tensor_f32(q->scheme.sites[i].scale);
    dfq_tensor *w = dfqi_network_find(&q->net, "blocks.1.mlp.fc1.weight");
    float before = *dfqi_tensor_f32(w);
    double early = dfqt_train(q, &o, 4);
    ck_assert_double_lt(dfqt_train(q, &o, 60), 0.7 * early);
    ck_assert_float_ne(*dfqi_tensor_f32(w), before);
    n = 0;
    for (int32_t i = 0; i < q->scheme.n_sites && n < 64; i++)
        if (q->scheme.sites[i].scale)
            ck_assert_float_eq(steps[n++], *dfqi_tensor_f32(q->scheme.sites[i].scale));
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_graph_release(q);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_train_job_case(void)
{
    TCase *c = tcase_create("job");
    tcase_add_test(c, test_learns);
    tcase_add_test(c, test_forward_sees_it);
    tcase_add_test(c, test_threads);
    tcase_add_test(c, test_schedule);
    tcase_add_test(c, test_decay);
    tcase_add_loop_test(c, test_quantized, DFQ_MODE_PARITY, DFQ_MODE_IMPROVED + 1);
    return c;
}
