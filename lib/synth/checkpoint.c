/* Checkpoints of a synthesis job: a safetensors file with
 *   state   I64 [4]        batch, iteration, attempt, iterations of the generator network
 *   losses  F32 [done,4]   if iterations are done
 *   labels  I32 [n]        of finished images, if there are any
 *   x       F32 [B,3,S,S]  images of the current batch, if iteration > 0
 *   m, v    F32 [3 B, floats of a pyramid]  their AdamW moments, if iteration > 0
 *   generator.*  F32 [..]  parameters and moments of the generator network, if there is one
 *
 * Metadata: dfq.synth = format version, dfq.synth.options, dfq.synth.model (hash of the weights),
 * dfq.synth.images (name and hash of the file of finished images, checkpoint_images.c). All other
 * state follows from the options. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/safetensors.h"
#include "synth/synth_priv.h"

enum { TENSORS = 6, STATE = 4, HASH_TEXT = 17, NAME = sizeof((dfqi_generator_array *)0)->name };

static const char format_version[] = "4";

typedef struct progress {
    int64_t at, iteration, attempt, trained;
} progress;

static void hash_model(const dfqi_network *net, char text[HASH_TEXT])
{
    snprintf(text, HASH_TEXT, "%016" PRIx64, dfqi_network_hash(net));
}

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct item {
    char name[NAME];
    dfq_tensor tensor; /* a view: borrowed memory, never retained */
} item;

typedef struct writer {
    int64_t n;
    item *items;
    dfqi_st_entry *entries;
} writer;

static int32_t generator_arrays(const dfqi_synth *s)
{
    return s->generator ? dfqi_generator_trainer_arrays(s->generator) : 0;
}

static void put(writer *w, dfq_context *ctx, const char *name, dfqi_dtype dtype, int32_t rank,
                const int64_t *dims, void *data)
{
    item *at = &w->items[w->n];
    dfq_tensor *t = &at->tensor;
    *t = (dfq_tensor){.ctx = ctx, .refs = 1, .dtype = dtype, .rank = rank, .data = data};
    memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    snprintf(at->name, NAME, "%s", name);
    w->entries[w->n++] = (dfqi_st_entry){.name = at->name, .tensor = t};
}

static void put_all(const dfqi_synth *s, writer *w, progress *state)
{
    const dfqi_arch *a = &s->model->net.arch;
    dfq_context *ctx = s->ctx;
    int64_t dims[4] = {dfqi_synth_finished(s), a->channels, a->image, a->image};
    int64_t losses[2] = {dfqi_synth_done(s), DFQI_SYNTH_LOSSES};
    put(w, ctx, "state", DFQI_I64, 1, (int64_t[]){STATE}, state);
    if (losses[0] > 0) put(w, ctx, "losses", DFQI_F32, 2, losses, s->losses);
    if (dims[0] > 0) {
        put(w, ctx, "labels", DFQI_I32, 1, dims, s->labels->data);
    }
    dims[0] = s->o.batch;
    if (s->iteration > 0) {
        int64_t scales[2] = {3 * s->o.batch, s->pyramid.floats};
        put(w, ctx, "x", DFQI_F32, 4, dims, s->x);
        put(w, ctx, "m", DFQI_F32, 2, scales, s->moments.m);
        put(w, ctx, "v", DFQI_F32, 2, scales, s->moments.v);
    }
    for (int32_t i = 0; i < generator_arrays(s); i++) {
        dfqi_generator_array h = dfqi_generator_trainer_array_at(s->generator, i);
        put(w, ctx, h.name, DFQI_F32, 1, &h.count, h.data);
    }
}

static dfq_status write_state(const dfqi_synth *s, const char *path)
{
    char options[DFQI_OPTIONS_TEXT], model[HASH_TEXT], version[sizeof format_version];
    char images[DFQI_KEPT_TEXT];
    char keys[4][24] = {"dfq.synth", "dfq.synth.options", "dfq.synth.model", "dfq.synth.images"};
    dfqi_st_meta meta[4] = {
        {keys[0], version}, {keys[1], options}, {keys[2], model}, {keys[3], images}};
    progress state = {s->at, s->iteration, s->attempt, s->trained};
    size_t most = TENSORS + (size_t)generator_arrays(s);
    writer w = {.n = 0};
    dfq_status status = DFQ_E_NOMEM;
    memcpy(version, format_version, sizeof version);
    dfqi_synth_text(&s->o, options);
    hash_model(&s->model->net, model);
    dfqi_kept_text(&s->kept, images);
    w.items = dfqi_calloc(s->ctx, most, sizeof *w.items);
    w.entries = dfqi_calloc(s->ctx, most, sizeof *w.entries);
    if (w.items && w.entries) {
        put_all(s, &w, &state);
        status = dfqi_st_write(s->ctx, path, w.n, w.entries, 4, meta);
    }
    dfqi_free(s->ctx, w.items);
    dfqi_free(s->ctx, w.entries);
    return status;
}

dfq_status dfqi_synth_save(dfqi_synth *s, const char *path)
{
    DFQI_TRY(dfqi_kept_write(s, path, &s->kept));
    DFQI_TRY(write_state(s, path));
    dfqi_kept_clean(&s->kept);
    return DFQ_OK;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status check_meta(const dfqi_synth *s, const dfqi_safetensors *st, const char *path)
{
    char options[DFQI_OPTIONS_TEXT], model[HASH_TEXT];
    const char *version = dfqi_st_meta_find(st, "dfq.synth");
    const char *made = dfqi_st_meta_find(st, "dfq.synth.options");
    const char *hash = dfqi_st_meta_find(st, "dfq.synth.model");
    if (!version || !made || !hash)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: not a checkpoint of image synthesis", path);
    if (strcmp(version, format_version) != 0)
        return dfqi_fail(s->ctx, DFQ_E_UNSUPPORTED,
                         "%s: checkpoint of version %.20s, this library "
                         "knows %s",
                         path, version, format_version);
    dfqi_synth_text(&s->o, options);
    if (strcmp(made, options) != 0)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "%s: made with other options (%.300s), asked for are: %s", path, made,
                         options);
    hash_model(&s->model->net, model);
    if (strcmp(hash, model) != 0)
        return dfqi_fail(s->ctx, DFQ_E_INVALID, "%s: made with other weights than those of %s",
                         path, s->model->net.arch.name);
    return DFQ_OK;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, const char *name,
                       dfqi_dtype dtype, int32_t rank, const int64_t *dims, const dfq_tensor **out)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t || t->dtype != dtype || t->rank != rank ||
        memcmp(t->dims, dims, (size_t)rank * sizeof *dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing or has the wrong shape",
                         path, name);
    *out = t;
    return DFQ_OK;
}

static dfq_status check_finite(const char *path, const char *name, const dfq_tensor *t)
{
    const float *v = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        if (!isfinite(v[i]))
            return dfqi_fail(t->ctx, DFQ_E_NUMERIC, "%s: tensor %s holds %g at element %lld", path,
                             name, (double)v[i], (long long)i);
    return DFQ_OK;
}

static dfq_status check_labels(const dfqi_synth *s, const char *path, const dfq_tensor *t)
{
    const int32_t *y = t->data;
    for (int64_t i = 0; i < t->dims[0]; i++)
        if (y[i] < 0 || y[i] >= s->model->net.arch.classes)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT, "%s: tensor labels holds %d at element %lld",
                             path, (int)y[i], (long long)i);
    return DFQ_OK;
}

/* What a checkpoint holds; NULL where the state says there is nothing. */
typedef struct content {
    progress state;
    const dfq_tensor *losses, *labels, *batch[3];
    dfqi_images images; /* stay in their file until they are taken */
    dfqi_kept kept;
} content;

static dfq_status read_state(const dfqi_synth *s, const dfqi_safetensors *st, const char *path,
                             progress *out)
{
    const dfq_tensor *t;
    DFQI_TRY(find(st, path, "state", DFQI_I64, 1, (int64_t[]){STATE}, &t));
    memcpy(out, t->data, sizeof *out);
    int64_t training = s->generator ? s->o.iterations : 0;
    bool trained =
        out->trained >= 0 && out->trained <= training && (out->at == 0 || out->trained == training);
    if (trained && out->at >= 0 && out->at <= s->n_batches && out->iteration >= 0 &&
        out->iteration < s->per_batch && (out->at < s->n_batches || out->iteration == 0) &&
        out->attempt >= 0 && out->attempt < DFQI_SYNTH_ATTEMPTS)
        return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                     "%s: tensor state names batch %lld of %lld, iteration %lld", path,
                     (long long)out->at, (long long)s->n_batches, (long long)out->iteration);
}

static dfq_status read_content(const dfqi_synth *s, const dfqi_safetensors *st, const char *path,
                               content *c)
{
    static const char *const names[3] = {"x", "m", "v"};
    const dfqi_arch *a = &s->model->net.arch;
    int64_t dims[4] = {s->o.batch, a->channels, a->image, a->image};
    int64_t scales[2] = {3 * s->o.batch, s->pyramid.floats};
    DFQI_TRY(read_state(s, st, path, &c->state));
    int64_t done = c->state.trained + c->state.at * s->per_batch + c->state.iteration;
    if (done > 0)
        DFQI_TRY(find(st, path, "losses", DFQI_F32, 2, (int64_t[]){done, DFQI_SYNTH_LOSSES},
                      &c->losses));
    for (int i = 0; c->state.iteration > 0 && i < 3; i++) {
        DFQI_TRY(find(st, path, names[i], DFQI_F32, i == 0 ? 4 : 2, i == 0 ? dims : scales,
                      &c->batch[i]));
        DFQI_TRY(check_finite(path, names[i], c->batch[i]));
    }
    for (int32_t i = 0; i < generator_arrays(s); i++) {
        dfqi_generator_array h = dfqi_generator_trainer_array_at(s->generator, i);
        const dfq_tensor *t;
        DFQI_TRY(find(st, path, h.name, DFQI_F32, 1, &h.count, &t));
        DFQI_TRY(check_finite(path, h.name, t));
    }
    if (c->state.at == 0) return DFQ_OK;
    dims[0] = c->state.at == s->n_batches ? s->o.images : c->state.at * s->o.batch;
    DFQI_TRY(dfqi_kept_open(s, st, path, dims[0], &c->images, &c->kept));
    DFQI_TRY(find(st, path, "labels", DFQI_I32, 1, dims, &c->labels));
    return check_labels(s, path, c->labels);
}

/* What read_content found to be there. */
static void take_generator(dfqi_synth *s, const dfqi_safetensors *st)
{
    for (int32_t i = 0; i < generator_arrays(s); i++) {
        dfqi_generator_array h = dfqi_generator_trainer_array_at(s->generator, i);
        memcpy(h.data, dfqi_st_find(st, h.name)->data, (size_t)h.count * sizeof *h.data);
    }
    if (s->generator) dfqi_generator_trainer_resume(s->generator, s->trained);
}

/* Images of a job that goes on from further back are the same ones: nothing is lost if this
 * fails. */
static dfq_status take_images(dfqi_synth *s, const dfqi_images *from)
{
    const float *x;
    for (int64_t i = 0; i < from->n; i++) {
        DFQI_TRY(dfqi_images_at(from, i, 1, &x));
        DFQI_TRY(dfqi_synth_put(s, i, 1, x));
    }
    return DFQ_OK;
}

static void take(dfqi_synth *s, const content *c)
{
    size_t batch = (size_t)(s->o.batch * s->pixels) * sizeof(float);
    size_t scales = (size_t)dfqi_synth_scale_floats(s) * sizeof(float);
    s->at = c->state.at;
    s->iteration = c->state.iteration;
    s->attempt = c->state.attempt;
    s->trained = c->state.trained;
    s->drawn = 0;
    if (c->losses)
        memcpy(s->losses, c->losses->data, (size_t)dfqi_tensor_count(c->losses) * sizeof(float));
    if (c->labels) {
        memcpy(s->labels->data, c->labels->data, (size_t)c->labels->dims[0] * sizeof(int32_t));
    }
    if (c->state.iteration > 0) {
        dfqi_draw_labels(s, s->at, s->attempt, s->labels_f);
        memcpy(s->x, c->batch[0]->data, batch);
        memcpy(s->moments.m, c->batch[1]->data, scales);
        memcpy(s->moments.v, c->batch[2]->data, scales);
        s->drawn = 1;
    }
}

dfq_status dfqi_synth_restore(dfqi_synth *s, const char *path)
{
    dfqi_safetensors st;
    content c = {0};
    dfq_status status;
    /* a complete job hands out its own memory, so others may hold the finished images */
    if (s->at == s->n_batches)
        return dfqi_fail(s->ctx, DFQ_E_INVALID, "%s: this job is complete, restore into a new one",
                         path);
    DFQI_TRY(dfqi_st_read(s->ctx, path, &st));
    DFQI_GOTO(check_meta(s, &st, path), out);
    DFQI_GOTO(read_content(s, &st, path, &c), out);
    DFQI_GOTO(dfqi_synth_start(s), out);
    DFQI_GOTO(take_images(s, &c.images), out);
    take(s, &c);
    take_generator(s, &st);
    dfqi_kept_fini(s->ctx, &s->kept);
    s->kept = c.kept;
    c.kept = (dfqi_kept){0};
out:
    dfqi_kept_fini(s->ctx, &c.kept);
    dfqi_images_close(&c.images);
    dfqi_st_fini(&st);
    return status;
}
