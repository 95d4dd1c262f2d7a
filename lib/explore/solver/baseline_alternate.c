/* Alternating search after Auto-NBA (Fu et al., ICML 2021; docs/METHODS.md, Baselines): before
 * every 100 steps of the network, the accelerator takes 2000 steps of its own. Such a step draws a
 * one-hot accelerator by Gumbel noise. Its loss is the cost of that accelerator times the
 * probabilities of its choices, which are 1 in the forward pass and straight-through in the
 * backward pass. Auto-NBA's cost is that of the slowest of several parallel chunks. Here one
 * accelerator runs all layers, so the cost is the cost function. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/solver_priv.h"

enum { EVERY = 100, INNER = 2000, STREAM = 0xA17B };

/* The cost of the present mixture on accelerator `config`; each is asked for once. */
static dfq_status cost_of(dfqi_solver *s, const int32_t *choice, double *known, double *out)
{
    dfqi_problem *p = s->problem;
    const dfqi_domain *space = &p->space;
    double *v = &known[dfqi_domain_config(space, choice)], costs[DFQ_METRICS_MAX];
    if (*v == 0) {
        for (int32_t g = space->n_groups - space->n_hw_params; g < space->n_groups; g++)
            for (int32_t i = 0; i < space->choices[g]; i++)
                s->p[space->first[g] + i] = i == choice[g];
        DFQI_TRY(dfqi_problem_costs(p, s->p, costs, NULL));
        *v = dfqi_cost_value(s, costs);
    }
    *out = *v;
    return DFQ_OK;
}

/* With the drawn mixture q: the gradient of cost sum_f q_f[choice_f]. */
static void step(dfqi_solver *s, const int32_t *choice, double cost, const double *q)
{
    const dfqi_domain *space = &s->problem->space;
    double rate = s->o.hw_learning_rate * cost / dfqi_solver_temperature(s);
    for (int32_t g = space->n_groups - space->n_hw_params; g < space->n_groups; g++) {
        int32_t at = space->first[g] + choice[g];
        for (int32_t i = space->first[g]; i < space->first[g + 1]; i++)
            s->x[i] -= rate * q[at] * ((i == at) - q[i]);
    }
}

static dfq_status draw_and_step(dfqi_solver *s, double *known, int32_t *choice)
{
    const dfqi_domain *space = &s->problem->space;
    double *q = s->chain[0], *noise = s->noise, tau = dfqi_solver_temperature(s), cost;
    int32_t n = space->total - space->cells;
    dfqi_rng r = dfqi_rng_make(s->o.seed, STREAM);
    r.index = (uint64_t)s->done * INNER * 2 * (uint64_t)n;
    memset(noise, 0, (size_t)space->cells * sizeof *noise);
    for (int32_t i = 0; i < INNER; i++) {
        dfqi_gumbel(&r, n, noise + space->cells);
        dfqi_domain_softmax(space, s->x, noise, tau, q);
        dfqi_domain_argmax(space, q, choice);
        DFQI_TRY(cost_of(s, choice, known, &cost));
        step(s, choice, cost, q);
    }
    return DFQ_OK;
}

dfq_status dfqi_alternate_hw_params(dfqi_solver *s)
{
    const dfqi_domain *space = &s->problem->space;
    if (s->done % EVERY != 0 || space->n_hw_params == 0) return DFQ_OK;
    double *known = dfqi_calloc(s->ctx, (size_t)space->configs, sizeof *known);
    int32_t *choice = dfqi_calloc(s->ctx, (size_t)space->n_groups, sizeof *choice);
    dfq_status status = known && choice ? dfqi_solver_softmax(s, false) : DFQ_E_NOMEM;
    if (status == DFQ_OK) status = draw_and_step(s, known, choice);
    dfqi_free(s->ctx, known);
    dfqi_free(s->ctx, choice);
    return status;
}
