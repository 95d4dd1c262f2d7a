/* Counts, while a network is tuned, which codes of its weights change. */
#ifndef DFQ_TOOLS_WATCH_H
#define DFQ_TOOLS_WATCH_H

#include "session.h"

/* What a weight went through. Shares are 0 to 1, NaN where nothing was counted. */
struct watch_weight {
    const char *name; /* borrowed from the count */
    double codes;
    double step;     /* mean share that a step changed */
    double ever;     /* share that differs between calibrated and finished network */
    double distance; /* at the end, in codes */
    double kappa;    /* geometric mean of the steps */
};

/* Columns of the curves, in percent but for kappa; NaN without inundation. */
enum { WATCH_STEP, WATCH_NOW, WATCH_MOST, WATCH_EVER, WATCH_KAPPA, WATCH_COLUMNS };

struct watch {
    struct session *s;
    dfq_crossings *crossings;
    dfq_tuner *tuner; /* borrowed while it runs */
    int inundated;
    struct watch_weight *weights;
    int32_t n_weights;
    double *rows; /* [n_rows][WATCH_COLUMNS], one for each step of this process */
    size_t n_rows, cap_rows;
};

/* Remembers the codes of `low` as they are. */
dfq_status watch_open(struct watch *w, struct session *s, const dfq_graph *low);
void watch_close(struct watch *w); /* all zero ok */

/* As dfq_tuner_run on w->tuner, with a count after each step: `handle` is a struct watch. */
dfq_status watch_run(void *handle);
/* Compares the finished network with the calibrated one. */
dfq_status watch_finish(struct watch *w);

#endif
