/* State of a training job, for train.c and train_run.c. */
#ifndef DFQI_TUNE_TRAIN_PRIV_H
#define DFQI_TUNE_TRAIN_PRIV_H

#include "graph/exec.h"
#include "nn/optim.h"
#include "tune/train.h"

struct dfqi_train {
    dfq_context *ctx;
    dfqi_model *model; /* retained */
    dfqi_train_options o;
    int64_t done;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, labels, logits, loss;
    dfqi_id *grad;         /* [n_params] */
    dfqi_moments *moments; /* [n_params] */
    float *labels_f;       /* [batch] */
    double seconds;        /* of the steps of this process */
    int64_t timed;
};

#endif
