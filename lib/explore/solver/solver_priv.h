/* State of a search, shared by the files of this folder. */
#ifndef DFQI_EXPLORE_SOLVER_PRIV_H
#define DFQI_EXPLORE_SOLVER_PRIV_H

#include "explore/solver/derive_priv.h"
#include "explore/solver/solver.h"

enum { DFQI_BLOCKS = 2 }; /* network, accelerator */

/* Steps at most: those asked for, and a tenth more as long as the likeliest choices exceed a limit
 * that the rule acts on. */
static inline int64_t dfqi_solver_last(int64_t steps)
{
    return steps + steps / 10;
}

struct dfqi_solver {
    dfq_context *ctx; /* retained */
    dfqi_problem *problem;
    dfq_solver_options o;
    dfqi_hw_params hw_params; /* n 0: hardware parameters have logits of their own */
    int64_t n; /* entries of x: logits, or the cells' and the hardware parameters' parameters */
    int64_t done;
    bool finished, failed, proved;
    double bound; /* of the losses of all choices within the limits; NaN: not known */

    /* State that a checkpoint holds. */
    double *x; /* [n]; with Frank-Wolfe the probabilities */
    double *v; /* [n] second moments of Adam */
    double delta[DFQ_METRICS_MAX];
    double square
        [DFQI_BLOCKS]; /* running mean squares of the gradients, for a joint constraint gradient;
                                rule project keeps its own state there */
    float *history;    /* [done][width] the trajectory, as long as `room` */
    int64_t room;
    int32_t *snapshots; /* [snapshots][n_groups] likeliest choices, room for `snapshots_room` */
    int64_t snapshots_room;
    dfqi_candidate best; /* the best so far that meets the limits; when finished the result */

    dfqi_candidate raw;
    int32_t *likeliest; /* [n_groups] see dfqi_solver_likeliest(); in the end scratch */
    double tightest[DFQ_METRICS_MAX], least[DFQ_METRICS_MAX];

    /* Of one step. */
    double *memory;        /* all of the following and x, v */
    double *p, *noise, *z; /* [total] probabilities, noise, logits of all groups */
    double *g, *m,
        *scale;       /* [n] gradient, constraint gradient, preconditioner; g begins as that to p */
    double *chain[2]; /* [total] scratch of the chain rule */
    double *gradients; /* [n_metrics][total] of the costs to p */
    double *rows;      /* [n_limits][length] of t_j / T_j to x */
    int64_t length;    /* of all vectors: the larger of n and total */
    double loss, costs[DFQ_METRICS_MAX];

    double seconds; /* of the steps of this process */
    int64_t timed;
};

/* Columns of the trajectory. */
static inline int64_t dfqi_solver_width(const dfqi_solver *s)
{
    return 1 + s->problem->given.n_metrics + s->problem->n_limits;
}

/* Number of snapshots in the first `done` steps: one before every snapshot_every of them. */
static inline int64_t dfqi_solver_count_snapshots(const dfqi_solver *s, int64_t done)
{
    int64_t every = s->o.snapshot_every;
    return every > 0 && done > 0 ? (done - 1) / every + 1 : 0;
}

/* Room for so many; DFQ_E_NOMEM. */
DFQI_CHECKED dfq_status dfqi_solver_reserve_snapshots(dfqi_solver *s, int64_t n);

/* A limit as the search sees it: with the margins. */
double dfqi_solver_limit(const dfqi_solver *s, int32_t j);
/* s->p of the logits at the temperature of the next step; with its noise if `noisy`. */
DFQI_CHECKED dfq_status dfqi_solver_softmax(dfqi_solver *s, bool noisy);
double dfqi_solver_temperature(const dfqi_solver *s);

/* The value of the cost function at these costs [n_metrics], and its gradient to p at s->costs,
 * weighted, added to s->g. */
double dfqi_cost_value(const dfqi_solver *s, const double *costs);
void dfqi_cost_add_gradient(dfqi_solver *s);
DFQI_CHECKED dfq_status dfqi_cost_check(const dfqi_solver *s);

/* Weight of the gradient of t_j / T_j in the loss's, by the rule. */
double dfqi_rule_weight(const dfqi_solver *s, int32_t j);
bool dfqi_rule_has_constraint_gradient(const dfqi_solver *s);
/* Whether the rule acts on single limits, and goes on while the likeliest choices exceed one. */
bool dfqi_rule_holds_limits(const dfqi_solver *s);
/* Checks that the rule is defined for s->loss and s->costs, or for the costs alone. */
DFQI_CHECKED dfq_status dfqi_rule_check(const dfqi_solver *s);
DFQI_CHECKED dfq_status dfqi_rule_check_costs(const dfqi_solver *s);

/* s->likeliest, the likeliest choices. s->p loses its noise. */
DFQI_CHECKED dfq_status dfqi_solver_likeliest(dfqi_solver *s);
/* One step from s->p, s->loss, s->costs and the gradients to p. */
DFQI_CHECKED dfq_status dfqi_solver_move(dfqi_solver *s);

/* HardCoRe-NAS: a choice within the limits to begin with, and a step from s->p. */
DFQI_CHECKED dfq_status dfqi_frank_wolfe_start(dfqi_solver *s);
void dfqi_frank_wolfe_move(dfqi_solver *s);

/* Projection: what the state begins with; whether it has chosen an accelerator yet, of which
 * s->costs are; and a step from s->p and s->g. */
void dfqi_project_reset(dfqi_solver *s);
bool dfqi_project_has_accelerator(const dfqi_solver *s);
void dfqi_project_costs(dfqi_solver *s);
DFQI_CHECKED dfq_status dfqi_project_move(dfqi_solver *s);
/* Whether numbers of a file can be its state. */
bool dfqi_project_is_state(const dfqi_solver *s, const double square[DFQI_BLOCKS]);

/* Auto-NBA: the accelerator's steps before the network's. */
DFQI_CHECKED dfq_status dfqi_alternate_hw_params(dfqi_solver *s);

/* Takes a snapshot of the likeliest choices; they become the best choice if they meet the limits
 * with a smaller loss. */
DFQI_CHECKED dfq_status dfqi_solver_take_snapshot(dfqi_solver *s);
/* The result. */
DFQI_CHECKED dfq_status dfqi_solver_finish(dfqi_solver *s);
/* DFQ_E_INFEASIBLE in one line: of every limit what would do in its place while the others stay,
 * and by how much the nearest choices exceed it. */
DFQI_CHECKED dfq_status dfqi_solver_infeasible(const dfqi_solver *s);

#endif
