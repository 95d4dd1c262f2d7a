/* Results of a synthesis job: images, loss curves, estimated cost, inter-head similarity. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "synth/similarity.h"
#include "synth/synth_priv.h"

const dfqi_model *dfqi_synth_model(const dfqi_synth *s)
{
    return s->model;
}

int64_t dfqi_synth_units(const dfqi_synth *s)
{
    return s->training + s->n_batches * s->per_batch;
}

int64_t dfqi_synth_done(const dfqi_synth *s)
{
    return s->trained + s->at * s->per_batch + s->iteration;
}

int64_t dfqi_synth_images_in(const dfqi_synth *s, int64_t batches)
{
    return batches == s->n_batches ? s->o.images : batches * s->o.batch;
}

int64_t dfqi_synth_finished(const dfqi_synth *s)
{
    return dfqi_synth_images_in(s, s->at);
}

/* The first n rows of t, sharing it if that is all. */
static dfq_status head_of(const dfq_tensor *t, int64_t n, dfq_tensor **out)
{
    int64_t dims[DFQI_RANK_MAX];
    dfq_tensor *copy;
    if (n == t->dims[0]) {
        *out = dfqi_tensor_retain(t);
        return DFQ_OK;
    }
    memcpy(dims, t->dims, sizeof dims);
    dims[0] = n;
    DFQI_TRY(dfqi_tensor_new(t->ctx, t->dtype, t->rank, dims, &copy));
    memcpy(copy->data, t->data, (size_t)dfqi_tensor_count(copy) * dfqi_dtype_bytes(t->dtype));
    *out = copy;
    return DFQ_OK;
}

static dfq_status need_images(const dfqi_synth *s)
{
    if (s->floats && s->at > 0) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_INVALID,
                     "synth: no batch is finished yet: %lld of %lld iterations up to the first are "
                     "done; run the job further",
                     (long long)dfqi_synth_done(s), (long long)(s->per_batch + s->training));
}

dfq_status dfqi_synth_finished_images(const dfqi_synth *s, dfqi_images *out_images,
                                      dfq_tensor *out_shape, dfq_tensor *out_labels)
{
    const dfqi_arch *a = &s->model->net.arch;
    int64_t n = dfqi_synth_finished(s);
    DFQI_TRY(need_images(s));
    *out_images = s->finished;
    out_images->n = n;
    *out_shape = (dfq_tensor){.ctx = s->ctx,
                              .refs = 1,
                              .dtype = DFQI_F32,
                              .rank = 4,
                              .dims = {n, a->channels, a->image.height, a->image.width}};
    *out_labels = *s->labels;
    out_labels->dims[0] = n;
    return DFQ_OK;
}

dfq_status dfqi_synth_set(const dfqi_synth *s, dfqi_imageset **out)
{
    dfqi_images images;
    dfq_tensor shape, labels;
    if (!s->finished.file)
        return dfqi_fail(
            s->ctx, DFQ_E_INVALID,
            "synth: the images are in memory, not in a file; name a file before the work begins");
    DFQI_TRY(dfqi_synth_finished_images(s, &images, &shape, &labels));
    return dfqi_imageset_of(&images, &shape, &labels, out);
}

/* The first n images of a spool. */
static dfq_status read_back(const dfqi_synth *s, int64_t n, dfq_tensor **out)
{
    const dfqi_arch *a = &s->model->net.arch;
    dfq_tensor *t;
    dfq_status status = DFQ_OK;
    const float *x;
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 4,
                             (int64_t[]){n, a->channels, a->image.height, a->image.width}, &t));
    for (int64_t i = 0; i < n && status == DFQ_OK; i++) {
        status = dfqi_images_at(&s->finished, i, 1, &x);
        if (status == DFQ_OK)
            memcpy(dfqi_tensor_f32(t) + i * s->pixels, x, (size_t)s->pixels * sizeof *x);
    }
    if (status != DFQ_OK)
        dfqi_tensor_release(t);
    else
        *out = t;
    return status;
}

dfq_status dfqi_synth_images(const dfqi_synth *s, dfq_tensor **out_images, dfq_tensor **out_labels)
{
    int64_t n = dfqi_synth_finished(s);
    dfq_tensor *images, *labels;
    DFQI_TRY(need_images(s));
    DFQI_TRY(s->images ? head_of(s->images, n, &images) : read_back(s, n, &images));
    dfq_status status = head_of(s->labels, n, &labels);
    if (status != DFQ_OK) {
        dfqi_tensor_release(images);
        return status;
    }
    *out_images = images;
    *out_labels = labels;
    return DFQ_OK;
}

dfq_status dfqi_synth_losses(const dfqi_synth *s, dfq_tensor **out)
{
    dfq_tensor *t;
    int64_t dims[2] = {dfqi_synth_done(s), DFQI_SYNTH_LOSSES};
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 2, dims, &t));
    if (dims[0] > 0) memcpy(t->data, s->losses, (size_t)dfqi_tensor_count(t) * sizeof(float));
    *out = t;
    return DFQ_OK;
}

/* -- cost -------------------------------------------------------------------------------------- */

/* Twice: the first run packs weights and touches fresh memory. */
static dfq_status probe_seconds(dfqi_synth *s)
{
    DFQI_TRY(dfqi_synth_start(s));
    for (; s->timed == 0; s->runs++) {
        double start = dfqi_now();
        DFQI_TRY(s->maker->pass(s));
        if (s->runs == 0) continue;
        s->seconds = dfqi_now() - start;
        s->timed = 1;
    }
    return DFQ_OK;
}

/* What saving the images takes, or the similarity of heads of some, drawn again and read. */
static dfq_status later_bytes(const dfqi_synth *s, double *out)
{
    enum { JUDGED = 32 };
    const int64_t n = s->o.images < JUDGED ? s->o.images : JUDGED;
    double judged = 0, saved, files;
    if (dfqi_arch_blocks(&s->model->net.arch) > 0) {
        DFQI_TRY(dfqi_head_similarity_cost(s->model, n, &judged));
        judged += (double)sizeof(float) *
                  (2 * (double)n * (double)s->pixels + (double)dfqi_draw_scratch(s));
    }
    dfqi_imageset_save_cost(s->model, s->o.images, &saved, &files);
    *out = judged > saved ? judged : saved;
    return DFQ_OK;
}

dfq_status dfqi_synth_estimate(dfqi_synth *s, int probe, dfqi_synth_cost *out)
{
    dfqi_synth_cost c;
    double later;
    double left = (double)(dfqi_synth_units(s) - dfqi_synth_done(s));
    double images = s->finished.file ? 0 : (double)s->o.images * (double)s->pixels;
    bool works = s->maker->pass != NULL;
    DFQI_TRY(s->maker->cost(s, &c.bytes, &c.macs));
    DFQI_TRY(later_bytes(s, &later));
    if (!s->maker->finish) c.bytes += later; /* the maker's memory is still there */
    if (c.bytes < later) c.bytes = later;
    c.bytes += sizeof(float) * (images + (double)dfqi_synth_block(s) +
                                (double)dfqi_synth_units(s) * DFQI_SYNTH_LOSSES);
    if (probe && s->timed == 0 && works && s->at < s->n_batches) DFQI_TRY(probe_seconds(s));
    c.seconds = s->timed > 0 ? s->seconds / (double)s->timed : works ? NAN : 0.0;
    c.seconds_left = left > 0 ? c.seconds * left : 0.0;
    *out = c;
    return DFQ_OK;
}

/* -- similarity -------------------------------------------------------------------------------- */

/* The first n finished images as they were drawn. A batch that was drawn anew began as attempt 0
 * too: which attempt led to it is not kept, and the distribution is the same. */
static dfq_status initial_images(const dfqi_synth *s, int64_t n, float **out)
{
    int64_t batch = s->o.batch, batches = (n + batch - 1) / batch;
    int64_t count = batches * batch * s->pixels, scratch = dfqi_draw_scratch(s);
    float *x = dfqi_alloc(s->ctx, (size_t)(count + scratch) * sizeof *x);
    if (!x) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < batches; i++)
        dfqi_draw_images(s, i, 0, x + count, x + i * batch * s->pixels);
    *out = x;
    return DFQ_OK;
}

dfq_status dfqi_synth_similarity(const dfqi_synth *s, int64_t n, dfq_tensor **out_before,
                                 dfq_tensor **out_after)
{
    float *drawn = NULL;
    const float *made;
    dfq_tensor *before = NULL, *after = NULL;
    dfq_status status;
    DFQI_TRY(dfqi_arch_need_attention(s->ctx, &s->model->net.arch, "similarity of heads"));
    DFQI_TRY(need_images(s));
    if (n <= 0 || n > dfqi_synth_finished(s)) n = dfqi_synth_finished(s);
    DFQI_GOTO(initial_images(s, n, &drawn), out);
    DFQI_GOTO(dfqi_head_similarity(s->model, drawn, n, &before), out);
    DFQI_GOTO(dfqi_images_at(&s->finished, 0, n, &made), out);
    DFQI_GOTO(dfqi_head_similarity(s->model, made, n, &after), out);
    *out_before = before;
    *out_after = after;
    before = after = NULL;
out:
    dfqi_free(s->ctx, drawn);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    return status;
}
