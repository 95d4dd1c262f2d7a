/* Builds cost tables from a caller's own cost model: copies its tables, or calls cost() for each
 * entry. */
#include "explore/coexplore/cost_model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "explore/domain/domain.h"

enum { HW_MAX = 64, HW_NAME = 47 };

static dfq_status check(dfq_context *ctx, const dfq_cost_model *m)
{
    if (m->n_hw_params < 1 || m->n_hw_params > HW_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID, "cost model: n_hw_params is %d, must be 1 to %d",
                         (int)m->n_hw_params, (int)HW_MAX);
    if (m->n_metrics < 1 || m->n_metrics > DFQ_METRICS_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID, "cost model: n_metrics is %d, must be 1 to %d",
                         (int)m->n_metrics, (int)DFQ_METRICS_MAX);
    if (m->reserved != 0)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "cost model: reserved is %d, must be 0",
                         (int)m->reserved);
    if (!m->alternatives) return dfqi_fail(ctx, DFQ_E_INVALID, "cost model: alternatives is NULL");
    if (!m->cost == !m->cost_table)
        return dfqi_fail(ctx, DFQ_E_INVALID, "cost model: set exactly one of cost and cost_table");
    for (int32_t j = 0; m->metrics && j < m->n_metrics; j++)
        if (!m->metrics[j] || !m->metrics[j][0] || strlen(m->metrics[j]) > HW_NAME)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "cost model: the name of metric %d must have 1 to %d bytes", (int)j,
                             (int)HW_NAME);
    for (int32_t m_ = 0; m->reference && m_ < m->n_metrics; m_++)
        if (!(m->reference[m_] > 0 && isfinite(m->reference[m_])))
            return dfqi_fail(ctx, DFQ_E_INVALID, "cost model: reference[%d] is %g, must be above 0",
                             (int)m_, m->reference[m_]);
    return DFQ_OK;
}

/* -- one cost after the other ------------------------------------------------------------------ */

typedef struct inquiry {
    dfq_context *ctx;
    const dfqi_supernet_space *space;
    const dfq_cost_model *model;
    const dfqi_domain *d;
    dfqi_search_space_costs *c;
    int32_t *choice; /* [n_groups] scratch; the accelerator's is at its end */
} inquiry;

/* Cell -1: what all networks share. */
static dfq_status ask(const inquiry *q, int32_t cell, int32_t choice, int32_t config)
{
    char name[DFQI_SUPER_CHOICE_NAME] = "";
    double costs[DFQ_METRICS_MAX];
    size_t configs = (size_t)q->d->configs, cells = (size_t)q->d->cells;
    if (cell >= 0) dfqi_super_choice_name(q->space, choice, name);
    dfq_cost_query query = {.struct_size = sizeof query,
                            .cell = cell,
                            .choice = choice,
                            .choice_name = name,
                            .hw_choices = q->choice + q->c->n_cells};
    for (int32_t m = 0; m < q->model->n_metrics; m++) costs[m] = NAN;
    dfq_status status = q->model->cost(&query, costs, q->model->user);
    if (status != DFQ_OK)
        return dfqi_fail(q->ctx, status, "cost model: cost() returned %s for choice %d of cell %d",
                         dfq_status_name(status), (int)choice, (int)cell);
    for (int32_t m = 0; m < q->model->n_metrics; m++) {
        size_t row = cell < 0 ? 0 : (size_t)(q->d->first[cell] + choice);
        double *to = cell < 0 ? q->c->base + (size_t)m * configs
                              : q->c->cost + ((size_t)m * cells + row) * configs;
        if (!isfinite(costs[m]))
            return dfqi_fail(q->ctx, DFQ_E_NUMERIC,
                             "cost model: metric %d is %g for choice %d of cell %d on accelerator "
                             "%d, must be finite; give what does not fit a cost above every limit",
                             (int)m, costs[m], (int)choice, (int)cell, (int)config);
        to[config] = costs[m];
    }
    return DFQ_OK;
}

static dfq_status ask_all(const inquiry *q)
{
    const dfqi_domain *d = q->d;
    dfqi_stage stage = dfqi_stage_begin(q->ctx, "tabulate", 0, (uint64_t)d->configs);
    for (int32_t config = 0; config < d->configs; config++) {
        dfqi_domain_set_config(d, config, q->choice);
        DFQI_TRY(ask(q, -1, 0, config));
        for (int32_t cell = 0; cell < q->c->n_cells; cell++)
            for (int32_t k = 0; k < d->choices[cell]; k++) DFQI_TRY(ask(q, cell, k, config));
        DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)config + 1, (double)NAN));
    }
    return DFQ_OK;
}

/* -- tables ------------------------------------------------------------------------------------ */

static dfq_status list_groups(const dfqi_supernet *net, const dfq_cost_model *m,
                              dfqi_search_space_costs *c)
{
    c->n_cells = net->n_cells;
    c->choices =
        dfqi_calloc(c->ctx, (size_t)net->n_cells + (size_t)m->n_hw_params, sizeof *c->choices);
    if (!c->choices) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < net->n_cells; i++) c->choices[i] = dfqi_supernet_choices(net, i);
    for (int32_t i = 0; i < m->n_hw_params; i++) c->choices[net->n_cells + i] = m->alternatives[i];
    return DFQ_OK;
}

/* A choice may save what all networks share, but no network costs less than nothing. */
static dfq_status check_networks(const dfqi_domain *d, const dfqi_search_space_costs *c)
{
    size_t configs = (size_t)d->configs, cells = (size_t)d->cells;
    for (int32_t m = 0; m < c->n_metrics; m++)
        for (size_t a = 0; a < configs; a++) {
            double sum = c->base[(size_t)m * configs + a], size = fabs(sum);
            for (int32_t g = 0; g < c->n_cells; g++) {
                double least = INFINITY;
                for (int32_t i = d->first[g]; i < d->first[g + 1]; i++)
                    least = fmin(least, c->cost[((size_t)m * cells + (size_t)i) * configs + a]);
                sum += least;
                size += fabs(least);
            }
            if (sum < -1e-9 * size)
                return dfqi_fail(c->ctx, DFQ_E_NUMERIC,
                                 "cost model: metric %d of the cheapest network is %g on "
                                 "accelerator %zu, must not be below 0",
                                 (int)m, sum, a);
        }
    return DFQ_OK;
}

/* NaN and infinity in given tables are the solver's to find. */
static dfq_status fill(const dfqi_supernet_space *space, const dfq_cost_model *m,
                       const dfqi_domain *d, dfqi_search_space_costs *c)
{
    size_t base, cost;
    dfq_status status = DFQ_OK;
    if (!dfqi_mul_size((size_t)d->configs, (size_t)m->n_metrics, &base) ||
        !dfqi_mul_size(base, (size_t)d->cells, &cost))
        return dfqi_fail(c->ctx, DFQ_E_NOMEM,
                         "out of memory: the cost model's tables are too large");
    c->cost = dfqi_calloc(c->ctx, cost, sizeof *c->cost);
    c->base = dfqi_calloc(c->ctx, base, sizeof *c->base);
    int32_t *choice = dfqi_calloc(c->ctx, (size_t)d->n_groups, sizeof *choice);
    if (!c->cost || !c->base || !choice) {
        status = DFQ_E_NOMEM;
    } else if (m->cost_table) {
        memcpy(c->cost, m->cost_table, cost * sizeof *c->cost);
        if (m->base_table) memcpy(c->base, m->base_table, base * sizeof *c->base);
    } else {
        status = ask_all(&(inquiry){c->ctx, space, m, d, c, choice});
    }
    if (status == DFQ_OK) status = check_networks(d, c);
    dfqi_free(c->ctx, choice);
    return status;
}

dfq_status dfqi_cost_model_tabulate(dfq_context *ctx, const dfqi_supernet_space *space,
                                    const dfq_cost_model *model, dfqi_search_space_costs *out)
{
    static const int32_t any[DFQI_SUPER_CELLS] = {0};
    dfqi_search_space_costs c = {.ctx = ctx,
                                 .n_hw_params = model->n_hw_params,
                                 .n_metrics = model->n_metrics,
                                 .power.metric = -1};
    dfqi_domain d = {.ctx = NULL};
    dfqi_supernet net; /* for its sizes */
    DFQI_TRY(check(ctx, model));
    DFQI_TRY(dfqi_supernet_new(ctx, space, any, 0, &net));
    dfq_status status = list_groups(&net, model, &c);
    if (status == DFQ_OK)
        status = dfqi_domain_new(ctx, c.n_cells + c.n_hw_params, c.n_hw_params, c.choices, &d);
    if (status == DFQ_OK) {
        status = fill(space, model, &d, &c);
        dfqi_domain_fini(&d);
    }
    dfqi_supernet_fini(&net);
    for (int32_t m = 0; m < c.n_metrics; m++)
        c.reference[m] = model->reference ? model->reference[m] : (double)NAN;
    if (status == DFQ_OK)
        *out = c;
    else
        dfqi_search_space_costs_fini(&c);
    return status;
}
