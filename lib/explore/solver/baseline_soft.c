/* Rules that put the limits into the loss as a weighted term (docs/METHODS.md, Baselines). They
 * differ in that term; each has a weight to be tuned. ProxylessNAS's other regulariser, loss + w (t
 * / T - 1), has the same gradient as DANCE's. */
#include <math.h>

#include "explore/solver/solver_priv.h"

/* Of loss prod_j (log t_j / log T_j)^w over that of the loss alone, up to the product, which the
 * rate absorbs: w loss / (t_j log t_j), times T_j for the gradient of t_j / T_j. */
static double product_weight(const dfqi_solver *s, double cost, double limit)
{
    return s->o.penalty * s->loss * limit / (cost * log(cost));
}

dfq_status dfqi_rule_check_costs(const dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    if (s->o.rule != DFQ_RULE_PRODUCT) return DFQ_OK;
    for (int32_t j = 0; j < p->n_limits; j++)
        if (!(s->costs[p->metric[j]] > 1 && dfqi_solver_limit(s, j) > 1))
            return dfqi_fail(s->ctx, DFQ_E_INVALID,
                             "solver: rule product takes logarithms; %s is %g and its limit %g, "
                             "both must be above 1; take another unit or rule",
                             dfqi_problem_metric(p, p->metric[j]).text, s->costs[p->metric[j]],
                             dfqi_solver_limit(s, j));
    return DFQ_OK;
}

dfq_status dfqi_rule_check(const dfqi_solver *s)
{
    if (s->o.rule == DFQ_RULE_PRODUCT && !(s->loss > 0))
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "solver: rule product multiplies the task loss, which is %g and must be "
                         "above 0; take another rule",
                         s->loss);
    return dfqi_rule_check_costs(s);
}

double dfqi_rule_weight(const dfqi_solver *s, int32_t j)
{
    const dfqi_problem *p = s->problem;
    double cost = s->costs[p->metric[j]], limit = dfqi_solver_limit(s, j), excess = cost - limit;
    double weight = 0;
    if (s->o.rule == DFQ_RULE_PENALTY && excess > 0) weight += s->o.penalty;
    if (s->o.rule == DFQ_RULE_ABSOLUTE && excess != 0)
        weight += excess > 0 ? s->o.penalty : -s->o.penalty;
    if (s->o.rule == DFQ_RULE_PRODUCT) weight += product_weight(s, cost, limit);
    return weight;
}

bool dfqi_rule_has_constraint_gradient(const dfqi_solver *s)
{
    return s->o.rule == DFQ_RULE_CONSTRAINT_GRADIENT;
}

bool dfqi_rule_holds_limits(const dfqi_solver *s)
{
    return s->o.rule == DFQ_RULE_CONSTRAINT_GRADIENT || s->o.rule == DFQ_RULE_PROJECT;
}
