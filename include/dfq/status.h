/** @file dfq/status.h
 *  @ingroup stable
 *  Result codes. Every fallible call returns a ::dfq_status; outputs are the trailing `out_*`
 *  arguments and are written only on ::DFQ_OK. The text for humans is in the context, see
 *  dfq_context_get_error(). */
#ifndef DFQ_STATUS_H
#define DFQ_STATUS_H

#include <stdint.h>

#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One of the DFQ_OK / DFQ_E_* values. The width is fixed and the values never change. */
typedef int32_t dfq_status;
enum {
    DFQ_OK = 0,             /**< done */
    DFQ_E_NOMEM = -1,       /**< the allocator said no */
    DFQ_E_INVALID = -2,     /**< the caller broke a documented precondition */
    DFQ_E_UNSUPPORTED = -3, /**< understood, but not by this build, machine or version */
    DFQ_E_SHAPE = -4,       /**< ranks, extents or dtypes disagree */
    DFQ_E_IO = -5,          /**< a file could not be read or written */
    DFQ_E_CORRUPT = -6,     /**< the bytes break the rules of their format */
    DFQ_E_NUMERIC = -7,     /**< NaN, infinity or divergence */
    DFQ_E_INFEASIBLE = -8,  /**< no point meets the constraints */
    DFQ_E_CANCELLED = -9,   /**< a progress callback or dfq_context_cancel() asked to stop */
    DFQ_E_EXISTS = -10,     /**< the file is there and may not be replaced */
    DFQ_E_INTERNAL = -100   /**< a bug of libdfq: please report it */
};

/** Name of a status, for example "DFQ_E_SHAPE"; "DFQ_E_?" for an unknown value. Static text, never
 *  NULL. Any thread. */
DFQ_API const char *dfq_status_name(dfq_status status);

#ifdef __cplusplus
}
#endif
#endif
