/* GDFQ's generator (Xu et al., ECCV 2020; ait.md 3.3): noise and a class in, a batch of normalised
 * images out. Two forms: for small images the class scales the noise by a learned embedding; for
 * large ones it chooses scale and shift of every BatchNorm. BatchNorms use the statistics of the
 * batch. */
#ifndef DFQI_NN_GDFQ_H
#define DFQI_NN_GDFQ_H

#include "nn/network.h"

typedef struct dfqi_gdfq_arch {
    int64_t image; /* side, a multiple of 4 */
    int64_t classes;
    int64_t latent;      /* noise values of an image */
    int32_t conditional; /* 1: the form for large images */
} dfqi_gdfq_arch;

typedef struct dfqi_gdfq {
    dfq_context *ctx;
    dfqi_gdfq_arch arch;
    int32_t n_params;
    dfqi_param *params;
} dfqi_gdfq;

/* Random weights, each parameter from a stream of its own. */
dfq_status dfqi_gdfq_new(dfq_context *ctx, const dfqi_gdfq_arch *arch, uint64_t seed,
                         dfqi_gdfq *out);
void dfqi_gdfq_fini(dfqi_gdfq *net); /* all zero ok */
int64_t dfqi_gdfq_values(const dfqi_gdfq *net);

/* Adds the parameters to `g`, trainable: ids[n_params]. */
void dfqi_gdfq_params(const dfqi_gdfq *net, dfqi_graph *g, dfqi_id *ids);
/* z[B,latent] ~ N(0,1), labels[B] -> [B,3,S,S]. */
dfqi_id dfqi_gdfq_forward(const dfqi_gdfq *net, dfqi_graph *g, const dfqi_id *params, dfqi_id z,
                          dfqi_id labels);

#endif
