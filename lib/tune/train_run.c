/* A complete training run: order of images, checkpoints, cost estimate. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/text.h"
#include "io/arrays.h"
#include "tune/train_priv.h"

enum { MARKS = 3, ORDER_STREAM = 1 };

/* -- the order of images ----------------------------------------------------------------------- */

/* Images of a run; epochs follow each other without a gap, so that a batch may have the end of one
 * and the beginning of the next. */
typedef struct run {
    dfqi_train *t;
    const float *images;
    const int32_t *labels;
    int64_t n, pixels, epoch; /* epoch: of `order`; -1: none */
    int32_t *order;           /* [n] */
    float *x;                 /* [batch][pixels] */
    int32_t *y;               /* [batch] */
} run;

static void shuffle(run *r, int64_t epoch)
{
    dfqi_rng rng = dfqi_rng_make(r->t->o.seed, (uint64_t)ORDER_STREAM << 60 | (uint64_t)epoch);
    for (int64_t i = 0; i < r->n; i++) r->order[i] = (int32_t)i;
    for (int64_t i = r->n - 1; i > 0; i--) {
        uint32_t k = dfqi_rng_below(&rng, (uint32_t)i + 1);
        int32_t kept = r->order[i];
        r->order[i] = r->order[k];
        r->order[k] = kept;
    }
    r->epoch = epoch;
}

/* The batch of step t->done. */
static void gather(run *r)
{
    int64_t batch = r->t->o.batch;
    for (int64_t b = 0; b < batch; b++) {
        int64_t at = r->t->done * batch + b;
        if (at / r->n != r->epoch) shuffle(r, at / r->n);
        int32_t i = r->order[at % r->n];
        memcpy(r->x + b * r->pixels, r->images + i * r->pixels, (size_t)r->pixels * sizeof *r->x);
        r->y[b] = r->labels[i];
    }
}

dfq_status dfqi_train_run(dfqi_train *t, const float *images, const int32_t *labels, int64_t n)
{
    const dfqi_arch *a = &t->model->net.arch;
    run r = {.t = t, .images = images, .labels = labels, .n = n, .epoch = -1};
    dfq_status status = DFQ_OK;
    r.pixels = dfqi_arch_pixels(a);
    r.order = dfqi_calloc(t->ctx, (size_t)n, sizeof *r.order);
    r.x = dfqi_calloc(t->ctx, (size_t)t->o.batch, (size_t)r.pixels * sizeof *r.x);
    r.y = dfqi_calloc(t->ctx, (size_t)t->o.batch, sizeof *r.y);
    if (!r.order || !r.x || !r.y) status = DFQ_E_NOMEM;
    dfqi_stage stage = dfqi_stage_begin(t->ctx, "train", (uint64_t)t->done, (uint64_t)t->o.steps);
    while (status == DFQ_OK && t->done < t->o.steps) {
        float loss = 0;
        int32_t correct;
        gather(&r);
        status = dfqi_train_step(t, r.x, r.y, &loss, &correct);
        if (status != DFQ_OK) break;
        status = dfqi_stage_report(&stage, (uint64_t)t->done, (double)loss);
        if (t->done == t->o.steps) status = DFQ_OK; /* nothing is left to be cancelled */
    }
    dfqi_free(t->ctx, r.y);
    dfqi_free(t->ctx, r.x);
    dfqi_free(t->ctx, r.order);
    return status;
}

dfq_status dfqi_train_estimate(const dfqi_train *t, dfqi_train_cost *out)
{
    const dfqi_arch *a = &t->model->net.arch;
    double floats = (double)t->o.batch * (double)(dfqi_arch_pixels(a) + 2);
    int64_t left = t->o.steps - t->done;
    size_t bytes;
    DFQI_TRY(dfqi_exec_estimate(t->g, &bytes));
    for (int32_t i = 0; i < t->model->net.n_params; i++) floats += 2 * (double)t->moments[i].count;
    *out = (dfqi_train_cost){.bytes = (double)bytes + floats * (double)sizeof(float),
                             .macs = dfqi_graph_macs(t->g),
                             .seconds_left = dfqi_seconds_left(t->seconds, t->timed, left),
                             .steps = t->o.steps,
                             .done = t->done};
    return DFQ_OK;
}

/* -- checkpoints ------------------------------------------------------------------------------- */

static void make_marks(const dfqi_train *t, dfqi_mark marks[MARKS])
{
    const dfqi_train_options *o = &t->o;
    marks[0] = (dfqi_mark){.key = "dfq.train", .what = "version", .text = "1"};
    marks[1] = (dfqi_mark){.key = "dfq.train.options", .what = "options"};
    marks[2] = (dfqi_mark){.key = "dfq.train.network", .what = "shapes or quantizers"};
    dfqi_print(marks[1].text, sizeof marks[1].text,
               "batch %" PRId64 ", steps %" PRId64 ", warm-up %" PRId64
               ", learning rate %.9g to %.9g, AdamW (%.9g %.9g %.9g, decay %.9g), seed %" PRIu64,
               o->batch, o->steps, o->warmup_steps, (double)o->learning_rate,
               (double)o->end_learning_rate, (double)o->beta1, (double)o->beta2, (double)o->eps,
               (double)o->weight_decay, o->seed);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64, dfqi_model_outline_hash(t->model));
}

static dfqi_arrays list(const dfqi_train *t, int64_t *done)
{
    dfqi_arrays a = {.ctx = t->ctx, .status = DFQ_OK};
    dfqi_arrays_add(&a, "", "done", DFQI_I64, 1, done, 0);
    for (int32_t i = 0; i < t->model->net.n_params; i++) {
        const dfqi_param *p = &t->model->net.params[i];
        const dfqi_moments *m = &t->moments[i];
        dfqi_arrays_add(&a, "now.", p->name, DFQI_F32, m->count, p->tensor->data, 1);
        dfqi_arrays_add(&a, "m.", p->name, DFQI_F32, m->count, m->m, 1);
        dfqi_arrays_add(&a, "v.", p->name, DFQI_F32, m->count, m->v, 1);
    }
    return a;
}

dfq_status dfqi_train_save(const dfqi_train *t, const char *path)
{
    dfqi_mark marks[MARKS];
    int64_t done = t->done;
    dfqi_arrays a = list(t, &done);
    make_marks(t, marks);
    dfq_status status = dfqi_arrays_write(&a, path, MARKS, marks);
    dfqi_arrays_fini(&a);
    return status;
}

dfq_status dfqi_train_restore(dfqi_train *t, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_safetensors st;
    int64_t done;
    dfqi_arrays a = {.ctx = t->ctx};
    make_marks(t, marks);
    dfq_status status =
        dfqi_arrays_open(t->ctx, path, "a checkpoint of training", MARKS, marks, &st);
    if (status != DFQ_OK) return status;
    a = list(t, &done);
    DFQI_GOTO(dfqi_arrays_check(&a, &st, path), out);
    done = *(const int64_t *)dfqi_st_find(&st, "done")->data;
    if (done < 0 || done > INT64_C(1) << 40) {
        status = dfqi_fail(t->ctx, DFQ_E_CORRUPT,
                           "%s: tensor done holds %lld steps, which this job does not have; the "
                           "checkpoint is damaged",
                           path, (long long)done);
        goto out;
    }
    dfqi_arrays_take(&a, &st);
    t->done = done;
out:
    dfqi_arrays_fini(&a);
    dfqi_st_fini(&st);
    return status;
}
