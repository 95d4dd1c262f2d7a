/* Checkpoints of a tuning job: every array that tuning changes (io/arrays.h), all of rank 1.
 *
 *   state    I64 [4]       steps done, evaluations, best step, clamped scales
 *   best_kl  I64 [1]       bits of a double
 *   losses   F32 [4 done]  if steps are done
 *   evals    F32 [2 evaluations]  if there are evaluations
 *   now.*, best.*, m.*, v.*  of each parameter: current and best values, moments (v: AdamW only)
 *   crossed  F32 [done weights]  with gradient inundation
 *   generator.*, generator_losses F32 [3 done], siteN.range, .scale, .zero_point
 *            with a generator network: its state, and the activation ranges of the student
 *
 * Metadata: dfq.tune = format version, dfq.tune.options, dfq.tune.quantizers, dfq.tune.teacher and
 * dfq.tune.images (hashes; with a generator network its options). All other state follows from the
 * options. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "io/arrays.h"
#include "tune/tune_priv.h"

enum { STATE = 4, KINDS = 4, MARKS = 5 };

static const char format_version[] = "4";
static const char *const kind_names[KINDS] = {"now.", "best.", "m.", "v."};

/* -- fingerprints ------------------------------------------------------------------------------ */

static uint64_t hash_tensor(uint64_t hash, const dfq_tensor *t)
{
    hash = dfqi_hash(hash, t->dims, (size_t)t->rank * sizeof *t->dims);
    return dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
}

uint64_t dfqi_tune_hash_scheme(const dfqi_scheme *s)
{
    uint64_t hash = dfqi_hash(DFQI_HASH_START, &s->mode, sizeof s->mode);
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        hash = dfqi_hash(hash, site->name, strlen(site->name));
        hash = dfqi_hash(hash, &site->kind, sizeof site->kind);
        hash = dfqi_hash(hash, &site->bits, sizeof site->bits);
        hash = dfqi_hash(hash, &site->qmin, sizeof site->qmin);
        hash = dfqi_hash(hash, &site->qmax, sizeof site->qmax);
        if (site->kind == DFQI_SITE_LOG) hash = hash_tensor(hash, site->scale);
    }
    return hash;
}

static dfq_status make_marks(dfqi_tune *t, dfqi_mark marks[MARKS])
{
    static const dfqi_mark names[MARKS] = {{.key = "dfq.tune", .what = "version"},
                                           {.key = "dfq.tune.options", .what = "options"},
                                           {.key = "dfq.tune.quantizers", .what = "quantizers"},
                                           {.key = "dfq.tune.teacher", .what = "teacher weights"},
                                           {.key = "dfq.tune.images", .what = "images"}};
    if (!t->hashed) t->teacher_hash = dfqi_network_hash(&t->teacher->net);
    t->hashed = 1;
    memcpy(marks, names, sizeof names);
    snprintf(marks[0].text, sizeof marks[0].text, "%s", format_version);
    dfqi_tune_text(&t->o, marks[1].text);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64,
             dfqi_tune_hash_scheme(&t->student->scheme));
    snprintf(marks[3].text, sizeof marks[3].text, "%016" PRIx64, t->teacher_hash);
    return t->source->text(t, marks[4].text, sizeof marks[4].text);
}

/* -- tensors of an item ------------------------------------------------------------------------ */

/* Memory of an item by kind_names; NULL: the optimiser has none. `shown`: the best parameters and
 * the last ones have changed places. */
static float *item_data(const dfqi_item *item, int kind, int shown)
{
    float *own = dfqi_tensor_f32(item->tensor);
    switch (kind) {
    case 0:
        return shown ? item->best : own;
    case 1:
        return shown ? own : item->best;
    case 2:
        return item->moments.m;
    default:
        return item->moments.v;
    }
}

/* -- what is stored ---------------------------------------------------------------------------- */

typedef struct state {
    int64_t n[STATE];
    double best_kl;
} state;

static void list_state(state *s, dfqi_arrays *a)
{
    dfqi_arrays_add(a, "", "state", DFQI_I64, STATE, s->n, 0);
    dfqi_arrays_add(a, "", "best_kl", DFQI_I64, 1, &s->best_kl, 0);
}

/* Of a job that has begun. */
static void list_all(const dfqi_tune *t, state *s, int shown, dfqi_arrays *a)
{
    int64_t done = s->n[0], evals = s->n[1];
    const dfqi_image_source *source = t->source;
    list_state(s, a);
    dfqi_arrays_add(a, "", "losses", DFQI_F32, done * DFQI_TUNE_LOSSES, t->losses, 0);
    dfqi_arrays_add(a, "", "evals", DFQI_F32, 2 * evals, t->evals, 0);
    if (t->o.crossing_target > 0)
        dfqi_arrays_add(a, "", "crossed", DFQI_F32, done * t->n_quantized, t->crossed, 0);
    if (source->n_curves > 0)
        dfqi_arrays_add(a, "", "generator_losses", DFQI_F32, done * source->n_curves,
                        source->curves(t), 0);
    for (int32_t i = 0; i < source->count_arrays(t); i++) {
        dfqi_generator_array own = source->array_at(t, i);
        dfqi_arrays_add(a, "", own.name, DFQI_F32, own.count, own.data, 1);
    }
    for (int32_t i = 0; i < t->n_items; i++)
        for (int kind = 0; kind < KINDS; kind++)
            dfqi_arrays_add(a, kind_names[kind], t->items[i].name, DFQI_F32, t->items[i].count,
                            item_data(&t->items[i], kind, shown), 1);
}

dfq_status dfqi_tune_save(dfqi_tune *t, const char *path)
{
    dfqi_mark marks[MARKS];
    state s = {{t->done, t->n_evals, t->best_step, t->clamped}, t->best_kl};
    dfqi_arrays a = {.ctx = t->ctx};
    DFQI_TRY(dfqi_tune_start(t));
    DFQI_TRY(make_marks(t, marks));
    list_all(t, &s, t->shown, &a);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status read_state(const dfqi_tune *t, const dfqi_safetensors *st, const char *path,
                             state *s)
{
    dfqi_arrays a = {.ctx = t->ctx};
    list_state(s, &a);
    dfq_status status = dfqi_arrays_check(&a, st, path);
    if (status == DFQ_OK) dfqi_arrays_take(&a, st);
    dfqi_arrays_fini(&a);
    DFQI_TRY(status);
    int64_t done = s->n[0], evals = s->n[1], best = s->n[2], clamped = s->n[3];
    if (done < 0 || done > t->o.steps || evals < 0 || evals > dfqi_tune_evals_max(t) || best < 0 ||
        best > done || clamped < 0 || isnan(s->best_kl))
        return dfqi_fail(t->ctx, DFQ_E_CORRUPT,
                         "%s: tensor state holds step %lld of %lld, %lld evaluations and best step "
                         "%lld; the checkpoint is damaged",
                         path, (long long)done, (long long)t->o.steps, (long long)evals,
                         (long long)best);
    return DFQ_OK;
}

/* Scales are above zero, in the parameters of now and in the best ones. */
static dfq_status check_scales(const dfqi_tune *t, const dfqi_safetensors *st, const char *path)
{
    char name[DFQI_ARRAY_NAME];
    for (int32_t i = 0; i < t->n_items; i++)
        for (int kind = 0; kind < 2 && t->items[i].kind == DFQI_ITEM_SCALE; kind++) {
            snprintf(name, sizeof name, "%s%s", kind_names[kind], t->items[i].name);
            const float *scale = dfqi_tensor_f32(dfqi_st_find(st, name));
            for (int64_t k = 0; k < t->items[i].count; k++)
                if (!(scale[k] > 0))
                    return dfqi_fail(t->ctx, DFQ_E_CORRUPT,
                                     "%s: tensor %s holds a scale of %g, must be above 0; the "
                                     "checkpoint is damaged",
                                     path, name, (double)scale[k]);
        }
    return DFQ_OK;
}

static void resume(dfqi_tune *t, const state *s)
{
    t->done = s->n[0];
    t->n_evals = s->n[1];
    t->best_step = s->n[2];
    t->clamped = s->n[3];
    t->best_kl = s->best_kl;
    t->shown = t->final = t->failed = 0;
    t->source->resume(t);
}

dfq_status dfqi_tune_restore(dfqi_tune *t, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_safetensors st;
    dfqi_arrays a = {.ctx = t->ctx};
    state s;
    dfq_status status;
    DFQI_TRY(make_marks(t, marks));
    DFQI_TRY(dfqi_arrays_open(t->ctx, path, "a checkpoint of tuning", MARKS, marks, &st));
    DFQI_GOTO(read_state(t, &st, path, &s), out);
    DFQI_GOTO(dfqi_tune_start(t), out);
    list_all(t, &s, 0, &a);
    DFQI_GOTO(dfqi_arrays_check(&a, &st, path), out);
    DFQI_GOTO(check_scales(t, &st, path), out);
    dfqi_arrays_take(&a, &st);
    resume(t, &s);
out:
    dfqi_arrays_fini(&a);
    dfqi_st_fini(&st);
    return status;
}
