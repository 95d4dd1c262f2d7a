/* Layers as loop nests over eight dimensions, and the layer list of a network. */
#ifndef DFQI_ACCEL_LAYER_H
#define DFQI_ACCEL_LAYER_H

#include "quant/model.h"

/* out[g,n,m,p,q] += in[g,n,c,p u + r,q u + s] * w[g,c,m,r,s]. G: groups, channels of a depthwise
 * convolution, heads; a product (T x K)(K x D) has P = T, C = K, M = D. */
typedef enum dfqi_dim {
    DFQI_DIM_G,
    DFQI_DIM_N,
    DFQI_DIM_C,
    DFQI_DIM_M,
    DFQI_DIM_P,
    DFQI_DIM_Q,
    DFQI_DIM_R,
    DFQI_DIM_S,
    DFQI_DIMS
} dfqi_dim;

typedef enum dfqi_operand { DFQI_W, DFQI_I, DFQI_O, DFQI_OPERANDS } dfqi_operand;

typedef enum dfqi_layer_kind {
    DFQI_LAYER_PRODUCT = 0, /* the loops above */
    DFQI_LAYER_ROWS         /* softmax, LayerNorm, GELU, residual sum: no products */
} dfqi_layer_kind;

/* So many bits for so many words. */
typedef struct dfqi_share {
    int32_t bits, words;
} dfqi_share;

/* Plain data without padding: equal bytes are equal shapes. */
typedef struct dfqi_layer {
    int32_t kind;
    int32_t effort; /* cycles of a lane for each value of the result; products have them beside
                     * those of the array */
    int64_t dim[DFQI_DIMS];
    int64_t stride;
    int32_t bits[DFQI_OPERANDS];    /* as stored; 0: without a quantizer, as wide as the
                                  * accelerator keeps it (dfqi_layer_resolve) */
    int32_t sum;                    /* rows: 1 if there is a second operand, W */
    int32_t weight_group;           /* products: columns of W that share a grid; 0: all of a row */
    int32_t act_group;              /* products: channels of I that share one; 0: likewise */
    dfqi_share grid[DFQI_OPERANDS]; /* of scales and zero points */
} dfqi_layer;

/* Bits of its grid that a word of an operand bears, and what it takes in memory in all. */
static inline double dfqi_layer_grid(const dfqi_layer *l, dfqi_operand v)
{
    return l->grid[v].bits ? (double)l->grid[v].bits / l->grid[v].words : 0;
}

static inline double dfqi_layer_stored(const dfqi_layer *l, dfqi_operand v)
{
    return l->bits[v] + dfqi_layer_grid(l, v);
}

/* Does the dimension address the operand? */
bool dfqi_dim_relevant(dfqi_operand v, dfqi_dim d);
double dfqi_layer_macs(const dfqi_layer *l);
/* Words of an operand that are touched: no mapping moves fewer. */
double dfqi_layer_words(const dfqi_layer *l, dfqi_operand v);

/* The shapes of the two products of an attention: scores = queries keys^T, and scores, behind their
 * softmax, times values. */
typedef struct dfqi_attention_pair {
    int32_t scores, values;
} dfqi_attention_pair;

typedef struct dfqi_layer_entry {
    char name[80];
    int32_t shape;     /* index of its shape */
    int32_t attention; /* index of the attention that it is part of; -1: of none */
    int32_t scores;    /* of a product of scores and values: the layer that makes the scores; else
                        * -1 */
} dfqi_layer_entry;

/* The layers of a network in the order of computation, their different shapes, and its different
 * attentions. */
typedef struct dfqi_layer_list {
    dfq_context *ctx;
    int32_t n_layers, n_shapes, n_attentions;
    dfqi_layer_entry *layers;
    dfqi_layer *shapes;
    dfqi_attention_pair *attentions;
} dfqi_layer_list;

/* 0: what a network's quantizers have. Else the widths of those that it would have, 8 in the first
 * and the last product, and their grids. */
typedef struct dfqi_layer_bits {
    int32_t weight, act;
    dfqi_grids grids;
} dfqi_layer_bits;

/* What a node of a graph is, without quantizers; false: it is no layer. */
bool dfqi_layer_of_node(const dfqi_graph *g, const dfqi_node *n, dfqi_layer *out);
/* Of a product of scores and values the node that makes the scores: what lies between them works on
 * whole rows of scores, which nothing else reads. -1: it is no such product. */
int32_t dfqi_scores_of_node(const dfqi_graph *g, const dfqi_node *n);
/* For one image. Normalisation and activation of convolutional networks are folded away. Widths are
 * those of the quantized graph (widths.h). */
DFQI_CHECKED dfq_status dfqi_layers_of(const dfqi_model *m, dfqi_layer_bits bits,
                                       dfqi_layer_list *out);
void dfqi_layer_list_fini(dfqi_layer_list *l);

#endif
