/* The functions of dfq/context.h. */
#include <dfq/context.h>

#include "api/api.h"
#include "base/compiler.h"
#include "kernel/kernel.h"

enum { STACK_MIN = 128, STACK_MAX = 1 << 20 }; /* KiB */

static const dfq_context_options defaults = {0};

void dfq_context_options_init(dfq_context_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

dfq_status dfq_context_create(const dfq_context_options *options, dfq_context **out_context)
{
    dfq_context_options o = defaults;
    dfq_allocator allocator = {.struct_size = sizeof allocator};

    if (out_context == NULL) return DFQ_E_INVALID;
    DFQI_TRY(dfqi_options_read(NULL, "dfq_context_options", options, &o, sizeof o));
    if (o.threads < 0 || o.threads > DFQI_THREADS_MAX) return DFQ_E_INVALID;
    if (o.max_threads < 0 || o.max_threads > DFQI_THREADS_MAX) return DFQ_E_INVALID;
    if (o.max_threads > 0 && o.max_threads < o.threads) return DFQ_E_INVALID;
    if (o.stack_kib != 0 && (o.stack_kib < STACK_MIN || o.stack_kib > STACK_MAX))
        return DFQ_E_INVALID;
    if (o.allocator != NULL) {
        DFQI_TRY(
            dfqi_struct_read(NULL, "dfq_allocator", o.allocator, &allocator, sizeof allocator));
        if (allocator.alloc == NULL || allocator.free == NULL) return DFQ_E_INVALID;
        o.allocator = &allocator;
    }
    return dfqi_context_create(&o, out_context);
}

void dfq_context_release(dfq_context *context)
{
    dfqi_context_release(context);
}

const char *dfq_context_get_error(const dfq_context *context)
{
    return context != NULL ? context->error : "";
}

void dfq_context_cancel(dfq_context *context)
{
    if (context != NULL) dfqi_flag_raise(&context->cancel);
}

int32_t dfq_context_get_threads(const dfq_context *context)
{
    return context != NULL ? context->active : 0;
}

dfq_status dfq_context_set_log(dfq_context *context, dfq_log_fn log, void *user)
{
    if (context == NULL) return DFQ_E_INVALID;
    context->log = log;
    context->log_user = user;
    return DFQ_OK;
}

dfq_status dfq_context_set_progress(dfq_context *context, dfq_progress_fn progress, void *user)
{
    if (context == NULL) return DFQ_E_INVALID;
    context->progress = progress;
    context->progress_user = user;
    return DFQ_OK;
}

dfq_status dfq_context_set_threads(dfq_context *context, int32_t threads)
{
    if (context == NULL) return DFQ_E_INVALID;
    if (threads < 0 || threads > DFQI_THREADS_MAX)
        return dfqi_fail(context, DFQ_E_INVALID, "threads is %d, must be 0 to %d", (int)threads,
                         DFQI_THREADS_MAX);
    if (context->host_pool.parallel_for != NULL)
        return dfqi_fail(context, DFQ_E_INVALID,
                         "threads cannot be set while the caller's thread pool is in use; change "
                         "the pool instead");
    return dfqi_context_set_threads(context, threads);
}

dfq_status dfq_context_set_thread_pool(dfq_context *context, const dfq_thread_pool *pool)
{
    dfq_thread_pool own = {.struct_size = sizeof own};
    if (context == NULL) return DFQ_E_INVALID;
    if (pool == NULL) return dfqi_context_set_pool(context, NULL);
    DFQI_TRY(dfqi_struct_read(context, "dfq_thread_pool", pool, &own, sizeof own));
    if (own.parallel_for == NULL)
        return dfqi_fail(context, DFQ_E_INVALID,
                         "dfq_thread_pool: parallel_for is NULL, must be a function");
    if (own.threads < 1 || own.threads > DFQI_THREADS_MAX)
        return dfqi_fail(context, DFQ_E_INVALID, "dfq_thread_pool: threads is %d, must be 1 to %d",
                         (int)own.threads, DFQI_THREADS_MAX);
    return dfqi_context_set_pool(context, &own);
}

const char *dfq_context_get_kernels(const dfq_context *context)
{
    /* Selecting the kernels may log a warning, which does not change the context. */
    dfq_context *ctx = (dfq_context *)context;
    return ctx != NULL ? dfqi_kernels_get(ctx)->name : "";
}
