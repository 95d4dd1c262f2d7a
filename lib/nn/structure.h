/* The structure of a network as data: a list of ops with operands, attributes and names. A network
 * that was imported has no code of its own; its structure takes the place of a family's
 * (imported.c). Structures are immutable and shared, and the metadata of a file hold their text
 * (structure_text.c). */
#ifndef DFQI_NN_STRUCTURE_H
#define DFQI_NN_STRUCTURE_H

#include "nn/family.h"

/* One for each graph builder that an imported network may need (graph/ops.h). */
typedef enum dfqi_structure_kind {
    DFQI_STRUCTURE_LINEAR,
    DFQI_STRUCTURE_MATMUL_NT,
    DFQI_STRUCTURE_MATMUL_NN,
    DFQI_STRUCTURE_CONV, /* stride, pad, dilation, groups, more padding behind */
    DFQI_STRUCTURE_ADD,
    DFQI_STRUCTURE_MUL,
    DFQI_STRUCTURE_GATE,
    DFQI_STRUCTURE_GELU,
    DFQI_STRUCTURE_TANH,
    DFQI_STRUCTURE_RELU,       /* cap; none: infinity. No quantizer is behind one without a name */
    DFQI_STRUCTURE_ACTIVATION, /* its kind, DFQI_ACTIVATION_* */
    DFQI_STRUCTURE_SOFTMAX,    /* scale */
    DFQI_STRUCTURE_LAYERNORM,  /* gamma, beta; eps */
    DFQI_STRUCTURE_BATCHNORM,  /* gamma, beta, mean, variance; eps */
    DFQI_STRUCTURE_PATCHIFY,
    DFQI_STRUCTURE_TOKENS, /* positions, and a token that goes first */
    DFQI_STRUCTURE_SELECT_TOKEN,
    DFQI_STRUCTURE_SPLIT_HEADS, /* heads, parts */
    DFQI_STRUCTURE_JOIN_HEADS,
    DFQI_STRUCTURE_CHANNELS_LAST,
    DFQI_STRUCTURE_RESHAPE,  /* extents behind the batch */
    DFQI_STRUCTURE_MAX_POOL, /* size, stride, pad, more padding behind */
    DFQI_STRUCTURE_AVG_POOL, /* the same, and whether padding counts */
    DFQI_STRUCTURE_MEAN_POOL,
    DFQI_STRUCTURE_PAD_IMAGE, /* above, before, below, behind */
    DFQI_STRUCTURE_CONCAT,
    DFQI_STRUCTURE_CHANNELS,   /* first, count */
    DFQI_STRUCTURE_AFFINE,     /* factor and summand of each channel */
    DFQI_STRUCTURE_REPEAT,     /* how often */
    DFQI_STRUCTURE_FUNCTION,   /* DFQI_ACTIVATION_*, without a quantizer behind it */
    DFQI_STRUCTURE_LEAKY_RELU, /* slope */
    DFQI_STRUCTURE_NORMALISE,  /* LayerNorm without factors and summands; eps */
    DFQI_STRUCTURE_KINDS
} dfqi_structure_kind;

enum {
    DFQI_STRUCTURE_IN = 5,
    DFQI_STRUCTURE_INTS = 5,
    DFQI_STRUCTURE_IMAGE = 0,    /* the value that is the image [B,C,Y,X] */
    DFQI_STRUCTURE_MOST = 16384, /* ops, and parameters */
    DFQI_STRUCTURE_EXTENT = 1 << 24
};

/* Values are numbered: the image, the parameters in their order, and the outputs of ops. */
typedef struct dfqi_structure_op {
    dfqi_structure_kind kind;
    char name[DFQI_LAYER_MAX]; /* "": none */
    int32_t n_in, in[DFQI_STRUCTURE_IN];
    int32_t n_out, out; /* values out .. out + n_out - 1 */
    int32_t n_ints;
    int64_t ints[DFQI_STRUCTURE_INTS];
    int32_t n_floats;
    float value; /* the one float that an op may have */
    int32_t tap; /* BatchNorm: its place among those that follow a convolution; -1: none */
} dfqi_structure_op;

/* The rules of a kind. */
typedef struct dfqi_structure_rule {
    const char *name;
    int32_t min_in, max_in;
    uint32_t params; /* bits of the operands that are parameters; the others are computed */
    int32_t min_ints, max_ints, min_floats, max_floats;
} dfqi_structure_rule;

/* What follows from the list (structure_facts.c). */
typedef struct dfqi_structure_facts {
    int32_t convs, linears, products, batchnorms, layernorms; /* products: of computed values */
    int32_t depthwise, pointwise; /* of the convolutions: one channel each; one tap each */
    int32_t norms;      /* BatchNorms behind convolutions, whose parameters come first, in fives */
    int32_t attentions; /* products of a softmax of a product */
    int64_t heads;      /* of each; 0: they differ */
    int64_t features;   /* that the classifier reads */
    char classifier[DFQI_LAYER_MAX];
    char summary[240]; /* in words */
} dfqi_structure_facts;

typedef struct dfqi_structure {
    dfq_context *ctx;
    int32_t refs;
    int64_t channels, classes;
    dfqi_size image;
    float eps; /* of the BatchNorms behind convolutions */
    int32_t n_params, n_ops, logits;
    dfqi_expect *params;
    dfqi_structure_op *ops;
    dfqi_structure_facts facts;
} dfqi_structure;

const dfqi_structure_rule *dfqi_structure_rule_of(dfqi_structure_kind kind);
/* Room for ops and parameters, which the caller fills; then dfqi_structure_finish(). */
DFQI_CHECKED dfq_status dfqi_structure_new(dfq_context *ctx, int32_t n_params, int32_t n_ops,
                                           dfqi_structure **out);
/* Numbers the outputs, checks every op, and finds the facts. `name` is whose error it is. */
DFQI_CHECKED dfq_status dfqi_structure_finish(dfqi_structure *p, const char *name);
dfqi_structure *dfqi_structure_retain(const dfqi_structure *p); /* NULL ok */
void dfqi_structure_release(dfqi_structure *p);                 /* NULL ok */
void dfqi_structure_find_facts(dfqi_structure *p);
/* The op that makes a value; NULL: the image or a parameter. */
const dfqi_structure_op *dfqi_structure_maker(const dfqi_structure *p, int32_t value);
bool dfqi_structure_is_param(const dfqi_structure *p, int32_t value);

/* Adds the forward pass (structure_ops.c). */
void dfqi_structure_forward(const dfqi_structure *p, float eps, dfqi_graph *g,
                            const dfqi_id *params, dfqi_id x, dfqi_taps *taps);

/* The text of a structure (dfqi_free it), and back. */
DFQI_CHECKED dfq_status dfqi_structure_text(const dfqi_structure *p, char **out);
DFQI_CHECKED dfq_status dfqi_structure_parse(dfq_context *ctx, const char *name, const char *text,
                                             dfqi_structure **out);

#endif
