/* A real network's graph to plan and run: a small ViT with random weights, losses, gradients. */
#ifndef DFQT_GRAPH_NET_H
#define DFQT_GRAPH_NET_H

#include "graph/exec.h"
#include "nn/network.h"

enum {
    NET_FROZEN = 1,     /* weights are constants */
    NET_FAKE = 2,       /* operands of products are fake-quantized */
    NET_DX = 4,         /* gradient to the images */
    NET_DPARAMS = 8,    /* gradients to all weights */
    NET_PER_IMAGE = 16, /* seeds are 1 per image: no mean over the batch, no total variation */
    NET_PARAMS_MAX = 40,
    NET_OUTPUTS_MAX = NET_PARAMS_MAX + 4
};

typedef struct net {
    dfq_context *ctx;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_exec *e;
    float *x, *labels;
    dfqi_id ids[NET_PARAMS_MAX];
    dfqi_id x_id, labels_id, scale, zero_point;
    float grid[2];
    int32_t n_out; /* everything kept: logits, losses, gradients */
    dfqi_id out[NET_OUTPUTS_MAX];
} net;

/* Each step returns a status, so that the allocation sweep can use them; fini works after any. */
dfq_status dfqt_net_build(net *n, dfq_context *ctx, int64_t batch, int flags);
dfq_status dfqt_net_start(net *n);
void dfqt_net_fini(net *n);
/* Images `first` .. of an endless reproducible sequence, one for each image of the batch. */
void dfqt_net_images(net *n, int64_t first);

#endif
