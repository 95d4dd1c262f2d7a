/* A mapping assigns the loops of a layer to the memories and the array of an accelerator. From it
 * follows how often each memory is accessed (Timeloop's rules; docs/METHODS.md, Counting). Memory
 * levels are numbered from DRAM inwards. Each has temporal loops; the spatial loops lie between two
 * levels. */
#ifndef DFQI_ACCEL_MAPPING_H
#define DFQI_ACCEL_MAPPING_H

#include "accel/layer.h"

enum { DFQI_LEVELS_MAX = 6, DFQI_LOOPS_MAX = 10 };

typedef struct dfqi_loop {
    int32_t dim; /* dfqi_dim */
    int32_t trips;
} dfqi_loop;

typedef struct dfqi_nest {
    int32_t n;
    dfqi_loop loop[DFQI_LOOPS_MAX]; /* outermost first */
} dfqi_nest;

typedef struct dfqi_mapping {
    int32_t n_levels;
    int32_t fork;                  /* the first level that every element has for itself */
    int32_t diagonal;              /* 1: neighbouring elements that need the same inputs, because
                                    * their windows overlap, get them by one read
                                    * (row-stationary) */
    uint8_t keep[DFQI_LEVELS_MAX]; /* bits of dfqi_operand; what is not kept passes by */
    dfqi_nest time[DFQI_LEVELS_MAX];
    dfqi_nest space;
} dfqi_mapping;

/* Input rows that so many windows of `taps` taps read: rows between windows are left out. */
double dfqi_window_rows(double windows, double taps, double stride);
/* Adds a loop; loops of one trip are left out, and so is one that finds no room (dfqi_mapping_check
 * then finds its dimension not covered). */
void dfqi_nest_add(dfqi_nest *nest, dfqi_dim d, int64_t trips);
/* Do the loops cover the layer? Trips may go beyond a dimension, the rest then idles. */
DFQI_CHECKED dfq_status dfqi_mapping_check(dfq_context *ctx, const dfqi_layer *l,
                                           const dfqi_mapping *m);

/* Words, all instances of the level together. */
typedef struct dfqi_access {
    double reads, fills, updates;
} dfqi_access;

typedef struct dfqi_counts {
    double cycles;   /* of the computation alone */
    double macs;     /* done, without what idles */
    double elements; /* in use */
    dfqi_access at[DFQI_LEVELS_MAX][DFQI_OPERANDS];
    double delivered[DFQI_OPERANDS]; /* words that elements receive or send over the network */
} dfqi_counts;

void dfqi_mapping_count(const dfqi_layer *l, const dfqi_mapping *m, dfqi_counts *out);
/* Accesses of DRAM by the loops over such tiles, whatever happens inside: as the counts have them,
 * in less time. */
void dfqi_mapping_traffic(const dfqi_layer *l, const dfqi_nest *dram, const int64_t tile[DFQI_DIMS],
                          dfqi_access out[DFQI_OPERANDS]);

/* What accesses of a level cost: pJ a row of `row_words` words, whole rows for each instance;
 * leakage of each instance in use. */
typedef struct dfqi_level_cost {
    double read_pj[DFQI_OPERANDS], fill_pj[DFQI_OPERANDS], update_pj[DFQI_OPERANDS];
    double row_words; /* 1: words are paid one by one */
    double leak_pj;   /* a cycle */
} dfqi_level_cost;

/* Energy of each level over `cycles`, into pj[n_levels]. */
void dfqi_mapping_energy(const dfqi_mapping *m, const dfqi_counts *c, double cycles,
                         const dfqi_level_cost *cost, double *pj);

/* Words of an operand that one instance of a level holds at a time. */
double dfqi_mapping_tile(const dfqi_layer *l, const dfqi_mapping *m, int32_t level, dfqi_operand v);

#endif
