/* GEN, DANCE's hardware generation network (arXiv 2009.06237; docs/METHODS.md, DANCE's networks).
 * Input: the mixture of the network. Output: logits of each hardware parameter. Its labels are the
 * best accelerators, found exhaustively, for one fixed cost: the mean over the metrics, each
 * divided by its average. In a search its output replaces the logits of the hardware parameters
 * (dfqi_solver_new_with), and the search updates GEN's parameters in their place. */
#ifndef DFQI_EXPLORE_HW_GENERATOR_H
#define DFQI_EXPLORE_HW_GENERATOR_H

#include <dfq/solver.h>

#include "explore/cost_networks/mlp.h"
#include "explore/domain/hw_params.h"

typedef struct dfqi_gen dfqi_gen;

/* On samples that no step has seen. */
typedef struct dfqi_gen_quality {
    double accuracy[16]; /* of each hardware parameter */
    double all;          /* of the whole accelerator */
    double regret;       /* mean of the generated accelerator's cost over the best one's, less 1 */
} dfqi_gen_quality;

/* Untrained, for the tables of `p`, which must outlive it. DFQ_E_INVALID: no tables, no hardware
 * parameters or more than 16, sizes out of range. */
DFQI_CHECKED dfq_status dfqi_gen_new(dfq_context *ctx, const dfq_problem *p,
                                     const dfqi_mlp_options *o, dfqi_gen **out);
void dfqi_gen_release(dfqi_gen *g); /* NULL ok */

/* As those of the cost estimation network (evaluator.h); stage "hw-generator". */
DFQI_CHECKED dfq_status dfqi_gen_step(dfqi_gen *g, double *loss);
DFQI_CHECKED dfq_status dfqi_gen_train(dfqi_gen *g);
dfqi_gen_quality dfqi_gen_judged(const dfqi_gen *g);
dfqi_mlp_state dfqi_gen_state(const dfqi_gen *g);
DFQI_CHECKED dfq_status dfqi_gen_resume(dfqi_gen *g, dfqi_mlp_state state,
                                        const dfqi_gen_quality *q);
int32_t dfqi_gen_arrays(const dfqi_gen *g, dfqi_mlp_array *out);

/* What a search moves. Each search begins from the trained parameters, whatever an earlier one has
 * made of them. One search at a time; valid as long as `g`. */
dfqi_hw_params dfqi_gen_hw_params(dfqi_gen *g);

#endif
