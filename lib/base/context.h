/* The context, the struct behind the public dfq_context. Every call takes one. It holds the
 * allocator, the error text, the threads, the log, the progress callback and the cancel flag. One
 * thread may use it at a time; only `cancel` may be called from any thread. */
#ifndef DFQI_BASE_CONTEXT_H
#define DFQI_BASE_CONTEXT_H

#include <dfq/context.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>

#include "base/compiler.h"

enum { DFQI_ERROR_MAX = 1024, DFQI_ALIGN = 64, DFQI_THREADS_MAX = 256 };

typedef struct dfqi_pool dfqi_pool; /* worker threads, see parallel.h */

struct dfq_context {
    dfq_allocator allocator;
    dfq_log_fn log;
    void *log_user;
    dfq_progress_fn progress;
    void *progress_user;
    int32_t threads;              /* handles have scratch memory for this many */
    int32_t active;               /* threads that work, at most `threads` */
    size_t stack_bytes;           /* of threads of the pool */
    dfqi_pool *pool;              /* NULL: one thread */
    dfq_thread_pool host_pool;    /* takes its place if it has a parallel_for */
    bool looping;                 /* a loop that is called now is a nested one */
    int32_t refs;                 /* the caller's and one per live handle */
    volatile sig_atomic_t cancel; /* set by dfq_context_cancel(), cleared when reported */
    bool kernels_refused;         /* the warning about a missing kernel set was given */
    pthread_mutex_t error_lock;   /* bodies of one loop may fail at the same time */
    struct dfqi_meter *meter;     /* counts allocated bytes; NULL: no counting */
    char error[DFQI_ERROR_MAX];
};

/* Creates a context from normalised options; `*out` owns one reference. */
DFQI_CHECKED dfq_status dfqi_context_create(const dfq_context_options *o, dfq_context **out);
dfq_context *dfqi_context_retain(dfq_context *ctx);
void dfqi_context_release(dfq_context *ctx); /* NULL ok */
/* Gives freed memory back to the system, where the C library keeps it and the caller did not bring
 * an allocator. For the end of a call that needed much more memory than what it made. */
void dfqi_context_trim(const dfq_context *ctx);

/* n is 1..DFQI_THREADS_MAX; 0: the number of cores. DFQ_E_INVALID if live handles have scratch
 * memory for fewer threads, and inside of a parallel loop. */
DFQI_CHECKED dfq_status dfqi_context_set_threads(dfq_context *ctx, int32_t n);
/* Sets the host program's pool (checked, of full struct size); NULL: the context uses its own
 * threads again. */
DFQI_CHECKED dfq_status dfqi_context_set_pool(dfq_context *ctx, const dfq_thread_pool *pool);

/* Stores the detail text and returns `code`, so that a failing check reads
 * `return dfqi_fail(ctx, DFQ_E_SHAPE, "...", ...)`. One line, no trailing dot. Any thread. A macro,
 * because a compiler that sees the code knows which outputs are set on success. */
#define dfqi_fail(ctx, code, ...) (dfqi_set_error((ctx), __VA_ARGS__), (dfq_status)(code))

void dfqi_set_error(dfq_context *ctx, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* One finished line to the caller's log function, if there is one. */
void dfqi_log(dfq_context *ctx, int32_t level, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Leaves the function with the status of a failed call; for places that hold nothing. */
#define DFQI_TRY(expr)                                                                             \
    do {                                                                                           \
        dfq_status dfqi_try_status = (expr);                                                       \
        if (dfqi_try_status != DFQ_OK) return dfqi_try_status;                                     \
    } while (0)

/* Stores the status in the local `status` and jumps to the one exit of the function. */
#define DFQI_GOTO(expr, label)                                                                     \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != DFQ_OK) goto label;                                                          \
    } while (0)

#endif
