/* The best of all mappings of a small layer, to judge the mapping search by. A mapping is any split
 * of each loop over DRAM, buffer, array and register file, in any order, that fits the accelerator
 * and its dataflow's array (docs/METHODS.md, Mappings). */
#ifndef DFQT_ALL_MAPPINGS_H
#define DFQT_ALL_MAPPINGS_H

#include "accel/cost.h"

/* What is least. */
enum { DFQT_EDP, DFQT_ENERGY, DFQT_LATENCY, DFQT_AIMS };

double dfqt_mapping_value(const dfqi_cost *c, int aim);

typedef struct dfqt_best_mapping {
    double value;         /* the least of all; infinity: none is below `known` */
    dfqi_mapping mapping; /* of it */
    int64_t tried;
} dfqt_best_mapping;

/* Mappings below `known`, the value of one that is known, by branch and bound. False: more than
 * `most` would have to be tried. The layer is resolved. */
bool dfqt_best_mapping_of(const dfqi_layer *l, const dfqi_accel_config *t, int aim, double known,
                          int64_t most, dfqt_best_mapping *out);

#endif
