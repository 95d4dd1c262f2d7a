/* A metric that is a quotient, as power is energy / latency. That it is at most P means over - P
 * under <= 0, which is a sum over cells like any other cost: a row of the tables has over - P under
 * + K, and its limit is K. Users are told the quotient. */
#ifndef DFQI_EXPLORE_RATIO_H
#define DFQI_EXPLORE_RATIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dfqi_ratio {
    int32_t metric;      /* the row; -1: there is none */
    int32_t over, under; /* metrics */
    double scale;        /* the unit: what is told is scale over / under */
    double limit;        /* P, as told */
} dfqi_ratio;

/* Fills the row of tables [n_metrics][cells][configs] and [n_metrics][configs] from those of `over`
 * and `under`. `typical`: of under, above 0; then K is as large as over typically may be, and
 * relative excesses are those of other metrics. Entries of `never` and more fit nowhere. Returns
 * K. */
double dfqi_ratio_fill(const dfqi_ratio *r, size_t cells, size_t configs, double typical,
                       double never, double *cost, double *base);

#endif
