/** @file dfq/quantizer.h
 *  @ingroup stable
 *  Fake quantization: its kinds and options, and dfq_quantizer, a single fake-quantization module.
 *  dfq_graph_quantize() (dfq/graph.h) inserts quantizers into a float network and calibrates their
 *  scales; tuning (dfq/tuner.h) then trains weights and scales. */
#ifndef DFQ_QUANTIZER_H
#define DFQ_QUANTIZER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Quantization modes. */
enum {
    /** MimiQ's quantizers as published: min-max weights, one learned scale and zero point for each
     *  activation tensor. */
    DFQ_MODE_PARITY = 0,
    /** Scales by error search, one for each channel of a linear layer's input (folded into its
     *  weights), logarithmic or unsigned grid for attention maps, learned weight scales. */
    DFQ_MODE_IMPROVED = 1
};

/** Kinds of quantizer. */
enum {
    DFQ_QUANTIZER_WEIGHT = 0, /**< symmetric, one scale for each output channel */
    DFQ_QUANTIZER_UNIFORM =
        1, /**< scale and zero point: q = clamp(round(x / scale) + zero_point, qmin, qmax) */
    DFQ_QUANTIZER_LOG = 2, /**< q = round(-2 log2(x / top)), base sqrt(2); above `qmax` 0:
                                    b bits are 2^b - 1 powers, and zero */
    DFQ_QUANTIZER_WEIGHT_MINMAX =
        3, /**< weight, from the smallest to the largest of each output channel */
    DFQ_QUANTIZER_ROW =
        4, /**< activations, a scale and zero point for each row (the last axis: a token), found
                from the row at run time. With lo = min(0, min x), hi = max(0, max x), unsigned:
                scale = (hi - lo) / (2^b - 1), zero_point = round(-lo / scale),
                q = clamp(round(x / scale) + zero_point, 0, 2^b - 1); signed: symmetric,
                scale = max|x| / Q, codes -Q .. Q, Q = 2^(b-1) - 1. A row of zeros (or below
                2^b 1.2e-38) has scale 1. A row that holds NaN or an infinity, or whose range
                overflows, becomes NaN */
    DFQ_QUANTIZER_COLUMN = 5 /**< the same for each index of the last axis, over the one before it:
                                  values [B,H,N,d] for each image, head and channel over tokens */
};

/** Where the scales of activations come from, in mode ::DFQ_MODE_IMPROVED of a vision
 *  transformer. */
enum {
    DFQ_ACT_SCALE_AUTO = 0,  /**< ::DFQ_ACT_SCALE_ROW of a vision transformer in mode
                                 ::DFQ_MODE_IMPROVED, else ::DFQ_ACT_SCALE_TENSOR */
    DFQ_ACT_SCALE_ROW = 1,   /**< each token, at run time: inputs of linear layers, queries and
                                 attention maps ::DFQ_QUANTIZER_ROW, keys the same but symmetric,
                                 values ::DFQ_QUANTIZER_COLUMN, symmetric */
    DFQ_ACT_SCALE_TENSOR = 2 /**< calibration on images: static scales */
};

/** Grids of weights, in mode ::DFQ_MODE_PARITY of a vision transformer (MimiQ's). */
enum {
    DFQ_WEIGHT_GRID_AUTO =
        0, /**< what the mode has: parity ::DFQ_WEIGHT_GRID_MINMAX, improved a search,
                                      convolutional networks ::DFQ_WEIGHT_GRID_MINMAX_ASYM */
    DFQ_WEIGHT_GRID_MINMAX = 1, /**< symmetric, from the largest magnitude of each output channel */
    DFQ_WEIGHT_GRID_MINMAX_ASYM = 2, /**< from the smallest to the largest of each output channel */
    DFQ_WEIGHT_GRID_LSQ =
        3 /**< symmetric, a learned scale for each output channel (LSQ, Esser et al.,
                                      ICLR 2020), which begins at 2 mean|W| / sqrt(2^(b-1) - 1) */
};

/** Grids of activations, in mode ::DFQ_MODE_PARITY of a vision transformer (MimiQ's). */
enum {
    DFQ_ACT_GRID_AUTO =
        0, /**< what the mode has: parity ::DFQ_ACT_GRID_LSQ, improved a search, convolutional
                             networks ::DFQ_ACT_GRID_MINMAX */
    DFQ_ACT_GRID_LSQ = 1, /**< learned scale and zero point for each tensor */
    DFQ_ACT_GRID_MINMAX =
        2 /**< from the smallest to the largest value of a batch of 16, averaged over the
                             images' batches with factor 0.9; tuning leaves them */
};

/** Parts of the rounding of weights in mode ::DFQ_MODE_IMPROVED, added up. Each can be left out, to
 *  see what it is worth. */
enum {
    DFQ_ROUNDING_AUTO = 0,   /**< vision transformers search, ridge and GPTQ; convolutional networks
                                   all of the following */
    DFQ_ROUNDING_SEARCH = 1, /**< scales by error search, not from the largest magnitude */
    DFQ_ROUNDING_RIDGE = 2,  /**< before rounding, weights undo what quantized inputs lost, by least
                                   squares with a penalty */
    DFQ_ROUNDING_GPTQ = 4,   /**< codes by second-order rounding, not the nearest */
    DFQ_ROUNDING_BIAS = 8,   /**< biases take up the mean error of outputs */
    DFQ_ROUNDING_NEAREST = 16 /**< none of these: nearest codes on grids from the largest magnitude;
                                   alone */
};

/** Bit widths of single layers, or layers that stay float. A layer is a product or a ReLU. Its name
 *  is that of its quantizers without the last part: "blocks.0.attn.qkv", "layer1.0.conv1",
 *  "layer1.0.relu". In a convolutional network, convolutions have weights and ReLUs have
 *  activations. */
typedef struct dfq_layer_config {
    uint32_t struct_size; /**< set by the caller to sizeof(dfq_layer_config), in each element */
    int32_t weight_bits;  /**< 2..8; 0: the network's weight_bits */
    int32_t act_bits;     /**< 2..8; 0: the network's act_bits */
    int32_t skip;         /**< 1: the layer's quantizers are left out, it computes in float; then no
                               bits. Default 0 */
    const char *name;     /**< up to 79 characters; each "*" stands for any characters:
                               "blocks.*.mlp.fc1" */
} dfq_layer_config;

/** Channels of a row that share a scale. */
enum {
    DFQ_ACT_GROUP_AUTO = -1 /**< with scales of rows 64 at 4 bits and 32 below, where a linear layer
                                 has several such groups, else 0 */
};

/** Columns of a weight that share a grid. */
enum {
    DFQ_WEIGHT_GROUP_AUTO = -1 /**< in mode ::DFQ_MODE_IMPROVED of a vision transformer 16, where a
                                    weight of at most 4 bits has several such groups, else 0 */
};

/** Rotation of a vision transformer's residual stream before it is quantized: an orthogonal change
 *  of basis that spreads a few large channels over all of them. The float network computes the
 *  same, but its parameters are others (docs/METHODS.md, Rotation). Inputs of linear layers then
 *  have one scale, not one for each channel. */
enum {
    DFQ_ROTATE_AUTO = 0, /**< on with ::DFQ_ACT_SCALE_ROW, else off: scales for each channel and
                              rotation are two remedies for the same error */
    DFQ_ROTATE_OFF = 1,
    DFQ_ROTATE_ON = 2 /**< ::DFQ_E_UNSUPPORTED for a network whose stream cannot be rotated */
};

/** Numbers that options take where they are 0. */
enum {
    DFQ_DRAWN_IMAGES = 128 /**< images of dead leaves that round the weights of a transformer where
                                no images are given */
};

/** Options of dfq_graph_quantize(). Fill with dfq_quantize_options_init() first. */
typedef struct dfq_quantize_options {
    uint32_t struct_size;    /**< set by init */
    int32_t mode;            /**< DFQ_MODE_*; default ::DFQ_MODE_IMPROVED */
    int32_t weight_bits;     /**< 2..8; default 4 */
    int32_t act_bits;        /**< 2..8; default 4 */
    int32_t first_last_bits; /**< of the weights of the first and the last layer, of a vision
                               transformer patch embedding and head, 2..8; default 0: weight_bits,
                               with scales of rows 8. There the head's input has the larger of
                               these and act_bits; the image stays float */
    int32_t weight_grid;     /**< DFQ_WEIGHT_GRID_*; default ::DFQ_WEIGHT_GRID_AUTO */
    int32_t act_grid;        /**< DFQ_ACT_GRID_*; default ::DFQ_ACT_GRID_AUTO */
    int32_t n_layers;        /**< number of elements of `layers`; default 0 */
    /** layers with widths of their own; later ones win; read during the call. Default NULL */
    const dfq_layer_config *layers;
    int32_t rotate;       /**< DFQ_ROTATE_*; default ::DFQ_ROTATE_AUTO */
    int32_t act_scale;    /**< DFQ_ACT_SCALE_*; default ::DFQ_ACT_SCALE_AUTO */
    int32_t rounding;     /**< DFQ_ROUNDING_*, in mode ::DFQ_MODE_IMPROVED; default
                               ::DFQ_ROUNDING_AUTO */
    int32_t drawn_images; /**< images of dead leaves that round weights, 0..65536, with scales of
                               rows; beside images that are given. Default 0: none beside them,
                               ::DFQ_DRAWN_IMAGES where none are given */
    uint64_t seed;        /**< of drawn images, any number; default 0 */
    int32_t act_group;    /**< scales of rows: channels of a linear layer's input that share one,
                               16..4096 and a multiple of 16; rows that are not several such groups
                               keep one scale. 0: all channels of a row share it. Default
                               ::DFQ_ACT_GROUP_AUTO */
    int32_t weight_group; /**< mode ::DFQ_MODE_IMPROVED of a vision transformer: columns of a linear
                               layer's weight of at most 4 bits that share a zero point and a
                               multiplier of the row's scale, 16..4096 and a multiple of 16; 8 bits
                               more a group. Weights that are not several such groups have one grid
                               a row. 0: all have. Default ::DFQ_WEIGHT_GROUP_AUTO */
} dfq_quantize_options;

/** Writes defaults: `size` must be sizeof(dfq_quantize_options) of the caller. */
DFQ_API void dfq_quantize_options_init(dfq_quantize_options *options, size_t size);

/** One quantizer of a network. Filled by dfq_graph_get_quantizer(). */
typedef struct dfq_quantizer_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t kind;         /**< DFQ_QUANTIZER_* */
    int32_t bits;         /**< 2..8 */
    int32_t scales;       /**< number of scales: 1, or one for each channel, head or row; 0: found
                               at run time */
    float qmin;           /**< smallest code */
    float qmax;           /**< largest code */
    float scale_min;      /**< smallest scale */
    float scale_max;      /**< largest scale */
    float zero_point_min; /**< smallest zero point; 0 where there is none */
    float zero_point_max; /**< largest zero point */
    double error;         /**< relative error on the calibration images; below 0: not measured */
    const char *name;     /**< for example "blocks.0.attn.qkv.input"; borrowed from the graph */
    int32_t group; /**< rows and weights: channels that share a grid; 0: all of a row, and other
                        kinds */
} dfq_quantizer_info;

/* -- one fake-quant module --------------------------------------------------------------------- */

/** Values that share a scale. */
enum {
    DFQ_GRANULARITY_TENSOR = 0, /**< all values of the tensor; scales [1] */
    DFQ_GRANULARITY_AXIS = 1,   /**< those with the same index along `axis`; scales [n] */
    DFQ_GRANULARITY_HEAD_CHANNEL =
        2 /**< of a tensor [B,H,N,d] those with the same head and channel;
                                          scales [H,d] */
};

/** Gradient of the input (straight-through estimator). */
enum {
    DFQ_INPUT_GRADIENT_AUTO = 0,     /**< ::DFQ_QUANTIZER_UNIFORM clipped, ::DFQ_QUANTIZER_ROW and
                                      ::DFQ_QUANTIZER_COLUMN range, the others identity */
    DFQ_INPUT_GRADIENT_CLIPPED = 1,  /**< that of the output where x is inside of the range, else 0
                                         (LSQ) */
    DFQ_INPUT_GRADIENT_IDENTITY = 2, /**< that of the output everywhere (MimiQ's weights, AIT) */
    DFQ_INPUT_GRADIENT_RANGE =
        3 /**< of ::DFQ_QUANTIZER_ROW and ::DFQ_QUANTIZER_COLUMN, their only one: identity, and
                through the scale to the row's extremes. With e the sum of
                grad_y (q - zero_point - x / scale) over the row, the largest value also gets
                e / (2^b - 1), the smallest minus that; signed: the one of largest magnitude e / Q
                with its sign */
};

/** How scales are found from a tensor. */
enum {
    DFQ_CALIBRATION_MINMAX = 0, /**< from the smallest to the largest value; symmetric weights from
                                     the largest magnitude, 2 max|x| / (2^bits - 1) */
    DFQ_CALIBRATION_SEARCH = 1 /**< the least squared error among ranges that are shrunk from there:
                                     27 of ::DFQ_QUANTIZER_UNIFORM, 24 of ::DFQ_QUANTIZER_WEIGHT */
};

/** Options of dfq_quantizer_create(). Fill with dfq_quantizer_options_init() first. */
typedef struct dfq_quantizer_options {
    uint32_t struct_size; /**< set by init */
    int32_t kind;         /**< DFQ_QUANTIZER_*; default ::DFQ_QUANTIZER_UNIFORM */
    int32_t bits;         /**< 2..8; default 4 */
    int32_t is_signed;    /**< of ::DFQ_QUANTIZER_UNIFORM: 1: codes -2^(bits-1) .. 2^(bits-1) - 1;
                               0: codes 0 .. 2^bits - 1; of ::DFQ_QUANTIZER_ROW and
                               ::DFQ_QUANTIZER_COLUMN: see there. Default 1. Weights are always
                               signed; logarithmic codes are 0 .. 2^bits - 2 and one for zero */
    int32_t granularity;  /**< DFQ_GRANULARITY_*; default ::DFQ_GRANULARITY_TENSOR. Grids that are
                               logarithmic or found at run time have no other, weights have no
                               ::DFQ_GRANULARITY_HEAD_CHANNEL */
    int32_t axis; /**< of ::DFQ_GRANULARITY_AXIS; below 0 from the last one, -1; default 0 */
    int32_t input_gradient;       /**< DFQ_INPUT_GRADIENT_*; default ::DFQ_INPUT_GRADIENT_AUTO. A
                                 logarithmic grid has identity alone */
    float scale_grad_factor;      /**< multiplies the gradient of scales; default 1; 0: LSQ's
                                  1 / sqrt(N qmax), where N values share a scale */
    float zero_point_grad_factor; /**< of zero points, as scale_grad_factor; default 1 */
} dfq_quantizer_options;

/** Writes defaults: `size` must be sizeof(dfq_quantizer_options) of the caller. */
DFQ_API void dfq_quantizer_options_init(dfq_quantizer_options *options, size_t size);

/** Creates a quantizer.
 *  @param context     where memory comes from and errors go; kept alive by the quantizer
 *  @param options     NULL: the defaults
 *  @param scales      F32, finite, above 0, in the shape that the granularity asks for; NULL: not
 *                     known yet, see dfq_quantizer_calibrate(). Weights without scales take them
 *                     from each tensor as it is (min-max), as in training.
 *                     Of a logarithmic grid: the largest value
 *  @param zero_points F32, finite, as `scales`, rounded when used; NULL: 0. NULL of
 *                     ::DFQ_QUANTIZER_WEIGHT and ::DFQ_QUANTIZER_LOG
 *  @param out_quantizer one reference, to be given back with dfq_quantizer_release()
 *  @return ::DFQ_E_INVALID (NULL argument, an option out of range, zero points that the kind does
 *          not have), ::DFQ_E_UNSUPPORTED (an option that the kind does not have), ::DFQ_E_SHAPE,
 *          ::DFQ_E_NUMERIC (scales, zero points), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_quantizer_create(dfq_context *context,
                                            const dfq_quantizer_options *options,
                                            const dfq_tensor *scales, const dfq_tensor *zero_points,
                                            dfq_quantizer **out_quantizer);

/** Another reference to the same quantizer; returns `quantizer`. NULL gives NULL. Any thread. */
DFQ_API dfq_quantizer *dfq_quantizer_retain(const dfq_quantizer *quantizer);

/** Gives one reference back; the last one frees it. NULL is fine. Any thread. */
DFQ_API void dfq_quantizer_release(dfq_quantizer *quantizer);

/** Finds scales and zero points from `x`; what was there is replaced.
 *  @param x      F32, finite, of any shape that has the quantizer's axis; at least one value
 *  @param method DFQ_CALIBRATION_*
 *  @return ::DFQ_E_INVALID, ::DFQ_E_SHAPE, ::DFQ_E_NUMERIC (NaN, infinity), ::DFQ_E_UNSUPPORTED (a
 *          search for ::DFQ_QUANTIZER_WEIGHT_MINMAX or ::DFQ_QUANTIZER_LOG), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_quantizer_calibrate(dfq_quantizer *quantizer, const dfq_tensor *x,
                                               int32_t method);

/** Replaces scales and zero points, as after a step of one's optimiser.
 *  @param scales      F32, as in dfq_quantizer_create(); NULL (and zero_points NULL): forgets both
 *  @param zero_points F32, in the shape of the scales; NULL: 0
 *  @return as dfq_quantizer_create(). */
DFQ_CHECKED dfq_status dfq_quantizer_set_scales(dfq_quantizer *quantizer, const dfq_tensor *scales,
                                                const dfq_tensor *zero_points);

/** Sets column factors c of a symmetric weight [O,..] with scales along axis 0: c x is quantized,
 *  and the result is divided by c. Mode ::DFQ_MODE_IMPROVED folds the scales of a layer's input
 *  into its weight in this way.
 *  @param factors F32 [K], finite, above 0, with K values in a row of the weight; NULL: none
 *  @return ::DFQ_E_INVALID, ::DFQ_E_UNSUPPORTED (another kind or granularity), ::DFQ_E_SHAPE,
 *          ::DFQ_E_NUMERIC. */
DFQ_CHECKED dfq_status dfq_quantizer_set_column_factors(dfq_quantizer *quantizer,
                                                        const dfq_tensor *factors);

/** Describes the quantizer: kind, bits, qmin and qmax, number and bounds of its scales and zero
 *  points (0 scales: not known, or from each tensor), the relative error of the last search, its
 *  name in the graph it came from ("" else; borrowed from the quantizer).
 *  @return ::DFQ_E_INVALID if struct_size is not set. */
DFQ_CHECKED dfq_status dfq_quantizer_get_info(const dfq_quantizer *quantizer,
                                              dfq_quantizer_info *out_info);

/** The scales, F32, shared: give the reference back, change nothing.
 *  @return ::DFQ_E_INVALID: there are none. */
DFQ_CHECKED dfq_status dfq_quantizer_get_scales(const dfq_quantizer *quantizer,
                                                dfq_tensor **out_scales);

/** The zero points, F32, in the shape of the scales, shared; zeros where the quantizer has none.
 *  @return ::DFQ_E_INVALID (no scales), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_quantizer_get_zero_points(const dfq_quantizer *quantizer,
                                                     dfq_tensor **out_zero_points);

/** The column factors, F32 [K], shared: give the reference back, change nothing.
 *  @param out_factors NULL where there are none
 *  @return ::DFQ_E_INVALID (NULL argument). */
DFQ_CHECKED dfq_status dfq_quantizer_get_column_factors(const dfq_quantizer *quantizer,
                                                        dfq_tensor **out_factors);

/** Forward: every value of `x` becomes the nearest value of its grid. NaN stays NaN.
 *  @param x     F32, of any shape that fits the scales
 *  @param out_y F32, like x; one reference
 *  @return ::DFQ_E_INVALID (NULL argument, no scales yet), ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_quantizer_apply(const dfq_quantizer *quantizer, const dfq_tensor *x,
                                           dfq_tensor **out_y);

/** Backward. x inside of its range (qmin <= x / s + round(z) <= qmax) passes its gradient on to the
 *  input, outside as DFQ_INPUT_GRADIENT_* says. The gradient of a scale is the sum over its values
 *  of grad_y (q - round(z) - x / s) inside and grad_y (Q - round(z)) outside, where Q is the code
 *  at that end, times scale_grad_factor (LSQ, Esser et al., ICLR 2020); that of a zero point the
 *  sum of
 *  -s grad_y outside, times its factor. Column factors divide grad_y first.
 *  @param x      what dfq_quantizer_apply() got
 *  @param grad_y F32, like x
 *  @param out_grad_x          F32, like x; NULL: not wanted
 *  @param out_grad_scale      F32, like the scales; NULL: not wanted
 *  @param out_grad_zero_point F32, like the scales; NULL: not wanted
 *  @return as dfq_quantizer_apply(); ::DFQ_E_UNSUPPORTED (the gradient of scales that come from
 *          each tensor or are logarithmic, of zero points that the kind does not have). */
DFQ_CHECKED dfq_status dfq_quantizer_backward(const dfq_quantizer *quantizer, const dfq_tensor *x,
                                              const dfq_tensor *grad_y, dfq_tensor **out_grad_x,
                                              dfq_tensor **out_grad_scale,
                                              dfq_tensor **out_grad_zero_point);

/** Codes of `x`.
 *  @param out_codes like x, I8 where codes are signed (qmin below 0), else U8; one reference
 *  @return as dfq_quantizer_apply(); ::DFQ_E_NUMERIC (NaN has no code). */
DFQ_CHECKED dfq_status dfq_quantizer_get_codes(const dfq_quantizer *quantizer, const dfq_tensor *x,
                                               dfq_tensor **out_codes);

/** Dequantizes codes: the result has the values that dfq_quantizer_apply() returns.
 *  @param codes I8, U8 or I32
 *  @param out_x F32, like codes; one reference
 *  @return ::DFQ_E_INVALID (NULL argument, no scales, a code below qmin or above the last one),
 *          ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_quantizer_dequantize(const dfq_quantizer *quantizer,
                                                const dfq_tensor *codes, dfq_tensor **out_x);

#ifdef __cplusplus
}
#endif
#endif
