/* Threads. One primitive: run `body` for i = 0..n-1 on the context's threads. What a body computes
 * may depend on i alone, never on `thread` (which only selects scratch memory); so results do not
 * depend on the number of threads. */
#ifndef DFQI_BASE_PARALLEL_H
#define DFQI_BASE_PARALLEL_H

#include "base/context.h"

typedef void (*dfqi_body)(void *arg, int64_t i, int32_t thread); /* thread: 0..ctx->threads-1 */

/* Returns when all bodies are done. Nested calls run serially on the calling thread as thread 0,
 * so do not nest where scratch is used. */
void dfqi_parallel_for(dfq_context *ctx, int64_t n, dfqi_body body, void *arg);

/* Cores this process may use, at least 1. */
int32_t dfqi_cores(void);

#endif
