/* Time and memory estimate. A copy of the job with the same space, tables, images, batch and rule
 * runs a few steps of each kind, and these are timed. */
#include "explore/coexplore/estimate_priv.h"

#include <math.h>

#include "base/memory.h"
#include "base/progress.h"

/* Steps of the copy. The second step of a kind is timed; the first one allocates. */
enum { LARGE = 2, PATHS = 4, WEIGHTS = 1, MOVES = 2, ROUNDS = 2, TRAIN = 3, IMAGES = 128 };

/* Rule "alternate" steps the accelerator at its first step and then every so many steps. */
enum { ALTERNATE_EVERY = 100 };

/* -- the miniature ----------------------------------------------------------------------------- */

typedef struct miniature {
    dfqi_coexplore e; /* its own state, all else is borrowed */
    dfqi_stage stage;
    uint64_t done;
} miniature;

/* Networks that are trained are borrowed; without them the tables stand for them. */
static dfq_status make(const dfqi_coexplore *e, dfqi_coexplore *m)
{
    *m = *e;
    m->s = NULL;
    m->supernet_was_read = 0;
    m->o.warmup_steps = LARGE + PATHS;
    m->o.largest_share = (double)LARGE / (LARGE + PATHS);
    m->o.weight_steps = e->o.weight_steps > 0 ? WEIGHTS : 0;
    m->o.solver_steps = MOVES;
    m->o.train_steps = TRAIN;
    m->o.evaluator = DFQ_EVALUATOR_TABLES;
    m->solver_o.steps = ROUNDS * MOVES;
    DFQI_TRY(dfqi_coexplore_state_new(m, &m->s));
    if (!e->s->attached) return DFQ_OK;
    m->s->est = e->s->est;
    m->s->gen = e->s->gen;
    return dfqi_coexplore_attach(m, m->s);
}

static void release(dfqi_coexplore *m)
{
    if (!m->s) return;
    m->s->est = NULL;
    m->s->gen = NULL;
    dfqi_coexplore_state_free(m->s);
}

/* Steps, and the time of the last. */
static dfq_status steps(miniature *m, int64_t n, double *last)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t finished;
        double start = dfqi_now();
        DFQI_TRY(dfqi_coexplore_step(&m->e, &finished));
        *last = dfqi_now() - start;
        DFQI_TRY(dfqi_stage_report(&m->stage, ++m->done, (double)NAN));
    }
    return DFQ_OK;
}

/* Effects that stand for a learned loss: more MACs, less loss, so the search ends with a large
 * network as real ones do. An effect is the share of the largest network's MACs that the choice
 * saves. */
static dfq_status prefer_work(dfqi_coexplore_state *s, double *all)
{
    int32_t path[DFQI_SUPER_CELLS], i = 0;
    double macs;
    dfqi_supernet_largest(&s->net, path);
    DFQI_TRY(dfqi_supernet_macs(&s->net, path, all));
    for (int32_t c = 0; c < s->net.n_cells; c++) {
        int32_t largest = path[c];
        for (path[c] = 0; path[c] < dfqi_supernet_choices(&s->net, c); path[c]++) {
            DFQI_TRY(dfqi_supernet_macs(&s->net, path, &macs));
            s->effects.e[i++] = 1 - macs / *all;
        }
        path[c] = largest;
    }
    return DFQ_OK;
}

/* Of all paths: what a cell's choices save on average, taken off the largest path's. */
static dfq_status average_work(dfqi_coexplore_state *s, double *out)
{
    const dfqi_effects *f = &s->effects;
    double all, saved = 0;
    DFQI_TRY(prefer_work(s, &all));
    for (int32_t c = 0; c < f->n_cells; c++)
        for (int32_t i = f->first[c]; i < f->first[c + 1]; i++)
            saved += f->e[i] / (double)(f->first[c + 1] - f->first[c]);
    *out = all * (1 - saved);
    return DFQ_OK;
}

/* -- the stages -------------------------------------------------------------------------------- */

/* Time of a path of average MACs, at the speed of the fastest path drawn: the others may have
 * included the creation of kernels. */
static dfq_status warm_up(miniature *m, dfqi_coexplore_pace *p)
{
    const dfqi_supernet *net = &m->e.s->net;
    double last, macs, least = INFINITY, mean;
    DFQI_TRY(steps(m, LARGE, &p->large));
    for (int32_t i = 0; i < PATHS; i++) {
        int32_t path[DFQI_SUPER_CELLS];
        dfqi_super_sample(net, NULL, dfqi_coexplore_seed(&m->e, DFQI_SEED_PATHS), m->e.s->at, path);
        DFQI_TRY(steps(m, 1, &last));
        DFQI_TRY(dfqi_supernet_macs(net, path, &macs));
        least = fmin(least, last / macs);
    }
    DFQI_TRY(average_work(m->e.s, &mean));
    p->path = least * mean;
    return DFQ_OK;
}

static dfq_status explore(miniature *m, dfqi_coexplore_pace *p)
{
    double first, second, last, all;
    DFQI_TRY(steps(m, m->e.o.weight_steps, &last));
    DFQI_TRY(steps(m, 1, &first));
    DFQI_TRY(steps(m, 1, &p->move));
    DFQI_TRY(steps(m, m->e.o.weight_steps, &last));
    DFQI_TRY(steps(m, 1, &second));
    DFQI_TRY(prefer_work(m->e.s, &all));
    DFQI_TRY(steps(m, 1, &last));
    p->judge = fmax(second - p->move, 0);
    p->start = fmax(first - second, 0);
    p->finish = fmax(last - p->move, 0);
    return DFQ_OK;
}

static dfq_status train(miniature *m, dfqi_coexplore_pace *p)
{
    const dfqi_coexplore_state *s = m->e.s;
    dfqi_super_data some = m->e.all;
    int64_t correct, not_finite;
    double each = p->large, last;
    p->derived = p->path;
    if (!s->derived.layers) return DFQ_OK; /* nothing that meets the limits was found */
    DFQI_TRY(steps(m, TRAIN - 1, &each));
    DFQI_TRY(steps(m, 1, &last));
    p->recalibrate = fmax(last - each, 0);
    p->derived = sqrt(p->path * each); /* of the result, which is between */
    if (some.n > IMAGES) some.n = IMAGES;
    for (int32_t i = 0; i < 2; i++) {
        double start = dfqi_now();
        DFQI_TRY(dfqi_super_evaluate(&s->derived, s->path, &some, some.n, &correct, &not_finite));
        p->image = (dfqi_now() - start) / (double)some.n;
    }
    return DFQ_OK;
}

dfq_status dfqi_coexplore_measure(const dfqi_coexplore *e, dfqi_coexplore_pace *out)
{
    miniature m = {.done = 0};
    dfqi_coexplore_pace p = {.large = 0};
    dfqi_meter meter;
    dfqi_meter_begin(e->ctx, &meter);
    dfq_status status = make(e, &m.e);
    int64_t state = meter.live;
    int64_t all = LARGE + PATHS + ROUNDS * (m.e.o.weight_steps + MOVES) + TRAIN;
    m.stage = dfqi_stage_begin(e->ctx, "estimate", 0, (uint64_t)all);
    if (status == DFQ_OK) status = warm_up(&m, &p);
    if (status == DFQ_OK) status = explore(&m, &p);
    if (status == DFQ_OK) status = train(&m, &p);
    release(&m.e);
    dfqi_meter_end(e->ctx);
    p.bytes = meter.peak - state;
    if (status == DFQ_OK) *out = p;
    return status;
}

/* -- what is left ------------------------------------------------------------------------------ */

static double left_of_warm_up(const dfqi_coexplore *e, const dfqi_coexplore_pace *p)
{
    double at = (double)e->s->at, units = (double)dfqi_coexplore_units(e, DFQ_EXPLORE_WARMUP);
    double large = fmax(floor(e->o.largest_share * (double)e->o.warmup_steps) - at, 0);
    if (e->s->stage > DFQ_EXPLORE_WARMUP || units == 0.0) return 0;
    return large * p->large + (units - at - large) * p->path;
}

/* Paths are drawn uniformly at first, and are the result's in the end. */
static double left_of_exploring(const dfqi_coexplore *e, const dfqi_coexplore_pace *p)
{
    int64_t weights = e->o.weight_steps, moves = e->o.solver_steps, units, done;
    int64_t at = e->s->stage == DFQ_EXPLORE_SEARCH ? e->s->at : 0;
    if (e->s->stage > DFQ_EXPLORE_SEARCH) return 0;
    units = dfqi_coexplore_units(e, DFQ_EXPLORE_SEARCH) - e->solver_o.steps;
    done = at / (weights + moves) * weights;
    done += at % (weights + moves) < weights ? at % (weights + moves) : weights;
    int64_t steps = e->solver_o.steps - (at - done), starts = at == 0;
    if (e->solver_o.rule == DFQ_RULE_ALTERNATE)
        starts = (steps + ALTERNATE_EVERY - 1) / ALTERNATE_EVERY;
    double grown = p->path > 0 ? (1 + p->derived / p->path) / 2 : 1;
    return (double)(units - done) * p->path * grown +
           ceil((double)steps / (double)moves) * p->judge * grown + (double)steps * p->move +
           (double)starts * p->start;
}

/* Curves, trajectory and snapshots of the whole job; they grow by doubling. */
static double bytes_of_records(const dfqi_coexplore *e)
{
    const dfqi_domain *d = dfqi_solver_space(e->s->solver);
    double losses = 0, rows = (double)e->solver_o.steps, snapshots = 0;
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES; i++) losses += (double)dfqi_coexplore_units(e, i);
    if (e->solver_o.snapshot_every > 0) snapshots = ceil(rows / (double)e->solver_o.snapshot_every);
    return 2 * (losses * sizeof(float) +
                rows * (double)(1 + e->space.n_metrics + e->n_limits) * sizeof(float) +
                snapshots * (double)d->n_groups * sizeof(int32_t));
}

void dfqi_coexplore_left(const dfqi_coexplore *e, const dfqi_coexplore_pace *p,
                         dfq_explorer_needs *out)
{
    int32_t stage = e->s->stage;
    *out = (dfq_explorer_needs){.image = p->image};
    if (stage == DFQI_EXPLORE_STAGES) return;
    out->warmup = left_of_warm_up(e, p);
    out->explore = left_of_exploring(e, p);
    out->derive = stage > DFQ_EXPLORE_SEARCH ? 0 : p->finish;
    out->train =
        (double)(e->o.train_steps - (stage == DFQ_EXPLORE_TRAIN ? e->s->at : 0)) * p->derived;
    out->recalibrate = p->recalibrate;
    out->bytes = (double)p->bytes + bytes_of_records(e);
}

dfq_status dfqi_coexplore_estimate(const dfqi_coexplore *e, dfq_explorer_needs *out)
{
    dfqi_coexplore_pace pace = {.large = 0};
    if (e->s->stage < DFQI_EXPLORE_STAGES) DFQI_TRY(dfqi_coexplore_measure(e, &pace));
    dfqi_coexplore_left(e, &pace, out);
    return DFQ_OK;
}
