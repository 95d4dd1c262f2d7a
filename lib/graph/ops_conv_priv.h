/* Shared by the files of convolution: attributes of its nodes, and how it is done. */
#ifndef DFQI_GRAPH_OPS_CONV_PRIV_H
#define DFQI_GRAPH_OPS_CONV_PRIV_H

#include "graph/ops_priv.h"

/* attr of conv, conv_dx and conv_dw: i = stride, pad, dilation, groups, more; conv_dx: Y, X of x;
 * conv_dw: 1 in BIAS_OF_X if the bias was added to x, for the gradient of conv_dx */
enum {
    CONV_STRIDE,
    CONV_PAD,
    CONV_DILATION,
    CONV_GROUPS,
    CONV_MORE,
    CONV_IN_Y,
    CONV_IN_X,
    CONV_BIAS_OF_X = CONV_IN_Y,
    CONV_LIMIT = 64
};

/* Four ways to do it; the choice depends on the shape alone. */
typedef enum dfqi_conv_method {
    DFQI_CONV_DENSE,
    DFQI_CONV_DEPTHWISE,
    DFQI_CONV_WINOGRAD,
    DFQI_CONV_GROUPED
} dfqi_conv_method;

/* x[.,Y,X,C], w, y[.,Y',X',O] */
dfqi_conv_shape dfqi_conv_shape_of(const dfqi_attr *a, const int64_t *x, const int64_t *w,
                                   const int64_t *y);
dfqi_conv_method dfqi_conv_method_of(const dfqi_attr *a, const dfqi_conv_shape *s);
/* Groups that lie apart in packed weights. */
int64_t dfqi_conv_packed_groups(const dfqi_attr *a, const dfqi_conv_shape *s);
/* Floats of scratch for x, w and y; `images` of a group lie beside each other. */
int64_t dfqi_conv_scratch_of(const dfqi_graph *g, const dfqi_node *n, dfqi_id x, dfqi_id w,
                             dfqi_id y, int64_t images);
double dfqi_conv_macs_of(const dfqi_graph *g, dfqi_id w, dfqi_id y);

/* Convolutions in groups of channels (ops_conv_group.c): `s` is the whole shape, of c channels and
 * o filters. Operands and results of a run are those of conv, conv_dx and conv_dw. */
void dfqi_conv_group_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups);
void dfqi_conv_group_dx_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups);
/* The weights of one group from `images` images on. */
void dfqi_conv_group_dw_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups,
                            int64_t group, int64_t images, const float *x, const float *dy,
                            float *dw);
/* Floats of scratch for `images` images of one group beside each other. */
int64_t dfqi_conv_group_scratch(const dfqi_conv_shape *s, int64_t groups, int64_t images);

#endif
