/* An allocator that counts what is alive and can refuse the n-th request, and the sweep that lets
 * each allocation of a scenario fail once. */
#ifndef DFQT_FAIL_ALLOC_H
#define DFQT_FAIL_ALLOC_H

#include <check.h>
#include <dfq/context.h>
#include <stdlib.h>

#include "support/sanitized.h"

typedef struct fail_alloc {
    int64_t fail_at;    /* number of the request to refuse, from 0; negative: none */
    int64_t calls;      /* requests so far */
    int64_t live_bytes; /* what was given and not taken back */
    int64_t live_blocks;
    int64_t peak_bytes; /* most live_bytes; with one thread */
} fail_alloc;

static inline void *fail_alloc_get(size_t size, size_t align, void *user)
{
    fail_alloc *fa = user;
    void *p = NULL;
    if (__atomic_fetch_add(&fa->calls, 1, __ATOMIC_SEQ_CST) == fa->fail_at) return NULL;
    if (posix_memalign(&p, align, size) != 0) return NULL;
    int64_t live = __atomic_add_fetch(&fa->live_bytes, (int64_t)size, __ATOMIC_SEQ_CST);
    if (live > __atomic_load_n(&fa->peak_bytes, __ATOMIC_SEQ_CST))
        __atomic_store_n(&fa->peak_bytes, live, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&fa->live_blocks, 1, __ATOMIC_SEQ_CST);
    return p;
}

/* A wrong size shows as live_bytes that do not return to 0. */
static inline void fail_alloc_put(void *ptr, size_t size, size_t align, void *user)
{
    fail_alloc *fa = user;
    (void)align;
    __atomic_fetch_sub(&fa->live_bytes, (int64_t)size, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&fa->live_blocks, 1, __ATOMIC_SEQ_CST);
    free(ptr);
}

/* `fa` must outlive the context that uses the allocator. */
static inline dfq_allocator fail_alloc_init(fail_alloc *fa, int64_t fail_at)
{
    dfq_allocator a = {.struct_size = sizeof a};
    fa->fail_at = fail_at;
    fa->calls = 0;
    fa->live_bytes = 0;
    fa->live_blocks = 0;
    fa->peak_bytes = 0;
    a.alloc = fail_alloc_get;
    a.free = fail_alloc_put;
    a.user = fa;
    return a;
}

/* How far the next refusal is from the n-th. Under sanitizers, with which a run takes ten times as
 * long, some of the late ones are left out: two of three by the hundredth. Other builds refuse
 * each. */
static inline int64_t fail_alloc_step(int64_t n)
{
#ifdef DFQT_SANITIZED
    return 1 + n / 50;
#else
    (void)n;
    return 1;
#endif
}

/* Runs `scenario` on a fresh context again and again, refusing its 1st, 2nd, ... allocation, until
 * a run gets through without a refusal. Each run must return DFQ_E_NOMEM (the last one DFQ_OK) and
 * leave nothing alive. `threads` is the context's thread count. */
static inline void fail_alloc_sweep(dfq_status (*scenario)(dfq_context *ctx, void *arg), void *arg,
                                    int32_t threads)
{
    int64_t n;
    for (n = 0; n < 100000; n += fail_alloc_step(n)) {
        fail_alloc fa;
        dfq_allocator a = fail_alloc_init(&fa, n);
        dfq_context_options o;
        dfq_context *ctx = NULL;
        dfq_status status;
        int refused;

        dfq_context_options_init(&o, sizeof o);
        o.allocator = &a;
        o.threads = threads;
        status = dfq_context_create(&o, &ctx);
        if (status == DFQ_OK) status = scenario(ctx, arg);
        dfq_context_release(ctx);
        refused = fa.calls > n;
        ck_assert_msg(status == (refused ? DFQ_E_NOMEM : DFQ_OK), "allocation %d %s: status %d",
                      (int)n, refused ? "refused" : "not reached", (int)status);
        ck_assert_msg(fa.live_bytes == 0 && fa.live_blocks == 0,
                      "allocation %d refused: %d bytes in %d blocks leaked", (int)n,
                      (int)fa.live_bytes, (int)fa.live_blocks);
        if (!refused) return;
    }
    ck_abort_msg("no run without a refused allocation");
}

#endif
