/* The steps of a co-exploration: of the supernet's weights, of the solver, of the derived
 * network. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "explore/coexplore/coexplore_priv.h"

enum { ROW = DFQI_SUPER_CHOICES + 1, CALIBRATE = 32 };

static const char *const stage_names[DFQI_EXPLORE_STAGES] = {"warm-up", "explore", "train"};

/* Share of uniform choices in sampled paths, so that choices of low probability are still
 * measured. */
static const double open_share = 0.1;

/* -- the weights ------------------------------------------------------------------------------- */

dfq_status dfqi_curve_reserve(dfq_context *ctx, dfqi_curve *c, int64_t n)
{
    if (n <= c->room) return DFQ_OK;
    int64_t room = n > 2 * c->room ? n + 256 : 2 * c->room;
    float *v = dfqi_realloc(ctx, c->v, (size_t)room * sizeof *v);
    if (!v) return DFQ_E_NOMEM;
    c->v = v;
    c->room = room;
    return DFQ_OK;
}

static dfq_status step_weights(dfqi_coexplore *e, const dfqi_super_data *data, const int32_t *path)
{
    dfqi_coexplore_state *s = e->s;
    dfqi_curve *c = &s->losses[s->stage];
    DFQI_TRY(dfqi_curve_reserve(e->ctx, c, c->n + 1));
    DFQI_TRY(dfqi_super_train_step(s->train, data, path, &e->loss));
    c->v[c->n++] = e->loss;
    return DFQ_OK;
}

/* -- exploring --------------------------------------------------------------------------------- */

/* The logarithms of the solver's probabilities, a share `open` of them uniform, as paths are drawn
 * by. */
static dfq_status path_logits(const dfqi_coexplore *e, double open, float *logits)
{
    const dfqi_domain *d = dfqi_solver_space(e->s->solver);
    const double *p;
    DFQI_TRY(dfqi_solver_mixture(e->s->solver, &p));
    for (int32_t c = 0; c < e->s->net.n_cells; c++)
        for (int32_t k = 0; k < d->choices[c]; k++)
            logits[c * ROW + k] =
                (float)log((1 - open) * p[d->first[c] + k] + open / (double)d->choices[c]);
    return DFQ_OK;
}

/* Paths are told apart by the number of the draw. */
static dfq_status judge_paths(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    int32_t paths[DFQI_SAMPLED_PATHS_MAX * DFQI_SUPER_CELLS], n = (int32_t)e->o.sampled_paths;
    double losses[DFQI_SAMPLED_PATHS_MAX], gates[DFQI_SAMPLED_PATHS_MAX * DFQI_SUPER_CELLS];
    bool by_gates = e->o.gradient == DFQ_GRADIENT_GATES;
    float logits[DFQI_SUPER_CELLS * ROW];
    DFQI_TRY(path_logits(e, open_share, logits));
    for (int32_t i = 0; i < n; i++) {
        float loss = 0;
        int32_t *path = paths + i * s->net.n_cells;
        dfqi_super_sample(&s->net, logits, dfqi_coexplore_seed(e, DFQI_SEED_SAMPLED_PATHS),
                          dfqi_solver_done(s->solver) * DFQI_SAMPLED_PATHS_MAX + i, path);
        int64_t key = dfqi_solver_done(s->solver);
        if (by_gates)
            DFQI_TRY(dfqi_super_train_gates(s->train, &e->held, key, path, &loss,
                                            gates + i * s->net.n_cells));
        else
            DFQI_TRY(dfqi_super_train_loss(s->train, &e->held, key, path, &loss));
        losses[i] = (double)loss;
    }
    if (by_gates)
        dfqi_effects_add_gates(&s->effects, n, paths, losses, gates);
    else
        dfqi_effects_add(&s->effects, n, paths, losses);
    s->judged = true;
    return DFQ_OK;
}

static dfq_status search_unit(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    int32_t finished, path[DFQI_SUPER_CELLS];
    float logits[DFQI_SUPER_CELLS * ROW];
    int64_t at = s->at % (e->o.weight_steps + e->o.solver_steps) - e->o.weight_steps;
    if (at < 0) {
        DFQI_TRY(path_logits(e, 0, logits));
        dfqi_super_sample(&s->net, logits,
                          dfqi_coexplore_seed(e, DFQI_SEED_PATHS) + DFQ_EXPLORE_SEARCH * 16, s->at,
                          path);
        return step_weights(e, &e->learn, path);
    }
    if (at == 0 && !s->judged) DFQI_TRY(judge_paths(e));
    do { /* the last unit has what the solver adds to its steps */
        DFQI_TRY(dfqi_solver_step(s->solver, &finished));
    } while (dfqi_solver_done(s->solver) >= e->solver_o.steps && !finished);
    s->judged = false;
    e->loss = (float)dfqi_solver_loss(s->solver);
    return DFQ_OK;
}

/* The largest choices first, so that there is something for the others to begin with. */
static dfq_status warm_unit(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    int64_t first = (int64_t)(e->o.largest_share * (double)e->o.warmup_steps);
    int32_t path[DFQI_SUPER_CELLS];
    dfqi_supernet_largest(&s->net, path);
    if (s->at == first && first > 0) DFQI_TRY(dfqi_supernet_inherit(&s->net, path));
    if (s->at >= first)
        dfqi_super_sample(&s->net, NULL, dfqi_coexplore_seed(e, DFQI_SEED_PATHS), s->at, path);
    return step_weights(e, &e->learn, path);
}

static dfq_status unit(dfqi_coexplore *e)
{
    if (e->s->stage == DFQ_EXPLORE_WARMUP) return warm_unit(e);
    if (e->s->stage == DFQ_EXPLORE_SEARCH) return search_unit(e);
    return step_weights(e, &e->all, e->s->path);
}

/* -- stages ------------------------------------------------------------------------------------ */

/* Goes on to the stage that has something left to do. */
static dfq_status settle(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    while (s->stage < DFQI_EXPLORE_STAGES && s->at >= dfqi_coexplore_units(e, s->stage)) {
        int64_t batches = e->all.n / e->o.batch;
        if (s->stage == DFQ_EXPLORE_SEARCH) DFQI_TRY(dfqi_networks_measure(s));
        if (s->stage == DFQ_EXPLORE_SEARCH && dfqi_solver_is_feasible(s->solver) &&
            !s->derived.layers)
            DFQI_TRY(dfqi_coexplore_derive(e, s));
        if (s->stage == DFQ_EXPLORE_TRAIN && s->derived.layers && batches > 0)
            DFQI_TRY(dfqi_super_recalibrate(&s->derived, s->path, &e->all, e->o.batch,
                                            batches < CALIBRATE ? batches : CALIBRATE));
        dfqi_super_train_release(s->train);
        s->train = NULL;
        s->stage++;
        s->at = 0;
    }
    return DFQ_OK;
}

/* Says in which stage and step. */
static dfq_status explain(dfqi_coexplore *e, dfq_status status)
{
    char text[DFQI_ERROR_MAX];
    int32_t stage = e->s->stage;
    if (status == DFQ_OK || status == DFQ_E_NOMEM || stage == DFQI_EXPLORE_STAGES) return status;
    memcpy(text, e->ctx->error, sizeof text);
    e->failed = status == DFQ_E_NUMERIC;
    return dfqi_fail(e->ctx, status, "explorer: %s, step %lld of %lld: %.900s", stage_names[stage],
                     (long long)e->s->at, (long long)dfqi_coexplore_units(e, stage), text);
}

static dfq_status advance(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    DFQI_TRY(settle(e));
    if (s->stage == DFQI_EXPLORE_STAGES) return DFQ_OK;
    if (!s->train) DFQI_TRY(dfqi_coexplore_begin(e, s));
    DFQI_TRY(unit(e));
    s->at++;
    return settle(e);
}

dfq_status dfqi_coexplore_step(dfqi_coexplore *e, int32_t *out_finished)
{
    if (e->failed)
        return dfqi_fail(e->ctx, DFQ_E_NUMERIC,
                         "explorer: the job has ended: a loss was not finite at step %lld of stage "
                         "%s; start anew",
                         (long long)e->s->at, stage_names[e->s->stage]);
    if (dfqi_networks_next(e->s) < DFQI_EXPLORE_NETWORKS)
        DFQI_TRY(dfqi_networks_step(e));
    else
        DFQI_TRY(explain(e, advance(e)));
    *out_finished = e->s->stage == DFQI_EXPLORE_STAGES;
    return DFQ_OK;
}

dfq_status dfqi_coexplore_run(dfqi_coexplore *e)
{
    const dfqi_coexplore_state *s = e->s;
    int32_t finished = s->stage == DFQI_EXPLORE_STAGES;
    DFQI_TRY(dfqi_networks_run(e));
    while (!finished) {
        int32_t stage = s->stage;
        int64_t units = dfqi_coexplore_units(e, stage);
        dfqi_stage report =
            dfqi_stage_begin(e->ctx, stage_names[stage], (uint64_t)s->at, (uint64_t)units);
        while (!finished && s->stage == stage) {
            DFQI_TRY(dfqi_coexplore_step(e, &finished));
            int64_t done = s->stage == stage ? s->at : units;
            dfq_status status = dfqi_stage_report(&report, (uint64_t)done, (double)e->loss);
            if (status != DFQ_OK && !finished) return status;
        }
    }
    return dfqi_solver_is_feasible(s->solver) ? DFQ_OK
                                              : dfqi_solver_run(s->solver); /* says why not */
}
