/* Helpers shared by the op files: shape rules and rows of the op table. */
#ifndef DFQI_GRAPH_OPS_PRIV_H
#define DFQI_GRAPH_OPS_PRIV_H

#include "graph/graph.h"
#include "graph/ops.h"

/* Sets an output's shape. dims[0] is the batch if `batched`. */
void dfqi_out(dfqi_graph *g, const dfqi_node *n, int32_t slot, int batched, int32_t rank,
              const int64_t *dims);
/* Output `slot` has the shape of value v. */
void dfqi_out_like(dfqi_graph *g, const dfqi_node *n, int32_t slot, dfqi_id v);
const dfqi_value *dfqi_in(const dfqi_graph *g, const dfqi_node *n, int32_t slot);
/* For builders that read operands before they make a node, which checks them. It is also false if
 * the graph has failed. */
bool dfqi_has_value(const dfqi_graph *g, dfqi_id v);
/* DFQ_E_SHAPE naming the node, the expected shape and the operand's shape. */
DFQI_CHECKED dfq_status dfqi_bad_shape(const dfqi_graph *g, const dfqi_node *n, int32_t slot,
                                       const char *expected);
/* An operand with `count` elements that all images share. */
bool dfqi_is_shared(const dfqi_value *v, int64_t count);
bool dfqi_same_shape(const dfqi_value *a, const dfqi_value *b);
/* shape rule: output 0 like operand 0 */
DFQI_CHECKED dfq_status dfqi_shape_same(dfqi_graph *g, dfqi_node *n);
/* shape rule: one value for each image of operand 0, [B] */
DFQI_CHECKED dfq_status dfqi_shape_per_image(dfqi_graph *g, dfqi_node *n);
/* cost rule: one for each element of operand 0 */
double dfqi_macs_input(const dfqi_graph *g, const dfqi_node *n);
/* A class number written as a float, forced into 0 .. classes - 1. */
int64_t dfqi_class_of(float y, int64_t classes);
/* Makes a node without a name. */
dfqi_id dfqi_make(dfqi_graph *g, dfqi_op_kind op, const dfqi_attr *attr, int32_t n_in,
                  const dfqi_id *in);

/* -- convolution ------------------------------------------------------------------------------- */

/* w[O,C,kh,kw] in the order of conv's kernels; trans: of those to the input, winograd: as taps of
 * Winograd's tiles. With groups above 1 each group of filters is packed by itself. */
dfqi_id dfqi_conv_pack(dfqi_graph *g, dfqi_id w, bool trans, bool winograd, int64_t groups);
/* The gradient to w from the gradient to the packed weights (packed without trans). */
dfqi_id dfqi_conv_unpack(dfqi_graph *g, dfqi_id packed, dfqi_id w, bool winograd, int64_t groups);
/* The transposed convolution in one group: the gradient to an x[B,y,x,C] of that of dy[B,Y,X,O] and
 * w[O,C,kh,kw], plus b[C]. b may be DFQI_NONE. */
dfqi_id dfqi_conv_transposed(dfqi_graph *g, dfqi_id dy, dfqi_id w, dfqi_id b,
                             const dfqi_conv_attr *a, int64_t y, int64_t x);

extern const dfqi_op dfqi_ops_product[], dfqi_ops_conv_pack[], dfqi_ops_conv[], dfqi_ops_conv_dw[],
    dfqi_ops_upconv[], dfqi_ops_row[], dfqi_ops_layout[], dfqi_ops_image[], dfqi_ops_pool[],
    dfqi_ops_norm[], dfqi_ops_loss[], dfqi_ops_structure[], dfqi_ops_quant[], dfqi_ops_quant_row[],
    dfqi_ops_range[], dfqi_ops_leading[], dfqi_ops_activation[], dfqi_ops_part[], dfqi_ops_heads[],
    dfqi_ops_window[], dfqi_ops_reconstruct[], dfqi_ops_broadcast[];

#endif
