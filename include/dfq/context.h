/** @file dfq/context.h
 *  @ingroup stable
 *  The context: allocator, thread count, log, progress and the text of the last error.
 *  A context and everything made from it serve one thread at a time; only dfq_context_cancel() may
 *  be called from any thread at any moment. Each handle keeps its context alive, so handles and
 *  context may be released in any order. */
#ifndef DFQ_CONTEXT_H
#define DFQ_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Memory callbacks. They may be called from the library's worker threads as well, so they must be
 *  thread safe. Filled by hand: set everything to 0, then struct_size and the callbacks. */
typedef struct dfq_allocator {
    uint32_t struct_size; /**< sizeof(dfq_allocator) of the caller */
    int32_t reserved;     /**< 0 */
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

/** A piece of the library's work, see dfq_thread_pool. */
typedef void (*dfq_task_fn)(void *arg, int32_t task);

/** The caller's thread pool, for dfq_context_set_thread_pool(). Filled by hand: set everything to
 *  0, then struct_size and what is wanted. */
typedef struct dfq_thread_pool {
    uint32_t struct_size; /**< sizeof(dfq_thread_pool) of the caller */
    int32_t threads;      /**< 1..256: most tasks that run at the same time */
    /** Calls task(arg, i) once for each i of 0 .. n_tasks - 1 and returns when all calls have
     *  returned. They may run on any threads, the calling one among them, at the same time or one
     *  after the other, in any order. Called on the thread that is inside libdfq; a task calls it
     *  no more. The threads need 128 KiB of stack.
     *  @param n_tasks 1 .. threads */
    void (*parallel_for)(int32_t n_tasks, dfq_task_fn task, void *arg, void *user);
    void *user; /**< passed to parallel_for */
} dfq_thread_pool;

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
    /** 0..256: dfq_context_set_threads() may go up to it at any time, and handles take scratch
     *  memory for so many. 0: the same as `threads`. */
    int32_t max_threads;
    /** Stack of each thread that the library starts, KiB, 128..1048576; 0: 2048. */
    int32_t stack_kib;
} dfq_context_options;

/** Writes defaults: `size` must be sizeof(dfq_context_options) of the caller. */
DFQ_API void dfq_context_options_init(dfq_context_options *options, size_t size);

/** Creates a context.
 *  @param options     NULL for defaults
 *  @param out_context to be given back with dfq_context_release()
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

/** Sends later log lines to another function. @param log NULL: silent
 *  @return ::DFQ_E_INVALID (no context). */
DFQ_CHECKED dfq_status dfq_context_set_log(dfq_context *context, dfq_log_fn log, void *user);

/** Sends later progress reports to another function, also from inside of the one there is.
 *  @param progress NULL: none
 *  @return ::DFQ_E_INVALID (no context). */
DFQ_CHECKED dfq_status dfq_context_set_progress(dfq_context *context, dfq_progress_fn progress,
                                                void *user);

/** Changes how many threads work, from the next loop on; results keep their bits. Between calls, or
 *  from inside of the progress function. Threads that are too many end.
 *  @param threads 1..256; 0: one per core this process may use
 *  @return ::DFQ_E_INVALID (out of range; more than max_threads while there are handles of this
 *          context; the caller's thread pool is in use; the library's threads are at work, as in a
 *          log callback), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_context_set_threads(dfq_context *context, int32_t threads);

/** Replaces the library's threads, which end, by the caller's thread pool. Results have the same
 *  bits.
 *  @param pool copied; its number of threads becomes the context's, under the conditions of
 *              dfq_context_set_threads(). NULL: threads of the library, as many as before
 *  @return ::DFQ_E_INVALID (as dfq_context_set_threads(); no parallel_for), ::DFQ_E_UNSUPPORTED (a
 *          field this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_context_set_thread_pool(dfq_context *context,
                                                   const dfq_thread_pool *pool);

/** Number of threads that work for this context, the caller's among them. Where the system refuses
 *  to start as many, a warning is logged and fewer work. */
DFQ_API int32_t dfq_context_get_threads(const dfq_context *context);

/** Name of the kernels in use, for example "avx512+libxsmm" or "ref". Static text. */
DFQ_API const char *dfq_context_get_kernels(const dfq_context *context);

#ifdef __cplusplus
}
#endif
#endif
