/* Optimisers and the schedule against their formulas in double. */
#include "nn/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/each.h"

enum { COUNT = 40000, STEPS = 12 }; /* more than one chunk */

static void check(const dfqi_optim_options *o)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_rng rng = dfqi_rng_make(3, 0);
    dfqi_moments s;
    float *p = calloc(COUNT, sizeof *p), *g = calloc(COUNT, sizeof *g);
    float *move = calloc(COUNT, sizeof *move);
    double *q = calloc(COUNT, sizeof *q), *m = calloc(COUNT, sizeof *m);
    double *v = calloc(COUNT, sizeof *v);
    ck_assert_int_eq(dfqi_moments_new(ctx, o->kind, COUNT, &s), DFQ_OK);
    for (int i = 0; i < COUNT; i++) q[i] = (double)(p[i] = dfqi_rng_range(&rng, -1, 1));
    for (int t = 1; t <= STEPS; t++) {
        double lr = 0.05 / t, b1 = (double)o->beta1, b2 = (double)o->beta2;
        double decay = (double)o->weight_decay, mu = (double)o->momentum;
        for (int i = 0; i < COUNT; i++) {
            double d = (double)(g[i] = dfqi_rng_range(&rng, -1, 1));
            q[i] -= lr * decay * q[i];
            if (o->kind == DFQI_SGD) {
                v[i] = t == 1 ? d : mu * v[i] + d;
                q[i] -= lr * (d + mu * v[i]);
            } else if (o->kind == DFQI_RMSPROP) {
                v[i] = b2 * v[i] + (1 - b2) * d * d;
                q[i] -= lr * d / (sqrt(v[i]) + (double)o->eps);
            } else {
                m[i] = b1 * m[i] + (1 - b1) * d;
                v[i] = b2 * v[i] + (1 - b2) * d * d;
                q[i] -= lr * (m[i] / (1 - pow(b1, t))) /
                        (sqrt(v[i] / (1 - pow(b2, t))) + (double)o->eps);
            }
        }
        dfqi_optim_direction(ctx, o, &s, t, g, move);
        for (int i = 0; i < COUNT; i++)
            move[i] = p[i] - (float)lr * (move[i] + o->weight_decay * p[i]);
        dfqi_optim_step(ctx, o, &s, t, (float)lr, g, p);
        for (int i = 0; i < COUNT; i++)
            dfqt_each(fabsf(move[i] - p[i]) < 1e-6f, "p[%d] is %g, expected %g", i, (double)p[i],
                      (double)move[i]);
    }
    for (int i = 0; i < COUNT; i++)
        dfqt_each(fabs((double)p[i] - q[i]) < 1e-5, "p[%d] is %g, expected %g", i, (double)p[i],
                  q[i]);
    dfqi_moments_fini(ctx, &s);
    dfqi_moments_fini(ctx, &s);
    free(p), free(g), free(move), free(q), free(m), free(v);
    dfq_context_release(ctx);
}

START_TEST(test_sgd)
{
    dfqi_optim_options o = {.kind = DFQI_SGD, .momentum = 0.9f, .weight_decay = _i ? 0.1f : 0};
    check(&o);
}
END_TEST

START_TEST(test_adamw)
{
    dfqi_optim_options o = {.kind = DFQI_ADAMW,
                            .beta1 = 0.9f,
                            .beta2 = 0.999f,
                            .eps = 1e-8f,
                            .weight_decay = _i ? 0.1f : 0};
    check(&o);
}
END_TEST

START_TEST(test_rmsprop)
{
    dfqi_optim_options o = {
        .kind = DFQI_RMSPROP, .beta2 = 0.99f, .eps = 1e-8f, .weight_decay = _i ? 0.1f : 0};
    check(&o);
}
END_TEST

START_TEST(test_cosine)
{
    ck_assert(dfqi_cosine(0, 100, 0, 0.1f, 0.01f) == 0.1f);
    ck_assert(fabsf(dfqi_cosine(50, 100, 0, 0.1f, 0.01f) - 0.055f) < 1e-6f);
    ck_assert(fabsf(dfqi_cosine(100, 100, 0, 0.1f, 0.01f) - 0.01f) < 1e-6f);
    ck_assert(fabsf(dfqi_cosine(25, 100, 0, 1, 0) - 0.85355339f) < 1e-6f);
    /* the warm-up reaches the top in its last step */
    ck_assert(fabsf(dfqi_cosine(0, 100, 10, 0.1f, 0) - 0.01f) < 1e-7f);
    ck_assert(dfqi_cosine(9, 100, 10, 0.1f, 0) == 0.1f);
    ck_assert(dfqi_cosine(10, 100, 10, 0.1f, 0) == 0.1f);
    for (int t = 10; t < 100; t++)
        ck_assert(dfqi_cosine(t + 1, 100, 10, 0.1f, 0) < dfqi_cosine(t, 100, 10, 0.1f, 0));
    ck_assert(dfqi_cosine(5, 5, 5, 0.1f, 0.01f) == 0.01f);
}
END_TEST

TCase *dfqt_optim_case(void)
{
    TCase *c = tcase_create("optim");
    tcase_add_loop_test(c, test_sgd, 0, 2);
    tcase_add_loop_test(c, test_adamw, 0, 2);
    tcase_add_loop_test(c, test_rmsprop, 0, 2);
    tcase_add_test(c, test_cosine);
    return c;
}
