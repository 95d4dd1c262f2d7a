/* Supernets for co-exploration: a stem, cells, a head. Each cell is one of its space's choices, or
 * nothing but its shortcut where it may be left out. All paths through a choice share its weights;
 * a pass builds the graph of one path alone, so nothing else is computed or stored.
 *
 * MBConv family: a cell is an inverted bottleneck, and may be left out where the stride is 1 and
 * the widths agree. Every choice of every cell has weights of its own.
 *
 * ViT family: a cell is a stage of pre-norm transformer blocks, and a choice is its width, its
 * depth, and the heads and MLP ratio of its blocks at once. A stage adds to tokens of one width, by
 * which all stages meet:
 *
 *   x[N,D] -> x + leave(block(.. block(enter(norm(x))) ..)),   enter: D -> width, leave: width -> D
 *
 * So what a stage costs depends on its own choice alone: costs are exactly additive over cells. Two
 * cells for the width and for the blocks of a stage would not be: what a block costs is a product
 * of both. A stage has the weights of its largest choice, and any other uses the leading channels,
 * heads and blocks of it. A space of stages one block deep gives each block choices of its own. */
#ifndef DFQI_NN_SUPERNET_H
#define DFQI_NN_SUPERNET_H

#include "graph/exec.h"
#include "nn/network.h"

enum { DFQI_SUPER_TENSORS = 5, DFQI_SUPER_NAME = 64 };

/* What a layer's tensors are. */
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
    int32_t role;   /* what the family knows it by */
    int32_t index;  /* among the layers of its cell and choice, or before or behind the cells */
    uint8_t depthwise, relu;
    uint8_t tail;                      /* of no cell, behind the cells */
    uint8_t closes;                    /* its output is what the cell adds to its shortcut */
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

/* What all weights of the supernet of a space take, and how many layers it has. */
double dfqi_super_bytes(const dfqi_supernet_space *space, int32_t *out_layers);

/* With a `path` (a choice for each cell) only what is on it exists: the network that a search
 * derived, trained like any other. NULL: all. Weights are drawn at random, norms change nothing. */
DFQI_CHECKED dfq_status dfqi_supernet_new(dfq_context *ctx, const dfqi_supernet_space *space,
                                          const int32_t *path, uint64_t seed, dfqi_supernet *out);
void dfqi_supernet_fini(dfqi_supernet *net);
int dfqi_supernet_on_path(const dfqi_super_layer *l, const int32_t *path);
/* Choices of a cell, with that of leaving it out. */
int32_t dfqi_supernet_choices(const dfqi_supernet *net, int32_t cell);
/* What a layer is called; its tensors are "<name>.weight" and so on. */
void dfqi_super_layer_name(const dfqi_super_layer *l, char out[DFQI_SUPER_NAME]);
/* How many tensors a layer has. */
int32_t dfqi_super_layer_tensors(const dfqi_super_layer *l);
/* The shape of tensor k; returns its rank. */
int32_t dfqi_super_layer_dims(const dfqi_super_layer *l, int32_t k, int64_t dims[4]);
/* How many of a layer's tensors, from the first, are trained. */
int32_t dfqi_super_layer_trained(const dfqi_super_layer *l);
/* Is tensor k a weight, which decays, and no norm, bias or position? */
int dfqi_super_layer_decays(const dfqi_super_layer *l, int32_t k);
/* Multiply-accumulates of a path, for one image: of the products in its graph. */
DFQI_CHECKED dfq_status dfqi_supernet_macs(const dfqi_supernet *net, const int32_t *path,
                                           double *out);
/* Each cell's choice with the most of them. */
void dfqi_supernet_largest(const dfqi_supernet *net, int32_t *path);
/* Every choice takes over what it can of the weights of the path's choice in its cell: the channels
 * that matter most, the middle of the kernels. Choices that share their weights stay as they
 * are. */
DFQI_CHECKED dfq_status dfqi_supernet_inherit(dfqi_supernet *net, const int32_t *path);
/* The derived network of a path, made by dfqi_supernet_new, gets the weights that the path uses. */
DFQI_CHECKED dfq_status dfqi_supernet_hand_down(const dfqi_supernet *net, dfqi_supernet *derived);

typedef enum dfqi_super_mode {
    DFQI_SUPER_EVAL, /* running statistics, logits alone */
    DFQI_SUPER_LOSS, /* the batch's statistics, loss */
    DFQI_SUPER_TRAIN /* and gradients */
} dfqi_super_mode;

/* What a layer became in a pass; DFQI_NONE off the path. t: the tensors, or what of them the path
 * uses; gradients are shaped like these. */
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
    int32_t span[DFQI_SUPER_CELLS][2]; /* a cell's nodes: first, one behind the last */
} dfqi_super_pass;

DFQI_CHECKED dfq_status dfqi_super_pass_new(const dfqi_supernet *net, const int32_t *path,
                                            int64_t batch, dfqi_super_mode mode,
                                            dfqi_super_pass *out);
void dfqi_super_pass_fini(dfqi_super_pass *p);
/* The forward graph of one image along a path, for counting: its parameters are 0. out_span[cells]
 * as in a pass; what a cell's nodes are depends on its own choice alone, but for their numbers. The
 * caller frees the graph. */
DFQI_CHECKED dfq_status dfqi_super_graph(dfq_context *ctx, const dfqi_supernet_space *space,
                                         const int32_t *path, dfqi_graph **out,
                                         int32_t (*out_span)[2]);
/* Copies what the pass uses of tensor k of a layer out of `whole`, which is laid out like the
 * tensor, to `part`, laid out like the gradient; back: the other way. */
void dfqi_super_pass_copy(const dfqi_super_pass *p, int32_t layer, int32_t k, float *whole,
                          float *part, int back);
/* After a LOSS or TRAIN run: running = (1 - momentum) running + momentum (the batch's), variances
 * over n - 1 as torch keeps them. */
void dfqi_super_pass_track(const dfqi_super_pass *p, float momentum);
/* After a TRAIN run: d loss / d gate of each cell, where the gate, 1, scales what the cell adds to
 * its shortcut; 0 for a cell left out, which adds nothing. */
void dfqi_super_pass_gates(const dfqi_super_pass *p, double *out);

#endif
