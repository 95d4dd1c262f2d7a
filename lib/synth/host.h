/* A generator trained against a frozen CNN: the host of AIT (docs/METHODS.md, Tuning). Every
 * iteration draws noise and classes, makes a batch of images, and moves the generator towards
 * images that the CNN takes for their class and whose statistics at every BatchNorm are those it
 * saw in training:
 *
 *   L = CE(f(x), y) + bns_weight L_BNS,
 *   L_BNS = mean over BatchNorms of (|mean - running|^2 + |var - running|^2) / C
 *
 * In 40 % of the iterations, by chance, every image of Qimera's generator is of a mixture of classes:
 * y then has a weight for each class. All draws are keyed by (seed, iteration). One thread at a time.
 */
#ifndef DFQI_SYNTH_HOST_H
#define DFQI_SYNTH_HOST_H

#include "nn/generator.h"
#include "quant/model.h"

typedef enum dfqi_host_kind {
    DFQI_HOST_GDFQ = DFQI_GENERATOR_GDFQ,
    DFQI_HOST_QIMERA = DFQI_GENERATOR_QIMERA,
    DFQI_HOST_ARC = DFQI_GENERATOR_ARC
} dfqi_host_kind;

typedef struct dfqi_host_options {
    dfqi_host_kind kind;
    int64_t batch;
    uint64_t seed;
    float bns_weight;
    float rate;              /* first learning rate, for whoever drives the steps */
    float beta1, beta2, eps; /* Adam */
} dfqi_host_options;

enum { DFQI_HOST_TOTAL, DFQI_HOST_CLASS, DFQI_HOST_BNS, DFQI_HOST_LOSSES };

/* What an iteration made; valid until the next one. */
typedef struct dfqi_host_batch {
    const float *images;  /* [B,3,S,S], before the generator moved */
    const float *logits;  /* [B,classes] of the CNN */
    const float *labels;  /* [B]; of a mixture its largest class */
    const float *targets; /* [B,classes], a weight for each class; NULL but of QIMERA */
    float losses[DFQI_HOST_LOSSES];
} dfqi_host_batch;

typedef struct dfqi_host dfqi_host;

void dfqi_host_defaults(dfqi_host_options *o);
/* The learning rate of step 0 .. steps - 1: a tenth after each quarter. */
float dfqi_host_rate(const dfqi_host_options *o, int64_t step, int64_t steps);
/* The options as text, for checkpoints to compare. */
void dfqi_host_text(const dfqi_host_options *o, char *text, size_t size);
/* The CNN is retained. What iterations need is allocated by the first one. */
DFQI_CHECKED dfq_status dfqi_host_new(const dfqi_model *m, const dfqi_host_options *o,
                                      dfqi_host **out);
void dfqi_host_release(dfqi_host *h); /* NULL ok */

/* One iteration; rate 0 leaves the generator as it is. DFQ_E_NUMERIC if a loss is not finite: the
 * generator is then as it was before. */
DFQI_CHECKED dfq_status dfqi_host_step(dfqi_host *h, float rate, dfqi_host_batch *out);
/* Batch `index` of the generator as it is, which stays so; the draws are not those of any step.
 * DFQ_E_NUMERIC as above. */
DFQI_CHECKED dfq_status dfqi_host_sample(dfqi_host *h, int64_t index, dfqi_host_batch *out);
int64_t dfqi_host_done(const dfqi_host *h);

/* The state, for checkpoints: array i = 0 .. dfqi_host_arrays - 1 is to be stored and put back in
 * place; then the next iteration is the one that follows `done` others. */
typedef struct dfqi_host_array {
    char name[40]; /* "host.fc.weight", "host.m.fc.weight", "host.v.fc.weight" */
    float *data;
    int64_t count;
} dfqi_host_array;
int32_t dfqi_host_arrays(const dfqi_host *h);
dfqi_host_array dfqi_host_array_at(const dfqi_host *h, int32_t i);
void dfqi_host_resume(dfqi_host *h, int64_t done);
/* Memory of the job beside the CNN's weights, and multiply-accumulates of an iteration. */
DFQI_CHECKED dfq_status dfqi_host_cost(const dfqi_host *h, double *bytes, double *macs);

#endif
