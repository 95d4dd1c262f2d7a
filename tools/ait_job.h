/* AIT jobs of `dfq quantize`. A generator network is trained beside the student and makes the
 * images of each step (dfq/tuner.h), or the images are those of a set. */
#ifndef DFQ_TOOLS_AIT_JOB_H
#define DFQ_TOOLS_AIT_JOB_H

#include "quantize.h"

/* Measures a throw-away job, fills q->plan and tells it. Both return 0 or an exit code, after
 * one error line. */
int ait_job_plan(struct quantize *q);

/* Takes from a finished job of AIT what results and report need: crossings; and of a generator its
 * curves and images. The images of a job that had ended before this process are those it left in
 * its folder. */
int ait_job_take(struct quantize *q, dfq_tuner *t);

#endif
