/* dfq/explorer.h: creating a co-exploration, running it, and its files. */
#include <dfq/explorer.h>

#include <math.h>

#include "api/api.h"
#include "api/explorer_priv.h"
#include "api/handles.h"
#include "base/memory.h"
#include "explore/coexplore/cost_model.h"

void dfq_explorer_options_init(dfq_explorer_options *options, size_t size)
{
    dfq_explorer_options d;
    dfqi_coexplore_defaults(&d);
    dfqi_options_init(options, size, &d, sizeof d);
}

/* -- life -------------------------------------------------------------------------------------- */

void dfq_cost_model_init(dfq_cost_model *model, size_t size)
{
    const dfq_cost_model d = {.struct_size = 0};
    dfqi_options_init(model, size, &d, sizeof d);
}

/* What an explorer is made of, read and checked. */
typedef struct request {
    const char *space;
    const dfq_accelerator *accelerator; /* NULL: the model */
    const dfq_cost_model *model;
    const dfq_dataset *images;
    dfq_constraint limits[DFQ_METRICS_MAX];
    int32_t n_limits;
    dfq_explorer_options o;
    dfq_solver_options so;
} request;

static dfq_status read_request(dfq_context *context, const dfq_constraint *constraints, int32_t n,
                               const dfq_explorer_options *options,
                               const dfq_solver_options *solver, request *r)
{
    dfqi_coexplore_defaults(&r->o);
    dfqi_solver_defaults(&r->so);
    r->n_limits = n;
    DFQI_TRY(dfqi_options_read(context, "dfq_explorer_options", options, &r->o, sizeof r->o));
    DFQI_TRY(dfqi_options_read(context, "dfq_solver_options", solver, &r->so, sizeof r->so));
    DFQI_TRY(dfqi_constraints_read(context, constraints, n, r->limits));
    return dfqi_coexplore_check(context, &r->o, &r->so); /* tables take a while */
}

/* Which metrics costs have besides latency, energy and area. */
static dfq_status want_metrics(dfq_explorer *e, const request *r)
{
    for (int32_t j = 0; j < r->n_limits; j++) {
        const double limit = r->limits[j].limit;
        e->space.has_size |= r->limits[j].metric == DFQ_EXPLORE_SIZE;
        if (r->limits[j].metric != DFQ_EXPLORE_POWER) continue;
        if (!(limit > 0 && isfinite(limit)))
            return dfqi_fail(e->ctx, DFQ_E_INVALID,
                             "explorer: the limit of power_mw is %g, must be above 0", limit);
        e->space.power_mw = limit;
    }
    return DFQ_OK;
}

static dfq_status start(dfq_explorer *e, const request *r)
{
    const dfq_cost_model *model = r->model;
    e->custom = model != NULL;
    DFQI_TRY(dfqi_search_space_find(e->ctx, r->space, &e->space.net));
    if (model) {
        DFQI_TRY(dfqi_cost_model_tabulate(e->ctx, &e->space.net, model, &e->costs));
    } else {
        e->space.accel = r->accelerator->space;
        dfqi_accel_space_config(&e->space.accel, 0, &e->space.base);
        DFQI_TRY(want_metrics(e, r));
        DFQI_TRY(dfqi_search_space_costs_new(e->ctx, &e->space, &e->costs));
    }
    DFQI_TRY(dfqi_explorer_make_names(e, model));
    bool reference = !model || model->reference != NULL;
    e->tables = (dfqi_coexplore_tables){.net = &e->space.net,
                                        .n_hw_params = e->costs.n_hw_params,
                                        .n_metrics = e->costs.n_metrics,
                                        .metrics = e->metrics,
                                        .choices = e->costs.choices,
                                        .cost = e->costs.cost,
                                        .base = e->costs.base,
                                        .reference = reference ? e->costs.reference : NULL,
                                        .custom = e->custom,
                                        .power = e->costs.power,
                                        .power_limit = e->costs.power_limit,
                                        .n_function =
                                            model ? e->costs.n_metrics : DFQI_SEARCH_SPACE_METRICS};
    return dfqi_coexplore_new(e->ctx, &e->tables, r->images->d, r->limits, r->n_limits, &r->o,
                              &r->so, &e->job);
}

static dfq_status create(dfq_context *context, const request *r, dfq_explorer **out)
{
    dfq_explorer *e = dfqi_calloc(context, 1, sizeof *e);
    if (e == NULL) return DFQ_E_NOMEM;
    e->ctx = dfqi_context_retain(context);
    dfq_status status = start(e, r);
    if (status == DFQ_OK)
        *out = e;
    else
        dfq_explorer_release(e);
    return status;
}

dfq_status dfq_explorer_create(dfq_context *context, const char *space,
                               const dfq_accelerator *accelerator, const dfq_dataset *images,
                               const dfq_constraint *constraints, int32_t n_constraints,
                               const dfq_explorer_options *options,
                               const dfq_solver_options *solver, dfq_explorer **out_explorer)
{
    request r = {.space = space, .accelerator = accelerator, .images = images};
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, space);
    DFQI_NEED(context, accelerator);
    DFQI_NEED(context, images);
    DFQI_NEED(context, constraints);
    DFQI_NEED(context, out_explorer);
    DFQI_TRY(read_request(context, constraints, n_constraints, options, solver, &r));
    return create(context, &r, out_explorer);
}

dfq_status dfq_explorer_create_with_costs(dfq_context *context, const char *space,
                                          const dfq_cost_model *costs, const dfq_dataset *images,
                                          const dfq_constraint *constraints, int32_t n_constraints,
                                          const dfq_explorer_options *options,
                                          const dfq_solver_options *solver,
                                          dfq_explorer **out_explorer)
{
    dfq_cost_model model = {.struct_size = 0};
    request r = {.space = space, .model = &model, .images = images};
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, space);
    DFQI_NEED(context, costs);
    DFQI_NEED(context, images);
    DFQI_NEED(context, constraints);
    DFQI_NEED(context, out_explorer);
    DFQI_TRY(dfqi_options_read(context, "dfq_cost_model", costs, &model, sizeof model));
    DFQI_TRY(read_request(context, constraints, n_constraints, options, solver, &r));
    return create(context, &r, out_explorer);
}

void dfq_explorer_release(dfq_explorer *explorer)
{
    if (explorer == NULL) return;
    dfq_context *ctx = explorer->ctx;
    dfqi_coexplore_release(explorer->job); /* before the tables it reads */
    dfqi_search_space_costs_fini(&explorer->costs);
    dfqi_free(ctx, explorer->names);
    dfqi_free(ctx, explorer);
    dfqi_context_release(ctx);
}

dfq_status dfq_explorer_step(dfq_explorer *explorer, int32_t *out_finished)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_finished);
    return dfqi_coexplore_step(explorer->job, out_finished);
}

dfq_status dfq_explorer_run(dfq_explorer *explorer)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    return dfqi_coexplore_run(explorer->job);
}

dfq_status dfq_explorer_estimate(const dfq_explorer *explorer, dfq_explorer_needs *out_needs)
{
    dfq_explorer_needs t;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_needs);
    DFQI_TRY(dfqi_coexplore_estimate(explorer->job, &t));
    return dfqi_info_write(explorer->ctx, "dfq_explorer_needs", &t, sizeof t, out_needs);
}

/* -- files ------------------------------------------------------------------------------------- */

dfq_status dfq_explorer_save_network(const dfq_explorer *explorer, const char *path)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, path);
    return dfqi_coexplore_save_network(explorer->job, path);
}

dfq_status dfq_explorer_save_supernet(const dfq_explorer *explorer, const char *path)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, path);
    return dfqi_coexplore_save_supernet(explorer->job, path);
}

dfq_status dfq_explorer_save_checkpoint(const dfq_explorer *explorer, const char *path)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, path);
    return dfqi_coexplore_save(explorer->job, path);
}

dfq_status dfq_explorer_load_checkpoint(dfq_explorer *explorer, const char *path)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, path);
    return dfqi_coexplore_restore(explorer->job, path);
}
