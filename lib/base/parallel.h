/* The parallel loop, the library's only threading primitive. It runs `body` for i = 0 .. n-1 on the
 * context's threads. The result of a body may depend on i, but never on `thread`, which only
 * selects scratch memory. So results do not depend on the number of threads. */
#ifndef DFQI_BASE_PARALLEL_H
#define DFQI_BASE_PARALLEL_H

#include "base/context.h"

typedef void (*dfqi_body)(void *arg, int64_t i, int32_t thread); /* thread: 0..ctx->threads-1 */

/* Returns when all bodies are done; they run on the host's pool if the context has one. Bodies run
 * under the caller's floating-point environment (rounding, denormals). Nested calls run serially on
 * the calling thread as thread 0, so do not nest where scratch is used. Where fewer threads can be
 * started than the context asks for, a warning is logged once and the loop runs on those. */
void dfqi_parallel_for(dfq_context *ctx, int64_t n, dfqi_body body, void *arg);

/* Worker threads for a context, so that `threads` work with the caller's own: none yet, the first
 * loop starts them. *out is NULL for one thread. For context.c. */
DFQI_CHECKED dfq_status dfqi_pool_create(dfq_context *ctx, int32_t threads, dfqi_pool **out);
void dfqi_pool_release(dfq_context *ctx, dfqi_pool *p); /* waits until the threads have ended */
void dfqi_pool_rest(dfqi_pool *p);                      /* ends them; a later loop starts others */

/* Cores this process may use, at least 1: by its affinity mask and by the quotas of its control
 * groups. */
int32_t dfqi_cores(void);

/* The number of the core that runs the calling thread; -1 if unknown. */
int32_t dfqi_this_core(void);

/* Cores that the quotas of the process's control groups allow, rounded up; 0: there is no quota.
 * `root` is put before /proc and /sys ("" but for tests). */
int32_t dfqi_quota_cores(const char *root);

#endif
