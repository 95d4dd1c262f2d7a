/* From the command line to the options of a co-exploration, and what it will take. */
#include <math.h>

#include "explore.h"
#include "recipe.h"
#include "text.h"

/* Costs of steps in those of a step along the largest choices: measured on cifar10-small. A path that
 * is drawn has half of the work, a look is its forward pass. */
static const double path_share = 0.6, look_share = 0.25;

enum { PROBES = 3 };

struct options explore_fill(const struct options *o)
{
    struct options full = *o;
    dfq_explorer_options e;
    dfq_explorer_options_init(&e, sizeof e);
    if (o->warm_steps < 0) full.warm_steps = o->weights ? 0 : e.warm;
    if (o->steps < 0) full.steps = RECIPE_EXPLORE_STEPS;
    if (o->train_steps < 0) full.train_steps = e.train_steps;
    if (o->batch < 0) full.batch = e.batch;
    if (o->evaluator_steps < 0) full.evaluator_steps = e.evaluator_steps;
    return full;
}

void explore_limits(struct explore *x)
{
    const struct options *o = &x->full;
    const double most[DFQ_EXPLORE_METRICS] = {[DFQ_EXPLORE_LATENCY] =
                                                  1000 / o->fps, /* NaN without */
                                              [DFQ_EXPLORE_ENERGY] = o->energy,
                                              [DFQ_EXPLORE_AREA] = o->area};
    for (int32_t m = 0; m < DFQ_EXPLORE_METRICS; m++)
        if (!isnan(most[m]))
            x->limits[x->n_limits++] = (dfq_constraint){.limit = most[m], .metric = m};
}

dfq_explorer_options explore_options(const struct options *full)
{
    dfq_explorer_options e;
    dfq_explorer_options_init(&e, sizeof e);
    e.warm = full->warm_steps;
    e.train_steps = full->train_steps;
    e.fine_tune = full->train_steps == 0; /* weights of chance are of no use to anybody */
    e.batch = full->batch;
    e.seed = full->seed;
    e.weights = full->weights;
    e.evaluator = full->evaluator;
    e.evaluator_steps = full->evaluator_steps;
    return e;
}

dfq_solver_options explore_solver(const struct options *full)
{
    dfq_solver_options s;
    dfq_solver_options_init(&s, sizeof s);
    s.steps = full->steps;
    s.seed = full->seed;
    s.rule = full->rule;
    if (!isnan(full->penalty)) s.penalty = full->penalty;
    if (!isnan(full->cost_weight)) s.cost_weight = full->cost_weight;
    s.cost_function = full->cost_function;
    return s;
}

/* -- plan -------------------------------------------------------------------------------------- */

/* Steps of the warm-up that go along the largest choices, from step `at` on. */
static double large_steps(const struct explore *x, int64_t at)
{
    dfq_explorer_options e = explore_options(&x->full);
    double large = floor(e.largest * (double)e.warm) - (double)at;
    return large > 0 ? large : 0;
}

/* What is left, if a step along the largest choices takes `unit` seconds. */
static void estimate(struct explore *x, const dfq_explorer_result *r, double unit)
{
    dfq_explorer_options e = explore_options(&x->full);
    double path = unit * path_share, left[DFQ_EXPLORE_DONE];
    for (int i = 0; i < DFQ_EXPLORE_DONE; i++) left[i] = (double)(r->total[i] - r->steps[i]);
    double large = left[DFQ_EXPLORE_WARM] > 0 ? large_steps(x, r->steps[DFQ_EXPLORE_WARM]) : 0;
    x->seconds[DFQ_EXPLORE_WARM] = large * unit + (left[DFQ_EXPLORE_WARM] - large) * path;
    x->seconds[DFQ_EXPLORE_SEARCH] =
        left[DFQ_EXPLORE_SEARCH] / (double)e.moves *
        ((double)e.weight_steps * path + (double)e.looks * unit * look_share);
    x->seconds[DFQ_EXPLORE_TRAIN] = left[DFQ_EXPLORE_TRAIN] * unit; /* at most */
}

/* The stage that the next step belongs to. */
static int32_t stage_of(const dfq_explorer_result *r)
{
    int32_t stage = r->stage;
    while (stage < DFQ_EXPLORE_DONE && r->total[stage] == 0) stage++;
    return stage;
}

/* Does the stage have more than one step left? The last is not to be taken here: what lies between
 * two stages is the run's. */
static int may_probe(const dfq_explorer_result *r)
{
    int32_t stage = stage_of(r);
    return stage < DFQ_EXPLORE_DONE && r->steps[stage] + 1 < r->total[stage];
}

static dfq_status probe(struct explore *x)
{
    dfq_explorer_result r = {.struct_size = sizeof r};
    int32_t finished = 0;
    double unit = 0;
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    for (int i = 0; i < PROBES && status == DFQ_OK && may_probe(&r); i++) {
        int large = stage_of(&r) == DFQ_EXPLORE_TRAIN ||
                    (r.stage == DFQ_EXPLORE_WARM && large_steps(x, r.steps[r.stage]) > 0);
        double start = text_now();
        if (session_interrupted()) break;
        status = dfq_explorer_step(x->e, &finished);
        unit = (text_now() - start) / (large ? 1 : path_share);
        if (status == DFQ_OK) status = dfq_explorer_get_result(x->e, &r);
    }
    if (status == DFQ_OK) estimate(x, &r, unit);
    return status;
}

static void say_limits(const struct explore *x)
{
    const struct options *o = &x->full;
    char fps[64] = "", energy[64] = "", area[64] = "";
    if (!isnan(o->fps))
        snprintf(fps, sizeof fps, ", at least %g images/s (%.4g ms)", o->fps, 1000 / o->fps);
    if (!isnan(o->energy)) snprintf(energy, sizeof energy, ", at most %g mJ", o->energy);
    if (!isnan(o->area)) snprintf(area, sizeof area, ", at most %g mm2", o->area);
    session_say(x->s, "%s on %s (%lld accelerator%s)%s%s%s; rule %s, evaluator %s", o->input,
                o->accel, (long long)x->accelerators, x->accelerators == 1 ? "" : "s", fps, energy,
                area, option_rule_name(o->rule), option_evaluator_name(o->evaluator));
}

/* -- the networks ------------------------------------------------------------------------------ */

/* DFQ_EVALUATOR_EST or GEN: the network with steps left. */
static int network_of(const dfq_explorer_result *r)
{
    int k = 0;
    while (k < DFQ_EVALUATOR_COUNT && r->evaluator_steps[k] == r->evaluator_total[k]) k++;
    return k;
}

int explore_untrained(const struct explore *x)
{
    dfq_explorer_result r = {.struct_size = sizeof r};
    return !x->hopeless && dfq_explorer_get_result(x->e, &r) == DFQ_OK &&
           network_of(&r) < DFQ_EVALUATOR_COUNT;
}

/* Their steps and those of the supernet have nothing to do with each other, so what comes behind them
 * is told when it can be measured. */
static int plan_networks(struct explore *x)
{
    static const char *const names[] = {"evaluator", "generator"};
    dfq_explorer_result r = {.struct_size = sizeof r};
    char t[TEXT_SHORT], then[64] = "";
    int32_t finished;
    double unit = 0;
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    int k = network_of(&r);
    for (int i = 0;
         i < PROBES && status == DFQ_OK && r.evaluator_steps[k] + 1 < r.evaluator_total[k]; i++) {
        double start = text_now();
        if (session_interrupted()) break;
        status = dfq_explorer_step(x->e, &finished);
        unit = text_now() - start;
        if (status == DFQ_OK) status = dfq_explorer_get_result(x->e, &r);
    }
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_WORK);
    double left = (double)(r.evaluator_total[k] - r.evaluator_steps[k]);
    if (k == DFQ_EVALUATOR_EST)
        snprintf(then, sizeof then, ", then the generator (%lld steps)",
                 (long long)r.evaluator_total[DFQ_EVALUATOR_GEN]);
    if (unit > 0) /* a step was left to time */
        session_say(x->s, "%s %s to train the %s (%lld steps)%s; what the rest takes is told then",
                    x->job.resumed ? "still about" : "about", text_seconds(left * unit, t),
                    names[k], (long long)r.evaluator_total[k], then);
    return CODE_DONE;
}

/* -- all of it --------------------------------------------------------------------------------- */

int explore_plan(struct explore *x)
{
    const struct options *o = &x->full;
    const double *sec = x->seconds;
    char t[4][TEXT_SHORT], bytes[TEXT_SHORT];
    double base = session_peak();
    if (!x->told) say_limits(x);
    x->told = 1;
    if (explore_untrained(x)) return plan_networks(x);
    dfq_status status = probe(x);
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_WORK);
    if (x->hopeless) {
        session_say(x->s, "nothing meets these limits, as the costs of all choices prove");
        return CODE_DONE;
    }
    /* The derived network is trained beside the supernet, and takes as much at most. */
    double peak = session_peak(), most = peak + (o->train_steps > 0 ? peak - base : 0);
    session_say(
        x->s,
        "%s %s (%lld steps of warm-up %s, %lld of exploring %s, %lld of training %s) on "
        "%lld images and %s of memory with %d threads",
        x->job.resumed ? "still about" : "about", text_seconds(sec[0] + sec[1] + sec[2], t[0]),
        (long long)o->warm_steps, text_seconds(sec[DFQ_EXPLORE_WARM], t[1]), (long long)o->steps,
        text_seconds(sec[DFQ_EXPLORE_SEARCH], t[2]), (long long)o->train_steps,
        text_seconds(sec[DFQ_EXPLORE_TRAIN], t[3]), (long long)dfq_dataset_get_count(x->learn),
        text_bytes(most, bytes), (int)dfq_context_get_threads(x->s->ctx));
    return CODE_DONE;
}
