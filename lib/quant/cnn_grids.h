/* Grids of a convolutional network in improved mode. They are static: a step for each row of a
 * weight, symmetric about 0, and one for each ReLU output, whose codes are unsigned and whose zero
 * point is 0. Inputs of convolutions that no ReLU made (scheme.c) have signed codes. */
#ifndef DFQI_QUANT_CNN_GRIDS_H
#define DFQI_QUANT_CNN_GRIDS_H

#include "quant/scheme.h"

/* Values of an activation that its search looks at, about: of each image as many. */
enum { DFQI_GRID_SAMPLE = 1 << 17 };

/* Folds the BatchNorms of `student`, a copy of the float network, and sets all scales: those of
 * activations from the values that the float network has on the images. Of 60 fractions of the
 * largest value that with the least squared error on a sample is taken. DFQ_E_NUMERIC if values are
 * not finite. Weights are rounded then (rounding.c). Reports progress ("calibrate", "round"). */
DFQI_CHECKED dfq_status dfqi_calibrate_cnn(dfqi_scheme *s, dfqi_network *student,
                                           const dfqi_images *images);

#endif
