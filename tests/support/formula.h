/* Weights too many to be stored: made by a formula here and in tests/golden. */
#ifndef DFQT_FORMULA_H
#define DFQT_FORMULA_H

#include <math.h>
#include <string.h>

#include "nn/generator.h"

/* Entry i of parameter p: u = (2654435761 (i + 1) + 40503 (p + 1)) mod 2^32 hashed once, as a
 * number in -1..1. */
static inline float dfqt_noise(uint32_t p, uint32_t i)
{
    uint32_t u = 2654435761u * (i + 1) + 40503u * (p + 1);
    u = (u ^ u >> 15) * 2246822519u;
    u ^= u >> 13;
    return (float)u * 4.656612873077393e-10f - 1.0f;
}

/* tests/golden/generators.py: scales 1 + noise / 2, all else noise times 1.5, divided by the root
 * of the inputs (of a shift: of the channels) but in the embedding. */
static inline void dfqt_fill_generator(dfqi_generator *net)
{
    double fan = 1;
    for (int32_t p = 0; p < net->n_params; p++) {
        const char *name = net->params[p].name;
        const dfq_tensor *t = net->params[p].tensor;
        int norm = strstr(name, "bn") != NULL, bias = strstr(name, ".bias") != NULL;
        int64_t count = dfqi_tensor_count(t);
        if (!bias) fan = (double)(count / t->dims[0]);
        if (norm) fan = (double)t->dims[t->rank - 1];
        double base = norm && !bias ? 1 : 0, size = base > 0 ? 0.5 : 1.5 / sqrt(fan);
        if (strncmp(name, "embed", 5) == 0) size = 1.5;
        for (int64_t i = 0; i < count; i++)
            dfqi_tensor_f32(t)[i] =
                (float)(base + size * (double)dfqt_noise((uint32_t)p, (uint32_t)i));
    }
}

#endif
