/* Graph builders, one per op. Each comment gives the formula, the shapes and the attributes; B
 * is the batch. Gradient ops (…_dx, …_dw) have no builder: the gradient rules of their ops add
 * them. */
#ifndef DFQI_GRAPH_OPS_H
#define DFQI_GRAPH_OPS_H

#include "base/size.h"
#include "graph/graph.h"

/* -- products; named ones pass their operands through the graph's rewrite ---------------------- */

/* x[B,..,K] W[O,K]^T + b[O] -> [B,..,O]. W may have any shape with first extent O and K elements
 * behind it. b may be DFQI_NONE. Slots: 0 x, 1 W. */
dfqi_id dfqi_linear(dfqi_graph *g, const char *name, dfqi_id x, dfqi_id w, dfqi_id b);
/* a[B,H,M,d] b[B,H,N,d]^T -> [B,H,M,N]. Slots: 0 a, 1 b. */
dfqi_id dfqi_matmul_nt(dfqi_graph *g, const char *name, dfqi_id a, dfqi_id b);
/* a[B,H,M,N] b[B,H,N,d] -> [B,H,M,d]. Slots: 0 a, 1 b. */
dfqi_id dfqi_matmul_nn(dfqi_graph *g, const char *name, dfqi_id a, dfqi_id b);

typedef struct dfqi_conv_attr {
    int64_t stride, pad, dilation; /* along both axes: 1..64, 0..64, 1..64 */
    int64_t groups;                /* of channels and of filters: 1 or more, a divisor of both */
    int64_t more; /* rows and columns of padding behind the image beyond `pad`, as TensorFlow's
                       SAME has them: 0 to dilation (kernel - 1) */
} dfqi_conv_attr;

/* Convolution of channels-last images: x[B,Y,X,C] w[O,C/groups,kh,kw] + b[O] -> [B,Y',X',O], with
 * Y' = floor((Y + 2 pad + more - dilation (kh - 1) - 1) / stride) + 1; kh and kw are at most
 * 16. b may be DFQI_NONE. Slots: 0 x, 1 w. */
dfqi_id dfqi_conv(dfqi_graph *g, const char *name, dfqi_id x, dfqi_id w, dfqi_id b,
                  const dfqi_conv_attr *a);

/* The geometry of a convolution's node, and its groups. */
void dfqi_conv_node(const dfqi_graph *g, const struct dfqi_node *n, dfqi_conv_shape *out,
                    int64_t *out_groups);
/* Is it depthwise: has each channel one filter? */
bool dfqi_conv_is_depthwise(const dfqi_conv_shape *s, int64_t groups);
/* Its attribute `more`. */
int64_t dfqi_conv_more(const struct dfqi_node *n);

/* Nearest upsampling and a convolution in fewer operations: dfqi_conv(dfqi_upsample(x, 0), w, b)
 * with stride and pad 1, x[B,Y,X,C] w[O,C,3,3] + b[O] -> [B,2Y,2X,O]. */
dfqi_id dfqi_upsample_conv(dfqi_graph *g, dfqi_id x, dfqi_id w, dfqi_id b);

/* -- elementwise and rows ---------------------------------------------------------------------- */

dfqi_id dfqi_add(dfqi_graph *g, dfqi_id a, dfqi_id b);       /* same shapes */
dfqi_id dfqi_mul(dfqi_graph *g, dfqi_id a, dfqi_id b);       /* same shapes, element by element */
dfqi_id dfqi_gelu(dfqi_graph *g, dfqi_id x);                 /* exact, erf */
dfqi_id dfqi_softmax(dfqi_graph *g, dfqi_id x, float scale); /* softmax(scale x), last extent */
dfqi_id dfqi_layernorm(dfqi_graph *g, dfqi_id x, dfqi_id gamma, dfqi_id beta, float eps);

/* min(max(x, 0), cap), cap INFINITY: ReLU. A named one passes its *output* through the graph's
 * rewrite, slot 0: quantizers of activations sit there. name may be NULL. */
dfqi_id dfqi_relu(dfqi_graph *g, const char *name, dfqi_id x, float cap);
dfqi_id dfqi_leaky_relu(dfqi_graph *g, dfqi_id x, float slope); /* slope > 0 */
dfqi_id dfqi_tanh(dfqi_graph *g, dfqi_id x);

typedef enum dfqi_activation_kind {
    DFQI_ACTIVATION_SIGMOID = 0,
    DFQI_ACTIVATION_SILU,         /* x sigmoid(x) */
    DFQI_ACTIVATION_HARD_SIGMOID, /* min(max(x + 3, 0), 6) / 6 */
    DFQI_ACTIVATION_HARD_SWISH,   /* x times that */
    DFQI_ACTIVATION_QUICK_GELU,   /* x sigmoid(1.702 x) */
    DFQI_ACTIVATION_GELU_TANH,    /* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
    DFQI_ACTIVATION_SOFTPLUS,     /* log(1 + exp x) */
    DFQI_ACTIVATION_ELU,          /* x below 0: exp(x) - 1, else x */
    DFQI_ACTIVATION_SQRT,         /* of x above 0; 0 and below give 0 with a slope of 0 */
    DFQI_ACTIVATION_RECIPROCAL,   /* 1 / x */
    DFQI_ACTIVATION_EXP,
    DFQI_ACTIVATION_COUNT
} dfqi_activation_kind;

/* One of these of every element. `name` as of dfqi_relu. */
dfqi_id dfqi_activation(dfqi_graph *g, const char *name, dfqi_id x, dfqi_activation_kind kind);
/* x[B,..,C] w[C] + b[C], one factor and one summand for each channel. b may be DFQI_NONE. */
dfqi_id dfqi_affine(dfqi_graph *g, dfqi_id x, dfqi_id w, dfqi_id b);
/* Copies of what belongs to an image behind each other: x[B,..] with n values an image ->
 * [B,times,n]. */
dfqi_id dfqi_repeat(dfqi_graph *g, dfqi_id x, int64_t times);
/* x[B,..,C] times s[B,C], one factor for each channel of an image (squeeze-and-excite). */
dfqi_id dfqi_gate(dfqi_graph *g, dfqi_id x, dfqi_id s);

/* -- layout ------------------------------------------------------------------------------------ */

/* x[B,C,Y,X] -> [B, (Y/p)(X/p), C p p], patches row-major, inside a patch C, y, x. */
dfqi_id dfqi_patchify(dfqi_graph *g, dfqi_id x, int64_t patch);
/* patches[B,P,D], cls[1,R,D], pos[1,R+P,D] -> [B,R+P,D]: class token and what follows it first,
 * positions added. cls may be DFQI_NONE: patches[B,P,D], pos[1,P,D] -> [B,P,D]. */
dfqi_id dfqi_tokens(dfqi_graph *g, dfqi_id patches, dfqi_id cls, dfqi_id pos);
/* x[B,N,D] -> [B,D], token `index`. */
dfqi_id dfqi_select_token(dfqi_graph *g, dfqi_id x, int64_t index);
/* x[B,N,D] -> [B,N-first,D], without its first tokens. */
dfqi_id dfqi_drop_tokens(dfqi_graph *g, dfqi_id x, int64_t first);
/* x[B,N,parts*H*d] -> parts outputs [B,H,N,d]; parts is 1 or 3 (q, k, v). */
dfqi_id dfqi_split_heads(dfqi_graph *g, dfqi_id x, int64_t heads, int64_t parts);
/* o[B,H,N,d] -> [B,N,H*d]. */
dfqi_id dfqi_join_heads(dfqi_graph *g, dfqi_id o);
/* The same for the heads of each of W windows: x[B,W*N,parts*H*d] <-> [B,W*H,N,d], the heads of the
 * first window first. */
dfqi_id dfqi_split_window_heads(dfqi_graph *g, dfqi_id x, int64_t windows, int64_t heads,
                                int64_t parts);
dfqi_id dfqi_join_window_heads(dfqi_graph *g, dfqi_id o, int64_t windows);
/* The leading part of an unbatched x[R,C] -> [rows,cols]: x has `groups` equal groups of rows, and
 * the result has the first rows/groups rows of each group and their first cols columns. x[R] with
 * cols 1 -> [rows]. */
dfqi_id dfqi_leading(dfqi_graph *g, dfqi_id x, int64_t rows, int64_t cols, int64_t groups);
/* Sum over the batch of elements first.. of x, shaped like the unbatched `like`, times `scale`. */
dfqi_id dfqi_sum_batch(dfqi_graph *g, dfqi_id x, dfqi_id like, int64_t first, float scale);
/* x[B,C,Y,X] rolled by offsets[2] = (y, x): out[i] = in[(i - offset) mod n]. */
dfqi_id dfqi_roll(dfqi_graph *g, dfqi_id x, dfqi_id offsets);
/* x[B,C,Y,X] * scale[B,C] + shift[B,C]. */
dfqi_id dfqi_channel_affine(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id shift);

/* -- windows of a map of tokens ---------------------------------------------------------------- */

/* A map of tokens, cut into windows row by row after it was rolled by `shift` up and to the left.
 * Where windows stick out, the map is padded by zeros at its right and lower end: after it was
 * rolled, or with pad_first before. */
typedef struct dfqi_windowing {
    dfqi_size map, window, shift; /* tokens */
    int64_t pad_first;
} dfqi_windowing;

int64_t dfqi_window_count(const dfqi_windowing *w);
/* x[B,N,C] of a map -> [B,windows*n,C] with the n tokens of a window one behind the other, window
 * after window; and back, without padding. */
dfqi_id dfqi_windows(dfqi_graph *g, dfqi_id x, const dfqi_windowing *w);
dfqi_id dfqi_unwindow(dfqi_graph *g, dfqi_id x, const dfqi_windowing *w);
/* Squares of 2 x 2 tokens as one: x[B,height*width,C] -> [B,ceil(height/2)*ceil(width/2),4*C],
 * parts in the order (0,0), (1,0), (0,1), (1,1) of (row, column); zeros outside of the map. */
dfqi_id dfqi_merge(dfqi_graph *g, dfqi_id x, int64_t height, int64_t width);
/* A table of biases by relative position, [(2*height-1) (2*width-1),H] of a window, times `factor`,
 * for each pair of its n tokens: [H,n,n]. */
dfqi_id dfqi_relative_bias(dfqi_graph *g, dfqi_id table, dfqi_size window, float factor);
/* raw[B,windows*H,n,n] + bias[H,n,n], n tokens of a window, plus `mask` where query and key of a
 * window come from different ends of the map, which the shift made neighbours. */
dfqi_id dfqi_window_bias(dfqi_graph *g, dfqi_id raw, dfqi_id bias, const dfqi_windowing *w,
                         float mask);
/* Adds the mask of a window_bias node to the scores y[rows,n] of queries first.. of a window. */
void dfqi_window_mask(const dfqi_attr *attr, int64_t window, int64_t first, int64_t rows, float *y);

/* -- images: feature maps are channels-last, [B,Y,X,C] ----------------------------------------- */

dfqi_id dfqi_channels_last(dfqi_graph *g, dfqi_id x);  /* [B,C,Y,X] -> [B,Y,X,C] */
dfqi_id dfqi_channels_first(dfqi_graph *g, dfqi_id x); /* [B,Y,X,C] -> [B,C,Y,X] */
/* Reshapes each image to dims[rank]. */
dfqi_id dfqi_reshape(dfqi_graph *g, dfqi_id x, int32_t rank, const int64_t *dims);
/* The parameter-free shortcut of ResNets for small images: every stride-th pixel of x[B,Y,X,C],
 * padded with `before` and `after` channels of zeros. */
dfqi_id dfqi_subsample_pad(dfqi_graph *g, dfqi_id x, int64_t stride, int64_t before, int64_t after);
/* Rows of table[N,D]: index[B] or [B,K] (row numbers as floats, forced into 0 .. N - 1) -> [B,D] or
 * [B,K,D]. */
dfqi_id dfqi_embed(dfqi_graph *g, dfqi_id table, dfqi_id index);
typedef struct dfqi_pool_attr {
    int64_t size, stride, pad; /* along both axes; size and stride at most 64, pad half the size */
    int64_t more;      /* of padding behind the image beyond `pad`; pad + more are below the size */
    int64_t count_pad; /* of dfqi_avg_pool: 1: `pad` on both sides counts as zeros */
} dfqi_pool_attr;

/* Largest of each size x size window of x[B,Y,X,C], padded by -infinity: [B,Y',X',C] with
 * Y' = floor((Y + 2 pad + more - size) / stride) + 1. The gradient goes to the first largest, row
 * by row. */
dfqi_id dfqi_max_pool(dfqi_graph *g, dfqi_id x, const dfqi_pool_attr *a);
/* The mean of each such window: of the pixels in the image, or, with count_pad, of those in the
 * image and in `pad`. */
dfqi_id dfqi_avg_pool(dfqi_graph *g, dfqi_id x, const dfqi_pool_attr *a);
dfqi_id dfqi_mean_pool(dfqi_graph *g, dfqi_id x); /* [B,Y,X,C] -> [B,C], over all pixels */
/* [B,Y,X,C] -> [B,2Y,2X,C]: nearest pixels, or bilinear between pixel centres. */
dfqi_id dfqi_upsample(dfqi_graph *g, dfqi_id x, int bilinear);

/* x[B,Y,X,C] with rows and columns of zeros around it, `border` = above, before, below, behind;
 * what is below 0 cuts off. Each is -65536 to 65536. */
dfqi_id dfqi_pad_image(dfqi_graph *g, dfqi_id x, const int64_t border[4]);
/* a[B,..,C] and b[B,..,D] -> [B,..,C+D]. */
dfqi_id dfqi_concat(dfqi_graph *g, dfqi_id a, dfqi_id b);
/* Channels first .. first + count of x[B,..,C]. */
dfqi_id dfqi_channels(dfqi_graph *g, dfqi_id x, int64_t first, int64_t count);

/* -- batch normalisation ----------------------------------------------------------------------- */

/* x[B,..,C] -> mean[C] and, output 1, biased variance[C] over the batch and all positions. */
dfqi_id dfqi_batch_stats(dfqi_graph *g, dfqi_id x);
/* (x - mean) / sqrt(var + eps) * gamma + beta: x[B,..,C], mean and var [C]; gamma and beta are [C],
 * one for each image [B,C], or DFQI_NONE (1 and 0). With the outputs of dfqi_batch_stats(x) it
 * normalises as in training, and gradients flow through them. */
dfqi_id dfqi_batchnorm(dfqi_graph *g, dfqi_id x, dfqi_id mean, dfqi_id var, dfqi_id gamma,
                       dfqi_id beta, float eps);
/* mean_c (mean - want_mean)^2 + mean_c (var - want_var)^2 -> [1], all operands [C]; gradients to
 * mean and var (L_BNS of docs/METHODS.md, Generators). */
dfqi_id dfqi_bns(dfqi_graph *g, dfqi_id mean, dfqi_id var, dfqi_id want_mean, dfqi_id want_var);

/* -- losses: one value per image, [B] ---------------------------------------------------------- */

/* Cross-entropy of logits[B,C] with labels[B] (class numbers as floats). */
dfqi_id dfqi_cross_entropy(dfqi_graph *g, dfqi_id logits, dfqi_id labels);
/* The same with targets[B,C], one weight for each class. */
dfqi_id dfqi_soft_cross_entropy(dfqi_graph *g, dfqi_id logits, dfqi_id targets);
/* T^2 KL(softmax(teacher/T) || softmax(student/T)), gradient to the student. */
dfqi_id dfqi_kl(dfqi_graph *g, dfqi_id student, dfqi_id teacher, float temperature);
/* Mean distance over queries and ordered pairs of heads of one window of raw products
 * r[B,windows*H,N,N], the first `drop` tokens left out (L_IH of docs/METHODS.md, Synthetic
 * images). */
dfqi_id dfqi_inter_head(dfqi_graph *g, dfqi_id r, int64_t windows, int64_t drop,
                        dfqi_distance distance);
/* 1 - mean structural similarity of teacher and student head outputs [B,H,N,d] (docs/METHODS.md,
 * Tuning). */
dfqi_id dfqi_head_ssim(dfqi_graph *g, dfqi_id teacher, dfqi_id student, int64_t drop);
/* Total variation of x[B,C,Y,X] over the whole batch, [1]: four Frobenius norms, those of diagonal
 * differences times `diagonal`. With a target[1]: the distance from it. */
dfqi_id dfqi_tv(dfqi_graph *g, dfqi_id x, float diagonal, dfqi_id target);
/* sum_k weight[k] * mean(term[k]) -> [1]; terms are [B] or [1], at most DFQI_ATTR_MAX. Output 1 is
 * [n]: the means, unweighted. */
dfqi_id dfqi_total(dfqi_graph *g, int32_t n, const dfqi_id *term, const float *weight);
/* A value like `like` filled with a constant. */
dfqi_id dfqi_fill(dfqi_graph *g, dfqi_id like, float value);

/* -- fake quantization (straight-through gradients; docs/METHODS.md, Quantizers) -------------- */

/* Heads of one window of x[B,W*H,N,d]: W is that of the split that made x, else 1. */
int64_t dfqi_heads_of(const dfqi_graph *g, const dfqi_value *x);
/* x on the grid of scale: [1], or [C] one for each channel; for x[B,W*H,N,d] [1], [H] or [H*d].
 * zero_point is like scale, or DFQI_NONE. Codes qmin..qmax. The gradients of scale and zero_point
 * are multiplied by scale_grad_mult and zero_point_grad_mult. */
dfqi_id dfqi_fq(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id zero_point, float qmin, float qmax,
                float scale_grad_mult, float zero_point_grad_mult);
/* dfqi_fq with AIT's gradient: the gradient of x passes unchanged, also where x is clipped; scale
 * and zero_point get none. */
dfqi_id dfqi_fq_straight(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id zero_point, float qmin,
                         float qmax);
/* Logarithmic grid base sqrt(2) below top[1], codes 0..qmax. */
dfqi_id dfqi_fq_log(dfqi_graph *g, dfqi_id x, dfqi_id top, float qmax);
/* x[B,..,C], each row of C values on a grid found from the row at run time; is_signed: symmetric,
 * else from the smallest to the largest value with 0 among them (kernel.h, fq_row). */
dfqi_id dfqi_fq_row(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed);
/* The same, unsigned, with a grid for each group of so many values of a row (0: one for all). */
dfqi_id dfqi_fq_row_groups(dfqi_graph *g, dfqi_id x, int64_t bits, int64_t group);
/* x[B,..,N,C], each of the C columns over its N values. */
dfqi_id dfqi_fq_column(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed);
/* The codes of dfqi_fq_row or dfqi_fq_row_groups (of dfqi_fq_column if `columns`) less their zero
 * points; output 1 has the scales. Products of such operands take the scales behind their sums,
 * which are exact below 2^24. For graphs without gradients. */
dfqi_id dfqi_fq_row_codes(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed, int columns,
                          int64_t group);
/* The same of dfqi_fq_weight without column factors; in groups the numbers. */
dfqi_id dfqi_fq_weight_codes(dfqi_graph *g, dfqi_id w, dfqi_id scale, dfqi_id groups, int64_t bits);
/* Weights w[O,..], symmetric per row, `bits` wide; column factors col[K] and learned scales
 * scale[O] may be DFQI_NONE (min-max scales then). groups[O,n]: grids of n groups of the columns
 * (kernel/weight_groups.h), with scale; or DFQI_NONE. scale_grad_mult multiplies the gradient of
 * scale. */
dfqi_id dfqi_fq_weight(dfqi_graph *g, dfqi_id w, dfqi_id col, dfqi_id scale, dfqi_id groups,
                       int64_t bits, float scale_grad_mult);
/* dfqi_fq_weight with LSQ's gradient to w, which is 0 where w is clipped. */
dfqi_id dfqi_fq_weight_lsq(dfqi_graph *g, dfqi_id w, dfqi_id scale, int64_t bits,
                           float scale_grad_mult);
/* Weights w[O,..] on asymmetric grids, `bits` wide. Each grid goes from the smallest to the largest
 * current value of its row (AIT). */
dfqi_id dfqi_fq_weight_range(dfqi_graph *g, dfqi_id w, int64_t bits);
/* The quantization grid of x's range, tracked over batches. state[3] holds the moving averages
 * (factor 0.9) of the smallest and of the largest value of a batch, and 1 - 0.9^batches; zeros mean
 * that no batch was seen. The outputs are scale[1] and zero_point[1] of codes -2^(bits-1) ..
 * 2^(bits-1) - 1 after this batch, and the new state. The average starts from the first batch. With
 * `published` it starts from 0, and a wrong bias correction is fed back: it overshoots up to 3945
 * times and is right to 1e-4 after 200 batches. No gradients. */
dfqi_id dfqi_track_range(dfqi_graph *g, dfqi_id x, dfqi_id state, int64_t bits, int published);

/* -- reconstruction ---------------------------------------------------------------------------- */

/* x where a random bit says so, else q: the quantized x. Half of the bits are set; they depend on
 * the image's key, a whole number below 2^24, on the stream and on the place. A negative key
 * drops nothing: q. */
dfqi_id dfqi_drop(dfqi_graph *g, dfqi_id x, dfqi_id q, dfqi_id keys, int64_t stream);
/* Mean of weights * (a - b)^2 over the values of an image: a and b [B,..] -> [B]. weights are [1],
 * or one for each value. Gradient to a. */
dfqi_id dfqi_squared_error(dfqi_graph *g, dfqi_id a, dfqi_id b, dfqi_id weights);

#endif
