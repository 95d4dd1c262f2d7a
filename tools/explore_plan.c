/* Options of a co-exploration from the command line, and the plan: estimated time and memory. */
#include <math.h>

#include "explore.h"
#include "text.h"

enum { PROBES = 3 };

struct options explore_fill(const struct options *o)
{
    struct options full = *o;
    dfq_explorer_options e;
    dfq_solver_options s;
    dfq_explorer_options_init(&e, sizeof e);
    dfq_solver_options_init(&s, sizeof s);
    if (o->warmup_steps < 0) full.warmup_steps = o->supernet ? 0 : e.warmup_steps;
    if (o->steps < 0) full.steps = s.steps;
    if (o->train_steps < 0) full.train_steps = e.train_steps;
    if (o->batch < 0) full.batch = e.batch;
    if (o->evaluator_steps < 0) full.evaluator_steps = e.evaluator_steps;
    return full;
}

void explore_limits(struct explore *x)
{
    const struct options *o = &x->full;
    const double most[EXPLORE_METRICS] = {[DFQ_EXPLORE_LATENCY] = 1000 / o->fps, /* NaN without */
                                          [DFQ_EXPLORE_ENERGY] = o->energy,
                                          [DFQ_EXPLORE_AREA] = o->area,
                                          [DFQ_EXPLORE_SIZE] = o->size,
                                          [DFQ_EXPLORE_POWER] = o->power};
    for (int32_t m = 0; m < EXPLORE_METRICS; m++)
        if (!isnan(most[m]))
            x->limits[x->n_limits++] =
                (dfq_constraint){.struct_size = sizeof *x->limits, .metric = m, .limit = most[m]};
}

dfq_explorer_options explore_options(const struct options *full)
{
    dfq_explorer_options e;
    dfq_explorer_options_init(&e, sizeof e);
    e.warmup_steps = full->warmup_steps;
    e.train_steps = full->train_steps;
    e.fine_tune = full->train_steps == 0; /* untrained: starts with the supernet's weights */
    e.batch = full->batch;
    e.seed = full->seed;
    e.supernet_path = full->supernet;
    e.evaluator = full->evaluator;
    e.gradient = full->gradient;
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

static void say_limits(const struct explore *x)
{
    const struct options *o = &x->full;
    char fps[64] = "", energy[64] = "", area[64] = "";
    if (!isnan(o->fps))
        snprintf(fps, sizeof fps, ", at least %g images/s (%.4g ms)", o->fps, 1000 / o->fps);
    if (!isnan(o->energy)) snprintf(energy, sizeof energy, ", at most %g mJ", o->energy);
    if (!isnan(o->area)) snprintf(area, sizeof area, ", at most %g mm2", o->area);
    session_say(x->s, "%s on %s (%lld accelerator%s)%s%s%s; rule %s, evaluator %s, gradient by %s",
                o->input, o->accel, (long long)x->accelerators, x->accelerators == 1 ? "" : "s",
                fps, energy, area, option_rule_name(o->rule), option_evaluator_name(o->evaluator),
                option_gradient_name(o->gradient));
}

/* -- the networks ------------------------------------------------------------------------------ */

int explore_untrained(const struct explore *x)
{
    dfq_explorer_result r = {.struct_size = sizeof r};
    return !x->hopeless && dfq_explorer_get_result(x->e, &r) == DFQ_OK &&
           (r.stage == DFQ_EXPLORE_EVALUATOR || r.stage == DFQ_EXPLORE_HW_GENERATOR);
}

/* Their steps and those of the supernet have nothing to do with each other, so what comes behind
 * them is told when it can be measured. */
static int plan_networks(struct explore *x)
{
    dfq_explorer_result r = {.struct_size = sizeof r};
    dfq_explorer_stage now = {.struct_size = sizeof now}, next = {.struct_size = sizeof next};
    char t[TEXT_SHORT], then[64] = "";
    int32_t finished;
    double unit = 0;
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    int first = r.stage == DFQ_EXPLORE_EVALUATOR;
    if (status == DFQ_OK) status = dfq_explorer_get_stage(x->e, r.stage, &now);
    for (int i = 0; i < PROBES && status == DFQ_OK && now.done + 1 < now.total; i++) {
        double start = text_now();
        if (session_interrupted()) break;
        status = dfq_explorer_step(x->e, &finished);
        unit = text_now() - start;
        if (status == DFQ_OK) status = dfq_explorer_get_stage(x->e, r.stage, &now);
    }
    if (status == DFQ_OK) status = dfq_explorer_get_stage(x->e, DFQ_EXPLORE_HW_GENERATOR, &next);
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_WORK);
    if (first)
        snprintf(then, sizeof then, ", then the hw-generator (%lld steps)", (long long)next.total);
    if (unit > 0) /* a step was left to time */
        session_say(x->s, "%s %s to train the %s (%lld steps)%s; an estimate of the rest follows",
                    x->job.resumed ? "still about" : "about",
                    text_seconds((double)(now.total - now.done) * unit, t),
                    first ? "evaluator" : "hw-generator", (long long)now.total, then);
    return CODE_DONE;
}

/* -- all of it --------------------------------------------------------------------------------- */

/* "40 s", of what is left of a stage; text_seconds without a buffer to be named. */
typedef struct words {
    char text[TEXT_SHORT];
} words;

static words seconds(double s)
{
    words w;
    text_seconds(s, w.text);
    return w;
}

/* `memory`: bytes of the whole process. */
static void say_plan(struct explore *x, const dfq_explorer_needs *t, double memory)
{
    const struct options *o = &x->full;
    double judge = x->test ? t->image * (double)dfq_dataset_get_count(x->test) : 0;
    double before = x->job.resumed ? 0 : x->opening, all = before + judge + t->derive;
    char bytes[TEXT_SHORT], test[64] = "", tables[64] = "";
    x->seconds[DFQ_EXPLORE_WARMUP] = t->warmup;
    x->seconds[DFQ_EXPLORE_SEARCH] = t->explore + t->derive;
    x->seconds[DFQ_EXPLORE_TRAIN] = t->train + t->recalibrate;
    all += t->warmup + t->explore + t->train + t->recalibrate;
    if (!x->job.resumed) snprintf(tables, sizeof tables, "tables %s, ", seconds(before).text);
    if (x->test)
        snprintf(test, sizeof test, ", judging %lld images %s",
                 (long long)dfq_dataset_get_count(x->test), seconds(judge).text);
    session_say(x->s,
                "%s %s (%s%lld steps of warm-up %s, %lld of exploring %s, repair %s, %lld of "
                "training %s, statistics %s%s) on %lld images and %s of memory with %s",
                x->job.resumed ? "still about" : "about", seconds(all).text, tables,
                (long long)o->warmup_steps, seconds(t->warmup).text, (long long)o->steps,
                seconds(t->explore).text, seconds(t->derive).text, (long long)o->train_steps,
                seconds(t->train).text, seconds(t->recalibrate).text, test,
                (long long)dfq_dataset_get_count(x->learn), text_bytes(memory, bytes),
                text_threads((int)dfq_context_get_threads(x->s->ctx), (char[TEXT_SHORT]){0}));
}

/* If the estimate fails, the job starts without a plan. */
int explore_plan(struct explore *x)
{
    dfq_explorer_needs t = {.struct_size = sizeof t};
    if (!x->told) say_limits(x);
    x->told = 1;
    if (explore_untrained(x)) return plan_networks(x);
    if (x->hopeless) {
        session_say(x->s, "no choice meets these limits, which the costs of all choices prove");
        return CODE_DONE;
    }
    double held = session_peak(); /* without the copy of the job that the estimate works on */
    progress_begin(&x->s->progress, NULL, 0, 0);
    dfq_status status = dfq_explorer_estimate(x->e, &t);
    progress_end(&x->s->progress);
    if (status == DFQ_OK)
        say_plan(x, &t, fmax(held + t.bytes, session_peak()));
    else if (status == DFQ_E_CANCELLED)
        dfq_context_cancel(x->s->ctx); /* the job stops at its first step, and tells how to go on */
    else
        session_say(x->s, "the time cannot be estimated: %s", dfq_context_get_error(x->s->ctx));
    return CODE_DONE;
}
