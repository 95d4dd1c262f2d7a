/** @file dfq/context.h
 *  @ingroup stable
 *  The context: allocator, thread count, log, progress and the text of the last error.
 *  A context and everything made from it serve one thread at a time; only dfq_context_cancel() may
 *  be called from any thread at any moment. A context outlives nothing it must not: each handle
 *  keeps its context alive, so the order of release calls is free. */
#ifndef DFQ_CONTEXT_H
#define DFQ_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/export.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Memory callbacks. They may be called from the library's worker threads as well, so they must be
 *  thread safe. */
typedef struct dfq_allocator {
    /** Returns `size` bytes aligned to `align` (a power of two), or NULL. */
    void *(*alloc)(size_t size, size_t align, void *user);
    /** Takes back what alloc gave, with the same size and alignment. `ptr` is never NULL. */
    void (*free)(void *ptr, size_t size, size_t align, void *user);
    void *user; /**< passed to both */
} dfq_allocator;

/** Log levels, most severe first. */
enum { DFQ_LOG_ERROR = 0, DFQ_LOG_WARNING = 1, DFQ_LOG_INFO = 2, DFQ_LOG_DEBUG = 3 };

/** Receives one finished UTF-8 line without a newline, on the thread that is inside libdfq. */
typedef void (*dfq_log_fn)(int32_t level, const char *line, void *user);

/** What a long-running call is doing. Filled by libdfq; fields beyond struct_size are absent. */
typedef struct dfq_progress {
    uint32_t struct_size; /**< bytes filled by the library */
    int32_t reserved;     /**< 0 */
    const char *stage;    /**< "synth", "calibrate", "tune", "eval", ...; static text */
    uint64_t done;        /**< finished units of this stage */
    uint64_t total;       /**< units of this stage; 0: unknown */
    double fraction;      /**< done / total, 0..1 */
    double loss;          /**< the stage's loss so far; NaN where there is none */
    double elapsed_s;     /**< seconds since the stage began in this process */
    double left_s;        /**< estimated seconds to its end; NaN: unknown */
} dfq_progress;

/** Called now and then from long-running calls, on their own thread. Nonzero asks to stop: the call
 *  returns ::DFQ_E_CANCELLED at a point from which it can be resumed. */
typedef int32_t (*dfq_progress_fn)(const dfq_progress *progress, void *user);

/** Options of dfq_context_create(). Fill with dfq_context_options_init() first. */
typedef struct dfq_context_options {
    uint32_t struct_size;           /**< set by init */
    int32_t threads;                /**< 1..256; 0: one per core this process may use, by its
                                         affinity mask and control groups */
    const dfq_allocator *allocator; /**< NULL: the C library's; copied */
    dfq_log_fn log;                 /**< NULL: silent */
    void *log_user;                 /**< passed to log */
    dfq_progress_fn progress;       /**< NULL: none */
    void *progress_user;            /**< passed to progress */
} dfq_context_options;

/** Writes defaults: `size` must be sizeof(dfq_context_options) of the caller. */
DFQ_API void dfq_context_options_init(dfq_context_options *options, size_t size);

/** Creates a context. `options` may be NULL for defaults.
 *  @return ::DFQ_OK, ::DFQ_E_INVALID (thread count out of range, half an allocator),
 *          ::DFQ_E_UNSUPPORTED (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_context_create(const dfq_context_options *options,
                                          dfq_context **out_context);

/** Gives the caller's reference back. NULL is fine. Handles made from it stay usable. */
DFQ_API void dfq_context_release(dfq_context *context);

/** One line on the last failure of a call on this context; "" if none. Borrowed; valid until the
 *  next call on the context. */
DFQ_API const char *dfq_context_get_error(const dfq_context *context);

/** Asks a running call to stop as soon as it can be resumed; it returns ::DFQ_E_CANCELLED. Stays in
 *  force for the next call if none is running. Any thread, also a signal handler. */
DFQ_API void dfq_context_cancel(dfq_context *context);

/** Number of threads that work for this context, the caller's among them. Where the system refuses
 *  to start as many, a warning is logged and fewer work. */
DFQ_API int32_t dfq_context_get_threads(const dfq_context *context);

/** Name of the kernels in use, for example "avx512+libxsmm" or "ref". Static text. */
DFQ_API const char *dfq_context_get_kernels(const dfq_context *context);

#ifdef __cplusplus
}
#endif
#endif
