/* Inter-head similarity, computed in double precision. The differentiable version is a kernel. */
#include "synth/similarity.h"

#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "graph/exec.h"

enum { CHUNK = 4 };

static const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;

typedef struct job {
    const dfqi_exec *e;
    const dfqi_taps *taps;
    int64_t depth, room;
    const dfqi_attention *blocks; /* [depth] */
    double *rows;                 /* [threads][room]: heads x tokens, and mean, variance */
    double *sums;                 /* [CHUNK][depth] */
} job;

/* One row of raw products, stretched to 0..1. */
static void stretch(const float *r, int64_t n, double *a, double *mean, double *var)
{
    double lo = r[0], hi = r[0], sum = 0, squares = 0;
    for (int64_t i = 1; i < n; i++) {
        if (r[i] < lo) lo = r[i];
        if (r[i] > hi) hi = r[i];
    }
    for (int64_t i = 0; i < n; i++) {
        a[i] = (r[i] - lo) / (hi - lo + 1e-8);
        sum += a[i];
        squares += a[i] * a[i];
    }
    *mean = sum / (double)n;
    *var = squares / (double)n - *mean * *mean;
}

static double ssim(const double *a, const double *b, int64_t n, double ma, double mb, double va,
                   double vb)
{
    double dot = 0;
    for (int64_t i = 0; i < n; i++) dot += a[i] * b[i];
    double cov = dot / (double)n - ma * mb;
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
}

/* The sum over queries and pairs of heads of one window, whose raw products are r[H,N,N]. */
static double window_sum(const dfqi_attention *t, const float *r, double *a)
{
    int64_t h = t->heads, n = t->tokens, p = n - t->drop;
    double *mean = a + h * n, *var = mean + h, sum = 0;
    for (int64_t q = t->drop; q < n; q++) {
        for (int64_t i = 0; i < h; i++)
            stretch(r + (i * n + q) * n + t->drop, p, a + i * n, &mean[i], &var[i]);
        for (int64_t i = 0; i < h; i++)
            for (int64_t k = i + 1; k < h; k++)
                sum += ssim(a + i * n, a + k * n, p, mean[i], mean[k], var[i], var[k]);
    }
    return sum;
}

/* Item i: block i % depth of image i / depth. */
static void measure(void *arg, int64_t item, int32_t thread)
{
    const job *j = arg;
    const dfqi_attention *t = &j->blocks[item % j->depth];
    int64_t h = t->heads, window = h * t->tokens * t->tokens;
    const float *r =
        dfqi_exec_data(j->e, j->taps->raw[item % j->depth]) + item / j->depth * t->windows * window;
    double sum = 0, pairs = (double)(h * (h - 1)) * (double)(t->windows * (t->tokens - t->drop));
    for (int64_t w = 0; w < t->windows; w++)
        sum += window_sum(t, r + w * window, j->rows + thread * j->room);
    j->sums[item] = h > 1 ? 2 * sum / pairs : 1.0;
}

/* Runs `count` images and adds their similarities to total[depth]. */
static dfq_status add_chunk(dfq_context *ctx, dfqi_exec *e, job *j, int64_t count, double *total)
{
    DFQI_TRY(dfqi_exec_run(e));
    dfqi_parallel_for(ctx, count * j->depth, measure, j);
    for (int64_t i = 0; i < count * j->depth; i++) total[i % j->depth] += j->sums[i];
    return DFQ_OK;
}

/* The attention of all blocks; returns the doubles that a thread needs for the largest of them. */
static int64_t list_blocks(const dfqi_arch *a, dfqi_attention *blocks)
{
    int64_t most = 0;
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        dfqi_arch_attention(a, i, &blocks[i]);
        int64_t room = blocks[i].heads * (blocks[i].tokens + 2);
        if (room > most) most = room;
    }
    return most;
}

dfq_status dfqi_head_similarity(const dfqi_model *m, const float *images, int64_t n,
                                dfq_tensor **out)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    DFQI_TRY(dfqi_arch_need_attention(ctx, a, "the similarity of attention heads"));
    int64_t chunk = n < CHUNK ? n : CHUNK, pixels = dfqi_arch_pixels(a);
    dfqi_graph *g = NULL;
    dfqi_exec *e = NULL;
    dfqi_taps taps = {0};
    dfqi_id x;
    dfq_tensor *t = NULL;
    job j = {.taps = &taps, .depth = dfqi_arch_blocks(a)};
    dfq_status status = DFQ_E_NOMEM;
    dfqi_attention *blocks = dfqi_calloc(ctx, (size_t)j.depth, sizeof *blocks);
    j.room = blocks ? list_blocks(a, blocks) : 0;
    size_t rows = (size_t)ctx->threads * (size_t)j.room;
    double *floats = dfqi_calloc(ctx, rows + (size_t)(j.depth * (CHUNK + 1)), sizeof *floats);
    float *in = dfqi_alloc(ctx, (size_t)(chunk * pixels) * sizeof *in);
    taps.raw = dfqi_calloc(ctx, (size_t)j.depth, sizeof *taps.raw);
    if (!blocks || !floats || !in || !taps.raw) goto out;
    j.blocks = blocks;
    j.rows = floats;
    j.sums = floats + rows;
    double *total = j.sums + CHUNK * j.depth;
    DFQI_GOTO(dfqi_model_graph(m, chunk, &g, &x, &taps), out);
    DFQI_GOTO(dfqi_exec_new(g, &e), out);
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 1, &j.depth, &t), out);
    j.e = e;
    dfqi_exec_bind(e, x, in);
    for (int64_t i = 0; i < n; i += chunk) {
        int64_t count = n - i < chunk ? n - i : chunk; /* what is behind them is stale */
        memcpy(in, images + i * pixels, (size_t)(count * pixels) * sizeof *in);
        DFQI_GOTO(add_chunk(ctx, e, &j, count, total), out);
    }
    for (int64_t i = 0; i < j.depth; i++) dfqi_tensor_f32(t)[i] = (float)(total[i] / (double)n);
    *out = t;
    t = NULL;
out:
    dfqi_tensor_release(t);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_free(ctx, taps.raw);
    dfqi_free(ctx, blocks);
    dfqi_free(ctx, in);
    dfqi_free(ctx, floats);
    return status;
}

dfq_status dfqi_head_similarity_cost(const dfqi_model *m, int64_t n, double *bytes)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    const int64_t depth = dfqi_arch_blocks(a), chunk = n < CHUNK ? n : CHUNK;
    dfqi_graph *g = NULL;
    dfqi_id x;
    size_t run;
    dfqi_taps taps = {0};
    dfq_status status = DFQ_E_NOMEM;
    dfqi_attention *blocks = dfqi_calloc(ctx, (size_t)depth, sizeof *blocks);
    taps.raw = dfqi_calloc(ctx, (size_t)depth, sizeof *taps.raw);
    if (!blocks || !taps.raw) goto out;
    DFQI_GOTO(dfqi_model_graph(m, chunk, &g, &x, &taps), out);
    DFQI_GOTO(dfqi_exec_estimate(g, &run), out);
    *bytes = (double)run +
             (double)sizeof(double) * (double)ctx->threads * (double)list_blocks(a, blocks) +
             (double)sizeof(float) * (double)(chunk * dfqi_arch_pixels(a));
out:
    dfqi_graph_free(g);
    dfqi_free(ctx, taps.raw);
    dfqi_free(ctx, blocks);
    return status;
}
