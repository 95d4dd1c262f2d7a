/* Loss estimate: how much each choice adds to the loss. Losses can be measured for single paths
 * only, and are noisy; all paths of a round share one batch, so their noise is correlated. The
 * model
 *
 *   loss(path) = level + sum over cells of e[cell][choice]
 *
 * is fitted by ridge regression to the differences within rounds; older rounds weigh less. With few
 * rounds an unseen effect is 0, the mean of its cell. With many, the fit approaches least
 * squares. */
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
/* The same of gradients by gates [n][n_cells], one for the choice that the path takes in each cell:
 * e is the mean of a choice's, and that of an unseen one is 0. */
void dfqi_effects_add_gates(dfqi_effects *f, int32_t n, const int32_t *paths, const double *losses,
                            const double *gates);
/* Solves anew, after the state was written from outside. */
void dfqi_effects_solve(dfqi_effects *f);
/* The loss of the mixture p [total]; its gradient is e. */
double dfqi_effects_loss(const dfqi_effects *f, const double *p);

#endif
