/* Detects which integer kernels this CPU can run. This file is compiled without
 * instruction-set flags, because it must run on any x86. */
#include <cpuid.h>

#include "kernel/int_tables.h"

extern const dfqi_int_kernels dfqi_int_avx2_kernels, dfqi_int_avxvnni_kernels,
    dfqi_int_avx512vnni_kernels;

static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* __builtin_cpu_supports of clang 14 does not know it. */
static int has_avxvnni(void)
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static int has_avx512vnni(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

int32_t dfqi_int_x86_tables(const dfqi_int_kernels **out)
{
    int32_t n = 0;
    if (has_avx512vnni()) out[n++] = &dfqi_int_avx512vnni_kernels;
    if (has_avxvnni()) out[n++] = &dfqi_int_avxvnni_kernels;
    if (has_avx2()) out[n++] = &dfqi_int_avx2_kernels;
    return n;
}
