/* The architecture of both networks of DANCE (arXiv 2009.06237; docs/METHODS.md, DANCE's networks),
 * a residual perceptron:
 *
 *   x [B,in] -> Linear(in, width) -> blocks times x + Linear(width, width)(BatchNorm(ReLU(x)))
 *            -> one Linear(width, n) for each head */
#ifndef DFQI_EXPLORE_MLP_H
#define DFQI_EXPLORE_MLP_H

#include "graph/exec.h"
#include "nn/optim.h"

enum {
    DFQI_MLP_BLOCKS = 16,
    DFQI_MLP_HEADS = 16,
    DFQI_MLP_PARAMS = 2 + 4 * DFQI_MLP_BLOCKS + 2 * DFQI_MLP_HEADS
};

/* Of either network. */
typedef struct dfqi_mlp_options {
    int32_t width, blocks; /* 256, 4 */
    int64_t batch;         /* 1024 */
    int64_t steps;         /* 5000; each on fresh samples */
    int64_t held_out;      /* samples to judge on, a multiple of the batch; 8192 */
    float learning_rate;   /* 1e-3, falling to 0 by half a cosine */
    uint64_t seed;
} dfqi_mlp_options;

void dfqi_mlp_defaults(dfqi_mlp_options *o);
/* DFQ_E_INVALID: what is said of `name`'s samples is out of range. */
DFQI_CHECKED dfq_status dfqi_mlp_check(dfq_context *ctx, const char *name,
                                       const dfqi_mlp_options *o);

typedef struct dfqi_mlp {
    dfq_context *ctx; /* borrowed */
    int32_t in, width, blocks, n_heads;
    int32_t heads[DFQI_MLP_HEADS]; /* their sizes */
    int32_t n_params;
    int64_t count;                       /* numbers in all of the following */
    dfq_tensor *params[DFQI_MLP_PARAMS]; /* weight, bias; gamma, beta, weight, bias; ...; heads' */
    dfq_tensor *stats[2 * DFQI_MLP_BLOCKS]; /* mean and variance for use, not trained */
} dfqi_mlp;

/* He's weights, zeros and ones. DFQ_E_INVALID: a size out of range. */
DFQI_CHECKED dfq_status dfqi_mlp_new(dfq_context *ctx, int32_t in, int32_t width, int32_t blocks,
                                     int32_t n_heads, const int32_t *heads, uint64_t seed,
                                     dfqi_mlp *out);
void dfqi_mlp_fini(dfqi_mlp *m);
/* All trained numbers, one tensor after the other: out of the network, and back. */
void dfqi_mlp_get(const dfqi_mlp *m, double *v);
void dfqi_mlp_set(dfqi_mlp *m, const double *v);

/* A graph of the network for one batch size, that of its users' losses, and its gradients. */
typedef struct dfqi_mlp_pass {
    const dfqi_mlp *net; /* borrowed */
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x;                   /* [B,in], to be bound */
    dfqi_id out[DFQI_MLP_HEADS]; /* [B,n], kept */
    dfqi_id params[DFQI_MLP_PARAMS], grad[DFQI_MLP_PARAMS], dx;
    dfqi_id stats[2 * DFQI_MLP_BLOCKS]; /* of this batch, where it is trained */
} dfqi_mlp_pass;

enum { DFQI_MLP_DX = 1, DFQI_MLP_DPARAMS = 2 }; /* gradients to be had */

/* `trained`: BatchNorms use the batch's statistics. Then add what is needed to p->g, and end. */
DFQI_CHECKED dfq_status dfqi_mlp_pass_begin(const dfqi_mlp *m, int64_t batch, bool trained,
                                            dfqi_mlp_pass *p);
/* Adds the gradients of sum <value[i], grad[i]> and prepares to run. On failure the pass is
 * gone. */
DFQI_CHECKED dfq_status dfqi_mlp_pass_end(dfqi_mlp_pass *p, int32_t n, const dfqi_id *value,
                                          const dfqi_id *grad, int wanted);
void dfqi_mlp_pass_fini(dfqi_mlp_pass *p);
/* The statistics for use move towards the batch's. */
void dfqi_mlp_pass_track(const dfqi_mlp_pass *p, float momentum);

/* Adam (beta 0.9, 0.999) on the gradients of a pass. */
typedef struct dfqi_mlp_adam {
    dfq_context *ctx;
    dfqi_moments moments[DFQI_MLP_PARAMS];
    int64_t done;
} dfqi_mlp_adam;

DFQI_CHECKED dfq_status dfqi_mlp_adam_new(const dfqi_mlp *m, dfqi_mlp_adam *out);
void dfqi_mlp_adam_fini(dfqi_mlp_adam *a);
void dfqi_mlp_adam_step(dfqi_mlp_adam *a, dfqi_mlp *m, const dfqi_mlp_pass *p, float rate);

/* Where a training is. */
typedef struct dfqi_mlp_state {
    int64_t done;  /* steps */
    bool finished; /* and judged */
} dfqi_mlp_state;

/* Trains a network: the loss, the numbers it is to be trained on, and how long. */
typedef struct dfqi_mlp_job {
    dfqi_mlp *net;
    const dfqi_mlp_pass *pass; /* trained, with gradients of the parameters */
    const char *stage;         /* for messages and progress */
    int64_t steps;
    float learning_rate; /* of the first step, falling to 0 by half a cosine */
    /* Fills what the pass has bound for one step, and reads its mean loss after the run. */
    DFQI_CHECKED dfq_status (*fill)(void *user, int64_t step);
    double (*loss)(void *user);
    void *user;
} dfqi_mlp_job;

/* One step, of which a.done are done. After the last the statistics for use are those of the last
 * weights. */
DFQI_CHECKED dfq_status dfqi_mlp_train_step(const dfqi_mlp_job *j, dfqi_mlp_adam *a, double *loss);

/* All that a checkpoint of a network holds, array by array: parameters, statistics, and with `a`
 * its moments. */
enum { DFQI_MLP_ARRAYS = 3 * DFQI_MLP_PARAMS + 2 * DFQI_MLP_BLOCKS };

typedef struct dfqi_mlp_array {
    int64_t count;
    float *v;
} dfqi_mlp_array;

int32_t dfqi_mlp_arrays(const dfqi_mlp *m, const dfqi_mlp_adam *a, dfqi_mlp_array *out);

#endif
