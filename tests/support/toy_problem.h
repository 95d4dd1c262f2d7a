/* The toy problem of co-exploration: 21 cells with 6 operators each (kernels 3, 5, 7 by expansions
 * 3, 6), a table of latencies and one of gains. Everything follows from the seed. */
#ifndef DFQT_TOY_PROBLEM_H
#define DFQT_TOY_PROBLEM_H

#include <stdint.h>

enum { TOY_CELLS = 21, TOY_OPS = 6, TOY_TOTAL = TOY_CELLS * TOY_OPS };

typedef struct toy {
    int32_t choices[TOY_CELLS];
    double loss[TOY_TOTAL];    /* minus the gain: the loss of a network is the sum */
    double latency[TOY_TOTAL]; /* ms */
} toy;

void toy_make(uint64_t seed, toy *out);

/* The same network on an accelerator of 5 widths, 5 heights and 3 dataflows: which dataflow suits
 * an operator differs from cell to cell. Metrics: latency, energy, area. */
enum { TOY_HW_PARAMS = 3, TOY_CONFIGS = 5 * 5 * 3, TOY_METRICS = 3, TOY_WIDTHS = 5 + 5 + 3 };

typedef struct toy_pair {
    int32_t choices[TOY_CELLS + TOY_HW_PARAMS];
    double loss[TOY_TOTAL + TOY_WIDTHS];
    double cost[TOY_METRICS * TOY_TOTAL * TOY_CONFIGS];
    double base[TOY_METRICS * TOY_CONFIGS];
} toy_pair;

void toy_pair_make(uint64_t seed, toy_pair *out);

/* The value of a metric that a share of 4096 random networks on random accelerators gets under. */
double toy_pair_quantile(const toy_pair *t, uint64_t seed, int metric, double share);

/* The latency that a share of random networks gets under, of 4096. */
double toy_quantile(const toy *t, uint64_t seed, double share);

#endif
