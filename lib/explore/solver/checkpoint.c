/* Checkpoints: safetensors with what a step changes. Doubles are stored as I64 with their bits.
 *
 *   state       I64 [2]             steps done, whether a choice that meets the limits is known
 *   x, v        I64 [n]             logits or parameters, second moments
 *   delta       I64 [8]             of the constraint gradient; square I64 [2] running mean squares
 *   best        I32 [n_groups]      that choice
 *   trajectory  F32 [done, width]   if anything is done
 *   snapshots       I32 [snapshots, n_groups]  likeliest choices at each, if there was one
 *
 * Metadata: dfq.explore = format version, dfq.explore.options and dfq.explore.problem (hashes).
 * What meets the limits is certified anew, and a search that had finished derives its result
 * anew. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "explore/solver/solver_file.h"
#include "explore/solver/solver_priv.h"

enum { STATE = 2, BEST = 5, TENSORS = DFQI_SOLVER_TENSORS, META = DFQI_SOLVER_META, TEXT = 24 };

static const char format_version[] = "3";
static const char *const meta_names[META] = {"dfq.explore", "dfq.explore.options",
                                             "dfq.explore.problem"};

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

static void make_meta(const dfqi_solver *s, char text[META][TEXT])
{
    dfq_solver_options o = s->o; /* no padding, so its bytes are its content */
    o.struct_size = 0;
    snprintf(text[0], TEXT, "%s", format_version);
    snprintf(text[1], TEXT, "%016" PRIx64, dfqi_hash(DFQI_HASH_START, &o, sizeof o));
    snprintf(text[2], TEXT, "%016" PRIx64, hash_problem(s->problem));
}

/* -- the tensors ------------------------------------------------------------------------------- */

/* All of them, in one order for writing and reading. */
typedef struct part {
    const char *name;
    dfqi_dtype dtype;
    int32_t rank;
    int64_t dims[2];
    void *data;
} part;

static int32_t list_parts(const dfqi_solver *s, int64_t *state, part out[TENSORS])
{
    const dfqi_domain *space = &s->problem->space;
    part parts[TENSORS] = {
        {"state", DFQI_I64, 1, {STATE}, state},
        {"x", DFQI_I64, 1, {s->n}, s->x},
        {"v", DFQI_I64, 1, {s->n}, s->v},
        {"delta", DFQI_I64, 1, {DFQ_METRICS_MAX}, (void *)(uintptr_t)s->delta},
        {"square", DFQI_I64, 1, {DFQI_BLOCKS}, (void *)(uintptr_t)s->square},
        {"best", DFQI_I32, 1, {space->n_groups}, s->best.choice},
        {"trajectory", DFQI_F32, 2, {state[0], dfqi_solver_width(s)}, s->history},
        {"snapshots",
         DFQI_I32,
         2,
         {dfqi_solver_count_snapshots(s, state[0]), space->n_groups},
         s->snapshots}};
    memcpy(out, parts, sizeof parts);
    return TENSORS - (state[0] == 0) - (parts[TENSORS - 1].dims[0] == 0);
}

void dfqi_solver_pack(const dfqi_solver *s, dfqi_solver_file *out)
{
    part parts[TENSORS];
    out->state[0] = s->done;
    out->state[1] = s->best.meets;
    out->n = list_parts(s, out->state, parts);
    make_meta(s, out->text);
    for (int32_t i = 0; i < META; i++) {
        snprintf(out->keys[i], TEXT, "%s", meta_names[i]);
        out->meta[i] = (dfqi_st_meta){.key = out->keys[i], .value = out->text[i]};
    }
    for (int32_t i = 0; i < out->n; i++) {
        snprintf(out->names[i], TEXT, "%s", parts[i].name);
        out->tensors[i] = (dfq_tensor){.ctx = s->ctx,
                                       .refs = 1,
                                       .dtype = parts[i].dtype,
                                       .rank = parts[i].rank,
                                       .dims = {parts[i].dims[0], parts[i].dims[1]},
                                       .data = parts[i].data};
        out->entries[i] = (dfqi_st_entry){.name = out->names[i], .tensor = &out->tensors[i]};
    }
}

dfq_status dfqi_solver_save(const dfqi_solver *s, const char *path)
{
    dfqi_solver_file f;
    dfqi_solver_pack(s, &f);
    return dfqi_st_write(s->ctx, path, f.n, f.entries, META, f.meta);
}

static dfq_status check_meta(const dfqi_solver *s, const dfqi_safetensors *st, const char *path)
{
    static const char *const what[META] = {"", "options", "problem or limits"};
    char text[META][TEXT];
    make_meta(s, text);
    for (int32_t i = 0; i < META; i++)
        if (!dfqi_st_meta_find(st, meta_names[i]))
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: not a checkpoint of a search", path);
    if (strcmp(dfqi_st_meta_find(st, meta_names[0]), format_version) != 0)
        return dfqi_fail(s->ctx, DFQ_E_UNSUPPORTED,
                         "%s: checkpoint of version %.20s, this library knows %s", path,
                         dfqi_st_meta_find(st, meta_names[0]), format_version);
    for (int32_t i = 1; i < META; i++)
        if (strcmp(dfqi_st_meta_find(st, meta_names[i]), text[i]) != 0)
            return dfqi_fail(s->ctx, DFQ_E_INVALID, "%s: made with another %s", path, what[i]);
    return DFQ_OK;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, const part *p,
                       const dfq_tensor **out)
{
    const dfq_tensor *t = dfqi_st_find(st, p->name);
    if (!t || t->dtype != p->dtype || t->rank != p->rank ||
        memcmp(t->dims, p->dims, (size_t)p->rank * sizeof *p->dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing or has the wrong shape",
                         path, p->name);
    *out = t;
    return DFQ_OK;
}

static dfq_status check_doubles(const dfqi_safetensors *st, const char *path, const part *p,
                                const dfq_tensor *t)
{
    for (int64_t i = 0; p->dtype == DFQI_I64 && i < p->dims[0]; i++) {
        double v;
        memcpy(&v, (const int64_t *)t->data + i, sizeof v);
        if (!isfinite(v))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s holds %g at element %lld", path,
                             p->name, v, (long long)i);
    }
    return DFQ_OK;
}

/* Of best and snapshots. */
static dfq_status check_choices(const dfqi_solver *s, const char *path, const part *p,
                                const dfq_tensor *t)
{
    const int32_t *choice = t->data, n = s->problem->space.n_groups;
    for (int64_t i = 0; p->dtype == DFQI_I32 && i < dfqi_tensor_count(t); i++)
        if (choice[i] < 0 || choice[i] >= s->problem->space.choices[i % n])
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: tensor %s holds choice %d of group %d",
                             path, p->name, (int)choice[i], (int)(i % n));
    return DFQ_OK;
}

static dfq_status read_parts(const dfqi_solver *s, const dfqi_safetensors *st, const char *path,
                             int64_t state[STATE], const dfq_tensor *from[TENSORS])
{
    part parts[TENSORS];
    list_parts(s, state, parts);
    DFQI_TRY(find(st, path, &parts[0], &from[0]));
    memcpy(state, from[0]->data, STATE * sizeof *state);
    if (state[0] < 0 || state[0] > dfqi_solver_last(s->o.steps) || state[1] < 0 || state[1] > 1)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: tensor state names step %lld of %lld", path,
                         (long long)state[0], (long long)s->o.steps);
    int32_t n = list_parts(s, state, parts);
    for (int32_t i = 1; i < n; i++) {
        DFQI_TRY(find(st, path, &parts[i], &from[i]));
        DFQI_TRY(check_doubles(st, path, &parts[i], from[i]));
        DFQI_TRY(check_choices(s, path, &parts[i], from[i]));
    }
    return DFQ_OK;
}

/* The choice that meets the limits, if there is one, costed by this search's exact model. */
static dfq_status certify(dfqi_solver *s, const char *path, const int64_t *state,
                          const dfq_tensor *choice, dfqi_candidate *out)
{
    if (state[1] == 0) return DFQ_OK;
    memcpy(out->choice, choice->data, (size_t)s->problem->space.n_groups * sizeof *out->choice);
    dfqi_candidate_stamp(s->problem, out, DFQ_CHOSEN_SNAPSHOT);
    DFQI_TRY(dfqi_candidate_evaluate(s->problem, out));
    if (out->meets) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: tensor best holds choices that exceed the limits",
                     path);
}

/* Everything was checked; only the room for trajectory and snapshots can be missing. */
static dfq_status take(dfqi_solver *s, int64_t state[STATE], const dfq_tensor *from[TENSORS],
                       const dfqi_candidate *best)
{
    part parts[TENSORS];
    if (state[0] > s->room) {
        size_t size = (size_t)(state[0] * dfqi_solver_width(s)) * sizeof *s->history;
        float *more = dfqi_realloc(s->ctx, s->history, size);
        if (!more) return DFQ_E_NOMEM;
        s->history = more;
        s->room = state[0];
    }
    DFQI_TRY(dfqi_solver_reserve_snapshots(s, dfqi_solver_count_snapshots(s, state[0])));
    int32_t n = list_parts(s, state, parts);
    for (int32_t i = 1; i < n; i++)
        memcpy(parts[i].data, from[i]->data,
               (size_t)dfqi_tensor_count(from[i]) * dfqi_dtype_bytes(parts[i].dtype));
    s->done = state[0];
    dfqi_candidate_copy(s->problem, best, &s->best);
    s->finished = s->failed = s->proved = s->raw.known = s->raw.meets = false;
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++) s->tightest[j] = s->least[j] = NAN;
    return DFQ_OK;
}

dfq_status dfqi_solver_unpack(dfqi_solver *s, const dfqi_safetensors *st, const char *path)
{
    dfqi_candidate best;
    int64_t state[STATE] = {0};
    const dfq_tensor *from[TENSORS];
    dfq_status status = dfqi_candidate_new(s->problem, &best);
    if (status == DFQ_OK) status = check_meta(s, st, path);
    if (status == DFQ_OK) status = read_parts(s, st, path, state, from);
    if (status == DFQ_OK) status = certify(s, path, state, from[BEST], &best);
    if (status == DFQ_OK) status = take(s, state, from, &best);
    dfqi_candidate_fini(s->problem, &best);
    return status;
}

dfq_status dfqi_solver_restore(dfqi_solver *s, const char *path)
{
    dfqi_safetensors st;
    DFQI_TRY(dfqi_st_read(s->ctx, path, &st));
    dfq_status status = dfqi_solver_unpack(s, &st, path);
    dfqi_st_fini(&st);
    return status;
}
