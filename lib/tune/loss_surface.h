/* Losses of a network as functions of its quantized weights, which are free floats here (not
 * rounded): KL divergence from a teacher and cross-entropy, with gradients, averaged over a set of
 * images. A pass runs all images batch by batch and counts each once, so activations need memory
 * for one batch. */
#ifndef DFQI_TUNE_LOSS_SURFACE_H
#define DFQI_TUNE_LOSS_SURFACE_H

#include "graph/exec.h"

typedef enum dfqi_slope {
    DFQI_SLOPE_KL,    /* T^2 KL(teacher/T || student/T), divided by the classes if `divide` */
    DFQI_SLOPE_PLAIN, /* the same with T = 1, not divided */
    DFQI_SLOPE_CE,    /* cross-entropy */
    DFQI_SLOPES
} dfqi_slope;

enum { DFQI_SLOPE_ALL = (1 << DFQI_SLOPES) - 1 };

/* A weight that moves: `tensor` is what the graph reads. */
typedef struct dfqi_free_weight {
    dfq_tensor *tensor;
    int64_t rows, count;
    int64_t at; /* where it lies among all of them */
} dfqi_free_weight;

/* Adds the forward pass on x to `g`: ids[n_weights] of the weights, and the logits [B,classes]. */
typedef dfq_status (*dfqi_loss_surface_forward)(void *user, dfqi_graph *g, dfqi_id x,
                                                dfqi_id *weights, dfqi_id *out_logits);

/* Filled by the caller up to `batch`; what is behind it belongs to dfqi_loss_surface_open. */
typedef struct dfqi_loss_surface {
    dfq_context *ctx;
    dfqi_loss_surface_forward forward;
    void *user;
    int32_t n_weights;
    const dfqi_free_weight *weights;
    int64_t floats; /* all weights together */
    int32_t rank;
    int64_t dims[3];      /* of an image */
    int64_t n, classes;   /* images */
    const float *images;  /* [n, dims] */
    const float *labels;  /* [n], class numbers */
    const float *teacher; /* [n, classes], logits */
    float temperature;
    int divide;
    int64_t batch; /* images at a time, at most n */

    int smooth; /* set before open: `forward` leaves out all rounding */

    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, label, target, share, loss[DFQI_SLOPES];
    dfqi_id *grad;   /* [slots][n_weights]; NULL without gradients */
    float *counts;   /* [batch]: 1 for images that count in this batch, else 0 */
    int32_t n_slots; /* losses that are there, and which */
    dfqi_slope slot[DFQI_SLOPES];
} dfqi_loss_surface;

/* The graph of the losses in `mask`, with or without gradients; what was open is closed. On failure
 * nothing is open. */
DFQI_CHECKED dfq_status dfqi_loss_surface_open(dfqi_loss_surface *l, uint32_t mask, int gradients);
void dfqi_loss_surface_close(dfqi_loss_surface *l); /* fine if nothing is open */

/* Memory of such a graph's run, and its work for one batch; nothing is opened or closed. */
DFQI_CHECKED dfq_status dfqi_loss_surface_cost(const dfqi_loss_surface *l, uint32_t mask,
                                               int gradients, double *out_bytes, double *out_macs);

int64_t dfqi_loss_surface_batches(const dfqi_loss_surface *l);
/* Batch i: adds its part of the means to loss[slots], and `sign` times the gradients to
 * sums[slots][floats] (NULL without gradients). */
DFQI_CHECKED dfq_status dfqi_loss_surface_run(dfqi_loss_surface *l, int64_t i, double *loss,
                                              float sign, float *sums);

/* The weights become base + a u + b v; v may be NULL. */
void dfqi_loss_surface_move(const dfqi_loss_surface *l, const float *base, float a, const float *u,
                            float b, const float *v);

#endif
