/* Programs: what a runtime does, as steps over values. */
#ifndef DFQI_RUNTIME_PROGRAM_PRIV_H
#define DFQI_RUNTIME_PROGRAM_PRIV_H

#include "graph/graph.h"
#include "io/dataset.h"
#include "kernel/int_kernel.h"
#include "runtime/runtime.h"

/* Where a value lies. */
typedef enum dfqi_rt_region {
    DFQI_RT_NONE,     /* nowhere: a constant of which the extents alone matter */
    DFQI_RT_CONSTANT, /* in the program */
    DFQI_RT_SLICE,    /* with the images that are computed together */
    DFQI_RT_GROUP,    /* the same, for images that go through a group of segments together */
    DFQI_RT_BLOCK,    /* with a thread, for one block of a segment */
    DFQI_RT_OUTPUT    /* with the runtime, for the whole batch */
} dfqi_rt_region;

typedef struct dfqi_rt_value {
    dfqi_rt_region region;
    size_t offset; /* bytes into its region */
    size_t bytes;  /* of one image; of a constant all */
    int32_t rank;
    int64_t dims[DFQI_RANK_MAX]; /* dims[0] is 1 if there is one for each image */
    dfqi_id id;                  /* of the graph; DFQI_NONE: it has none, or the graph is gone */
} dfqi_rt_value;

enum { DFQI_RT_QUERY, DFQI_RT_KEY, DFQI_RT_MAP, DFQI_RT_VALUES, DFQI_RT_ATTENTION_OPERANDS };

/* softmax(scale (Q K^T + bias)) V for each head of each window; in[0] is qkv[W N, 3 H d], in[1] the
 * bias [H,N,N] or absent, out[0] is [W queries, H d]. */
typedef struct dfqi_rt_attention {
    int64_t heads, tokens, width; /* H, N, d */
    int64_t windows;              /* W */
    int64_t first_query, queries; /* of the N */
    int32_t biased;               /* 1: there is a bias */
    float scale;
    int32_t bits[DFQI_RT_ATTENTION_OPERANDS]; /* of codes; 0: all are floats */
} dfqi_rt_attention;

typedef struct dfqi_rt_frame dfqi_rt_frame;

/* A head of a window. */
typedef struct dfqi_rt_head {
    const float *qkv; /* its first channel of the first token */
    float *y;
    const float *bias; /* [N,N], or NULL */
    int64_t window;
    const dfqi_attr *mask; /* of the window_bias node */
} dfqi_rt_head;

/* Part of the work on a slice. It is done in units: a slice has images x units of them, and a unit
 * of an operand or a result is the same share of its memory. */
typedef struct dfqi_rt_step {
    void (*run)(const struct dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count);
    dfqi_op_kind op;
    const char *kind; /* what it counts as: the op's name, "attention", "quantize" */
    int32_t part;     /* of the program, with others of that kind */
    dfqi_attr attr;
    int32_t n_in, n_out;
    int32_t in[DFQI_IN_MAX], out[DFQI_OUT_MAX]; /* values, -1: absent */
    int64_t units;                              /* of one image */
    int64_t divisible; /* 1 or more: a unit may be cut into up to that many chunks (frame) */
    int64_t parts;     /* of a divisible step, for each thread: more if they differ in cost */
    size_t scratch;    /* bytes */
    double macs;       /* of one image */
    int32_t product;   /* 1: it multiplies weights or activations */
    int32_t integer;   /* 1: codes of them */
    /* integer steps; rows of a unit, values of a row */
    int64_t rows, cols;
    int64_t group; /* channels of a row that share a scale; 0: all */
    int32_t bits;  /* of the codes of rows that it makes */
    /* the one static grid of its operand, of what is added (scale 0: floats), and of the result
     * (grid.scale NULL: floats); zero points of operands are less qmin */
    float scale, added_scale, grid_scale, grid_zero_point;
    int32_t zero_point, added_zero_point, most; /* most: the largest code of the left operand */
    dfqi_grid grid;
    dfqi_int_matrix matrix;
    dfqi_conv_shape shape;
    int32_t depthwise, by_rows; /* by_rows: an image is cut by rows, else by filters */
    int32_t relu;               /* up to attr.f[0] */
    dfqi_rt_attention attention;
} dfqi_rt_step;

/* Steps with the same units, done block by block: a block goes through all of them before the next
 * one begins. */
typedef struct dfqi_rt_segment {
    int32_t first, count;     /* steps */
    int32_t group_end;        /* the first segment behind its group (plan.c) */
    int32_t heavy;            /* 1: its weights are many; a group of its own */
    int64_t units, block;     /* of one image; of a block at most */
    int64_t divisible, parts; /* of its one step */
} dfqi_rt_segment;

typedef struct dfqi_rt_output_row {
    char name[96];
    int32_t value;
} dfqi_rt_output_row;

/* Steps of one kind, as one row of a profile. */
typedef struct dfqi_rt_part {
    const char *kind;
    int32_t integer;
    double macs; /* of products in one image */
} dfqi_rt_part;

typedef struct dfqi_program {
    dfq_context *ctx; /* retained */
    int32_t refs;     /* atomic */
    const dfqi_kernels *k;
    const dfqi_int_kernels *ik;
    int32_t n_values, n_steps, n_segments, n_outputs, n_parts;
    dfqi_rt_value *values;
    dfqi_rt_step *steps;
    dfqi_rt_segment *segments;
    dfqi_rt_output_row *outputs; /* 0: logits */
    dfqi_rt_part *parts;         /* in the order of their first step */
    char *constants;
    int64_t batch, slice; /* images of a run and of a slice, at most */
    int64_t near;         /* of a slice that go through a group of segments before the next ones */
    size_t constant_bytes, slice_bytes, block_bytes, scratch_bytes, output_bytes;
    int64_t channels, classes;
    int32_t backbone; /* outputs are features */
    int32_t quantized;
    dfqi_class_names *names; /* NULL: not known */
    dfqi_preprocess preprocess;
    float table[3][256]; /* normalised pixels */
} dfqi_program;

/* A program of one reference. */
DFQI_CHECKED dfq_status dfqi_program_new(const dfqi_model *m, const dfq_runtime_options *o,
                                         dfqi_program **out);
dfqi_program *dfqi_program_retain(dfqi_program *p); /* any thread */
void dfqi_program_release(dfqi_program *p);         /* any thread; NULL ok */

/* -- lowering: graph to steps ------------------------------------------------------------------ */

/* What a node becomes. */
typedef enum dfqi_rt_how {
    DFQI_RT_NOTHING,   /* nobody needs it, or it is a constant */
    DFQI_RT_TAKEN,     /* part of the step of a later node */
    DFQI_RT_PLAIN,     /* the graph's op */
    DFQI_RT_ATTENTION, /* the end of an attention */
    DFQI_RT_PRODUCT,   /* the end of a linear layer or convolution on codes */
    DFQI_RT_QUANTIZE,  /* codes, with a LayerNorm or a GELU in front */
    DFQI_RT_MOVE       /* pooling of codes, and the like */
} dfqi_rt_how;

/* What is wanted of an id. */
enum { DFQI_RT_FLOATS = 1, DFQI_RT_CODES = 2 };

/* Where the codes of a weight come from: fq_weight, or a parameter that a file has decoded. */
typedef struct dfqi_rt_source {
    dfqi_id w, col;                  /* values, and column factors or DFQI_NONE */
    const float *scale, *zero_point; /* of each row; NULL: from its values */
    const float *groups; /* grids of a row's groups (kernel/weight_groups.h), `n_groups` a row */
    int64_t n_groups;
    int32_t bits;
    bool asymmetric;
} dfqi_rt_source;

/* Constants of an integer step, which are values, and the nodes that they come from. */
typedef struct dfqi_rt_weight {
    dfqi_rt_step *step;
    const dfqi_node *base, *norm, *quantizer; /* norm: BatchNorm, or NULL */
    dfqi_rt_source from;
    int32_t bits;
    int32_t codes, scale, sum, bias;
} dfqi_rt_weight;

typedef struct dfqi_rt_builder {
    const dfqi_graph *g;       /* of one image */
    const dfqi_scheme *scheme; /* NULL: of a float network */
    dfqi_program *p;
    int32_t *value_of;      /* of an id of the graph; -1: none yet */
    int32_t (*codes_of)[3]; /* of an id: values of codes, and of grids of rows; -1: none */
    int32_t *readers;       /* of an id: nodes that are needed, and 1 if it is an output */
    uint8_t *want;          /* of an id: DFQI_RT_FLOATS, DFQI_RT_CODES */
    uint8_t *needed;        /* of a node */
    uint8_t *how;           /* of a node: dfqi_rt_how */
    dfqi_rt_weight *weights;
    int32_t n_weights;
} dfqi_rt_builder;

/* The value of an id. `data`: its content is read. */
int32_t dfqi_rt_value_of(dfqi_rt_builder *b, dfqi_id id, bool data);
/* A value that the graph does not have; bytes of one image, or of a constant. */
int32_t dfqi_rt_value_new(dfqi_rt_builder *b, dfqi_rt_region region, size_t bytes);
/* A new step of the node without its operands. */
dfqi_rt_step *dfqi_rt_step_add(dfqi_rt_builder *b, const dfqi_node *n);
/* The node that makes `id`, if it is of that kind and nobody else reads it; else NULL. */
const dfqi_node *dfqi_rt_sole(const dfqi_rt_builder *b, dfqi_id id, dfqi_op_kind op);
/* Node n is part of the step of a later one. */
void dfqi_rt_take(dfqi_rt_builder *b, const dfqi_node *n);
void dfqi_rt_want(dfqi_rt_builder *b, dfqi_id id, int32_t what); /* DFQI_NONE ok */

/* Patterns. `mark`, called for nodes from the back: does node n end the pattern? Then the nodes in
 * front that it has are taken, and what it needs is wanted. `add`, from the front: its step. */
bool dfqi_rt_attention_mark(dfqi_rt_builder *b, const dfqi_node *n);
void dfqi_rt_attention_add(dfqi_rt_builder *b, const dfqi_node *n);
bool dfqi_rt_product_mark(dfqi_rt_builder *b, const dfqi_node *n);
void dfqi_rt_product_add(dfqi_rt_builder *b, const dfqi_node *n);
bool dfqi_rt_quantize_mark(dfqi_rt_builder *b, const dfqi_node *n);
void dfqi_rt_quantize_add(dfqi_rt_builder *b, const dfqi_node *n);
bool dfqi_rt_move_mark(dfqi_rt_builder *b, const dfqi_node *n);
void dfqi_rt_move_add(dfqi_rt_builder *b, const dfqi_node *n);
/* Floats from the codes of a quantizer that has one grid. */
void dfqi_rt_dequantize_add(dfqi_rt_builder *b, const dfqi_node *n);

/* Does the node make unsigned codes of rows, or of a static grid, that fit in a byte? */
bool dfqi_rt_is_quantizer(const dfqi_graph *g, const dfqi_node *n);
/* Channels of a row that share a scale of it; 0: all. */
int64_t dfqi_rt_group_of(const dfqi_node *quantizer);
/* Do all its groups of rows have the zero point 2^bits - 1? */
bool dfqi_rt_is_level(const dfqi_node *quantizer);
/* The quantizer of the codes that `id` can have; NULL: it cannot have any. */
const dfqi_node *dfqi_rt_quantizer_of(const dfqi_rt_builder *b, dfqi_id id);
/* The same if it has one static grid for all values, and that grid. */
const dfqi_node *dfqi_rt_one_grid_of(const dfqi_rt_builder *b, dfqi_id id);
/* Are all zero points of a static grid, less qmin, in that range? */
bool dfqi_rt_zero_points_within(const dfqi_graph *g, const dfqi_node *n, float lo, float hi);
float dfqi_rt_grid_scale(const dfqi_rt_builder *b, const dfqi_node *n);
/* The code of 0, less qmin, of channel i. */
int32_t dfqi_rt_grid_zero_point(const dfqi_rt_builder *b, const dfqi_node *n, int64_t i);
/* Sets units, rows and cols for work on rows of x. */
void dfqi_rt_rows_of(const dfqi_value *x, dfqi_rt_step *s);
/* A new value for the codes of `id`. */
int32_t dfqi_rt_codes_new(dfqi_rt_builder *b, dfqi_id id);

/* False if the product `base` has a weight without codes. */
bool dfqi_rt_source_of(const dfqi_rt_builder *b, const dfqi_node *base, dfqi_rt_source *out);
/* Can the integer kernels multiply codes of the quantizer with the weights of `base`? */
bool dfqi_rt_weight_fits(const dfqi_rt_builder *b, const dfqi_node *base,
                         const dfqi_node *quantizer);
/* Notes the constants of step s for a product and its BatchNorm (NULL: none). Returns the value of
 * the bias, -1: none. The step's matrix is set when they are computed. */
int32_t dfqi_rt_weight_of(dfqi_rt_builder *b, const dfqi_node *base, const dfqi_node *norm,
                          const dfqi_node *quantizer, dfqi_rt_step *s);
DFQI_CHECKED dfq_status dfqi_rt_weight_compute(const dfqi_rt_builder *b, const dfqi_rt_weight *w);

/* The operand of a product step, and where it goes. */
dfqi_int_rows dfqi_rt_product_operand(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t units,
                                      int64_t first);
dfqi_int_output dfqi_rt_product_output(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t units,
                                       int64_t first);

/* Codes of rows with a scale for each group, and products of them; bytes of scratch. */
size_t dfqi_rt_groups_scratch(int64_t cols);
void dfqi_rt_run_group_codes(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                             int64_t count);
size_t dfqi_rt_product_scratch(const dfqi_rt_step *s); /* of any linear layer with its matrix */
void dfqi_rt_run_product_groups(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                                int64_t count);

/* Queries [first, first + count) of one head on codes. */
size_t dfqi_rt_attention_codes_scratch(const dfqi_rt_attention *a);
void dfqi_rt_attention_codes(const dfqi_rt_attention *a, const dfqi_rt_frame *f,
                             const dfqi_rt_head *h, int64_t first, int64_t count);
/* Adds bias and mask to the scores[count, N] of queries first... */
void dfqi_rt_attention_bias(const dfqi_rt_attention *a, const dfqi_rt_frame *f,
                            const dfqi_rt_head *h, int64_t first, int64_t count, float *scores);

/* Computes all constants, for which memory is taken here. */
DFQI_CHECKED dfq_status dfqi_rt_constants(dfqi_rt_builder *b);
/* Segments, and places of values. */
DFQI_CHECKED dfq_status dfqi_rt_plan(dfqi_program *p);

/* -- running ----------------------------------------------------------------------------------- */

/* Where a thread is: its memory, and the images of its slice. */
struct dfqi_rt_frame {
    const dfqi_program *p;
    const dfqi_pixels *pixels;
    char *slice, *block, *scratch, *outputs;
    int64_t first, images; /* of the batch */
    int64_t base;          /* the first image of the slice that goes through a group now */
    int64_t chunks;        /* of a unit of divisible steps */
    double *seconds;       /* of each part, of this thread; NULL: not measured */
};

/* Unit `first` of a value of a step with so many units. */
void *dfqi_rt_at(const dfqi_rt_frame *f, int32_t value, int64_t units, int64_t first);
/* Pixels x .. x + n - 1 of row y and channel c of image i of the slice, normalised, each `step`
 * floats behind the one before. */
void dfqi_rt_pixels(const dfqi_rt_frame *f, int64_t i, int64_t c, int64_t y, int64_t x, int64_t n,
                    float *out, int64_t step);

/* The static grid of a step whose operands 1 and 2 are scales and zero points. */
dfqi_grid dfqi_rt_static_grid(const dfqi_rt_step *s, const dfqi_rt_frame *f);
void dfqi_rt_run_op(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count);
void dfqi_rt_run_patches(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                         int64_t count);
/* Its result is codes on the grid in[1], in[2]; attr as of fq. */
void dfqi_rt_run_image_codes(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                             int64_t count);
void dfqi_rt_run_channels_last(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                               int64_t count);

#endif
