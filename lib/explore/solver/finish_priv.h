/* Parts of dfqi_solver_finish(). */
#ifndef DFQI_EXPLORE_FINISH_PRIV_H
#define DFQI_EXPLORE_FINISH_PRIV_H

#include "explore/solver/solver_priv.h"

/* Notes that step `by` has changed the groups in which f differs from `before`. */
void dfqi_stamp_changes(dfqi_solver *s, int32_t by, const int32_t *before, dfqi_candidate *f);

/* The optimum in f, which holds choices to begin with; if there is none, or its search ran out of
 * nodes, what repair and local search found. Sets s->proved. */
DFQI_CHECKED dfq_status dfqi_solve_exactly(dfqi_solver *s, dfqi_candidate *f);

/* Both improve s->best, which meets the limits; f is scratch. By the exact method on the gradient
 * of the loss; by the accelerator of the least product of costs among those that have no larger
 * loss. */
DFQI_CHECKED dfq_status dfqi_derive_exactly(dfqi_solver *s, dfqi_candidate *f);
DFQI_CHECKED dfq_status dfqi_take_cheapest(dfqi_solver *s, dfqi_candidate *f);

/* Where nothing meets the limits: the tightest and the least of each; f is scratch. `nearest` holds
 * what came nearest, and s->best gets it, or a choice that meets the limits after all. */
DFQI_CHECKED dfq_status dfqi_explain_failure(dfqi_solver *s, const dfqi_candidate *nearest);

#endif
