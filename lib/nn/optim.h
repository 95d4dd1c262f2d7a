/* Optimisers over flat parameter arrays, behind one interface. The state of a parameter is made
 * once; `step` applies a gradient. All are elementwise, so results do not depend on the number of
 * threads. */
#ifndef DFQI_NN_OPTIM_H
#define DFQI_NN_OPTIM_H

#include "base/context.h"

typedef enum dfqi_optim_kind {
    DFQI_SGD, /* Nesterov: v = m v + g (v = g first), p -= lr (g + m v) */
    DFQI_ADAMW,
    DFQI_RMSPROP /* v = beta2 v + (1 - beta2) g^2, p -= lr g / (sqrt(v) + eps) */
} dfqi_optim_kind;

typedef struct dfqi_optim_options {
    dfqi_optim_kind kind;
    float momentum;          /* SGD */
    float beta1, beta2, eps; /* AdamW; RMSProp without beta1 */
    float weight_decay;      /* decoupled, times the learning rate */
    float scale;             /* of the gradient, by clipping; 0: 1 */
} dfqi_optim_options;

/* State of one parameter array; its one or two moments are consecutive. */
typedef struct dfqi_moments {
    int64_t count;
    float *m; /* SGD: velocity; AdamW: first moment; RMSProp: NULL */
    float *v; /* AdamW and RMSProp: second moment; SGD: NULL */
} dfqi_moments;

/* Floats of the state of one parameter, 1 or 2, and the state in zeroed memory of the caller. */
int64_t dfqi_moments_floats(dfqi_optim_kind kind);
dfqi_moments dfqi_moments_at(dfqi_optim_kind kind, int64_t count, float *base);

DFQI_CHECKED dfq_status dfqi_moments_new(dfq_context *ctx, dfqi_optim_kind kind, int64_t count,
                                         dfqi_moments *out);
void dfqi_moments_fini(dfq_context *ctx, dfqi_moments *s);
/* One step on p[count] with gradient g[count]; t counts steps from 1. */
void dfqi_optim_step(dfq_context *ctx, const dfqi_optim_options *o, dfqi_moments *s, int64_t t,
                     float lr, const float *g, float *p);
/* One step on the logarithms of p, which are above zero; g is the gradient with respect to p.
 * scratch[2 count]. */
void dfqi_optim_step_log(dfq_context *ctx, const dfqi_optim_options *o, dfqi_moments *s, int64_t t,
                         float lr, const float *g, float *p, float *scratch);
/* The direction of dfqi_optim_step: the value it would subtract from p with learning rate 1 and
 * without decay. The state does not change. */
void dfqi_optim_direction(dfq_context *ctx, const dfqi_optim_options *o, const dfqi_moments *s,
                          int64_t t, const float *g, float *out);

/* lr at step t of total: half a cosine from `top` to `end`, after a linear warm-up of `warm` steps.
 */
float dfqi_cosine(int64_t t, int64_t total, int64_t warm, float top, float end);

#endif
