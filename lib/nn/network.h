/* A network: its architecture, its input normalisation and its named parameters. */
#ifndef DFQI_NN_NETWORK_H
#define DFQI_NN_NETWORK_H

#include "graph/graph.h"
#include "io/class_names.h"
#include "io/image.h"
#include "nn/family_arch.h"
#include "nn/property.h"
#include "tensor/tensor.h"

typedef enum dfqi_family {
    DFQI_FAMILY_VIT = 0,
    DFQI_FAMILY_RESNET,
    DFQI_FAMILY_MOBILENET,
    DFQI_FAMILY_MBCONV, /* derived from a search space, like the next */
    DFQI_FAMILY_STAGES, /* stages of transformer blocks */
    DFQI_FAMILY_SWIN,
    DFQI_FAMILY_EFFICIENTNET, /* and MobileNetV2, V3: inverted residuals found from tensors */
    DFQI_FAMILY_IMPORTED,     /* of an ONNX file */
    DFQI_FAMILY_COUNT
} dfqi_family;

/* The architecture of a network: the properties that all families share. Plain data. */
typedef struct dfqi_arch {
    dfqi_family family;
    char name[64];    /* "vit_tiny_patch16_224" */
    dfqi_size image;  /* extents of the input */
    int64_t channels; /* 3 */
    int64_t classes;  /* outputs: logits, or features of a backbone */
    float eps;        /* of the norms */
    float mean[3], std[3];
    dfqi_size resize;                /* evaluation transform: see dfqi_preprocess */
    dfqi_filter filter;              /* its resampling */
    double crop;                     /* while a file is read: image / resize; 0: see resize */
    uint8_t source[DFQI_PROP_COUNT]; /* DFQ_SOURCE_* */
    dfqi_family_arch of;             /* what its family keeps */
} dfqi_arch;

typedef struct dfqi_param {
    char *name;         /* owned by the network */
    dfq_tensor *tensor; /* F32, retained */
    uint8_t fixed;      /* a running statistic: never trained */
} dfqi_param;

typedef struct dfqi_network {
    dfq_context *ctx;
    dfqi_arch arch;
    int32_t n_params;
    dfqi_param *params;      /* in the order of use */
    dfqi_class_names *names; /* of its classes; NULL: not known */
} dfqi_network;

/* Drops what dfqi_arch_find() put into an architecture. Those of networks and copies of them borrow
 * it. */
void dfqi_arch_fini(dfqi_arch *a);
void dfqi_network_fini(dfqi_network *net);
dfq_tensor *dfqi_network_find(const dfqi_network *net, const char *name); /* NULL: none */
/* Parameters counted in elements, without running statistics. */
int64_t dfqi_network_values(const dfqi_network *net);
/* Two networks must compute the same with the same weights; the text of DFQ_E_SHAPE says where they
 * differ. */
DFQI_CHECKED dfq_status dfqi_network_need_alike(dfq_context *ctx, const dfqi_network *teacher,
                                                const dfqi_network *student);
/* Continues a hash with the properties of an architecture that names and shapes of parameters do
 * not show. */
uint64_t dfqi_arch_hash(uint64_t hash, const dfqi_arch *a);
/* A fingerprint of names, shapes and bits of all parameters and of the architecture. */
uint64_t dfqi_network_hash(const dfqi_network *net);
/* A deep copy: the student of a teacher. */
DFQI_CHECKED dfq_status dfqi_network_clone(const dfqi_network *net, dfqi_network *out);
/* All tensors zero, in the order and shapes of the architecture. */
DFQI_CHECKED dfq_status dfqi_network_new(dfq_context *ctx, const dfqi_arch *arch,
                                         dfqi_network *out);
/* Random weights, and norms that are the identity. Every parameter has a random stream of its
 * own. */
void dfqi_network_init(dfqi_network *net, uint64_t seed);

/* -- building graphs --------------------------------------------------------------------------- */

/* A BatchNorm: its input and its parameters. */
typedef struct dfqi_norm_tap {
    dfqi_id x; /* [B,Y,X,C] */
    dfqi_id gamma, beta, mean, var;
} dfqi_norm_tap;

/* The attention of a block. */
typedef struct dfqi_attention {
    int64_t heads, windows; /* H heads in each of W windows, which are 1 in a ViT or DeiT */
    int64_t tokens, width;  /* N of a window, d channels of a head */
    int64_t drop;           /* leading tokens that are no patches of the image: a class token */
    dfqi_size grid;         /* the others, of all windows, as a map of the image */
} dfqi_attention;

/* Intermediate values of a forward pass. Arrays have one entry for each block with attention
 * (dfqi_arch_blocks()); `norms` has one for each BatchNorm of a convolutional network. */
typedef struct dfqi_taps {
    dfqi_id logits;
    dfqi_id *raw;  /* query-key products before scale, bias and softmax [B,W*H,N,N] */
    dfqi_id *attn; /* softmax maps [B,W*H,N,N] */
    dfqi_id *head; /* attention outputs before the projection [B,W*H,N,d] */
    dfqi_norm_tap *norms;
} dfqi_taps;

/* The architecture of a path through a space, except the normalisation of its input. */
void dfqi_arch_derive(const dfqi_supernet_space *space, const int32_t *path, dfqi_arch *out);
/* What was recognised in an imported network; "": it is none. */
const char *dfqi_arch_structure(const dfqi_arch *a);
/* Is it a derived network? */
int dfqi_arch_is_derived(const dfqi_arch *a);
/* Is it a network without a head, whose outputs are features? arch.classes is their number. */
int dfqi_arch_is_backbone(const dfqi_arch *a);
/* DFQ_E_UNSUPPORTED for such a network; `what` asks for classes. */
DFQI_CHECKED dfq_status dfqi_arch_need_classes(dfq_context *ctx, const dfqi_arch *a,
                                               const char *what);
/* Is it a convolutional network? */
int dfqi_arch_is_cnn(const dfqi_arch *a);
/* What most of the residual units of a convolutional network are made of. */
typedef enum dfqi_units {
    DFQI_UNITS_PLAIN = 0,  /* 3x3 convolutions */
    DFQI_UNITS_BOTTLENECK, /* a 3x3 between two 1x1 */
    DFQI_UNITS_INVERTED    /* a depthwise convolution between two 1x1 */
} dfqi_units;
dfqi_units dfqi_arch_units(const dfqi_arch *a);
/* DFQ_E_UNSUPPORTED for a network without attention that losses may look at; `what` asks for it. */
DFQI_CHECKED dfq_status dfqi_arch_need_attention(dfq_context *ctx, const dfqi_arch *a,
                                                 const char *what);
/* Blocks with such an attention; 0 for other families than ViT, DeiT and Swin. */
int64_t dfqi_arch_blocks(const dfqi_arch *a);
void dfqi_arch_attention(const dfqi_arch *a, int64_t block, dfqi_attention *out);
/* Sizes of a vision transformer, those of the first stage where it has several. 0: there is no such
 * size, and convolutional networks have none. */
typedef struct dfqi_sizes {
    int64_t patch; /* its side in pixels */
    int64_t width, depth, heads, hidden, stages, window;
} dfqi_sizes;
dfqi_sizes dfqi_arch_sizes(const dfqi_arch *a);
int64_t dfqi_arch_patch(const dfqi_arch *a);
/* Number of BatchNorms; 0 for vision transformers. */
int32_t dfqi_arch_norms(const dfqi_arch *a);

/* Values of one image, channels x height x width. */
int64_t dfqi_arch_pixels(const dfqi_arch *a);
/* Adds the input to `g`: x[B,channels,height,width]. */
dfqi_id dfqi_arch_input(const dfqi_arch *a, dfqi_graph *g);
/* Adds the parameters to `g`; ids[n_params] in the order of net->params. frozen: they stay as they
 * are for the life of the graph; running statistics always do. */
void dfqi_network_params(const dfqi_network *net, dfqi_graph *g, int frozen, dfqi_id *ids);
/* Adds the forward pass on x[B,3,height,width]. Products are named like their weight without its
 * ".weight", ReLUs "<layer>.relu" or "<unit>.relu". taps arrays may be NULL when nobody needs
 * them. */
void dfqi_network_forward(const dfqi_network *net, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                          dfqi_taps *taps);
/* A rewrite (graph.h) that changes nothing: with it a forward pass leaves nothing out. */
dfqi_id dfqi_rewrite_nothing(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                             dfqi_id value, void *user);
/* The forward graph of one image, including the nodes that a graph leaves out when nobody reads
 * them: for counting, not for running. The caller frees it. */
DFQI_CHECKED dfq_status dfqi_network_whole(const dfqi_network *net, dfqi_graph **out);
/* Multiply-accumulates of one image in the products of the whole network, including nodes that a
 * graph leaves out when nobody reads them. A float network and its quantized form have the same
 * number. */
DFQI_CHECKED dfq_status dfqi_network_macs(const dfqi_network *net, double *out);

#endif
