/* Clock, progress reports and cancellation of long-running work. */
#ifndef DFQI_BASE_PROGRESS_H
#define DFQI_BASE_PROGRESS_H

#include "base/context.h"

double dfqi_now(void); /* seconds, monotonic */

/* Time of `left` units by the mean of the `timed` ones, which took `seconds`; 0 if none is left,
 * NaN if none was timed. */
double dfqi_seconds_left(double seconds, int64_t timed, int64_t left);

/* One stage of work with a known number of units. */
typedef struct dfqi_stage {
    dfq_context *ctx;
    const char *name; /* static text */
    uint64_t first;   /* units that were done before this process began (resume) */
    uint64_t total;
    double start;
} dfqi_stage;

dfqi_stage dfqi_stage_begin(dfq_context *ctx, const char *name, uint64_t done, uint64_t total);

/* Reports `done` units and asks whether to go on: DFQ_OK or DFQ_E_CANCELLED. `loss` may be NaN. */
DFQI_CHECKED dfq_status dfqi_stage_report(const dfqi_stage *s, uint64_t done, double loss);

#endif
