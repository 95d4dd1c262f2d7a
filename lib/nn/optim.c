/* SGD with Nesterov momentum, AdamW (Loshchilov and Hutter, 2019) and RMSProp, with torch's
 * conventions. Weight decay is decoupled in all of them. */
#include "nn/optim.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { CHUNK = 16384 };

typedef struct job {
    const dfqi_optim_options *o;
    const dfqi_moments *s;
    const float *g;
    float *p; /* parameters, or where the direction goes */
    float lr;
    float correct1, root; /* Adam's bias corrections: 1 - beta1^t, root of 1 - beta2^t */
} job;

int64_t dfqi_moments_floats(dfqi_optim_kind kind)
{
    return kind == DFQI_ADAMW ? 2 : 1;
}

dfqi_moments dfqi_moments_at(dfqi_optim_kind kind, int64_t count, float *base)
{
    dfqi_moments s = {.count = count, .m = kind == DFQI_RMSPROP ? NULL : base};
    if (kind == DFQI_ADAMW) s.v = base + count;
    if (kind == DFQI_RMSPROP) s.v = base;
    return s;
}

dfq_status dfqi_moments_new(dfq_context *ctx, dfqi_optim_kind kind, int64_t count,
                            dfqi_moments *out)
{
    float *base =
        dfqi_calloc(ctx, (size_t)count * (size_t)dfqi_moments_floats(kind), sizeof(float));
    if (!base) return DFQ_E_NOMEM;
    *out = dfqi_moments_at(kind, count, base);
    return DFQ_OK;
}

void dfqi_moments_fini(dfq_context *ctx, dfqi_moments *s)
{
    dfqi_free(ctx, s->m ? s->m : s->v);
    *s = (dfqi_moments){0};
}

static float scale_of(const dfqi_optim_options *o)
{
    return o->scale > 0 ? o->scale : 1.0f;
}

static void sgd(const job *j, int64_t from, int64_t to)
{
    float momentum = j->o->momentum, lr = j->lr, decay = lr * j->o->weight_decay;
    float scale = scale_of(j->o), *v = j->s->m, *p = j->p;
    for (int64_t i = from; i < to; i++) {
        float g = scale * j->g[i];
        v[i] = momentum * v[i] + g;
        p[i] -= lr * (g + momentum * v[i]) + decay * p[i];
    }
}

static void adamw(const job *j, int64_t from, int64_t to)
{
    const dfqi_optim_options *o = j->o;
    float decay = 1.0f - j->lr * o->weight_decay, rate = j->lr / j->correct1, scale = scale_of(o);
    float *m = j->s->m, *v = j->s->v, *p = j->p;
    for (int64_t i = from; i < to; i++) {
        float g = scale * j->g[i];
        m[i] = o->beta1 * m[i] + (1.0f - o->beta1) * g;
        v[i] = o->beta2 * v[i] + (1.0f - o->beta2) * g * g;
        p[i] = p[i] * decay - rate * m[i] / (sqrtf(v[i]) / j->root + o->eps);
    }
}

static void rmsprop(const job *j, int64_t from, int64_t to)
{
    const dfqi_optim_options *o = j->o;
    float decay = 1.0f - j->lr * o->weight_decay, scale = scale_of(o), *v = j->s->v, *p = j->p;
    for (int64_t i = from; i < to; i++) {
        float g = scale * j->g[i];
        v[i] = o->beta2 * v[i] + (1.0f - o->beta2) * g * g;
        p[i] = p[i] * decay - j->lr * (g / (sqrtf(v[i]) + o->eps));
    }
}

/* The step direction: the value that the functions above subtract, before the learning rate. */
static float direction(const job *j, int64_t i)
{
    const dfqi_optim_options *o = j->o;
    float g = scale_of(o) * j->g[i];
    if (o->kind == DFQI_SGD) return g + o->momentum * (o->momentum * j->s->m[i] + g);
    float v = o->beta2 * j->s->v[i] + (1.0f - o->beta2) * g * g;
    if (o->kind == DFQI_RMSPROP) return g / (sqrtf(v) + o->eps);
    float m = o->beta1 * j->s->m[i] + (1.0f - o->beta1) * g;
    return m / j->correct1 / (sqrtf(v) / j->root + o->eps);
}

static void range_of(const job *j, int64_t i, int64_t *from, int64_t *to)
{
    *from = i * CHUNK;
    *to = *from + CHUNK < j->s->count ? *from + CHUNK : j->s->count;
}

static void step_chunk(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t from, to;
    (void)thread;
    range_of(j, i, &from, &to);
    if (j->o->kind == DFQI_SGD)
        sgd(j, from, to);
    else if (j->o->kind == DFQI_ADAMW)
        adamw(j, from, to);
    else
        rmsprop(j, from, to);
}

static void direction_chunk(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t from, to;
    (void)thread;
    range_of(j, i, &from, &to);
    for (int64_t k = from; k < to; k++) j->p[k] = direction(j, k);
}

static job make_job(const dfqi_optim_options *o, const dfqi_moments *s, int64_t t, const float *g,
                    float *p)
{
    return (job){.o = o,
                 .s = s,
                 .g = g,
                 .p = p,
                 .correct1 = (float)(1.0 - pow(o->beta1, (double)t)),
                 .root = sqrtf((float)(1.0 - pow(o->beta2, (double)t)))};
}

void dfqi_optim_step(dfq_context *ctx, const dfqi_optim_options *o, dfqi_moments *s, int64_t t,
                     float lr, const float *g, float *p)
{
    job j = make_job(o, s, t, g, p);
    j.lr = lr;
    dfqi_parallel_for(ctx, (s->count + CHUNK - 1) / CHUNK, step_chunk, &j);
}

void dfqi_optim_step_log(dfq_context *ctx, const dfqi_optim_options *o, dfqi_moments *s, int64_t t,
                         float lr, const float *g, float *p, float *scratch)
{
    float *by = scratch + s->count;
    for (int64_t i = 0; i < s->count; i++) {
        scratch[i] = g[i] * p[i];
        by[i] = 0;
    }
    dfqi_optim_step(ctx, o, s, t, lr, scratch, by);
    for (int64_t i = 0; i < s->count; i++) p[i] *= expf(by[i]);
}

void dfqi_optim_direction(dfq_context *ctx, const dfqi_optim_options *o, const dfqi_moments *s,
                          int64_t t, const float *g, float *out)
{
    job j = make_job(o, s, t, g, out);
    dfqi_parallel_for(ctx, (s->count + CHUNK - 1) / CHUNK, direction_chunk, &j);
}

float dfqi_cosine(int64_t t, int64_t total, int64_t warm, float top, float end)
{
    if (t < warm) return top * (float)(t + 1) / (float)warm;
    double x = total > warm ? (double)(t - warm) / (double)(total - warm) : 1.0;
    return (float)(end + 0.5 * (top - end) * (1.0 + cos(3.14159265358979323846 * x)));
}
