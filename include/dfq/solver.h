/** @file dfq/solver.h
 *  @ingroup advanced
 *  A search under hard limits: one alternative is chosen in each of many groups, so that a task
 *  loss is small and every cost stays within its limit. It is the search of HDX (DAC 2022, arXiv
 *  2301.09312), made to choose a network and the accelerator that runs it, at once. The problem is
 *  the caller's, given as tables, as callbacks, or as a mix of both.
 *
 *  Use: fill a dfq_problem, by tables if losses and costs of a choice are sums over its groups
 *  (examples/tables.c), else by callbacks (examples/explore.c), and one dfq_constraint for each
 *  limit. Then dfq_solver_create(), dfq_solver_run(), dfq_solver_get_result() and
 *  dfq_solver_get_choice(), whose numbers are at dfq_tensor_get_data().
 *
 *  Words:
 *
 *  - *group*: something to decide that has a few alternatives. The first groups belong to the
 *    network and are called *cells* (which kernel size, which width). The others belong to the
 *    accelerator and are called *hardware parameters* (how many processing elements, which buffer
 *    size);
 *  - *choice*: one alternative of each group, so one network on one accelerator. The choice of one
 *    group is the alternative taken there;
 *  - *mixture*: a probability p for each alternative, by which a search is differentiable. In a
 *    group p = softmax(x / temperature); the numbers x are the *logits* that the search learns;
 *  - *metric*: a kind of cost t, as latency. The cost of a mixture is the expected cost;
 *  - *limit*: the largest value T that a metric may have. It is *violated* if t > T;
 *  - *likeliest choice*: in each group the alternative of largest p. It is what a search ends
 *    with.
 *
 *  One step takes the gradient g of the task loss to the logits, and the gradients c_j of t_j /
 *  T_j, and moves the logits by
 *
 *      x -= learning_rate (g + m)
 *      m = argmin |m|^2  subject to  c_j.(g + m) >= delta_j  for every violated limit j
 *
 *  (HDX, gradient manipulation). m is the *constraint gradient*: the smallest change of the
 *  direction after which each violated cost falls by delta_j, to first order. For one limit it is
 *  (delta - g.c) / |c|^2 c; for several the quadratic programme is solved exactly. m is 0 while
 *  the limits hold, or while a cost falls fast enough by itself. delta_j grows by the factor 1 +
 *  growth with every step that violates limit j, and starts anew when the limit holds.
 *
 *  Details. The network's logits and the accelerator's each have an m of their own, or one
 *  together (`joint`). With Adam the condition is c.P(g + m) >= delta, P being the preconditioner,
 *  and m stays out of the moments (beta1 = 0). Without Gumbel noise a limit also counts as
 *  violated if the likeliest choice violates it; with callbacks costs() is therefore asked twice
 *  in a step, once without gradients. If the likeliest choice violates a limit after the last
 *  step, up to a tenth more steps are done.
 *
 *  After the last step the likeliest choice is costed by the exact model. If it violates limits,
 *  it is *repaired*: alternatives are swapped, each time the one that costs the least loss for
 *  what it takes off the violation. Then a *local search* lowers the loss as far as the limits
 *  allow. The result is *certified* if and only if its exact costs meet every limit. Otherwise the
 *  search is *infeasible*, and reports the tightest limits that could be met.
 *
 *  Rules of other papers serve as baselines in the same frame (DFQ_RULE_*).
 *
 *  The same problem, options and build give the same bits, also when a job was stopped and
 *  resumed, as long as the callbacks do. */
#ifndef DFQ_SOLVER_H
#define DFQ_SOLVER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/job.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes. */
enum {
    DFQ_METRICS_MAX = 8 /**< metrics of a problem, limits of a search */
};

/** Rules: how a step meets the limits. All but ::DFQ_RULE_EXACT change logits or probabilities step
 *  by step. */
enum {
    DFQ_RULE_CONSTRAINT_GRADIENT = 0, /**< the constraint gradient above (HDX) */
    DFQ_RULE_NONE = 1,                /**< not at all: with cost_weight it is DANCE's (DAC 2021) */
    DFQ_RULE_PENALTY = 2,             /**< loss + penalty sum_j max(t_j / T_j - 1, 0) */
    DFQ_RULE_ABSOLUTE = 3,      /**< loss + penalty sum_j |t_j / T_j - 1| (TF-NAS, ECCV 2020) */
    DFQ_RULE_FRANK_WOLFE = 4,   /**< block-coordinate Frank-Wolfe steps inside the limits, from a
                                     choice that meets them (HardCoRe-NAS, ICML 2021) */
    DFQ_RULE_NETWORK_FIRST = 5, /**< the network for the average accelerator, with cost_weight; then
                                     the best accelerator for it among all */
    DFQ_RULE_EXACT = 6,         /**< the optimum, by dynamic programming or branch and bound; tables
                                     only, one step */
    DFQ_RULE_PRODUCT = 7,   /**< loss prod_j (log t_j / log T_j)^penalty (ProxylessNAS, ICLR 2019):
                                     task losses above 0, costs and limits above 1 */
    DFQ_RULE_ALTERNATE = 8, /**< the network for the likeliest accelerator, with cost_weight; before
                                     every 100 steps 2000 of the accelerator's alone, each by the
                                     cost of a drawn one times its probability (Auto-NBA, ICML
                                     2021) */
    DFQ_RULE_PROJECT = 9    /**< on one accelerator, which the exact method chooses by the gradient
                                of the loss, every mixture is projected onto all limits; ours. Needs
                                cost_table. What the constraint gradient, logits and noise are set
                                by is not used */
};

/** Cost functions: one number made of the costs t of the mixture, which the loss has with weight
 *  dfq_solver_options::cost_weight. */
enum {
    DFQ_COST_MEAN = 0, /**< the mean of t_j / T_j over the limits; ours */
    DFQ_COST_REFERENCE =
        1,            /**< the mean of t_m / r_m over all metrics, r of the problem's reference:
                                 a linear cost as DANCE's and HDX's */
    DFQ_COST_EDAP = 2 /**< the product of t_m / r_m over all metrics: with energy, delay and
                                 area the energy-delay-area product, DANCE's other cost */
};

/** Verdicts of a search. */
enum {
    DFQ_VERDICT_NONE = 0,      /**< nothing that meets the limits yet */
    DFQ_VERDICT_CERTIFIED = 1, /**< the exact costs of the choices meet every limit */
    DFQ_VERDICT_INFEASIBLE = 2 /**< finished, and nothing meets the limits */
};

/** Steps of a search, to tell which one made a choice of the result. */
enum {
    DFQ_CHOSEN_LIKELIEST = 0,    /**< the rule: it is the likeliest choice after the last step */
    DFQ_CHOSEN_SNAPSHOT = 1,     /**< the rule: it was the likeliest choice at a snapshot before */
    DFQ_CHOSEN_REPAIR = 2,       /**< the repair, which moves choices until the limits are met */
    DFQ_CHOSEN_LOCAL_SEARCH = 3, /**< the local search, which lowers the loss within the limits */
    DFQ_CHOSEN_EXACT = 4,        /**< the exact method */
    DFQ_CHOSEN_CHEAPEST = 5 /**< the last step: of accelerators with the same loss, the one of the
                                     least product of costs */
};

/** A problem: groups of alternatives, a loss and costs. Vectors p hold the choices of group 0, then
 *  those of group 1, ...: `total` numbers, of which the first `cells` belong to the network.
 *  Everything pointed to must stay as it is until the solver is released. A callback that does not
 *  return ::DFQ_OK ends the step with its status; one that gives a NaN or an infinity ends the
 *  search with ::DFQ_E_NUMERIC. Callbacks must not touch the solver; they run on the thread that
 *  called it. */
typedef struct dfq_problem {
    uint32_t struct_size; /**< set by dfq_problem_init() */
    int32_t n_groups;     /**< cells and hardware parameters, 1..65536 */
    int32_t n_hw_params;  /**< of these the last that describe the accelerator, 0..n_groups; 0:
                               there is one accelerator */
    int32_t n_metrics;    /**< costs, 1..::DFQ_METRICS_MAX */
    /** [n_groups] alternatives, 1 or more; a million in all. The hardware parameters multiply to 16
     *  million accelerators at most. */
    const int32_t *choices;
    /** [n_metrics] names for error texts; NULL: "metric 0", ... */
    const char *const *metrics;
    /** Task loss of the mixture p and, unless NULL, its gradient [total]. `step` counts from 0 and
     *  lets a loss choose its batch; with one-hot p and step 0 it is the loss of a choice. NULL
     *  with loss_table. */
    dfq_status (*loss)(const double *p, uint64_t step, double *out_loss, double *out_gradient,
                       void *user);
    /** Costs [n_metrics] of the mixture p and, unless NULL, their gradients [n_metrics][total].
     *  NULL with cost_table. */
    dfq_status (*costs)(const double *p, double *out_costs, double *out_gradients, void *user);
    /** Exact costs [n_metrics] of one choice in each group, [n_groups]. NULL with cost_table. */
    dfq_status (*exact)(const int32_t *choice, double *out_costs, void *user);
    void *user; /**< passed to all three */
    /** [total]: the loss is the sum of p times these; NULL: loss() is called. */
    const double *loss_table;
    /** [n_metrics][cells][accelerators]: the cost of each alternative of each cell, on each
     *  accelerator (one alternative of each hardware parameter, the last one running fastest). The
     *  cost of a choice is the sum over its cells; NULL: costs() and exact() are called. Finite:
     *  what fits nowhere costs more than any limit. */
    const double *cost_table;
    /** [n_metrics][accelerators], added to the former; NULL: zeros. */
    const double *base_table;
    /** [n_metrics] costs of a reference design, above 0: the units of ::DFQ_COST_REFERENCE and
     *  ::DFQ_COST_EDAP, for which it must be given. */
    const double *reference;
} dfq_problem;

/** A hard limit: the metric must be at most `limit`. Of an array all have the same struct_size. */
typedef struct dfq_constraint {
    uint32_t struct_size; /**< sizeof(dfq_constraint) of the caller */
    int32_t metric;       /**< index, each at most once */
    double limit;         /**< above 0, in the metric's unit */
} dfq_constraint;

/** Options of dfq_solver_create(). Fill with dfq_solver_options_init() first. */
typedef struct dfq_solver_options {
    uint32_t struct_size;   /**< set by init */
    int32_t rule;           /**< DFQ_RULE_*; constraint gradient */
    int64_t steps;          /**< 1..10 million, rules constraint gradient and project may
                               add a tenth; 2000 */
    int64_t snapshot_every; /**< steps between snapshots of the likeliest choices, the best of which
                               is kept if it meets the limits; 50. 0: none */
    uint64_t seed;          /**< of Gumbel noise; 0 */
    int32_t optimizer; /**< ::DFQ_OPTIMIZER_SGD (no momentum) or ::DFQ_OPTIMIZER_ADAMW (no decay,
                               beta1 = 0); AdamW */
    int32_t gumbel;    /**< 1: Gumbel noise on the logits; 0 */
    /** 1: network and accelerator have one constraint gradient together, each divided by the
     *  running root mean square of its gradient (with Adam: preconditioned as always); 0: one each;
     *  0 */
    int32_t joint;
    int32_t strict; /**< which violated limits change the direction of a step. 1: all whose cost
                             would not fall by delta or more; 0: as published, only those whose cost
                             would rise; 1 */
    double learning_rate;    /**< of the network's logits, above 0, up to 1e6; 0.02 */
    double hw_learning_rate; /**< of the accelerator's; 0.02 */
    double temperature;      /**< of the softmax at first, 1e-3..1e3; 1 */
    double end_temperature;  /**< at the last step, falling as a power; 1 */
    double delta;            /**< the first delta, above 0, up to 1e3; 1e-3 */
    double growth;           /**< its growth with each violating step, 0..1; 0.01 */
    double margin;      /**< the search uses limits lower by this share, 0..0.9; the verdict uses
                               the limits as given; 0 */
    double cost_weight; /**< weight of cost_function in the loss, 0..1e9; 0. Not with the exact
                               rule */
    double penalty;     /**< of the rules that have one, 0..1e9; 1 */
    /** DFQ_COST_*; mean. The accelerator's own steps of ::DFQ_RULE_ALTERNATE go by it as well */
    int32_t cost_function;
    int32_t reserved; /**< 0 */
} dfq_solver_options;

/** Result of a search. Filled by dfq_solver_get_result(). */
typedef struct dfq_solver_result {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t verdict;      /**< DFQ_VERDICT_* */
    int32_t proved;       /**< 1: it is proved that no choice is better (certified by
                               ::DFQ_RULE_EXACT), or that none meets the limits (infeasible) */
    int32_t raw_feasible; /**< 1: the likeliest choices met the limits before repair */
    int64_t steps;        /**< steps done, with those that the rule has added */
    double loss;          /**< task loss of the result; NaN: there is none */
    double raw_loss;      /**< of the likeliest choices before repair */
    double bound;         /**< no choice within the limits has a smaller loss: of ::DFQ_RULE_EXACT,
                               `loss` itself if proved; else NaN */
} dfq_solver_result;

/** Limit and costs of one metric. Filled by dfq_solver_get_metric(). NaN: not known, or the metric
 *  has no limit. */
typedef struct dfq_solver_metric {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    double limit;         /**< as given */
    double cost;          /**< exact, of the result */
    double raw_cost;      /**< exact, of the likeliest choices before repair */
    /** Infeasible: the least limit that could be met while the others hold; infinity: not even
     *  without this one. Exact if dfq_solver_result::proved. */
    double tightest;
    /** Infeasible: the least cost of any choice, regardless of the other limits. Exact with
     *  cost_table, otherwise the least that descents found. */
    double least;
} dfq_solver_metric;

/** Writes zeros: `size` must be sizeof(dfq_problem) of the caller. */
DFQ_API void dfq_problem_init(dfq_problem *problem, size_t size);

/** Writes defaults: `size` must be sizeof(dfq_solver_options) of the caller. */
DFQ_API void dfq_solver_options_init(dfq_solver_options *options, size_t size);

/** Prepares a search.
 *  @param context       where memory comes from and errors go; kept alive
 *  @param problem       copied; what it points to is not
 *  @param constraints   [n_constraints], 1..::DFQ_METRICS_MAX; copied
 *  @param options       NULL for defaults
 *  @param out_solver    to be given back with dfq_solver_release()
 *  @return ::DFQ_E_INVALID (an option out of range, a limit that is not a number above 0, a metric
 *          limited twice, no loss or no costs, the exact rule without tables or with
 *          cost_weight, a cost function without its reference, costs of the average of all choices
 *          that the product rule cannot work with), ::DFQ_E_NUMERIC (NaN in a table),
 *          ::DFQ_E_UNSUPPORTED (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_create(dfq_context *context, const dfq_problem *problem,
                                         const dfq_constraint *constraints, int32_t n_constraints,
                                         const dfq_solver_options *options,
                                         dfq_solver **out_solver);

/** Ends a search. NULL is fine. */
DFQ_API void dfq_solver_release(dfq_solver *solver);

/** One step; the last one derives the result.
 *  @param out_finished 1: nothing is left to do; else 0
 *  @return ::DFQ_E_NUMERIC (a callback gave NaN or infinity: the text names it, the search is
 *          over and what was found so far is kept), a callback's own status (call again to
 *          try that step again), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_step(dfq_solver *solver, int32_t *out_finished);

/** Steps until the end. Reports stage "explore" after each step; its loss is the task loss of the
 *  mixture.
 *  @return ::DFQ_E_INFEASIBLE (finished without a result that meets the limits: the text names the
 *          tightest; dfq_solver_get_result() has them all), ::DFQ_E_CANCELLED (between two steps:
 *          call again to go on), otherwise as dfq_solver_step(). */
DFQ_CHECKED dfq_status dfq_solver_run(dfq_solver *solver);

/** Memory and time of the job; units are steps, of which a search that settles may need fewer. The
 *  work is the caller's, so that `macs` is 0. Time is known once a step was made; repair and local
 *  search at the end are not in it.
 *  @return ::DFQ_E_INVALID (struct_size is not set). */
DFQ_CHECKED dfq_status dfq_solver_estimate(const dfq_solver *solver, dfq_job_cost *out_cost);

/** The result of the search so far; may be called at any time.
 *  @return ::DFQ_E_INVALID (struct_size is not set). */
DFQ_CHECKED dfq_status dfq_solver_get_result(const dfq_solver *solver,
                                             dfq_solver_result *out_result);

/** Limit and costs of metric 0 .. n_metrics - 1.
 *  @return ::DFQ_E_INVALID (there is no such metric, struct_size is not set). */
DFQ_CHECKED dfq_status dfq_solver_get_metric(const dfq_solver *solver, int32_t metric,
                                             dfq_solver_metric *out_metric);

/** The choices: a new I32 [n_groups].
 *  @param raw 1: the likeliest choices before repair, 0: the result (without one those that come
 *             nearest to the limits)
 *  @return ::DFQ_E_INVALID (nothing is known yet), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_get_choice(const dfq_solver *solver, int32_t raw,
                                             dfq_tensor **out_choice);

/** For each group of the result, the last step that changed its choice: a new I32 [n_groups] of
 *  DFQ_CHOSEN_*. Before the search is finished, all choices come from a snapshot.
 *  @return ::DFQ_E_INVALID (nothing is known yet), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_get_chosen_by(const dfq_solver *solver, dfq_tensor **out_steps);

/** The probabilities before the next step, without noise: a new F32 [total].
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_get_probabilities(const dfq_solver *solver,
                                                    dfq_tensor **out_probabilities);

/** One row for each step, as it was before the step: a new F32 [done, 1 + n_metrics +
 *  n_constraints] of task loss, costs of the mixture, and each limit's delta, with rule project its
 *  price (NaN where the rule knows none).
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_get_trajectory(const dfq_solver *solver,
                                                 dfq_tensor **out_trajectory);

/** The likeliest choices at each snapshot so far, in order: a new I32 [snapshots, n_groups], a
 *  snapshot for every dfq_solver_options::snapshot_every steps begun.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_get_snapshots(const dfq_solver *solver,
                                                dfq_tensor **out_snapshots);

/** Writes the state of the search to a safetensors file, beside `path` and renamed.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_save_checkpoint(const dfq_solver *solver, const char *path);

/** Puts a search that was created with the same problem, limits and options where a checkpoint left
 *  off; it ends with the same bits as one that was not interrupted. On failure it is as it was.
 *  @return ::DFQ_E_INVALID (other problem, limits or options), ::DFQ_E_IO, ::DFQ_E_CORRUPT,
 *          ::DFQ_E_UNSUPPORTED (a newer format), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_solver_load_checkpoint(dfq_solver *solver, const char *path);

#ifdef __cplusplus
}
#endif
#endif
