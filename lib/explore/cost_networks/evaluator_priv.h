/* State of EST, shared by the evaluator*.c files. */
#ifndef DFQI_EXPLORE_EVALUATOR_PRIV_H
#define DFQI_EXPLORE_EVALUATOR_PRIV_H

#include "explore/cost_networks/evaluator.h"
#include "explore/cost_networks/mlp.h"
#include "explore/cost_networks/samples.h"

typedef struct dfqi_evaluator_training dfqi_evaluator_training;

struct dfqi_evaluator {
    dfq_context *ctx; /* retained */
    dfqi_mlp_options o;
    dfq_problem given;
    dfqi_domain space;
    dfqi_additive tables;
    dfqi_mlp net;
    int32_t n_learned;
    int32_t learned[DFQ_METRICS_MAX]; /* metrics, in the order of the network's outputs */
    dfqi_mlp_state state;
    dfqi_evaluator_training *training; /* NULL: not begun in this process, or finished */
    dfqi_evaluator_quality quality;
    float *x, *minus; /* [batch][total], [batch][n_learned] minus log2 of the costs */

    dfqi_mlp_pass one; /* of the search: one mixture, gradients to it */
    dfqi_id seed;      /* [1,n_learned], whose gradient */
};

/* Ends a training where it is. */
void dfqi_evaluator_forget(dfqi_evaluator *e);

/* Sample `i` of a stream into row `row` of e->x and e->minus. */
void dfqi_evaluator_sample(dfqi_evaluator *e, const dfqi_samples *s, uint64_t stream, int64_t i,
                           int64_t row);
DFQI_CHECKED dfq_status dfqi_evaluator_judge(dfqi_evaluator *e, const dfqi_samples *s,
                                             uint64_t stream);

#endif
