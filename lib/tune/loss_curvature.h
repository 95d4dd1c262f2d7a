/* Curvature of a loss over the weights (docs/METHODS.md, Diagnostics): gradients and the angle
 * between them, trace and largest eigenvalue of the Hessian H, losses over a plane through the
 * weights w.
 *
 * H is never formed. H v is a central difference of gradients at w +- h v, h = 1e-4 |w| / |v|, with
 * all rounding off. Why off: straight-through gradients jump where a value crosses a rounding
 * threshold, and the difference shows these jumps alone (small ViT, W4A4: trace 5077 +- 2294
 * instead of 94 +- 6). Why 1e-4: with 1e-3 an eigenvalue of 64.5 comes out as 55.
 *
 * All random numbers are keyed by (seed, purpose); results are the same bits at any thread
 * count. */
#ifndef DFQI_TUNE_LOSS_CURVATURE_H
#define DFQI_TUNE_LOSS_CURVATURE_H

#include "tune/loss_surface.h"

typedef struct dfqi_loss_curvature_options {
    uint64_t seed;
    int32_t probes; /* Rademacher vectors of the trace; 0: no trace */
    int32_t power;  /* iterations for an eigenvalue, at most; 0: none */
    int32_t grid;   /* points along a side of the plane, odd; 0: no plane */
} dfqi_loss_curvature_options;

/* NaN: not measured. */
typedef struct dfqi_loss_curvature_loss {
    double loss, norm; /* at the weights, and of its gradient */
    double trace,
        trace_error;   /* mean over the probes, and its standard error (NaN for one probe) */
    double eigenvalue; /* of largest magnitude */
    int32_t iterations, settled; /* settled: the last of them changed it by 1 % at most */
} dfqi_loss_curvature_loss;

/* Columns of the table: one row for each weight. */
enum {
    DFQI_LOSS_CURVATURE_COSINE, /* of the gradients of KL and CE */
    DFQI_LOSS_CURVATURE_NORM,   /* of the gradients, DFQI_SLOPES columns */
    DFQI_LOSS_CURVATURE_TRACE =
        DFQI_LOSS_CURVATURE_NORM + DFQI_SLOPES, /* of the weight's block, DFQI_SLOPES columns */
    DFQI_LOSS_CURVATURE_COLUMNS = DFQI_LOSS_CURVATURE_TRACE + DFQI_SLOPES
};

typedef enum dfqi_loss_curvature_stage {
    DFQI_LOSS_CURVATURE_GRADIENTS,
    DFQI_LOSS_CURVATURE_HESSIAN,
    DFQI_LOSS_CURVATURE_POWER,
    DFQI_LOSS_CURVATURE_PLANE,
    DFQI_LOSS_CURVATURE_DONE
} dfqi_loss_curvature_stage;

typedef struct dfqi_loss_curvature {
    dfqi_loss_surface *l;
    dfqi_loss_curvature_options o;
    /* results */
    dfqi_loss_curvature_loss loss[DFQI_SLOPES];
    double cosine;  /* over all weights */
    float *table;   /* [n_weights][DFQI_LOSS_CURVATURE_COLUMNS] */
    float *surface; /* [DFQI_SLOPES][grid][grid]: rows along the second direction, from -1 to 1 */
    /* where it stands: batch `batch` of pass `pass` of a stage, for POWER of one loss */
    dfqi_loss_curvature_stage stage;
    int32_t slope;
    int64_t pass, batch, done, total;
    float *memory, *base, *dir, *sums; /* [floats], [floats], [DFQI_SLOPES][floats] */
    double size, step;                 /* |base|, and the factor of dir */
    double running[DFQI_SLOPES], squares[DFQI_SLOPES];
    /* 1: what is above was read from a checkpoint, graph and weights are not there yet */
    int32_t resumed;
} dfqi_loss_curvature;

/* Passes over all images that a stage takes, at most; and floats of a job. */
int64_t dfqi_loss_curvature_passes(const dfqi_loss_curvature_options *o, int stage);
int64_t dfqi_loss_curvature_floats(const dfqi_loss_curvature_options *o, int64_t n_weights,
                                   int64_t floats);

/* `l` is borrowed, and closed in the end; its weights' tensors are moved about. */
DFQI_CHECKED dfq_status dfqi_loss_curvature_init(dfqi_loss_curvature *s, dfqi_loss_surface *l,
                                                 const dfqi_loss_curvature_options *o);
void dfqi_loss_curvature_fini(dfqi_loss_curvature *s); /* all zero ok */
/* One batch. DFQ_E_NUMERIC if a loss or a gradient at the weights is not finite. */
DFQI_CHECKED dfq_status dfqi_loss_curvature_step(dfqi_loss_curvature *s);

#endif
