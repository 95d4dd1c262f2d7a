/* Estimates of the time and memory of calibration and evaluation, measured on a few images. */
#ifndef DFQI_QUANT_ESTIMATE_H
#define DFQI_QUANT_ESTIMATE_H

#include "quant/evaluate.h"

typedef struct dfqi_cost {
    double bytes; /* at the peak, without the network that is there and the images */
    double macs;
    double seconds;
} dfqi_cost;

/* Quantizes a network with `images` and discards the result. */
typedef dfq_status (*dfqi_quantize_run)(const dfqi_model *m, const dfq_tensor *images, void *user);

/* How a network is quantized. */
typedef struct dfqi_quantize_job {
    dfqi_quantize_run run; /* it may be stopped */
    void *user;
    int32_t parity; /* parity mode of a vision transformer with learned grids: 16 images in all */
    /* 0: ranges are tracked over batches; 1: all images are read in sweeps and weights are
     * rounded */
    int32_t sweeps;
    int32_t samples; /* 1: the static grids of a CNN are searched */
    int32_t rotated; /* 1: the stream is rotated, for which the teacher is copied, too */
    int32_t rows;    /* 1: scales of activations are found at run time */
    int32_t walks;   /* 1: rounding walks through both networks; 0: nearest codes */
} dfqi_quantize_job;

/* The cost of calibration with n images. It runs the job on noise until the layers of one block are
 * rounded. The time of rounding does not depend on n, except for a walk through both networks. */
DFQI_CHECKED dfq_status dfqi_quantize_estimate(const dfqi_model *m, int64_t n,
                                               const dfqi_quantize_job *job, dfqi_cost *out);
/* The cost of evaluating images first .. first + n - 1, measured on a few of them. */
DFQI_CHECKED dfq_status dfqi_evaluate_estimate(const dfqi_model *m, const dfqi_dataset *d,
                                               int64_t first, int64_t n, dfqi_cost *out);

#endif
