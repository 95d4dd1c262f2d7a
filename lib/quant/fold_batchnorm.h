/* Folding of BatchNorms into the convolutions before them (Jacob et al., CVPR 2018). With gain
 * g = gamma / sqrt(var + eps),
 *
 *   gamma (W x - mean) / sqrt(var + eps) + beta = (g W) x + (beta - g mean)
 *
 * The BatchNorm stays in the network with gamma 1, mean 0 and a variance for which
 * 1 / sqrt(var + eps) is 1. So it is a scale and a bias for each row of the weight, which tuning
 * can move, and architecture, names and shapes are as before. */
#ifndef DFQI_QUANT_FOLD_BATCHNORM_H
#define DFQI_QUANT_FOLD_BATCHNORM_H

#include "nn/network.h"

/* All BatchNorms of a convolutional network whose tensors nobody else holds. Folding twice changes
 * nothing. */
void dfqi_fold_batchnorm(dfqi_network *net);

/* The parameter whose layer this one belongs to: of a BatchNorm's the weight of the convolution
 * before it, else itself. */
int32_t dfqi_folded_into(const dfqi_network *net, int32_t param);

/* What is added to each row of the product with parameter `weight`, borrowed: the bias of a linear
 * layer, or the beta of the BatchNorm behind a convolution, which must be folded. NULL: there is
 * none. */
dfq_tensor *dfqi_bias_of(const dfqi_network *net, const char *weight);

#endif
