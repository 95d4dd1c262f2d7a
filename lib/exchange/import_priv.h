/* Declarations shared by the files that read ONNX.
 *
 * The batch is 1 while a graph is read, so that what is computed for one image is found, and
 * extents of 1 need no care. Integer arithmetic on shapes is folded. A computed value is a *view*:
 * a value of the draft of a structure, whose axes may lie in memory in another order than ONNX has
 * them. So most moves cost nothing: a layer asks for the order that it needs. */
#ifndef DFQI_EXCHANGE_IMPORT_PRIV_H
#define DFQI_EXCHANGE_IMPORT_PRIV_H

#include <onnx.pb-c.h>

#include "base/memory.h"
#include "exchange/import.h"
#include "nn/structure.h"

enum { IM_RANK = 12, IM_ATOMS = 12, IM_INPUTS = 64 };

/* A constant. */
typedef struct im_tensor {
    bool is_int;
    int32_t rank;
    int64_t dims[IM_RANK], count;
    const float *f; /* one of the two, in the arena or in the message */
    const int64_t *i;
} im_tensor;

/* A piece of an axis. pick: the one entry that is read, and then it is in no axis; -1: all. */
typedef struct im_atom {
    int64_t extent, pick;
} im_atom;

typedef struct im_axis {
    int32_t n, atoms[IM_ATOMS]; /* the outermost first; none: extent 1 */
} im_axis;

typedef struct im_view {
    int32_t base; /* a value of the draft */
    int32_t n_atoms;
    im_atom atoms[IM_ATOMS]; /* in the order of memory */
    int32_t rank;
    im_axis axes[IM_RANK]; /* as ONNX has them */
    double scale;          /* its values are `scale` times those of the base */
    bool shared;           /* somebody else reads the base too */
} im_view;

/* Elementwise expressions of a view x that mean something only as parts of others. */
typedef enum im_expr {
    IM_WHOLE = 0,  /* none: the view itself */
    IM_CENTRED,    /* x - mean(x), of the last axis */
    IM_MEAN,       /* mean(x) of the last axis, which stays */
    IM_SQUARE,     /* (x - mean(x))^2 */
    IM_VARIANCE,   /* its mean; with eps in `value` */
    IM_DEVIATION,  /* its root */
    IM_ERF,        /* erf(x / sqrt 2) */
    IM_ERF_PLUS_1, /* 1 + erf(x / sqrt 2) */
    IM_ABOVE       /* x > value, a truth value */
} im_expr;

typedef enum im_state { IM_UNSET = 0, IM_CONST, IM_DATA } im_state;

typedef struct im_value {
    const char *name;
    im_state state;
    int32_t uses;                   /* operands of nodes, and outputs, that it is */
    const Onnx__TensorProto *proto; /* a constant that is not converted yet */
    im_tensor c;
    im_view v;
    im_expr expr;      /* of v */
    double value;      /* of the expression */
    const char *given; /* the name of the initializer that a constant is or was made of */
} im_value;

/* -- the draft of a structure ----------------------------------------------------------------- */

typedef struct im_draft_value {
    dfq_tensor *tensor; /* a parameter; NULL: computed */
    char name[DFQI_NAME_MAX];
    int32_t rank;
    int64_t dims[5]; /* of one image */
    int32_t op;      /* that makes it; -1: none */
    int32_t final;   /* its number in the structure */
} im_draft_value;

enum { IM_ROWS = DFQI_STRUCTURE_KINDS }; /* a kind of the draft alone: rows at indices */

typedef struct im_draft_op {
    dfqi_structure_op op; /* operands and outputs are values of the draft */
    const int64_t *rows;  /* of IM_ROWS, in the arena */
    const Onnx__NodeProto *node;
    bool needed, dropped; /* by the logits */
} im_draft_op;

typedef struct im_draft {
    int32_t n_values, cap_values, n_ops, cap_ops;
    im_draft_value *values;
    im_draft_op *ops;
} im_draft;

/* -- the conversion ---------------------------------------------------------------------------- */

/* It keeps its first error (sticky), so that the code needs no checks in between. */
typedef struct im {
    dfq_context *ctx;
    const char *path;   /* for error texts */
    const char *folder; /* of tensors in files of their own; NULL: none are read */
    dfqi_arena mem;
    Onnx__ModelProto *model;
    const Onnx__GraphProto *graph;
    int64_t opset;
    int32_t n_values, cap_values;
    im_value *values;
    int32_t *table; /* of names, [cap_table]: value + 1, or 0 */
    int32_t cap_table;
    int64_t work;                /* elements of constants that were folded */
    int64_t traced;              /* entries of values whose origin was looked for */
    const Onnx__NodeProto *node; /* the one that is read */
    int32_t *in, n_in, *outs;    /* its operands, -1: absent; its outputs */
    im_draft draft;
    dfqi_size image;
    int64_t channels;
    uint64_t bytes;     /* of the file */
    int32_t attentions; /* products without a name of their own get numbers */
    bool has_softmax;   /* then patches of the image may be tokens */
    dfq_status status;
} im;

/* Records a failure, the first one stays. The text begins with the path, and inside of a node with
 * its name and op. */
void dfqi_im_fail(im *m, dfq_status code, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* In the arena, zeroed; NULL after an error. */
void *dfqi_im_alloc(im *m, size_t count, size_t size);

/* The value of a name; -1 for "", which stands for none. */
int32_t dfqi_im_value_of(im *m, const char *name);
/* Finds the image among the inputs (import_input.c). */
void dfqi_im_input(im *m);

/* -- messages (import_read.c) ------------------------------------------------------------------ */

DFQI_CHECKED dfq_status dfqi_im_unpack(dfq_context *ctx, const char *path, const uint8_t *bytes,
                                       size_t size, Onnx__ModelProto **out);
void dfqi_im_unpack_free(dfq_context *ctx, Onnx__ModelProto *model);
/* The bytes of a tensor that lies in a file of its own, in the arena. */
const uint8_t *dfqi_im_external(im *m, const Onnx__TensorProto *t, size_t want);

/* -- constants and attributes (import_tensor.c) ------------------------------------------------ */

/* The constant that value v is; NULL (without an error) if it is computed. */
const im_tensor *dfqi_im_const(im *m, int32_t v);
bool dfqi_im_from_proto(im *m, const Onnx__TensorProto *t, im_tensor *out);
/* Room for a constant of this shape: out->f or out->i is new. False after an error. */
bool dfqi_im_tensor_new(im *m, bool is_int, int32_t rank, const int64_t *dims, im_tensor *out);
/* One number; false if it is none. */
bool dfqi_im_scalar(const im_tensor *t, double *out);
const Onnx__AttributeProto *dfqi_im_attr(const im *m, const char *name);
int64_t dfqi_im_attr_int(const im *m, const char *name, int64_t otherwise);
double dfqi_im_attr_float(const im *m, const char *name, double otherwise);
bool dfqi_im_attr_is(const im *m, const char *name, const char *text, bool otherwise);
/* Whole numbers of an attribute, or of operand `slot` (-1: none), whichever is there; their number,
 * -1: absent. */
int32_t dfqi_im_ints(im *m, const char *name, int32_t slot, int32_t most, int64_t *out);
/* An axis from -rank to rank - 1, as 0 to rank - 1. */
int32_t dfqi_im_axis_of(im *m, int64_t axis, int32_t rank);

/* -- folding (import_fold.c, import_fold_index.c) ---------------------------------------------- */

typedef void (*im_fold)(im *m, const im_tensor *const *in, im_tensor *out);
/* NULL: such a node is not folded. */
im_fold dfqi_im_fold_of(const char *op, int32_t operands);
im_fold dfqi_im_fold_index_of(const char *op, int32_t operands);
im_fold dfqi_im_fold_reduce_of(const char *op, int32_t operands); /* import_fold_reduce.c */
/* import_fold_products.c */
void dfqi_im_fold_matmul(im *m, const im_tensor *const *in, im_tensor *out);
void dfqi_im_fold_gemm(im *m, const im_tensor *const *in, im_tensor *out);
void dfqi_im_fold_einsum(im *m, const im_tensor *const *in, im_tensor *out); /* import_einsum.c */
void dfqi_im_fold_split(im *m, const im_tensor *const *in, im_tensor *out);
void dfqi_im_fold_tile(im *m, const im_tensor *const *in, im_tensor *out);
void dfqi_im_fold_scatter(im *m, const im_tensor *const *in, im_tensor *out);
void dfqi_im_fold_cumsum(im *m, const im_tensor *const *in, im_tensor *out);
/* Counts elements that are worked on; false, with an error, if they are too many. */
bool dfqi_im_work(im *m, int64_t a, int64_t b);
/* Output `slot` is this constant. */
void dfqi_im_set_const(im *m, int32_t slot, const im_tensor *t);

/* -- shapes, of constants and of views alike (import_shape.c) -------------------------------- */

/* First entry, number of entries and step along each axis. */
typedef struct im_slices {
    int64_t first[IM_RANK], n[IM_RANK], step[IM_RANK];
} im_slices;
bool dfqi_im_read_slices(im *m, int32_t rank, const int64_t *dims, im_slices *out);
/* The shape of Reshape, with 0 and -1 replaced. */
bool dfqi_im_reshape_dims(im *m, int32_t rank, const int64_t *dims, const im_tensor *shape,
                          int64_t out[IM_RANK]);
/* Without the axes of extent 1 that the node names, all of them if it names none; the rank. */
int32_t dfqi_im_squeeze_dims(im *m, int32_t rank, const int64_t *dims, int64_t out[IM_RANK]);
int32_t dfqi_im_unsqueeze_dims(im *m, int32_t rank, const int64_t *dims, int64_t out[IM_RANK]);
/* The permutation of a Transpose. */
bool dfqi_im_perm(im *m, int32_t rank, int64_t out[IM_RANK]);

/* -- views (import_view.c) --------------------------------------------------------------------- */

/* The view that operand `slot` is. NULL after an error; constants are refused. */
const im_view *dfqi_im_view_of(im *m, int32_t slot);
int64_t dfqi_im_extent(const im_view *v, int32_t axis);
/* A view of a new value of the draft whose axes are all whole and lie in memory in the order
 * `order` of ONNX's axes (those with extent 1 may be left out). */
im_view dfqi_im_view_new(im *m, int32_t base, int32_t rank, const int64_t *dims, int32_t n,
                         const int32_t *order);
/* The value of the draft that has the axes in this order, each group of them as one extent. Emits
 * what is needed to bring them there. -1 after an error. */
int32_t dfqi_im_arrange(im *m, const im_view *v, int32_t groups, const im_axis *order);
/* All atoms of axes first .. last - 1. */
im_axis dfqi_im_axes(const im_view *v, int32_t first, int32_t last);
/* The atoms that are in axes, in the order of memory, those of `last` left out. */
im_axis dfqi_im_others(const im_view *v, const im_axis *last);
void dfqi_im_dims(const im_view *v, int64_t out[IM_RANK]);
/* A value of the draft in another shape, behind the batch. */
int32_t dfqi_im_reshaped(im *m, int32_t base, int32_t rank, const int64_t *dims);
/* `a` with its axes cut where those of `b` are. */
bool dfqi_im_view_refine(im *m, const im_view *a, const im_view *b, im_view *out);
/* The value that is output `slot`; -1: it is left out. */
int32_t dfqi_im_output(const im *m, int32_t slot);
bool dfqi_im_view_reshape(im *m, const im_view *v, int32_t rank, const int64_t *dims, im_view *out);
/* The same where axes are cut elsewhere than the view's pieces are: data move into their order. */
bool dfqi_im_view_reshape_moved(im *m, const im_view *v, int32_t rank, const int64_t *dims,
                                im_view *out);
/* Entries first .. first + n - 1 of an axis; they must be a whole part of it. */
bool dfqi_im_view_part(im *m, const im_view *v, int32_t axis, int64_t first, int64_t n,
                       im_view *out);
/* Entries that are no whole part of an axis: a run of values, with the axis in front. */
bool dfqi_im_cut_out(im *m, const im_view *x, int32_t axis, int64_t first, int64_t n, im_view *out);
/* Computed values behind each other along an axis: channels that lie last in memory, or runs of
 * values with the axis in front. */
im_view dfqi_im_join(im *m, const im_view *a, const im_view *b, int32_t axis);
void dfqi_im_set_view(im *m, int32_t slot, const im_view *v);
/* The same, of a view of an operand: it is shared if that one has other readers. */
void dfqi_im_set_alias(im *m, int32_t slot, int32_t operand, const im_view *v);

/* The value of the draft that has an axis last; *out is the view with it there. */
int32_t dfqi_im_rows(im *m, const im_view *v, int32_t axis, im_view *out);
/* The same of some atoms with n entries together. */
int32_t dfqi_im_rows_of(im *m, const im_view *v, const im_axis *last, int64_t n, im_view *out);
/* The view after dfqi_im_arrange(): its atoms are numbered in the new order, and none is picked. */
void dfqi_im_view_order(const im_view *v, int32_t groups, const im_axis *order, im_view *out);
/* The last axis in memory is `axis`, and gets another extent. */
void dfqi_im_view_last(im *m, im_view *v, int32_t axis, int64_t extent);
/* The first n atoms are gone, and with them the axes `over`; they stay with extent 1 if `keep`. */
void dfqi_im_view_drop(im_view *v, int32_t n, const bool over[IM_RANK], bool keep);

/* -- the draft (import_draft.c) ---------------------------------------------------------------- */

int32_t dfqi_im_draft_image(im *m); /* value 0, the image */
void dfqi_im_draft_fini(im *m);
int32_t dfqi_im_param(im *m, const char *name, int32_t rank, const int64_t *dims,
                      const float *data);
int32_t dfqi_im_param_fill(im *m, const char *name, int64_t n, float value); /* all the same */
float *dfqi_im_param_data(const im *m, int32_t value);
/* Its first output; the shape is that of one image. */
int32_t dfqi_im_op(im *m, const dfqi_structure_op *op, int32_t rank, const int64_t *dims);
/* Op `at` gets n new outputs of the shape of `like`; the first one. */
int32_t dfqi_im_new_outputs(im *m, int32_t at, int32_t n, int32_t like);
/* How many operands a value is, of ops that were not dropped. */
int32_t dfqi_im_readers(const im *m, int32_t value);
im_draft_op *dfqi_im_maker(const im *m, int32_t value);
/* Drops what the logits do not need, brings parameters into their order, and makes the
 * structure. */
DFQI_CHECKED dfq_status dfqi_im_finish(im *m, int32_t logits, int64_t classes, dfqi_model **out,
                                       const dfq_load_options *o);

/* -- names (import_names.c) -------------------------------------------------------------------- */

/* The name of the layer that the current node is, from its parameters (values, -1: none) or its
 * own. */
void dfqi_im_layer_name(im *m, int32_t weight, int32_t bias, char out[DFQI_LAYER_MAX]);
/* "blocks.0.attn" of the node "/blocks/blocks.0/attn/MatMul"; "" where the node has no such
 * name. */
void dfqi_im_scope(const Onnx__NodeProto *node, char out[DFQI_LAYER_MAX]);
/* "layer1.0.relu" of the current node "layer1.0.relu/Relu.9" in a file of this library: the layer,
 * or the last one before it. False: it has none. */
bool dfqi_im_own_name(const im *m, char out[DFQI_LAYER_MAX]);
/* The name of the initializer that operand `slot` is, fit for a parameter; else `otherwise`. */
const char *dfqi_im_given(im *m, int32_t slot, const char *otherwise);
/* The layer that makes `base` and has no name of its own is named by the bias that is added. */
void dfqi_im_name_by_bias(im *m, int32_t bias, int32_t base);
void dfqi_im_unique(im *m); /* makes all names of layers and parameters different */

/* -- parts of nodes ---------------------------------------------------------------------------- */

/* The value of an operand, and whether it is a part of something. */
const im_value *dfqi_im_operand(const im *m, int32_t slot);
bool dfqi_im_is_expr(const im *m, int32_t slot, im_expr expr);
void dfqi_im_set_expr(im *m, im_expr expr, const im_view *v, double value);
bool dfqi_im_near(double a, double b);
/* Do two views show the same values, but for a factor? */
bool dfqi_im_same_view(const im_view *a, const im_view *b);
/* The constant as one number for each entry of the last extent of the view's base: in the arena, or
 * NULL if it is not of that form (import_affine.c). */
float *dfqi_im_channels(im *m, const im_view *x, const im_tensor *c);
/* A layer's output: multiplies or adds one number for each entry of the last atom in memory into
 * the parameters of the op that made it. False: that cannot be done. */
bool dfqi_im_absorb(im *m, const im_view *v, const float *times, const float *plus);
/* A LayerNorm without affine part over the last axis. */
void dfqi_im_put_layernorm(im *m, const im_view *x, double eps);
/* An activation on a view whose factor is 1. */
im_view dfqi_im_unary(im *m, dfqi_structure_kind kind, const im_view *x, float cap);
/* The view of an operand with its factor brought to `scale`, in the parameters of the layer that
 * made it. */
im_view dfqi_im_unscaled(im *m, int32_t slot, double scale);
im_view dfqi_im_settled(im *m, const im_view *x, double scale); /* the same of a view */
/* A convolution of 1 x 1 taps: along axis 1. */
void dfqi_im_pointwise(im *m, const im_view *x, const im_tensor *w, const im_tensor *b);
/* A value of the extents dims: heads, rows and columns. Operands have the axes of heads, of rows
 * (a) or columns (b), and those that are summed over. */
int32_t dfqi_im_product(im *m, const im_view *a, const im_axis of_a[3], const im_view *b,
                        const im_axis of_b[3], const int64_t dims[3]);
/* The view of W x along an axis, a linear layer without a bias; w [outs, extent of the axis]. */
im_view dfqi_im_linear_along(im *m, const im_view *x, int32_t axis, const float *w, int64_t outs,
                             const char *layer);
void dfqi_im_put_tokens(im *m, const im_view *x, int64_t k); /* k of zeros before x [1,N,D] */
/* x with entries of one value before and behind its axes, as Pad has them (import_groups.c). */
void dfqi_im_pad_by(im *m, const im_view *x, const int64_t *pads, float value);
im_view dfqi_im_mean(im *m, const im_view *x, const bool over[IM_RANK], bool keep);
/* The sum or product of two views, with copies where one of them lacks an axis. */
im_view dfqi_im_two(im *m, dfqi_structure_kind kind, const im_view *a, const im_view *b);

/* Does a constant vary along several axes of x, so that it may be positions of tokens? Adds it to
 * their rows [N,D] (import_positions.c). */
bool dfqi_im_are_positions(const im_view *x, const im_tensor *c);
void dfqi_im_add_rows(im *m, int32_t slot, const im_view *x, const im_tensor *c);

/* -- arithmetic that no layer takes into its parameters (import_broadcast.c) ------------------- */

/* w x + sign b, by an op of its own; w and b are constants, NULL: 1 and 0. */
im_view dfqi_im_affine(im *m, const im_view *x, const im_tensor *w, const im_tensor *b,
                       double sign);
/* Copies along axes of extent 1, and further axes in front. */
im_view dfqi_im_expand(im *m, const im_view *x, int32_t rank, const int64_t *dims);
/* Brings two views into the shape that they have together. */
void dfqi_im_broadcast(im *m, im_view *a, im_view *b);
/* DFQI_ACTIVATION_* of every entry, the factor of x left out; the result has the factor `scale`. */
im_view dfqi_im_function(im *m, const im_view *x, int32_t kind, double scale);
im_view dfqi_im_root(im *m, const im_view *x);
im_view dfqi_im_inverse(im *m, const im_view *x);
/* Makes a value of a part of a norm. False: it is another expression, or an error came. */
bool dfqi_im_settle(im *m, im_value *v);

#endif
