/* How many cores this process may use. The affinity mask knows of taskset, cpusets and batch
 * systems; its call is a GNU one, hence the macro in this file alone. */
#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <unistd.h>

#include "base/parallel.h"

int32_t dfqi_cores(void)
{
    long n;
#ifdef __linux__
    cpu_set_t set;
    /* Fails on machines with more cores than the set has bits; then all of them count. */
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (int32_t)CPU_COUNT(&set);
#endif
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n >= 1 ? (int32_t)n : 1;
}
