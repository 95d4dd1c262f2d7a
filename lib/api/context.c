/* dfq/context.h. */
#include <dfq/context.h>

#include "api/api.h"
#include "base/compiler.h"
#include "kernel/kernel.h"

static const dfq_context_options defaults = {0};

void dfq_context_options_init(dfq_context_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

dfq_status dfq_context_create(const dfq_context_options *options, dfq_context **out_context)
{
    dfq_context_options o = defaults;

    if (out_context == NULL) return DFQ_E_INVALID;
    DFQI_TRY(dfqi_options_read(NULL, "dfq_context_options", options, &o, sizeof o));
    if (o.threads < 0 || o.threads > DFQI_THREADS_MAX) return DFQ_E_INVALID;
    if (o.allocator != NULL && (o.allocator->alloc == NULL || o.allocator->free == NULL))
        return DFQ_E_INVALID;
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
    return context != NULL ? context->threads : 0;
}

const char *dfq_context_get_kernels(const dfq_context *context)
{
    /* The choice may log a warning, which changes nothing of the context. */
    dfq_context *ctx = (dfq_context *)context;
    return ctx != NULL ? dfqi_kernels_get(ctx)->name : "";
}
