/* Diagnosis of a student and its float teacher (docs/METHODS.md, Diagnostics): agreement on given
 * images, and the curvature of the losses over the student's quantized weights. The student is not
 * changed. */
#ifndef DFQI_TUNE_DIAGNOSE_H
#define DFQI_TUNE_DIAGNOSE_H

#include "quant/model.h"
#include "tune/loss_curvature.h"

typedef struct dfqi_diagnose_options {
    int64_t batch; /* images at a time */
    /* 1: gradients and plane are those of the student, which rounds activations; 0: they stay float
     * there too */
    int32_t round;
    int32_t divide;
    float temperature;
    dfqi_loss_curvature_options curvature;
} dfqi_diagnose_options;

void dfqi_diagnose_defaults(dfqi_diagnose_options *o);

/* Images on which ... */
typedef struct dfqi_agreement {
    int64_t agree;   /* teacher and student find the same class */
    int64_t teacher; /* the teacher finds the label */
    int64_t student;
} dfqi_agreement;

typedef struct dfqi_diagnosis dfqi_diagnosis;

/* Checks everything; large blocks are allocated when work begins. All are retained: images F32
 * [n,3,S,S], labels I32 [n] or NULL: the teacher's classes. */
DFQI_CHECKED dfq_status dfqi_diagnosis_new(const dfqi_model *teacher, const dfqi_model *student,
                                           const dfq_tensor *images, const dfq_tensor *labels,
                                           const dfqi_diagnose_options *o, dfqi_diagnosis **out);
void dfqi_diagnosis_release(dfqi_diagnosis *d); /* NULL ok */

/* One batch. *out_finished: nothing is left to do. */
DFQI_CHECKED dfq_status dfqi_diagnosis_step(dfqi_diagnosis *d, int32_t *out_finished);
/* Steps until the end, reporting stage "diagnose"; DFQ_E_CANCELLED leaves it between two steps. */
DFQI_CHECKED dfq_status dfqi_diagnosis_run(dfqi_diagnosis *d);

typedef struct dfqi_diagnosis_cost {
    double bytes;        /* at the peak, without networks and images */
    double macs;         /* left */
    double seconds_left; /* NaN: no batch was timed yet */
    int64_t units, done; /* batches of passes */
} dfqi_diagnosis_cost;

DFQI_CHECKED dfq_status dfqi_diagnosis_estimate(const dfqi_diagnosis *d, dfqi_diagnosis_cost *out);

/* The job between two batches. Read by a job with the same networks, images, labels and options; on
 * failure it is left as it is. */
DFQI_CHECKED dfq_status dfqi_diagnosis_save(dfqi_diagnosis *d, const char *path);
DFQI_CHECKED dfq_status dfqi_diagnosis_restore(dfqi_diagnosis *d, const char *path);

int64_t dfqi_diagnosis_images(const dfqi_diagnosis *d);
/* Counted so far; final from the first result of the curvature on. */
dfqi_agreement dfqi_diagnosis_agreement(const dfqi_diagnosis *d);
int32_t dfqi_diagnosis_count(const dfqi_diagnosis *d); /* weights */
const char *dfqi_diagnosis_name(const dfqi_diagnosis *d, int32_t i);
/* NULL before it has begun. */
const dfqi_loss_curvature *dfqi_diagnosis_curvature(const dfqi_diagnosis *d);
int64_t dfqi_diagnosis_values(const dfqi_diagnosis *d); /* of all weights */
int32_t dfqi_diagnosis_grid(const dfqi_diagnosis *d);

#endif
