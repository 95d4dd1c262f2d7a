/* The toy study of hard constraints (studies/constraints.md): every rule on 18 instances, 3 limits
 * of 6 problems, beside the exact optimum. Usage: study_toy [FOLDER]; with a folder, the
 * trajectories of the first instance are written there, one CSV for each rule. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/toy_problem.h"

enum { SEEDS = 6, SHARES = 3 };

static const double shares[SHARES] = {0.25, 0.10, 0.05};

typedef struct rule {
    const char *name, *file;
    int32_t rule, optimizer, joint, as_published;
    double weight, margin; /* weight: cost_weight or penalty */
} rule;

static const rule rules[] = {
    {"penalty 1, SGD", "penalty1", DFQ_RULE_PENALTY, DFQ_OPTIMIZER_SGD, 0, 0, 1, 0},
    {"penalty 10, SGD", "penalty10", DFQ_RULE_PENALTY, DFQ_OPTIMIZER_SGD, 0, 0, 10, 0},
    {"penalty 100, SGD", "penalty100", DFQ_RULE_PENALTY, DFQ_OPTIMIZER_SGD, 0, 0, 100, 0},
    {"TF-NAS, 10", "tfnas", DFQ_RULE_ABSOLUTE, DFQ_OPTIMIZER_SGD, 0, 0, 10, 0},
    {"DANCE, 1", "dance1", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 0, 0, 1, 0},
    {"DANCE, 10", "dance10", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 0, 0, 10, 0},
    {"DANCE, 20", "dance20", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 0, 0, 20, 0},
    {"DANCE, 40", "dance40", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 0, 0, 40, 0},
    {"DANCE, 80", "dance80", DFQ_RULE_NONE, DFQ_OPTIMIZER_ADAMW, 0, 0, 80, 0},
    {"Frank-Wolfe", "frankwolfe", DFQ_RULE_FRANK_WOLFE, DFQ_OPTIMIZER_SGD, 0, 0, 0, 0},
    {"HDX, SGD", "hdx_sgd", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_SGD, 0, 0, 0, 0},
    {"HDX, SGD, test < 0", "hdx_sgd0", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_SGD, 0, 1, 0, 0},
    {"HDX, SGD, joint", "hdx_joint", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_SGD, 1, 0, 0, 0},
    {"HDX, Adam", "hdx_adam", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_ADAMW, 0, 0, 0, 0},
    {"HDX, Adam, 2 % margin", "hdx_margin", DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_OPTIMIZER_ADAMW, 0, 0,
     0, 0.02},
    {"exact", "exact", DFQ_RULE_EXACT, DFQ_OPTIMIZER_SGD, 0, 0, 0, 0},
};
enum { RULES = sizeof rules / sizeof *rules };

/* One search. */
typedef struct outcome {
    dfq_solver_result result;
    dfq_solver_metric latency;
    double limit;
    double soft; /* latency of the last mixture over the limit */
    int first12; /* one of the first 4 problems, which are also counted alone */
} outcome;

static dfq_solver *prepare(dfq_context *ctx, const toy *t, double limit, const rule *r)
{
    static const char *const names[] = {"latency_ms"};
    dfq_problem p;
    dfq_solver_options o;
    dfq_solver *solver;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = TOY_CELLS;
    p.n_metrics = 1;
    p.choices = t->choices;
    p.metrics = names;
    p.loss_table = t->loss;
    p.cost_table = t->latency;
    dfq_solver_options_init(&o, sizeof o);
    o.rule = r->rule;
    o.optimizer = r->optimizer;
    o.joint = r->joint;
    o.strict = !r->as_published;
    o.margin = r->margin;
    if (r->rule == DFQ_RULE_NONE)
        o.cost_weight = r->weight;
    else
        o.penalty = r->weight;
    const dfq_constraint latency = {sizeof(dfq_constraint), 0, limit};
    return dfq_solver_create(ctx, &p, &latency, 1, &o, &solver) == DFQ_OK ? solver : NULL;
}

/* The course of a search as CSV: step, loss and latency of the mixture, delta. */
static int write_course(const char *folder, const rule *r, const dfq_tensor *rows)
{
    char path[512];
    const float *row = dfq_tensor_get_data(rows);
    snprintf(path, sizeof path, "%s/%s.csv", folder, r->file);
    FILE *f = fopen(path, "w");
    if (f) fputs("step,loss,latency_ms,delta\n", f);
    for (int64_t i = 0; f && i < dfq_tensor_get_dims(rows)[0]; i++, row += 3)
        fprintf(f, "%d,%.9g,%.9g,%.9g\n", (int)i, (double)row[0], (double)row[1], (double)row[2]);
    if (f && !ferror(f) && fclose(f) == 0) return 0;
    perror(path);
    return -1;
}

static int search(dfq_context *ctx, const toy *t, double limit, const rule *r, const char *folder,
                  outcome *out)
{
    dfq_tensor *rows = NULL;
    dfq_solver *solver = prepare(ctx, t, limit, r);
    int ok = solver != NULL;
    dfq_status status = ok ? dfq_solver_run(solver) : DFQ_E_INVALID;
    out->result.struct_size = sizeof out->result;
    out->latency.struct_size = sizeof out->latency;
    ok = ok && (status == DFQ_OK || status == DFQ_E_INFEASIBLE) &&
         dfq_solver_get_result(solver, &out->result) == DFQ_OK &&
         dfq_solver_get_metric(solver, 0, &out->latency) == DFQ_OK &&
         dfq_solver_get_trajectory(solver, &rows) == DFQ_OK;
    if (ok) {
        const float *last = dfq_tensor_get_data(rows);
        last += (dfq_tensor_get_dims(rows)[0] - 1) * 3;
        out->soft = (double)last[1] / limit;
        if (r->rule == DFQ_RULE_EXACT) out->soft = out->latency.cost / limit;
    }
    if (ok && folder && r->rule != DFQ_RULE_EXACT) ok = write_course(folder, r, rows) == 0;
    if (!ok) fprintf(stderr, "%s: %s\n", r->name, dfq_context_get_error(ctx));
    dfq_tensor_release(rows);
    dfq_solver_release(solver);
    return ok ? 0 : -1;
}

/* A line of the table. Quality: gain over the optimum's; range: the same counted from the cheapest
 * network. */
static void print_rule(const rule *r, const outcome *o, const outcome *exact,
                       const double *cheapest)
{
    double soft = 0, over = 0, quality = 0, range = 0, worst = 1, raw_quality = 0;
    int raw = 0, raw12 = 0, certified = 0;
    for (int i = 0; i < SEEDS * SHARES; i++) {
        const dfq_solver_result *x = &o[i].result;
        double best = exact[i].result.loss, q = x->loss / best;
        double limit = exact[i].limit;
        soft += o[i].soft / (SEEDS * SHARES);
        raw += x->raw_feasible;
        raw12 += x->raw_feasible && o[i].first12;
        if (x->raw_feasible) raw_quality += x->raw_loss / best;
        over = fmax(over, 100 * (o[i].latency.raw_cost / limit - 1));
        if (x->verdict != DFQ_VERDICT_CERTIFIED) continue;
        certified++;
        quality += q;
        range += (x->loss - cheapest[i]) / (best - cheapest[i]);
        worst = fmin(worst, q);
    }
    char own[16] = "-";
    if (raw) snprintf(own, sizeof own, "%.4f", raw_quality / raw);
    printf("| %s | %.3f | %d/12, %d/18 | %.1f %% | %s | %d/18 | %.4f | %.4f | %.4f |\n", r->name,
           soft, raw12, raw, fmax(over, 0), own, certified, certified ? quality / certified : 0,
           worst, certified ? range / certified : 0);
}

static double cheapest_loss(const toy *t)
{
    double loss = 0;
    for (int cell = 0; cell < TOY_CELLS; cell++) {
        int best = cell * TOY_OPS;
        for (int i = best + 1; i < (cell + 1) * TOY_OPS; i++)
            if (t->latency[i] < t->latency[best]) best = i;
        loss += t->loss[best];
    }
    return loss;
}

int main(int argc, char **argv)
{
    static outcome outcomes[RULES][SEEDS * SHARES];
    double cheapest[SEEDS * SHARES];
    dfq_context *ctx;
    clock_t start = clock();
    if (dfq_context_create(NULL, &ctx) != DFQ_OK) return EXIT_FAILURE;
    for (int i = 0; i < SEEDS * SHARES; i++) {
        int seed = i / SHARES;
        toy t;
        toy_make((uint64_t)seed, &t);
        double limit = toy_quantile(&t, (uint64_t)seed, shares[i % SHARES]);
        cheapest[i] = cheapest_loss(&t);
        for (int r = 0; r < RULES; r++) {
            outcomes[r][i].first12 = seed < 4;
            const char *folder = i == 0 && argc > 1 ? argv[1] : NULL;
            if (search(ctx, &t, limit, &rules[r], folder, &outcomes[r][i]) != 0)
                return EXIT_FAILURE;
        }
        outcomes[RULES - 1][i].limit = limit;
    }
    printf("| rule | soft t/T | argmax feasible | worst overshoot | its quality | certified | "
           "quality, mean | "
           "min | of the range |\n|---|---|---|---|---|---|---|---|---|\n");
    for (int r = 0; r < RULES; r++)
        print_rule(&rules[r], outcomes[r], outcomes[RULES - 1], cheapest);
    printf("\n%d searches in %.1f s\n", RULES * SEEDS * SHARES,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    dfq_context_release(ctx);
    return EXIT_SUCCESS;
}
