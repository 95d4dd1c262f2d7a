/** @file dfq/accelerator.h
 *  @ingroup stable
 *  Accelerator descriptions. An accelerator is an array of processing elements with a register
 *  file each, a global buffer and DRAM. Access counts are exact for loop nests (Timeloop's rules);
 *  mappings are searched within one of three dataflows (docs/METHODS.md, Accelerators).
 *
 *  A description may stand for one accelerator or for all combinations of several values:
 *
 *  - dfq_cost (dfq/cost.h) has the costs of a network on one of them, layer by layer;
 *  - dfq_accelerator_tabulate() computes those of a network on all of them. */
#ifndef DFQ_ACCELERATOR_H
#define DFQ_ACCELERATOR_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/cost.h>
#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Dataflows: which operand stays in the processing elements, and what is spatial. */
enum {
    DFQ_DATAFLOW_WS = 0, /**< weights: filters along x, channels along y */
    DFQ_DATAFLOW_OS = 1, /**< outputs: filters or columns along x, pixels along y */
    DFQ_DATAFLOW_RS = 2  /**< rows: output rows along x, filter rows along y */
};

/** Kinds of processing elements (multipliers). */
enum {
    DFQ_PE_FIXED = 0,  /**< one product a cycle, whatever the widths */
    DFQ_PE_FUSION = 1, /**< 2-bit bricks: twice as many products when an operand's width halves */
    DFQ_PE_SERIAL = 2  /**< activations go in bit by bit */
};

/** One accelerator. Filled by dfq_accelerator_get_config(). */
typedef struct dfq_accelerator_config {
    uint32_t struct_size;    /**< bytes the caller has room for; set before the call */
    int32_t pe_x;            /**< columns of elements */
    int32_t pe_y;            /**< rows of elements */
    int32_t dataflow;        /**< DFQ_DATAFLOW_* */
    int32_t pe_type;         /**< DFQ_PE_* */
    int32_t word_bits;       /**< the widest operand; what prices of accesses are for */
    int32_t psum_bits;       /**< of sums under way */
    int32_t float_bits;      /**< of values that no quantizer rounds, in DRAM and buffer */
    int64_t rf_words;        /**< register file of each element */
    double glb_kb;           /**< global buffer */
    double clock_mhz;        /**< of the array and the buffer */
    double dram_gb_per_s;    /**< bandwidth of DRAM, 1e9 bytes a second */
    double glb_gb_per_s;     /**< bandwidth of the global buffer, 1e9 bytes a second */
    double area_mm2;         /**< elements and buffer at 45 nm, and 5 % for network and control */
    int32_t fused_attention; /**< 1: scores of attention may stay in the buffer, 0: they go through
                                  DRAM */
    int32_t reserved;        /**< 0 */
} dfq_accelerator_config;

/** Name of preset i = 0, 1, ...; NULL behind the last. Static text. Any thread. */
DFQ_API const char *dfq_accelerator_preset_name(int32_t i);

/** Reads a description.
 *  @param name            a preset's name, else the path of a JSON file (docs/cli/cost.md has its
 *  keys)
 *  @param out_accelerator to be given back with dfq_accelerator_release()
 *  @return ::DFQ_E_IO (cannot be read), ::DFQ_E_CORRUPT (no JSON, an unknown key, a key without its
 *          unit, a value out of range: the text names it), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_accelerator_load(dfq_context *context, const char *name,
                                            dfq_accelerator **out_accelerator);

/** As dfq_accelerator_load(), from `size` bytes of JSON in memory. */
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

/** Computes the costs of a network on all accelerators of the description, on the context's
 *  threads; reports progress as stage "tabulate". If a layer fits no mapping of an accelerator,
 *  latency and energy are infinite.
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
