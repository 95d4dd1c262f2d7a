/* The grid of an image that is rounded to 8 bits, for runtimes and engines that compute the first
 * and the last layer in integers. */
#ifndef DFQI_QUANT_IMAGE_GRID_H
#define DFQI_QUANT_IMAGE_GRID_H

#include "graph/ops.h"
#include "io/dataset.h"

typedef struct dfqi_image_grid {
    float scale, zero_point, qmax; /* codes 0 .. qmax; qmax 0: the image stays float */
} dfqi_image_grid;

/* From black to white of the channel that has the most of each. */
dfqi_image_grid dfqi_image_grid_of(const dfqi_preprocess *p);
/* x on the grid. */
dfqi_id dfqi_image_grid_fq(dfqi_graph *g, dfqi_id x, const dfqi_image_grid *grid);
/* Is the value the image, as patches or with its channels last? */
bool dfqi_reads_image(const dfqi_graph *g, dfqi_id value);
/* Is it the means of channels over all pixels? */
bool dfqi_is_mean(const dfqi_graph *g, dfqi_id value);

#endif
