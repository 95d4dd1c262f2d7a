/* The functions of dfq/explorer.h. */
#include <dfq/explorer.h>

#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/memory.h"
#include "base/text.h"
#include "explore/coexplore/coexplore.h"
#include "explore/coexplore/cost_model.h"
#include "explore/coexplore/search_space.h"

enum { NAME = 48 };

struct dfq_explorer {
    dfq_context *ctx; /* kept alive by the job */
    dfqi_search_space space;
    dfqi_search_space_costs costs;
    bool custom;         /* the costs are a dfq_cost_model's */
    char (*names)[NAME]; /* of the groups, then of all choices */
    char metric_names[DFQ_METRICS_MAX][NAME];
    const char *metrics[DFQ_METRICS_MAX];
    dfqi_coexplore_tables tables;
    dfqi_coexplore *job;
};

void dfq_explorer_options_init(dfq_explorer_options *options, size_t size)
{
    dfq_explorer_options d;
    dfqi_coexplore_defaults(&d);
    dfqi_options_init(options, size, &d, sizeof d);
}

/* -- names ------------------------------------------------------------------------------------- */

static int32_t count_groups(const dfq_explorer *e)
{
    return e->costs.n_cells + e->costs.n_hw_params;
}

static void name_choice(const dfq_explorer *e, int32_t group, int32_t choice, char out[NAME])
{
    const dfqi_accel_space *a = &e->space.accel;
    const dfqi_values *hw_params[] = {&a->pe_x,     &a->pe_y, &a->rf_words,
                                      &a->dataflow, &a->pe,   &a->glb_kb};
    int32_t at = group - e->costs.n_cells;
    if (at < 0) {
        dfqi_super_choice_name(&e->space.net, choice, out);
    } else if (e->custom) {
        snprintf(out, NAME, "%d", (int)choice);
    } else {
        double v = hw_params[at]->v[choice];
        const char *text = at == 3   ? dfqi_dataflow_name((int32_t)v)
                           : at == 4 ? dfqi_pe_name((int32_t)v)
                                     : NULL;
        if (text != NULL)
            snprintf(out, NAME, "%s", text);
        else
            dfqi_print(out, NAME, "%g", v);
    }
}

/* NULL `model`: the library's accelerators. */
static void name_group(const dfq_explorer *e, const dfq_cost_model *model, int32_t group,
                       char out[NAME])
{
    static const char *const hw_params[] = {"pe_x",     "pe_y",    "rf_words",
                                            "dataflow", "pe_type", "glb_kb"};
    int32_t at = group - e->costs.n_cells;
    if (at < 0)
        snprintf(out, NAME, "cell %d", (int)group);
    else if (model == NULL)
        snprintf(out, NAME, "%s", hw_params[at]);
    else if (model->hw_names != NULL && model->hw_names[at] != NULL)
        snprintf(out, NAME, "%s", model->hw_names[at]);
    else
        snprintf(out, NAME, "hw %d", (int)at);
}

static dfq_status make_names(dfq_explorer *e, const dfq_cost_model *model)
{
    int32_t groups = count_groups(e), n = groups;
    for (int32_t g = 0; g < groups; g++) n += e->costs.choices[g];
    e->names = dfqi_calloc(e->ctx, (size_t)n, sizeof *e->names);
    if (e->names == NULL) return DFQ_E_NOMEM;
    n = groups;
    for (int32_t g = 0; g < groups; g++) {
        name_group(e, model, g, e->names[g]);
        for (int32_t k = 0; k < e->costs.choices[g]; k++) name_choice(e, g, k, e->names[n++]);
    }
    for (int32_t m = 0; m < e->costs.n_metrics; m++) {
        if (model == NULL)
            snprintf(e->metric_names[m], NAME, "%s", dfqi_search_space_metrics[m]);
        else if (model->metrics != NULL)
            snprintf(e->metric_names[m], NAME, "%s", model->metrics[m]);
        else
            snprintf(e->metric_names[m], NAME, "metric %d", (int)m);
        e->metrics[m] = e->metric_names[m];
    }
    return DFQ_OK;
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
        DFQI_TRY(dfqi_search_space_costs_new(e->ctx, &e->space, &e->costs));
    }
    DFQI_TRY(make_names(e, model));
    bool reference = !model || model->reference != NULL;
    e->tables = (dfqi_coexplore_tables){.net = &e->space.net,
                                        .n_hw_params = e->costs.n_hw_params,
                                        .n_metrics = e->costs.n_metrics,
                                        .metrics = e->metrics,
                                        .choices = e->costs.choices,
                                        .cost = e->costs.cost,
                                        .base = e->costs.base,
                                        .reference = reference ? e->costs.reference : NULL,
                                        .custom = e->custom};
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

/* -- what is known ----------------------------------------------------------------------------- */

static int32_t stage_of(const dfqi_coexplore_info *i)
{
    if (i->stage == DFQI_EXPLORE_STAGES) return DFQ_EXPLORE_DONE;
    return i->network < DFQI_EXPLORE_NETWORKS ? DFQ_EXPLORE_EVALUATOR + i->network : i->stage;
}

static dfq_status check_metrics(const dfq_explorer *e, const char *what, int32_t v, int32_t least,
                                int32_t most)
{
    if (v >= least && v <= most) return DFQ_OK;
    return dfqi_fail(e->ctx, DFQ_E_INVALID, "explorer: %s is %d, must be %d to %d", what, (int)v,
                     (int)least, (int)most);
}

dfq_status dfq_explorer_get_result(const dfq_explorer *explorer, dfq_explorer_result *out_result)
{
    dfqi_coexplore_info i;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_result);
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    dfq_explorer_result r = {.stage = stage_of(&i),
                             .verdict = i.verdict,
                             .proved = i.proved,
                             .raw_feasible = i.raw_feasible,
                             .accelerator = i.accelerator,
                             .loss = i.loss,
                             .macs = i.macs,
                             .hw_generator_accuracy = i.hw_generator_accuracy,
                             .hw_generator_regret = i.hw_generator_regret};
    return dfqi_info_write(explorer->ctx, "dfq_explorer_result", &r, sizeof r, out_result);
}

dfq_status dfq_explorer_get_stage(const dfq_explorer *explorer, int32_t stage,
                                  dfq_explorer_stage *out_stage)
{
    dfqi_coexplore_info i;
    dfq_explorer_stage r = {.reserved = 0};
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_stage);
    if (stage < DFQ_EXPLORE_WARMUP || stage > DFQ_EXPLORE_HW_GENERATOR)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID, "explorer: stage is %d, must be 0 to %d",
                         (int)stage, (int)DFQ_EXPLORE_HW_GENERATOR);
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    int32_t network = stage - DFQ_EXPLORE_EVALUATOR;
    r.done = network < 0 ? i.steps[stage] : i.evaluator_steps[network];
    r.total = network < 0 ? i.total[stage] : i.evaluator_total[network];
    return dfqi_info_write(explorer->ctx, "dfq_explorer_stage", &r, sizeof r, out_stage);
}

int32_t dfq_explorer_get_metrics(const dfq_explorer *explorer)
{
    return explorer != NULL ? explorer->tables.n_metrics : 0;
}

const char *dfq_explorer_get_metric_name(const dfq_explorer *explorer, int32_t metric)
{
    if (metric < 0 || metric >= dfq_explorer_get_metrics(explorer)) return NULL;
    return explorer->tables.metrics[metric];
}

dfq_status dfq_explorer_get_metric(const dfq_explorer *explorer, int32_t metric,
                                   dfq_explorer_metric *out_metric)
{
    dfqi_coexplore_info i;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_metric);
    DFQI_TRY(check_metrics(explorer, "metric", metric, 0, explorer->tables.n_metrics - 1));
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    dfq_explorer_metric r = {.limit = i.limits[metric],
                             .cost = i.costs[metric],
                             .raw_cost = i.raw_costs[metric],
                             .tightest = i.tightest[metric],
                             .least = i.least[metric],
                             .reference = i.reference[metric],
                             .evaluator_mean = i.evaluator_mean[metric],
                             .evaluator_p99 = i.evaluator_p99[metric],
                             .evaluator_gap = i.evaluator_gap[metric]};
    return dfqi_info_write(explorer->ctx, "dfq_explorer_metric", &r, sizeof r, out_metric);
}

dfq_status dfq_explorer_get_accelerator(const dfq_explorer *explorer,
                                        dfq_accelerator_config *out_config)
{
    dfqi_coexplore_info r;
    dfqi_accel_config t;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_config);
    if (explorer->custom)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID,
                         "explorer: the costs are the caller's own, dfq_explorer_get_choice() has "
                         "the accelerator");
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &r));
    if (r.accelerator < 0)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID, "explorer: no accelerator is known yet");
    dfqi_accel_space_config(&explorer->space.accel, r.accelerator, &t);
    return dfqi_config_write(explorer->ctx, &t, out_config);
}

int32_t dfq_explorer_get_cells(const dfq_explorer *explorer)
{
    return explorer != NULL ? explorer->costs.n_cells : 0;
}

int32_t dfq_explorer_get_groups(const dfq_explorer *explorer)
{
    return explorer != NULL ? count_groups(explorer) : 0;
}

int32_t dfq_explorer_get_choices(const dfq_explorer *explorer, int32_t group)
{
    if (explorer == NULL || group < 0 || group >= count_groups(explorer)) return 0;
    return explorer->costs.choices[group];
}

const char *dfq_explorer_get_name(const dfq_explorer *explorer, int32_t group, int32_t choice)
{
    int32_t at = dfq_explorer_get_groups(explorer) + choice;
    if (choice < -1 || choice >= dfq_explorer_get_choices(explorer, group)) return NULL;
    for (int32_t g = 0; g < group; g++) at += explorer->costs.choices[g];
    return explorer->names[choice < 0 ? group : at];
}

dfq_status dfq_explorer_get_choice(const dfq_explorer *explorer, int32_t raw,
                                   dfq_tensor **out_choice)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_choice);
    return dfqi_solver_choice(dfqi_coexplore_solver(explorer->job), raw != 0, out_choice);
}

dfq_status dfq_explorer_get_chosen_by(const dfq_explorer *explorer, dfq_tensor **out_steps)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_steps);
    return dfqi_solver_chosen_by(dfqi_coexplore_solver(explorer->job), out_steps);
}

dfq_status dfq_explorer_cost(const dfq_explorer *explorer, const int32_t *choice, int32_t n_metrics,
                             double *out_costs)
{
    double costs[DFQ_METRICS_MAX];
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, choice);
    DFQI_NEED(explorer->ctx, out_costs);
    DFQI_TRY(check_metrics(explorer, "n_metrics", n_metrics, 1, explorer->tables.n_metrics));
    for (int32_t g = 0; g < count_groups(explorer); g++)
        if (choice[g] < 0 || choice[g] >= explorer->costs.choices[g])
            return dfqi_fail(explorer->ctx, DFQ_E_INVALID,
                             "explorer: choice %d of %s, there are 0 to %d", (int)choice[g],
                             explorer->names[g], (int)explorer->costs.choices[g] - 1);
    DFQI_TRY(dfqi_coexplore_cost(explorer->job, choice, costs));
    memcpy(out_costs, costs, (size_t)n_metrics * sizeof *costs);
    return DFQ_OK;
}

dfq_status dfq_explorer_get_probabilities(const dfq_explorer *explorer,
                                          dfq_tensor **out_probabilities)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_probabilities);
    return dfqi_solver_probabilities(dfqi_coexplore_solver(explorer->job), out_probabilities);
}

dfq_status dfq_explorer_get_effects(const dfq_explorer *explorer, dfq_tensor **out_effects)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_effects);
    return dfqi_coexplore_effects(explorer->job, out_effects);
}

dfq_status dfq_explorer_get_trajectory(const dfq_explorer *explorer, dfq_tensor **out_trajectory)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_trajectory);
    return dfqi_solver_trajectory(dfqi_coexplore_solver(explorer->job), out_trajectory);
}

dfq_status dfq_explorer_get_snapshots(const dfq_explorer *explorer, dfq_tensor **out_snapshots)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_snapshots);
    return dfqi_solver_get_snapshots(dfqi_coexplore_solver(explorer->job), out_snapshots);
}

dfq_status dfq_explorer_get_losses(const dfq_explorer *explorer, int32_t stage,
                                   dfq_tensor **out_losses)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_losses);
    return dfqi_coexplore_losses(explorer->job, stage, out_losses);
}

dfq_status dfq_explorer_evaluate(dfq_explorer *explorer, const dfq_dataset *images,
                                 dfq_accuracy *out_accuracy)
{
    dfqi_accuracy acc;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, images);
    DFQI_NEED(explorer->ctx, out_accuracy);
    DFQI_TRY(dfqi_coexplore_evaluate(explorer->job, images->d, &acc));
    dfq_accuracy a = {
        .n = acc.n, .correct = acc.correct, .correct5 = acc.correct5, .not_finite = acc.not_finite};
    return dfqi_info_write(explorer->ctx, "dfq_accuracy", &a, sizeof a, out_accuracy);
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
