/* Common code of the convolutional families. A network is a list of convolutions, each followed by
 * a BatchNorm, and a classifier. Forward passes use the layers in the order of that list. */
#ifndef DFQI_NN_CNN_H
#define DFQI_NN_CNN_H

#include "graph/ops.h"
#include "nn/family.h"

/* A convolution without bias and its BatchNorm; it pads by half its kernel. Or a layer with a bias,
 * of which `conv`, `in`, `out` and `linear` alone count. */
typedef struct dfqi_cnn_layer {
    char conv[DFQI_LAYER_MAX]; /* names of the parameters before the last dot */
    char norm[DFQI_LAYER_MAX];
    int64_t in, out, kernel, stride;
    int32_t depthwise;
    int64_t groups; /* of channels; 0: 1, or depthwise */
    int32_t same;   /* 1: padded as TensorFlow's SAME */
    int32_t linear; /* with a bias: its weight has two axes, not those of a 1x1 convolution */
} dfqi_cnn_layer;

/* The classifier on averaged features. */
typedef struct dfqi_cnn_head {
    char name[DFQI_LAYER_MAX];
    int64_t in;
    int32_t conv; /* 1: its weight is that of a 1x1 convolution */
    int32_t bias;
} dfqi_cnn_head;

/* As in dfqi_family_row, of ResNet and MobileNetV2. */
const char *dfqi_cnn_keys(const dfqi_arch *a);
/* Groups of the layer's convolution. */
int64_t dfqi_cnn_groups(const dfqi_cnn_layer *l);

/* Norms, layers, classifier and forward pass of the families whose rows are in load_*.c. */
int32_t dfqi_resnet_norms(const dfqi_arch *a);
/* DFQ_STEM_*: the stem that the architecture states, or the usual one for the stem's kernel. */
int32_t dfqi_resnet_stem(const dfqi_arch *a);
void dfqi_resnet_layer(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out);
void dfqi_resnet_head(const dfqi_arch *a, dfqi_cnn_head *out);
void dfqi_resnet_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                         dfqi_taps *taps);
int32_t dfqi_mobilenet_norms(const dfqi_arch *a);
void dfqi_mobilenet_layer(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out);
void dfqi_mobilenet_head(const dfqi_arch *a, dfqi_cnn_head *out);
void dfqi_mobilenet_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                            dfqi_taps *taps);

void dfqi_cnn_head_of(const dfqi_arch *a, dfqi_cnn_head *out);

/* Parameters: five of each layer (weight, then gamma, beta, mean, variance), two of each layer with
 * a bias, then the head's. */
int32_t dfqi_cnn_count(const dfqi_arch *a);
void dfqi_cnn_expect(const dfqi_arch *a, dfqi_expect *out);

/* Functions for the rows of the family table. */
uint64_t dfqi_cnn_hash(uint64_t hash, const dfqi_arch *a);
DFQI_CHECKED dfq_status dfqi_cnn_alike(dfq_context *ctx, const dfqi_arch *teacher,
                                       const dfqi_arch *student);

/* -- forward passes ---------------------------------------------------------------------------- */

typedef struct dfqi_cnn_pass {
    const dfqi_arch *a;
    dfqi_graph *g;
    const dfqi_id *params;
    dfqi_taps *taps;
    int32_t next;         /* layer */
    int32_t next_biased;  /* layer with a bias */
    dfqi_cnn_layer layer; /* the last one taken */
} dfqi_cnn_pass;

/* The next layer on x[B,Y,X,C]. */
dfqi_id dfqi_cnn_conv(dfqi_cnn_pass *p, dfqi_id x);
/* The ReLU after that layer, named after it. */
dfqi_id dfqi_cnn_relu(dfqi_cnn_pass *p, dfqi_id x, float cap);
/* The next layer with a bias on x[B,C]: [B,out]. */
dfqi_id dfqi_cnn_biased(dfqi_cnn_pass *p, dfqi_id x);
/* An activation with a curve after the last layer of a convolution, named "<layer>.act". */
dfqi_id dfqi_cnn_activation(dfqi_cnn_pass *p, dfqi_id x, dfqi_activation_kind kind);
/* The classifier on x[B,C]: [B,classes]. */
dfqi_id dfqi_cnn_head_on(dfqi_cnn_pass *p, dfqi_id x);
/* Mean over positions, and the classifier: [B,classes]. */
dfqi_id dfqi_cnn_classify(dfqi_cnn_pass *p, dfqi_id x);

/* -- loading ----------------------------------------------------------------------------------- */

/* Is there a tensor with this name? */
bool dfqi_cnn_has(const dfqi_safetensors *st, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Completes an architecture whose layers are known: the number of classes, and assumed values for
 * the properties that tensors do not show. */
DFQI_CHECKED dfq_status dfqi_cnn_find(const dfqi_safetensors *st, const char *path, int64_t image,
                                      dfqi_arch *a);

#endif
