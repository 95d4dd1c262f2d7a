/* Checkpoints of a diagnosis: results so far and the position in its passes. The graph and the
 * copy's weights are rebuilt by the next batch. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "io/arrays.h"
#include "tune/diagnose_priv.h"

enum { MARKS = 4, LOSS_REALS = 5, REALS = 2 * DFQI_SLOPES + 2 + LOSS_REALS * DFQI_SLOPES };

enum {
    JUDGED,
    AGREE,
    TEACHER,
    STUDENT,
    STAGE,
    SLOPE,
    PASS,
    BATCH,
    DONE,
    COUNTS,
    INTS = COUNTS + 6
};

/* Integers, and doubles as their bits. */
typedef struct numbers {
    int64_t counts[INTS], reals[REALS];
} numbers;

static double *real_at(dfqi_loss_curvature *s, int i)
{
    if (i < DFQI_SLOPES) return &s->running[i];
    if (i < 2 * DFQI_SLOPES) return &s->squares[i - DFQI_SLOPES];
    if (i == 2 * DFQI_SLOPES) return &s->step;
    if (i == 2 * DFQI_SLOPES + 1) return &s->cosine;
    i -= 2 * DFQI_SLOPES + 2;
    dfqi_loss_curvature_loss *l = &s->loss[i / LOSS_REALS];
    double *const of[LOSS_REALS] = {&l->loss, &l->norm, &l->trace, &l->trace_error, &l->eigenvalue};
    return of[i % LOSS_REALS];
}

static void pack(dfqi_diagnosis *d, numbers *out)
{
    dfqi_loss_curvature *s = &d->curvature;
    const int64_t counts[COUNTS] = {d->judged,
                                    d->agreement.agree,
                                    d->agreement.teacher,
                                    d->agreement.student,
                                    (int64_t)s->stage,
                                    s->slope,
                                    s->pass,
                                    s->batch,
                                    s->done};
    memcpy(out->counts, counts, sizeof counts);
    for (int k = 0; k < DFQI_SLOPES; k++) {
        out->counts[COUNTS + 2 * k] = s->loss[k].iterations;
        out->counts[COUNTS + 2 * k + 1] = s->loss[k].settled;
    }
    for (int i = 0; i < REALS; i++) memcpy(&out->reals[i], real_at(s, i), sizeof out->reals[i]);
}

static void unpack(dfqi_diagnosis *d, const numbers *n)
{
    dfqi_loss_curvature *s = &d->curvature;
    const int64_t *c = n->counts;
    d->judged = c[JUDGED];
    d->agreement = (dfqi_agreement){c[AGREE], c[TEACHER], c[STUDENT]};
    s->stage = (dfqi_loss_curvature_stage)c[STAGE];
    s->slope = (int32_t)c[SLOPE];
    s->pass = c[PASS];
    s->batch = c[BATCH];
    s->done = c[DONE];
    for (int k = 0; k < DFQI_SLOPES; k++) {
        s->loss[k].iterations = (int32_t)c[COUNTS + 2 * k];
        s->loss[k].settled = (int32_t)c[COUNTS + 2 * k + 1];
    }
    for (int i = 0; i < REALS; i++) memcpy(real_at(s, i), &n->reals[i], sizeof n->reals[i]);
    dfqi_loss_surface_close(&d->surface);
    s->resumed = s->stage != DFQI_LOSS_CURVATURE_DONE;
}

/* -- what it belongs to ------------------------------------------------------------------------ */

static uint64_t hash_tensor(uint64_t hash, const dfq_tensor *t)
{
    if (!t) return dfqi_hash(hash, "none", 4);
    hash = dfqi_hash(hash, t->dims, (size_t)t->rank * sizeof *t->dims);
    return dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * dfqi_dtype_bytes(t->dtype));
}

static void make_marks(const dfqi_diagnosis *d, dfqi_mark marks[MARKS])
{
    const dfqi_diagnose_options *o = &d->o;
    marks[0] = (dfqi_mark){.key = "dfq.diagnosis", .what = "version", .text = "1"};
    marks[1] = (dfqi_mark){.key = "dfq.diagnosis.options", .what = "options"};
    marks[2] = (dfqi_mark){.key = "dfq.diagnosis.networks", .what = "networks"};
    marks[3] = (dfqi_mark){.key = "dfq.diagnosis.images", .what = "images or labels"};
    dfqi_print(marks[1].text, sizeof marks[1].text,
               "batch %" PRId64 ", rounding %d, divided %d, temperature %.9g, seed %" PRIu64
               ", probes %d, power iterations %d, grid %d",
               o->batch, (int)o->round, (int)o->divide, (double)o->temperature, o->curvature.seed,
               (int)o->curvature.probes, (int)o->curvature.power, (int)o->curvature.grid);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64 " %016" PRIx64,
             dfqi_model_hash(d->teacher), dfqi_model_hash(d->student));
    snprintf(marks[3].text, sizeof marks[3].text, "%016" PRIx64,
             hash_tensor(hash_tensor(DFQI_HASH_START, d->images), d->labels));
}

/* -- files ------------------------------------------------------------------------------------- */

/* All of a job that has started. */
static dfqi_arrays list(const dfqi_diagnosis *d, numbers *n)
{
    const dfqi_loss_curvature *s = &d->curvature;
    int64_t floats = d->values, grid = d->o.curvature.grid;
    dfqi_arrays a = {.ctx = d->ctx, .status = DFQ_OK};
    dfqi_arrays_add(&a, "", "counts", DFQI_I64, INTS, n->counts, 0);
    dfqi_arrays_add(&a, "", "reals", DFQI_I64, REALS, n->reals, 0);
    dfqi_arrays_add(&a, "", "logits", DFQI_F32, d->n_images * d->classes, d->logits, 1);
    dfqi_arrays_add(&a, "", "classes", DFQI_F32, d->n_images, d->classes_of, 1);
    dfqi_arrays_add(&a, "", "direction", DFQI_F32, floats, s->dir, 0);
    dfqi_arrays_add(&a, "", "sums", DFQI_F32, DFQI_SLOPES * floats, s->sums, 0);
    dfqi_arrays_add(&a, "", "table", DFQI_F32, d->n * (int64_t)DFQI_LOSS_CURVATURE_COLUMNS,
                    s->table, 0);
    dfqi_arrays_add(&a, "", "surface", DFQI_F32, DFQI_SLOPES * grid * grid, s->surface, 0);
    return a;
}

dfq_status dfqi_diagnosis_save(dfqi_diagnosis *d, const char *path)
{
    dfqi_mark marks[MARKS];
    numbers n;
    DFQI_TRY(dfqi_diagnosis_start(d));
    pack(d, &n);
    make_marks(d, marks);
    dfqi_arrays a = list(d, &n);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
    return status;
}

/* Where a job can stand; a stage that is left out has no passes. */
static bool is_place(const dfqi_diagnosis *d, const int64_t *c)
{
    int64_t batches = dfqi_loss_surface_batches(&d->surface);
    int64_t counted = c[JUDGED];
    if (counted < 0 || counted > d->n_images || c[AGREE] < 0 || c[AGREE] > counted ||
        c[TEACHER] < 0 || c[TEACHER] > counted || c[STUDENT] < 0 || c[STUDENT] > counted ||
        c[STAGE] < 0 || c[STAGE] > DFQI_LOSS_CURVATURE_DONE || c[SLOPE] < 0 ||
        c[SLOPE] > DFQI_SLOPES || c[DONE] < 0 || c[DONE] > d->curvature.total)
        return false;
    if (c[STAGE] == DFQI_LOSS_CURVATURE_DONE) return c[PASS] == 0 && c[BATCH] == 0;
    int64_t passes = dfqi_loss_curvature_passes(&d->o.curvature, (int)c[STAGE]);
    if (c[STAGE] == DFQI_LOSS_CURVATURE_POWER) {
        passes /= DFQI_SLOPES;
        if (c[SLOPE] == DFQI_SLOPES) return false;
    }
    if (c[PASS] < 0 || c[PASS] >= passes || c[BATCH] < 0 || c[BATCH] >= batches) return false;
    return counted == d->n_images ||
           (counted % d->o.batch == 0 && c[STAGE] == 0 && c[PASS] == 0 && c[BATCH] == 0);
}

static dfq_status check_content(const dfqi_diagnosis *d, const dfqi_safetensors *st,
                                const char *path)
{
    const int64_t *c = dfqi_st_find(st, "counts")->data;
    const float *classes = dfqi_tensor_f32(dfqi_st_find(st, "classes"));
    if (!is_place(d, c))
        return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                         "%s: tensor counts holds stage %lld, pass %lld and batch %lld, which this "
                         "job does not have; the checkpoint is damaged",
                         path, (long long)c[STAGE], (long long)c[PASS], (long long)c[BATCH]);
    for (int64_t i = 0; i < d->n_images; i++)
        if (!(classes[i] >= 0 && classes[i] < (float)d->classes &&
              classes[i] == floorf(classes[i])))
            return dfqi_fail(
                d->ctx, DFQ_E_CORRUPT,
                "%s: tensor classes holds %g at element %lld; the checkpoint is damaged", path,
                (double)classes[i], (long long)i);
    return DFQ_OK;
}

dfq_status dfqi_diagnosis_restore(dfqi_diagnosis *d, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_safetensors st;
    dfqi_arrays a = {.ctx = d->ctx};
    numbers n;
    dfq_status status;
    make_marks(d, marks);
    DFQI_TRY(dfqi_arrays_open(d->ctx, path, "a checkpoint of a diagnosis", MARKS, marks, &st));
    DFQI_GOTO(dfqi_diagnosis_start(d), out);
    a = list(d, &n);
    DFQI_GOTO(dfqi_arrays_check(&a, &st, path), out);
    DFQI_GOTO(check_content(d, &st, path), out);
    dfqi_arrays_take(&a, &st);
    unpack(d, &n);
out:
    dfqi_arrays_fini(&a);
    dfqi_st_fini(&st);
    return status;
}
