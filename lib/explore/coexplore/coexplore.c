/* A co-exploration and its state: creation, release, set-up of stages. */
#include "explore/coexplore/coexplore.h"

#include <string.h>

#include "base/memory.h"
#include "explore/coexplore/coexplore_priv.h"
#include "nn/supernet_file.h"

uint64_t dfqi_coexplore_seed(const dfqi_coexplore *e, int32_t of)
{
    return e->o.seed * 16 + (uint64_t)of;
}

/* -- state ------------------------------------------------------------------------------------- */

/* The estimated loss of the mixture p. An accelerator changes costs but no loss. */
static dfq_status learned_loss(const double *p, uint64_t step, double *out_loss,
                               double *out_gradient, void *user)
{
    const dfqi_coexplore_state *s = user;
    const dfqi_effects *f = &s->effects;
    (void)step;
    *out_loss = dfqi_effects_loss(f, p);
    if (!out_gradient) return DFQ_OK;
    memset(out_gradient, 0, (size_t)dfqi_solver_space(s->solver)->total * sizeof *out_gradient);
    memcpy(out_gradient, f->e, (size_t)f->total * sizeof *f->e);
    return DFQ_OK;
}

static dfq_problem problem_of(const dfqi_coexplore *e, dfqi_coexplore_state *s)
{
    return (dfq_problem){.n_groups = s->net.n_cells + e->space.n_hw_params,
                         .n_hw_params = e->space.n_hw_params,
                         .n_metrics = e->space.n_metrics,
                         .choices = e->space.choices,
                         .metrics = e->space.metrics,
                         .loss = learned_loss,
                         .user = s,
                         .cost_table = e->space.cost,
                         .base_table = e->space.base,
                         .reference = e->space.reference};
}

static dfq_status make_solver(const dfqi_coexplore *e, dfqi_coexplore_state *s, dfqi_solver **out)
{
    dfq_problem p = problem_of(e, s);
    dfq_constraint limits[DFQ_METRICS_MAX];
    if (s->est) return dfqi_networks_solver(e, &p, s, out);
    for (int32_t j = 0; j < e->n_limits; j++) {
        limits[j] = e->limits[j];
        if (e->space.n_function > 0 && limits[j].metric == e->space.power.metric)
            limits[j].limit = e->space.power_limit;
    }
    DFQI_TRY(dfqi_solver_new(e->ctx, &p, limits, e->n_limits, &e->solver_o, out));
    if (e->space.n_function > 0) dfqi_solver_set_ratio(*out, &e->space.power, e->space.n_function);
    return DFQ_OK;
}

dfq_status dfqi_coexplore_attach(const dfqi_coexplore *e, dfqi_coexplore_state *s)
{
    dfqi_solver *solver;
    DFQI_TRY(make_solver(e, s, &solver));
    dfqi_solver_release(s->solver);
    s->solver = solver;
    s->attached = true;
    return DFQ_OK;
}

static dfq_status check_cells(const dfqi_coexplore *e, const dfqi_supernet *net)
{
    for (int32_t c = 0; c < net->n_cells; c++)
        if (e->space.choices[c] != dfqi_supernet_choices(net, c))
            return dfqi_fail(
                e->ctx, DFQ_E_INVALID,
                "explorer: the tables have %d choices of cell %d, must be %d as in the network",
                (int)e->space.choices[c], (int)c, (int)dfqi_supernet_choices(net, c));
    return DFQ_OK;
}

void dfqi_coexplore_state_free(dfqi_coexplore_state *s)
{
    if (!s) return;
    dfq_context *ctx = s->ctx;
    dfqi_super_train_release(s->train);
    dfqi_supernet_fini(&s->net);
    dfqi_supernet_fini(&s->derived);
    dfqi_effects_fini(&s->effects);
    dfqi_solver_release(s->solver);
    dfqi_networks_fini(s);
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES; i++) dfqi_free(ctx, s->losses[i].v);
    dfqi_free(ctx, s);
}

dfq_status dfqi_coexplore_state_new(dfqi_coexplore *e, dfqi_coexplore_state **out)
{
    dfqi_coexplore_state *s = dfqi_calloc(e->ctx, 1, sizeof *s);
    dfq_problem problem;
    dfq_status status;
    if (!s) return DFQ_E_NOMEM;
    s->ctx = e->ctx;
    s->n_metrics = e->space.n_metrics;
    DFQI_GOTO(dfqi_supernet_new(e->ctx, e->space.net, NULL,
                                dfqi_coexplore_seed(e, DFQI_SEED_WEIGHTS), &s->net),
              fail);
    DFQI_GOTO(check_cells(e, &s->net), fail);
    DFQI_GOTO(dfqi_effects_new(e->ctx, s->net.n_cells, e->space.choices, e->o.estimate_decay,
                               &s->effects),
              fail);
    problem = problem_of(e, s);
    DFQI_GOTO(dfqi_networks_new(e, &problem, s), fail);
    DFQI_GOTO(make_solver(e, s, &s->solver), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_coexplore_state_free(s);
    return status;
}

/* -- stages ------------------------------------------------------------------------------------ */

static int64_t search_weight_steps(const dfqi_coexplore *e)
{
    return (e->solver_o.steps + e->o.solver_steps - 1) / e->o.solver_steps * e->o.weight_steps;
}

int64_t dfqi_coexplore_units(const dfqi_coexplore *e, int32_t stage)
{
    if (stage == DFQ_EXPLORE_WARMUP) return e->supernet_was_read ? 0 : e->o.warmup_steps;
    if (stage == DFQ_EXPLORE_SEARCH) return search_weight_steps(e) + e->solver_o.steps;
    return e->s && dfqi_solver_is_finished(e->s->solver) && !dfqi_solver_is_feasible(e->s->solver)
               ? 0
               : e->o.train_steps;
}

dfq_status dfqi_coexplore_begin(const dfqi_coexplore *e, dfqi_coexplore_state *s)
{
    const int64_t steps[DFQI_EXPLORE_STAGES] = {e->o.warmup_steps, search_weight_steps(e),
                                                e->o.train_steps};
    dfqi_super_options o;
    dfqi_super_defaults_of(e->space.net, &o);
    double learning_rate = e->o.learning_rate > 0    ? e->o.learning_rate
                           : o.optimizer == DFQI_SGD ? 0.1
                                                     : (double)o.learning_rate;
    const double own[DFQI_EXPLORE_STAGES] = {learning_rate, e->o.search_learning_rate,
                                             e->o.train_learning_rate};
    const double share[DFQI_EXPLORE_STAGES] = {1, 0.2, 1};
    o.batch = e->o.batch;
    o.steps = steps[s->stage];
    o.learning_rate = (float)(own[s->stage] > 0 ? own[s->stage] : share[s->stage] * learning_rate);
    if (e->o.weight_decay >= 0) o.weight_decay = (float)e->o.weight_decay;
    o.smoothing = (float)e->o.smoothing;
    o.crop = e->o.max_shift;
    o.seed = dfqi_coexplore_seed(e, DFQI_SEED_BATCHES + s->stage);
    return dfqi_super_train_new(s->stage == DFQ_EXPLORE_TRAIN ? &s->derived : &s->net, &o,
                                &s->train);
}

dfq_status dfqi_coexplore_derive(const dfqi_coexplore *e, dfqi_coexplore_state *s)
{
    dfqi_supernet derived;
    memcpy(s->path, dfqi_solver_best(s->solver), (size_t)s->net.n_cells * sizeof *s->path);
    DFQI_TRY(dfqi_supernet_new(e->ctx, e->space.net, s->path,
                               dfqi_coexplore_seed(e, DFQI_SEED_DERIVED), &derived));
    dfq_status status = e->o.fine_tune ? dfqi_supernet_hand_down(&s->net, &derived) : DFQ_OK;
    if (status == DFQ_OK)
        s->derived = derived;
    else
        dfqi_supernet_fini(&derived);
    return status;
}

/* -- limits that nothing meets ----------------------------------------------------------------- */

/* Then there is nothing to train for: one step of the solver, which tells the tightest limits, and
 * the job is done. */
static dfq_status give_up(dfqi_coexplore *e)
{
    int32_t finished;
    e->o.warmup_steps = e->o.weight_steps = e->o.train_steps = 0;
    e->o.evaluator = DFQ_EVALUATOR_TABLES;
    e->solver_o.steps = 1;
    dfqi_coexplore_state_free(e->s);
    e->s = NULL;
    DFQI_TRY(dfqi_coexplore_state_new(e, &e->s));
    e->s->stage = DFQI_EXPLORE_STAGES;
    return dfqi_solver_step(e->s->solver, &finished);
}

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check_limits(dfqi_coexplore *e, const dfq_constraint *limits, int32_t n)
{
    if (n < 1 || n > e->space.n_metrics)
        return dfqi_fail(e->ctx, DFQ_E_INVALID, "explorer: n_constraints is %d, must be 1 to %d",
                         (int)n, (int)e->space.n_metrics);
    if (e->o.evaluator == DFQ_EVALUATOR_NETWORKS && e->space.n_function > 0 &&
        e->space.n_metrics > e->space.n_function)
        return dfqi_fail(e->ctx, DFQ_E_INVALID,
                         "explorer: limits of size and power need the tables; leave them out, or "
                         "set evaluator to DFQ_EVALUATOR_TABLES");
    memcpy(e->limits, limits, (size_t)n * sizeof *limits);
    e->n_limits = n;
    return DFQ_OK;
}

dfq_status dfqi_coexplore_new(dfq_context *ctx, const dfqi_coexplore_tables *space,
                              const dfqi_dataset *images, const dfq_constraint *limits,
                              int32_t n_limits, const dfq_explorer_options *o,
                              const dfq_solver_options *solver, dfqi_coexplore **out)
{
    dfq_status status;
    DFQI_TRY(dfqi_coexplore_check(ctx, o, solver));
    dfqi_coexplore *e = dfqi_calloc(ctx, 1, sizeof *e);
    if (!e) return DFQ_E_NOMEM;
    e->ctx = dfqi_context_retain(ctx);
    e->o = *o;
    e->o.supernet_path = NULL; /* borrowed for this call */
    e->solver_o = *solver;
    e->space = *space;
    e->supernet_was_read = o->supernet_path != NULL;
    DFQI_GOTO(check_limits(e, limits, n_limits), fail);
    DFQI_GOTO(dfqi_coexplore_state_new(e, &e->s), fail);
    if (o->supernet_path) DFQI_GOTO(dfqi_supernet_load(&e->s->net, o->supernet_path), fail);
    DFQI_GOTO(dfqi_coexplore_begin(e, e->s), fail); /* checks batch and crop */
    DFQI_GOTO(dfqi_coexplore_take(e, images), fail);
    bool hopeless;
    DFQI_GOTO(dfqi_solver_is_hopeless(e->s->solver, &hopeless), fail);
    if (hopeless) DFQI_GOTO(give_up(e), fail);
    *out = e;
    return DFQ_OK;
fail:
    dfqi_coexplore_release(e);
    return status;
}

void dfqi_coexplore_release(dfqi_coexplore *e)
{
    if (!e) return;
    dfq_context *ctx = e->ctx;
    dfqi_coexplore_state_free(e->s);
    dfqi_free(ctx, e->images);
    dfqi_free(ctx, e->labels);
    dfqi_free(ctx, e);
    dfqi_context_release(ctx);
}
