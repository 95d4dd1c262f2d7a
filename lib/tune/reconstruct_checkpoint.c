/* Checkpoints of a reconstruction (io/arrays.h), all of rank 1:
 *
 *   state    I64 [2]    the running unit, and steps done in it
 *   errors   F32 [4 units]
 *   now.*               of the whole student: parameters, scales and zero points
 *   m.*, v.*, before.*  of what the running unit moves, if steps of it are done: moments, and
 *                       values before the unit
 *   first    F32 [2]    the weights of its loss
 *
 * Metadata: dfq.reconstruct = format version, dfq.reconstruct.options, .quantizers, .teacher and
 * .images (hashes). Views and inputs of units follow from these. */
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"
#include "io/arrays.h"
#include "tune/reconstruct_priv.h"
#include "tune/tune.h"

enum { MARKS = 5 };

/* -- fingerprints ------------------------------------------------------------------------------ */

static dfq_status make_hashes(dfqi_reconstruct *r)
{
    const float *x;
    if (r->hashed) return DFQ_OK;
    uint64_t hash = dfqi_hash(DFQI_HASH_START, &r->all.n, sizeof r->all.n);
    for (int64_t i = 0; i < r->all.n; i++) {
        DFQI_TRY(dfqi_images_at(&r->all, i, 1, &x));
        hash = dfqi_hash(hash, x, (size_t)r->all.pixels * sizeof *x);
    }
    r->images_hash = hash;
    r->teacher_hash = dfqi_network_hash(&r->teacher->net);
    r->hashed = 1;
    return DFQ_OK;
}

static dfq_status make_marks(dfqi_reconstruct *r, dfqi_mark marks[MARKS])
{
    const dfqi_reconstruct_options *o = &r->o;
    DFQI_TRY(make_hashes(r));
    marks[0] = (dfqi_mark){.key = "dfq.reconstruct", .what = "version", .text = "1"};
    marks[1] = (dfqi_mark){.key = "dfq.reconstruct.options", .what = "options"};
    marks[2] = (dfqi_mark){.key = "dfq.reconstruct.quantizers", .what = "quantizers"};
    marks[3] = (dfqi_mark){.key = "dfq.reconstruct.teacher", .what = "teacher weights"};
    marks[4] = (dfqi_mark){.key = "dfq.reconstruct.images", .what = "images"};
    dfqi_print(marks[1].text, sizeof marks[1].text,
               "steps %" PRId64 ", batch %" PRId64 ", views %" PRId64 " (augment %d), seed %" PRIu64
               ", learning rates %.9g %.9g %.9g, feature %.9g in %d units, drop %d",
               o->steps, o->batch, o->views, (int)o->augment, o->seed, (double)o->learning_rate,
               (double)o->bias_learning_rate, (double)o->scale_learning_rate,
               (double)o->feature_weight, (int)o->feature_units, (int)o->drop);
    uint64_t quantizers = dfqi_tune_hash_scheme(&r->student->scheme);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64, quantizers);
    snprintf(marks[3].text, sizeof marks[3].text, "%016" PRIx64, r->teacher_hash);
    snprintf(marks[4].text, sizeof marks[4].text, "%016" PRIx64, r->images_hash);
    return DFQ_OK;
}

/* -- arrays ------------------------------------------------------------------------------------ */

static void add_tensor(dfqi_arrays *a, const char *prefix, const char *name, dfq_tensor *t)
{
    if (t) dfqi_arrays_add(a, prefix, name, DFQI_F32, dfqi_tensor_count(t), dfqi_tensor_f32(t), 1);
}

static void list_student(const dfqi_reconstruct *r, dfqi_arrays *a)
{
    const dfqi_network *net = &r->student->net;
    const dfqi_scheme *s = &r->student->scheme;
    char name[DFQI_ARRAY_NAME];
    for (int32_t i = 0; i < net->n_params; i++)
        add_tensor(a, "now.", net->params[i].name, net->params[i].tensor);
    for (int32_t i = 0; i < s->n_sites; i++) {
        snprintf(name, sizeof name, "%s.scale", s->sites[i].name);
        add_tensor(a, "now.", name, s->sites[i].scale);
        snprintf(name, sizeof name, "%s.zero_point", s->sites[i].name);
        add_tensor(a, "now.", name, s->sites[i].zero_point);
    }
}

static void list_unit(const dfqi_unit_job *j, dfqi_arrays *a)
{
    for (int32_t i = 0; i < j->n_items; i++) {
        const dfqi_unit_item *item = &j->items[i];
        dfqi_arrays_add(a, "m.", item->name, DFQI_F32, item->count, item->moments.m, 1);
        dfqi_arrays_add(a, "v.", item->name, DFQI_F32, item->count, item->moments.v, 1);
        dfqi_arrays_add(a, "before.", item->name, DFQI_F32, item->count, item->before, 1);
    }
    add_tensor(a, "first.", "unit", j->weight[0]);
    add_tensor(a, "first.", "feature", j->weight[1]);
}

static void list_state(const dfqi_reconstruct *r, int64_t state[2], dfqi_arrays *a)
{
    dfqi_arrays_add(a, "", "state", DFQI_I64, 2, state, 0);
    dfqi_arrays_add(a, "", "errors", DFQI_F32, DFQI_UNIT_ERRORS * (int64_t)r->n_units, r->errors,
                    1);
}

dfq_status dfqi_reconstruct_save(dfqi_reconstruct *r, const char *path)
{
    dfqi_mark marks[MARKS];
    int64_t state[2] = {r->unit, r->step};
    dfqi_arrays a = {.ctx = r->ctx};
    DFQI_TRY(make_marks(r, marks));
    list_state(r, state, &a);
    list_student(r, &a);
    if (r->step > 0) list_unit(&r->job, &a);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status read_state(const dfqi_reconstruct *r, const dfqi_safetensors *st,
                             const char *path, int64_t state[2])
{
    dfqi_arrays a = {.ctx = r->ctx};
    dfqi_arrays_add(&a, "", "state", DFQI_I64, 2, state, 0);
    dfq_status status = dfqi_arrays_check(&a, st, path);
    if (status == DFQ_OK) dfqi_arrays_take(&a, st);
    dfqi_arrays_fini(&a);
    DFQI_TRY(status);
    if (state[0] >= 0 && state[0] <= r->n_units && state[1] >= 0 && state[1] < r->o.steps &&
        (state[0] < r->n_units || state[1] == 0))
        return DFQ_OK;
    return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                     "%s: tensor state holds step %lld of unit %lld of %d; the checkpoint is "
                     "damaged",
                     path, (long long)state[1], (long long)state[0], (int)r->n_units);
}

/* Scales are above zero. */
static dfq_status check_scales(const dfqi_reconstruct *r, const dfqi_safetensors *st,
                               const char *path)
{
    const dfqi_scheme *s = &r->student->scheme;
    char name[DFQI_ARRAY_NAME];
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!s->sites[i].scale) continue;
        snprintf(name, sizeof name, "now.%s.scale", s->sites[i].name);
        const dfq_tensor *t = dfqi_st_find(st, name);
        for (int64_t k = 0; k < dfqi_tensor_count(t); k++)
            if (!(dfqi_tensor_f32(t)[k] > 0))
                return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                                 "%s: tensor %s holds a scale of %g, must be above 0; the "
                                 "checkpoint is damaged",
                                 path, name, (double)dfqi_tensor_f32(t)[k]);
    }
    return DFQ_OK;
}

dfq_status dfqi_reconstruct_restore(dfqi_reconstruct *r, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_safetensors st;
    dfqi_arrays a = {.ctx = r->ctx};
    int64_t state[2];
    dfq_status status;
    if (r->x || r->job.g)
        return dfqi_fail(r->ctx, DFQ_E_INVALID,
                         "reconstruct: the job has begun; load a checkpoint into a new one");
    DFQI_TRY(make_marks(r, marks));
    DFQI_TRY(dfqi_arrays_open(r->ctx, path, "a checkpoint of reconstruction", MARKS, marks, &st));
    DFQI_GOTO(read_state(r, &st, path, state), out);
    list_state(r, state, &a);
    list_student(r, &a);
    r->unit = (int32_t)state[0];
    if (state[1] > 0) {
        DFQI_GOTO(dfqi_unit_build(r, r->unit, &r->job), out);
        DFQI_GOTO(dfqi_unit_start(r), out);
        list_unit(&r->job, &a);
    }
    DFQI_GOTO(dfqi_arrays_check(&a, &st, path), out);
    DFQI_GOTO(check_scales(r, &st, path), out);
    dfqi_arrays_take(&a, &st);
    r->step = state[1];
out:
    if (status != DFQ_OK) {
        dfqi_unit_fini(r, &r->job);
        r->unit = 0;
    }
    dfqi_arrays_fini(&a);
    dfqi_st_fini(&st);
    return status;
}
