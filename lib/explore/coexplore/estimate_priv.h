/* Estimate of the remaining time and memory of a co-exploration (dfq_explorer_estimate()). */
#ifndef DFQI_EXPLORE_COEXPLORE_ESTIMATE_PRIV_H
#define DFQI_EXPLORE_COEXPLORE_ESTIMATE_PRIV_H

#include "explore/coexplore/coexplore_priv.h"

/* Seconds of each kind of work. */
typedef struct dfqi_coexplore_pace {
    double large, path,
        derived; /* a step of the weights along the largest choices, a drawn path, the result */
    double judge, move; /* all sampled paths of a round, a step of the solver */
    double start;       /* what the solver's first step adds */
    double finish;      /* repair, local search, the derived network */
    double recalibrate, image;
    int64_t bytes; /* beside the state of a job that begins, at most */
} dfqi_coexplore_pace;

/* Measured on a miniature of the job; e is as it was. */
DFQI_CHECKED dfq_status dfqi_coexplore_measure(const dfqi_coexplore *e, dfqi_coexplore_pace *out);
/* From where e stands. */
void dfqi_coexplore_left(const dfqi_coexplore *e, const dfqi_coexplore_pace *pace,
                         dfq_explorer_needs *out);

#endif
