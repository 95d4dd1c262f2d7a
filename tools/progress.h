/* Progress of a stage: a bar that is redrawn on a terminal, otherwise a line for every 10 %. */
#ifndef DFQ_TOOLS_PROGRESS_H
#define DFQ_TOOLS_PROGRESS_H

#include <stdint.h>

struct progress {
    int quiet, tty;
    int busy;             /* between begin and end */
    int dirty;            /* the terminal's line holds a bar */
    const char *label;    /* what the stage is called; NULL: as the library calls it */
    const char *stage;    /* the library's name of the stage shown now */
    uint64_t base;        /* units done before the running call */
    uint64_t whole;       /* units of the stage; 0: as the library says */
    uint64_t first, last; /* units done at the beginning, and last shown */
    int seen;             /* stages of the library since begin */
    double begun;         /* when the stage began */
    double start, drawn;  /* when its first report came, when the bar was drawn */
    int tenth;            /* last line shown on a non-terminal, 0..10 */
    double later;         /* estimated seconds of the stages behind this one */
};

void progress_init(struct progress *p, int quiet);

/* A stage begins: `label` NULL and `whole` 0 leave both to the library's reports. */
void progress_begin(struct progress *p, const char *label, uint64_t whole, double later);

/* A report of the library; ignored outside of begin and end. `loss` may be NaN. */
void progress_show(struct progress *p, const char *stage, uint64_t done, uint64_t total,
                   double loss);

/* The stage is over, also by failure. */
void progress_end(struct progress *p);

/* Takes the bar off the terminal's line, so that something else can be printed. */
void progress_clear(struct progress *p);

#endif
