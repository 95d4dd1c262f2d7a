/* Runs of a program. */
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"
#include "runtime/runtime_priv.h"

/* What the bodies of the loops of a run share. */
typedef struct call {
    dfqi_runtime *rt;
    dfqi_rt_frame frame; /* without the memory of a thread */
    int64_t images, piece;
    const dfqi_rt_segment *segment;
    int64_t total, block; /* units of the segment */
} call;

static void use_thread(const dfqi_runtime *rt, int32_t thread, dfqi_rt_frame *f)
{
    f->block = rt->blocks + (size_t)thread * rt->thread_bytes;
    f->scratch = f->block + rt->p->block_bytes;
    f->seconds = rt->seconds ? rt->seconds + thread * rt->p->n_parts : NULL;
}

static void run_block(const dfqi_rt_segment *g, const dfqi_rt_frame *f, int64_t first,
                      int64_t count)
{
    for (int32_t i = g->first; i < g->first + g->count; i++) {
        const dfqi_rt_step *s = &f->p->steps[i];
        const double start = f->seconds ? dfqi_now() : 0;
        s->run(s, f, first, count);
        if (f->seconds) f->seconds[s->part] += dfqi_now() - start;
    }
}

/* -- each thread its images -------------------------------------------------------------------- */

/* Images of the slice through a group of segments. */
static void run_group(const dfqi_rt_segment *group, dfqi_rt_frame *f, int64_t image, int64_t count)
{
    const dfqi_rt_segment *end = f->p->segments + group->group_end;
    f->base = image;
    for (const dfqi_rt_segment *g = group; g < end; g++) {
        const int64_t begin = image * g->units, total = count * g->units;
        for (int64_t at = 0; at < total; at += g->block)
            run_block(g, f, begin + at, total - at < g->block ? total - at : g->block);
    }
}

static void run_piece(void *arg, int64_t i, int32_t thread)
{
    const call *c = arg;
    const dfqi_program *p = c->rt->p;
    dfqi_rt_frame f = c->frame;
    use_thread(c->rt, thread, &f);
    f.slice = c->rt->slices + (size_t)thread * p->slice_bytes;
    f.first = i * c->piece;
    f.images = c->images - f.first < c->piece ? c->images - f.first : c->piece;
    for (int32_t k = 0; k < p->n_segments; k = p->segments[k].group_end) {
        const int64_t n = p->segments[k].heavy ? f.images : p->near;
        for (int64_t at = 0; at < f.images; at += n)
            run_group(&p->segments[k], &f, at, f.images - at < n ? f.images - at : n);
    }
}

/* -- all threads the same images --------------------------------------------------------------- */

static void run_part(void *arg, int64_t i, int32_t thread)
{
    const call *c = arg;
    dfqi_rt_frame f = c->frame;
    const int64_t at = i * c->block;
    use_thread(c->rt, thread, &f);
    run_block(c->segment, &f, at, c->total - at < c->block ? c->total - at : c->block);
}

/* Units of a segment for each of `threads`; no more than there is memory for, and of rows a
 * multiple of what kernels compute at once. */
static int64_t share(const dfqi_rt_segment *g, int64_t total, int64_t threads)
{
    enum { ROWS = 8 };
    int64_t n = (total + threads - 1) / threads;
    if (g->divisible) return 1;
    if (g->units > ROWS) n = (n + ROWS - 1) / ROWS * ROWS;
    return n < g->block ? n : g->block;
}

static void run_together(call *c, int64_t first, int64_t images, int32_t threads)
{
    const dfqi_program *p = c->rt->p;
    c->frame.slice = c->rt->slices;
    c->frame.first = first;
    c->frame.images = images;
    for (const dfqi_rt_segment *g = p->segments; g < p->segments + p->n_segments; g++) {
        c->segment = g;
        c->total = images * g->units;
        c->frame.chunks = 1;
        if (g->divisible && threads > 1) {
            c->frame.chunks = (g->parts * threads + c->total - 1) / c->total;
            if (c->frame.chunks > g->divisible) c->frame.chunks = g->divisible;
            c->total *= c->frame.chunks;
        }
        c->block = share(g, c->total, threads);
        dfqi_parallel_for(c->rt->ctx, (c->total + c->block - 1) / c->block, run_part, c);
    }
}

/* -- the run ----------------------------------------------------------------------------------- */

static int32_t threads_of(const dfqi_runtime *rt)
{
    const dfq_context *ctx = rt->ctx;
    int32_t n = ctx->host_pool.parallel_for ? ctx->host_pool.threads : ctx->active;
    return n < rt->threads ? n : rt->threads;
}

dfq_status dfqi_runtime_run(dfqi_runtime *rt, const dfqi_pixels *x, float *logits)
{
    const dfqi_program *p = rt->p;
    const int32_t threads = threads_of(rt);
    call c = {.rt = rt, .frame = {.p = p, .pixels = x, .outputs = rt->outputs, .chunks = 1}};
    if (x->n < 1 || x->n > p->batch)
        return dfqi_fail(rt->ctx, DFQ_E_SHAPE,
                         "run: n is %lld images, must be 1 to %lld, the runtime's batch; make it "
                         "with a larger one",
                         (long long)x->n, (long long)p->batch);
    c.images = x->n < threads ? 0 : x->n - x->n % threads;
    if (c.images > 0) {
        c.piece = c.images / threads < p->slice ? c.images / threads : p->slice;
        dfqi_parallel_for(rt->ctx, (c.images + c.piece - 1) / c.piece, run_piece, &c);
    }
    for (int64_t i = c.images; i < x->n; i += p->near)
        run_together(&c, i, x->n - i < p->near ? x->n - i : p->near, threads);
    rt->n = x->n;
    if (logits)
        memcpy(logits, rt->outputs + p->values[p->outputs[0].value].offset,
               (size_t)(x->n * p->classes) * sizeof *logits);
    return DFQ_OK;
}
