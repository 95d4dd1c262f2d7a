/* State of a reconstruction, shared by its files. */
#ifndef DFQI_TUNE_RECONSTRUCT_PRIV_H
#define DFQI_TUNE_RECONSTRUCT_PRIV_H

#include "graph/exec.h"
#include "nn/optim.h"
#include "tune/reconstruct.h"
#include "tune/units.h"

/* A tensor of the student that steps move. */
typedef struct dfqi_unit_item {
    const char *name; /* of the graph */
    dfq_tensor *tensor;
    const dfqi_site *site; /* of a quantized weight; else NULL */
    int64_t count;
    float learning_rate;
    int32_t log; /* 1: its logarithm moves */
    dfqi_id grad;
    dfqi_moments moments;
    float *before; /* as it was before the unit */
} dfqi_unit_item;

/* The job of one unit. Inputs of its graph: of the unit, in teacher and student; what it should
 * give; the final feature, or DFQI_NONE; the keys of dropping. */
typedef struct dfqi_unit_job {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, xs, z, f, keys;
    dfqi_id total, parts;
    dfq_tensor *weight[2]; /* [1], of unit and feature: one over the error of the first step */
    int32_t n_items;
    dfqi_unit_item *items;
    float *memory; /* all below, and what items have */
    float *batch_x, *batch_xs, *batch_z, *batch_f, *batch_keys, *log_scratch;
} dfqi_unit_job;

struct dfqi_reconstruct {
    dfq_context *ctx;
    dfqi_model *teacher, *student;
    const dfqi_network *origin; /* float weights as the student had them: BatchNorms folded */
    dfqi_network folded;
    dfq_tensor *images; /* or NULL: in `set` */
    dfqi_imageset *set;
    dfqi_images all; /* of either */
    dfqi_reconstruct_options o;

    /* whole networks, of which units are parts */
    dfqi_graph *teacher_graph, *student_graph;
    dfqi_pass_ends of_teacher, of_student;
    dfqi_quant_pass pass;
    dfqi_id keys;
    int32_t n_units;
    dfqi_unit *units;
    dfqi_workspace work;

    /* of all views: inputs of the running unit in teacher and student, which are one array in the
     * first unit; what the unit should give; the final feature, or NULL */
    float *x, *xs, *z, *f;
    uint32_t *order; /* of views, in `epoch` of the running unit; -1: none yet */
    int64_t epoch;
    float *errors; /* [units][DFQI_UNIT_ERRORS] */

    /* where the job stands */
    int32_t unit; /* at work; n_units: done */
    int64_t step; /* done in it */
    int32_t failed;
    double loss; /* of the last step */
    dfqi_unit_job job;
    double seconds; /* of `timed` steps of this process */
    int64_t timed;
    int32_t hashed;
    uint64_t teacher_hash, images_hash;
};

/* Steps done, of all units. */
int64_t dfqi_reconstruct_done(const dfqi_reconstruct *r);

/* reconstruct_views.c: draws r->x, the views, from the images; and their number for which memory
 * suffices. */
DFQI_CHECKED dfq_status dfqi_reconstruct_views(dfqi_reconstruct *r);
int64_t dfqi_reconstruct_count_views(const dfqi_reconstruct *r);
/* A new y[views]: what a part of a graph gives for x[views], with nothing dropped. */
DFQI_CHECKED dfq_status dfqi_reconstruct_pass(dfqi_reconstruct *r, const dfqi_graph *from,
                                              dfqi_id in, dfqi_id out, const float *x, float **y);

/* reconstruct_unit.c: the job of a unit, without executor and memory; then with them. */
DFQI_CHECKED dfq_status dfqi_unit_build(const dfqi_reconstruct *r, int32_t unit,
                                        dfqi_unit_job *out);
DFQI_CHECKED dfq_status dfqi_unit_start(dfqi_reconstruct *r);
bool dfqi_unit_has_feature(const dfqi_reconstruct *r, int32_t unit); /* in its loss */
int64_t dfqi_unit_floats(const dfqi_reconstruct *r, int32_t unit, const dfqi_unit_job *j);
void dfqi_unit_fini(const dfqi_reconstruct *r, dfqi_unit_job *j); /* zeroed ok */

/* reconstruct_step.c: weights leave the middle of their cells; and a step. */
DFQI_CHECKED dfq_status dfqi_unit_leave_middle(dfqi_reconstruct *r);
DFQI_CHECKED dfq_status dfqi_unit_step(dfqi_reconstruct *r);

/* Floats of a value of one image. */
static inline int64_t dfqi_floats_of(const dfqi_graph *g, dfqi_id id)
{
    return dfqi_value_stride(dfqi_graph_value(g, id));
}

/* The input of the classifier: the final feature. */
static inline dfqi_id dfqi_feature_of(const dfqi_reconstruct *r)
{
    return r->units[r->n_units - 1].teacher_in;
}

#endif
