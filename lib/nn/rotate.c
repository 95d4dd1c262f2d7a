/* Rotation of the residual stream: the rewrite (docs/METHODS.md, Rotation). Row vectors, weights
 * [out,in]:
 *
 *   1. A reader's LayerNorm: W <- W diag(gamma), b <- b + W beta, then gamma = 1, beta = 0. A layer
 *      without a bias leaves beta / gamma in the LayerNorm, turned as the stream is. So does one
 *      that reads padding behind the LayerNorm.
 *   2. R with R R^T = I, R 1 = 1: rows t <- t R; writers W <- R^T W, b <- b R; readers W <- W R.
 *   3. For each head queries and keys by one A, rows of W and b: W <- A^T W, b <- b A.
 *   4. For each head values by B as in 3, and the columns of the head in the projection:
 *      W <- W B.
 *
 * All of these multiply vectors, rows or columns of a matrix, by one orthogonal matrix from the
 * right. It is done in double. */
#include "nn/rotate.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "nn/family.h"
#include "nn/orthogonal.h"

enum { CHUNK = 16 };

typedef struct job {
    dfqi_network *net;
    double *scratch; /* [threads][2 * widest] */
    int64_t widest;
    /* the vectors of the current step: where they begin and how far their elements are apart */
    const dfqi_orthogonal *q;
    float *x;
    int64_t vectors, next, step;
} job;

static void body(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t n = j->q->n, end = (i + 1) * CHUNK < j->vectors ? (i + 1) * CHUNK : j->vectors;
    double *v = j->scratch + 2 * thread * j->widest;
    for (int64_t k = i * CHUNK; k < end; k++) {
        float *x = j->x + k * j->next;
        for (int64_t c = 0; c < n; c++) v[c] = x[c * j->step];
        dfqi_orthogonal_apply(j->q, v, v + n);
        for (int64_t c = 0; c < n; c++) x[c * j->step] = (float)v[c];
    }
}

static void turn(job *j, const dfqi_orthogonal *q, float *x, int64_t vectors, int64_t next,
                 int64_t step)
{
    j->q = q;
    j->x = x;
    j->vectors = vectors;
    j->next = next;
    j->step = step;
    dfqi_parallel_for(j->net->ctx, (vectors + CHUNK - 1) / CHUNK, body, j);
}

static dfq_tensor *param(const job *j, int32_t i)
{
    return j->net->params[i].tensor;
}

/* Rows `first` .. first + n - 1 of a linear layer: W <- Q^T W, b <- b Q. bare: it has no b. */
static void turn_outputs(job *j, const dfqi_orthogonal *q, int32_t linear, int64_t first, bool bare)
{
    const dfq_tensor *w = param(j, linear);
    int64_t cols = dfqi_tensor_count(w) / w->dims[0];
    turn(j, q, dfqi_tensor_f32(w) + first * cols, cols, 1, cols);
    if (!bare) turn(j, q, dfqi_tensor_f32(param(j, linear + 1)) + first, 1, 0, 1);
}

/* Columns `first` .. first + n - 1 of a linear layer: W <- W Q. */
static void turn_inputs(job *j, const dfqi_orthogonal *q, int32_t linear, int64_t first)
{
    const dfq_tensor *w = param(j, linear);
    int64_t cols = dfqi_tensor_count(w) / w->dims[0];
    turn(j, q, dfqi_tensor_f32(w) + first, w->dims[0], cols, 1);
}

static void fold_norm(const job *j, const dfqi_stream_part *p)
{
    const dfq_tensor *w = param(j, p->linear);
    const float *gamma = dfqi_tensor_f32(param(j, p->norm));
    const float *beta = dfqi_tensor_f32(param(j, p->norm + 1));
    float *bias = p->bare ? NULL : dfqi_tensor_f32(param(j, p->linear + 1));
    int64_t cols = w->dims[1];
    for (int64_t r = 0; r < w->dims[0]; r++) {
        float *row = dfqi_tensor_f32(w) + r * cols;
        double sum = bias ? bias[r] : 0;
        for (int64_t c = 0; c < cols; c++) {
            sum += (double)row[c] * beta[c];
            row[c] = (float)((double)row[c] * gamma[c]);
        }
        if (bias) bias[r] = (float)sum;
    }
}

/* Several readers may share a LayerNorm, so it is reset when all of them have taken it in. */
static void fold_norms(const job *j, const dfqi_stream_part *parts, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (parts[i].role == DFQI_STREAM_READER) fold_norm(j, &parts[i]);
    for (int32_t i = 0; i < n; i++) {
        if (parts[i].role != DFQI_STREAM_READER) continue;
        const dfq_tensor *gamma = param(j, parts[i].norm), *beta = param(j, parts[i].norm + 1);
        for (int64_t c = 0; c < gamma->dims[0]; c++) {
            float *g = &dfqi_tensor_f32(gamma)[c], *b = &dfqi_tensor_f32(beta)[c];
            *b = parts[i].bare ? *b / *g : 0;
            *g = 1;
        }
    }
}

/* A reader of several tokens one behind another turns each of them. */
static void turn_reader(job *j, const dfqi_orthogonal *r, const dfqi_stream_part *p)
{
    for (int64_t k = 0; k < (p->repeats ? p->repeats : 1); k++) {
        turn_inputs(j, r, p->linear, k * r->n);
        if (p->bare) turn(j, r, dfqi_tensor_f32(param(j, p->norm + 1)) + k * r->n, 1, 0, 1);
    }
}

static void turn_stream(job *j, const dfqi_orthogonal *r, int32_t stream,
                        const dfqi_stream_part *parts, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        const dfqi_stream_part *p = &parts[i];
        const dfq_tensor *t = param(j, p->linear);
        if (p->stream != stream) continue;
        if (p->role == DFQI_STREAM_ROWS)
            turn(j, r, dfqi_tensor_f32(t), dfqi_tensor_count(t) / r->n, r->n, 1);
        else if (p->role == DFQI_STREAM_WRITER)
            turn_outputs(j, r, p->linear, 0, p->bare);
        else if (p->role == DFQI_STREAM_READER)
            turn_reader(j, r, p);
    }
}

/* The numbers of streams, 0 .. count - 1, some of which may have no parts. */
static int32_t count_streams(const dfqi_stream_part *parts, int32_t n)
{
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++)
        if (parts[i].role != DFQI_STREAM_HEADS && parts[i].stream >= count)
            count = parts[i].stream + 1;
    return count;
}

/* Channels of a stream; 0: it has no parts. */
static int64_t channels_of(const dfqi_stream_part *parts, int32_t n, int32_t stream, int64_t width)
{
    for (int32_t i = 0; i < n; i++)
        if (parts[i].role != DFQI_STREAM_HEADS && parts[i].stream == stream)
            return parts[i].channels ? parts[i].channels : width;
    return 0;
}

/* beta / gamma of a LayerNorm that keeps it must be a number. */
static dfq_status check_norms(const job *j, const dfqi_stream_part *parts, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (parts[i].role != DFQI_STREAM_READER || !parts[i].bare) continue;
        const dfqi_param *p = &j->net->params[parts[i].norm];
        for (int64_t c = 0; c < p->tensor->dims[0]; c++)
            if (fabsf(dfqi_tensor_f32(p->tensor)[c]) < 1e-6f)
                return dfqi_fail(j->net->ctx, DFQ_E_NUMERIC,
                                 "%s holds %g at element %lld, must be 1e-6 or more in magnitude "
                                 "for a rotation; turn rotation off",
                                 p->name, (double)dfqi_tensor_f32(p->tensor)[c], (long long)c);
    }
    return DFQ_OK;
}

/* Queries and keys of a head by one matrix, values by another. */
static dfq_status turn_head(job *j, const dfqi_stream_part *p, int64_t head, dfqi_rng *rng)
{
    dfq_context *ctx = j->net->ctx;
    int64_t channels = param(j, p->projection)->dims[1], n = channels / p->heads;
    dfqi_orthogonal a = {0}, b = {0};
    dfq_status status;
    DFQI_GOTO(dfqi_orthogonal_head(ctx, n, rng, &a), out);
    DFQI_GOTO(dfqi_orthogonal_head(ctx, n, rng, &b), out);
    if (!p->values_only) {
        turn_outputs(j, &a, p->linear, head * n, false);
        turn_outputs(j, &a, p->linear, channels + head * n, false);
    }
    turn_outputs(j, &b, p->linear, 2 * channels + head * n, false);
    turn_inputs(j, &b, p->projection, head * n);
out:
    dfqi_orthogonal_fini(&a);
    dfqi_orthogonal_fini(&b);
    return status;
}

static dfq_status rotate(job *j, const dfqi_stream_part *parts, int32_t n, int64_t width,
                         uint64_t seed)
{
    dfqi_rng rng;
    DFQI_TRY(check_norms(j, parts, n));
    fold_norms(j, parts, n);
    for (int32_t k = 0; k < count_streams(parts, n); k++) {
        const int64_t channels = channels_of(parts, n, k, width);
        dfqi_orthogonal r;
        if (channels == 0) continue;
        rng = dfqi_rng_make(seed, k ? UINT64_MAX - (uint64_t)k : 0);
        DFQI_TRY(dfqi_orthogonal_stream(j->net->ctx, channels, &rng, &r));
        turn_stream(j, &r, k, parts, n);
        dfqi_orthogonal_fini(&r);
    }
    for (int32_t i = 0; i < n; i++) {
        if (parts[i].role != DFQI_STREAM_HEADS) continue;
        rng = dfqi_rng_make(seed, (uint64_t)i + 1);
        for (int64_t h = 0; h < parts[i].heads; h++) DFQI_TRY(turn_head(j, &parts[i], h, &rng));
    }
    return DFQ_OK;
}

const char *dfqi_arch_unrotatable(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    int64_t channels;
    const char *why = row->unrotatable ? row->unrotatable(a) : NULL;
    if (why) return why;
    if (dfqi_arch_is_backbone(a)) return "its outputs are features of the stream";
    if (row->stream && row->stream(a, NULL, &channels) > 0) return NULL;
    return dfqi_arch_is_cnn(a) ? "it is a convolutional network"
                               : "its stages project into streams of their own";
}

dfq_status dfqi_network_rotate(dfqi_network *net, uint64_t seed)
{
    dfq_context *ctx = net->ctx;
    const dfqi_family_row *row = dfqi_family_get(net->arch.family);
    job j = {.net = net};
    dfq_status status = DFQ_E_NOMEM;
    const char *why = dfqi_arch_unrotatable(&net->arch);
    if (why)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "the stream of %s cannot be rotated: %s; turn rotation off",
                         net->arch.name, why);
    int32_t n = row->stream(&net->arch, NULL, &j.widest);
    dfqi_stream_part *parts = dfqi_calloc(ctx, (size_t)n, sizeof *parts);
    j.scratch = dfqi_calloc(ctx, (size_t)(2 * j.widest * ctx->threads), sizeof *j.scratch);
    if (parts && j.scratch) {
        row->stream(&net->arch, parts, &j.widest);
        status = rotate(&j, parts, n, j.widest, seed);
    }
    dfqi_free(ctx, parts);
    dfqi_free(ctx, j.scratch);
    return status;
}
