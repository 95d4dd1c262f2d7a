/** @file dfq/bits.h
 *  @ingroup advanced
 *  Tables of bit widths: one row for each layer of a network that has quantizers. They give
 *  dfq_graph_quantize() the widths of single layers, and lie in JSON files:
 *
 *      {"network": "vit_tiny_patch16_224",
 *       "layers": {"blocks.0.attn.qkv": {"w": 4, "a": 5}, "blocks.0.attn.qk": {"a": 3}, ..}}
 *
 *  A layer is a product or a ReLU, see ::dfq_layer_config: linear layers have weights and their
 *  input; "blocks.0.attn.qk" has queries and keys, "blocks.0.attn.av" the attention map and the
 *  values. A layer that stays float is "float" in a file. */
#ifndef DFQ_BITS_H
#define DFQ_BITS_H

#include <stdint.h>

#include <dfq/quantizer.h>
#include <dfq/status.h>
#include <dfq/types.h>
#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A row of a table. Filled by dfq_bits_get_layer(). */
typedef struct dfq_bits_layer {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t weight_bits;  /**< 2..8; 0: no quantizer */
    int32_t act_bits;     /**< 2..8, of the input, or of both operands of a product of attention;
                               0: no quantizer. Both 0: the layer stays float */
    int32_t weight_group; /**< columns of the weight that share a grid where it has at most 4 bits
                               (dfq_quantize_options.weight_group); 0: all of a row */
    int64_t weights;      /**< number of weights */
    int64_t macs;         /**< multiply-accumulates of one image */
    const char *name;     /**< "blocks.0.attn.qkv"; borrowed from the table */
} dfq_bits_layer;

/** Mean widths of a table. Filled by dfq_bits_get_means(). Float counts as 32 bits. */
typedef struct dfq_bits_means {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    double weight_bits;   /**< of a weight: each layer counts by its number of weights, and one with
                               groups by 8 / weight_group bits more, for their grids; 0: none */
    double act_bits; /**< of the operands of a multiplication that are activations: each layer whose
                          activations have a quantizer counts by its multiplications; 0: none, as in
                          a convolutional network, where ReLUs have the quantizers */
} dfq_bits_means;

/** The widths of a network: those of a quantized one, or those that a float one would get from
 *  dfq_graph_quantize().
 *  @param graph    kept no longer than the call
 *  @param options  as dfq_graph_quantize() takes them, or NULL for its defaults; NULL for a
 *                  quantized network
 *  @param out_bits a new table, to be given back with dfq_bits_release()
 *  @return ::DFQ_E_INVALID (options out of range, options for a quantized network),
 *          ::DFQ_E_UNSUPPORTED, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_bits_create(const dfq_graph *graph, const dfq_quantize_options *options,
                                       dfq_bits **out_bits);

/** Reads the widths of all layers of a network from a JSON file.
 *  @param graph    whose layers they must be, float or quantized; kept no longer than the call
 *  @param path     a file as dfq_bits_save() writes it; it has to name every layer
 *  @param out_bits a new table, to be given back with dfq_bits_release()
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (no such JSON), ::DFQ_E_INVALID (widths other than 2..8,
 *          the file of another network: a layer is unknown or missing; the text names it),
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_bits_load(const dfq_graph *graph, const char *path, dfq_bits **out_bits);

/** Writes a table beside `path` and renames.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM, ::DFQ_E_INVALID for NULL. */
DFQ_CHECKED dfq_status dfq_bits_save(const dfq_bits *bits, const char *path);

/** NULL is fine. */
DFQ_API void dfq_bits_release(dfq_bits *bits);

/** Number of layers; 0 for NULL. */
DFQ_API int32_t dfq_bits_get_count(const dfq_bits *bits);

/** Layer i = 0 .. count - 1, in the order of computation.
 *  @return ::DFQ_E_INVALID (i out of range, struct_size not set). */
DFQ_CHECKED dfq_status dfq_bits_get_layer(const dfq_bits *bits, int32_t i,
                                          dfq_bits_layer *out_layer);

/** Sets the widths of one layer. Widths of quantizers that it does not have are 0; both 0: it stays
 *  float.
 *  @return ::DFQ_E_INVALID (no such layer, other widths than 2..8). */
DFQ_CHECKED dfq_status dfq_bits_set_layer(dfq_bits *bits, const char *name, int32_t weight_bits,
                                          int32_t act_bits);

/** The table as dfq_quantize_options.layers takes it: dfq_bits_get_count() elements. Borrowed until
 *  the table is released, and changed by dfq_bits_set_layer(). NULL for NULL. */
DFQ_API const dfq_layer_config *dfq_bits_get_configs(const dfq_bits *bits);

/** Mean widths, by which tables of one network compare.
 *  @return ::DFQ_E_INVALID (struct_size not set). */
DFQ_CHECKED dfq_status dfq_bits_get_means(const dfq_bits *bits, dfq_bits_means *out_means);

#ifdef __cplusplus
}
#endif
#endif
