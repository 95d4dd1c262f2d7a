/* Shared by the generator networks: lists of parameters, and layers that use them in that order. */
#ifndef DFQI_NN_GENERATOR_PRIV_H
#define DFQI_NN_GENERATOR_PRIV_H

#include "nn/generator.h"

enum { DFQI_WEIGHT_NAME = 32 };

/* Initial values of a parameter: torch's defaults. */
typedef enum dfqi_weight_start {
    DFQI_START_UNIFORM, /* within 1 / sqrt(fan_in) */
    DFQI_START_NORMAL,
    DFQI_START_ONE,
    DFQI_START_ZERO
} dfqi_weight_start;

typedef struct dfqi_weight {
    char name[DFQI_WEIGHT_NAME];
    int32_t rank;
    int64_t dims[4];
    dfqi_weight_start start;
    int64_t fan_in;
} dfqi_weight;

typedef struct dfqi_weights {
    const dfqi_generator_arch *a;
    int32_t n;
    dfqi_weight *rows; /* NULL: only counted */
} dfqi_weights;

/* Each adds the parameters of the layer of the same name: weight and bias, or scale and shift. */
void dfqi_list_embed(dfqi_weights *l, int64_t width);
void dfqi_list_linear(dfqi_weights *l, const char *name, int64_t out, int64_t in);
void dfqi_list_conv(dfqi_weights *l, const char *name, int64_t out, int64_t in, int64_t kernel);
void dfqi_list_norm(dfqi_weights *l, const char *name, int64_t channels);

/* A forward pass. */
typedef struct dfqi_maker {
    const dfqi_generator_arch *a;
    const dfqi_generator_inputs *in;
    dfqi_graph *g;
    const dfqi_id *next; /* parameter */
} dfqi_maker;

dfqi_id dfqi_make_linear(dfqi_maker *m, const char *name, dfqi_id x);
/* Stride 1, as many pixels as before. */
dfqi_id dfqi_make_conv(dfqi_maker *m, const char *name, dfqi_id x, int64_t kernel,
                       int64_t dilation);
/* BatchNorm of x[B,Y,X,C] with the statistics `mean` and the output that follows it. In the
 * conditional form each image has the scale and shift of its class. */
dfqi_id dfqi_make_norm(dfqi_maker *m, dfqi_id x, dfqi_id mean, float eps);
/* tanh, and BatchNorm without scale and shift: the end of every generator. [B,3,S,S]. */
dfqi_id dfqi_make_image(dfqi_maker *m, dfqi_id x);
/* sum over slots of mix[B,slots] x[B,slots,D] -> [B,D]. */
dfqi_id dfqi_make_mixture(dfqi_maker *m, dfqi_id mix, dfqi_id x);

/* The published code passes 0.8 where BatchNorm takes its epsilon. */
#define DFQI_GENERATOR_EPS      1e-5f
#define DFQI_GENERATOR_WIDE_EPS 0.8f
#define DFQI_GENERATOR_SLOPE    0.2f

/* The layers after the latent [B,D], common to GDFQ and QIMERA. */
void dfqi_list_stack(dfqi_weights *l, int64_t latent);
dfqi_id dfqi_make_stack(dfqi_maker *m, dfqi_id latent);

/* The kinds. */
void dfqi_gdfq_list(dfqi_weights *l);
dfqi_id dfqi_gdfq_make(dfqi_maker *m);
void dfqi_qimera_list(dfqi_weights *l);
dfqi_id dfqi_qimera_make(dfqi_maker *m);
void dfqi_arc_list(dfqi_weights *l);
dfqi_id dfqi_arc_make(dfqi_maker *m);

#endif
