/* Checks of a problem, and access to its losses and costs (problem_priv.h). */
#include "explore/solver/problem_priv.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

dfqi_metric_name dfqi_problem_metric(const dfqi_problem *p, int32_t metric)
{
    dfqi_metric_name name;
    if (p->given.metrics && p->given.metrics[metric])
        snprintf(name.text, sizeof name.text, "%.60s", p->given.metrics[metric]);
    else
        snprintf(name.text, sizeof name.text, "metric %d", (int)metric);
    return name;
}

static dfq_status check_limits(dfqi_problem *p, const dfq_constraint *limits, int32_t n)
{
    if (n < 1 || n > DFQ_METRICS_MAX)
        return dfqi_fail(p->ctx, DFQ_E_INVALID, "solver: n_constraints is %d, must be 1 to %d",
                         (int)n, (int)DFQ_METRICS_MAX);
    for (int32_t j = 0; j < n; j++) {
        int32_t m = limits[j].metric;
        if (m < 0 || m >= p->given.n_metrics)
            return dfqi_fail(
                p->ctx, DFQ_E_INVALID,
                "solver: the metric of limit %d is %d, must be below %d, the number of metrics",
                (int)j, (int)m, (int)p->given.n_metrics);
        if (!(limits[j].limit > 0 && isfinite(limits[j].limit)))
            return dfqi_fail(p->ctx, DFQ_E_INVALID,
                             "solver: the limit of %s is %g, must be above 0",
                             dfqi_problem_metric(p, m).text, limits[j].limit);
        for (int32_t i = 0; i < j; i++)
            if (p->metric[i] == m)
                return dfqi_fail(p->ctx, DFQ_E_INVALID,
                                 "solver: %s has two limits, %g and %g; leave one out",
                                 dfqi_problem_metric(p, m).text, p->limit[i], limits[j].limit);
        p->metric[j] = m;
        p->limit[j] = limits[j].limit;
        p->n_limits = j + 1;
    }
    return DFQ_OK;
}

static dfq_status check_table(const dfqi_problem *p, const char *name, const double *t, size_t n)
{
    for (size_t i = 0; t && i < n; i++)
        if (!isfinite(t[i]))
            return dfqi_fail(p->ctx, DFQ_E_NUMERIC,
                             "solver: %s holds %g at element %zu, must be finite", name, t[i], i);
    return DFQ_OK;
}

static dfq_status check_tables(dfqi_problem *p)
{
    const dfq_problem *q = &p->given;
    const dfqi_domain *s = &p->space;
    size_t rows = (size_t)q->n_metrics * (size_t)s->configs; /* below 2^27 by the space's limits */
    size_t cells;
    if (!dfqi_mul_size(rows, (size_t)s->cells, &cells))
        return dfqi_fail(p->ctx, DFQ_E_INVALID, "solver: cost_table is too large to be addressed");
    if (!q->loss && !q->loss_table)
        return dfqi_fail(p->ctx, DFQ_E_INVALID,
                         "solver: loss and loss_table are both NULL; set one");
    if (!q->cost_table && (!q->costs || !q->exact))
        return dfqi_fail(p->ctx, DFQ_E_INVALID,
                         "solver: cost_table is NULL, and costs or exact as well; set cost_table, "
                         "or the two functions");
    DFQI_TRY(check_table(p, "loss_table", q->loss_table, (size_t)s->total));
    DFQI_TRY(check_table(p, "cost_table", q->cost_table, cells));
    DFQI_TRY(check_table(p, "base_table", q->base_table, rows));
    if (!q->cost_table) return DFQ_OK;
    return dfqi_additive_new(s, q->n_metrics, q->cost_table, q->base_table, &p->tables);
}

static dfq_status fill(dfqi_problem *p, const dfq_constraint *limits, int32_t n_limits)
{
    const dfq_problem *q = &p->given;
    if (q->n_metrics < 1 || q->n_metrics > DFQ_METRICS_MAX)
        return dfqi_fail(p->ctx, DFQ_E_INVALID, "solver: n_metrics is %d, must be 1 to %d",
                         (int)q->n_metrics, (int)DFQ_METRICS_MAX);
    if (!q->choices) return dfqi_fail(p->ctx, DFQ_E_INVALID, "solver: choices is NULL");
    DFQI_TRY(check_limits(p, limits, n_limits));
    DFQI_TRY(dfqi_domain_new(p->ctx, q->n_groups, q->n_hw_params, q->choices, &p->space));
    DFQI_TRY(check_tables(p));
    p->one_hot = dfqi_calloc(p->ctx, (size_t)p->space.total, sizeof *p->one_hot);
    return p->one_hot ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_problem_new(dfq_context *ctx, const dfq_problem *given,
                            const dfq_constraint *limits, int32_t n_limits, dfqi_problem **out)
{
    dfqi_problem *p = dfqi_calloc(ctx, 1, sizeof *p);
    if (!p) return DFQ_E_NOMEM;
    p->ctx = p->space.ctx = ctx;
    p->given = *given;
    p->ratio.metric = -1;
    p->n_function = given->n_metrics;
    dfq_status status = fill(p, limits, n_limits);
    if (status == DFQ_OK)
        *out = p;
    else
        dfqi_problem_free(p);
    return status;
}

void dfqi_problem_free(dfqi_problem *p)
{
    if (!p) return;
    dfqi_additive_fini(&p->tables);
    dfqi_domain_fini(&p->space);
    dfqi_free(p->ctx, p->one_hot);
    dfqi_free(p->ctx, p);
}

/* -- numbers from outside ---------------------------------------------------------------------- */

/* A gradient's entry is named by group and choice. */
static dfq_status check_gradient(const dfqi_problem *p, const char *of, const double *gradient)
{
    const dfqi_domain *s = &p->space;
    for (int32_t g = 0; gradient && g < s->n_groups; g++)
        for (int32_t i = s->first[g]; i < s->first[g + 1]; i++)
            if (!isfinite(gradient[i]))
                return dfqi_fail(p->ctx, DFQ_E_NUMERIC,
                                 "solver: the problem's gradient of %s is %g at group %d, choice "
                                 "%d, must be finite",
                                 of, gradient[i], (int)g, (int)(i - s->first[g]));
    return DFQ_OK;
}

/* A callback's own error has no text; this one names the callback. */
static dfq_status pass_on(const dfqi_problem *p, const char *name, dfq_status status)
{
    return dfqi_fail(p->ctx, status, "solver: the problem's %s() returned %s", name,
                     dfq_status_name(status));
}

dfq_status dfqi_problem_loss(const dfqi_problem *p, const double *x, uint64_t step, double *loss,
                             double *gradient)
{
    const double *table = p->given.loss_table;
    double sum = 0;
    if (!table) {
        dfq_status status = p->given.loss(x, step, &sum, gradient, p->given.user);
        if (status != DFQ_OK) return pass_on(p, "loss", status);
    }
    for (int32_t i = 0; table && i < p->space.total; i++) {
        sum += x[i] * table[i];
        if (gradient) gradient[i] = table[i];
    }
    if (!isfinite(sum))
        return dfqi_fail(p->ctx, DFQ_E_NUMERIC, "solver: the problem's loss is %g, must be finite",
                         sum);
    DFQI_TRY(check_gradient(p, "the loss", gradient));
    *loss = sum;
    return DFQ_OK;
}

static dfq_status check_costs(const dfqi_problem *p, const char *kind, const double *costs)
{
    for (int32_t j = 0; j < p->given.n_metrics; j++)
        if (!isfinite(costs[j]))
            return dfqi_fail(p->ctx, DFQ_E_NUMERIC,
                             "solver: the problem's %s %s is %g, must be finite", kind,
                             dfqi_problem_metric(p, j).text, costs[j]);
    return DFQ_OK;
}

dfq_status dfqi_problem_costs(dfqi_problem *p, const double *x, double *costs, double *gradients)
{
    if (p->estimate.costs) {
        DFQI_TRY(p->estimate.costs(x, costs, gradients, p->estimate.user));
    } else if (p->given.cost_table) {
        dfqi_additive_costs(&p->tables, x, costs, gradients);
    } else {
        dfq_status status = p->given.costs(x, costs, gradients, p->given.user);
        if (status != DFQ_OK) return pass_on(p, "costs", status);
    }
    DFQI_TRY(check_costs(p, "mixed", costs));
    for (int32_t j = 0; gradients && j < p->given.n_metrics; j++)
        DFQI_TRY(check_gradient(p, dfqi_problem_metric(p, j).text,
                                gradients + (size_t)j * (size_t)p->space.total));
    return DFQ_OK;
}

dfq_status dfqi_problem_exact(const dfqi_problem *p, const int32_t *choice, double *costs)
{
    if (p->given.cost_table) {
        dfqi_additive_exact(&p->tables, choice, costs);
    } else {
        dfq_status status = p->given.exact(choice, costs, p->given.user);
        if (status != DFQ_OK) return pass_on(p, "exact", status);
    }
    return check_costs(p, "exact", costs);
}

dfq_status dfqi_problem_costs_at(dfqi_problem *p, const int32_t *choice, double *costs)
{
    if (p->given.cost_table) return dfqi_problem_exact(p, choice, costs);
    dfqi_domain_one_hot(&p->space, choice, p->one_hot);
    return dfqi_problem_costs(p, p->one_hot, costs, NULL);
}

dfq_status dfqi_problem_judge(const dfqi_problem *p, const int32_t *choice, double *loss,
                              double *gradient)
{
    dfqi_domain_one_hot(&p->space, choice, p->one_hot);
    return dfqi_problem_loss(p, p->one_hot, 0, loss, gradient);
}

double dfqi_problem_excess(const dfqi_problem *p, const double *costs, int32_t without)
{
    double sum = 0;
    for (int32_t j = 0; j < p->n_limits; j++)
        if (j != without) sum += fmax((costs[p->metric[j]] - p->limit[j]) / p->limit[j], 0);
    return sum;
}

bool dfqi_problem_meets(const dfqi_problem *p, const double *costs)
{
    for (int32_t j = 0; j < p->n_limits; j++)
        if (!(costs[p->metric[j]] <= p->limit[j])) return false;
    return true;
}
