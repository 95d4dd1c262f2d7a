/* Derivation: from probabilities to one choice whose exact costs meet the limits (docs/METHODS.md,
 * Certification). */
#ifndef DFQI_EXPLORE_DERIVE_PRIV_H
#define DFQI_EXPLORE_DERIVE_PRIV_H

#include "explore/solver/problem_priv.h"

/* A choice with its exact costs. */
typedef struct dfqi_candidate {
    int32_t *choice; /* [n_groups], owned */
    int32_t *by;     /* [n_groups] DFQ_CHOSEN_*, in the same memory */
    double costs[DFQ_METRICS_MAX];
    double loss; /* NaN: not judged */
    bool known, meets;
} dfqi_candidate;

DFQI_CHECKED dfq_status dfqi_candidate_new(const dfqi_problem *p, dfqi_candidate *out);
void dfqi_candidate_fini(const dfqi_problem *p, dfqi_candidate *f);
void dfqi_candidate_copy(const dfqi_problem *p, const dfqi_candidate *from, dfqi_candidate *to);
/* All groups are chosen by this step. */
void dfqi_candidate_stamp(const dfqi_problem *p, dfqi_candidate *f, int32_t by);
bool dfqi_candidate_same(const dfqi_problem *p, const dfqi_candidate *a, const dfqi_candidate *b);
/* Costs and loss of f->choice. */
DFQI_CHECKED dfq_status dfqi_candidate_evaluate(dfqi_problem *p, dfqi_candidate *f);

/* Repair: swaps single choices until the limits are met, each time the swap with the least increase
 * of the loss per decrease of the violation. If no swap helps, it tries other accelerators, then
 * descents that ignore the loss. `f` holds evaluated choices; it ends at the choice with the
 * smallest violation. */
DFQI_CHECKED dfq_status dfqi_repair(dfqi_problem *p, dfqi_candidate *f);

/* Swaps single choices, and pairs of them, as long as the loss falls within the limits, the largest
 * fall first; with tables also from accelerators that suit the network better. f->meets must
 * hold. */
DFQI_CHECKED dfq_status dfqi_local_search(dfqi_problem *p, dfqi_candidate *f);

/* The best accelerator for f's network, among all. aim -1: the least loss within the limits, or,
 * where there is none, the least excess; otherwise the least cost of that limit's metric within the
 * other limits. */
DFQI_CHECKED dfq_status dfqi_sweep_hw_params(dfqi_problem *p, int32_t aim, dfqi_candidate *f);

/* Descends to the least cost of limit `aim` while the others are met (or come nearest to it). */
DFQI_CHECKED dfq_status dfqi_descend(dfqi_problem *p, int32_t aim, dfqi_candidate *f);

#endif
