/* One step of the logits (docs/METHODS.md, Constraint gradient): gradient by the rule, constraint
 * gradient, optimiser. */
#include <math.h>
#include <string.h>

#include "explore/solver/constraint_gradient_priv.h"
#include "explore/solver/solver_priv.h"

static const double beta2 = 0.999, eps = 1e-8; /* ProxylessNAS's Adam, beta1 = 0 */
static const double square_decay = 0.99;

/* The constraint gradient keeps logits within this many temperatures of the group's largest: the
 * gradient of a saturated softmax vanishes, and the logit could not come back. */
static const double reach = 10;

typedef struct block {
    int64_t begin, end;
} block;

static block block_at(const dfqi_solver *s, int32_t b)
{
    const dfqi_domain *space = &s->problem->space;
    return b == 0 ? (block){0, space->cells} : (block){space->cells, s->n};
}

/* Gradient to x from the gradient to p, in place. */
static dfq_status chain(dfqi_solver *s, double *gradient)
{
    const dfqi_domain *space = &s->problem->space;
    const dfqi_hw_params *f = &s->hw_params;
    double tau = dfqi_solver_temperature(s);
    if (f->n > 0) {
        double *z = s->chain[0], *to_cells = s->chain[1];
        memcpy(z, gradient, (size_t)space->total * sizeof *z);
        dfqi_domain_chain(space, s->p, tau, z);
        DFQI_TRY(f->gradient(f->user, z + space->cells, to_cells, s->m));
        for (int32_t i = 0; i < space->cells; i++) gradient[i] += to_cells[i];
    }
    dfqi_domain_chain(space, s->p, tau, gradient);
    memcpy(gradient + space->cells, s->m, (size_t)f->n * sizeof *gradient);
    return DFQ_OK;
}

static double *row_at(const dfqi_solver *s, int32_t j)
{
    return s->rows + j * s->length;
}

/* The gradients of loss and t_j / T_j to x. */
static dfq_status make_gradients(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    int32_t total = p->space.total;
    for (int32_t j = 0; j < p->n_limits; j++) {
        const double *cost = s->gradients + (size_t)p->metric[j] * (size_t)total;
        double *row = row_at(s, j), weight = dfqi_rule_weight(s, j);
        double limit = dfqi_solver_limit(s, j);
        for (int32_t i = 0; i < total; i++) {
            row[i] = cost[i] / limit;
            s->g[i] += weight * row[i];
        }
        DFQI_TRY(chain(s, row));
    }
    return chain(s, s->g);
}

/* s->scale = P, the factors on what is subtracted from the logits, in units of `rate`. */
static void precondition(dfqi_solver *s)
{
    bool adam = s->o.optimizer == DFQ_OPTIMIZER_ADAMW;
    double seen = (double)(s->done + 1),
           ratio[DFQI_BLOCKS] = {1, s->o.hw_learning_rate / s->o.learning_rate};
    for (int32_t b = 0; b < DFQI_BLOCKS; b++) {
        block k = block_at(s, b);
        double mean = 0, unit = 1;
        for (int64_t i = k.begin; i < k.end; i++) {
            mean += s->g[i] * s->g[i] / (double)(k.end - k.begin);
            s->v[i] = beta2 * s->v[i] + (1 - beta2) * s->g[i] * s->g[i];
        }
        s->square[b] = square_decay * s->square[b] + (1 - square_decay) * mean;
        if (s->o.joint) unit = 1 / (sqrt(s->square[b] / (1 - pow(square_decay, seen))) + eps);
        for (int64_t i = k.begin; i < k.end; i++)
            s->scale[i] =
                ratio[b] * (adam ? 1 / (sqrt(s->v[i] / (1 - pow(beta2, seen))) + eps) : unit);
    }
}

static void add_constraints(dfqi_solver *s, const bool *exceeded, block b)
{
    const dfqi_problem *p = s->problem;
    dfqi_constraint_gradient q = {.n = b.end - b.begin,
                                  .g = s->g + b.begin,
                                  .precondition = s->scale + b.begin,
                                  .strict = s->o.strict != 0};
    for (int32_t j = 0; j < p->n_limits; j++) {
        if (!exceeded[j]) continue;
        q.rows[q.n_rows] = row_at(s, j) + b.begin;
        q.delta[q.n_rows++] = s->delta[j];
    }
    dfqi_constraint_gradient_solve(&q, s->m + b.begin);
}

dfq_status dfqi_solver_likeliest(dfqi_solver *s)
{
    DFQI_TRY(dfqi_solver_softmax(s, false));
    dfqi_domain_argmax(&s->problem->space, s->p, s->likeliest);
    return DFQ_OK;
}

/* A limit is exceeded if the mixture exceeds it or its likeliest choices do, which are what a
 * search ends with: where choices tie, the mixture just meets a limit that either of them may
 * not. */
static dfq_status hold_choices(dfqi_solver *s, bool exceeded[DFQ_METRICS_MAX])
{
    dfqi_problem *p = s->problem;
    double costs[DFQ_METRICS_MAX];
    DFQI_TRY(dfqi_solver_likeliest(s));
    DFQI_TRY(dfqi_problem_costs_at(p, s->likeliest, costs));
    for (int32_t j = 0; j < p->n_limits; j++)
        exceeded[j] = exceeded[j] || costs[p->metric[j]] > dfqi_solver_limit(s, j);
    return DFQ_OK;
}

static void add_all_constraints(dfqi_solver *s, const bool *exceeded)
{
    if (s->o.joint) {
        add_constraints(s, exceeded, (block){0, s->n});
    } else {
        for (int32_t b = 0; b < DFQI_BLOCKS; b++) add_constraints(s, exceeded, block_at(s, b));
    }
}

static void keep_within_reach(dfqi_solver *s)
{
    const dfqi_domain *space = &s->problem->space;
    double range = reach * dfqi_solver_temperature(s);
    int32_t n = s->hw_params.n > 0 ? space->n_groups - space->n_hw_params : space->n_groups;
    for (int32_t g = 0; g < n; g++) {
        double *x = s->x + space->first[g], most = x[0];
        for (int32_t k = 1; k < space->choices[g]; k++) most = fmax(most, x[k]);
        for (int32_t k = 0; k < space->choices[g]; k++) x[k] = fmax(x[k], most - range);
    }
}

dfq_status dfqi_solver_move(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    bool exceeded[DFQ_METRICS_MAX] = {false}, constrained = dfqi_rule_has_constraint_gradient(s);
    bool certain =
        constrained && !s->o.gumbel; /* with Gumbel noise mixtures are nearly one-hot already */
    for (int32_t j = 0; j < p->n_limits; j++)
        exceeded[j] = s->costs[p->metric[j]] > dfqi_solver_limit(s, j);
    DFQI_TRY(make_gradients(s));
    precondition(s);
    memset(s->m, 0, (size_t)s->n * sizeof *s->m);
    if (certain) DFQI_TRY(hold_choices(s, exceeded));
    if (constrained) add_all_constraints(s, exceeded);
    bool network = s->o.rule == DFQ_RULE_NETWORK_FIRST || s->o.rule == DFQ_RULE_ALTERNATE;
    int64_t moved = network ? p->space.cells : s->n;
    for (int64_t i = 0; i < moved; i++)
        s->x[i] -= s->o.learning_rate * s->scale[i] * (s->g[i] + s->m[i]);
    if (certain) keep_within_reach(s);
    for (int32_t j = 0; j < p->n_limits; j++)
        s->delta[j] =
            dfqi_constraint_gradient_delta(s->delta[j], s->o.delta, s->o.growth, exceeded[j]);
    return DFQ_OK;
}
