/* An allocator whose memory holds NaN before it is written, and again once it is given back: what
 * reads it, or clears it by multiplying with 0, shows in the result. */
#ifndef DFQT_NAN_ALLOC_H
#define DFQT_NAN_ALLOC_H

#include <check.h>
#include <dfq/context.h>
#include <stdlib.h>
#include <string.h>

/* All bits set is a NaN as float and as double, and -1 as an integer. */
static inline void *nan_alloc_get(size_t size, size_t align, void *user)
{
    void *p = NULL;
    (void)user;
    if (posix_memalign(&p, align, size) != 0) return NULL;
    return memset(p, 0xff, size);
}

static inline void nan_alloc_put(void *ptr, size_t size, size_t align, void *user)
{
    (void)align;
    (void)user;
    free(memset(ptr, 0xff, size));
}

static inline dfq_context *nan_alloc_context(int32_t threads)
{
    static const dfq_allocator a = {
        .struct_size = sizeof a, .alloc = nan_alloc_get, .free = nan_alloc_put};
    dfq_context_options o;
    dfq_context *ctx = NULL;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = threads;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

#endif
