/* Rounding of one layer (rounding.c walks over all of them). Weights W[O,n] act on inputs x~ of the
 * student; what they should yield are the outputs that the teacher's weights have on its inputs x.
 *
 * A layer is one system of linear equations, whose moments all rows of weights share. A convolution
 * in groups has one for each of them, with the group's rows; a depthwise one has one row in each.
 * Inputs of a convolution are the patches that its kernel sees, in the order of a filter's
 * weights. */
#ifndef DFQI_QUANT_ROUNDING_PRIV_H
#define DFQI_QUANT_ROUNDING_PRIV_H

#include <math.h>

#include "kernel/weight_groups.h"
#include "quant/scheme_priv.h"
#include "quant/second_moments.h"

/* Inputs of a layer, as the graph has them. */
typedef struct dfqi_inputs_shape {
    dfqi_conv_shape conv; /* kernel_y 0: a linear layer */
    int64_t image;        /* floats of one image's inputs */
    int64_t rows;         /* rows (tokens, positions) of one image */
    int64_t every;        /* of which one in so many is taken, to keep to the limit */
    int64_t groups;
} dfqi_inputs_shape;

typedef struct dfqi_round_layer {
    dfq_context *ctx;
    dfqi_site *site;
    const char *name;
    const float *teacher, *teacher_bias; /* [O,n], [O] or NULL */
    float *w, *bias;                     /* the student's, bias NULL: it stays */
    const float *col;         /* column factors [n] or NULL: V = W diag(col) is rounded */
    int64_t rows, n, systems; /* O, n, groups */
    dfqi_inputs_shape in;
    dfqi_input_moments *moments; /* [systems] */
} dfqi_round_layer;

/* Rows of each system, and the moments of row r. */
static inline int64_t dfqi_round_rows(const dfqi_round_layer *l)
{
    return l->rows / l->systems;
}

static inline const dfqi_input_moments *dfqi_round_moments(const dfqi_round_layer *l, int64_t r)
{
    return &l->moments[r / dfqi_round_rows(l)];
}

/* -- inputs (round_inputs.c) ------------------------------------------------------------------- */

/* The layer's node in a graph; DFQI_NONE if the name has none. */
int32_t dfqi_round_node(const dfqi_graph *g, const char *name);
/* How a node reads its inputs, of which at most about `limit` rows of n images are to be taken. */
dfqi_inputs_shape dfqi_round_inputs(const dfqi_graph *g, int32_t node, int64_t n, int64_t limit);
/* Scratch floats of dfqi_round_add(). */
size_t dfqi_round_scratch(const dfqi_round_layer *l);
/* Adds the inputs of images first .. first + n - 1 to the moments. */
void dfqi_round_add(dfqi_round_layer *l, int64_t first, int64_t n, const float *student,
                    const float *teacher, float *scratch);

/* DFQ_E_NUMERIC: the moments of the layer's inputs cannot be factored. */
DFQI_CHECKED dfq_status dfqi_round_singular(const dfqi_round_layer *l);

/* -- weights ----------------------------------------------------------------------------------- */

/* Ridge correction (ridge.c): moves w and bias so that the layer undoes what its inputs lost. The
 * penalty is a multiple of the inputs' mean power. */
DFQI_CHECKED dfq_status dfqi_ridge(dfqi_round_layer *l, double penalty);
/* The scales of the weights as they are, by error search with the power of the inputs
 * (round_search.c). */
DFQI_CHECKED dfq_status dfqi_round_search(dfqi_round_layer *l);
/* Rounding with compensation (gptq.c), of the weights as they are. The diagonal of the moments is
 * raised by `damping` times its mean, so that they can be inverted. DFQ_E_NUMERIC for moments that
 * cannot be factored. */
DFQI_CHECKED dfq_status dfqi_gptq(dfqi_round_layer *l, double damping);
/* The nearest codes instead. */
void dfqi_round_nearest(dfqi_round_layer *l);
/* The bias takes up the mean difference to the teacher's output. */
void dfqi_round_bias(dfqi_round_layer *l);

/* The value next to v on a grid of distance `scale`. */
static inline float dfqi_round_value(const dfqi_site *site, float v, float scale)
{
    float q = rintf(v / scale);
    q = q < site->qmin ? site->qmin : q > site->qmax ? site->qmax : q;
    return q * scale;
}

/* The value next to v, of column c, on the grid that row r has there. */
static inline float dfqi_round_at(const dfqi_round_layer *l, int64_t r, int64_t c, float v)
{
    const dfqi_site *site = l->site;
    const float scale = dfqi_tensor_f32(site->scale)[r];
    if (!site->groups) return dfqi_round_value(site, v, scale);
    const dfqi_group_grid g =
        dfqi_group_grid_of(dfqi_tensor_f32(site->groups)[(r * l->n + c) / site->group]);
    return dfqi_group_value(dfqi_group_code(v, scale, g, site->qmax - site->qmin), scale, g);
}

#endif
