/* The trajectory of a search as CSV and as SVG with the limits, appended to a stream. Errors stay
 * in the stream (ferror). */
#ifndef DFQ_TOOLS_REPORT_TRAJECTORY_H
#define DFQ_TOOLS_REPORT_TRAJECTORY_H

#include <stdint.h>
#include <stdio.h>

/* What dfq_solver_get_trajectory() gives, borrowed. */
struct trajectory {
    const char *title;        /* any UTF-8 */
    const char *const *names; /* [n_metrics] */
    const char *by_limit;     /* what a column of each limit has: "delta", "price" */
    const float *rows;        /* [steps, 1 + n_metrics + n_limits] loss, costs, by_limit */
    int64_t steps;
    int32_t n_metrics, n_limits;
    const int32_t *metric; /* [n_limits] */
    const double *limit;   /* [n_limits] */
};

void trajectory_csv(FILE *f, const struct trajectory *t);
void trajectory_svg(FILE *f, const struct trajectory *t);

#endif
