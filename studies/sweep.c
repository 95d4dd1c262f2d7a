/* How many searches a person makes until the limits are met: rules with a weight double it after
 * each search whose likeliest choices exceed a limit, HDX and Frank-Wolfe keep a larger margin. 18
 * instances of the toy study, and 18 of the toy with an accelerator, where HDX also searches with
 * DANCE's networks, GEN with and without EST, trained for each problem. With a
 * RULE, that row alone. Usage: study_sweep [RULE] */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore/cost_networks/evaluator.h"
#include "explore/cost_networks/hw_generator.h"
#include "explore/solver/solver.h"
#include "support/toy_problem.h"

enum { SEEDS = 6, SHARES = 3, INSTANCES = SEEDS * SHARES, SWEEP = 12, MARGINS = 6 };
enum { TABLES, WITH_GEN, WITH_GEN_AND_EST };

static const char *only; /* NULL: all rules */

static const double shares[SHARES] = {0.25, 0.10, 0.05};
static const double margins[MARGINS] = {0, 0.01, 0.02, 0.04, 0.08, 0.16};

typedef struct method {
    const char *name;
    int32_t rule, optimizer;
    double first;  /* weight of the first search; 0: margins are swept */
    int32_t pairs; /* 1: with an accelerator only */
    int32_t networks;
} method;

static const method methods[] = {
    {"DANCE, ProxylessNAS add#linear", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 1, 0, TABLES},
    {"ProxylessNAS mul#log", DFQ_RULE_PRODUCT, DFQ_OPTIMIZER_ADAMW, 0.3, 0, TABLES},
    {"soft penalty, SGD", DFQ_RULE_PENALTY, DFQ_OPTIMIZER_SGD, 1, 0, TABLES},
    {"TF-NAS, SGD", DFQ_RULE_ABSOLUTE, DFQ_OPTIMIZER_SGD, 1, 0, TABLES},
    {"network first", DFQ_RULE_NETWORK_FIRST, DFQ_OPTIMIZER_ADAMW, 1, 1, TABLES},
    {"Auto-NBA", DFQ_RULE_ALTERNATE, DFQ_OPTIMIZER_ADAMW, 1, 1, TABLES},
    {"Frank-Wolfe", DFQ_RULE_FRANK_WOLFE, DFQ_OPTIMIZER_SGD, 0, 0, TABLES},
    {"HDX, SGD", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_SGD, 0, 0, TABLES},
    {"HDX, Adam", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_ADAMW, 0, 0, TABLES},
    {"projection", DFQ_RULE_PROJECT, DFQ_OPTIMIZER_SGD, 0, 0, TABLES},
    {"HDX, Adam, GEN", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_ADAMW, 0, 1, WITH_GEN},
    {"HDX, Adam, GEN and EST", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_ADAMW, 0, 1,
     WITH_GEN_AND_EST},
};
enum { METHODS = sizeof methods / sizeof *methods };

static int wanted(int m, int pairs)
{
    return pairs >= methods[m].pairs && (!only || strcmp(only, methods[m].name) == 0);
}

static int any_networks(void)
{
    for (int m = 0; m < METHODS; m++)
        if (wanted(m, 1) && methods[m].networks != TABLES) return 1;
    return 0;
}

/* One problem with its limits. */
typedef struct instance {
    dfq_problem p;
    dfq_constraint limits[TOY_METRICS];
    int32_t n_limits;
    double best; /* loss of the optimum */
    dfqi_evaluator *est;
    dfqi_gen *gen;
} instance;

/* What a method reached. */
typedef struct tally {
    int first, ever, searches, most, certified;
    double quality,
        repaired; /* gain over the optimum's: of the likeliest choices, of the certified */
} tally;

static dfq_status solve(dfq_context *ctx, const instance *x, const method *m, double knob,
                        dfq_solver_result *out)
{
    static double shifted[TOY_TOTAL + TOY_WIDTHS];
    double shift = 0;
    dfq_solver_options o;
    dfq_problem p = x->p;
    dfqi_hw_params hw_params;
    dfqi_solver_info info;
    dfqi_solver *s;
    dfq_solver_options_init(&o, sizeof o);
    o.rule = m->rule;
    o.optimizer = m->optimizer;
    if (m->first == 0)
        o.margin = knob;
    else if (m->rule == DFQ_RULE_PENALTY || m->rule == DFQ_RULE_ABSOLUTE ||
             m->rule == DFQ_RULE_PRODUCT)
        o.penalty = knob;
    else
        o.cost_weight = knob;
    if (m->rule == DFQ_RULE_PRODUCT) { /* gains are losses below 0, which no factor can weigh */
        shift = 2 * TOY_CELLS * 2.5;
        for (int i = 0; i < TOY_TOTAL; i++) shifted[i] = x->p.loss_table[i] + shift / TOY_CELLS;
        p.loss_table = shifted;
    }
    if (m->networks != TABLES) {
        hw_params = dfqi_gen_hw_params(x->gen);
        o.hw_learning_rate = 2e-3;
    }
    if (m->networks == WITH_GEN_AND_EST) {
        o.gumbel = 1;
        p.cost_table = p.base_table = NULL;
        p.costs = dfqi_evaluator_costs;
        p.exact = dfqi_evaluator_exact;
        p.user = x->est;
    }
    dfq_status status = dfqi_solver_new_with(ctx, &p, x->limits, x->n_limits, &o,
                                             m->networks != TABLES ? &hw_params : NULL, &s);
    if (status != DFQ_OK) return status;
    status = dfqi_solver_run(s);
    dfqi_solver_result(s, &info);
    *out = info.result;
    dfqi_solver_release(s);
    out->loss -= shift;
    out->raw_loss -= shift;
    return status == DFQ_E_INFEASIBLE ? DFQ_OK : status;
}

/* Searches until the likeliest choices meet the limits. */
static dfq_status sweep(dfq_context *ctx, const instance *x, const method *m, tally *t)
{
    int most = m->first > 0 ? SWEEP : MARGINS, n = 0;
    dfq_solver_result r = {.raw_feasible = 0};
    while (n < most && !r.raw_feasible) {
        double knob = m->first > 0 ? m->first * (double)(1 << n) : margins[n];
        dfq_status status = solve(ctx, x, m, knob, &r);
        if (status != DFQ_OK) return status;
        n++;
    }
    t->searches += n;
    t->most = n > t->most ? n : t->most;
    t->first += n == 1 && r.raw_feasible;
    if (r.raw_feasible) {
        t->ever++;
        t->quality += r.raw_loss / x->best;
    }
    if (r.verdict == DFQ_VERDICT_CERTIFIED) {
        t->certified++;
        t->repaired += r.loss / x->best;
    }
    return DFQ_OK;
}

static dfq_status find_optimum(dfq_context *ctx, instance *x)
{
    static const method exact = {"exact", DFQ_RULE_EXACT, DFQ_OPTIMIZER_SGD, 0, 0, TABLES};
    dfq_solver_result r;
    dfq_status status = solve(ctx, x, &exact, 0, &r);
    if (status == DFQ_OK && (r.verdict != DFQ_VERDICT_CERTIFIED || !r.proved))
        printf("an instance without a proved optimum: verdict %d\n", (int)r.verdict);
    x->best = r.loss;
    return status;
}

static void fill_toy(const toy *t, int seed, double share, instance *x)
{
    x->p.n_groups = TOY_CELLS;
    x->p.n_metrics = 1;
    x->p.choices = t->choices;
    x->p.loss_table = t->loss;
    x->p.cost_table = t->latency;
    x->n_limits = 1;
    x->limits[0].limit = toy_quantile(t, (uint64_t)seed, share);
}

static void fill_pair(const toy_pair *t, int seed, double share, instance *x)
{
    x->p.n_groups = TOY_CELLS + TOY_HW_PARAMS;
    x->p.n_hw_params = TOY_HW_PARAMS;
    x->p.n_metrics = TOY_METRICS;
    x->p.choices = t->choices;
    x->p.loss_table = t->loss;
    x->p.cost_table = t->cost;
    x->p.base_table = t->base;
    x->n_limits = TOY_METRICS;
    for (int j = 0; j < TOY_METRICS; j++)
        x->limits[j] =
            (dfq_constraint){sizeof(dfq_constraint), j,
                             toy_pair_quantile(t, (uint64_t)seed, j, j == 0 ? share : 0.5)};
}

/* DANCE's networks for one problem. */
static dfq_status train(dfq_context *ctx, instance *x)
{
    dfqi_mlp_options e;
    dfqi_mlp_options g;
    dfqi_mlp_defaults(&e);
    e.width = 128;
    e.blocks = 2;
    e.batch = 512;
    e.steps = 8000;
    dfqi_mlp_defaults(&g);
    g.width = 64;
    g.blocks = 2;
    g.batch = 256;
    g.steps = 300;
    dfq_status status = dfqi_evaluator_new(ctx, &x->p, &e, &x->est);
    if (status == DFQ_OK) status = dfqi_evaluator_train(x->est);
    if (status == DFQ_OK) status = dfqi_gen_new(ctx, &x->p, &g, &x->gen);
    if (status == DFQ_OK) status = dfqi_gen_train(x->gen);
    if (status != DFQ_OK) return status;
    dfqi_evaluator_quality q = dfqi_evaluator_judged(x->est);
    fprintf(stderr, "EST: %.2f %%, %.2f %%; GEN: %.1f %%\n", 100 * q.mean[0], 100 * q.mean[1],
            100 * dfqi_gen_judged(x->gen).all);
    return DFQ_OK;
}

static dfq_status study(dfq_context *ctx, int pairs, tally tallies[METHODS])
{
    static toy t;
    static toy_pair pair;
    instance x = {.n_limits = 0};
    dfq_status status = DFQ_OK;
    for (int i = 0; i < INSTANCES && status == DFQ_OK; i++) {
        int seed = i / SHARES;
        dfqi_evaluator *est = x.est;
        dfqi_gen *gen = x.gen;
        x = (instance){.est = est, .gen = gen};
        dfq_problem_init(&x.p, sizeof x.p);
        toy_make((uint64_t)seed, &t);
        if (pairs) toy_pair_make((uint64_t)seed, &pair);
        if (pairs)
            fill_pair(&pair, seed, shares[i % SHARES], &x);
        else
            fill_toy(&t, seed, shares[i % SHARES], &x);
        if (pairs && i % SHARES == 0 && any_networks()) {
            dfqi_evaluator_release(x.est);
            dfqi_gen_release(x.gen);
            x.est = NULL;
            x.gen = NULL;
            status = train(ctx, &x);
        }
        if (status == DFQ_OK) status = find_optimum(ctx, &x);
        for (int m = 0; m < METHODS && status == DFQ_OK; m++)
            if (wanted(m, pairs)) status = sweep(ctx, &x, &methods[m], &tallies[m]);
    }
    dfqi_evaluator_release(x.est);
    dfqi_gen_release(x.gen);
    return status;
}

static void print(int pairs, const tally tallies[METHODS])
{
    printf("\n%s\n\n| rule | met by the first search | met at last | searches, mean | most | its "
           "quality | certified | quality |\n|---|---|---|---|---|---|---|---|\n",
           pairs ? "With an accelerator: latency, energy and area limited" : "Network alone");
    for (int m = 0; m < METHODS; m++) {
        const tally *t = &tallies[m];
        char own[16] = "-", repaired[16] = "-";
        if (!wanted(m, pairs)) continue;
        if (t->ever) snprintf(own, sizeof own, "%.4f", t->quality / t->ever);
        if (t->certified) snprintf(repaired, sizeof repaired, "%.4f", t->repaired / t->certified);
        printf("| %s | %d/%d | %d/%d | %.1f | %d | %s | %d/%d | %s |\n", methods[m].name, t->first,
               INSTANCES, t->ever, INSTANCES, (double)t->searches / INSTANCES, t->most, own,
               t->certified, INSTANCES, repaired);
    }
}

int main(int argc, char **argv)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = 1};
    dfq_context *ctx;
    clock_t start = clock();
    only = argc > 1 ? argv[1] : NULL;
    if (dfq_context_create(&o, &ctx) != DFQ_OK) return EXIT_FAILURE;
    for (int pairs = 0; pairs < 2; pairs++) {
        tally tallies[METHODS] = {{0}};
        if (study(ctx, pairs, tallies) != DFQ_OK) {
            fprintf(stderr, "%s\n", dfq_context_get_error(ctx));
            return EXIT_FAILURE;
        }
        print(pairs, tallies);
        fflush(stdout);
    }
    printf("\n%.1f s\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    dfq_context_release(ctx);
    return EXIT_SUCCESS;
}
