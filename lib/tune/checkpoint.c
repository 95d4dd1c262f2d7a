/* Checkpoints: safetensors with every tensor that tuning changes.
 *
 *   state    I64 [4]       steps done, evaluations, best step, clamped scales
 *   best_kl  I64 [1]       bits of a double
 *   losses   F32 [done,4]  if anything is done; evals F32 [evaluations,2] likewise
 *   now.*, best.*, m.*, v.* of each item (v with AdamW only)
 *   crossed  F32 [done,weights]  with inundation
 *   generator.*, generator_losses F32 [done,3], siteN.range, .scale, .zero_point: with a
 *            generator, its state and the student's ranges
 *
 * Metadata: dfq.tune = format version, dfq.tune.options, dfq.tune.quantizers, dfq.tune.teacher and
 * dfq.tune.images (hashes; of a generator its options). Everything else follows
 * from the options. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/safetensors.h"
#include "tune/tune_priv.h"

enum { STATE = 4, KINDS = 4, META = 5 };

static const char format_version[] = "3";
static const char *const kind_names[KINDS] = {"now.", "best.", "m.", "v."};
static const char *const meta_names[META] = {"dfq.tune", "dfq.tune.options", "dfq.tune.quantizers",
                                             "dfq.tune.teacher", "dfq.tune.images"};

/* -- fingerprints ------------------------------------------------------------------------------ */

static uint64_t hash_tensor(uint64_t hash, const dfq_tensor *t)
{
    hash = dfqi_hash(hash, t->dims, (size_t)t->rank * sizeof *t->dims);
    return dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
}

/* What of the student's quantizers tuning leaves alone. */
static uint64_t hash_scheme(const dfqi_scheme *s)
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

static dfq_status make_meta(dfqi_tune *t, char text[META][DFQI_TUNE_TEXT])
{
    if (!t->hashed) t->teacher_hash = dfqi_network_hash(&t->teacher->net);
    t->hashed = 1;
    snprintf(text[0], DFQI_TUNE_TEXT, "%s", format_version);
    dfqi_tune_text(&t->o, text[1]);
    snprintf(text[2], DFQI_TUNE_TEXT, "%016" PRIx64, hash_scheme(&t->student->scheme));
    snprintf(text[3], DFQI_TUNE_TEXT, "%016" PRIx64, t->teacher_hash);
    return t->source->text(t, text[4], DFQI_TUNE_TEXT);
}

/* -- tensors of an item ------------------------------------------------------------------------ */

/* Memory of an item by kind_names; NULL: the optimiser has none. While the best
 * parameters are shown, they and the last ones have changed places. */
static float *item_data(const dfqi_tune *t, const dfqi_item *item, int kind)
{
    float *own = dfqi_tensor_f32(item->tensor);
    switch (kind) {
    case 0:
        return t->shown ? item->best : own;
    case 1:
        return t->shown ? own : item->best;
    case 2:
        return item->moments.m;
    default:
        return item->moments.v;
    }
}

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct writer {
    dfq_context *ctx;
    dfqi_arena names;
    int64_t n;
    dfq_tensor *tensors; /* views: borrowed memory, never retained */
    dfqi_st_entry *entries;
} writer;

static dfq_status put(writer *w, const char *kind, const char *name, dfqi_dtype dtype, int32_t rank,
                      const int64_t *dims, void *data)
{
    dfq_tensor *t = &w->tensors[w->n];
    size_t size = strlen(kind) + strlen(name) + 1;
    char *text = dfqi_arena_alloc(&w->names, size);
    if (!text) return DFQ_E_NOMEM;
    snprintf(text, size, "%s%s", kind, name);
    *t = (dfq_tensor){.ctx = w->ctx, .refs = 1, .dtype = dtype, .rank = rank, .data = data};
    memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    w->entries[w->n++] = (dfqi_st_entry){.name = text, .tensor = t};
    return DFQ_OK;
}

static dfq_status put_all(dfqi_tune *t, writer *w, int64_t state[STATE], int64_t *best_kl)
{
    DFQI_TRY(put(w, "", "state", DFQI_I64, 1, (int64_t[]){STATE}, state));
    DFQI_TRY(put(w, "", "best_kl", DFQI_I64, 1, (int64_t[]){1}, best_kl));
    if (t->done > 0)
        DFQI_TRY(
            put(w, "", "losses", DFQI_F32, 2, (int64_t[]){t->done, DFQI_TUNE_LOSSES}, t->losses));
    if (t->n_evals > 0)
        DFQI_TRY(put(w, "", "evals", DFQI_F32, 2, (int64_t[]){t->n_evals, 2}, t->evals));
    if (t->done > 0 && t->o.crossing_target > 0)
        DFQI_TRY(
            put(w, "", "crossed", DFQI_F32, 2, (int64_t[]){t->done, t->n_quantized}, t->crossed));
    if (t->done > 0 && t->source->n_curves > 0)
        DFQI_TRY(put(w, "", "generator_losses", DFQI_F32, 2,
                     (int64_t[]){t->done, t->source->n_curves}, t->source->curves(t)));
    for (int32_t i = 0; i < t->source->count_arrays(t); i++) {
        dfqi_generator_array a = t->source->array_at(t, i);
        if (a.data) DFQI_TRY(put(w, "", a.name, DFQI_F32, 1, &a.count, a.data));
    }
    for (int32_t i = 0; i < t->n_items; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            const dfqi_item *item = &t->items[i];
            float *data = item_data(t, item, kind);
            if (data)
                DFQI_TRY(put(w, kind_names[kind], item->name, DFQI_F32, item->tensor->rank,
                             item->tensor->dims, data));
        }
    return DFQ_OK;
}

dfq_status dfqi_tune_save(dfqi_tune *t, const char *path)
{
    writer w = {.ctx = t->ctx};
    char(*text)[DFQI_TUNE_TEXT] = NULL;
    dfqi_st_meta meta[META];
    char keys[META][24];
    int64_t state[STATE] = {t->done, t->n_evals, t->best_step, t->clamped}, best_kl;
    size_t most = (size_t)t->n_items * KINDS + (size_t)t->source->count_arrays(t) + 6;
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(dfqi_tune_start(t));
    memcpy(&best_kl, &t->best_kl, sizeof best_kl);
    dfqi_arena_init(&w.names, t->ctx);
    w.tensors = dfqi_calloc(t->ctx, most, sizeof *w.tensors);
    w.entries = dfqi_calloc(t->ctx, most, sizeof *w.entries);
    text = dfqi_calloc(t->ctx, META, sizeof *text);
    if (!w.tensors || !w.entries || !text) goto out;
    DFQI_GOTO(make_meta(t, text), out);
    for (int i = 0; i < META; i++) {
        snprintf(keys[i], sizeof keys[i], "%s", meta_names[i]);
        meta[i] = (dfqi_st_meta){.key = keys[i], .value = text[i]};
    }
    DFQI_GOTO(put_all(t, &w, state, &best_kl), out);
    status = dfqi_st_write(t->ctx, path, w.n, w.entries, META, meta);
out:
    dfqi_free(t->ctx, text);
    dfqi_free(t->ctx, w.entries);
    dfqi_free(t->ctx, w.tensors);
    dfqi_arena_fini(&w.names);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status check_meta(dfqi_tune *t, const dfqi_safetensors *st, const char *path)
{
    static const char *const what[META] = {"", "options", "quantizers", "teacher weights",
                                           "images"};
    char text[META][DFQI_TUNE_TEXT];
    DFQI_TRY(make_meta(t, text));
    for (int i = 0; i < META; i++)
        if (!dfqi_st_meta_find(st, meta_names[i]))
            return dfqi_fail(t->ctx, DFQ_E_CORRUPT, "%s: not a checkpoint of tuning", path);
    const char *version = dfqi_st_meta_find(st, meta_names[0]);
    if (strcmp(version, format_version) != 0)
        return dfqi_fail(t->ctx, DFQ_E_UNSUPPORTED,
                         "%s: checkpoint of version %.20s, this library knows %s", path, version,
                         format_version);
    for (int i = 1; i < META; i++) {
        const char *made = dfqi_st_meta_find(st, meta_names[i]);
        if (strcmp(made, text[i]) != 0)
            return dfqi_fail(t->ctx, DFQ_E_INVALID,
                             "%s: made with other %s (%.300s), this job has: %.400s", path, what[i],
                             made, text[i]);
    }
    return DFQ_OK;
}

/* finite: NaN and infinity are refused. */
static dfq_status find(const dfqi_safetensors *st, const char *path, const char *name,
                       dfqi_dtype dtype, int32_t rank, const int64_t *dims, int finite,
                       const dfq_tensor **out)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t || t->dtype != dtype || t->rank != rank ||
        memcmp(t->dims, dims, (size_t)rank * sizeof *dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing or has the wrong shape",
                         path, name);
    for (int64_t i = 0; finite && i < dfqi_tensor_count(t); i++)
        if (!isfinite(dfqi_tensor_f32(t)[i]))
            return dfqi_fail(st->ctx, DFQ_E_NUMERIC, "%s: tensor %s holds %g at element %lld", path,
                             name, (double)dfqi_tensor_f32(t)[i], (long long)i);
    *out = t;
    return DFQ_OK;
}

typedef struct content {
    int64_t state[STATE];
    double best_kl;
    const dfq_tensor *losses, *evals, *crossed, *generator_losses;
    const dfq_tensor **items;  /* [n_items][KINDS] */
    const dfq_tensor **extras; /* [t->source->count_arrays(t)] */
} content;

static dfq_status read_state(const dfqi_tune *t, const dfqi_safetensors *st, const char *path,
                             content *c)
{
    const dfq_tensor *state, *kl;
    DFQI_TRY(find(st, path, "state", DFQI_I64, 1, (int64_t[]){STATE}, 0, &state));
    DFQI_TRY(find(st, path, "best_kl", DFQI_I64, 1, (int64_t[]){1}, 0, &kl));
    memcpy(c->state, state->data, sizeof c->state);
    memcpy(&c->best_kl, kl->data, sizeof c->best_kl);
    int64_t done = c->state[0], evals = c->state[1], best = c->state[2], clamped = c->state[3];
    if (done < 0 || done > t->o.steps || evals < 0 || evals > dfqi_tune_evals_max(t) || best < 0 ||
        best > done || clamped < 0 || isnan(c->best_kl))
        return dfqi_fail(
            t->ctx, DFQ_E_CORRUPT,
            "%s: tensor state names step %lld of %lld, %lld evaluations, best step %lld", path,
            (long long)done, (long long)t->o.steps, (long long)evals, (long long)best);
    if (done > 0)
        DFQI_TRY(find(st, path, "losses", DFQI_F32, 2, (int64_t[]){done, DFQI_TUNE_LOSSES}, 0,
                      &c->losses));
    if (evals > 0)
        DFQI_TRY(find(st, path, "evals", DFQI_F32, 2, (int64_t[]){evals, 2}, 0, &c->evals));
    if (done > 0 && t->o.crossing_target > 0)
        DFQI_TRY(find(st, path, "crossed", DFQI_F32, 2, (int64_t[]){done, t->n_quantized}, 0,
                      &c->crossed));
    if (done > 0 && t->source->n_curves > 0)
        DFQI_TRY(find(st, path, "generator_losses", DFQI_F32, 2,
                      (int64_t[]){done, t->source->n_curves}, 0, &c->generator_losses));
    return DFQ_OK;
}

static dfq_status read_item(const dfqi_tune *t, const dfqi_safetensors *st, const char *path,
                            int32_t i, const dfq_tensor **out)
{
    const dfqi_item *item = &t->items[i];
    char name[192];
    for (int kind = 0; kind < KINDS; kind++) {
        if (!item_data(t, item, kind)) continue;
        snprintf(name, sizeof name, "%s%s", kind_names[kind], item->name);
        DFQI_TRY(
            find(st, path, name, DFQI_F32, item->tensor->rank, item->tensor->dims, 1, &out[kind]));
        for (int64_t k = 0; kind < 2 && item->kind == DFQI_ITEM_SCALE && k < item->count; k++)
            if (!(dfqi_tensor_f32(out[kind])[k] > 0))
                return dfqi_fail(t->ctx, DFQ_E_CORRUPT, "%s: tensor %s holds a scale of %g", path,
                                 name, (double)dfqi_tensor_f32(out[kind])[k]);
    }
    return DFQ_OK;
}

static dfq_status read_extras(const dfqi_tune *t, const dfqi_safetensors *st, const char *path,
                              const dfq_tensor **out)
{
    for (int32_t i = 0; i < t->source->count_arrays(t); i++) {
        dfqi_generator_array a = t->source->array_at(t, i);
        if (a.data) DFQI_TRY(find(st, path, a.name, DFQI_F32, 1, &a.count, 1, &out[i]));
    }
    return DFQ_OK;
}

static void copy_rows(float *to, const dfq_tensor *from)
{
    if (to && from) memcpy(to, from->data, (size_t)dfqi_tensor_count(from) * sizeof(float));
}

static void take(dfqi_tune *t, const content *c)
{
    t->done = c->state[0];
    t->n_evals = c->state[1];
    t->best_step = c->state[2];
    t->clamped = c->state[3];
    t->best_kl = c->best_kl;
    t->shown = t->final = t->failed = 0;
    copy_rows(t->losses, c->losses);
    copy_rows(t->evals, c->evals);
    copy_rows(t->crossed, c->crossed);
    if (c->generator_losses) copy_rows(t->source->curves(t), c->generator_losses);
    for (int32_t i = 0; i < t->source->count_arrays(t); i++)
        if (c->extras[i]) copy_rows(t->source->array_at(t, i).data, c->extras[i]);
    t->source->resume(t);
    for (int32_t i = 0; i < t->n_items; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            float *data = item_data(t, &t->items[i], kind);
            if (data)
                memcpy(data, c->items[i * KINDS + kind]->data,
                       (size_t)t->items[i].count * sizeof(float));
        }
}

dfq_status dfqi_tune_restore(dfqi_tune *t, const char *path)
{
    dfqi_safetensors st;
    content c = {.losses = NULL};
    dfq_status status;
    DFQI_TRY(dfqi_st_read(t->ctx, path, &st));
    c.items = dfqi_calloc(t->ctx, (size_t)t->n_items * KINDS, sizeof(dfq_tensor *));
    c.extras = dfqi_calloc(t->ctx, (size_t)t->source->count_arrays(t) + 1, sizeof(dfq_tensor *));
    status = c.items && c.extras ? DFQ_OK : DFQ_E_NOMEM;
    if (status != DFQ_OK) goto out;
    DFQI_GOTO(check_meta(t, &st, path), out);
    DFQI_GOTO(read_state(t, &st, path, &c), out);
    DFQI_GOTO(dfqi_tune_start(t), out);
    for (int32_t i = 0; i < t->n_items; i++)
        DFQI_GOTO(read_item(t, &st, path, i, &c.items[(size_t)i * KINDS]), out);
    DFQI_GOTO(read_extras(t, &st, path, c.extras), out);
    take(t, &c);
out:
    dfqi_free(t->ctx, (void *)c.items);
    dfqi_free(t->ctx, (void *)c.extras);
    dfqi_st_fini(&st);
    return status;
}
