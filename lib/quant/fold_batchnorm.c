/* BatchNorm folding. Parameters of a convolutional network come in fives: the weight of a
 * convolution, then gamma, beta, mean and variance of its BatchNorm. */
#include "quant/fold_batchnorm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHT, GAMMA, BETA, MEAN, VAR, LAYER_PARAMS };

/* The variance v for which v + eps is 1 in float. */
static float unit_variance(float eps)
{
    float v = 1.0f - eps;
    if (v + eps < 1.0f) v = nextafterf(v, 2.0f);
    if (v + eps > 1.0f) v = nextafterf(v, 0.0f);
    return v;
}

static void fold(const dfqi_param *layer, float eps)
{
    float *w = dfqi_tensor_f32(layer[WEIGHT].tensor), *gamma = dfqi_tensor_f32(layer[GAMMA].tensor);
    float *beta = dfqi_tensor_f32(layer[BETA].tensor), *mean = dfqi_tensor_f32(layer[MEAN].tensor);
    float *var = dfqi_tensor_f32(layer[VAR].tensor);
    int64_t rows = layer[WEIGHT].tensor->dims[0];
    int64_t cols = dfqi_tensor_count(layer[WEIGHT].tensor) / rows;
    for (int64_t r = 0; r < rows; r++) {
        double gain = (double)gamma[r] / sqrt((double)(var[r] + eps));
        for (int64_t c = 0; c < cols; c++) w[r * cols + c] = (float)(gain * w[r * cols + c]);
        beta[r] = (float)((double)beta[r] - gain * mean[r]);
        gamma[r] = 1.0f;
        mean[r] = 0.0f;
        var[r] = unit_variance(eps);
    }
}

void dfqi_fold_batchnorm(dfqi_network *net)
{
    for (int32_t i = 0, n = dfqi_arch_norms(&net->arch); i < n; i++)
        fold(net->params + LAYER_PARAMS * i, net->arch.eps);
}

int32_t dfqi_folded_into(const dfqi_network *net, int32_t param)
{
    return param < LAYER_PARAMS * dfqi_arch_norms(&net->arch) ? param - param % LAYER_PARAMS
                                                              : param;
}

dfq_tensor *dfqi_bias_of(const dfqi_network *net, const char *weight)
{
    char name[96];
    size_t stem = strlen(weight) - strlen("weight");
    for (int32_t i = 0, n = dfqi_arch_norms(&net->arch); i < n; i++)
        if (strcmp(net->params[LAYER_PARAMS * i].name, weight) == 0)
            return net->params[LAYER_PARAMS * i + BETA].tensor;
    snprintf(name, sizeof name, "%.*sbias", (int)stem, weight);
    return dfqi_network_find(net, name);
}
