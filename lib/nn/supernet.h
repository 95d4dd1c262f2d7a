/* Supernets for co-exploration (hdx.md 1.2): a stem, cells, a head. Each cell is one of its space's
 * choices, or nothing but its shortcut where it may be left out. All paths through a choice share its
 * weights; a pass builds the graph of one path alone, so nothing else is computed or stored.
 *
 * MBConv family: a cell is an inverted bottleneck, and may be left out where the stride is 1 and the
 * widths agree. Every choice of every cell has weights of its own.
 *
 * ViT family: a cell is a stage of pre-norm transformer blocks, and a choice is its width, its depth,
 * and the heads and MLP ratio of its blocks at once. A stage adds to tokens of one width, by which all
 * stages meet:
 *
 *   x[N,D] -> x + leave(block(.. block(enter(norm(x))) ..)),   enter: D -> width, leave: width -> D
 *
 * So what a stage costs depends on its own choice alone: costs are exactly additive over cells. Two
 * cells for the width and for the blocks of a stage would not be: what a block costs is a product of
 * both. A stage has the weights of its largest choice, and any other uses the leading channels, heads
 * and blocks of it. A space of stages one block deep gives each block choices of its own. */
#ifndef DFQI_NN_SUPERNET_H
#define DFQI_NN_SUPERNET_H

#include "graph/exec.h"

enum {
    DFQI_SUPER_STAGES = 8,
    DFQI_SUPER_CHOICES = 63, /* besides leaving the cell out */
    DFQI_SUPER_CELLS = 32,
    DFQI_SUPER_TENSORS = 5,
    DFQI_SUPER_VALUES = 4,
    DFQI_SUPER_SPACE_NAME = 64
};

typedef struct dfqi_super_stage {
    int64_t width, cells, stride; /* the first cell has the stride */
} dfqi_super_stage;

typedef struct dfqi_super_choice {
    int64_t kernel, expand;
} dfqi_super_choice;

/* What can be chosen: so many values, ascending. */
typedef struct dfqi_super_axis {
    int32_t n;
    int64_t value[DFQI_SUPER_VALUES];
} dfqi_super_axis;

typedef struct dfqi_super_vit {
    int64_t patch, tokens; /* tokens: channels of what stages add to, D */
    int64_t head;          /* channels of an attention head */
    int32_t optional;      /* 1: stages may be left out */
    dfqi_super_axis width, depth, heads, ratio;
} dfqi_super_vit;

/* A choice of a stage. Numbers of choices count ratios fastest, then heads, depths, widths. */
typedef struct dfqi_super_blocks {
    int64_t width, depth, heads, ratio;
} dfqi_super_blocks;

typedef enum dfqi_super_family {
    DFQI_SUPER_MBCONV = 0,
    DFQI_SUPER_VIT,
    DFQI_SUPER_FAMILIES
} dfqi_super_family;

/* Plain data. MBConv: a stem 3x3 -> `stem`, an MBConv 3x3 without expansion -> `first`, the stages,
 * 1x1 -> `head`, mean over the pixels, and a linear layer. ViT: patches with positions, n_stages
 * stages, LayerNorm, mean over the tokens, and a linear layer; n_choices is the product of the axes. */
typedef struct dfqi_super_space {
    char name[DFQI_SUPER_SPACE_NAME];
    dfqi_super_family family;
    int32_t n_stages, n_choices;
    int64_t image, classes;
    int64_t stem, first, head; /* MBConv, as are stages and choices */
    dfqi_super_stage stages[DFQI_SUPER_STAGES];
    dfqi_super_choice choices[DFQI_SUPER_CHOICES];
    dfqi_super_vit vit;
} dfqi_super_space;

/* CIFAR-10: that of hdx.md 1.2 with 21 cells, and one of 9 cells for two cores. */
extern const dfqi_super_space dfqi_super_cifar_full, dfqi_super_cifar_small;
/* Vision transformers: for CIFAR-10 on two cores, and around DeiT-Tiny for ImageNet. */
extern const dfqi_super_space dfqi_super_vit_small, dfqi_super_vit_tiny;

/* The product of a ViT space's axes. */
int32_t dfqi_super_vit_choices(const dfqi_super_vit *v);
dfqi_super_blocks dfqi_super_vit_choice(const dfqi_super_vit *v, int32_t choice);

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
    uint8_t depthwise, relu;
    uint8_t closes;                    /* its output is what the cell adds to its shortcut */
    dfq_tensor *t[DFQI_SUPER_TENSORS]; /* NULL: not in this network */
} dfqi_super_layer;

typedef struct dfqi_supernet {
    dfq_context *ctx;
    dfqi_super_space space;
    int32_t n_cells, n_layers;
    uint8_t skips[DFQI_SUPER_CELLS]; /* the cell may be left out: choice number n_choices */
    int32_t derived;                 /* 1: of `path` alone */
    int32_t path[DFQI_SUPER_CELLS];
    dfqi_super_layer *layers;
    dfqi_workspace *work; /* that passes take in turns */
} dfqi_supernet;

/* With a `path` (a choice for each cell) only what is on it exists: the network that a search
 * derived, trained like any other. NULL: all. Weights are drawn at random, norms change nothing. */
dfq_status dfqi_supernet_new(dfq_context *ctx, const dfqi_super_space *space, const int32_t *path,
                             uint64_t seed, dfqi_supernet *out);
void dfqi_supernet_fini(dfqi_supernet *net);
int dfqi_supernet_on_path(const dfqi_super_layer *l, const int32_t *path);
/* Choices of a cell, with that of leaving it out. */
int32_t dfqi_supernet_choices(const dfqi_supernet *net, int32_t cell);
/* How many of a layer's tensors, from the first, are trained. */
int32_t dfqi_super_layer_trained(const dfqi_super_layer *l);
/* Is tensor k a weight, which decays, and no norm, bias or position? */
int dfqi_super_layer_decays(const dfqi_super_layer *l, int32_t k);
/* Multiply-accumulates of a path, for one image. */
double dfqi_supernet_macs(const dfqi_supernet *net, const int32_t *path);
/* Each cell's choice with the most of them. */
void dfqi_supernet_largest(const dfqi_supernet *net, int32_t *path);
/* Every choice takes over what it can of the weights of the path's choice in its cell: the channels
 * that matter most, the middle of the kernels. Choices that share their weights stay as they are. */
dfq_status dfqi_supernet_inherit(dfqi_supernet *net, const int32_t *path);
/* The derived network of a path, made by dfqi_supernet_new, gets the weights that the path uses. */
dfq_status dfqi_supernet_hand_down(const dfqi_supernet *net, dfqi_supernet *derived);

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
    dfqi_id x, targets, logits, loss;  /* [B,3,S,S], [B,classes], [B,classes], mean loss [1] */
    dfqi_super_tap *taps;              /* [n_layers] */
    int32_t span[DFQI_SUPER_CELLS][2]; /* a cell's nodes: first, one behind the last */
} dfqi_super_pass;

dfq_status dfqi_super_pass_new(const dfqi_supernet *net, const int32_t *path, int64_t batch,
                               dfqi_super_mode mode, dfqi_super_pass *out);
void dfqi_super_pass_fini(dfqi_super_pass *p);
/* The forward graph of one image along a path, for counting: its parameters are 0. out_span[cells] as in
 * a pass; what a cell's nodes are depends on its own choice alone, but for their numbers. The caller
 * frees the graph. */
dfq_status dfqi_super_graph(dfq_context *ctx, const dfqi_super_space *space, const int32_t *path,
                            dfqi_graph **out, int32_t (*out_span)[2]);
/* Copies what the pass uses of tensor k of a layer out of `whole`, which is laid out like the tensor,
 * to `part`, laid out like the gradient; back: the other way. */
void dfqi_super_pass_copy(const dfqi_super_pass *p, int32_t layer, int32_t k, float *whole,
                          float *part, int back);
/* After a LOSS or TRAIN run: running = (1 - momentum) running + momentum (the batch's), variances over
 * n - 1 as torch keeps them. */
void dfqi_super_pass_track(const dfqi_super_pass *p, float momentum);
/* After a TRAIN run: d loss / d gate of each cell, where the gate, 1, scales what the cell adds to
 * its shortcut; 0 for a cell left out, which adds nothing. */
void dfqi_super_pass_gates(const dfqi_super_pass *p, double *out);

#endif
