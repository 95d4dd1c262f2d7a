/** @file dfq/quantizer.h
 *  Fake quantization: a float network gets quantizers whose scales fit its activations. Tuning
 *  (dfq/tuner.h) then adapts weights and scales. */
#ifndef DFQ_QUANTIZER_H
#define DFQ_QUANTIZER_H

#include <stdint.h>

#include <dfq/graph.h>
#include <dfq/image_set.h>
#include <dfq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of quantizer. */
enum {
    DFQ_QUANTIZER_WEIGHT = 0, /**< symmetric, one scale for each output channel */
    DFQ_QUANTIZER_UNIFORM =
        1, /**< scale and zero point: q = clamp(round(x / scale + zero_point), qmin, qmax) */
    DFQ_QUANTIZER_LOG = 2, /**< q = round(-2 log2(x / top)), base sqrt(2); above `qmax` 0:
                                    b bits are 2^b - 1 powers, and zero */
    DFQ_QUANTIZER_WEIGHT_MINMAX =
        3 /**< weight, from the smallest to the largest of each output channel */
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

/** Grids of activations, likewise. */
enum {
    DFQ_ACT_GRID_AUTO =
        0, /**< what the mode has: parity ::DFQ_ACT_GRID_LSQ, improved a search, convolutional
                             networks ::DFQ_ACT_GRID_MINMAX */
    DFQ_ACT_GRID_LSQ = 1, /**< learned scale and zero point for each tensor */
    DFQ_ACT_GRID_MINMAX =
        2 /**< from the smallest to the largest value of a batch of 16, averaged over the
                             images' batches with factor 0.9; tuning leaves them */
};

/** Options of dfq_graph_quantize(). Fill with dfq_quantize_options_init() first. */
typedef struct dfq_quantize_options {
    uint32_t struct_size;    /**< set by init */
    int32_t mode;            /**< DFQ_MODE_*; default ::DFQ_MODE_IMPROVED */
    int32_t weight_bits;     /**< 2..8; default 4 */
    int32_t act_bits;        /**< 2..8; default 4 */
    int32_t first_last_bits; /**< of the weights of the first and the last layer of a convolutional
                               network, 2..8; default 0: weight_bits */
    int32_t weight_grid;     /**< DFQ_WEIGHT_GRID_*; default ::DFQ_WEIGHT_GRID_AUTO */
    int32_t act_grid;        /**< DFQ_ACT_GRID_*; default ::DFQ_ACT_GRID_AUTO */
} dfq_quantize_options;

/** Writes defaults: `size` must be sizeof(dfq_quantize_options) of the caller. */
DFQ_API void dfq_quantize_options_init(dfq_quantize_options *options, size_t size);

/** Gives a float network quantizers, with ranges from `images` (synthetic ones, typically). The
 *  weights are copied; `graph` stays as it is. Long-running: reports progress ("calibrate").
 *  @param images F32 [n,3,S,S], normalised; parity mode of a vision transformer reads the first 16
 *                (all of them with ::DFQ_ACT_GRID_MINMAX).
 *                NULL is allowed for a convolutional network: a tuner with a generator finds its
 *                ranges, and until then it can be neither run nor saved (::DFQ_E_INVALID)
 *  @return ::DFQ_E_INVALID (widths; the graph is quantized already), ::DFQ_E_SHAPE,
 *          ::DFQ_E_UNSUPPORTED (weight_grid or act_grid, where the mode has its own),
 *          ::DFQ_E_CANCELLED, ::DFQ_E_NOMEM. Parity (MimiQ's scheme) and improved: see
 *          docs/METHODS.md. Convolutional networks (AIT, CVPR 2022):
 *          weights from the smallest to the largest of each output channel as they are, what leaves
 *          a ReLU from the smallest to the largest of a batch, averaged over batches with factor
 *          0.9; mode parity averages as published. */
DFQ_CHECKED dfq_status dfq_graph_quantize(const dfq_graph *graph, const dfq_tensor *images,
                                          const dfq_quantize_options *options,
                                          dfq_graph **out_graph);

/** The same with the images of a set, which are read a few at a time: memory does not grow with
 *  their number. Bits are those of the same images in a tensor.
 *  @param set its file must stay as it is until the call returns
 *  @return as dfq_graph_quantize(); ::DFQ_E_INVALID (a set of another context), ::DFQ_E_IO, see
 *          dfq_image_set_read(). */
DFQ_CHECKED dfq_status dfq_graph_quantize_from(const dfq_graph *graph, dfq_image_set *set,
                                               const dfq_quantize_options *options,
                                               dfq_graph **out_graph);

/** One quantizer of a network. Filled by dfq_graph_get_quantizer(). */
typedef struct dfq_quantizer_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t kind;         /**< DFQ_QUANTIZER_* */
    int32_t bits;         /**< 2..8 */
    int32_t scales;       /**< number of scales: 1, or one for each channel, head or row */
    float qmin;           /**< smallest code */
    float qmax;           /**< largest code */
    float scale_min;      /**< smallest scale */
    float scale_max;      /**< largest scale */
    float zero_point_min; /**< smallest zero point; 0 where there is none */
    float zero_point_max; /**< largest zero point */
    double error;         /**< relative error on the calibration images; below 0: not measured */
    const char *name;     /**< for example "blocks.0.attn.qkv.input"; borrowed from the graph */
} dfq_quantizer_info;

/** Describes quantizer i = 0 .. quantizers - 1 (dfq_graph_get_info()).
 *  @return ::DFQ_E_INVALID if i is out of range or struct_size is not set. */
DFQ_CHECKED dfq_status dfq_graph_get_quantizer(const dfq_graph *graph, int32_t i,
                                               dfq_quantizer_info *out_info);

/** One tensor of a network's weights: what it takes in a float and in this network's file. Filled
 *  by dfq_graph_get_tensor_info(). */
typedef struct dfq_tensor_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t bits;         /**< of a value: 2..8 if quantized, else 32 */
    int64_t values;       /**< number of values */
    int64_t float_bytes;  /**< of the values as F32 */
    int64_t bytes;        /**< of the values as dfq_graph_save() writes them, half 0: codes, scales
                               and zero points if quantized */
    const char *name;     /**< for example "blocks.0.attn.qkv.weight"; borrowed from the graph */
} dfq_tensor_info;

/** Number of tensors of the network; 0 for NULL. */
DFQ_API int32_t dfq_graph_get_tensor_count(const dfq_graph *graph);

/** Describes tensor i = 0 .. count - 1, in the order in which the network uses them. Scales of
 *  activations belong to no tensor.
 *  @return ::DFQ_E_INVALID if i is out of range or struct_size is not set. */
DFQ_CHECKED dfq_status dfq_graph_get_tensor_info(const dfq_graph *graph, int32_t i,
                                                 dfq_tensor_info *out_info);

#ifdef __cplusplus
}
#endif
#endif
