/* Estimates of what choices contribute: exact sums are found, noise that the paths of a round share
 * does not matter, and old rounds fade. */
#include "explore/coexplore/effects.h"

#include <math.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { CELLS = 4, TOTAL = 11, PATHS = 4 };

static const int32_t choices[CELLS] = {3, 2, 3, 3};

/* `sign` times fixed effects, each cell's with mean 0. */
static double effect(int i, double sign)
{
    static const double of[TOTAL] = {.3, -.1, -.2, .05, -.05, 0, .4, -.4, -.2, .1, .1};
    return sign * of[i];
}

static void teach(dfqi_effects *f, int rounds, uint64_t seed, double sign, double shared)
{
    dfqi_rng r = dfqi_rng_make(seed, 0);
    for (int k = 0; k < rounds; k++) {
        int32_t paths[PATHS * CELLS];
        double losses[PATHS], batch = shared * (double)dfqi_rng_normal(&r);
        for (int i = 0; i < PATHS; i++) {
            losses[i] = 2 + batch;
            for (int c = 0; c < CELLS; c++) {
                int32_t v = (int32_t)dfqi_rng_below(&r, (uint32_t)choices[c]);
                paths[i * CELLS + c] = v;
                losses[i] += effect(f->first[c] + v, sign);
            }
        }
        dfqi_effects_add(f, PATHS, paths, losses);
    }
}

static double error(const dfqi_effects *f, double sign)
{
    double most = 0;
    for (int i = 0; i < TOTAL; i++) most = fmax(most, fabs(f->e[i] - effect(i, sign)));
    return most;
}

START_TEST(sums_are_found_under_shared_noise)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_effects f;
    double p[TOTAL] = {1, 0, 0, .5, .5, 0, 1, 0, 0, 0, 1};
    ck_assert_int_eq(dfqi_effects_new(ctx, CELLS, choices, 1, &f), DFQ_OK);
    ck_assert_double_eq(dfqi_effects_loss(&f, p), 0);
    teach(&f, 3, 1, 1, 5);
    double few = error(&f, 1);
    teach(&f, 400, 2, 1, 0.2);
    ck_assert_double_lt(error(&f, 1), few);
    ck_assert_double_le(error(&f, 1), 0.01);
    ck_assert_double_le(fabs(f.level - 2), 0.2); /* of three rounds one may be far off */
    double want = f.level + effect(0, 1) + effect(6, 1) + effect(10, 1);
    ck_assert_double_le(fabs(dfqi_effects_loss(&f, p) - want), 0.03);
    dfqi_effects_fini(&f);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(old_rounds_fade)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_effects f, all;
    ck_assert_int_eq(dfqi_effects_new(ctx, CELLS, choices, 0.99, &f), DFQ_OK);
    ck_assert_int_eq(dfqi_effects_new(ctx, CELLS, choices, 1, &all), DFQ_OK);
    teach(&f, 200, 1, 1, 1);
    teach(&all, 600, 1, 1, 1);
    teach(&f, 600, 2, -1, 1);
    teach(&all, 600, 2, -1, 1);
    ck_assert_double_le(error(&f, -1), 0.08);
    ck_assert_double_ge(error(&all, -1), 0.2);
    dfqi_effects_fini(&f);
    dfqi_effects_fini(&all);
    dfq_context_release(ctx);
}
END_TEST

/* The mean of the gradients of each choice, by hand; those of choices that were not taken stay
 * 0. */
START_TEST(gates_are_averaged)
{
    static const int32_t paths[2 * CELLS] = {0, 1, 2, 0, 0, 0, 1, 0};
    static const double losses[2] = {2, 3}, gates[2 * CELLS] = {1, 2, 3, 4, 3, 1, -1, 0};
    static const double want[TOTAL] = {2, 0, 0, 1, 2, 0, -1, 3, 2, 0, 0};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_effects f;
    ck_assert_int_eq(dfqi_effects_new(ctx, CELLS, choices, 1, &f), DFQ_OK);
    for (int i = 0; i < 100000; i++) dfqi_effects_add_gates(&f, 2, paths, losses, gates);
    for (int i = 0; i < TOTAL; i++) ck_assert_double_eq_tol(f.e[i], want[i], 1e-3);
    double mean[TOTAL] = {1, 0, 0, .5, .5, 0, .5, .5, 1, 0, 0};
    ck_assert_double_eq_tol(dfqi_effects_loss(&f, mean), 2.5, 1e-3); /* the mean loss */
    dfqi_effects_fini(&f);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_effects_case(void)
{
    TCase *c = tcase_create("effects");
    tcase_add_test(c, sums_are_found_under_shared_noise);
    tcase_add_test(c, old_rounds_fade);
    tcase_add_test(c, gates_are_averaged);
    return c;
}
