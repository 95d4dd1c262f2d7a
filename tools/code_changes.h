/* Counts which codes of quantized weights change during tuning (dfq/crossings.h). */
#ifndef DFQ_TOOLS_CODE_CHANGES_H
#define DFQ_TOOLS_CODE_CHANGES_H

#include "session.h"

/* What a weight went through. Shares are 0 to 1, NaN where nothing was counted. */
struct code_changes_weight {
    const char *name; /* borrowed from the count */
    double codes;
    double step;     /* mean share that a step changed */
    double ever;     /* share that differs between calibrated and finished network */
    double distance; /* at the end, in codes */
    double kappa;    /* geometric mean of the steps */
};

/* Columns of the curves, in percent but for kappa; NaN without inundation. */
enum {
    CODE_CHANGES_STEP,
    CODE_CHANGES_NOW,
    CODE_CHANGES_MOST,
    CODE_CHANGES_EVER,
    CODE_CHANGES_KAPPA,
    CODE_CHANGES_COLUMNS
};

struct code_changes {
    struct session *s;
    dfq_crossings *crossings;
    dfq_tuner *tuner; /* borrowed while it runs */
    int inundated;
    struct code_changes_weight *weights;
    int32_t n_weights;
    double *rows; /* [n_rows][CODE_CHANGES_COLUMNS], one for each step of this process */
    size_t n_rows, cap_rows;
};

/* Remembers the codes of `low` as they are. */
dfq_status code_changes_open(struct code_changes *w, struct session *s, const dfq_graph *low);
void code_changes_close(struct code_changes *w); /* all zero ok */

/* As dfq_tuner_run on w->tuner, with a count after each step: `handle` is a struct code_changes. */
dfq_status code_changes_run(void *handle);
/* Compares the finished network with the calibrated one. */
dfq_status code_changes_finish(struct code_changes *w);

#endif
