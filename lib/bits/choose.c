/* Widths within mean widths (choose.h). Weights and activations have a limit each and damages that
 * add, so that they are chosen apart: two knapsacks of one cost, which dynamic programming
 * solves. */
#include "bits/choose.h"

#include <math.h>

#include "explore/solver/solver.h"

/* One of the two knapsacks. */
typedef struct side {
    dfq_context *ctx;
    const char *what;
    int32_t n;           /* layers that have such quantizers */
    int32_t *layer;      /* [n] */
    int32_t *choices;    /* [n] */
    double *loss, *cost; /* [n][DFQI_BITS_WIDTHS] */
    double least;        /* mean */
} side;

static void side_fini(side *k)
{
    dfqi_free(k->ctx, k->layer);
    dfqi_free(k->ctx, k->choices);
    dfqi_free(k->ctx, k->loss);
    dfqi_free(k->ctx, k->cost);
}

/* Costs are the layer's share of the mean. */
static dfq_status side_init(const dfqi_sensitivity *s, bool weights, side *k)
{
    const dfqi_bits *t = s->mixed.table;
    size_t cells = (size_t)t->n * DFQI_BITS_WIDTHS;
    double all = 0;
    *k = (side){.ctx = s->mixed.ctx, .what = weights ? "weights" : "activations"};
    k->layer = dfqi_calloc(k->ctx, (size_t)t->n, sizeof *k->layer);
    k->choices = dfqi_calloc(k->ctx, (size_t)t->n, sizeof *k->choices);
    k->loss = dfqi_calloc(k->ctx, cells, sizeof *k->loss);
    k->cost = dfqi_calloc(k->ctx, cells, sizeof *k->cost);
    if (!k->layer || !k->choices || !k->loss || !k->cost) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < t->n; i++) {
        const dfqi_bits_row *r = &t->rows[i];
        if (!(weights ? r->has_weight : r->has_act)) continue;
        k->layer[k->n] = i;
        k->choices[k->n++] = DFQI_BITS_WIDTHS;
        all += (double)(weights ? r->weights : r->macs);
    }
    for (int32_t g = 0; g < k->n; g++) {
        const dfqi_bits_row *r = &t->rows[k->layer[g]];
        const dfqi_damage *d = &s->damages[k->layer[g]];
        double share = (double)(weights ? r->weights : r->macs) / all;
        for (int32_t b = 0; b < DFQI_BITS_WIDTHS; b++) {
            k->loss[g * DFQI_BITS_WIDTHS + b] = weights ? d->w[b] : d->a[b];
            double bits = weights ? dfqi_bits_of_weight(r, DFQI_BITS_MIN + b) : DFQI_BITS_MIN + b;
            k->cost[g * DFQI_BITS_WIDTHS + b] = share * bits;
        }
        k->least += k->cost[g * DFQI_BITS_WIDTHS];
    }
    return DFQ_OK;
}

static dfq_status side_solve(const side *k, double limit, dfqi_pair *widths, bool weights,
                             dfqi_proof *proof)
{
    const dfq_problem problem = {.struct_size = sizeof problem,
                                 .n_groups = k->n,
                                 .n_metrics = 1,
                                 .choices = k->choices,
                                 .loss_table = k->loss,
                                 .cost_table = k->cost};
    const dfq_constraint most = {.struct_size = sizeof most, .limit = limit * (1 + 1e-12)};
    dfq_solver_options o;
    dfqi_solver_defaults(&o);
    o.rule = DFQ_RULE_EXACT;
    o.steps = 1;
    dfqi_solver *solver;
    dfqi_solver_info info;
    if (most.limit < k->least)
        return dfqi_fail(k->ctx, DFQ_E_INFEASIBLE,
                         "the mean width of %s is to be %g bits at most, must be %g or more",
                         k->what, limit, k->least);
    DFQI_TRY(dfqi_solver_new(k->ctx, &problem, &most, 1, &o, &solver));
    dfq_status status = dfqi_solver_run(solver);
    if (status == DFQ_OK) {
        const int32_t *best = dfqi_solver_best(solver);
        dfqi_solver_result(solver, &info);
        proof->proved = proof->proved && info.result.proved;
        proof->bound += info.result.bound;
        for (int32_t g = 0; g < k->n; g++)
            *(weights ? &widths[k->layer[g]].w : &widths[k->layer[g]].a) = DFQI_BITS_MIN + best[g];
    }
    dfqi_solver_release(solver);
    return status;
}

dfq_status dfqi_choose_means(const dfqi_sensitivity *s, dfqi_mean_limits limits, dfqi_pair *widths,
                             dfqi_proof *proof)
{
    *proof = (dfqi_proof){.proved = true};
    for (int32_t weights = 0; weights < 2; weights++) {
        double limit = weights ? limits.weight : limits.act;
        side k;
        dfq_status status = side_init(s, weights, &k);
        if (status == DFQ_OK && k.n > 0)
            status = side_solve(&k, limit > 0 ? limit : DFQI_BITS_MAX, widths, weights, proof);
        side_fini(&k);
        if (status != DFQ_OK) return status;
    }
    return DFQ_OK;
}
