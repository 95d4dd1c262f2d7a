/* Tables of bit widths: one row for each layer of a network that has quantizers, in the order of
 * computation. A layer is a product or a ReLU, named as in quant/layers.h. */
#ifndef DFQI_BITS_TABLE_H
#define DFQI_BITS_TABLE_H

#include <dfq/quantizer.h>

#include "quant/model.h"

typedef struct dfqi_bits_row {
    char name[80];
    int32_t weight_bits, act_bits; /* 2..8; 0: the layer has none, or it stays float */
    int32_t has_weight, has_act;   /* has the layer such quantizers, unless it stays float? */
    int64_t weights, macs;         /* of one image; of a ReLU of what reads it */
    int64_t weight_group; /* columns of the weight that share a grid at few bits; 0: all of a row */
} dfqi_bits_row;

struct dfq_bits {
    dfq_context *ctx; /* retained */
    char network[64];
    int32_t n;
    dfqi_bits_row *rows;
    dfq_layer_config *configs; /* [n], with names that point into the rows */
};
typedef struct dfq_bits dfqi_bits;

/* The widths of a scheme of the network `m`, which may be its own. weight_group: columns of weights
 * of few bits that share a grid, if layers get so few; 0: none do. */
DFQI_CHECKED dfq_status dfqi_bits_new(const dfqi_model *m, const dfqi_scheme *s,
                                      int32_t weight_group, dfqi_bits **out);
/* The same as another table. */
DFQI_CHECKED dfq_status dfqi_bits_copy(const dfqi_bits *b, dfqi_bits **out);
void dfqi_bits_free(dfqi_bits *b); /* NULL ok */

/* The row's number, or -1. */
int32_t dfqi_bits_find(const dfqi_bits *b, const char *name);
/* DFQ_E_INVALID: widths outside of 2..8, or of quantizers that the layer has not; `where` begins
 * the text. Both 0: the layer stays float. */
DFQI_CHECKED dfq_status dfqi_bits_check(const dfqi_bits *b, const char *where, int32_t row,
                                        int32_t weight_bits, int32_t act_bits);
/* Sets checked widths. */
void dfqi_bits_set(dfqi_bits *b, int32_t row, int32_t weight_bits, int32_t act_bits);
/* "layer X is not there; similar names: ..". */
DFQI_CHECKED dfq_status dfqi_bits_unknown(const dfqi_bits *b, const char *where, const char *name);

/* What a weight of a row takes at this width, in bits: its code, and its share of the grid of its
 * group. Grids of rows are left out: they are the same at all widths. */
double dfqi_bits_of_weight(const dfqi_bits_row *r, int32_t bits);
/* Mean bits of a weight with groups, float ones counting as 32, and of an operand of a
 * multiplication that activations have quantizers for: each layer counts by its MACs. 0: there are
 * none. */
double dfqi_bits_mean_weight(const dfqi_bits *b);
double dfqi_bits_mean_act(const dfqi_bits *b);

/* -- files (file.c) ---------------------------------------------------------------------------- */

/* JSON: {"network": "vit_tiny", "layers": {"head": {"w": 8, "a": 8}, "conv1": "float", ..}}. */
DFQI_CHECKED dfq_status dfqi_bits_save(const dfqi_bits *b, const char *path);
/* Replaces all widths. DFQ_E_CORRUPT: no such file; DFQ_E_INVALID: of another network. On failure
 * the table stays as it is. */
DFQI_CHECKED dfq_status dfqi_bits_load(dfqi_bits *b, const char *path);

#endif
