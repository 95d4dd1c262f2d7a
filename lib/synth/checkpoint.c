/* Checkpoints of a synthesis job: every array that the job changes (io/arrays.h), all of rank 1.
 *
 *   state   I64 [4]       batch, iteration, attempt, iterations of the generator network
 *   losses  F32 [4 done]  if iterations are done
 *   labels  I32 [n]       of finished images, if there are any
 *   x       F32 [B 3 S S] images of the current batch, if iteration > 0
 *   m, v    F32 [3 B floats of a pyramid]  their AdamW moments, if iteration > 0
 *   generator.*  F32 [..] parameters and moments of the generator network, if there is one
 *
 * Metadata: dfq.synth = format version, dfq.synth.options, dfq.synth.model (hash of the weights),
 * dfq.synth.images (name and hash of the file of finished images, checkpoint_images.c). All other
 * state follows from the options. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/arrays.h"
#include "synth/synth_priv.h"

/* The last mark names the file of finished images: it is written, but no two jobs share it. */
enum { STATE = 4, MARKS = 4, COMPARED = MARKS - 1 };

static const char format_version[] = "5";

typedef struct progress {
    int64_t at, iteration, attempt, trained;
} progress;

static void make_marks(const dfqi_synth *s, dfqi_mark marks[MARKS])
{
    static const dfqi_mark names[MARKS] = {{.key = "dfq.synth", .what = "version"},
                                           {.key = "dfq.synth.options", .what = "options"},
                                           {.key = "dfq.synth.model", .what = "weights"},
                                           {.key = "dfq.synth.images", .what = "images"}};
    memcpy(marks, names, sizeof names);
    snprintf(marks[0].text, sizeof marks[0].text, "%s", format_version);
    dfqi_synth_text(&s->o, marks[1].text);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64, dfqi_network_hash(&s->model->net));
    dfqi_kept_text(&s->kept, marks[3].text);
}

/* -- what is stored ---------------------------------------------------------------------------- */

static void list_state(progress *p, dfqi_arrays *a)
{
    dfqi_arrays_add(a, "", "state", DFQI_I64, STATE, p, 0);
}

/* Of a job that stands at p; what it has not allocated yet is left out. */
static void list_all(const dfqi_synth *s, progress *p, dfqi_arrays *a)
{
    int64_t done = p->trained + p->at * s->per_batch + p->iteration;
    list_state(p, a);
    dfqi_arrays_add(a, "", "losses", DFQI_F32, done * DFQI_SYNTH_LOSSES, s->losses, 0);
    dfqi_arrays_add(a, "", "labels", DFQI_I32, dfqi_synth_images_in(s, p->at),
                    s->labels ? s->labels->data : NULL, 0);
    s->maker->list(s, p->iteration, a);
}

static dfq_status write_state(const dfqi_synth *s, const char *path)
{
    dfqi_mark marks[MARKS];
    progress p = {s->at, s->iteration, s->attempt, s->trained};
    dfqi_arrays a = {.ctx = s->ctx};
    make_marks(s, marks);
    list_all(s, &p, &a);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
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

static dfq_status read_state(const dfqi_synth *s, const dfqi_safetensors *st, const char *path,
                             progress *out)
{
    dfqi_arrays a = {.ctx = s->ctx};
    list_state(out, &a);
    dfq_status status = dfqi_arrays_check(&a, st, path);
    if (status == DFQ_OK) dfqi_arrays_take(&a, st);
    dfqi_arrays_fini(&a);
    DFQI_TRY(status);
    bool trained = out->trained >= 0 && out->trained <= s->training &&
                   (out->at == 0 || out->trained == s->training);
    if (trained && out->at >= 0 && out->at <= s->n_batches && out->iteration >= 0 &&
        out->iteration < s->per_batch && (out->at < s->n_batches || out->iteration == 0) &&
        out->attempt >= 0 && out->attempt < DFQI_SYNTH_ATTEMPTS)
        return DFQ_OK;
    return dfqi_fail(
        s->ctx, DFQ_E_CORRUPT,
        "%s: tensor state holds batch %lld of %lld and iteration %lld; the checkpoint is damaged",
        path, (long long)out->at, (long long)s->n_batches, (long long)out->iteration);
}

/* After the arrays were checked; there are none while no batch is finished. */
static dfq_status check_labels(const dfqi_synth *s, const dfqi_safetensors *st, const char *path,
                               int64_t n)
{
    const int32_t *y = n > 0 ? dfqi_st_find(st, "labels")->data : NULL;
    for (int64_t i = 0; i < n; i++)
        if (y[i] < 0 || y[i] >= s->model->net.arch.classes)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensor labels holds %d at element %lld, which is no class; the "
                             "checkpoint is damaged",
                             path, (int)y[i], (long long)i);
    return DFQ_OK;
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

/* After the arrays were taken. */
static void resume(dfqi_synth *s, const progress *p)
{
    s->at = p->at;
    s->iteration = p->iteration;
    s->attempt = p->attempt;
    s->trained = p->trained;
    s->maker->resume(s);
}

dfq_status dfqi_synth_restore(dfqi_synth *s, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_safetensors st;
    dfqi_arrays a = {.ctx = s->ctx};
    dfqi_images images = {0};
    dfqi_kept kept = {0};
    progress p;
    dfq_status status;
    /* a complete job hands out its own memory, so others may hold the finished images */
    if (s->at == s->n_batches)
        return dfqi_fail(s->ctx, DFQ_E_INVALID, "%s: this job is complete; restore into a new one",
                         path);
    make_marks(s, marks);
    DFQI_TRY(
        dfqi_arrays_open(s->ctx, path, "a checkpoint of image synthesis", COMPARED, marks, &st));
    DFQI_GOTO(read_state(s, &st, path, &p), out);
    DFQI_GOTO(dfqi_synth_start(s), out);
    list_all(s, &p, &a);
    DFQI_GOTO(dfqi_arrays_check(&a, &st, path), out);
    int64_t n = dfqi_synth_images_in(s, p.at);
    DFQI_GOTO(check_labels(s, &st, path, n), out);
    if (n > 0) DFQI_GOTO(dfqi_kept_open(s, &st, path, n, &images, &kept), out);
    DFQI_GOTO(take_images(s, &images), out);
    dfqi_arrays_take(&a, &st);
    resume(s, &p);
    dfqi_kept_fini(s->ctx, &s->kept);
    s->kept = kept;
    kept = (dfqi_kept){0};
out:
    dfqi_kept_fini(s->ctx, &kept);
    dfqi_images_close(&images);
    dfqi_arrays_fini(&a);
    dfqi_st_fini(&st);
    return status;
}
