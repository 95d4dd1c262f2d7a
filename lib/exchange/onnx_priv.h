/* Declarations shared by the files of exchange/. */
#ifndef DFQI_EXCHANGE_ONNX_PRIV_H
#define DFQI_EXCHANGE_ONNX_PRIV_H

#include <onnx.pb-c.h>

#include "base/memory.h"
#include "exchange/onnx.h"
#include "graph/ops.h"

/* The name of a value in the ONNX graph, in the arena. NULL: an error has happened. */
typedef const char *dfqi_ref;

/* How the axes of a value lie in the ONNX graph. */
typedef enum dfqi_layout {
    DFQI_LAYOUT_SAME = 0,       /* as in the graph */
    DFQI_LAYOUT_CHANNELS_FIRST, /* [B,C,Y,X] where the graph has [B,Y,X,C] */
    DFQI_LAYOUT_TOKENS_FIRST,   /* [B,N,H,d] where the graph has [B,H,N,d] */
    DFQI_LAYOUT_KEYS            /* [B,H,d,N], as a product with queries reads it */
} dfqi_layout;

/* Element types that the schema of older packages does not name. */
enum { DFQI_ONNX_UINT4 = 21, DFQI_ONNX_INT4 = 22, DFQI_INT4_OPSET = 21, DFQI_INT4_BITS = 4 };

/* A value on a grid: whole numbers `unit`, F32, quantized with scale 1. Its real values are written
 * only if somebody reads them. */
typedef struct dfqi_onnx_grid {
    dfqi_ref unit;
    /* found at run time: scale (unit + least) */
    dfqi_ref scale; /* F32, one for each row or column; NULL: static */
    dfqi_ref least; /* F32, minus the zero points; NULL: 0 */
    /* static: scales (unit - zeros) */
    int64_t n; /* scales */
    const float *scales;
    const float *zeros; /* NULL: 0 */
} dfqi_onnx_grid;

enum { DFQI_TOKEN_ALL = -1 };

/* What is known of a value of the graph. */
typedef struct dfqi_onnx_value {
    dfqi_ref ref; /* NULL: not written yet */
    const dfqi_onnx_grid *grid;
    dfqi_layout layout;
    int32_t readers; /* nodes that read it and are needed */
    int32_t token;   /* the one that is written, [B,1,D] in place of [B,N,D]; DFQI_TOKEN_ALL */
    bool needed;
    bool logarithm; /* it is written as that: for a logarithmic grid, which alone reads it */
    bool scaled;    /* the softmax that reads it need not multiply any more */
    bool divided;   /* by the scales of the grid that reads it, and its zero points are added */
} dfqi_onnx_value;

/* A conversion. It keeps its first error (sticky), so that emitters need no checks in between. */
typedef struct dfqi_onnx {
    dfq_context *ctx;
    const dfqi_model *m;
    const dfqi_graph *g;
    dfqi_arena mem; /* of all messages; they are never freed one by one */
    int32_t opset;
    bool int4, integer;
    Onnx__GraphProto graph;
    size_t cap_nodes, cap_initializers;
    int64_t constant_bytes;
    Onnx__NodeProto *last;   /* the node that attributes go to */
    dfqi_onnx_value *values; /* [n_values] */
    const char *label;       /* of the nodes that are made: the layer that they belong to */
    int32_t serial;          /* makes names unique */
    dfq_status status;
} dfqi_onnx;

/* Writes the ONNX nodes of one node and sets the refs of its outputs. */
typedef void (*dfqi_emit)(dfqi_onnx *e, const dfqi_node *n);
/* NULL: such an op cannot be written. */
dfqi_emit dfqi_onnx_emitter(dfqi_op_kind op);

/* Writes all nodes that the logits need (onnx_walk.c). What is read of one token alone is computed
 * for that one alone. */
void dfqi_onnx_walk(dfqi_onnx *e, dfqi_id logits);
/* The token of its operands that a node reads, or DFQI_TOKEN_ALL. */
int32_t dfqi_onnx_token(const dfqi_onnx *e, const dfqi_node *n);

/* Values [B,W*H,N,d] of the heads of windows become [B*W,H,N,d], which is how they are written; the
 * graph does not run any more. */
void dfqi_onnx_windows_as_images(dfqi_graph *g);
/* Writes a graph of `m` with the input x. */
DFQI_CHECKED dfq_status dfqi_onnx_write_graph(const dfqi_model *m, const dfqi_graph *g, dfqi_id x,
                                              dfqi_id logits, const dfqi_onnx_options *o,
                                              const dfqi_st_target *to, dfqi_onnx_info *out);

/* -- messages (onnx_message.c) ----------------------------------------------------------------- */

/* DFQ_OK, or records the status and returns NULL. */
void *dfqi_onnx_alloc(dfqi_onnx *e, size_t count, size_t size);
void dfqi_onnx_fail(dfqi_onnx *e, dfq_status code, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* A formatted text in the arena. */
char *dfqi_onnx_text(dfqi_onnx *e, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* A node with one output; returns its name. Operands behind the last that is there may be NULL only
 * where ONNX has them optional: they are written as "". */
dfqi_ref dfqi_onnx_node(dfqi_onnx *e, const char *type, int32_t n_in, const dfqi_ref *in);
/* The same with n_out outputs. */
void dfqi_onnx_node_with(dfqi_onnx *e, const char *type, int32_t n_in, const dfqi_ref *in,
                         int32_t n_out, dfqi_ref *out);
/* Attributes of the node made last. */
void dfqi_onnx_int(dfqi_onnx *e, const char *name, int64_t value);
void dfqi_onnx_ints(dfqi_onnx *e, const char *name, int32_t n, const int64_t *values);
void dfqi_onnx_float(dfqi_onnx *e, const char *name, float value);

/* Constants. `data` must live until the file is written; that of the other calls is copied. Small
 * ones with equal content are shared. */
dfqi_ref dfqi_onnx_tensor(dfqi_onnx *e, const char *name, int32_t type, int32_t rank,
                          const int64_t *dims, const void *data);
dfqi_ref dfqi_onnx_scalar(dfqi_onnx *e, float value);
dfqi_ref dfqi_onnx_code(dfqi_onnx *e, int32_t type, int32_t value); /* of 4 or 8 bits, no axes */
dfqi_ref dfqi_onnx_list(dfqi_onnx *e, int32_t n, const int64_t *values); /* I64 [n] */
/* F32 [n] in the arena, to be filled, and then made a constant; NULL after an error. */
float *dfqi_onnx_floats(dfqi_onnx *e, int64_t n);

/* -- values (onnx_ops.c) ----------------------------------------------------------------------- */

/* Operand `slot` of a node in a layout; parameters become constants when they are first read. */
dfqi_ref dfqi_onnx_in(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_layout layout);
/* The same in the layout that it has. */
dfqi_ref dfqi_onnx_in_any(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_layout *out);
/* The grid of an operand; NULL: it has none, or the node reads one token of all that are there. */
const dfqi_onnx_grid *dfqi_onnx_grid_of(const dfqi_onnx *e, const dfqi_node *n, int32_t slot);
void dfqi_onnx_out(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_ref ref,
                   dfqi_layout layout);
const dfqi_value *dfqi_onnx_shape(const dfqi_onnx *e, const dfqi_node *n, int32_t slot);
/* The node that reads output 0 of `n`, if it is the only one; else NULL. */
const dfqi_node *dfqi_onnx_reader(const dfqi_onnx *e, const dfqi_node *n);
const dfqi_node *dfqi_onnx_reader_of(const dfqi_onnx *e, const dfqi_node *n, int32_t slot);
/* The node that made an operand; NULL: none did. */
const dfqi_node *dfqi_onnx_maker(const dfqi_onnx *e, const dfqi_node *n, int32_t slot);
/* The values of a parameter; NULL if the operand is none. */
const float *dfqi_onnx_param(const dfqi_onnx *e, const dfqi_node *n, int32_t slot);

dfqi_ref dfqi_onnx_binary(dfqi_onnx *e, const char *type, dfqi_ref a, dfqi_ref b);
dfqi_ref dfqi_onnx_unary(dfqi_onnx *e, const char *type, dfqi_ref a);
dfqi_ref dfqi_onnx_cast(dfqi_onnx *e, dfqi_ref a, int32_t type);
/* ReduceMin and its kin over one axis, which stays with extent 1. */
dfqi_ref dfqi_onnx_reduce(dfqi_onnx *e, const char *type, dfqi_ref x, int64_t axis);
dfqi_ref dfqi_onnx_transpose(dfqi_onnx *e, dfqi_ref x, int32_t rank, const int64_t *perm);
dfqi_ref dfqi_onnx_reshape(dfqi_onnx *e, dfqi_ref x, int32_t rank, const int64_t *dims);

/* -- weights (onnx_codes.c) -------------------------------------------------------------------- */

/* Codes of a weight of rows O and columns K: scale[o] (code - zero[o]), divided by the scales of
 * the input's channels if it has factors. */
typedef struct dfqi_onnx_weight {
    const char *layer;
    const dfqi_value *shape;
    int64_t rows, cols;
    int32_t bits;
    int8_t *codes;
    float *scales, *zeros; /* zeros NULL: 0 */
    bool factors;
    /* with `int4`, of a weight in groups of so many columns; else 0. `codes` are its numbers */
    int64_t group;
    int8_t *units;                     /* [rows,cols]: what stands for the numbers */
    int8_t *multipliers, *zero_points; /* [rows,cols / group] */
} dfqi_onnx_weight;

/* The codes of a layer's weight. False if it is float. */
bool dfqi_onnx_weight_get(dfqi_onnx *e, const dfqi_node *n, dfqi_onnx_weight *out);
/* Its values as the network computes with them, quantized or not. */
const float *dfqi_onnx_weight_floats(dfqi_onnx *e, const dfqi_node *n);
/* Constants: the codes, as they are or as [K,O]; the scales. */
dfqi_ref dfqi_onnx_weight_codes(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed);
dfqi_ref dfqi_onnx_weight_scales(dfqi_onnx *e, const dfqi_onnx_weight *w);
/* scale code, by DequantizeLinear: of a weight without zero points. */
dfqi_ref dfqi_onnx_weight_values(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed);

/* -- grids (onnx_static.c, onnx_rows.c) -------------------------------------------------------- */

/* The layout in which a grid's node quantizes: that of the product which reads it, so that nothing
 * stands between DequantizeLinear and MatMul. */
dfqi_layout dfqi_onnx_grid_layout(const dfqi_onnx *e, const dfqi_node *fq);
/* What the softmax behind a product multiplies by, which need not be done there any more; 1 if it
 * is done already, or there is none. */
float dfqi_onnx_take_factor(dfqi_onnx *e, const dfqi_node *n);
/* A constant that broadcasts over value v: one number for each channel, or with heads [B,H,N,d] one
 * for each head, or for each head and channel. */
dfqi_ref dfqi_onnx_vector(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout, int64_t n,
                          const float *data);
/* The static grid that alone reads output 0 of a node, if it has a scale for each channel. */
const dfqi_node *dfqi_onnx_channel_grid(const dfqi_onnx *e, const dfqi_node *n);
/* The rounded zero points of a static grid that are added before its rounding; NULL: none are. */
float *dfqi_onnx_zeros(dfqi_onnx *e, const dfqi_node *fq, int64_t count);
/* Scales and zero points of the grids that alone read the heads which are split off a linear layer,
 * for each of its rows; 1 and 0 where there are none. False if there are none at all. From then on
 * the layer divides and adds. */
bool dfqi_onnx_heads_grids(dfqi_onnx *e, const dfqi_node *n, float *scale, float *shift);
/* The codes of a static grid without their zero points, and the real values of both kinds. */
dfqi_ref dfqi_onnx_whole_values(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout,
                                const dfqi_onnx_grid *g);
dfqi_ref dfqi_onnx_static_values(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout,
                                 const dfqi_onnx_grid *g);
dfqi_ref dfqi_onnx_row_values(dfqi_onnx *e, const dfqi_onnx_grid *g);
/* The rows of x on unsigned grids of 8 bits. */
dfqi_onnx_grid *dfqi_onnx_row_codes(dfqi_onnx *e, dfqi_ref x);
/* x W^T without the bias, from codes. */
dfqi_ref dfqi_onnx_row_linear(dfqi_onnx *e, const dfqi_onnx_grid *x, const dfqi_onnx_weight *w);
/* x on a grid whose codes fit in 8 bits, by QuantizeLinear and DequantizeLinear; and on the grid of
 * an op with one scale. */
dfqi_ref dfqi_onnx_one_grid(dfqi_onnx *e, dfqi_ref x, float scale, float zero_point, float qmin,
                            float qmax);
dfqi_ref dfqi_onnx_image_codes(dfqi_onnx *e, dfqi_ref x); /* from black to white */
dfqi_ref dfqi_onnx_same_grid(dfqi_onnx *e, const dfqi_node *fq, dfqi_ref x);
/* x rounded to whole numbers that an 8-bit type with this zero point holds, as F32. */
dfqi_ref dfqi_onnx_unit(dfqi_onnx *e, dfqi_ref x, int32_t type, int32_t zero_point);

/* -- emitters ---------------------------------------------------------------------------------- */

void dfqi_emit_linear(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_matmul(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_add(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_softmax(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_layernorm(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_gelu(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_patchify(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_tokens(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_select_token(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_drop_tokens(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_split_heads(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_join_heads(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_move_tokens(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_window_bias(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_conv(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_batchnorm(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_channels(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_subsample_pad(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_pool(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_mean_pool(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_activation(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_gate(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_affine(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_repeat(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_leaky_relu(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_tanh(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_pad_image(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_concat(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_channel_part(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_fq(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_fq_log(dfqi_onnx *e, const dfqi_node *n);
void dfqi_emit_fq_row(dfqi_onnx *e, const dfqi_node *n);

#endif
