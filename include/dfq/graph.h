/** @file dfq/graph.h
 *  @ingroup stable
 *  A network with its weights: float, or fake-quantized with its quantizers. Files are safetensors;
 *  float ones with the names of timm (ViT, DeiT, Swin, EfficientNet, MobileNet), torchvision (ViT,
 *  Swin, ResNet, EfficientNet, MobileNet), transformers (ViT, DeiT, Swin), pytorchcv (ResNet,
 *  MobileNetV2), efficientnet-pytorch or akamaster (ResNet for CIFAR), or what
 *  dfq_explorer_save_network() wrote; low-bit ones as libdfq writes them. */
#ifndef DFQ_GRAPH_H
#define DFQ_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/job.h>
#include <dfq/quantizer.h>
#include <dfq/status.h>
#include <dfq/stream.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Families of networks. */
enum {
    DFQ_FAMILY_VIT = 0,          /**< ViT, DeiT */
    DFQ_FAMILY_RESNET = 1,       /**< ResNet, for small images or for ImageNet */
    DFQ_FAMILY_MOBILENET = 2,    /**< MobileNetV2 */
    DFQ_FAMILY_MBCONV = 3,       /**< inverted bottlenecks, found by a co-exploration */
    DFQ_FAMILY_STAGES = 4,       /**< stages of transformer blocks, found by a co-exploration */
    DFQ_FAMILY_SWIN = 5,         /**< Swin, of version 1 */
    DFQ_FAMILY_EFFICIENTNET = 6, /**< EfficientNet and -Lite, MobileNetV3, other MobileNetV2 */
    DFQ_FAMILY_IMPORTED = 7      /**< any network, from an ONNX file; one with blocks of a vision
                                     transformer has their sizes in dfq_graph_info */
};

/** Description of a network. Filled by dfq_graph_get_info(). */
typedef struct dfq_graph_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t quantized;    /**< 1: fake-quantized */
    int32_t mode;         /**< DFQ_MODE_*, if quantized */
    int32_t weight_bits;  /**< of weights: 2..8 if quantized, else 32 */
    int32_t act_bits;     /**< of activations: 2..8 if quantized, else 32 */
    int32_t quantizers;   /**< number of quantizers */
    int64_t image;        /**< side of the square input, pixels; of another one the longer side */
    int64_t channels;     /**< 3 */
    int64_t classes;      /**< logits; 0: there is no head, and outputs are `width` features */
    int64_t patch;        /**< side of a patch, pixels; vision transformers, else 0 */
    int64_t width;        /**< channels of a token (between stages; Swin: in the first stage, they
                               double in each further one); vision transformers, else 0 */
    int64_t depth;        /**< blocks (of all stages); vision transformers, else 0 */
    int64_t heads;        /**< attention heads of a block (of the first stage); ViT, DeiT and Swin,
                               else 0 */
    int64_t hidden;       /**< inner width of the MLP (of the first stage); ViT, DeiT and Swin, else
                               0 */
    int64_t parameters;   /**< weights, biases and norms without running statistics, in values */
    int64_t macs;         /**< multiply-accumulates of one image through the convolutions, linear
                               layers and products of attention, at most INT64_MAX; the same
                               before and after quantization, and in dfq_cost_info and
                               dfq_explorer_result */
    float mean[3];        /**< input normalisation: (v / 255 - mean) / std */
    float std[3];         /**< see mean */
    int32_t family;       /**< DFQ_FAMILY_* */
    int32_t batchnorms;   /**< BatchNorm layers, each behind a convolution; 0: none */
    uint64_t rotation;    /**< seed by which its residual stream was rotated when it was quantized;
                               0: it was not */
    int32_t act_scale;    /**< ::DFQ_ACT_SCALE_ROW or ::DFQ_ACT_SCALE_TENSOR if quantized, else 0 */
    int32_t first_last_bits; /**< of the weights of the first and the last layer, where
                                  dfq_graph_get_layer_config() says nothing else: 2..8 if quantized,
                                  else 32 */
    int64_t file_bytes;   /**< size of the file, buffer or reader that it was read from, of shards
                               the sum without their index; 0: it was not read, but made */
    int64_t stages;       /**< of a Swin transformer: 1..8; else 0 */
    int64_t window;       /**< side of a window of its first stage, tokens (its height); else 0 */
    int32_t act_group;    /**< if quantized: channels that share a scale of a row, see
                               dfq_quantize_options; 0: all */
    int32_t weight_group; /**< if quantized: columns of a weight that share a grid; 0: all */
    int64_t image_height; /**< of the input, pixels */
    int64_t image_width;  /**< of the input, pixels */
} dfq_graph_info;

/** Whose names the tensors of a network's file had: "timm", "torchvision", "transformers",
 *  "pytorchcv", "efficientnet-pytorch" or "akamaster". Parameters of vision transformers have
 *  timm's here, whatever the file had. Static text; "" for NULL, and for a vision transformer that
 *  was made, derived or quantized. */
DFQ_API const char *dfq_graph_get_naming(const dfq_graph *graph);

/** Number of tensors of the float safetensors it was read from that the network does without:
 *  counters of batches, masks, poolers. 0 for any other network, and for NULL. */
DFQ_API int64_t dfq_graph_get_leftover_count(const dfq_graph *graph);

/** Name of leftover tensor i, as the file has it, in its order; "": there is none. Borrowed from
 *  the graph. */
DFQ_API const char *dfq_graph_get_leftover(const dfq_graph *graph, int64_t i);

/** What was recognised in an imported network: "20 convolutions (20 with BatchNorm, which zero-shot
 *  methods need), 1 linear layer" or "38 linear layers, 25 LayerNorms, 12 attention layers of 3
 *  heads". Borrowed text, which lives as long as the graph; "" for NULL and for networks of other
 *  families. */
DFQ_API const char *dfq_graph_get_structure(const dfq_graph *graph);

/** How pictures are resampled. */
enum { DFQ_INTERPOLATION_BILINEAR = 1, DFQ_INTERPOLATION_BICUBIC = 2 };

/** First layer of a ResNet: stride of its convolution, and whether a 3x3 max pooling with stride 2
 *  stands behind it. */
enum {
    DFQ_STEM_STRIDE1 = 1,      /**< as usual for small images */
    DFQ_STEM_STRIDE1_POOL = 2, /**< with pooling */
    DFQ_STEM_STRIDE2 = 3,
    DFQ_STEM_STRIDE2_POOL = 4 /**< as usual for ImageNet */
};

/** Activations of the MLP of a vision transformer. */
enum {
    DFQ_ACTIVATION_GELU = 1,
    DFQ_ACTIVATION_QUICK_GELU = 2, /**< x sigmoid(1.702 x), as OpenAI's CLIP has it */
    DFQ_ACTIVATION_GELU_TANH = 3,  /**< the approximation of GELU by tanh */
    DFQ_ACTIVATION_RELU = 4,
    DFQ_ACTIVATION_SILU = 5
};

/** What the head of a vision transformer reads. */
enum {
    DFQ_POOLING_TOKEN = 1, /**< the class token */
    DFQ_POOLING_AVG = 2    /**< the mean of the tokens of patches */
};

/** Properties of a network that its file may lack. A field that is set wins over metadata and
 *  name. */
typedef struct dfq_load_options {
    uint32_t struct_size;  /**< set by dfq_load_options_init() */
    int32_t interpolation; /**< DFQ_INTERPOLATION_*; 0: not said */
    const char *arch; /**< architecture name, for example "deit_tiny_patch16_224"; NULL: not said */
    const float *mean;  /**< three numbers of -10..10, for pixels of 0..1; NULL: not said */
    const float *std;   /**< three numbers of 1e-6..10, for pixels of 0..1; NULL: not said */
    int64_t heads;      /**< attention heads of a ViT or DeiT; 0: not said */
    int64_t image;      /**< side of the square input, pixels; with `image_width` its height; 0: not
                                said */
    double crop;        /**< the crop's share of the resized shorter side, above 0 to 1, as timm's
                                crop_pct: the shorter side becomes floor(image / crop); 0: not
                                said */
    int32_t resize;     /**< the shorter side before the crop, pixels (of an input that is no
                                square: what its shorter side is cut from, the longer one in
                                proportion); -1: no resizing; 0: not said. Not together with crop */
    int32_t stem;       /**< DFQ_STEM_*, of a ResNet; 0: not said */
    int64_t image_size; /**< side that a float ViT's, DeiT's or Swin's input gets in place of its
                                own, a multiple of the patch up to 4096: its position embeddings
                                are interpolated, bicubic with antialias, as timm does it; windows
                                of Swin keep their share of the map, and their tables of biases
                                are interpolated. 0: as it is */
    int32_t activation; /**< DFQ_ACTIVATION_*, of a ViT or DeiT; 0: not said */
    int32_t pooling;    /**< DFQ_POOLING_*, of a ViT or DeiT with one head; 0: not said */
    /** A file of names of the classes, as many as there are: one a line, each maybe behind its
     *  ImageNet synset ("n01440764 tench"), or JSON: a list, an object from numbers to names
     *  ({"0": "tench"}, {"0": ["n01440764", "tench"]}) or from names to numbers, or with such an
     *  object as "id2label". They replace those of the metadata. NULL: not said */
    const char *class_names;
    int64_t image_width;      /**< width of an input that is no square, and `image` its height, as
                                   many patches as the positions of a ViT have; 0: it is a square */
    int64_t image_size_width; /**< the same of `image_size`; 0: it is a square */
    int64_t resize_width;     /**< width of what the picture covers before the crop, and `resize`
                                   its height, pixels; 0: see resize */
} dfq_load_options;

/** Sources of a network's property. */
enum {
    DFQ_SOURCE_LIBRARY = 0,   /**< this library made the network */
    DFQ_SOURCE_TENSOR = 1,    /**< names and shapes of the tensors */
    DFQ_SOURCE_METADATA = 2,  /**< the file's metadata */
    DFQ_SOURCE_OPTION = 3,    /**< dfq_load_options */
    DFQ_SOURCE_NAME = 4,      /**< the architecture's name, which is known */
    DFQ_SOURCE_FILE_NAME = 5, /**< the file's name, if it is like an architecture's: a weak hint */
    DFQ_SOURCE_ASSUMED = 6    /**< nothing: the value is a guess */
};

/** Effects of a property: what a wrong value would change. Flags, combined by or. */
enum {
    DFQ_DECIDES_LOGITS = 1,   /**< the logits of given inputs */
    DFQ_DECIDES_INPUTS = 2,   /**< the normalisation of inputs, also of synthetic images */
    DFQ_DECIDES_PICTURES = 4, /**< the resizing and cropping of pictures */
    DFQ_DECIDES_COST = 8      /**< the amount of computation */
};

/** A property of a network. Filled by dfq_graph_get_property(). */
typedef struct dfq_property_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t source;       /**< DFQ_SOURCE_* */
    int32_t decides;      /**< DFQ_DECIDES_*; 0: it follows from others */
    int32_t reserved;     /**< 0 */
    const char *name;     /**< the metadata key that says it, "heads"; static text */
    char value[64];       /**< as metadata say it, "3"; with a decimal point in any locale */
} dfq_property_info;

/** Fills `options` with what is not said. @param size sizeof *options */
DFQ_API void dfq_load_options_init(dfq_load_options *options, size_t size);

/** Reads a network. Properties come from tensors, metadata, options or a known architecture name.
 *  If none of these has a property that affects results, a value on which networks commonly agree
 *  is assumed (see dfq_graph_get_property(); one line at DFQ_LOG_INFO); otherwise the call fails.
 *  @param context   where memory comes from and errors go; kept alive by the graph
 *  @param path      a safetensors file, or the index of several (a name that ends in ".json", as
 *                   model.safetensors.index.json of Hugging Face: "weight_map" from names of
 *                   tensors to files beside the index), or an ONNX file (".onnx"): a float
 *                   classifier as PyTorch's exporters write it; what is not understood is
 *                   ::DFQ_E_UNSUPPORTED, and the text names the node
 *  @param options   what the file may not tell, or NULL
 *  @param out_graph one reference, to be given back with dfq_graph_release()
 *  @return as dfq_graph_load(); ::DFQ_E_INVALID for an option that the network cannot have, and for
 *          a name whose width, depth, heads or the like its tensors contradict. */
DFQ_CHECKED dfq_status dfq_graph_load_with(dfq_context *context, const char *path,
                                           const dfq_load_options *options, dfq_graph **out_graph);

/** Reads a network: dfq_graph_load_with() with no option but the name.
 *  @param context   where memory comes from and errors go; kept alive by the graph
 *  @param path      a safetensors file
 *  @param arch      architecture name, for example "deit_tiny_patch16_224", or NULL to take it from
 *                   the file's metadata, its tensors or its name
 *  @param out_graph one reference, to be given back with dfq_graph_release()
 *  @return ::DFQ_E_IO (cannot be read), ::DFQ_E_CORRUPT (no safetensors, a header that contradicts
 *          the file, a missing or unknown tensor), ::DFQ_E_SHAPE, ::DFQ_E_NUMERIC (NaN or infinite
 *          weights, variances below zero or all zero), ::DFQ_E_UNSUPPORTED (dtype, architecture,
 *          a convolutional network without BatchNorm), ::DFQ_E_INVALID (a name whose width, depth,
 *          heads or the like the tensors contradict), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_load(dfq_context *context, const char *path, const char *arch,
                                      dfq_graph **out_graph);

/** Writes a network beside `path` and renames: nothing half-written is ever seen. A quantized one
 *  is written at its real widths (4-bit codes take half a byte).
 *  @param half 1: a float network is stored as F16; must be 0 for a quantized one
 *  @return ::DFQ_E_INVALID, ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_save(const dfq_graph *graph, const char *path, int32_t half);

/** Reads a network that lies in memory: dfq_graph_load_with() of the same bytes in a file.
 *  @param data      a whole safetensors or ONNX file; borrowed, not needed after the call
 *  @param size      its bytes
 *  @param options   what the file may not tell, or NULL
 *  @param out_graph one reference, to be given back with dfq_graph_release()
 *  @return as dfq_graph_load_with(). Error texts call it "memory". */
DFQ_CHECKED dfq_status dfq_graph_load_from_memory(dfq_context *context, const void *data,
                                                  size_t size, const dfq_load_options *options,
                                                  dfq_graph **out_graph);

/** Reads a network through functions of the caller, tensor by tensor, each straight to its place.
 *  @param reader borrowed while the call runs; used on the calling thread
 *  @return as dfq_graph_load_with(); ::DFQ_E_IO where the reader fails, ::DFQ_E_INVALID for a
 *          reader with neither data nor a function. */
DFQ_CHECKED dfq_status dfq_graph_load_from_reader(dfq_context *context, const dfq_reader *reader,
                                                  const dfq_load_options *options,
                                                  dfq_graph **out_graph);

/** Reads a network whose tensors lie in several safetensors.
 *  @param index    JSON with a "weight_map" from names of tensors to names of shards, which are
 *                  those of the readers; or NULL: all tensors of all readers
 *  @param shards   n_shards readers, borrowed while the call runs
 *  @param n_shards 1 or more
 *  @return as dfq_graph_load_from_reader(); ::DFQ_E_CORRUPT (a tensor that is not in its shard, in
 *          another one, or in two), ::DFQ_E_INVALID (a shard without a reader, a reader that the
 *          index does not name). */
DFQ_CHECKED dfq_status dfq_graph_load_from_shards(dfq_context *context, const dfq_reader *index,
                                                  const dfq_reader *const *shards, int32_t n_shards,
                                                  const dfq_load_options *options,
                                                  dfq_graph **out_graph);

/** The bytes that dfq_graph_save() writes, in memory.
 *  @param half      as there
 *  @param out_bytes a new U8 [size]
 *  @return ::DFQ_E_INVALID, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_save_to_memory(const dfq_graph *graph, int32_t half,
                                                dfq_tensor **out_bytes);

/** Writes the bytes of dfq_graph_save() through a function of the caller, from first to last. If it
 *  fails, the bytes written so far are not a network.
 *  @return ::DFQ_E_INVALID, ::DFQ_E_IO (the writer failed), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_save_to_writer(const dfq_graph *graph, const dfq_writer *writer,
                                                int32_t half);

/** Another reference to the same graph; returns `graph`. NULL gives NULL. */
DFQ_API dfq_graph *dfq_graph_retain(const dfq_graph *graph);

/** Gives one reference back; the last one frees the network. NULL is fine. */
DFQ_API void dfq_graph_release(dfq_graph *graph);

/** Architecture name, for example "vit_tiny_patch16_224". Borrowed from the graph. */
DFQ_API const char *dfq_graph_get_name(const dfq_graph *graph);

/** What a co-exploration chose for each cell: kernel and expansion, "k5e6", or width, depth, heads
 *  and MLP ratio of a stage, "w80d2h1r3"; "skip": left out. Separated by spaces; "" of any other
 *  network. Borrowed from the graph. */
DFQ_API const char *dfq_graph_get_choices(const dfq_graph *graph);

/** Name of class i, of dfq_load_options.class_names, the metadata `id2label`, or the configuration
 *  beside the file; quantized networks keep those of the float one. "": not known, or there is no
 *  such class. Borrowed from the graph. */
DFQ_API const char *dfq_graph_get_class_name(const dfq_graph *graph, int64_t i);

/** Fills `out_info` as far as its struct_size allows.
 *  @return ::DFQ_E_INVALID if struct_size is not set. */
DFQ_CHECKED dfq_status dfq_graph_get_info(const dfq_graph *graph, dfq_graph_info *out_info);

/** Number of properties. */
DFQ_API int32_t dfq_graph_get_property_count(const dfq_graph *graph);

/** Property i: its value and its source. Properties that the network does not have are left out.
 *  @param out_info struct_size must be set
 *  @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_graph_get_property(const dfq_graph *graph, int32_t i,
                                              dfq_property_info *out_info);

/** Logits of images in memory, or features [n,width] of a network without a head.
 *  @param images     F32 [n,3,S,S], normalised, S the network's image size, n >= 1
 *  @param out_logits F32 [n,classes], a new reference
 *  @return ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. Results do not depend on n or on the thread count. */
DFQ_CHECKED dfq_status dfq_graph_forward(const dfq_graph *graph, const dfq_tensor *images,
                                         dfq_tensor **out_logits);

/* -- parameters -------------------------------------------------------------------------------- */

/** Values of a parameter or running statistic. dfq_graph_get_tensor_info() lists the names. Of a
 *  quantized network these are the float weights that its quantizers round; if it is rotated
 *  (dfq_graph_info), they are not those of the float network it was made from.
 *  @param name       for example "blocks.0.attn.qkv.weight"
 *  @param out_values a new F32 of the parameter's shape: a copy, which later changes do not touch
 *  @return ::DFQ_E_INVALID (no such parameter), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_parameter(const dfq_graph *graph, const char *name,
                                               dfq_tensor **out_values);

/** Gives a parameter or running statistic of a float network other values. No job may be running on
 *  the network. On failure it stays as it is.
 *  @param values F32, F16 or BF16 of the parameter's shape; copied
 *  @return ::DFQ_E_INVALID (no such parameter; a quantized network, whose grids were made for its
 *          weights), ::DFQ_E_SHAPE, ::DFQ_E_UNSUPPORTED (another dtype), ::DFQ_E_NUMERIC (NaN,
 *          infinity, variances below zero or all zero), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_set_parameter(dfq_graph *graph, const char *name,
                                               const dfq_tensor *values);

/* -- layers ------------------------------------------------------------------------------------ */

/** Kinds of layers. */
enum {
    DFQ_LAYER_CONV = 0,
    DFQ_LAYER_LINEAR = 1, /**< also the patch embedding, on patches as rows */
    DFQ_LAYER_MATMUL = 2, /**< of two activations: query with key, map with value */
    DFQ_LAYER_SOFTMAX = 3,
    DFQ_LAYER_LAYERNORM = 4,
    DFQ_LAYER_GELU = 5,
    DFQ_LAYER_SUM = 6 /**< residual */
};

/** A layer, for one image. Filled by dfq_graph_get_layer(). Shapes are without the batch: [C,H,W]
 *  of images, [N,D] of tokens, [heads,N,d] inside of attention; extents behind the rank are 0. */
typedef struct dfq_layer_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t kind;         /**< DFQ_LAYER_* */
    /** of the second operand: 2..8 if quantized, 32 if not; 0: there is none */
    int32_t weight_bits;
    int32_t input_bits; /**< of the first operand: 2..8 if quantized, else 32 */
    /** as the result is written: the widest that a quantizer reads of it; 32 if something reads it
     *  unrounded */
    int32_t output_bits;
    int32_t weight_rank; /**< number of axes of weight_dims, 0..4 */
    int32_t input_rank;  /**< number of axes of input_dims */
    int32_t output_rank; /**< number of axes of output_dims */
    int64_t
        weight_dims[4];    /**< as the tensor is stored; of a matmul and a sum the second operand */
    int64_t input_dims[4]; /**< of the first operand */
    int64_t output_dims[4]; /**< of the result */
    int64_t stride;         /**< of a convolution along both axes; else 0 */
    int64_t padding;        /**< of a convolution: zeros on each side; else 0 */
    int64_t groups;         /**< of a convolution: 1, or its channels if depthwise; else 0 */
    int64_t macs;           /**< multiply-accumulates of a product; else 0. All layers together have
                                 dfq_graph_info.macs */
    const char *name; /**< "blocks.0.attn.qkv"; what has none is called after the layer before it,
                             "blocks.0.attn.qk/softmax". Borrowed from the graph */
    /** name of its weight, for dfq_graph_get_parameter(); "": none. Borrowed */
    const char *weight;
} dfq_layer_info;

/** Number of layers: the same layers as in a dfq_cost, in the same order. Normalisation, activation
 *  and pooling of convolutional networks are not layers: they are folded into their neighbours.
 *  @return ::DFQ_E_INVALID, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_layer_count(const dfq_graph *graph, int32_t *out_count);

/** Layer i = 0 .. count - 1, in the order of computation.
 *  @param out_info struct_size must be set
 *  @return ::DFQ_E_INVALID (i is out of range), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_layer(const dfq_graph *graph, int32_t i,
                                           dfq_layer_info *out_info);

/* -- probes ------------------------------------------------------------------------------------ */

/** Kinds of probes. */
enum {
    DFQ_PROBE_LAYER = 0,            /**< output of a convolution, a linear layer or a ReLU */
    DFQ_PROBE_QUERY_KEY = 1,        /**< query-key products before scale and softmax, [heads,N,N] */
    DFQ_PROBE_ATTENTION_MAP = 2,    /**< behind softmax, [heads,N,N] */
    DFQ_PROBE_ATTENTION_OUTPUT = 3, /**< of each head, before the projection, [heads,N,d] */
    DFQ_PROBE_BLOCK = 4,            /**< output of a block, a residual unit, a cell or a stage */
    DFQ_PROBE_BATCHNORM_INPUT = 5   /**< [C,H,W] */
};

/** A value inside of a network that can be read. Filled by dfq_graph_get_probe(). */
typedef struct dfq_probe_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t kind;         /**< DFQ_PROBE_* */
    int32_t rank;         /**< of one image, 1..3 */
    int32_t reserved;     /**< 0 */
    int64_t dims[4];      /**< of one image, as in dfq_layer_info */
    const char *name; /**< "blocks.0.attn.qk", "blocks.0", "layer1.0.bn1.input"; borrowed from the
                               graph */
} dfq_probe_info;

/** Number of probes; the same before and after quantization.
 *  @return ::DFQ_E_INVALID, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_probe_count(const dfq_graph *graph, int32_t *out_count);

/** Probe i = 0 .. count - 1, in the order of computation.
 *  @param out_info struct_size must be set
 *  @return ::DFQ_E_INVALID (i is out of range), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_probe(const dfq_graph *graph, int32_t i,
                                           dfq_probe_info *out_info);

/** dfq_graph_forward() that also returns values inside of the network. Logits have the same bits.
 *  In a quantized network a probe has the output of its layer or block, before the quantizer of the
 *  next layer's input. If a ReLU has a quantizer, the probe of the ReLU is before it, and the probe
 *  of the residual unit is behind it.
 *  @param images     F32 [n,3,S,S], normalised
 *  @param names      n_names names of probes; may be NULL for 0
 *  @param out_logits F32 [n,classes], a new reference; NULL if not wanted
 *  @param out_probes n_names tensors F32 [n, dims of the probe], new references
 *  @return ::DFQ_E_SHAPE, ::DFQ_E_INVALID (a name that is no probe), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_forward_with_probes(const dfq_graph *graph,
                                                     const dfq_tensor *images,
                                                     const char *const *names, int32_t n_names,
                                                     dfq_tensor **out_logits,
                                                     dfq_tensor **out_probes);

/* -- attention --------------------------------------------------------------------------------- */

/** Writes a PNG of the attention maps of the last block. Upper row: the image, then the class
 *  token's softmax map over patches for each head (without a class token, the mean map of all
 *  patches). Lower row: the raw query-key product for each
 *  key, mean over patch queries: of all heads together, then of each head. Every map is stretched
 *  to its own range, dark to bright.
 *  @param images F32 [n,3,S,S], normalised
 *  @param index  which image, 0..n - 1
 *  @return ::DFQ_E_SHAPE, ::DFQ_E_INVALID (index), ::DFQ_E_IO, ::DFQ_E_UNSUPPORTED (no attention of
 *          the whole image: a CNN, or a Swin whose last block has windows), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_save_attention(const dfq_graph *graph, const dfq_tensor *images,
                                                int64_t index, const char *path);

/** Inter-head similarity of any images: F32 [depth], as dfq_synthesizer_get_similarity().
 *  @return ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_head_similarity(const dfq_graph *graph,
                                                     const dfq_tensor *images,
                                                     dfq_tensor **out_similarity);

/* -- a new network ----------------------------------------------------------------------------- */

/** A vision transformer to be made. Fill with dfq_vit_options_init() first. */
typedef struct dfq_vit_options {
    uint32_t struct_size; /**< set by init */
    int32_t reserved;     /**< 0 */
    int64_t image;        /**< side of the square input, 1..1024 pixels; with `image_width` its
                               height; default 32 */
    int64_t patch;        /**< side of a patch, divides the image's; default 4 */
    int64_t width;        /**< channels of a token, 1..65536; default 128 */
    int64_t depth;        /**< blocks, 1..999; default 6 */
    int64_t heads;        /**< attention heads, divides `width`; default 4 */
    int64_t hidden;       /**< inner width of the MLP, 1..65536; default 512 */
    int64_t classes;      /**< logits, 2..65536; default 10 */
    float mean[3];        /**< (v / 255 - mean) / std normalises; -10..10, default 0.5 each */
    float std[3];         /**< 1e-6..10; default 0.5 each */
    uint64_t seed;        /**< of the first weights, any number; default 0 */
    const char *name;    /**< begins with "vit", up to 63 letters, digits, '_', '.', '-'; NULL: made
                              of the numbers. Only read during the call */
    int64_t image_width; /**< width of an input that is no square, 1..1024 pixels; 0: it is one */
} dfq_vit_options;

/** Writes defaults: `size` must be sizeof(dfq_vit_options) of the caller. */
DFQ_API void dfq_vit_options_init(dfq_vit_options *options, size_t size);

/** Makes a vision transformer with random weights. Weights, class token and positions are drawn
 *  from a normal distribution of deviation 0.02 cut at 0.04; norms begin as ones, biases as zeros.
 *  Every tensor has random numbers (Philox) of its own, given by seed and place.
 *  @param context   where memory comes from and errors go; kept alive by the graph
 *  @param options   NULL for defaults
 *  @param out_graph one reference, to be given back with dfq_graph_release()
 *  @return ::DFQ_E_INVALID (an option out of range, extents that do not divide),
 *          ::DFQ_E_UNSUPPORTED (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_create(dfq_context *context, const dfq_vit_options *options,
                                        dfq_graph **out_graph);

/* -- accuracy ---------------------------------------------------------------------------------- */

/** Counts of an evaluation. Divide by n for fractions. */
typedef struct dfq_accuracy {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t n;            /**< images judged */
    int64_t correct;      /**< the label has the largest logit */
    int64_t correct5;     /**< the label is among the five largest */
    int64_t not_finite;   /**< images with a logit that is NaN or infinite: counted as wrong */
} dfq_accuracy;

/** Judges `graph` on images first .. first + n - 1. Long-running: reports progress ("eval"), can be
 *  cancelled. Of equal logits the lower class wins. An image with a logit that is NaN or infinite
 *  is wrong, whatever its label, and counted in not_finite.
 *  @param n            number of images; 0: all from `first` on
 *  @param out_accuracy struct_size must be set
 *  @return as dfq_dataset_get_batch(), ::DFQ_E_CANCELLED. */
DFQ_CHECKED dfq_status dfq_graph_evaluate(const dfq_graph *graph, const dfq_dataset *dataset,
                                          int64_t first, int64_t n, dfq_accuracy *out_accuracy);

/** Memory, work and time of dfq_graph_evaluate(), measured on the first eight of its images, which
 *  are evaluated twice; units are images. The caller's progress function is not called.
 *  @param out_cost struct_size must be set
 *  @return as dfq_graph_evaluate(). */
DFQ_CHECKED dfq_status dfq_graph_evaluate_estimate(const dfq_graph *graph,
                                                   const dfq_dataset *dataset, int64_t first,
                                                   int64_t n, dfq_job_cost *out_cost);

/* -- quantization ------------------------------------------------------------------------------ */

/** Quantizes a float network: inserts quantizers and calibrates their ranges on `images` (typically
 *  synthetic). The weights are copied; `graph` is not changed. Long-running: reports progress
 *  ("calibrate").
 *
 *  Vision transformers: mode parity is MimiQ's scheme, mode improved ours (docs/METHODS.md,
 *  Quantizers). Convolutional networks, mode parity (AIT, CVPR 2022): weights have the min-max
 *  range of each output channel, ReLU outputs the min-max range over a batch, averaged over batches
 *  as published. Mode improved folds BatchNorms into the weights; the ranges of weights and ReLU
 *  outputs, and of inputs of convolutions that no ReLU made, are found by error search and stay
 *  as they are until they are tuned.
 *  @param images F32 [n,3,S,S], normalised; parity mode of a vision transformer reads the first 16
 *                (all of them with ::DFQ_ACT_GRID_MINMAX).
 *                NULL is allowed for a convolutional network, whose ranges are then those of AIT in
 *                both modes (improved: averaged with factor 0.9): a tuner with a generator network
 *                finds them; before, it can be neither run nor saved (::DFQ_E_INVALID). It is also
 *                allowed with ::DFQ_ACT_SCALE_ROW, where images only round weights: `drawn_images`
 *                images of dead leaves (::DFQ_SYNTHESIZER_LEAVES) take their place
 *  @param options   NULL for defaults
 *  @param out_graph the quantized network: one reference, to be given back with
 *                   dfq_graph_release()
 *  @return ::DFQ_E_INVALID (widths; the graph is quantized already; a layer that is not there: the
 *          text has the nearest names), ::DFQ_E_SHAPE,
 *          ::DFQ_E_UNSUPPORTED (weight_grid or act_grid, where the mode has its own;
 *          ::DFQ_ROTATE_ON for a network whose stream cannot be rotated),
 *          ::DFQ_E_CANCELLED, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_quantize(const dfq_graph *graph, const dfq_tensor *images,
                                          const dfq_quantize_options *options,
                                          dfq_graph **out_graph);

/** As dfq_graph_quantize(), with the images of a set. They are read a few at a time. Memory grows
 *  with their number by what rounding keeps (GPTQ, ridge and bias correction), up to 1 GiB: beyond,
 *  rounding leaves images out and the log says so. Bits are those of the same images in a tensor.
 *  @param set its file must stay as it is until the call returns
 *  @return as dfq_graph_quantize(); ::DFQ_E_INVALID (a set of another context), ::DFQ_E_IO, see
 *          dfq_image_set_read(). */
DFQ_CHECKED dfq_status dfq_graph_quantize_from(const dfq_graph *graph, dfq_image_set *set,
                                               const dfq_quantize_options *options,
                                               dfq_graph **out_graph);

/** Estimates the cost of dfq_graph_quantize() with n_images images; units are images. Measured on
 *  noise: two images until the layers of one block are rounded (vision transformers), or one batch.
 *  `graph` is not changed; the caller's log and progress functions are not called.
 *  @param n_images how many images there will be, 1 or more
 *  @param options  as there, or NULL
 *  @param out_cost struct_size must be set
 *  @return as dfq_graph_quantize(). */
DFQ_CHECKED dfq_status dfq_graph_quantize_estimate(const dfq_graph *graph, int64_t n_images,
                                                   const dfq_quantize_options *options,
                                                   dfq_job_cost *out_cost);

/** The layers with widths of their own as text, "head=w8a8,blocks.0.attn.qk=float": what they were
 *  quantized with, or what their file says; "" if there are none. Borrowed, never NULL. */
DFQ_API const char *dfq_graph_get_layer_config(const dfq_graph *graph);

/** Describes quantizer i = 0 .. quantizers - 1 (dfq_graph_get_info()).
 *  @return ::DFQ_E_INVALID if i is out of range or struct_size is not set. */
DFQ_CHECKED dfq_status dfq_graph_get_quantizer(const dfq_graph *graph, int32_t i,
                                               dfq_quantizer_info *out_info);

/** One tensor of a network's weights: its size in a float file and in this network's file. Filled
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

/** Number of the quantizer with this name, for dfq_graph_get_quantizer().
 *  @return ::DFQ_E_INVALID (NULL argument, not quantized, no such name: the text has the
 *          nearest). */
DFQ_CHECKED dfq_status dfq_graph_find_quantizer(const dfq_graph *graph, const char *name,
                                                int32_t *out_index);

/** The quantizer with this name as a handle of its own. Scales and zero points are copies, as they
 *  are now: what a tuner does later changes the graph alone. Weights whose scales follow from the
 *  values get those of their values now. Gradients are as in tuning, LSQ's factor included.
 *  @param out_quantizer one reference, to be given back with dfq_quantizer_release()
 *  @return as dfq_graph_find_quantizer(); ::DFQ_E_INVALID (its range is not known yet),
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_quantizer_handle(const dfq_graph *graph, const char *name,
                                                      dfq_quantizer **out_quantizer);

/** A weight as the quantized graph computes with it: every value on its grid.
 *  @param name       of its quantizer, for example "blocks.0.attn.qkv.weight"
 *  @param out_weight F32, in the shape of the weight; one reference
 *  @return as dfq_graph_get_quantizer_handle(); ::DFQ_E_INVALID (the quantizer of an
 *          activation). */
DFQ_CHECKED dfq_status dfq_graph_get_weight(const dfq_graph *graph, const char *name,
                                            dfq_tensor **out_weight);

/** Codes of a weight: dfq_quantizer_dequantize() of its quantizer makes the weight of them.
 *  @param out_codes I8, in the shape of the weight; one reference
 *  @return as dfq_graph_get_weight(). */
DFQ_CHECKED dfq_status dfq_graph_get_codes(const dfq_graph *graph, const char *name,
                                           dfq_tensor **out_codes);

/* -- distance from the original ---------------------------------------------------------------- */

/** How far a quantized network is from its float original, end to end: signal-to-noise ratios in
 *  dB, a new F32 [n + 1]; the last is of the logits. n is the number of blocks of a vision
 *  transformer: the attention outputs before the projection. It is the number of ReLUs of a
 *  convolutional network: what leaves them, quantized, in the order of their quantizers (those of
 *  kind ::DFQ_QUANTIZER_UNIFORM). 10 log10(sum float^2 / sum (student - float)^2) over all images,
 *  between -200 and 200. A rotated student is compared with a copy of the teacher that is rotated
 *  likewise.
 *  @param images F32 [n,3,S,S], normalised
 *  @return ::DFQ_E_INVALID, ::DFQ_E_SHAPE, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_get_layer_errors(const dfq_graph *teacher,
                                                  const dfq_graph *student,
                                                  const dfq_tensor *images, dfq_tensor **out_db);

#ifdef __cplusplus
}
#endif
#endif
