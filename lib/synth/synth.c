/* The synthesis job: it has its image maker make one batch after the other, keeps those that are
 * finished, and knows where it stands. */
#include "synth/synth.h"

#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "synth/synth_priv.h"

/* -- life -------------------------------------------------------------------------------------- */

static const dfqi_image_maker *maker_of(dfqi_synth_kind kind)
{
    if (dfqi_synth_generates(kind)) return &dfqi_maker_generator;
    return dfqi_synth_draws(kind) ? &dfqi_maker_drawn : &dfqi_maker_pixels;
}

/* What all batches together hold must fit, so that later arithmetic needs no checks. */
static dfq_status check_size(const dfqi_synth *s)
{
    int64_t n, losses;
    bool ok = dfqi_mul_i64(s->o.images + s->o.batch, s->pixels, &n) && n <= INT64_MAX / 64 &&
              dfqi_mul_i64(s->n_batches, s->per_batch, &losses) && losses <= INT64_MAX / 128;
    if (ok && s->model->net.arch.classes <= 1 << 24) return DFQ_OK; /* labels pass through floats */
    return dfqi_fail(s->ctx, DFQ_E_INVALID,
                     "synth: %lld images, %lld iterations and %lld classes are too many to be "
                     "addressed; lower one",
                     (long long)s->o.images, (long long)s->o.iterations,
                     (long long)s->model->net.arch.classes);
}

static dfq_status set_up(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    s->maker = maker_of(s->o.kind);
    s->maker->plan(s);
    s->pixels = dfqi_arch_pixels(a);
    s->n_batches = (s->o.images + s->o.batch - 1) / s->o.batch;
    DFQI_TRY(check_size(s));
    return s->maker->build(s);
}

dfq_status dfqi_synth_new(const dfqi_model *m, const dfqi_synth_options *o, dfqi_synth **out)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    dfqi_synth_options own = *o;
    DFQI_TRY(dfqi_synth_check(ctx, o));
    dfqi_synth_settle(a, &own);
    if (m->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID, "synth: %s is quantized; give the float network",
                         a->name);
    DFQI_TRY(dfqi_synth_fits(ctx, a, &own));
    dfqi_synth *s = dfqi_calloc(ctx, 1, sizeof *s);
    if (!s) return DFQ_E_NOMEM;
    dfq_status status;
    s->model = dfqi_model_retain(m);
    s->ctx = ctx;
    s->o = own;
    DFQI_GOTO(set_up(s), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_synth_release(s);
    return status;
}

/* Back to before work began. */
static void stop(dfqi_synth *s)
{
    s->maker->stop(s);
    dfqi_free(s->ctx, s->floats);
    dfqi_free(s->ctx, s->losses);
    dfqi_tensor_release(s->images);
    dfqi_tensor_release(s->labels);
    s->floats = s->losses = NULL;
    s->images = s->labels = NULL;
}

void dfqi_synth_release(dfqi_synth *s)
{
    if (!s) return;
    dfqi_model *m = s->model;
    stop(s);
    s->maker->fini(s);
    dfqi_images_close(&s->finished);
    dfqi_kept_fini(s->ctx, &s->kept);
    dfqi_free(s->ctx, s);
    dfqi_model_release(m);
}

int64_t dfqi_pieces_lay_out(size_t n, const dfqi_piece *pieces, float *base)
{
    int64_t floats = 0;
    for (size_t i = 0; i < n; i++) {
        if (base) *pieces[i].at = base + floats;
        floats += (pieces[i].floats + 15) / 16 * 16;
    }
    return floats;
}

/* All pieces of s->floats; with base NULL it only counts. */
static int64_t lay_out(dfqi_synth *s, float *base)
{
    const dfqi_piece pieces[] = {{&s->x, s->o.batch * s->pixels}, {&s->labels_f, s->o.batch}};
    int64_t n = dfqi_pieces_lay_out(2, pieces, base);
    return n + s->maker->lay_out(s, base ? base + n : NULL);
}

int64_t dfqi_synth_block(const dfqi_synth *s)
{
    dfqi_synth copy = *s; /* counting writes nothing, but its type does not say so */
    return lay_out(&copy, NULL);
}

static dfq_status allocate(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    s->floats = dfqi_calloc(s->ctx, (size_t)lay_out(s, NULL), sizeof *s->floats);
    s->losses = dfqi_calloc(s->ctx, (size_t)dfqi_synth_units(s), DFQI_SYNTH_LOSSES * sizeof(float));
    if (!s->floats || !s->losses) return DFQ_E_NOMEM;
    lay_out(s, s->floats);
    if (!s->finished.file) {
        DFQI_TRY(dfqi_tensor_new(
            s->ctx, DFQI_F32, 4,
            (int64_t[]){s->o.images, a->channels, a->image.height, a->image.width}, &s->images));
        s->finished = (dfqi_images){
            .n = s->o.images, .pixels = s->pixels, .memory = dfqi_tensor_f32(s->images)};
    }
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_I32, 1, &s->o.images, &s->labels));
    return s->maker->start(s);
}

dfq_status dfqi_synth_spool(dfqi_synth *s, const char *folder)
{
    if (s->floats || s->finished.file)
        return dfqi_fail(
            s->ctx, DFQ_E_INVALID,
            "synth: the file of images can be set once, and only before the work begins");
    return dfqi_images_spool(s->ctx, folder, s->o.images, s->pixels, &s->finished);
}

dfq_status dfqi_synth_put(dfqi_synth *s, int64_t first, int64_t n, const float *x)
{
    if (s->finished.file) return dfqi_images_put(&s->finished, first, n, x);
    memcpy(dfqi_tensor_f32(s->images) + first * s->pixels, x, (size_t)(n * s->pixels) * sizeof *x);
    return DFQ_OK;
}

dfq_status dfqi_synth_start(dfqi_synth *s)
{
    if (s->floats) return DFQ_OK;
    dfq_status status = allocate(s);
    if (status != DFQ_OK) stop(s);
    return status;
}

/* -- steps ------------------------------------------------------------------------------------- */

float *dfqi_synth_current_losses(const dfqi_synth *s)
{
    return s->losses + dfqi_synth_done(s) * DFQI_SYNTH_LOSSES;
}

void dfqi_synth_count_time(dfqi_synth *s, double begin)
{
    if (s->runs++ == 0) return;
    s->seconds += dfqi_now() - begin;
    s->timed++;
}

dfq_status dfqi_synth_finish_batch(dfqi_synth *s)
{
    int64_t first = s->at * s->o.batch, left = s->o.images - first;
    int64_t n = left < s->o.batch ? left : s->o.batch;
    int32_t *labels = s->labels->data;
    s->iteration = 0;
    DFQI_TRY(dfqi_synth_put(s, first, n, s->x));
    for (int64_t i = 0; i < n; i++) labels[first + i] = (int32_t)s->labels_f[i];
    s->at++;
    s->attempt = 0;
    return DFQ_OK;
}

dfq_status dfqi_synth_step(dfqi_synth *s, int32_t *out_finished)
{
    DFQI_TRY(dfqi_synth_start(s));
    if (s->at < s->n_batches) DFQI_TRY(s->maker->step(s));
    *out_finished = s->at == s->n_batches;
    if (*out_finished && s->maker->finish) s->maker->finish(s);
    return DFQ_OK;
}

dfq_status dfqi_synth_run(dfqi_synth *s)
{
    int32_t finished = s->floats && s->at == s->n_batches;
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "synth", (uint64_t)dfqi_synth_done(s),
                                        (uint64_t)dfqi_synth_units(s));
    while (!finished) {
        DFQI_TRY(dfqi_synth_step(s, &finished));
        int64_t done = dfqi_synth_done(s), last = done > 0 ? done - 1 : 0;
        DFQI_TRY(
            dfqi_stage_report(&stage, (uint64_t)done, (double)s->losses[last * DFQI_SYNTH_LOSSES]));
    }
    return DFQ_OK;
}
