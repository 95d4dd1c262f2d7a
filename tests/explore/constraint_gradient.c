/* The constraint gradient: cases done by hand, the variants, and the quadratic programme against a
 * search over the multipliers. */
#include "explore/solver/constraint_gradient_priv.h"

#include <math.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { N = 6 };

static double dot(const double *a, const double *b, const double *p)
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += a[i] * b[i] * (p ? p[i] : 1);
    return sum;
}

/* g = (1, 0), c = (-1, 1), delta = .5 gives m = (-.75, .75), and (g + m).c = .5. */
START_TEST(one_constraint)
{
    const double g[2] = {1, 0}, c[2] = {-1, 1};
    double m[2];
    dfqi_constraint_gradient q = {
        .strict = true, .n = 2, .g = g, .n_rows = 1, .rows = {c}, .delta = {0.5}};
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq_tol(m[0], -0.75, 1e-12);
    ck_assert_double_eq_tol(m[1], 0.75, 1e-12);
    ck_assert_double_eq((g[0] + m[0]) * c[0] + (g[1] + m[1]) * c[1], 0.5);
}
END_TEST

/* Nothing violated: m is 0. */
START_TEST(no_constraint)
{
    const double g[2] = {1, 0};
    double m[2] = {7, 7};
    dfqi_constraint_gradient q = {.strict = true, .n = 2, .g = g};
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq(m[0], 0);
    ck_assert_double_eq(m[1], 0);
}
END_TEST

/* Orthogonal rows act as each alone. */
START_TEST(orthogonal_rows)
{
    const double g[3] = {1, -2, 3}, a[3] = {-1, 1, 0}, b[3] = {1, 1, -2};
    double both[3], first[3], second[3];
    dfqi_constraint_gradient q = {
        .strict = true, .n = 3, .g = g, .n_rows = 2, .rows = {a, b}, .delta = {0.5, 0.25}};
    dfqi_constraint_gradient_solve(&q, both);
    q = (dfqi_constraint_gradient){
        .strict = true, .n = 3, .g = g, .n_rows = 1, .rows = {a}, .delta = {0.5}};
    dfqi_constraint_gradient_solve(&q, first);
    q = (dfqi_constraint_gradient){
        .strict = true, .n = 3, .g = g, .n_rows = 1, .rows = {b}, .delta = {0.25}};
    dfqi_constraint_gradient_solve(&q, second);
    for (int i = 0; i < 3; i++) ck_assert_double_eq_tol(both[i], first[i] + second[i], 1e-11);
    ck_assert_double_ne(both[2], 0);
}
END_TEST

/* A linear t falls by rate delta, also with a preconditioner. */
START_TEST(falls_by_delta)
{
    const double rate = 0.1, delta = 0.03;
    for (uint64_t seed = 0; seed < 50; seed++) {
        dfqi_rng r = dfqi_rng_make(seed, 1);
        double g[N], c[N], p[N], m[N], fall = 0;
        for (int i = 0; i < N; i++) {
            g[i] = (double)dfqi_rng_normal(&r);
            c[i] = (double)dfqi_rng_normal(&r);
            p[i] = seed % 2 ? (double)dfqi_rng_range(&r, 0.5F, 2) : 1;
        }
        if (dot(g, c, p) > 0)
            for (int i = 0; i < N; i++) g[i] = -g[i];
        dfqi_constraint_gradient q = {.strict = true,
                                      .n = N,
                                      .g = g,
                                      .precondition = p,
                                      .n_rows = 1,
                                      .rows = {c},
                                      .delta = {delta}};
        dfqi_constraint_gradient_solve(&q, m);
        for (int i = 0; i < N; i++) fall += c[i] * rate * p[i] * (g[i] + m[i]);
        ck_assert_double_eq_tol(fall, rate * delta, 1e-6);
    }
}
END_TEST

/* Between 0 and delta: changed when strict, left alone by the published test. */
START_TEST(dead_zone)
{
    const double g[2] = {1, 0.01}, c[2] = {0, 1};
    double m[2];
    dfqi_constraint_gradient q = {
        .strict = true, .n = 2, .g = g, .n_rows = 1, .rows = {c}, .delta = {0.5}};
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq_tol(m[1], 0.49, 1e-12);
    q.strict = false;
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq(m[1], 0);
}
END_TEST

START_TEST(guards)
{
    const double g[2] = {1, 0}, nothing[2] = {1e-7, 0}, tiny[2] = {-1e-5, 0}, back[2] = {1e-5, 0};
    double m[2];
    dfqi_constraint_gradient q = {
        .strict = true, .n = 2, .g = g, .n_rows = 1, .rows = {nothing}, .delta = {1}};
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq(m[0], 0);
    q.rows[0] = tiny; /* asks for 1e5 */
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq_tol(m[0], -10.001, 1e-9);
    q.n_rows = 2; /* contradicting demands: their sum asks for nothing that can be had */
    q.rows[1] = back;
    q.delta[1] = 1;
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq(m[0], 0);
    q.rows[1] = tiny; /* the same twice is one */
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq_tol(m[0], -10.001, 1e-9);
}
END_TEST

/* Conflicting, not opposite: the sum is what is asked for. */
START_TEST(fallback_is_the_sum)
{
    const double g[2] = {0, 0}, a[2] = {1, 0}, b[2] = {-3, 0};
    double m[2];
    dfqi_constraint_gradient q = {
        .strict = true, .n = 2, .g = g, .n_rows = 2, .rows = {a, b}, .delta = {1e-5, 2e-5}};
    dfqi_constraint_gradient_solve(&q, m);
    ck_assert_double_eq_tol(m[0], 3e-5 / 4 * -2, 1e-15);
}
END_TEST

/* The least 1/2 lam.M lam - lam.b over lam >= 0 by coordinate descent: slow and plain. */
static void brute(int n, double rows[3][N], const double *g, const double *p, const double *delta,
                  double *m)
{
    double lam[3] = {0};
    for (int round = 0; round < 5000; round++)
        for (int i = 0; i < n; i++) {
            double rest = delta[i] - dot(g, rows[i], p), own = dot(rows[i], rows[i], p);
            for (int j = 0; j < n; j++)
                if (j != i) rest -= lam[j] * dot(rows[i], rows[j], p);
            lam[i] = fmax(rest / own, 0);
        }
    for (int i = 0; i < N; i++) {
        m[i] = 0;
        for (int j = 0; j < n; j++) m[i] += lam[j] * rows[j][i];
    }
}

START_TEST(random_programmes)
{
    int active[4] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        dfqi_rng r = dfqi_rng_make(seed, 2);
        double g[N], p[N], rows[3][N], delta[3], m[N], expected[N];
        int n = 1 + (int)(seed % 3), met = 0;
        for (int i = 0; i < N; i++) {
            g[i] = (double)dfqi_rng_normal(&r);
            p[i] = seed % 2 ? (double)dfqi_rng_range(&r, 0.2F, 3) : 1;
        }
        for (int j = 0; j < n; j++) {
            delta[j] = (double)dfqi_rng_range(&r, 0.01F, 1);
            for (int i = 0; i < N; i++) rows[j][i] = (double)dfqi_rng_normal(&r);
        }
        dfqi_constraint_gradient q = {.strict = true,
                                      .n = N,
                                      .g = g,
                                      .precondition = p,
                                      .n_rows = n,
                                      .rows = {rows[0], rows[1], rows[2]}};
        for (int j = 0; j < n; j++) q.delta[j] = delta[j];
        dfqi_constraint_gradient_solve(&q, m);
        brute(n, rows, g, p, delta, expected);
        for (int j = 0; j < n; j++) {
            double got = dot(g, rows[j], p) + dot(m, rows[j], p);
            ck_assert_double_ge(got, delta[j] - 1e-9);
            met += got <= delta[j] + 1e-9;
        }
        active[met]++;
        for (int i = 0; i < N; i++) ck_assert_double_eq_tol(m[i], expected[i], 1e-6);
    }
    for (int k = 0; k < 4; k++) ck_assert_int_gt(active[k], 5);
}
END_TEST

START_TEST(delta_grows)
{
    double d = 1e-3;
    for (int i = 0; i < 694; i++) d = dfqi_constraint_gradient_delta(d, 1e-3, 1e-2, true);
    ck_assert_double_eq_tol(d, 1, 0.01); /* 694 steps from 1e-3 to 1 */
    ck_assert_double_eq(dfqi_constraint_gradient_delta(d, 1e-3, 1e-2, false), 1e-3);
    for (int i = 0; i < 100000; i++) d = dfqi_constraint_gradient_delta(d, 1e-3, 1, true);
    ck_assert(isfinite(d));
}
END_TEST

TCase *dfqt_constraint_gradient_case(void)
{
    TCase *c = tcase_create("constraint gradient");
    tcase_add_test(c, one_constraint);
    tcase_add_test(c, no_constraint);
    tcase_add_test(c, orthogonal_rows);
    tcase_add_test(c, falls_by_delta);
    tcase_add_test(c, dead_zone);
    tcase_add_test(c, guards);
    tcase_add_test(c, fallback_is_the_sum);
    tcase_add_test(c, random_programmes);
    tcase_add_test(c, delta_grows);
    return c;
}
