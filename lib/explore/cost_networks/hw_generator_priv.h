/* State of GEN, shared by the hw_generator*.c files. */
#ifndef DFQI_EXPLORE_HW_GENERATOR_PRIV_H
#define DFQI_EXPLORE_HW_GENERATOR_PRIV_H

#include "explore/cost_networks/hw_generator.h"
#include "explore/domain/domain.h"

typedef struct dfqi_gen_training dfqi_gen_training;

struct dfqi_gen {
    dfq_context *ctx; /* retained */
    dfqi_mlp_options o;
    dfq_problem given;
    dfqi_domain space;
    dfqi_mlp net;
    dfqi_mlp_state state;
    dfqi_gen_training *training; /* NULL: not begun in this process, or finished */
    dfqi_gen_quality quality;
    float *x;        /* [batch][cells] */
    float *wanted;   /* by hardware parameter [batch][choices]: the label, smoothed */
    int32_t *config; /* [batch] the label */
    double *start;   /* [net.count] the trained parameters, once a search has asked for them */
    bool searched;   /* `start` is taken: the network may have the parameters of a search */

    dfqi_mlp_pass one; /* of the search: one mixture, gradients to it and to the parameters */
    dfqi_id seed[DFQI_MLP_HEADS];
    float *dlogits; /* [total - cells] */
};

/* Ends a training where it is. */
void dfqi_gen_forget(dfqi_gen *g);

#endif
