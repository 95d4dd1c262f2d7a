/* Detects which vector kernels this CPU can run. This file is compiled without instruction-set
 * flags, because it must run on any x86. */
#include "kernel/tables.h"

void dfqi_avx2_fill(dfqi_kernels *t);
void dfqi_avx512_fill(dfqi_kernels *t);
double dfqi_avx2_fma_burst(int64_t rounds);
double dfqi_avx512_fma_burst(int64_t rounds);

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool dfqi_kernels_use_avx2(dfqi_kernels *t)
{
    if (!has_avx2()) return false;
    dfqi_avx2_fill(t);
    return true;
}

bool dfqi_kernels_use_avx512(dfqi_kernels *t)
{
    if (!has_avx512()) return false;
    dfqi_avx512_fill(t);
    return true;
}

double dfqi_fma_burst(int64_t rounds)
{
    if (has_avx512()) return dfqi_avx512_fma_burst(rounds);
    return has_avx2() ? dfqi_avx2_fma_burst(rounds) : 0.0;
}
