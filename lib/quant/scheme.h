/* A quantization scheme: the quantizer of each quantized tensor (site) of a network. A scheme is
 * made for a network and calibrated on images. It is then used to build fake-quantized graphs,
 * tuned, and stored with the network.
 *
 * Sites are named after the product that reads them. Linear layers have "blocks.0.attn.qkv.weight"
 * and "blocks.0.attn.qkv.input". Attention products have "blocks.0.attn.qk.a" / ".b" (query, key)
 * and "blocks.0.attn.av.a" / ".b" (attention map, value). Convolutional networks are quantized as
 * in AIT: weights ("layer1.0.conv1.weight") and ReLU outputs ("layer1.0.relu.output") have sites,
 * and other values between layers stay float. In improved mode their grids are static
 * (cnn_grids.h). */
#ifndef DFQI_QUANT_SCHEME_H
#define DFQI_QUANT_SCHEME_H

#include "io/images.h"
#include "kernel/kernel.h"
#include "nn/network.h"
#include "quant/image_grid.h"

typedef enum dfqi_mode {
    DFQI_MODE_PARITY = 0,  /* MimiQ's published scheme; CNNs: ranges averaged as published */
    DFQI_MODE_IMPROVED = 1 /* searched scales, per-channel inputs, logarithmic or unsigned softmax;
                              CNNs: BatchNorms folded, searched scales */
} dfqi_mode;

/* Grids of a vision transformer in parity mode; elsewhere AUTO, the mode's own. In improved mode of
 * a CNN MINMAX_ASYM and MINMAX together mean grids that follow, as in parity mode, with an average
 * of ranges that does not overshoot. */
typedef enum dfqi_weight_grid_kind {
    DFQI_WEIGHT_GRID_AUTO = 0, /* parity: MINMAX */
    DFQI_WEIGHT_GRID_MINMAX,
    DFQI_WEIGHT_GRID_MINMAX_ASYM,
    DFQI_WEIGHT_GRID_LSQ
} dfqi_weight_grid_kind;

typedef enum dfqi_act_grid_kind {
    DFQI_ACT_GRID_AUTO = 0, /* parity: LSQ */
    DFQI_ACT_GRID_LSQ,
    DFQI_ACT_GRID_MINMAX
} dfqi_act_grid_kind;

/* Where the scales of activations come from. */
typedef enum dfqi_act_scale {
    DFQI_ACT_SCALE_TENSOR = 0, /* calibration: static */
    DFQI_ACT_SCALE_ROW         /* each row (token), at run time; improved mode of a transformer */
} dfqi_act_scale;

typedef struct dfqi_grids {
    dfqi_weight_grid_kind weight_grid;
    dfqi_act_grid_kind act_grid;
    dfqi_act_scale act_scale;
    /* scales of rows: channels of a linear layer's input that share one, where they are a share of
     * its row; 0: all channels of a row; DFQI_ACT_GROUP_AUTO: a new scheme chooses */
    int32_t act_group;
    /* improved mode of a transformer: columns of a linear layer's weight of at most
     * DFQI_GROUP_BITS that share a grid, as for activations */
    int32_t weight_group;
    /* seed by which the network's stream is rotated (nn/rotate.h), so that the inputs of linear
     * layers have one scale; 0: it is not */
    uint64_t rotation;
} dfqi_grids;

enum { DFQI_ROTATION_SEED = 1, DFQI_ACT_GROUP_AUTO = -1, DFQI_WEIGHT_GROUP_AUTO = -1 };

typedef enum dfqi_site_kind {
    DFQI_SITE_WEIGHT = 0, /* symmetric per row, codes -2^(b-1) .. 2^(b-1) - 1 */
    DFQI_SITE_UNIFORM,    /* scale and zero point, codes qmin .. qmax */
    DFQI_SITE_LOG, /* base sqrt(2) below scale[0], codes 0 .. qmax; code qmax + 1, the last, is 0 */
    DFQI_SITE_WEIGHT_MINMAX, /* weight, from the smallest to the largest of each row; codes as
                                WEIGHT */
    /* activations whose grids are found at run time; without scale and zero_point. Codes 0 .. 2^b -
     * 1, or symmetric: -Q .. Q, Q = 2^(b-1) - 1 */
    DFQI_SITE_ROW,   /* of each row (token) */
    DFQI_SITE_COLUMN /* of each column over the rows of an image and head (values) */
} dfqi_site_kind;

typedef struct dfqi_site {
    char name[80];
    dfqi_site_kind kind;
    int32_t bits;
    float qmin, qmax;
    /* weight: 1: the grid is computed from the current weights (min-max). scale and zero_point are
     * set only if the weights came from a file: such weights lie on their old grid, and their
     * min-max grid would differ from it */
    int32_t follows;
    dfq_tensor *scale;      /* WEIGHT: [O]; UNIFORM: [1], [C], [H] or [H*d]; LOG: [1], the top */
    dfq_tensor *zero_point; /* UNIFORM: like scale, or NULL: 0; WEIGHT_MINMAX from a file: [O]; else
                               NULL */
    dfq_tensor *groups;     /* WEIGHT with `group`: [O,groups], kernel/weight_groups.h; else NULL */
    dfq_tensor
        *range;    /* UNIFORM from smallest to largest: [3], state of dfqi_track_range; else NULL */
    int64_t heads; /* operands with heads: those of one window; else 0 */
    int64_t group; /* ROW, WEIGHT: channels (columns) that share a grid; 0: all of a row */
    int32_t input; /* WEIGHT: site whose per-channel scales multiply the columns, or -1 */
    double error;  /* relative squared error on the calibration images; <0: not measured */
} dfqi_site;

/* Parts of the rounding of weights in improved mode (rounding.c). */
enum {
    DFQI_ROUND_SEARCH = 1, /* scales by error search, not from the largest magnitude */
    DFQI_ROUND_RIDGE = 2,  /* correction of weights for what inputs lost */
    DFQI_ROUND_GPTQ = 4,   /* codes by second-order rounding, not the nearest */
    DFQI_ROUND_BIAS = 8,   /* the bias takes up mean errors */
    DFQI_ROUND_ALL = 15,
    /* transformers: all but the bias, which takes up what patches lose on average, while the class
     * is read from one token (METHODS.md, Rounding of weights) */
    DFQI_ROUND_VIT = DFQI_ROUND_ALL - DFQI_ROUND_BIAS
};

typedef struct dfqi_scheme {
    dfq_context *ctx;
    dfqi_mode mode;
    dfqi_grids grids; /* AUTO only where the mode has its own */
    int32_t rounding; /* DFQI_ROUND_*, for calibration; a new scheme has those of its family */
    int32_t weight_bits, act_bits;
    /* of the weights of the first and the last layer; scales of rows: also of the last layer's
     * input, if that is more than act_bits */
    int32_t first_last_bits;
    int32_t n_sites;
    dfqi_site *sites;
    /* those with widths of their own and those left float, as text (layers.h); NULL */
    char *layers;
} dfqi_scheme;

typedef struct dfqi_widths {
    int32_t weight, act; /* 2..8 */
    int32_t first_last;  /* see dfqi_scheme; 0: like weight, with scales of rows 8 */
} dfqi_widths;

/* Can activations have scales of rows? */
bool dfqi_scheme_fits_rows(const dfqi_arch *a, dfqi_mode mode);
/* The sites that a network has or would have, of any family and any widths: for counting. Weights
 * have no groups yet. */
DFQI_CHECKED dfq_status dfqi_scheme_outline(const dfqi_network *net, dfqi_mode mode,
                                            dfqi_widths widths, dfqi_grids grids, dfqi_scheme *out);
/* The sites of `net`, without values yet. */
DFQI_CHECKED dfq_status dfqi_scheme_new(const dfqi_network *net, dfqi_mode mode, dfqi_widths widths,
                                        dfqi_scheme *out);
/* The same with grids of their own; DFQ_E_UNSUPPORTED where the mode has its own. */
DFQI_CHECKED dfq_status dfqi_scheme_new_with(const dfqi_network *net, dfqi_mode mode,
                                             dfqi_widths widths, dfqi_grids grids,
                                             dfqi_scheme *out);
/* `group`, if it is a share of so many channels (columns); else 0. */
int64_t dfqi_group_of(int64_t group, int64_t channels);
/* Sets the size of the groups of all weights by their bits, and nothing else. True: some have
 * groups. */
bool dfqi_scheme_size_groups(const dfqi_network *net, dfqi_scheme *s);
/* Gives weights of few bits their groups, when the widths of all layers are known; a new scheme has
 * none. Groups of which no weight is made are given up if they were chosen, else refused. */
DFQI_CHECKED dfq_status dfqi_scheme_group_weights(const dfqi_network *net, bool chosen,
                                                  dfqi_scheme *s);
void dfqi_scheme_fini(dfqi_scheme *s);
bool dfqi_site_is_weight(const dfqi_site *site);
/* Are its grids found at run time? */
bool dfqi_site_is_runtime(const dfqi_site *site);
/* Makes min-max grids follow the weights from now on. Call it before weights from a file change. */
void dfqi_scheme_loosen(dfqi_scheme *s);
const dfqi_site *dfqi_scheme_find(const dfqi_scheme *s, const char *name); /* NULL: none */
/* The site of operand `slot` of a named product, or of a ReLU output (slot 0); -1 if it has none
 * and stays float. Quantized graphs are built with this function. */
int32_t dfqi_site_index(const dfqi_scheme *s, dfqi_op_kind op, const char *name, int32_t slot);

/* Fills every scale and zero point from the network's activations on images of [3][S][S]
 * (normalised), a few at a time. Memory grows with n only while weights are
 * rounded, up to DFQI_ROUND_LIVE_BYTES. Reports progress ("calibrate").
 * Improved mode then moves the weights of `student`, a copy of `teacher`, to their grids
 * (rounding.c); parity mode leaves them. */
DFQI_CHECKED dfq_status dfqi_scheme_calibrate_from(dfqi_scheme *s, const dfqi_network *teacher,
                                                   dfqi_network *student,
                                                   const dfqi_images *images);
/* The same on images[n][3][S][S] in memory. */
DFQI_CHECKED dfq_status dfqi_scheme_calibrate(dfqi_scheme *s, const dfqi_network *teacher,
                                              dfqi_network *student, const float *images,
                                              int64_t n);

/* -- building fake-quantized graphs ------------------------------------------------------------ */

/* The pass: while it is installed, products built in `g` get quantized operands. */
typedef struct dfqi_quant_pass {
    const dfqi_scheme *scheme;
    int frozen; /* scales and zero points are constants of the graph */
    int exact;  /* 1: products on grids of rows sum codes, exactly: the bits of the runtime;
                            frozen, without gradients */
    int dry;    /* 1: leave the operands float, only note them (calibration) */
    dfqi_image_grid image; /* of the first layer's input */
    int track;             /* 1: the graph tracks the ranges of a CNN's activations (track.h) */
    dfqi_id *scale;        /* [n_sites] out: parameter ids, DFQI_NONE where a site has none */
    dfqi_id *zero_point;   /* [n_sites] */
    dfqi_id *range;        /* [n_sites] with `track`: the new states */
    dfqi_id
        *operand;  /* [n_sites] out: the operands before their quantizer; for weights the input of
                         their layer behind its quantizer. Kept readable if keep_operands */
    dfqi_id input; /* the quantized input of the layer being built */
    /* activations are quantized at random (graph/ops.h, dfqi_drop) by the keys of the images;
     * DFQI_NONE: always. Streams are numbered in the order of the operands */
    dfqi_id keys;
    int64_t dropped;
    int keep_operands;
    int32_t keep_site; /* of the operands this one alone, or -1: all */
} dfqi_quant_pass;

/* The ids of one block of memory; dfqi_quant_pass_fini frees it. `pass` must stay where it is until
 * dfqi_quant_pass_end. */
DFQI_CHECKED dfq_status dfqi_quant_pass_begin(dfqi_quant_pass *pass, dfqi_graph *g,
                                              const dfqi_scheme *s, int frozen);
void dfqi_quant_pass_end(dfqi_quant_pass *pass, dfqi_graph *g); /* uninstalls; ids stay */
void dfqi_quant_pass_fini(dfqi_quant_pass *pass, dfq_context *ctx);

/* Row r of a weight on its grid as it is now, row[cols] -> y[cols], with the grid's scale and zero
 * point; col: column factors or NULL. */
void dfqi_weight_row(const dfqi_kernels *k, const dfqi_site *site, int64_t r, int64_t cols,
                     const float *row, const float *col, float *y, float *scale, float *zero_point);
/* The grid in column c of that row, with codes qmin .. qmax: in a group *scale and *zero_point,
 * those of the row, become the group's. */
void dfqi_weight_grid_at(const dfqi_site *site, int64_t r, int64_t cols, int64_t c, float *scale,
                         float *zero_point);

#endif
