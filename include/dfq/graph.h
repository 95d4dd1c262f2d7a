/** @file dfq/graph.h
 *  A network with its weights: float, or fake-quantized with its quantizers. Files are safetensors;
 *  float ones with the names of timm (ViT, DeiT), torchvision or pytorchcv (ResNet, MobileNetV2) or
 *  akamaster (ResNet for CIFAR), or what dfq_explorer_save_network() wrote; low-bit ones as libdfq
 *  writes them. */
#ifndef DFQ_GRAPH_H
#define DFQ_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/context.h>
#include <dfq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A network. One thread at a time; reference counted. Only a dfq_tuner changes one. */
typedef struct dfq_graph dfq_graph;

/** Quantization modes. */
enum {
    /** MimiQ's quantizers as published: min-max weights, one learned step and zero point for each
     *  activation tensor. */
    DFQ_MODE_PARITY = 0,
    /** Steps by error search, one for each channel of a linear layer's input (folded into its
     *  weights), logarithmic or unsigned grid for attention maps, learned weight steps. */
    DFQ_MODE_IMPROVED = 1
};

/** Families of networks. */
enum {
    DFQ_FAMILY_VIT = 0,       /**< ViT, DeiT */
    DFQ_FAMILY_RESNET = 1,    /**< ResNet, for small images or for ImageNet */
    DFQ_FAMILY_MOBILENET = 2, /**< MobileNetV2 */
    DFQ_FAMILY_MBCONV = 3,    /**< of inverted bottlenecks, which a co-exploration chose */
    DFQ_FAMILY_STAGES = 4     /**< of stages of transformer blocks, likewise */
};

/** What a network is. Filled by dfq_graph_get_info(). */
typedef struct dfq_graph_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t quantized;    /**< 1: fake-quantized */
    int32_t mode;         /**< DFQ_MODE_*, if quantized */
    int32_t weight_bits;  /**< 2..8 if quantized, else 32 */
    int32_t act_bits;     /**< likewise */
    int32_t quantizers;   /**< number of quantizers */
    int64_t image;        /**< side of the square input, pixels */
    int64_t channels;     /**< 3 */
    int64_t classes;      /**< logits */
    int64_t patch;        /**< side of a patch, pixels; vision transformers, else 0 */
    int64_t width;        /**< channels of a token (between stages); vision transformers, else 0 */
    int64_t depth;        /**< blocks (of all stages); vision transformers, else 0 */
    int64_t heads;        /**< attention heads of a block; ViT and DeiT, else 0 */
    int64_t hidden;       /**< inner width of the MLP; ViT and DeiT, else 0 */
    int64_t parameters;   /**< weights, biases and norms without running statistics, in values */
    int64_t macs;         /**< multiply-accumulates of one image through the convolutions, linear
                               layers and products of attention, at most INT64_MAX; the same
                               before and after quantization, and in dfq_cost_info and
                               dfq_explorer_result */
    float mean[3];        /**< input normalisation: (v / 255 - mean) / std */
    float std[3];         /**< see mean */
    int32_t family;       /**< DFQ_FAMILY_* */
    int32_t batchnorms;   /**< BatchNorm layers, each behind a convolution; 0: none */
} dfq_graph_info;

/** Reads a network.
 *  @param context   where memory comes from and errors go; kept alive by the graph
 *  @param path      a safetensors file
 *  @param arch      architecture name, for example "deit_tiny_patch16_224", or NULL to take it from
 *                   the file's metadata or its tensors; the family and whose names the tensors have
 *                   decide the normalisation when the metadata does not say it
 *  @param out_graph one reference, to be given back with dfq_graph_release()
 *  @return ::DFQ_E_IO (cannot be read), ::DFQ_E_CORRUPT (no safetensors, a lie in the header, a
 *          missing or unknown tensor), ::DFQ_E_SHAPE, ::DFQ_E_NUMERIC (NaN or infinite weights,
 *          variances that are not above zero), ::DFQ_E_UNSUPPORTED (dtype, architecture,
 *          a convolutional network without BatchNorm), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_load(dfq_context *context, const char *path, const char *arch,
                                      dfq_graph **out_graph);

/** Writes a network beside `path` and renames: nothing half-written is ever seen. A quantized one
 *  is written at its real widths (4-bit codes take half a byte).
 *  @param half 1: a float network is stored as F16; must be 0 for a quantized one
 *  @return ::DFQ_E_INVALID, ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_save(const dfq_graph *graph, const char *path, int32_t half);

/** One more reference. NULL gives NULL. */
DFQ_API dfq_graph *dfq_graph_retain(const dfq_graph *graph);

/** Gives a reference back. NULL is fine. */
DFQ_API void dfq_graph_release(dfq_graph *graph);

/** Architecture name, for example "vit_tiny_patch16_224". Borrowed from the graph. */
DFQ_API const char *dfq_graph_get_name(const dfq_graph *graph);

/** What a co-exploration chose for each cell: kernel and expansion, "k5e6", or width, depth, heads and
 *  MLP ratio of a stage, "w80d2h1r3"; "skip": left out. Separated by spaces; "" of any other network.
 *  Borrowed from the graph. */
DFQ_API const char *dfq_graph_get_choices(const dfq_graph *graph);

/** Fills `out_info` as far as its struct_size allows.
 *  @return ::DFQ_E_INVALID if struct_size is not set. */
DFQ_CHECKED dfq_status dfq_graph_get_info(const dfq_graph *graph, dfq_graph_info *out_info);

/** Logits of images in memory.
 *  @param images     F32 [n,3,S,S], normalised, S the network's image size, n >= 1
 *  @param out_logits F32 [n,classes], a new reference
 *  @return ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. Results do not depend on n or on the thread count. */
DFQ_CHECKED dfq_status dfq_graph_forward(const dfq_graph *graph, const dfq_tensor *images,
                                         dfq_tensor **out_logits);

#ifdef __cplusplus
}
#endif
#endif
