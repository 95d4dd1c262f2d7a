/* Where the time of a runtime goes, and what the machine can do. */
#include "base/parallel.h"
#include "base/progress.h"
#include "runtime/runtime_priv.h"

int32_t dfqi_runtime_parts(const dfqi_runtime *rt)
{
    return rt->p->n_parts;
}

void dfqi_runtime_part(const dfqi_runtime *rt, int32_t i, dfq_runtime_part *out)
{
    const dfqi_rt_part *part = &rt->p->parts[i];
    *out = (dfq_runtime_part){
        .integer = part->integer, .macs = dfqi_count_i64(part->macs), .name = part->kind};
    for (int32_t t = 0; rt->seconds && t < rt->threads; t++)
        out->seconds += rt->seconds[t * rt->p->n_parts + i];
}

/* -- peaks ------------------------------------------------------------------------------------- */

/* All threads do the same work. */
typedef struct burst {
    double (*run)(int64_t rounds);
    double work; /* of one */
} burst;

static void run_burst(void *arg, int64_t i, int32_t thread)
{
    enum { ROUNDS = 200 };
    burst *b = arg;
    const double work = b->run(ROUNDS);
    (void)thread;
    if (i == 0) b->work = work;
}

/* The best of some loops. */
static double measure(dfqi_runtime *rt, double (*run)(int64_t rounds))
{
    enum { LOOPS = 50 };
    burst b = {.run = run};
    double best = 0;
    for (int k = 0; k < LOOPS; k++) {
        const double start = dfqi_now();
        dfqi_parallel_for(rt->ctx, rt->threads, run_burst, &b);
        const double rate = rt->threads * b.work / (dfqi_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

void dfqi_runtime_peak(dfqi_runtime *rt, double *out_float, double *out_integer)
{
    *out_float = measure(rt, dfqi_fma_burst);
    *out_integer = measure(rt, rt->p->ik->burst);
}
