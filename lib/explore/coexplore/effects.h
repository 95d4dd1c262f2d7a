/* What each choice contributes to a loss that can only be measured path by path, with noise that
 * all paths of one round share (its batch). The model: loss = level + sum of e[cell][choice]. It is
 * fitted by ridge regression on the differences within rounds, older rounds weighing less. With few
 * rounds an unknown effect stays 0, the mean of its cell; with many the fit is that of least
 * squares, whatever else the paths chose. */
#ifndef DFQI_EXPLORE_EFFECTS_H
#define DFQI_EXPLORE_EFFECTS_H

#include "base/context.h"

typedef struct dfqi_effects {
    dfq_context *ctx; /* borrowed */
    int32_t n_cells, total;
    double decay;
    /* State, one block of `size` doubles: normal equations [total][total] and their right side,
     * sums of choices seen, [2] weight and sum of losses. */
    size_t size;
    double *state, *a, *b, *seen, *sums;
    double *e; /* [total] the solution */
    double level;
    int32_t *first;  /* [n_cells + 1] */
    double *scratch; /* [total][total] and [total] */
} dfqi_effects;

/* decay: weight of a round against the one after it. */
DFQI_CHECKED dfq_status dfqi_effects_new(dfq_context *ctx, int32_t n_cells, const int32_t *choices,
                                         double decay, dfqi_effects *out);
void dfqi_effects_fini(dfqi_effects *f);

/* One round: losses of n paths [n][n_cells] on the same batch. */
void dfqi_effects_add(dfqi_effects *f, int32_t n, const int32_t *paths, const double *losses);
/* Solves anew, after the state was written from outside. */
void dfqi_effects_solve(dfqi_effects *f);
/* The loss of the mixture p [total]; its gradient is e. */
double dfqi_effects_loss(const dfqi_effects *f, const double *p);

#endif
