/* The one parallel loop, on OpenMP so that a host which uses the same runtime shares its threads
 * with us. */
#include "base/parallel.h"

#include <omp.h>

static void run_serially(int64_t n, dfqi_body body, void *arg)
{
    int64_t i;
    for (i = 0; i < n; i++) body(arg, i, 0);
}

void dfqi_parallel_for(dfq_context *ctx, int64_t n, dfqi_body body, void *arg)
{
    const int threads = ctx->threads;
    int64_t i, chunk;

    if (n <= 1 || threads <= 1 || omp_in_parallel()) {
        run_serially(n, body, arg);
        return;
    }
    /* Bodies differ in cost, so hand out small pieces; long loops of tiny bodies get larger ones to
     * keep the shared counter out of the way. The team always has the context's size: libgomp ends
     * the surplus threads of a smaller team and would have to start them again. */
    chunk = n / ((int64_t)threads * 16);
    if (chunk < 1) chunk = 1;
#pragma omp parallel for num_threads(threads) schedule(dynamic, chunk)
    for (i = 0; i < n; i++) body(arg, i, omp_get_thread_num());
}
