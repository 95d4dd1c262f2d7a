/* Networks of inverted residuals found from their tensors: EfficientNet and EfficientNet-Lite,
 * MobileNetV2 and MobileNetV3. */
#ifndef DFQI_NN_INVERTED_H
#define DFQI_NN_INVERTED_H

#include "nn/cnn.h"

/* What the kernels of the stages, and which of them have squeeze-and-excite, tell of a network. */
typedef struct dfqi_inverted_row {
    const char *kernels; /* of each stage */
    const char *squeeze; /* "1": the stage's blocks have squeeze-and-excite */
    const char *strides; /* of each stage's first block */
    const char *relu;    /* "1": the stage has ReLU in place of the form's activation */
    const char *word;    /* the activation as metadata call it */
    const char *name;    /* how names of such networks begin */
} dfqi_inverted_row;

const dfqi_inverted_row *dfqi_inverted_form_of(const dfqi_arch *a);
/* The form whose stages are those; DFQI_INVERTED_FORMS if there is none. */
dfqi_inverted_form dfqi_inverted_find_form(const char *kernels, const char *squeeze);

/* So many times as many channels: a multiple of 8, not more than a tenth below. */
int32_t dfqi_inverted_channels(int32_t channels, double width);
/* The size of an EfficientNet: 0 of B0 or Lite0, 1 of B1 ...; -1: none that is known. */
int32_t dfqi_inverted_size(const dfqi_arch *a);
/* Its usual image, and the share of the crop. */
int64_t dfqi_inverted_image(int32_t size, double *out_crop);

/* Names of parameters before the last dot; `layer`: expand, depthwise or project. */
typedef enum dfqi_inverted_layer {
    DFQI_INVERTED_EXPAND,
    DFQI_INVERTED_DEPTHWISE,
    DFQI_INVERTED_PROJECT,
    DFQI_INVERTED_REDUCE, /* squeeze-and-excite */
    DFQI_INVERTED_RETURN
} dfqi_inverted_layer;

typedef struct dfqi_inverted_names {
    char conv[DFQI_LAYER_MAX], norm[DFQI_LAYER_MAX];
} dfqi_inverted_names;

/* Of block `index`, which is `unit` of `stage`; expands: it has the first convolution; squeezes: it
 * has squeeze-and-excite. */
void dfqi_inverted_name_layer(const dfqi_inverted_arch *c, int32_t index,
                              const dfqi_inverted_block *b, dfqi_inverted_layer layer,
                              dfqi_inverted_names *out);
/* The first convolution, and the last (behind all stages). */
void dfqi_inverted_name_stem(const dfqi_inverted_arch *c, dfqi_inverted_names *out);
void dfqi_inverted_name_last(const dfqi_inverted_arch *c, dfqi_inverted_names *out);
/* MobileNetV3's linear layer before the classifier, and the classifier. */
const char *dfqi_inverted_hidden_name(const dfqi_inverted_arch *c);
const char *dfqi_inverted_head_name(const dfqi_inverted_arch *c);

int32_t dfqi_inverted_norms(const dfqi_arch *a);
void dfqi_inverted_layer_at(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out);
int32_t dfqi_inverted_biased(const dfqi_arch *a);
void dfqi_inverted_biased_at(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out);
void dfqi_inverted_head(const dfqi_arch *a, dfqi_cnn_head *out);
void dfqi_inverted_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                           dfqi_taps *taps);

#endif
