/* What is random about a job: rolls, colours, the noise that images begin with. */
#include <math.h>
#include <string.h>

#include "synth/cases.h"
#include "synth/synth_priv.h"

enum { BATCH = 4, ITERATIONS = 40 };

typedef struct rig {
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth *s;
} rig;

static rig start(int32_t multi_scale)
{
    rig r = {.ctx = dfqt_context(1)};
    dfqi_synth_options o = dfqt_options();
    o.images = o.batch = BATCH;
    o.iterations = ITERATIONS;
    o.multi_scale = multi_scale;
    ck_assert_int_eq(dfqt_random_model(r.ctx, &r.m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(r.m, &o, &r.s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_start(r.s), DFQ_OK);
    return r;
}

static void stop(rig *r)
{
    dfqi_synth_release(r->s);
    dfqi_model_release(r->m);
    dfqi_context_release(r->ctx);
}

static double deviation(const float *x, int64_t n)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        square += (double)x[i] * (double)x[i];
    }
    return sqrt(square / (double)n - sum / (double)n * (sum / (double)n));
}

/* Rolls of up to roll_first pixels, in the second half of up to roll_second, all of which occur. */
START_TEST(test_rolls)
{
    rig r = start(1);
    float most[2] = {0, 0};
    r.s->o.roll_first = 2;
    r.s->o.roll_second = 4;
    for (int64_t k = 0; k < 20; k++)
        for (int64_t t = 0; t < ITERATIONS; t++) {
            int half = t >= ITERATIONS / 2;
            r.s->at = k;
            r.s->iteration = t;
            dfqi_draw_augment(r.s, &r.s->by_pixels.draws);
            for (int i = 0; i < 2; i++)
                most[half] = fmaxf(most[half], fabsf(r.s->by_pixels.draws.roll[i]));
        }
    ck_assert_float_eq(most[0], 2);
    ck_assert_float_eq(most[1], 4);
    r.s->at = 0;
    stop(&r);
}
END_TEST

/* The colour offset has deviation 0.5 in the beginning and fades to nothing; contrast does not. */
START_TEST(test_colours)
{
    rig r = start(1);
    double spread[2] = {0, 0};
    for (int64_t t = 0; t < ITERATIONS; t++) {
        const dfqi_draws *d = &r.s->by_pixels.draws;
        r.s->iteration = t;
        dfqi_draw_augment(r.s, &r.s->by_pixels.draws);
        for (int i = 0; i < 3 * BATCH; i++) {
            ck_assert(fabsf(d->mean[i]) <= 1 && fabsf(logf(d->dev[i])) <= 1.0001f);
            if (t == ITERATIONS - 1) ck_assert_float_eq(d->offset[i], 0);
        }
        spread[t >= ITERATIONS / 2] += deviation(d->offset, 3 * BATCH) / (ITERATIONS / 2);
    }
    ck_assert_double_eq_tol(spread[0], 0.36, 0.07); /* 0.5 times the mean of what is left */
    ck_assert_double_eq_tol(spread[1], 0.12, 0.03);
    r.s->iteration = 0;
    stop(&r);
}
END_TEST

/* Pixels begin as N(0, 1); at several scales with a tenth of that, less at fine ones and in
 * colour. */
START_TEST(test_first_images)
{
    rig r = start(_i);
    int64_t n = BATCH * DFQT_PIXELS;
    double all = deviation(r.s->x, n);
    if (_i == 0)
        ck_assert_double_eq_tol(all, 1.0, 0.05);
    else
        ck_assert(all > 0.05 && all < 0.3);
    stop(&r);
}
END_TEST

TCase *dfqt_draw_case(void)
{
    TCase *t = tcase_create("draw");
    tcase_add_test(t, test_rolls);
    tcase_add_test(t, test_colours);
    tcase_add_loop_test(t, test_first_images, 0, 2);
    return t;
}
