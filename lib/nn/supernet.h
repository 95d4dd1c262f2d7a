/* Supernets for co-exploration (docs/METHODS.md, With a supernet): a stem, cells, and a head. Each
 * cell takes one of its choices, or only its shortcut if the cell may be left out. All paths
 * through a choice share its weights. A pass builds the graph of one path, so nothing else is
 * computed or stored.
 *
 * MBConv family: a cell is an inverted bottleneck. It may be left out if its stride is 1 and its
 * input and output widths agree. Every choice of every cell has its own weights.
 *
 * ViT family: a cell is a stage of pre-norm transformer blocks. A choice sets its width, its depth,
 * and the heads and MLP ratio of its blocks. All stages add to tokens of one width D:
 *
 *   x[N,D] -> x + leave(block(.. block(enter(norm(x))) ..)),   enter: D -> width, leave: width -> D
 *
 * So the cost of a stage depends on its own choice alone, and costs are exactly additive over
 * cells. (With separate cells for the width and the blocks of a stage they would not be, since the
 * cost of a block is a product of both.) A stage stores the weights of its largest choice; other
 * choices use their leading channels, heads and blocks. In a space of stages with depth 1 each
 * block has choices of its own. */
#ifndef DFQI_NN_SUPERNET_H
#define DFQI_NN_SUPERNET_H

#include "graph/exec.h"
#include "nn/network.h"

enum { DFQI_SUPER_TENSORS = 5, DFQI_SUPER_NAME = 64 };

/* The kinds of layers, by their tensors. */
typedef enum dfqi_super_kind {
    DFQI_SUPER_CONV,     /* weight, gamma, beta, running mean, running variance */
    DFQI_SUPER_LINEAR,   /* weight, bias */
    DFQI_SUPER_NORM,     /* gamma, beta */
    DFQI_SUPER_POSITIONS /* [out,in] */
} dfqi_super_kind;

typedef struct dfqi_super_layer {
    dfqi_super_kind kind;
    int64_t in, out; /* of the largest choice that uses it */
    int64_t kernel, stride;
    int32_t cell;   /* -1: on every path */
    int32_t choice; /* whose it is; -1: several use it */
    uint64_t uses;  /* bit k: choice k uses it */
    int32_t groups; /* of rows, in each of which choices use the leading ones: 3 for q, k, v */
    int32_t role;   /* the family's own id of the layer */
    int32_t index;  /* among the layers of its cell and choice, or before or after the cells */
    uint8_t depthwise, relu;
    uint8_t tail;                      /* of no cell, after the cells */
    uint8_t closes;                    /* the cell adds its output to the shortcut */
    dfq_tensor *t[DFQI_SUPER_TENSORS]; /* NULL: not in this network */
} dfqi_super_layer;

typedef struct dfqi_supernet {
    dfq_context *ctx;
    dfqi_supernet_space space;
    int32_t n_cells, n_layers;
    uint8_t skips[DFQI_SUPER_CELLS]; /* the cell may be left out: choice number n_choices */
    int32_t derived;                 /* 1: of `path` alone */
    int32_t path[DFQI_SUPER_CELLS];
    dfqi_super_layer *layers;
    dfqi_workspace *work; /* that passes take in turns */
} dfqi_supernet;

/* The bytes of all weights of a space's supernet, and its number of layers. */
double dfqi_super_bytes(const dfqi_supernet_space *space, int32_t *out_layers);

/* Makes a supernet. With a `path` (a choice for each cell) it has only the layers on the path: the
 * derived network of a search, trained like any other. NULL: all layers. Weights are random, norms
 * are the identity. */
DFQI_CHECKED dfq_status dfqi_supernet_new(dfq_context *ctx, const dfqi_supernet_space *space,
                                          const int32_t *path, uint64_t seed, dfqi_supernet *out);
void dfqi_supernet_fini(dfqi_supernet *net);
int dfqi_supernet_on_path(const dfqi_super_layer *l, const int32_t *path);
/* Choices of a cell, with that of leaving it out. */
int32_t dfqi_supernet_choices(const dfqi_supernet *net, int32_t cell);
/* The name of a layer; its tensors are "<name>.weight" and so on. */
void dfqi_super_layer_name(const dfqi_super_layer *l, char out[DFQI_SUPER_NAME]);
/* How many tensors a layer has. */
int32_t dfqi_super_layer_tensors(const dfqi_super_layer *l);
/* The shape of tensor k; returns its rank. */
int32_t dfqi_super_layer_dims(const dfqi_super_layer *l, int32_t k, int64_t dims[4]);
/* How many of a layer's tensors, from the first, are trained. */
int32_t dfqi_super_layer_trained(const dfqi_super_layer *l);
/* Is tensor k a weight, which decays, and no norm, bias or position? */
int dfqi_super_layer_decays(const dfqi_super_layer *l, int32_t k);
/* Multiply-accumulates of the products on a path, for one image. */
DFQI_CHECKED dfq_status dfqi_supernet_macs(const dfqi_supernet *net, const int32_t *path,
                                           double *out);
/* The choice with the most multiply-accumulates in each cell. */
void dfqi_supernet_largest(const dfqi_supernet *net, int32_t *path);
/* Weight inheritance: every choice takes over weights of the path's choice in its cell, namely the
 * most important channels and the middle of the kernels. Choices that share their weights do not
 * change. */
DFQI_CHECKED dfq_status dfqi_supernet_inherit(dfqi_supernet *net, const int32_t *path);
/* The derived network of a path, made by dfqi_supernet_new, gets the weights that the path uses. */
DFQI_CHECKED dfq_status dfqi_supernet_hand_down(const dfqi_supernet *net, dfqi_supernet *derived);

typedef enum dfqi_super_mode {
    DFQI_SUPER_EVAL, /* running statistics, logits alone */
    DFQI_SUPER_LOSS, /* the batch's statistics, loss */
    DFQI_SUPER_TRAIN /* and gradients */
} dfqi_super_mode;

/* The values of a layer in a pass; DFQI_NONE off the path. t: the tensors, or the parts of them
 * that the path uses; gradients have the same shapes. */
typedef struct dfqi_super_tap {
    dfqi_id t[DFQI_SUPER_TENSORS], grad[3], mean, var;
    int64_t values; /* that a channel's statistics are taken over */
} dfqi_super_tap;

/* The graph of one path, ready to run. Values are read with dfqi_exec_data. */
typedef struct dfqi_super_pass {
    const dfqi_supernet *net; /* borrowed */
    dfqi_graph *g;
    dfqi_exec *e;
    int64_t batch;
    float eps;                         /* of the norms */
    const dfqi_id *given;              /* parameters in the order of use; NULL: the net's tensors */
    dfqi_norm_tap *norms;              /* the next BatchNorm's; NULL: not wanted */
    dfqi_id x, targets, logits, loss;  /* [B,3,S,S], [B,classes], [B,classes], mean loss [1] */
    dfqi_super_tap *taps;              /* [n_layers] */
    int32_t span[DFQI_SUPER_CELLS][2]; /* a cell's nodes: first, one past the last */
} dfqi_super_pass;

DFQI_CHECKED dfq_status dfqi_super_pass_new(const dfqi_supernet *net, const int32_t *path,
                                            int64_t batch, dfqi_super_mode mode,
                                            dfqi_super_pass *out);
void dfqi_super_pass_fini(dfqi_super_pass *p);
/* The forward graph of one image along a path, for counting: its parameters are 0. out_span[cells]
 * is as in a pass. Apart from their ids, the nodes of a cell depend on its own choice alone. The
 * caller frees the graph. */
DFQI_CHECKED dfq_status dfqi_super_graph(dfq_context *ctx, const dfqi_supernet_space *space,
                                         const int32_t *path, dfqi_graph **out,
                                         int32_t (*out_span)[2]);
/* Copies the part of a layer's tensor k that the pass uses from `whole`, which has the tensor's
 * layout, to `part`, which has the gradient's layout; back: the other way. */
void dfqi_super_pass_copy(const dfqi_super_pass *p, int32_t layer, int32_t k, float *whole,
                          float *part, int back);
/* After a LOSS or TRAIN run: running = (1 - momentum) running + momentum (the batch's), variances
 * over n - 1 as torch keeps them. */
void dfqi_super_pass_track(const dfqi_super_pass *p, float momentum);
/* After a TRAIN run: d loss / d gate of each cell. The gate has the value 1 and scales the output
 * that a cell adds to its shortcut. The gradient is 0 for a cell that is left out. */
void dfqi_super_pass_gates(const dfqi_super_pass *p, double *out);

#endif
