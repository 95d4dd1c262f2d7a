/* From probabilities to one choice that meets the limits by the exact model (docs/METHODS.md,
 * Certification). */
#ifndef DFQI_EXPLORE_DERIVE_H
#define DFQI_EXPLORE_DERIVE_H

#include "explore/problem.h"

/* A choice with its exact costs. */
typedef struct dfqi_found {
    int32_t *choice; /* [n_groups], owned */
    int32_t *by;     /* [n_groups] DFQ_CHOSEN_*, in the same memory */
    double costs[DFQ_METRICS_MAX];
    double loss; /* NaN: not judged */
    bool known, meets;
} dfqi_found;

DFQI_CHECKED dfq_status dfqi_found_new(const dfqi_problem *p, dfqi_found *out);
void dfqi_found_fini(const dfqi_problem *p, dfqi_found *f);
void dfqi_found_copy(const dfqi_problem *p, const dfqi_found *from, dfqi_found *to);
/* All groups are chosen by this step. */
void dfqi_found_stamp(const dfqi_problem *p, dfqi_found *f, int32_t by);
bool dfqi_found_same(const dfqi_problem *p, const dfqi_found *a, const dfqi_found *b);
/* Costs and loss of f->choice. */
DFQI_CHECKED dfq_status dfqi_found_evaluate(dfqi_problem *p, dfqi_found *f);

/* Swaps single choices until the limits are met: each time the one with the least rise of the loss
 * for what it takes off the excess. Where no swap helps, other accelerators are tried, and then
 * descents that forget the loss. `f` holds evaluated choices; it is left at the nearest that was
 * found. */
DFQI_CHECKED dfq_status dfqi_repair(dfqi_problem *p, dfqi_found *f);

/* Swaps single choices, and pairs of them, as long as the loss falls within the limits, the largest fall first; with
 * tables also from accelerators that suit the network better. f->meets must hold. */
DFQI_CHECKED dfq_status dfqi_improve(dfqi_problem *p, dfqi_found *f);

/* The best accelerator for f's network, among all. aim -1: the least loss within the limits, or, where there is
 * none, the least excess; otherwise the least cost of that limit's metric within the other limits. */
DFQI_CHECKED dfq_status dfqi_sweep_hw_params(dfqi_problem *p, int32_t aim, dfqi_found *f);

/* Descends to the least cost of limit `aim` while the others are met (or come nearest to it). */
DFQI_CHECKED dfq_status dfqi_descend(dfqi_problem *p, int32_t aim, dfqi_found *f);

#endif
