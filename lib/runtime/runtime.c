/* Runtimes: life, and what can be asked of them. */
#include <string.h>

#include "base/check.h"
#include "io/image.h"
#include "runtime/runtime_priv.h"

enum { BATCH_MAX = 65536 };

/* Takes the memory of a runtime in one block. */
static dfq_status take_memory(dfqi_runtime *rt)
{
    const dfqi_program *p = rt->p;
    const size_t threads = (size_t)rt->threads;
    const size_t slices = p->batch < rt->threads ? 1 : threads;
    size_t of_slices, of_blocks, total;
    rt->thread_bytes = p->block_bytes + p->scratch_bytes;
    if (!dfqi_mul_size(slices, p->slice_bytes, &of_slices) ||
        !dfqi_mul_size(threads, rt->thread_bytes, &of_blocks) ||
        !dfqi_add_size(of_slices, of_blocks, &total) ||
        !dfqi_add_size(total, p->output_bytes, &total))
        return dfqi_fail(rt->ctx, DFQ_E_NOMEM,
                         "out of memory: %d threads need more than can be addressed",
                         (int)rt->threads);
    rt->memory = dfqi_alloc(rt->ctx, total);
    if (!rt->memory) return DFQ_E_NOMEM;
    rt->memory_bytes = total;
    rt->outputs = rt->memory;
    rt->slices = rt->outputs + p->output_bytes;
    rt->blocks = rt->slices + of_slices;
    return DFQ_OK;
}

/* Takes over a reference of the program, also on failure. */
static dfq_status make(dfq_context *ctx, dfqi_program *take_program, int profile,
                       dfqi_runtime **out)
{
    dfqi_runtime *rt = dfqi_calloc(ctx, 1, sizeof *rt);
    if (!rt) {
        dfqi_program_release(take_program);
        return DFQ_E_NOMEM;
    }
    rt->ctx = dfqi_context_retain(ctx);
    rt->p = take_program;
    rt->threads = ctx->threads;
    dfq_status status = take_memory(rt);
    if (status == DFQ_OK && profile) {
        rt->seconds =
            dfqi_calloc(ctx, (size_t)rt->threads * (size_t)take_program->n_parts, sizeof(double));
        if (!rt->seconds) status = DFQ_E_NOMEM;
    }
    if (status == DFQ_OK)
        *out = rt;
    else
        dfqi_runtime_free(rt);
    return status;
}

/* Runs it on black images: kernels that are made for a shape are made then, and memory is there
 * before the first run. */
static dfq_status warm_up(dfqi_runtime *rt)
{
    static const uint8_t black = 0;
    const dfqi_program *p = rt->p;
    dfqi_pixels x = {.data = &black, .bytes = 1, .n = 1}; /* all strides are 0 */
    dfq_status status = dfqi_runtime_run(rt, &x, NULL);
    if (status == DFQ_OK && rt->threads > 1 && p->batch >= rt->threads) {
        x.n = rt->threads;
        status = dfqi_runtime_run(rt, &x, NULL);
    }
    rt->n = 0;
    if (rt->seconds)
        memset(rt->seconds, 0, (size_t)(rt->threads * p->n_parts) * sizeof *rt->seconds);
    return status;
}

dfq_status dfqi_runtime_new(const dfqi_model *m, const dfq_runtime_options *o, dfqi_runtime **out)
{
    dfqi_program *p;
    dfqi_runtime *rt;
    DFQI_TRY(dfqi_check_whole(m->ctx, "runtime", "batch", o->batch, 1, BATCH_MAX));
    DFQI_TRY(dfqi_check_whole(m->ctx, "runtime", "n_probes", o->n_probes, 0, BATCH_MAX));
    DFQI_TRY(dfqi_check_whole(m->ctx, "runtime", "profile", o->profile, 0, 1));
    DFQI_TRY(dfqi_check_whole(m->ctx, "runtime", "integer", o->integer, 0, 1));
    if (o->integer && !m->quantized)
        return dfqi_fail(m->ctx, DFQ_E_INVALID,
                         "runtime: integer is for quantized networks, %s is float; leave it out",
                         m->net.arch.name);
    if (o->n_probes > 0 && !o->probes)
        return dfqi_fail(m->ctx, DFQ_E_INVALID, "runtime: probes is NULL, must be %d names",
                         (int)o->n_probes);
    DFQI_TRY(dfqi_program_new(m, o, &p));
    DFQI_TRY(make(m->ctx, p, o->profile, &rt));
    dfq_status status = warm_up(rt);
    if (status == DFQ_OK)
        *out = rt;
    else
        dfqi_runtime_free(rt);
    return status;
}

dfq_status dfqi_runtime_clone(const dfqi_runtime *rt, dfq_context *ctx, dfqi_runtime **out)
{
    return make(ctx, dfqi_program_retain(rt->p), rt->seconds != NULL, out);
}

dfqi_program *dfqi_program_retain(dfqi_program *p)
{
    dfqi_ref_inc(&p->refs);
    return p;
}

void dfqi_program_release(dfqi_program *p)
{
    if (!p || dfqi_ref_dec(&p->refs) > 0) return;
    dfq_context *ctx = p->ctx;
    dfqi_free(ctx, p->values);
    dfqi_free(ctx, p->steps);
    dfqi_free(ctx, p->segments);
    dfqi_free(ctx, p->parts);
    dfqi_free(ctx, p->outputs);
    dfqi_free(ctx, p->constants);
    dfqi_class_names_release(p->names);
    dfqi_free(ctx, p);
    dfqi_context_release(ctx);
}

void dfqi_runtime_free(dfqi_runtime *rt)
{
    if (!rt) return;
    dfq_context *ctx = rt->ctx;
    dfqi_program_release(rt->p);
    dfqi_free(ctx, rt->memory);
    dfqi_free(ctx, rt->seconds);
    dfqi_free(ctx, rt);
    dfqi_context_release(ctx);
}

dfq_context *dfqi_runtime_context(const dfqi_runtime *rt)
{
    return rt->ctx;
}

void dfqi_runtime_info(const dfqi_runtime *rt, dfq_runtime_info *out)
{
    const dfqi_program *p = rt->p;
    const dfqi_size size = p->preprocess.size;
    double macs[2] = {0, 0}; /* of floats, of codes */
    for (int32_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].product) macs[p->steps[i].integer] += p->steps[i].macs;
    *out = (dfq_runtime_info){.macs = dfqi_count_i64(macs[0] + macs[1]),
                              .integer_macs = dfqi_count_i64(macs[1]),
                              .kernels = p->ik->name,
                              .quantized = p->quantized,
                              .batch = p->batch,
                              .image = dfqi_longer(size),
                              .image_height = size.height,
                              .image_width = size.width,
                              .channels = p->channels,
                              .classes = p->classes,
                              .shared_bytes = (int64_t)p->constant_bytes,
                              .private_bytes = (int64_t)rt->memory_bytes};
}

const dfqi_class_names *dfqi_runtime_names(const dfqi_runtime *rt)
{
    return rt->p->names;
}

int32_t dfqi_runtime_outputs(const dfqi_runtime *rt)
{
    return rt->p->n_outputs;
}

void dfqi_runtime_output(const dfqi_runtime *rt, int32_t i, dfq_runtime_output *out)
{
    const dfqi_rt_output_row *row = &rt->p->outputs[i];
    const dfqi_rt_value *v = &rt->p->values[row->value];
    *out = (dfq_runtime_output){.rank = v->rank,
                                .data = (const float *)(const void *)(rt->outputs + v->offset),
                                .name = row->name};
    memcpy(out->dims, v->dims, sizeof out->dims);
    out->dims[0] = rt->n;
}

void dfqi_pixels_init(const dfqi_runtime *rt, int32_t pixels, const void *data, int64_t n,
                      dfqi_pixels *out)
{
    const dfqi_size size = rt->p->preprocess.size;
    const int64_t c = rt->p->channels, plane = dfqi_area(size), row = size.width;
    const bool last = pixels == DFQ_PIXELS_U8_NHWC || pixels == DFQ_PIXELS_F32_NHWC;
    *out =
        (dfqi_pixels){.data = data,
                      .bytes = pixels == DFQ_PIXELS_U8_NHWC || pixels == DFQ_PIXELS_U8_NCHW,
                      .n = n,
                      .stride = {c * plane, last ? 1 : plane, last ? row * c : row, last ? c : 1}};
}

dfq_status dfqi_runtime_picture(const dfqi_runtime *rt, const char *path, uint8_t *rgb)
{
    const dfqi_preprocess *p = &rt->p->preprocess;
    dfqi_image whole, fitted;
    DFQI_TRY(dfqi_image_read(rt->ctx, path, &whole));
    if (dfqi_crops(p, &whole))
        dfqi_log(rt->ctx, DFQ_LOG_WARNING,
                 "%s: the picture is %d x %d pixels and is not resized, so that only the middle "
                 "%lld x %lld count; --resize or --crop scales it first",
                 path, whole.width, whole.height, (long long)p->size.width,
                 (long long)p->size.height);
    if (whole.orientation > 1)
        dfqi_log(rt->ctx, DFQ_LOG_WARNING,
                 "%s: the EXIF orientation, %d, is not followed, as PyTorch does not; turn the "
                 "pixels where that is wrong",
                 path, (int)whole.orientation);
    dfq_status status = dfqi_image_fit(&whole, p->resize, p->size, p->filter, &fitted);
    dfqi_image_fini(&whole);
    if (status != DFQ_OK) { /* fit does not know the file's name */
        char cause[DFQI_ERROR_MAX];
        memcpy(cause, rt->ctx->error, sizeof cause);
        return dfqi_fail(rt->ctx, status, "%s: %.800s", path, cause);
    }
    memcpy(rgb, fitted.rgb, (size_t)dfqi_area(p->size) * 3);
    dfqi_image_fini(&fitted);
    return DFQ_OK;
}
