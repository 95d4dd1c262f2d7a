/* Random problems, and what a plain enumeration says of them. */
#include <dfq/context.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { GROUPS = DFQT_CELLS + DFQT_HW_PARAMS, ALL = 243 * 6 };

dfq_context *dfqt_explore_context(void)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = 1};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

void dfqt_problem_make(uint64_t seed, dfqt_problem *out)
{
    static const char *const names[] = {"latency_ms", "energy_mj", "area_mm2"};
    static const int32_t choices[GROUPS] = {3, 3, 3, 3, 3, 3, 2};
    dfqi_rng r = dfqi_rng_make(seed, 5);
    memcpy(out->choices, choices, sizeof choices);
    for (int i = 0; i < DFQT_TOTAL; i++) out->loss[i] = (double)dfqi_rng_range(&r, -2, 0);
    for (int i = 15; i < DFQT_TOTAL; i++) out->loss[i] *= 0.1;
    for (size_t i = 0; i < sizeof out->cost / sizeof *out->cost; i++) {
        size_t at = i / DFQT_CONFIGS % 15;
        out->cost[i] = (double)dfqi_rng_range(&r, 0.5F, 1.5F) * (1 - out->loss[at]);
    }
    for (size_t i = 0; i < sizeof out->base / sizeof *out->base; i++)
        out->base[i] = (double)dfqi_rng_range(&r, 0, 2);
    dfq_problem_init(&out->problem, sizeof out->problem);
    out->problem.n_groups = GROUPS;
    out->problem.n_hw_params = DFQT_HW_PARAMS;
    out->problem.n_metrics = DFQT_METRICS;
    out->problem.choices = out->choices;
    out->problem.metrics = names;
    out->problem.loss_table = out->loss;
    out->problem.cost_table = out->cost;
    out->problem.base_table = out->base;
}

double dfqt_problem_loss(const dfqt_problem *p, const int32_t *choice)
{
    double sum = 0;
    for (int g = 0; g < DFQT_CELLS; g++) sum += p->loss[3 * g + choice[g]];
    return sum + p->loss[15 + choice[5]] + p->loss[18 + choice[6]];
}

void dfqt_problem_costs(const dfqt_problem *p, const int32_t *choice, double *costs)
{
    int config = choice[5] * 2 + choice[6];
    for (int j = 0; j < DFQT_METRICS; j++) {
        costs[j] = p->base[j * DFQT_CONFIGS + config];
        for (int g = 0; g < DFQT_CELLS; g++)
            costs[j] += p->cost[(j * 15 + 3 * g + choice[g]) * DFQT_CONFIGS + config];
    }
}

static void nth(int n, int32_t *choice)
{
    static const int32_t sizes[GROUPS] = {3, 3, 3, 3, 3, 3, 2};
    for (int g = 0; g < GROUPS; g++, n /= sizes[g - 1]) choice[g] = n % sizes[g];
}

double dfqt_problem_brute(const dfqt_problem *p, const dfq_constraint *limits, int32_t n,
                          int32_t aim)
{
    double best = INFINITY;
    for (int i = 0; i < ALL; i++) {
        int32_t choice[GROUPS];
        double costs[DFQT_METRICS];
        int meets = 1;
        nth(i, choice);
        dfqt_problem_costs(p, choice, costs);
        for (int32_t j = 0; j < n; j++)
            meets =
                meets && (limits[j].metric == aim || costs[limits[j].metric] <= limits[j].limit);
        double v = aim >= 0 ? costs[aim] : dfqt_problem_loss(p, choice);
        if (meets) best = fmin(best, v);
    }
    return best;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double dfqt_problem_quantile(const dfqt_problem *p, int32_t metric, double share)
{
    double v[ALL], costs[DFQT_METRICS];
    for (int i = 0; i < ALL; i++) {
        int32_t choice[GROUPS];
        nth(i, choice);
        dfqt_problem_costs(p, choice, costs);
        v[i] = costs[metric];
    }
    qsort(v, ALL, sizeof *v, ascending);
    return v[(int)(share * (ALL - 1))];
}

dfq_solver_metric dfqt_metric(const dfq_solver *s, int32_t metric)
{
    dfq_solver_metric m = {.struct_size = sizeof m};
    ck_assert_int_eq(dfq_solver_get_metric(s, metric, &m), DFQ_OK);
    return m;
}
