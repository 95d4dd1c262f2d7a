/* What the fuzz targets share: the entry point and a context that refuses blocks above 32 MB, as a
 * host with little memory would. */
#ifndef DFQT_FUZZ_TARGET_H
#define DFQT_FUZZ_TARGET_H

#include <stdint.h>
#include <stdlib.h>

#include "base/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void *target_alloc(size_t size, size_t align, void *user)
{
    void *p = NULL;
    (void)user;
    if (size > 32u * 1024 * 1024 || posix_memalign(&p, align, size) != 0) return NULL;
    return p;
}

static inline void target_free(void *ptr, size_t size, size_t align, void *user)
{
    (void)size;
    (void)align;
    (void)user;
    free(ptr);
}

static inline dfq_context *target_context(void)
{
    const dfq_allocator a = {.alloc = target_alloc, .free = target_free};
    dfq_context_options o = {0};
    dfq_context *ctx = NULL;
    o.struct_size = sizeof o;
    o.threads = 1;
    o.allocator = &a;
    return dfqi_context_create(&o, &ctx) == DFQ_OK ? ctx : NULL;
}

/* A failure must come with a text of one line. */
static inline void target_check(dfq_context *ctx, dfq_status status)
{
    if (status == DFQ_OK) return;
    for (const char *p = ctx->error; *p; p++)
        if (*p == '\n' || *p == '\r') abort();
    if (ctx->error[0] == '\0') abort();
}

#endif
