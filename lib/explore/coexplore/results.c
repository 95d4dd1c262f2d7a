/* Results of a co-exploration: verdict, costs, choices, curves. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "explore/coexplore/coexplore_priv.h"
#include "tensor/tensor.h"

const dfqi_solver *dfqi_coexplore_solver(const dfqi_coexplore *e)
{
    return e->s->solver;
}

const dfqi_supernet *dfqi_coexplore_net(const dfqi_coexplore *e)
{
    return &e->s->net;
}

static void fill_steps(const dfqi_coexplore *e, dfqi_coexplore_info *out)
{
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES; i++) {
        out->total[i] = dfqi_coexplore_units(e, i);
        out->steps[i] = i < e->s->stage ? out->total[i] : i == e->s->stage ? e->s->at : 0;
    }
    int64_t done = dfqi_solver_done(e->s->solver);
    out->steps[DFQ_EXPLORE_SEARCH] = done;
    out->total[DFQ_EXPLORE_SEARCH] = done > e->solver_o.steps ? done : e->solver_o.steps;
}

dfq_status dfqi_coexplore_result(const dfqi_coexplore *e, dfqi_coexplore_info *out)
{
    const dfqi_solver *solver = e->s->solver;
    dfqi_solver_info r;
    dfqi_solver_result(solver, &r);
    const int32_t *best = dfqi_solver_best(solver);
    double macs = NAN;
    if (best) DFQI_TRY(dfqi_supernet_macs(&e->s->net, best, &macs));
    *out = (dfqi_coexplore_info){.stage = e->s->stage,
                                 .verdict = r.result.verdict,
                                 .proved = r.result.proved,
                                 .raw_feasible = r.result.raw_feasible,
                                 .accelerator = -1,
                                 .loss = r.result.loss,
                                 .macs = macs};
    fill_steps(e, out);
    dfqi_networks_result(e, out);
    if (best) out->accelerator = dfqi_domain_config(dfqi_solver_space(solver), best);
    for (int32_t m = 0; m < DFQ_METRICS_MAX; m++) {
        out->costs[m] = r.costs[m];
        out->raw_costs[m] = r.raw_costs[m];
        out->limits[m] = out->tightest[m] = out->least[m] = NAN;
        out->reference[m] =
            m < e->space.n_metrics && e->space.reference ? e->space.reference[m] : NAN;
    }
    for (int32_t j = 0; j < e->n_limits; j++) {
        out->limits[e->limits[j].metric] = e->limits[j].limit;
        out->tightest[e->limits[j].metric] = r.tightest[j];
        out->least[e->limits[j].metric] = r.least[j];
    }
    return DFQ_OK;
}

dfq_status dfqi_coexplore_cost(const dfqi_coexplore *e, const int32_t *choice, double *costs)
{
    return dfqi_solver_cost(e->s->solver, choice, costs);
}

dfq_status dfqi_coexplore_effects(const dfqi_coexplore *e, dfq_tensor **out)
{
    const dfqi_effects *f = &e->s->effects;
    dfq_tensor *t;
    DFQI_TRY(dfqi_tensor_new(e->ctx, DFQI_F32, 1, (int64_t[]){f->total}, &t));
    for (int32_t i = 0; i < f->total; i++) dfqi_tensor_f32(t)[i] = (float)f->e[i];
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_coexplore_losses(const dfqi_coexplore *e, int32_t stage, dfq_tensor **out)
{
    dfq_tensor *t;
    DFQI_TRY(dfqi_check_index(e->ctx, "explorer: stage", stage, DFQI_EXPLORE_STAGES));
    const dfqi_curve *c = &e->s->losses[stage];
    DFQI_TRY(dfqi_tensor_new(e->ctx, DFQI_F32, 1, (int64_t[]){c->n}, &t));
    if (c->n > 0) memcpy(t->data, c->v, (size_t)c->n * sizeof *c->v);
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_coexplore_need_derived(const dfqi_coexplore *e)
{
    if (e->s->stage == DFQI_EXPLORE_STAGES && e->s->derived.layers) return DFQ_OK;
    return dfqi_fail(e->ctx, DFQ_E_INVALID, "explorer: there is no derived network: %s",
                     e->s->stage == DFQI_EXPLORE_STAGES ? "nothing meets the limits"
                                                        : "the job is not finished");
}

dfq_status dfqi_coexplore_evaluate(dfqi_coexplore *e, const dfqi_dataset *images,
                                   dfqi_accuracy *out)
{
    float *x = NULL;
    int32_t *labels = NULL;
    dfqi_super_data data;
    dfqi_accuracy acc = {.correct5 = -1};
    DFQI_TRY(dfqi_coexplore_need_derived(e));
    dfq_status status = dfqi_coexplore_read(e, images, &x, &labels, &data);
    if (status == DFQ_OK)
        status = dfqi_super_evaluate(&e->s->derived, e->s->path, &data, data.n < 128 ? data.n : 128,
                                     &acc.correct, &acc.not_finite);
    acc.n = data.n;
    if (status == DFQ_OK) *out = acc;
    dfqi_free(e->ctx, x);
    dfqi_free(e->ctx, labels);
    return status;
}
