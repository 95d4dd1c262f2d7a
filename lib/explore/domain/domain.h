/* The search space of a solver: groups of alternatives, one of which is chosen in each group. The
 * first groups are the network's cells, the last `n_hw_params` are the accelerator's hardware
 * parameters. A vector over the space has the entries of group 0, then those of group 1, ... */
#ifndef DFQI_EXPLORE_DOMAIN_H
#define DFQI_EXPLORE_DOMAIN_H

#include <stdbool.h>

#include "base/context.h"
#include "base/rng.h"

typedef struct dfqi_domain {
    dfq_context *ctx; /* borrowed */
    int32_t n_groups, n_hw_params;
    int32_t *choices; /* [n_groups] */
    int32_t *first;   /* [n_groups + 1] where a group begins in vectors */
    int32_t total;    /* length of vectors */
    int32_t cells;    /* length of the network's part */
    int32_t configs;  /* accelerators: the product of the choices of the hardware parameters */
} dfqi_domain;

/* DFQ_E_INVALID: no group, a group without a choice, too many of them. */
DFQI_CHECKED dfq_status dfqi_domain_new(dfq_context *ctx, int32_t n_groups, int32_t n_hw_params,
                                        const int32_t *choices, dfqi_domain *out);
void dfqi_domain_fini(dfqi_domain *s);

/* p = softmax((x + noise) / temperature) in each group; noise NULL: none. */
void dfqi_domain_softmax(const dfqi_domain *s, const double *x, const double *noise,
                         double temperature, double *p);
/* Gradient to x from the gradient to p, in place. */
void dfqi_domain_chain(const dfqi_domain *s, const double *p, double temperature, double *gradient);
/* Gumbel(0, 1) noise, -log(-log(u)): n numbers, and those of one step. */
void dfqi_gumbel(dfqi_rng *r, int32_t n, double *noise);
void dfqi_domain_gumbel(const dfqi_domain *s, uint64_t seed, uint64_t step, double *noise);

/* The likeliest choice of each group (of equals the first), and back to a one-hot vector. */
void dfqi_domain_argmax(const dfqi_domain *s, const double *p, int32_t *choice);
void dfqi_domain_one_hot(const dfqi_domain *s, const int32_t *choice, double *p);

/* The hardware parameters' likeliest choices become certain. */
void dfqi_domain_harden_hw_params(const dfqi_domain *s, double *p);

/* Accelerators are numbered with the last hardware parameter running fastest. */
int32_t dfqi_domain_config(const dfqi_domain *s, const int32_t *choice);
void dfqi_domain_set_config(const dfqi_domain *s, int32_t config, int32_t *choice);

#endif
