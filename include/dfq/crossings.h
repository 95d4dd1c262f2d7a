/** @file dfq/crossings.h
 *  @ingroup advanced
 *  Threshold crossings (AIT, CVPR 2022, arXiv 2203.17008): which codes of quantized weights change
 *  during tuning. A dfq_crossings stores the codes; dfq_crossings_measure() compares the current
 *  codes with them. */
#ifndef DFQ_CROSSINGS_H
#define DFQ_CROSSINGS_H

#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Columns of dfq_crossings_measure(). */
enum {
    DFQ_CROSSED_NOW = 0,      /**< codes that differ from the last measurement */
    DFQ_CROSSED_EVER = 1,     /**< codes that differ from the beginning */
    DFQ_CROSSED_DISTANCE = 2, /**< mean distance of a weight from the nearest value at which its
                                   code changes; in codes, 0.25 for evenly spread weights */
    DFQ_CROSSED_CODES = 3,    /**< number of codes of the weight */
    DFQ_CROSSED_COUNT = 4     /**< number of columns */
};

/** Remembers the codes of all quantized weights as they are now; two bytes for each.
 *  @param student       a quantized network; kept alive
 *  @param out_crossings to be given back with dfq_crossings_release()
 *  @return ::DFQ_E_INVALID (not quantized), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_crossings_create(const dfq_graph *student,
                                            dfq_crossings **out_crossings);

/** NULL is fine. */
DFQ_API void dfq_crossings_release(dfq_crossings *crossings);

/** Number of quantized weights; 0 for NULL. */
DFQ_API int32_t dfq_crossings_get_count(const dfq_crossings *crossings);

/** Name of weight i = 0 .. count - 1 in the order of the network's parameters, that of
 *  dfq_tuner_get_crossings() too: "blocks.0.attn.qkv.weight". Borrowed; NULL if i is out of
 *  range. */
DFQ_API const char *dfq_crossings_get_name(const dfq_crossings *crossings, int32_t i);

/** Compares the codes with those of the last measurement and of the beginning: a new F32
 *  [count, ::DFQ_CROSSED_COUNT], columns DFQ_CROSSED_*. Called after each step of a tuner, the
 *  first column is what the step did.
 *  @return ::DFQ_E_INVALID (an argument is NULL), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_crossings_measure(dfq_crossings *crossings, dfq_tensor **out_rows);

#ifdef __cplusplus
}
#endif
#endif
