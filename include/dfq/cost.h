/** @file dfq/cost.h
 *  @ingroup stable
 *  Cost of a network on an accelerator (dfq/accelerator.h): cycles, energy and area, layer by
 *  layer. Each layer has the mapping with the least product of energy and latency, or one that the
 *  caller gives. See docs/METHODS.md, Accelerators. */
#ifndef DFQ_COST_H
#define DFQ_COST_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/quantizer.h>
#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Set up by dfq_cost_options_init(). */
typedef struct dfq_cost_options {
    uint32_t struct_size; /**< set by init */
    int32_t weight_bits;  /**< 0: the network is costed with its own quantizers. 2..16: as if it had
                              quantizers of these widths, 8 in the first and the last layer, with
                              the groups of channels and columns that dfq_graph_quantize()
                              chooses */
    int32_t act_bits;     /**< widths of activations; 0 if and only if weight_bits is 0 */
    int32_t act_scale;    /**< of quantizers of these widths: DFQ_ACT_SCALE_*, chosen as by
                              dfq_graph_quantize() with ::DFQ_ACT_SCALE_AUTO, the default. Only
                              ::DFQ_ACT_SCALE_AUTO with weight_bits 0 */
    int64_t config; /**< which accelerator of the description; dfq_accelerator_tabulate() takes
                              all of them */
} dfq_cost_options;

/** Defaults: the network's own quantizers, accelerator 0. `size`: sizeof(dfq_cost_options). */
DFQ_API void dfq_cost_options_init(dfq_cost_options *options, size_t size);

/** Kinds of layers in dfq_cost_info. */
enum {
    DFQ_LAYER_PRODUCT = 0, /**< convolution, linear layer, batched product of attention */
    DFQ_LAYER_ROWS = 1,    /**< softmax, LayerNorm, GELU, residual sum: 8, 4, 4, 1 cycles for each
                                element, one lane for each column of the array; 2 more where the
                                next layer's grids are found from its rows at run time */
    DFQ_LAYER_TOTAL = 2    /**< the sum of a network's layers */
};

/** Costs of a layer, or of all of them, for one image. Energies are in pJ (1e-12 J). */
typedef struct dfq_cost_info {
    uint32_t struct_size;  /**< bytes the caller has room for; set before the call */
    int32_t kind;          /**< DFQ_LAYER_* */
    int32_t weight_bits;   /**< of the second operand in memory: the bits of its quantizer, or
                               float_bits without one; 0: there is none, or it is a total */
    int32_t input_bits;    /**< of the first operand in memory */
    int32_t output_bits;   /**< of the result in memory: the widest that a reader needs */
    int32_t fused;         /**< 1: of an attention whose scores stay in the buffer (docs/METHODS.md,
                                  Fused attention). Of a total the number of such attentions */
    int64_t dims[8];       /**< G, N, C, M, P, Q, R, S: groups (or heads), images, channels and
                                filters of a group, output rows and columns, filter rows and
                                columns; for DFQ_LAYER_ROWS P is the number of elements */
    int64_t stride;        /**< of a convolution, both ways; else 1 */
    double cycles;         /**< latency: the largest of the next three */
    double compute_cycles; /**< of the array, or of the lanes beside it, which add up groups of
                                channels and find the grids of rows, if they take longer */
    double dram_cycles;    /**< of the transfers of DRAM */
    double glb_cycles;     /**< of the transfers of the global buffer */
    double ms;             /**< latency */
    double macs;           /**< multiply-accumulates */
    double dram_bytes;     /**< read from and written to DRAM */
    double utilization;    /**< macs / those that the array could do in these cycles */
    double mac_pj;         /**< multiply-accumulates */
    double rf_pj;          /**< register files and registers */
    double noc_pj;         /**< network between buffer and elements */
    double glb_pj;         /**< global buffer */
    double dram_pj;        /**< DRAM */
    double static_pj;      /**< static power (leakage) times the latency */
    double total_pj;       /**< sum of the six */
    double area_mm2;       /**< of the accelerator */
    const char *name;      /**< of the layer, borrowed from the dfq_cost */
    const char *mapping;   /**< as dfq_cost_evaluate_mapping() takes it, borrowed; NULL: none */
    int32_t weight_group;  /**< columns of a weight that share a grid; 0: all of a row. Of a total
                                the largest */
    int32_t act_group;     /**< channels of the input that share a scale; 0: all of a row.
                                Likewise */
    double weight_grid_bits; /**< scales and zero points of the second operand, bits for each word
                                  of it in memory, beside weight_bits */
    double input_grid_bits;  /**< of the first operand */
    double output_grid_bits; /**< of the result */
} dfq_cost_info;

/** Finds for each layer the mapping with the least product of energy and latency.
 *  @param options  NULL: defaults
 *  @param out_cost to be given back with dfq_cost_release()
 *  @return ::DFQ_E_INVALID (widths, act_scale, config, operands wider than the accelerator's
 *          word), ::DFQ_E_UNSUPPORTED (::DFQ_ACT_SCALE_ROW of what is no vision transformer),
 *          ::DFQ_E_INFEASIBLE (a layer fits no mapping; the text names it), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_cost_create(const dfq_accelerator *accelerator, const dfq_graph *graph,
                                       const dfq_cost_options *options, dfq_cost **out_cost);

/** NULL is fine. */
DFQ_API void dfq_cost_release(dfq_cost *cost);

/** Number of layers; 0 for NULL. */
DFQ_API int32_t dfq_cost_get_count(const dfq_cost *cost);

/** Costs of layer i = 0 .. count - 1, in the order of computation.
 *  @return ::DFQ_E_INVALID (i out of range, struct_size not set). */
DFQ_CHECKED dfq_status dfq_cost_get_layer(const dfq_cost *cost, int32_t i, dfq_cost_info *out_info);

/** Costs of the network: latencies and energies of all layers added.
 *  @return ::DFQ_E_INVALID if struct_size is not set. */
DFQ_CHECKED dfq_status dfq_cost_get_total(const dfq_cost *cost, dfq_cost_info *out_info);

/** Costs layer `i` under a mapping of the caller's, by itself: what it reads and writes goes
 *  through DRAM, also where the network's attention is fused.
 *  @param mapping loops from DRAM inwards, outermost first, a letter of "GNCMPQRS" and trips each:
 *                 "DRAM M3 N4 | GLB C2 | SPACE P13 R3 | RF Q13 S3". Trips beyond a dimension idle.
 *  @return ::DFQ_E_INVALID (no mapping, does not cover the layer, does not fit the accelerator, the
 *          layer takes none). */
DFQ_CHECKED dfq_status dfq_cost_evaluate_mapping(const dfq_cost *cost, int32_t i,
                                                 const char *mapping, dfq_cost_info *out_info);

#ifdef __cplusplus
}
#endif
#endif
