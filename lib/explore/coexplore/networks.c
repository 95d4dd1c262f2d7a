/* DANCE's networks in a co-exploration (docs/METHODS.md, DANCE's networks). They are trained before
 * the warm-up, so that a network that is not accurate enough fails before the long training. */
#include <math.h>
#include <stddef.h>

#include "base/progress.h"
#include "explore/coexplore/coexplore_priv.h"

static const char *const names[DFQI_EXPLORE_NETWORKS] = {"evaluator", "hw-generator"};

/* A space with so few choices is learned by smaller networks, from smaller batches, at a larger
 * rate. */
enum { SMALL_SPACE = 96, SMALL_WIDTH = 64, SMALL_BLOCKS = 2, SMALL_BATCH = 256 };
static const float small_rate = 3e-3f;

static const double margin_most = 0.9; /* as the solver's own */

/* -- life -------------------------------------------------------------------------------------- */

static dfqi_mlp_options options_of(const dfqi_coexplore *e, int64_t steps, int32_t seed, bool small)
{
    dfqi_mlp_options o;
    dfqi_mlp_defaults(&o);
    o.steps = steps;
    o.seed = dfqi_coexplore_seed(e, seed);
    if (!small) return o;
    o.width = SMALL_WIDTH;
    o.blocks = SMALL_BLOCKS;
    o.batch = SMALL_BATCH;
    o.learning_rate = small_rate;
    return o;
}

dfq_status dfqi_networks_new(const dfqi_coexplore *e, const dfq_problem *tables,
                             dfqi_coexplore_state *s)
{
    int32_t total = 0;
    for (int32_t m = 0; m < DFQ_METRICS_MAX; m++) s->gap[m] = NAN;
    if (e->o.evaluator != DFQ_EVALUATOR_NETWORKS) return DFQ_OK;
    for (int32_t g = 0; g < tables->n_groups; g++) total += tables->choices[g];
    bool small = total <= SMALL_SPACE;
    dfqi_mlp_options eo = options_of(e, e->o.evaluator_steps, DFQI_SEED_EVALUATOR, small);
    dfqi_mlp_options go = options_of(e, e->o.hw_generator_steps, DFQI_SEED_HW_GENERATOR, small);
    DFQI_TRY(dfqi_evaluator_new(e->ctx, tables, &eo, &s->est));
    return dfqi_gen_new(e->ctx, tables, &go, &s->gen);
}

void dfqi_networks_fini(dfqi_coexplore_state *s)
{
    dfqi_evaluator_release(s->est);
    dfqi_gen_release(s->gen);
}

/* -- in a solver ------------------------------------------------------------------------------- */

/* With Gumbel noise EST gets sampled single accelerators, on which it was trained, and not always
 * the likeliest one. */
dfq_status dfqi_networks_solver(const dfqi_coexplore *e, const dfq_problem *tables,
                                const dfqi_coexplore_state *s, dfqi_solver **out)
{
    dfq_solver_options o = e->solver_o;
    dfqi_estimate estimate = {.costs = dfqi_evaluator_costs, .user = s->est};
    dfqi_evaluator_quality q = dfqi_evaluator_judged(s->est);
    dfqi_hw_params hw_params = dfqi_gen_hw_params(s->gen);
    o.gumbel = 1;
    o.hw_learning_rate = e->o.hw_generator_learning_rate;
    DFQI_TRY(dfqi_solver_new_with(e->ctx, tables, e->limits, e->n_limits, &o, &hw_params, out));
    for (int32_t m = 0; m < e->space.n_metrics; m++)
        estimate.margin[m] = fmin(q.p99[m], margin_most);
    dfqi_solver_estimate(*out, &estimate);
    return DFQ_OK;
}

dfq_status dfqi_networks_measure(dfqi_coexplore_state *s)
{
    double costs[DFQ_METRICS_MAX];
    if (!s->est || !dfqi_solver_best(s->solver)) return DFQ_OK;
    const double *exact = dfqi_solver_best_costs(s->solver);
    DFQI_TRY(dfqi_evaluator_costs(dfqi_solver_best_mixture(s->solver), costs, NULL, s->est));
    for (int32_t m = 0; m < s->n_metrics; m++) s->gap[m] = fabs(costs[m] - exact[m]) / exact[m];
    return DFQ_OK;
}

/* -- training ---------------------------------------------------------------------------------- */

int32_t dfqi_networks_next(const dfqi_coexplore_state *s)
{
    if (!s->est || s->attached || s->stage == DFQI_EXPLORE_STAGES) return DFQI_EXPLORE_NETWORKS;
    return dfqi_evaluator_state(s->est).finished ? DFQI_EXPLORE_GEN : DFQI_EXPLORE_EST;
}

int64_t dfqi_networks_done(const dfqi_coexplore_state *s, int32_t network)
{
    if (!s->est) return 0;
    return (network == DFQI_EXPLORE_EST ? dfqi_evaluator_state(s->est) : dfqi_gen_state(s->gen))
        .done;
}

int64_t dfqi_networks_steps(const dfqi_coexplore *e, int32_t network)
{
    if (!e->s->est) return 0;
    return network == DFQI_EXPLORE_EST ? e->o.evaluator_steps : e->o.hw_generator_steps;
}

/* Each further call repeats the error of an EST that is not accurate enough. */
dfq_status dfqi_networks_step(dfqi_coexplore *e)
{
    dfqi_coexplore_state *s = e->s;
    bool trained = dfqi_networks_next(s) == DFQI_EXPLORE_GEN;
    double loss = 0;
    DFQI_TRY(dfqi_evaluator_step(s->est, &loss));
    if (trained) DFQI_TRY(dfqi_gen_step(s->gen, &loss));
    e->loss = (float)loss;
    return dfqi_gen_state(s->gen).finished ? dfqi_coexplore_attach(e, s) : DFQ_OK;
}

dfq_status dfqi_networks_run(dfqi_coexplore *e)
{
    for (int32_t k; (k = dfqi_networks_next(e->s)) < DFQI_EXPLORE_NETWORKS;) {
        dfqi_stage stage = dfqi_stage_begin(e->ctx, names[k], (uint64_t)dfqi_networks_done(e->s, k),
                                            (uint64_t)dfqi_networks_steps(e, k));
        while (dfqi_networks_next(e->s) == k) {
            DFQI_TRY(dfqi_networks_step(e));
            DFQI_TRY(
                dfqi_stage_report(&stage, (uint64_t)dfqi_networks_done(e->s, k), (double)e->loss));
        }
    }
    return DFQ_OK;
}

/* -- what they tell ---------------------------------------------------------------------------- */

void dfqi_networks_result(const dfqi_coexplore *e, dfqi_coexplore_info *out)
{
    const dfqi_coexplore_state *s = e->s;
    bool est = s->est && dfqi_evaluator_state(s->est).finished;
    bool gen = s->gen && dfqi_gen_state(s->gen).finished;
    dfqi_evaluator_quality q = {.mean = {0}};
    if (est) q = dfqi_evaluator_judged(s->est);
    for (int32_t k = 0; k < DFQI_EXPLORE_NETWORKS; k++) {
        out->evaluator_steps[k] = dfqi_networks_done(s, k);
        out->evaluator_total[k] = dfqi_networks_steps(e, k);
    }
    out->network = dfqi_networks_next(s);
    for (int32_t m = 0; m < DFQ_METRICS_MAX; m++) {
        out->evaluator_mean[m] = est && m < s->n_metrics ? q.mean[m] : NAN;
        out->evaluator_p99[m] = est && m < s->n_metrics ? q.p99[m] : NAN;
        out->evaluator_gap[m] = s->gap[m];
    }
    out->hw_generator_accuracy = gen ? dfqi_gen_judged(s->gen).all : NAN;
    out->hw_generator_regret = gen ? dfqi_gen_judged(s->gen).regret : NAN;
}

/* -- state ------------------------------------------------------------------------------------- */

void dfqi_networks_note(const dfqi_coexplore_state *s, dfqi_networks_state *out)
{
    dfqi_mlp_state est = dfqi_evaluator_state(s->est), gen = dfqi_gen_state(s->gen);
    *out = (dfqi_networks_state){.done = {est.done, gen.done},
                                 .finished = {est.finished, gen.finished},
                                 .est = dfqi_evaluator_judged(s->est),
                                 .gen = dfqi_gen_judged(s->gen)};
}

/* Shares and errors are no negative numbers, and taus, from number `tau` on, at most 1 away from 0.
 * Errors of a network that was not accepted can be beyond all numbers. */
static bool is_quality(const void *quality, size_t n, size_t tau, bool accepted)
{
    const double *v = quality;
    for (size_t i = 0; i < n; i++)
        if (v[i] < (i < tau ? 0 : -1) || (accepted && !isfinite(v[i]))) return false;
    return true;
}

dfq_status dfqi_networks_resume(const dfqi_coexplore *e, const dfqi_networks_state *from,
                                const char *path, dfqi_coexplore_state *s)
{
    const int64_t steps[DFQI_EXPLORE_NETWORKS] = {e->o.evaluator_steps, e->o.hw_generator_steps};
    const size_t est = sizeof from->est / sizeof(double), gen = sizeof from->gen / sizeof(double);
    bool fine = is_quality(&from->est, est, offsetof(dfqi_evaluator_quality, tau) / sizeof(double),
                           from->done[1] > 0) &&
                is_quality(&from->gen, gen, gen, false) &&
                (from->finished[0] != 0 || from->done[1] == 0);
    for (int32_t k = 0; k < DFQI_EXPLORE_NETWORKS && fine; k++)
        fine = from->done[k] >= 0 && from->done[k] <= steps[k] &&
               (from->finished[k] == 0 || from->done[k] == steps[k]);
    if (!fine)
        return dfqi_fail(
            e->ctx, DFQ_E_CORRUPT,
            "%s: tensor networks holds values that no training leaves; the checkpoint is damaged",
            path);
    DFQI_TRY(dfqi_evaluator_resume(s->est, (dfqi_mlp_state){from->done[0], from->finished[0] != 0},
                                   &from->est));
    return dfqi_gen_resume(s->gen, (dfqi_mlp_state){from->done[1], from->finished[1] != 0},
                           &from->gen);
}
