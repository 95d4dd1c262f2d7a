/* The toy problem of co-exploration: 21 cells with 6 operators each (kernels 3, 5, 7 by expansions
 * 3, 6), a table of latencies and one of gains. Everything follows from the seed. */
#ifndef DFQ_BENCH_TOY_H
#define DFQ_BENCH_TOY_H

#include <stdint.h>

enum { TOY_CELLS = 21, TOY_OPS = 6, TOY_TOTAL = TOY_CELLS * TOY_OPS };

typedef struct toy {
    int32_t choices[TOY_CELLS];
    double loss[TOY_TOTAL];    /* minus the gain: the loss of a network is the sum */
    double latency[TOY_TOTAL]; /* ms */
} toy;

void toy_make(uint64_t seed, toy *out);

/* The latency that a share of random networks gets under, of 4096. */
double toy_quantile(const toy *t, uint64_t seed, double share);

#endif
