/* Grids of the groups of a weight (kernel/weight_groups.h), by error search. */
#ifndef DFQI_QUANT_WEIGHT_GROUPS_H
#define DFQI_QUANT_WEIGHT_GROUPS_H

#include "quant/scheme.h"

/* Row r of a weight: w[cols], its column factors col[cols] or NULL, and the weight power[cols *
 * stride] of a squared error in each column, NULL: 1. */
typedef struct dfqi_group_row {
    const float *w, *col;
    const double *power;
    int64_t cols, stride;
} dfqi_group_row;

/* Sets the scale and the group grids of row r of the site. search: to the least squared error; else
 * from the smallest to the largest value of each group. Returns the squared error. */
double dfqi_search_groups(const dfqi_site *site, int64_t r, const dfqi_group_row *row, bool search);
/* The row on the grids that the site has: y[cols]. */
void dfqi_groups_apply(const dfqi_site *site, int64_t r, const dfqi_group_row *row, float *y);

#endif
