/* Rules that put the limits into the loss, which is how they differ from each other (hdx.md 4.1: B2
 * to B4). All of them have a weight to be tuned. */
#include "explore/solver_priv.h"

double dfqi_rule_weight(const dfqi_solver *s, int32_t j)
{
    const dfqi_problem *p = s->problem;
    double excess = s->costs[p->metric[j]] - dfqi_solver_limit(s, j);
    double weight = s->o.cost_weight / p->n_limits; /* the mean of t_j / T_j: DANCE */
    if (s->o.rule == DFQ_RULE_PENALTY && excess > 0) weight += s->o.penalty;
    if (s->o.rule == DFQ_RULE_ABSOLUTE && excess != 0)
        weight += excess > 0 ? s->o.penalty : -s->o.penalty;
    return weight;
}

bool dfqi_rule_pulls(const dfqi_solver *s)
{
    return s->o.rule == DFQ_RULE_PULL;
}
