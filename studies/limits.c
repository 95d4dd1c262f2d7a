/* One, two and three hard limits at once (latency, energy, area) on a real space of networks and
 * accelerators: is every feasible case certified, and is every infeasible one called so? What is
 * feasible tells the exact rule. The task loss is a stand-in, a table that falls with the logarithm
 * of a choice's multiply-accumulates, with noise; the costs are the exact ones. HDX's constraint
 * gradient and the projection search each case; SEED draws limits and losses.
 * Usage: study_limits SPACE ACCELERATORS [cases] [steps] [threads] [seed] [hdx|project|all] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "base/progress.h"
#include "base/rng.h"
#include "support.h"

enum { METRICS = 3, PAIRS = 4000, RULES = 2 };

static const int32_t rules[RULES] = {DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_RULE_PROJECT};
static const char *const rule_names[RULES] = {"hdx", "project"};

static dfq_context *ctx;
static const char *only = "all";

static int wanted(int i)
{
    return strcmp(only, "all") == 0 || strcmp(only, rule_names[i]) == 0;
}

static void must(dfq_status status)
{
    if (status == DFQ_OK || status == DFQ_E_INFEASIBLE) return;
    fprintf(stderr, "study_limits: %s\n", ctx ? dfq_context_get_error(ctx) : "");
    exit(1);
}

/* Energy stands for the work of a choice; on the first accelerator. */
static void fill_losses(const dfqi_search_space_costs *c, uint64_t seed, double *loss)
{
    int64_t n = study_accelerators(c), all = study_cell_choices(c);
    dfqi_rng rng = dfqi_rng_make(seed + 5, 0);
    for (int64_t k = 0; k < all; k++)
        loss[k] = -log(1 + 100 * c->cost[(all + k) * n]) + 0.1 * (double)dfqi_rng_normal(&rng);
    for (int32_t f = 0; f < c->n_hw_params; f++)
        for (int32_t k = 0; k < c->choices[c->n_cells + f]; k++) loss[all++] = 0;
}

static dfq_solver_result solve(const dfq_problem *p, int32_t n, const dfq_constraint *limits,
                               int32_t rule, int64_t steps)
{
    dfq_solver *s;
    dfq_solver_options o;
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_solver_options_init(&o, sizeof o);
    o.rule = rule;
    o.steps = steps;
    must(dfq_solver_create(ctx, p, limits, n, &o, &s));
    must(dfq_solver_run(s));
    must(dfq_solver_get_result(s, &r));
    dfq_solver_release(s);
    return r;
}

typedef struct tally {
    int certified, raw, said;
    double gap, worst, raw_gap, seconds;
} tally;

typedef struct reference {
    int feasible, unproved;
    double seconds;
} reference;

/* One rule on one case. */
static void compare(const dfq_problem *p, int32_t n, const dfq_constraint *limits, int32_t rule,
                    int64_t steps, const dfq_solver_result *exact, tally *t)
{
    double start = dfqi_now();
    dfq_solver_result found = solve(p, n, limits, rule, steps);
    t->seconds += dfqi_now() - start;
    if (exact->verdict != DFQ_VERDICT_CERTIFIED) {
        t->said += found.verdict == DFQ_VERDICT_INFEASIBLE;
        return;
    }
    t->raw += found.raw_feasible;
    if (found.raw_feasible) t->raw_gap += (found.raw_loss - exact->loss) / fabs(exact->loss);
    if (found.verdict != DFQ_VERDICT_CERTIFIED) return;
    double gap = (found.loss - exact->loss) / fabs(exact->loss);
    t->certified++;
    t->gap += gap;
    t->worst = fmax(t->worst, gap);
}

static void judge(const dfq_problem *p, int32_t n, const dfq_constraint *limits, int64_t steps,
                  reference *r, tally t[RULES])
{
    double start = dfqi_now();
    dfq_solver_result exact = solve(p, n, limits, DFQ_RULE_EXACT, 1);
    r->seconds += dfqi_now() - start;
    r->unproved += !exact.proved;
    r->feasible += exact.verdict == DFQ_VERDICT_CERTIFIED;
    for (int i = 0; i < RULES; i++)
        if (wanted(i)) compare(p, n, limits, rules[i], steps, &exact, &t[i]);
}

static void print(int32_t n, int cases, const reference *r, const tally t[RULES])
{
    printf("%d limits, %d cases: %d feasible, %d not proved, exact %.2f s a case\n", (int)n, cases,
           r->feasible, r->unproved, r->seconds / cases);
    for (int i = 0; i < RULES; i++)
        if (wanted(i))
            printf("  %s: raw %d by %.3g %%, certified %d by %.3g %% (at worst %.3g %%) above the "
                   "optimum, said infeasible %d of %d; %.3f s a case\n",
                   rule_names[i], t[i].raw, t[i].raw ? 100 * t[i].raw_gap / t[i].raw : 0,
                   t[i].certified, t[i].certified ? 100 * t[i].gap / t[i].certified : 0,
                   100 * t[i].worst, t[i].said, cases - r->feasible, t[i].seconds / cases);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static double sorted[METRICS * PAIRS];
    dfq_context_options options;
    dfqi_search_space space;
    dfqi_search_space_costs c;
    int cases = argc > 3 ? atoi(argv[3]) : 40;
    int64_t steps = argc > 4 ? atoi(argv[4]) : 500;
    uint64_t seed = argc > 6 ? (uint64_t)atoi(argv[6]) : 1;
    if (argc > 7) only = argv[7];
    if (argc < 3) {
        fprintf(stderr, "usage: study_limits SPACE ACCELERATORS [cases] [steps] [threads] [seed] "
                        "[hdx|project|all]\n");
        return 2;
    }
    dfq_context_options_init(&options, sizeof options);
    options.threads = argc > 5 ? atoi(argv[5]) : 0;
    must(dfq_context_create(&options, &ctx));
    must(dfqi_search_space_read(ctx, argv[1], argv[2], &space));
    must(dfqi_search_space_costs_new(ctx, &space, &c));
    int64_t total = study_cell_choices(&c);
    for (int32_t f = 0; f < c.n_hw_params; f++) total += c.choices[c.n_cells + f];
    double *loss = malloc((size_t)total * sizeof *loss);
    if (!loss) return 1;
    fill_losses(&c, seed, loss);
    study_draw_pairs(&c, 5, METRICS, PAIRS, sorted);
    dfq_problem p;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = c.n_cells + c.n_hw_params;
    p.n_hw_params = c.n_hw_params;
    p.n_metrics = METRICS;
    p.choices = c.choices;
    p.loss_table = loss;
    p.cost_table = c.cost;
    p.base_table = c.base;
    dfqi_rng rng = dfqi_rng_make(seed + 6, 0);
    for (int32_t n = 1; n <= METRICS; n++) {
        reference r = {0};
        tally t[RULES] = {{0}};
        for (int i = 0; i < cases; i++) {
            dfq_constraint limits[METRICS] = {{0}};
            int first = n == METRICS ? 0 : i % METRICS;
            for (int j = 0; j < n; j++) {
                int32_t m = (first + j) % METRICS;
                double at = pow(10, -3 + 2.7 * (double)dfqi_rng_range(&rng, 0, 1));
                double shrink = dfqi_rng_below(&rng, 3) ? 1 : 0.4; /* some below all samples */
                limits[j].struct_size = sizeof *limits;
                limits[j].metric = m;
                limits[j].limit = shrink * sorted[m * PAIRS + (int)(at * (PAIRS - 1))];
            }
            judge(&p, n, limits, steps, &r, t);
        }
        print(n, cases, &r, t);
    }
    free(loss);
    dfqi_search_space_costs_fini(&c);
    dfq_context_release(ctx);
    return 0;
}
