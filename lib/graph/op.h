/* The op table, one row per op. A row holds everything that the graph knows about the op. */
#ifndef DFQI_GRAPH_OP_H
#define DFQI_GRAPH_OP_H

#include <stdbool.h>

#include "kernel/kernel.h"

typedef int32_t dfqi_id; /* a value of a graph */
enum { DFQI_NONE = -1, DFQI_IN_MAX = 8, DFQI_OUT_MAX = 3, DFQI_ATTR_MAX = 8 };

typedef struct dfqi_graph dfqi_graph;
struct dfqi_node;

/* Small constants of a node. The op's builder in ops.h says what each means. */
typedef struct dfqi_attr {
    int64_t i[DFQI_ATTR_MAX];
    float f[DFQI_ATTR_MAX];
} dfqi_attr;

typedef enum dfqi_op_kind {
    /* products */
    DFQI_OP_PACK,
    DFQI_OP_LINEAR,
    DFQI_OP_LINEAR_DX,
    DFQI_OP_LINEAR_DW,
    DFQI_OP_MATMUL_NT,
    DFQI_OP_MATMUL_NN,
    DFQI_OP_MATMUL_TN,
    /* convolution */
    DFQI_OP_CONV_PACK,
    DFQI_OP_CONV_UNPACK,
    DFQI_OP_SUM_PARTS,
    DFQI_OP_CONV,
    DFQI_OP_CONV_DX,
    DFQI_OP_CONV_DW,
    /* convolution of an upsampled image */
    DFQI_OP_UP_FILTER,
    DFQI_OP_UP_FILTER_DW,
    /* elementwise and rows */
    DFQI_OP_ADD,
    DFQI_OP_MUL,
    DFQI_OP_GELU,
    DFQI_OP_GELU_DX,
    DFQI_OP_RELU,
    DFQI_OP_RELU_DX,
    DFQI_OP_LEAKY_RELU,
    DFQI_OP_LEAKY_RELU_DX,
    DFQI_OP_TANH,
    DFQI_OP_TANH_DX,
    DFQI_OP_SOFTMAX,
    DFQI_OP_SOFTMAX_DX,
    DFQI_OP_LAYERNORM,
    DFQI_OP_LAYERNORM_DX,
    /* layout */
    DFQI_OP_PATCHIFY,
    DFQI_OP_UNPATCHIFY,
    DFQI_OP_TOKENS,
    DFQI_OP_DROP_TOKENS,
    DFQI_OP_SELECT_TOKEN,
    DFQI_OP_SCATTER_TOKEN,
    DFQI_OP_SUM_BATCH,
    DFQI_OP_ROLL,
    DFQI_OP_CHANNEL_AFFINE,
    /* images with channels last */
    DFQI_OP_CHANNELS_LAST,
    DFQI_OP_CHANNELS_FIRST,
    DFQI_OP_RESHAPE,
    DFQI_OP_SUBSAMPLE_PAD,
    DFQI_OP_SUBSAMPLE_PAD_DX,
    DFQI_OP_EMBED,
    DFQI_OP_EMBED_DTABLE,
    /* pooling and upsampling */
    DFQI_OP_MAX_POOL,
    DFQI_OP_MAX_POOL_DX,
    DFQI_OP_MEAN_POOL,
    DFQI_OP_MEAN_POOL_DX,
    DFQI_OP_UPSAMPLE,
    DFQI_OP_UPSAMPLE_DX,
    /* batch normalisation */
    DFQI_OP_BATCH_MOMENTS,
    DFQI_OP_BATCH_STATS,
    DFQI_OP_BATCH_STATS_DX,
    DFQI_OP_BATCHNORM,
    DFQI_OP_BATCHNORM_DX,
    DFQI_OP_BATCHNORM_SUMS,
    DFQI_OP_BATCHNORM_DSTATS,
    DFQI_OP_BNS,
    DFQI_OP_BNS_DX,
    /* losses */
    DFQI_OP_CROSS_ENTROPY,
    DFQI_OP_CROSS_ENTROPY_DX,
    DFQI_OP_SOFT_CROSS_ENTROPY,
    DFQI_OP_SOFT_CROSS_ENTROPY_DX,
    DFQI_OP_KL,
    DFQI_OP_KL_DX,
    DFQI_OP_TOTAL,
    DFQI_OP_FILL,
    /* losses of structure */
    DFQI_OP_INTER_HEAD,
    DFQI_OP_INTER_HEAD_DX,
    DFQI_OP_HEAD_SSIM,
    DFQI_OP_HEAD_SSIM_DX,
    DFQI_OP_TV_SQUARES,
    DFQI_OP_TV,
    DFQI_OP_TV_DX,
    /* fake quantization */
    DFQI_OP_FQ,
    DFQI_OP_FQ_DX,
    DFQI_OP_FQ_LOG,
    DFQI_OP_FQ_WEIGHT,
    DFQI_OP_FQ_WEIGHT_SLOPES,
    /* fake quantization on grids found at run time */
    DFQI_OP_FQ_ROW,
    DFQI_OP_FQ_ROW_DX,
    /* ranges */
    DFQI_OP_EXTREMES,
    DFQI_OP_TRACK_RANGE,
    /* parts of weights */
    DFQI_OP_LEADING,
    DFQI_OP_LEADING_DX,
    /* smooth activations, and gates of channels */
    DFQI_OP_ACTIVATION,
    DFQI_OP_ACTIVATION_DX,
    DFQI_OP_GATE,
    DFQI_OP_GATE_DS,
    /* parts of images: windows, borders and channels */
    DFQI_OP_AVG_POOL,
    DFQI_OP_AVG_POOL_DX,
    DFQI_OP_PAD_IMAGE,
    DFQI_OP_CONCAT,
    DFQI_OP_CHANNELS,
    DFQI_OP_CHANNELS_DX,
    /* heads */
    DFQI_OP_SPLIT_HEADS,
    DFQI_OP_JOIN_HEADS,
    /* windows of a map of tokens */
    DFQI_OP_WINDOWS,
    DFQI_OP_UNWINDOW,
    DFQI_OP_MERGE,
    DFQI_OP_UNMERGE,
    DFQI_OP_RELATIVE_BIAS,
    DFQI_OP_RELATIVE_BIAS_DX,
    DFQI_OP_WINDOW_BIAS,
    DFQI_OP_WINDOW_SUM,
    /* reconstruction */
    DFQI_OP_DROP,
    DFQI_OP_DROP_DX,
    DFQI_OP_SQUARED_ERROR,
    DFQI_OP_SQUARED_ERROR_DX,
    /* values of different shapes */
    DFQI_OP_AFFINE,
    DFQI_OP_REPEAT,
    DFQI_OP_COUNT
} dfqi_op_kind;

/* Is it what quantizers of activations follow: dfqi_relu or dfqi_activation? */
static inline bool dfqi_op_activates(dfqi_op_kind op)
{
    return op == DFQI_OP_RELU || op == DFQI_OP_ACTIVATION;
}

/* One operand during a run: the images of the slice, or the whole batch. */
typedef struct dfqi_arg {
    float *data; /* NULL: operand absent */
    int32_t rank;
    int64_t dims[6]; /* dims[0] is the slice's image count if batched */
    int64_t count;
} dfqi_arg;

typedef struct dfqi_run {
    const dfqi_kernels *k;
    const dfqi_attr *attr;
    int64_t images; /* images in this slice (whole batch for whole ops) */
    int64_t batch;
    int64_t block; /* which piece of the work: 0 .. blocks - 1 */
    dfqi_arg in[DFQI_IN_MAX];
    dfqi_arg out[DFQI_OUT_MAX];
    float *scratch; /* as large as the op's scratch rule says */
} dfqi_run;

enum {
    DFQI_OPF_WHOLE = 1,  /* must see the whole batch at once: reductions over it */
    DFQI_OPF_PRODUCT = 2 /* multiplies weights or activations: a layer that networks are sized by */
};

typedef struct dfqi_op {
    const char *name;
    int32_t min_in, max_in, n_out;
    uint32_t flags;
    /* Sets rank, dims and `batched` of the outputs; refuses operands that do not fit. */
    DFQI_CHECKED dfq_status (*shape)(dfqi_graph *g, struct dfqi_node *n);
    void (*run)(const dfqi_run *r);
    /* Adds the nodes for the gradient of the operands with want[i]; din[i] = DFQI_NONE on entry.
     * dout[k] may be DFQI_NONE. NULL: the op has no gradient (it is only found in gradients). */
    void (*grad)(dfqi_graph *g, const struct dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                 dfqi_id *din);
    /* Multiply-accumulates of the whole batch; NULL: elementwise, one per output element. */
    double (*macs)(const dfqi_graph *g, const struct dfqi_node *n);
    /* Scratch floats that a run over `images` images needs; NULL: none. */
    int64_t (*scratch)(const dfqi_graph *g, const struct dfqi_node *n, int64_t images);
    /* Pieces that may run side by side when the op sees the whole batch; NULL: 1. Their number
     * depends on the operands alone. */
    int64_t (*blocks)(const dfqi_run *r);
} dfqi_op;

const dfqi_op *dfqi_op_get(dfqi_op_kind kind);

#endif
