/* Random small layers and accelerators whose mappings can all be tried. */
#ifndef DFQT_SMALL_LAYERS_H
#define DFQT_SMALL_LAYERS_H

#include "support/all_mappings.h"

typedef struct dfqt_small {
    dfqi_layer layer; /* resolved */
    dfqi_accel_config t;
} dfqt_small;

/* The one of a seed and a number. */
bool dfqt_small_layer(dfq_context *ctx, uint64_t seed, uint64_t number, dfqt_small *out);

#endif
