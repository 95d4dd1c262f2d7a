/* State of a diagnosis, shared by the diagnose*.c files. */
#ifndef DFQI_TUNE_DIAGNOSE_PRIV_H
#define DFQI_TUNE_DIAGNOSE_PRIV_H

#include "tune/codes.h"
#include "tune/diagnose.h"

/* Kinds of batches: what one costs. */
enum {
    DFQI_DIAGNOSIS_JUDGE,     /* logits of both networks */
    DFQI_DIAGNOSIS_GRADIENTS, /* of all losses */
    DFQI_DIAGNOSIS_GRADIENT,  /* of one */
    DFQI_DIAGNOSIS_LOSS,      /* without gradients */
    DFQI_DIAGNOSIS_NOTHING,   /* it is done */
    DFQI_DIAGNOSIS_KINDS
};

struct dfqi_diagnosis {
    dfq_context *ctx; /* the student's, retained by it */
    dfqi_model *teacher, *student;
    dfq_tensor *images, *labels;
    dfqi_diagnose_options o;
    dfqi_coded *coded;
    int32_t n;
    int64_t values, n_images, pixels, classes;
    dfqi_agreement agreement;
    int64_t judged; /* images whose logits are there */
    /* made when work begins */
    dfqi_network net; /* the copy */
    dfqi_free_weight *weights;
    float *logits, *classes_of; /* the teacher's [n, classes]; labels as floats [n] */
    dfqi_loss_surface surface;
    dfqi_loss_curvature curvature;
    /* batches of this process by kind, and their time */
    double seconds[DFQI_DIAGNOSIS_KINDS];
    int64_t timed[DFQI_DIAGNOSIS_KINDS];
};

/* Allocates what work needs, once. */
DFQI_CHECKED dfq_status dfqi_diagnosis_start(dfqi_diagnosis *d);
/* The loss surface of d->net (loss_surface.h), not yet opened. */
dfqi_loss_surface dfqi_diagnosis_surface_of(dfqi_diagnosis *d);
/* The kind of the next batch. */
int dfqi_diagnosis_kind(const dfqi_diagnosis *d);

#endif
