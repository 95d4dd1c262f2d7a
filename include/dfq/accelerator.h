/** @file dfq/accelerator.h
 *  @ingroup stable
 *  What a network costs on an accelerator: an array of processing elements with a register file each,
 *  a global buffer, DRAM. Access counts are exact for loop nests (the rules of Timeloop), mappings are
 *  searched within three dataflows; see docs/METHODS.md.
 *
 *  A description may stand for one accelerator or for all combinations of several values:
 *
 *  - dfq_cost is a network on one of them, layer by layer;
 *  - dfq_accelerator_tabulate() is a network on all of them. */
#ifndef DFQ_ACCELERATOR_H
#define DFQ_ACCELERATOR_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One or more accelerators. One thread at a time; released by dfq_accelerator_release(). */
typedef struct dfq_accelerator dfq_accelerator;

/** What stays in the elements. */
enum {
    DFQ_DATAFLOW_WS = 0, /**< weights: filters along x, channels along y */
    DFQ_DATAFLOW_OS = 1, /**< outputs: filters or columns along x, pixels along y */
    DFQ_DATAFLOW_RS = 2  /**< rows: output rows along x, filter rows along y */
};

/** What multiplies. */
enum {
    DFQ_PE_FIXED = 0,  /**< one product a cycle, whatever the widths */
    DFQ_PE_FUSION = 1, /**< 2-bit bricks: twice as many products when an operand's width halves */
    DFQ_PE_SERIAL = 2  /**< activations go in bit by bit */
};

/** One accelerator. Filled by dfq_accelerator_get_config(). */
typedef struct dfq_accelerator_config {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t pe_x;         /**< columns of elements */
    int32_t pe_y;         /**< rows of elements */
    int32_t dataflow;     /**< DFQ_DATAFLOW_* */
    int32_t pe_type;      /**< DFQ_PE_* */
    int32_t word_bits;    /**< the widest operand; what prices of accesses are for */
    int32_t psum_bits;    /**< of sums under way */
    int32_t float_bits;   /**< of values that no quantizer rounds, in DRAM and buffer */
    int64_t rf_words;     /**< register file of each element */
    double glb_kb;        /**< global buffer */
    double clock_mhz;     /**< of the array and the buffer */
    double dram_gb_per_s; /**< bandwidth of DRAM, 1e9 bytes a second */
    double glb_gb_per_s;  /**< likewise of the global buffer */
    double area_mm2;      /**< elements and buffer at 45 nm, and 5 % for network and control */
} dfq_accelerator_config;

/** Name of preset i = 0, 1, ...; NULL behind the last. Static text. Any thread. */
DFQ_API const char *dfq_accelerator_preset_name(int32_t i);

/** Reads a description.
 *  @param name            a preset's name, else the path of a JSON file (docs/CLI.md has its keys)
 *  @param out_accelerator to be given back with dfq_accelerator_release()
 *  @return ::DFQ_E_IO (cannot be read), ::DFQ_E_CORRUPT (no JSON, an unknown key, a key without its
 *          unit, a value out of range: the text names it), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_accelerator_load(dfq_context *context, const char *name,
                                            dfq_accelerator **out_accelerator);

/** The same from `size` bytes of JSON in memory. */
DFQ_CHECKED dfq_status dfq_accelerator_parse(dfq_context *context, const char *json, size_t size,
                                             dfq_accelerator **out_accelerator);

/** NULL is fine. */
DFQ_API void dfq_accelerator_release(dfq_accelerator *accelerator);

/** The description's name. Borrowed; "" for NULL. */
DFQ_API const char *dfq_accelerator_get_name(const dfq_accelerator *accelerator);

/** Number of accelerators that the description stands for, 1 or more; 0 for NULL. */
DFQ_API int64_t dfq_accelerator_get_count(const dfq_accelerator *accelerator);

/** Accelerator i = 0 .. count - 1.
 *  @return ::DFQ_E_INVALID (i out of range, struct_size not set). */
DFQ_CHECKED dfq_status dfq_accelerator_get_config(const dfq_accelerator *accelerator, int64_t i,
                                                  dfq_accelerator_config *out_config);

/* -- costs ------------------------------------------------------------------------------------- */

/** Set up by dfq_cost_options_init(). */
typedef struct dfq_cost_options {
    uint32_t struct_size; /**< set by init */
    int32_t weight_bits;  /**< 0: the network is costed with its own quantizers. 2..16: as if it had
                              quantizers of these widths, 8 in the first and the last layer */
    int32_t act_bits;     /**< likewise of activations; both or none are 0 */
    int32_t reserved;     /**< 0 */
    int64_t config; /**< which accelerator of the description; dfq_accelerator_tabulate() takes
                              all of them */
} dfq_cost_options;

/** Defaults: the network's own quantizers, accelerator 0. `size`: sizeof(dfq_cost_options). */
DFQ_API void dfq_cost_options_init(dfq_cost_options *options, size_t size);

/** What kind of layer costs are of. */
enum {
    DFQ_LAYER_PRODUCT = 0, /**< convolution, linear layer, batched product of attention */
    DFQ_LAYER_ROWS = 1,    /**< softmax, LayerNorm, GELU, residual sum: 8, 4, 4, 1 cycles for each
                                element, one lane for each column of the array */
    DFQ_LAYER_TOTAL = 2    /**< the sum of a network's layers */
};

/** Costs of a layer, or of all of them, for one image. Energies are in pJ (1e-12 J). */
typedef struct dfq_cost_info {
    uint32_t struct_size;  /**< bytes the caller has room for; set before the call */
    int32_t kind;          /**< DFQ_LAYER_* */
    int32_t weight_bits;   /**< of the second operand as it is kept: what a quantizer rounds has its
                               bits, all else float_bits; 0: there is none, or it is a total */
    int32_t input_bits;    /**< likewise of the first operand */
    int32_t output_bits;   /**< of the result: the widest that is read of it */
    int32_t reserved;      /**< 0 */
    int64_t dims[8];       /**< G, N, C, M, P, Q, R, S: groups (or heads), images, channels and
                                filters of a group, output rows and columns, filter rows and
                                columns; for DFQ_LAYER_ROWS P is the number of elements */
    int64_t stride;        /**< of a convolution, both ways; else 1 */
    double cycles;         /**< latency: the largest of the next three */
    double compute_cycles; /**< of the array */
    double dram_cycles;    /**< until DRAM has moved what it must */
    double glb_cycles;     /**< likewise the global buffer */
    double ms;             /**< latency */
    double macs;           /**< multiply-accumulates */
    double dram_bytes;     /**< read from and written to DRAM */
    double utilization;    /**< share of the products that the array could have made */
    double mac_pj;         /**< multiply-accumulates */
    double rf_pj;          /**< register files and registers */
    double noc_pj;         /**< network between buffer and elements */
    double glb_pj;         /**< global buffer */
    double dram_pj;        /**< DRAM */
    double static_pj;      /**< power that flows whatever is done, over the latency */
    double total_pj;       /**< sum of the six */
    double area_mm2;       /**< of the accelerator */
    const char *name;      /**< of the layer, borrowed from the dfq_cost */
    const char *mapping;   /**< likewise; see dfq_cost_evaluate_mapping(); NULL if there is none */
} dfq_cost_info;

/** A network on one accelerator. One thread at a time. */
typedef struct dfq_cost dfq_cost;

/** Finds for each layer the mapping with the least product of energy and latency.
 *  @param options  NULL: defaults
 *  @param out_cost to be given back with dfq_cost_release()
 *  @return ::DFQ_E_INVALID (widths, config, operands wider than the accelerator's word),
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

/** Costs layer `i` under a mapping of the caller's.
 *  @param mapping loops from DRAM inwards, outermost first, a letter of "GNCMPQRS" and trips each:
 *                 "DRAM M3 N4 | GLB C2 | SPACE P13 R3 | RF Q13 S3". Trips beyond a dimension idle.
 *  @return ::DFQ_E_INVALID (no mapping, does not cover the layer, does not fit the accelerator, the
 *          layer takes none). */
DFQ_CHECKED dfq_status dfq_cost_evaluate_mapping(const dfq_cost *cost, int32_t i,
                                                 const char *mapping, dfq_cost_info *out_info);

/** A network on all accelerators of the description, on the context's threads; reports progress as
 *  stage "tabulate". Where a layer fits no mapping latency and energy are infinite.
 *  @param count   dfq_accelerator_get_count(): room in each of the arrays
 *  @param out_ms  latency of an image
 *  @param out_mj  its energy, mJ
 *  @param out_mm2 area
 *  @return as dfq_cost_create(), ::DFQ_E_INFEASIBLE if a layer fits nowhere, ::DFQ_E_CANCELLED. */
DFQ_CHECKED dfq_status dfq_accelerator_tabulate(const dfq_accelerator *accelerator,
                                                const dfq_graph *graph,
                                                const dfq_cost_options *options, int64_t count,
                                                double *out_ms, double *out_mj, double *out_mm2);

#ifdef __cplusplus
}
#endif
#endif
