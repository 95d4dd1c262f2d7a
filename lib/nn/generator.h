/* Generator networks for zero-shot quantization (docs/METHODS.md, Generators). The inputs are noise
 * and classes; the output is a batch of normalised images. BatchNorms use the statistics of the
 * batch.
 *
 *   GDFQ    Xu et al., ECCV 2020. For small images, a learned embedding of the class scales the
 *           noise. For large ones, the class selects scale and shift of every BatchNorm.
 *   QIMERA  Choi et al., NeurIPS 2021. Noise is added to the embedding of the class; an image may
 *           be of a mixture of `slots` classes. The rest is as in GDFQ.
 *   ARC     Zhu et al., IJCAI 2021: the cells that AutoReCon's search found. */
#ifndef DFQI_NN_GENERATOR_H
#define DFQI_NN_GENERATOR_H

#include "nn/network.h"

typedef enum dfqi_generator_kind {
    DFQI_GENERATOR_GDFQ,
    DFQI_GENERATOR_QIMERA,
    DFQI_GENERATOR_ARC
} dfqi_generator_kind;

/* The published width of the latent (QIMERA: that of the network's features); inputs of noise. */
enum { DFQI_GENERATOR_LATENT = 100, DFQI_GENERATOR_NOISES = 3 };

/* The quantized network for which AutoReCon's search found the generator network. */
typedef enum dfqi_arc_cells {
    DFQI_ARC_CIFAR10,
    DFQI_ARC_CIFAR100,
    DFQI_ARC_RESNET18,
    DFQI_ARC_RESNET50,
    DFQI_ARC_MOBILENET,
    DFQI_ARC_CELLS
} dfqi_arc_cells;

typedef struct dfqi_generator_arch {
    dfqi_generator_kind kind;
    dfqi_size image; /* multiples of 4; of ARC 8 */
    int64_t classes;
    int64_t latent;       /* noise values of an image */
    int32_t conditional;  /* GDFQ and QIMERA: the form for large images */
    int64_t slots;        /* QIMERA: classes of a mixture */
    int64_t reduced;      /* QIMERA: size of the latent after a linear layer; 0: no such layer */
    dfqi_arc_cells cells; /* ARC */
} dfqi_generator_arch;

typedef struct dfqi_generator {
    dfq_context *ctx;
    dfqi_generator_arch arch;
    int32_t n_params;
    dfqi_param *params;
} dfqi_generator;

/* The inputs of a pass. QIMERA: noise is [B,slots,latent], labels are [B,slots], and each image has
 * weights [B,slots] for its slots:
 *
 *     a mixture a[slots]   mix = a, own = 0, norm_mix = a / slots (the published mean over slots)
 *     the class of slot 0  mix = 0, own = norm_mix = 1 0 0 ... */
typedef struct dfqi_generator_inputs {
    dfqi_id noise[DFQI_GENERATOR_NOISES]; /* ~ N(0,1): [B,latent]; ARC [B,33], [B,33], [B,34] */
    dfqi_id labels;                       /* [B], class numbers as floats */
    dfqi_id mix, own;                     /* QIMERA, else DFQI_NONE */
    dfqi_id norm_mix;                     /* QIMERA's form for large images, else DFQI_NONE */
} dfqi_generator_inputs;

/* Random weights as torch's defaults, each parameter from a stream of its own. */
DFQI_CHECKED dfq_status dfqi_generator_new(dfq_context *ctx, const dfqi_generator_arch *arch,
                                           uint64_t seed, dfqi_generator *out);
void dfqi_generator_fini(dfqi_generator *net);                                /* all zero ok */
dfq_tensor *dfqi_generator_find(const dfqi_generator *net, const char *name); /* NULL: none */
/* Values of all parameters; of an architecture without making them. */
int64_t dfqi_generator_values(const dfqi_generator *net);
DFQI_CHECKED dfq_status dfqi_generator_count(dfq_context *ctx, const dfqi_generator_arch *arch,
                                             int64_t *out);

/* Noise values of one image in input i; 0: there is no such input. */
int64_t dfqi_generator_noise(const dfqi_generator_arch *a, int32_t i);
/* Adds the inputs to `g`, and the parameters, trainable: ids[n_params]. */
void dfqi_generator_inputs_add(const dfqi_generator *net, dfqi_graph *g,
                               dfqi_generator_inputs *out);
void dfqi_generator_params(const dfqi_generator *net, dfqi_graph *g, dfqi_id *ids);
/* [B,3,height,width]. */
dfqi_id dfqi_generator_forward(const dfqi_generator *net, dfqi_graph *g, const dfqi_id *params,
                               const dfqi_generator_inputs *in);

#endif
