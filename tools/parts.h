/* What each part of a quantization is worth, for the report. */
#ifndef DFQ_TOOLS_PARTS_H
#define DFQ_TOOLS_PARTS_H

#include <dfq/dfq.h>

#include "options.h"

struct quantize;

enum { PARTS_MAX = 6 };

/* Signal-to-quantization-noise ratios of the logits, in dB. */
struct parts {
    int n; /* 0: they were not measured */
    const char *name[PARTS_MAX];
    double with[PARTS_MAX];    /* all parts; tuning is one of them in its own line alone */
    double without[PARTS_MAX]; /* all but this one */
};

/* Seconds that parts_run() will take; 0 if there is nothing to measure. */
dfq_status parts_estimate(const dfq_graph *net, const dfq_graph_info *info,
                          const struct options *full, double *out);

/* With a report: quantizes the network again without each of the parts, and fills q->parts.
 * Returns 0 or an exit code, after one error line. */
int parts_run(struct quantize *q);

#endif
