/* Checkpoints of a search: a safetensors file. Doubles are stored as I64 with their bits.
 *
 *   state       I64 [2]             steps done, whether a choice that meets the limits is known
 *   x, v        I64 [n]             logits or parameters, second moments
 *   delta       I64 [n_limits]      of the constraint gradient; rule project: prices
 *   square      I64 [2]             running mean squares of the gradients; rule project: the
 *                                   accelerator and the step of the last bar
 *   best        I32 [n_groups]      the best choice that meets the limits
 *   trajectory  F32 [done x width]  if steps are done
 *   snapshots   I32 [snapshots x n_groups]  likeliest choices at each snapshot, if there are any
 *
 * Metadata: dfq.explore = format version, dfq.explore.options and dfq.explore.problem (hashes).
 * After reading, the best choice is certified again; a finished search derives its result again. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "explore/solver/solver_file.h"
#include "explore/solver/solver_priv.h"

enum { STATE = DFQI_SOLVER_STATE, MARKS = DFQI_SOLVER_MARKS };

static const char format_version[] = "5";

/* -- fingerprints ------------------------------------------------------------------------------ */

static uint64_t hash_doubles(uint64_t hash, const double *v, size_t n)
{
    return v ? dfqi_hash(hash, v, n * sizeof *v) : dfqi_hash(hash, &n, sizeof n);
}

static uint64_t hash_problem(const dfqi_problem *p)
{
    const dfq_problem *q = &p->given;
    const dfqi_domain *s = &p->space;
    size_t rows = (size_t)q->n_metrics * (size_t)s->configs;
    int32_t sizes[4] = {s->n_groups, s->n_hw_params, q->n_metrics, p->n_limits};
    uint64_t hash = dfqi_hash(DFQI_HASH_START, sizes, sizeof sizes);
    hash = dfqi_hash(hash, s->choices, (size_t)s->n_groups * sizeof *s->choices);
    hash = dfqi_hash(hash, p->metric, (size_t)p->n_limits * sizeof *p->metric);
    hash = hash_doubles(hash, p->limit, (size_t)p->n_limits);
    hash = hash_doubles(hash, q->loss_table, (size_t)s->total);
    hash = hash_doubles(hash, q->cost_table, rows * (size_t)s->cells);
    hash = hash_doubles(hash, q->base_table, rows);
    return hash_doubles(hash, q->reference, (size_t)q->n_metrics);
}

void dfqi_solver_marks(const dfqi_solver *s, dfqi_mark out[MARKS])
{
    dfq_solver_options o = s->o; /* no padding, so its bytes are its content */
    o.struct_size = 0;
    out[0] = (dfqi_mark){.key = "dfq.explore", .what = "format of a search"};
    out[1] = (dfqi_mark){.key = "dfq.explore.options", .what = "options"};
    out[2] = (dfqi_mark){.key = "dfq.explore.problem", .what = "problem or limits"};
    snprintf(out[0].text, sizeof out->text, "%s", format_version);
    snprintf(out[1].text, sizeof out->text, "%016" PRIx64,
             dfqi_hash(DFQI_HASH_START, &o, sizeof o));
    snprintf(out[2].text, sizeof out->text, "%016" PRIx64, hash_problem(s->problem));
}

/* -- the arrays -------------------------------------------------------------------------------- */

static void add(dfqi_arrays *a, const char *name, dfqi_dtype dtype, int64_t count, const void *data)
{
    dfqi_arrays_add(a, "", name, dtype, count, (void *)(uintptr_t)data, 0);
}

static void list_arrays(const dfqi_solver *s, int64_t state[STATE], dfqi_arrays *a)
{
    int64_t groups = s->problem->space.n_groups;
    add(a, "state", DFQI_I64, STATE, state);
    add(a, "x", DFQI_I64, s->n, s->x);
    add(a, "v", DFQI_I64, s->n, s->v);
    add(a, "delta", DFQI_I64, s->problem->n_limits, s->delta);
    add(a, "square", DFQI_I64, DFQI_BLOCKS, s->square);
    add(a, "best", DFQI_I32, groups, s->best.choice);
    add(a, "trajectory", DFQI_F32, state[0] * dfqi_solver_width(s), s->history);
    add(a, "snapshots", DFQI_I32, dfqi_solver_count_snapshots(s, state[0]) * groups, s->snapshots);
}

void dfqi_solver_pack(const dfqi_solver *s, dfqi_arrays *a, int64_t state[STATE])
{
    state[0] = s->done;
    state[1] = s->best.meets;
    list_arrays(s, state, a);
}

dfq_status dfqi_solver_save(const dfqi_solver *s, const char *path)
{
    int64_t state[STATE];
    dfqi_mark marks[MARKS];
    dfqi_arrays a = {.ctx = s->ctx};
    dfqi_solver_pack(s, &a, state);
    dfqi_solver_marks(s, marks);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
    return status;
}

static dfq_status check_doubles(const dfqi_safetensors *st, const char *path, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    for (int64_t i = 0; i < t->dims[0]; i++) {
        double v;
        memcpy(&v, (const int64_t *)t->data + i, sizeof v);
        if (!isfinite(v))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %s holds %g at element %lld, must be finite", path, name,
                             v, (long long)i);
    }
    return DFQ_OK;
}

/* Of best and snapshots, which may not be there. */
static dfq_status check_choices(const dfqi_solver *s, const dfqi_safetensors *st, const char *path,
                                const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    const int32_t *choice = t ? t->data : NULL, n = s->problem->space.n_groups;
    for (int64_t i = 0; t && i < t->dims[0]; i++)
        if (choice[i] < 0 || choice[i] >= s->problem->space.choices[i % n])
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %s holds choice %d of group %d, which the problem does "
                             "not have; the checkpoint is damaged",
                             path, name, (int)choice[i], (int)(i % n));
    return DFQ_OK;
}

static dfq_status read_state(const dfqi_solver *s, const dfqi_safetensors *st, const char *path,
                             int64_t state[STATE])
{
    dfqi_arrays a = {.ctx = s->ctx};
    add(&a, "state", DFQI_I64, STATE, state);
    dfq_status status = dfqi_arrays_check(&a, st, path);
    if (status == DFQ_OK) dfqi_arrays_take(&a, st);
    dfqi_arrays_fini(&a);
    if (status != DFQ_OK) return status;
    if (state[0] >= 0 && state[0] <= dfqi_solver_last(s->o.steps) &&
        (state[1] == 0 || state[1] == 1))
        return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                     "%s: tensor state holds step %lld of %lld; the checkpoint is damaged", path,
                     (long long)state[0], (long long)s->o.steps);
}

static dfq_status check_project(const dfqi_solver *s, const dfqi_safetensors *st, const char *path)
{
    double square[DFQI_BLOCKS];
    memcpy(square, dfqi_st_find(st, "square")->data, sizeof square);
    if (s->o.rule != DFQ_RULE_PROJECT || dfqi_project_is_state(s, square)) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                     "%s: tensor square holds accelerator %g and step %g, must be of the problem; "
                     "the checkpoint is damaged",
                     path, square[0], square[1]);
}

static dfq_status check_arrays(const dfqi_solver *s, const dfqi_safetensors *st, const char *path,
                               int64_t state[STATE])
{
    static const char *const doubles[] = {"x", "v", "delta", "square"};
    dfqi_arrays a = {.ctx = s->ctx};
    list_arrays(s, state, &a);
    dfq_status status = dfqi_arrays_check(&a, st, path);
    dfqi_arrays_fini(&a);
    for (int i = 0; i < 4 && status == DFQ_OK; i++) status = check_doubles(st, path, doubles[i]);
    if (status == DFQ_OK) status = check_project(s, st, path);
    if (status == DFQ_OK) status = check_choices(s, st, path, "best");
    return status == DFQ_OK ? check_choices(s, st, path, "snapshots") : status;
}

/* The choice that meets the limits, if there is one, costed by this search's exact model. */
static dfq_status certify(dfqi_solver *s, const char *path, const int64_t *state,
                          const dfqi_safetensors *st, dfqi_candidate *out)
{
    if (state[1] == 0) return DFQ_OK;
    memcpy(out->choice, dfqi_st_find(st, "best")->data,
           (size_t)s->problem->space.n_groups * sizeof *out->choice);
    dfqi_candidate_stamp(s->problem, out, DFQ_CHOSEN_SNAPSHOT);
    DFQI_TRY(dfqi_candidate_evaluate(s->problem, out));
    if (out->meets) return DFQ_OK;
    return dfqi_fail(
        s->ctx, DFQ_E_CORRUPT,
        "%s: tensor best holds choices that exceed the limits; the checkpoint is damaged", path);
}

static dfq_status make_room(dfqi_solver *s, int64_t done)
{
    if (done > s->room) {
        size_t size = (size_t)(done * dfqi_solver_width(s)) * sizeof *s->history;
        float *more = dfqi_realloc(s->ctx, s->history, size);
        if (!more) return DFQ_E_NOMEM;
        s->history = more;
        s->room = done;
    }
    return dfqi_solver_reserve_snapshots(s, dfqi_solver_count_snapshots(s, done));
}

/* Everything was checked, and there is room: only the list can be refused. */
static dfq_status take(dfqi_solver *s, const dfqi_safetensors *st, int64_t state[STATE],
                       const dfqi_candidate *best)
{
    dfqi_arrays a = {.ctx = s->ctx};
    list_arrays(s, state, &a);
    dfq_status status = a.status;
    if (status == DFQ_OK) dfqi_arrays_take(&a, st);
    dfqi_arrays_fini(&a);
    if (status != DFQ_OK) return status;
    s->done = state[0];
    dfqi_candidate_copy(s->problem, best, &s->best);
    s->finished = s->failed = s->proved = s->raw.known = s->raw.meets = false;
    s->bound = NAN;
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++) s->tightest[j] = s->least[j] = NAN;
    return DFQ_OK;
}

dfq_status dfqi_solver_unpack(dfqi_solver *s, const dfqi_safetensors *st, const char *path)
{
    dfqi_candidate best;
    int64_t state[STATE] = {0};
    dfq_status status = dfqi_candidate_new(s->problem, &best);
    if (status == DFQ_OK) status = read_state(s, st, path, state);
    if (status == DFQ_OK) status = make_room(s, state[0]);
    if (status == DFQ_OK) status = check_arrays(s, st, path, state);
    if (status == DFQ_OK) status = certify(s, path, state, st, &best);
    if (status == DFQ_OK) status = take(s, st, state, &best);
    dfqi_candidate_fini(s->problem, &best);
    return status;
}

dfq_status dfqi_solver_restore(dfqi_solver *s, const char *path)
{
    dfqi_safetensors st;
    dfqi_mark marks[MARKS];
    dfqi_solver_marks(s, marks);
    DFQI_TRY(dfqi_arrays_open(s->ctx, path, "a checkpoint of a search", MARKS, marks, &st));
    dfq_status status = dfqi_solver_unpack(s, &st, path);
    dfqi_st_fini(&st);
    return status;
}
