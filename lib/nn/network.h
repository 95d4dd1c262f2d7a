/* A network: its architecture, its input normalisation and its named parameters. */
#ifndef DFQI_NN_NETWORK_H
#define DFQI_NN_NETWORK_H

#include "graph/graph.h"
#include "tensor/tensor.h"

typedef enum dfqi_family { DFQI_FAMILY_VIT = 0, DFQI_FAMILY_COUNT } dfqi_family;

typedef struct dfqi_vit_arch {
    int64_t patch, width, depth, heads, hidden; /* hidden: inner width of the MLP */
} dfqi_vit_arch;

/* Everything about a network but its weights. Plain data. What belongs to another family is zero. */
typedef struct dfqi_arch {
    dfqi_family family;
    char name[64];    /* "vit_tiny_patch16_224" */
    int64_t image;    /* side of the square input */
    int64_t channels; /* 3 */
    int64_t classes;
    float eps; /* of the norms */
    float mean[3], std[3];
    int32_t resize; /* evaluation transform: shorter side before the crop, 0 none */
    dfqi_vit_arch vit;
} dfqi_arch;

typedef struct dfqi_param {
    char *name;         /* owned by the network */
    dfq_tensor *tensor; /* F32, retained */
} dfqi_param;

typedef struct dfqi_network {
    dfq_context *ctx;
    dfqi_arch arch;
    int32_t n_params;
    dfqi_param *params; /* in the order of use */
} dfqi_network;

void dfqi_network_fini(dfqi_network *net);
dfq_tensor *dfqi_network_find(const dfqi_network *net, const char *name); /* NULL: none */
int64_t dfqi_network_values(const dfqi_network *net); /* parameters, counted in elements */
/* A fingerprint of names, shapes and bits of all parameters and of the architecture. */
uint64_t dfqi_network_hash(const dfqi_network *net);
/* A deep copy: the student of a teacher. */
dfq_status dfqi_network_clone(const dfqi_network *net, dfqi_network *out);
/* All tensors zero, in the order and shapes of the architecture. */
dfq_status dfqi_network_new(dfq_context *ctx, const dfqi_arch *arch, dfqi_network *out);

/* -- building graphs --------------------------------------------------------------------------- */

/* What a forward pass offers to look at. Arrays have one entry for each block. */
typedef struct dfqi_taps {
    dfqi_id logits;
    dfqi_id *raw;  /* query-key products before scale and softmax [B,H,N,N] */
    dfqi_id *attn; /* softmax maps [B,H,N,N] */
    dfqi_id *head; /* attention outputs before the projection [B,H,N,d] */
} dfqi_taps;

/* Adds the parameters to `g`; ids[n_params] in the order of net->params. frozen: they stay as they
 * are for the life of the graph. */
void dfqi_network_params(const dfqi_network *net, dfqi_graph *g, int frozen, dfqi_id *ids);
/* Adds the forward pass on x[B,3,S,S]. Products are named "<prefix>.<layer>". taps arrays may be
 * NULL when nobody needs them. */
void dfqi_network_forward(const dfqi_network *net, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                          dfqi_taps *taps);
/* Multiply-accumulates of one image through the whole network, by the cost rules of the op table.
 * What a graph leaves out because nobody reads it counts too, what quantizers add does not: so a
 * float network and its quantized form have the same number. */
dfq_status dfqi_network_macs(const dfqi_network *net, double *out);

#endif
