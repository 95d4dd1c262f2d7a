/* Block reconstruction (docs/METHODS.md, Block reconstruction): unit by unit in network order, the
 * student's parameters move so that the unit's output, computed from the student's inputs, is that
 * of the float teacher.
 *
 * All random numbers are keyed by (seed, purpose, unit, step), so a resumed job gives the same
 * bits. */
#ifndef DFQI_TUNE_RECONSTRUCT_H
#define DFQI_TUNE_RECONSTRUCT_H

#include <dfq/reconstructor.h>

#include "quant/model.h"
#include "synth/imageset.h"

/* The public struct is also the internal one; struct_size is not used here. */
typedef dfq_reconstructor_options dfqi_reconstruct_options;
typedef struct dfqi_reconstruct dfqi_reconstruct;

void dfqi_reconstruct_defaults(int cnn, dfqi_reconstruct_options *out);

/* Images [n][3][S][S] of a set or, if `set` is NULL, in a tensor; either is retained, as are the
 * float teacher and the quantized student, which is changed in place. */
DFQI_CHECKED dfq_status dfqi_reconstruct_new(const dfqi_model *teacher, dfqi_model *student,
                                             const dfq_tensor *images, dfqi_imageset *set,
                                             const dfqi_reconstruct_options *o,
                                             dfqi_reconstruct **out);
void dfqi_reconstruct_release(dfqi_reconstruct *r); /* NULL ok */

/* One step; *out_finished: nothing is left to do. */
DFQI_CHECKED dfq_status dfqi_reconstruct_step(dfqi_reconstruct *r, int32_t *out_finished);
/* Steps to the end, reporting stage "reconstruct"; DFQ_E_CANCELLED leaves it between two steps. */
DFQI_CHECKED dfq_status dfqi_reconstruct_run(dfqi_reconstruct *r);

/* F32 [units done, DFQI_UNIT_ERRORS]: relative squared errors before and after, of a unit's output
 * and, where it is part of the loss, of the final feature. */
enum { DFQI_UNIT_ERRORS = 4 };
DFQI_CHECKED dfq_status dfqi_reconstruct_errors(const dfqi_reconstruct *r, dfq_tensor **out);

typedef struct dfqi_reconstruct_cost {
    double bytes, macs, seconds_left; /* macs: left; NaN: not measured yet */
    int64_t steps, done;              /* of all units */
} dfqi_reconstruct_cost;
DFQI_CHECKED dfq_status dfqi_reconstruct_estimate(const dfqi_reconstruct *r,
                                                  dfqi_reconstruct_cost *out);

/* The state of the job as a safetensors file, and back into a job that has not begun. */
DFQI_CHECKED dfq_status dfqi_reconstruct_save(dfqi_reconstruct *r, const char *path);
DFQI_CHECKED dfq_status dfqi_reconstruct_restore(dfqi_reconstruct *r, const char *path);

#endif
