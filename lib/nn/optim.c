/* SGD with Nesterov momentum and AdamW (Loshchilov and Hutter, 2019), in torch's conventions. */
#include "nn/optim.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { CHUNK = 16384 };

typedef struct job {
    const dfqi_optim_options *o;
    dfqi_moments *s;
    const float *g;
    float *p;
    float lr, correct1, correct2; /* Adam's bias corrections, 1 - beta^t */
} job;

dfq_status dfqi_moments_new(dfq_context *ctx, dfqi_optim_kind kind, int64_t count,
                            dfqi_moments *out)
{
    dfqi_moments s = {.count = count};
    s.m = dfqi_calloc(ctx, (size_t)count * (kind == DFQI_ADAMW ? 2 : 1), sizeof(float));
    if (!s.m) return DFQ_E_NOMEM;
    if (kind == DFQI_ADAMW) s.v = s.m + count;
    *out = s;
    return DFQ_OK;
}

void dfqi_moments_fini(dfq_context *ctx, dfqi_moments *s)
{
    dfqi_free(ctx, s->m);
    *s = (dfqi_moments){0};
}

static void sgd(const job *j, int64_t from, int64_t to)
{
    float momentum = j->o->momentum, lr = j->lr, decay = lr * j->o->weight_decay;
    float *v = j->s->m, *p = j->p;
    for (int64_t i = from; i < to; i++) {
        v[i] = momentum * v[i] + j->g[i];
        p[i] -= lr * (j->g[i] + momentum * v[i]) + decay * p[i];
    }
}

static void adamw(const job *j, int64_t from, int64_t to)
{
    const dfqi_optim_options *o = j->o;
    float decay = 1.0f - j->lr * o->weight_decay, rate = j->lr / j->correct1;
    float root = sqrtf(j->correct2);
    float *m = j->s->m, *v = j->s->v, *p = j->p;
    for (int64_t i = from; i < to; i++) {
        float g = j->g[i];
        m[i] = o->beta1 * m[i] + (1.0f - o->beta1) * g;
        v[i] = o->beta2 * v[i] + (1.0f - o->beta2) * g * g;
        p[i] = p[i] * decay - rate * m[i] / (sqrtf(v[i]) / root + o->eps);
    }
}

static void chunk(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t from = i * CHUNK, to = from + CHUNK < j->s->count ? from + CHUNK : j->s->count;
    (void)thread;
    if (j->o->kind == DFQI_SGD)
        sgd(j, from, to);
    else
        adamw(j, from, to);
}

void dfqi_optim_step(dfq_context *ctx, const dfqi_optim_options *o, dfqi_moments *s, int64_t t,
                     float lr, const float *g, float *p)
{
    job j = {.o = o, .s = s, .g = g, .p = p, .lr = lr};
    j.correct1 = (float)(1.0 - pow(o->beta1, (double)t));
    j.correct2 = (float)(1.0 - pow(o->beta2, (double)t));
    dfqi_parallel_for(ctx, (s->count + CHUNK - 1) / CHUNK, chunk, &j);
}

float dfqi_cosine(int64_t t, int64_t total, int64_t warm, float top, float end)
{
    if (t < warm) return top * (float)(t + 1) / (float)warm;
    double x = total > warm ? (double)(t - warm) / (double)(total - warm) : 1.0;
    return (float)(end + 0.5 * (top - end) * (1.0 + cos(3.14159265358979323846 * x)));
}
