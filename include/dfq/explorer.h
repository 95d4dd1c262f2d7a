/** @file dfq/explorer.h
 *  @ingroup advanced
 *  Co-exploration: a search that finds a network and the accelerator that runs it, both at once,
 *  so that the network classifies well and latency, energy and area stay within hard limits (HDX,
 *  DAC 2022, arXiv 2301.09312). The caller gives a search space, a description of accelerators,
 *  labelled images and the limits. The result is one trained network and one accelerator that meet
 *  every limit. The search itself is that of dfq/solver.h, whose words are used here too.
 *
 *  Use: dfq_accelerator_load() for the accelerators, dfq_dataset_open() for the images, and one
 *  dfq_constraint for each limit. Then dfq_explorer_create(), dfq_explorer_run(),
 *  dfq_explorer_get_choice(), dfq_explorer_get_accelerator() and dfq_explorer_save_network().
 *  examples/coexplore.c is a whole program.
 *
 *  Words:
 *
 *  - *search space*: the networks to choose from. A network is a row of *cells*, and each cell has
 *    a few alternatives (a kernel size and an expansion, or the width and depth of a stage);
 *  - *path*: one alternative of each cell, so one network of the space;
 *  - *supernet*: one set of weights that all paths share. A path is judged with the shared
 *    weights, without being trained by itself;
 *  - *derived network*: the network of the result, with weights of its own.
 *
 *  A job has three stages. A step of a stage trains weights on one batch, or is one of the solver:
 *
 *  1. "warm-up" trains the supernet for `warmup_steps` steps. The first of them, `largest_share`
 *     of all, train the path of largest alternatives. Then the other alternatives take over those
 *     weights that they can use (the channels that matter most, the middle of the kernels), and
 *     each step trains a path drawn at random. A supernet that another job has saved can be read
 *     instead (`supernet_path`).
 *  2. "explore" goes in rounds. A round trains the supernet for `weight_steps` steps, on paths
 *     drawn by the solver's probabilities. Then it judges `sampled_paths` paths on one batch of
 *     images that are held out from training. Then it does `solver_steps` steps of the solver.
 *  3. "train" trains the derived network by itself, on all images, for `train_steps` steps.
 *
 *  The solver needs the loss of a mixture, which nobody can measure. It is estimated: L(path) = b
 *  + sum over cells of E[cell][alternative], fitted to the losses of all judged paths by ridge
 *  regression on the differences within each batch. Later rounds weigh more (`estimate_decay`).
 *  The loss of mixture p is then b + sum of p E, and its gradient is E.
 *
 *  The costs are those of dfq/accelerator.h, tabulated for every alternative of every cell on
 *  every accelerator of the description. They are exact, and so is the verdict. A caller can give
 *  costs of its own (dfq_explorer_create_with_costs()).
 *
 *  A step of the solver takes costs from these tables. With the option ::DFQ_EVALUATOR_NETWORKS
 *  it takes them from two networks instead, which are trained on the tables before the warm-up
 *  (DANCE, DAC 2021, arXiv 2009.06237):
 *
 *  - stage "evaluator" trains EST, which estimates the costs of a network on an accelerator. Its
 *    mean relative error on unseen samples must be 1 % at most. The 99 % quantile of the error is
 *    a margin that the search keeps to each limit;
 *  - stage "hw-generator" trains GEN, which names the best accelerator for a network. In the
 *    search its output replaces the logits of the hardware parameters, and its weights are updated
 *    in their place.
 *
 *  Derived choices, their repair and the verdict use the exact tables in any case.
 *
 *  The same files, images, options and build give the same bits at any thread count, also when a
 *  job was stopped and resumed, and whether a warm-up was done or its supernet was read. */
#ifndef DFQ_EXPLORER_H
#define DFQ_EXPLORER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/accelerator.h>
#include <dfq/visibility.h>
#include <dfq/graph.h>
#include <dfq/solver.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Metrics of dfq_constraint::metric and of all costs. */
enum {
    DFQ_EXPLORE_LATENCY = 0, /**< ms for one image; a limit of f frames/s is 1000 / f */
    DFQ_EXPLORE_ENERGY = 1,  /**< mJ for one image */
    DFQ_EXPLORE_AREA = 2,    /**< mm2 at 45 nm */
    DFQ_EXPLORE_SIZE = 3,    /**< MB (1e6 bytes) of the network's weights, floats. Known where it,
                                  or power, has a limit: then there are 4 metrics, or 5 */
    DFQ_EXPLORE_POWER = 4    /**< mW on average: energy over latency. Known where it has a limit */
};

/** Evaluators: where a step of the solver gets costs from. */
enum {
    DFQ_EVALUATOR_TABLES = 0,  /**< the exact tables */
    DFQ_EVALUATOR_NETWORKS = 1 /**< EST for costs, GEN for the accelerator */
};

/** What the solver takes for the gradient of the task loss by the probabilities of the network's
 *  choices. */
enum {
    DFQ_GRADIENT_PATHS =
        0,                 /**< what each choice adds to the loss, by ridge regression on the losses
                                 of the paths that were judged */
    DFQ_GRADIENT_GATES = 1 /**< the mean over those paths of the gradient by the gate of the choice
                                 taken, which scales the output of its cell (ProxylessNAS, ICLR
                                 2019): three times the work of a loss */
};

/** Stages. Later versions may have more. */
enum {
    DFQ_EXPLORE_WARMUP = 0,       /**< warm-up of the supernet */
    DFQ_EXPLORE_SEARCH = 1,       /**< explore */
    DFQ_EXPLORE_TRAIN = 2,        /**< train the derived network */
    DFQ_EXPLORE_EVALUATOR = 3,    /**< before the warm-up, with networks: train EST */
    DFQ_EXPLORE_HW_GENERATOR = 4, /**< and then GEN */
    DFQ_EXPLORE_DONE = 255        /**< nothing is left to do */
};

/** Options of dfq_explorer_create(). Fill with dfq_explorer_options_init() first. */
typedef struct dfq_explorer_options {
    uint32_t struct_size; /**< set by init */
    int32_t fine_tune;    /**< 1: the derived network starts with the supernet's weights, 0: anew */
    int64_t warmup_steps; /**< 0..10 million; 6000. Not done if `supernet_path` is given */
    int64_t weight_steps; /**< in each round, 0..1000; 10 */
    int64_t sampled_paths; /**< paths judged in each round, 2..64; 8 */
    int64_t solver_steps;  /**< steps of the solver in each round, 1..1000; 8 */
    int64_t train_steps;   /**< of the derived network, 0..10 million; 4000 */
    int64_t batch;         /**< images of a step, 2..4096; 64 */
    int64_t max_shift;     /**< images are shifted by at most so many pixels, and mirrored; 4. 0:
                               neither */
    uint64_t seed;         /**< of weights, paths, batches and the split; 0 */
    double held_out;       /**< share of the images that the solver's loss is taken on, 0.01..0.9;
                               0.2 */
    double largest_share;  /**< share of the warm-up on the path of largest alternatives, 0..1;
                               0.25 */
    double learning_rate;  /**< of the weights in the warm-up, 0..1000; 0: 0.1 for MBConv, 1e-3 for
                               vision transformers. In each stage the rate falls as half a cosine
                               to 0 */
    double search_learning_rate; /**< of the weights while exploring; 0: `learning_rate` / 5 */
    double train_learning_rate;  /**< of the derived network; 0: `learning_rate` */
    double weight_decay; /**< of weights, 0..1; -1: 4e-5 for MBConv, 0.05 for vision transformers */
    double smoothing;    /**< of labels, 0..0.9; 0.1 */
    /** of the estimates: weight of a round against the one after it, 0.5..1; 0.995 */
    double estimate_decay;
    float mean[3]; /**< mean of images in 0..1, by channel; default ImageNet's */
    float std[3];  /**< their standard deviation; default ImageNet's */
    /** A supernet of the same space, saved by dfq_explorer_save_supernet(); NULL: warm up here. */
    const char *supernet_path;
    /** DFQ_EVALUATOR_*; tables. With networks the solver draws Gumbel noise whatever its options
     *  say, and `hw_generator_learning_rate` takes the place of its hw_learning_rate; its rule is
     *  ::DFQ_RULE_CONSTRAINT_GRADIENT, NONE, PENALTY or ABSOLUTE. */
    int32_t evaluator;
    int32_t gradient; /**< DFQ_GRADIENT_*; paths */
    /** Training of EST, 1..10 million; 12000, which take some minutes. Spaces with more than 96
     *  choices in all take batches of 1024 for a network 256 wide, smaller ones 256 and 64. */
    int64_t evaluator_steps;
    int64_t hw_generator_steps;        /**< training of GEN, 1..10 million; 1000 */
    double hw_generator_learning_rate; /**< of GEN's parameters while exploring, 0..1e6; 0.002 */
} dfq_explorer_options;

/** Where a job stands and what it has found. Filled by dfq_explorer_get_result(). NaN: not
 *  known. */
typedef struct dfq_explorer_result {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t stage;        /**< DFQ_EXPLORE_*: what the next step belongs to */
    int32_t verdict;      /**< DFQ_VERDICT_* */
    int32_t proved;       /**< as dfq_solver_result::proved */
    int32_t raw_feasible; /**< as dfq_solver_result::raw_feasible */
    int32_t accelerator;  /**< index into the accelerators of the description; -1: none yet */
    double loss;          /**< estimated loss of the result in the supernet */
    double macs;          /**< multiply-accumulates of the derived network, an image */
    /** Accuracy of GEN on unseen mixtures: the share for which it names the best accelerator, and
     *  (next field) the mean relative excess of its accelerator's cost over the best one's. Both
     *  are measured before exploring; NaN with tables. */
    double hw_generator_accuracy;
    double hw_generator_regret; /**< see above */
} dfq_explorer_result;

/** How far a stage is. Filled by dfq_explorer_get_stage(). */
typedef struct dfq_explorer_stage {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t done;         /**< steps done; for ::DFQ_EXPLORE_SEARCH steps of the solver */
    int64_t total;        /**< steps of the whole stage; 0: the job has no such stage */
} dfq_explorer_stage;

/** Limit and costs of one metric. Filled by dfq_explorer_get_metric(). NaN: not known, or the
 *  metric has no limit. */
typedef struct dfq_explorer_metric {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    double limit;         /**< as given */
    double cost;          /**< exact, of the result */
    double raw_cost;      /**< exact, of the likeliest choices before repair */
    double tightest;      /**< infeasible: as dfq_solver_metric::tightest */
    double least;         /**< infeasible: as dfq_solver_metric::least */
    /** Cost of the reference design, the unit of ::DFQ_COST_REFERENCE and ::DFQ_COST_EDAP: MBConv
     *  cells 5x5 with expansion 6 on 16 x 16 elements, row-stationary, 64 words and 108 KB, or the
     *  nearest values that the space has; for transformers the middle choice of each stage.
     *  Infinity: it does not fit. */
    double reference;
    /** Mean relative error of EST on samples that were not used for training, and (next field) its
     *  99 % quantile, which is the margin of the search. 0 for a metric that does not depend on the
     *  network. NaN with tables, or before EST is trained. */
    double evaluator_mean;
    double evaluator_p99; /**< see above */
    /** |EST - exact| / exact at the result of a search that is over; else NaN */
    double evaluator_gap;
} dfq_explorer_metric;

/** Estimate of the rest of a job: seconds on this machine, and memory. Filled by
 *  dfq_explorer_estimate(). */
typedef struct dfq_explorer_needs {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    double warmup;        /**< steps of the warm-up */
    double explore;       /**< steps of the weights, judged paths, steps of the solver */
    double derive;        /**< repair and local search */
    double train;         /**< steps of the derived network */
    double recalibrate;   /**< of its statistics */
    double image;         /**< of dfq_explorer_evaluate(), for one image */
    double bytes;         /**< at most, beside what dfq_explorer_create() has taken */
} dfq_explorer_needs;

/** One cost that a cost model is asked for. Borrowed for the call. */
typedef struct dfq_cost_query {
    uint32_t struct_size;      /**< of what the library has filled in */
    int32_t cell;              /**< of the network; -1: what all networks of the space share */
    int32_t choice;            /**< of the cell; 0 for cell -1 */
    int32_t reserved;          /**< 0 */
    const char *choice_name;   /**< "k5e6", ...: as dfq_explorer_get_name(); "" for cell -1 */
    const int32_t *hw_choices; /**< [n_hw_params] the accelerator: an alternative of each hardware
                                    parameter */
} dfq_cost_query;

/** Costs of the caller's own: of an accelerator that the library does not model, or measured. The
 *  accelerator is described by hardware parameters with some alternatives each; an accelerator is
 *  one alternative of each of them. A network's cost in a metric is the sum over its cells, and
 *  what all networks share; that is what dfq_problem::cost_table holds. */
typedef struct dfq_cost_model {
    uint32_t struct_size; /**< set by dfq_cost_model_init() */
    int32_t n_hw_params;  /**< 1..64; with DANCE's networks at most 16 */
    int32_t n_metrics;    /**< 1..::DFQ_METRICS_MAX */
    int32_t reserved;     /**< 0 */
    /** [n_hw_params] 1 or more each; 16 million accelerators at most */
    const int32_t *alternatives;
    const char *const *hw_names; /**< [n_hw_params] cut at 47 bytes; NULL: "hw 0", ... */
    const char *const
        *metrics; /**< [n_metrics] 1 to 47 bytes, with the unit; NULL: "metric 0", ... */
    /** Writes the costs [n_metrics] of one choice of one cell on one accelerator. Called once for
     *  each of them while the job is created, on the thread that creates it. NULL with
     *  cost_table. */
    dfq_status (*cost)(const dfq_cost_query *query, double *out_costs, void *user);
    void *user; /**< passed to cost() */
    /** [n_metrics][choices of all cells][accelerators], the last hardware parameter running
     *  fastest; NULL: cost() is called. */
    const double *cost_table;
    /** With cost_table: [n_metrics][accelerators], what all networks share; NULL: zeros. */
    const double *base_table;
    /** [n_metrics] costs of a reference design, above 0, for ::DFQ_COST_REFERENCE and
     *  ::DFQ_COST_EDAP; NULL: neither is possible. */
    const double *reference;
} dfq_cost_model;

/** Writes zeros: `size` must be sizeof(dfq_cost_model) of the caller. */
DFQ_API void dfq_cost_model_init(dfq_cost_model *model, size_t size);

/** Writes defaults: `size` must be sizeof(dfq_explorer_options) of the caller. */
DFQ_API void dfq_explorer_options_init(dfq_explorer_options *options, size_t size);

/** Reads the space, tabulates all costs, decodes the images.
 *  @param context       where memory comes from and errors go; kept alive
 *  @param space         name of a built-in space: cifar10-small, cifar10-full, cifar10-vit-small,
 *                       imagenet-vit-tiny; or, with a dot or a slash in it, the path of a
 *                       description in JSON (docs/cli/explore.md)
 *  @param accelerator   the accelerators to choose from, of dfq_accelerator_load(); not needed
 *                       after the call
 *  @param images        labelled images to learn from, of dfq_dataset_open() or
 *                       dfq_dataset_create(); not needed after the call
 *  @param constraints   [n_constraints], one or more, metrics DFQ_EXPLORE_*; copied
 *  @param options       NULL for defaults
 *  @param solver        NULL for defaults; its steps are those of exploring. The exact rule is not
 *                       possible: losses are learned
 *  @param out_explorer  to be given back with dfq_explorer_release()
 *  @return ::DFQ_E_INVALID (an option out of range, a rule that is not possible, too few images, a
 *          limit that is not a number above 0), ::DFQ_E_IO or ::DFQ_E_CORRUPT (space, images or
 *          supernet: the text names the file), ::DFQ_E_SHAPE (a supernet of another space),
 *          ::DFQ_E_UNSUPPORTED (an option that this library does not know), ::DFQ_E_CANCELLED
 *          (while costs are tabulated), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_create(dfq_context *context, const char *space,
                                           const dfq_accelerator *accelerator,
                                           const dfq_dataset *images,
                                           const dfq_constraint *constraints, int32_t n_constraints,
                                           const dfq_explorer_options *options,
                                           const dfq_solver_options *solver,
                                           dfq_explorer **out_explorer);

/** As dfq_explorer_create(), with the caller's own cost model in place of the library's
 *  accelerators. Limits refer to its metrics. dfq_explorer_get_accelerator() fails then; the
 *  choices of the result have the alternative of each hardware parameter.
 *  @param costs  not needed after the call
 *  @return as dfq_explorer_create(); also ::DFQ_E_INVALID (the text names the field of `costs`),
 *          ::DFQ_E_NUMERIC (a cost is NaN or infinite, or that of a network below 0: the text says
 *          where), or what cost() returned. */
DFQ_CHECKED dfq_status dfq_explorer_create_with_costs(
    dfq_context *context, const char *space, const dfq_cost_model *costs, const dfq_dataset *images,
    const dfq_constraint *constraints, int32_t n_constraints, const dfq_explorer_options *options,
    const dfq_solver_options *solver, dfq_explorer **out_explorer);

/** Ends a job. NULL is fine. */
DFQ_API void dfq_explorer_release(dfq_explorer *explorer);

/** One step of EST or GEN, of weights, of the solver with the paths it judges, or of the derived
 *  network.
 *  @param out_finished 1: nothing is left to do; else 0. If no choice meets the limits, the job is
 *                      finished together with the solver; or at its first step, if the tables
 *                      prove it
 *  @return ::DFQ_E_NUMERIC (a loss is NaN or infinite: the text names stage and step, the job is
 *          over and what was found so far is kept; or EST is less exact than 1 % after its last
 *          step: the text has the figure), ::DFQ_E_NOMEM (call again to try that step again). */
DFQ_CHECKED dfq_status dfq_explorer_step(dfq_explorer *explorer, int32_t *out_finished);

/** Steps until the end. Reports the networks and stages above; the loss is that of the step's
 *  batch, while exploring the solver's.
 *  @return ::DFQ_E_INFEASIBLE (nothing meets the limits: the text names the tightest;
 *          dfq_explorer_get_result() has them all), ::DFQ_E_CANCELLED (between two steps: call
 *          again to go on), otherwise as dfq_explorer_step(). */
DFQ_CHECKED dfq_status dfq_explorer_run(dfq_explorer *explorer);

/** Measures what the rest of a job takes, before or between its steps: a copy of it with new
 *  weights, and with a few steps of each kind, goes through all stages. That takes about 20 steps
 *  of weights and room for a second supernet; the job stays as it is. Reports stage "estimate". Not
 *  in it: the tables, which are there, and the training of EST and GEN (estimate again when they
 *  are trained).
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_CANCELLED, ::DFQ_E_NUMERIC (a loss of
 *          the copy is NaN or infinite), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_estimate(const dfq_explorer *explorer,
                                             dfq_explorer_needs *out_needs);

/** The state and result of the job so far; may be called at any time.
 *  @return ::DFQ_E_INVALID (struct_size is not set). */
DFQ_CHECKED dfq_status dfq_explorer_get_result(const dfq_explorer *explorer,
                                               dfq_explorer_result *out_result);

/** How far stage DFQ_EXPLORE_* is.
 *  @return ::DFQ_E_INVALID (there is no such stage, struct_size is not set). */
DFQ_CHECKED dfq_status dfq_explorer_get_stage(const dfq_explorer *explorer, int32_t stage,
                                              dfq_explorer_stage *out_stage);

/** Number of metrics: 3; with a limit of size 4, of power 5; of a cost model its own. 0 for
 *  NULL. */
DFQ_API int32_t dfq_explorer_get_metrics(const dfq_explorer *explorer);

/** The name of a metric with its unit: "latency_ms", "energy_mj", "area_mm2", "size_mb",
 *  "power_mw". Borrowed; NULL if
 *  there is none. */
DFQ_API const char *dfq_explorer_get_metric_name(const dfq_explorer *explorer, int32_t metric);

/** Limit and costs of metric 0 .. dfq_explorer_get_metrics() - 1.
 *  @return ::DFQ_E_INVALID (there is no such metric, struct_size is not set). */
DFQ_CHECKED dfq_status dfq_explorer_get_metric(const dfq_explorer *explorer, int32_t metric,
                                               dfq_explorer_metric *out_metric);

/** The accelerator of the result.
 *  @return ::DFQ_E_INVALID (nothing is known yet, struct_size is not set). */
DFQ_CHECKED dfq_status dfq_explorer_get_accelerator(const dfq_explorer *explorer,
                                                    dfq_accelerator_config *out_config);

/** How many cells the network has. */
DFQ_API int32_t dfq_explorer_get_cells(const dfq_explorer *explorer);
/** How many groups of choices: the network's cells, then the accelerator's hardware parameters. */
DFQ_API int32_t dfq_explorer_get_groups(const dfq_explorer *explorer);
/** Choices of a group; 0 if there is no such group. */
DFQ_API int32_t dfq_explorer_get_choices(const dfq_explorer *explorer, int32_t group);
/** The name of a choice, or with choice -1 of its group ("cell 3", "pe_x"). "k5e6" is an MBConv
 *  block with a kernel of 5 x 5 and expansion 6, "skip" no block; "w192d2h3r4" are 2 transformer
 *  blocks of width 192 with 3 heads and MLP ratio 4; "16" and "ws" are values of hardware
 *  parameters. Borrowed; NULL if there is none. */
DFQ_API const char *dfq_explorer_get_name(const dfq_explorer *explorer, int32_t group,
                                          int32_t choice);

/** The choices of the result, as dfq_solver_get_choice(): a new I32 [groups].
 *  @param raw 1: the likeliest choices before repair */
DFQ_CHECKED dfq_status dfq_explorer_get_choice(const dfq_explorer *explorer, int32_t raw,
                                               dfq_tensor **out_choice);

/** As dfq_solver_get_chosen_by(): a new I32 [groups]. */
DFQ_CHECKED dfq_status dfq_explorer_get_chosen_by(const dfq_explorer *explorer,
                                                  dfq_tensor **out_steps);

/** Exact costs of any choice; independent of the state of the job.
 *  @param choice    [groups]
 *  @param n_metrics 1 .. dfq_explorer_get_metrics(): how many of them are wanted, the first
 *  @param out_costs [n_metrics]
 *  @return ::DFQ_E_INVALID (there is no such choice: the text names the group; or not so many
 *          metrics). */
DFQ_CHECKED dfq_status dfq_explorer_cost(const dfq_explorer *explorer, const int32_t *choice,
                                         int32_t n_metrics, double *out_costs);

/** As dfq_solver_get_probabilities(): a new F32 [total], groups one behind the other. */
DFQ_CHECKED dfq_status dfq_explorer_get_probabilities(const dfq_explorer *explorer,
                                                      dfq_tensor **out_probabilities);

/** The loss estimate: a new F32 [choices of all cells], how much each choice adds to the loss
 *  compared with the mean of its cell, in the order of the probabilities; 0 before the first round.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_get_effects(const dfq_explorer *explorer,
                                                dfq_tensor **out_effects);

/** As dfq_solver_get_trajectory(): a new F32 [steps, 1 + metrics +
 *  constraints]. */
DFQ_CHECKED dfq_status dfq_explorer_get_trajectory(const dfq_explorer *explorer,
                                                   dfq_tensor **out_trajectory);

/** As dfq_solver_get_snapshots(): a new I32 [snapshots, groups]. */
DFQ_CHECKED dfq_status dfq_explorer_get_snapshots(const dfq_explorer *explorer,
                                                  dfq_tensor **out_snapshots);

/** The losses of the weights' steps in a stage, each before its step: a new F32 [k].
 *  @return ::DFQ_E_INVALID (a stage that is not WARMUP, SEARCH or TRAIN), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_get_losses(const dfq_explorer *explorer, int32_t stage,
                                               dfq_tensor **out_losses);

/** Judges the derived network of a finished job by its running statistics.
 *  @param out_accuracy struct_size must be set; correct5 is -1: not counted
 *  @return ::DFQ_E_INVALID (the job is not finished, or nothing was derived), otherwise as
 *          dfq_dataset_get_batch(). */
DFQ_CHECKED dfq_status dfq_explorer_evaluate(dfq_explorer *explorer, const dfq_dataset *images,
                                             dfq_accuracy *out_accuracy);

/** Writes the derived network of a finished job to a safetensors file, which dfq_graph_load()
 *  reads: weights by layer, and the space, the path, the normalisation of images, exact costs and
 *  the number of the accelerator as metadata.
 *  @return ::DFQ_E_INVALID (as dfq_explorer_evaluate()), ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_save_network(const dfq_explorer *explorer, const char *path);

/** Writes the weights of the supernet as they are now; after the warm-up they serve as
 *  `supernet_path` of jobs with other limits.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_save_supernet(const dfq_explorer *explorer, const char *path);

/** Writes the state of the job to a safetensors file, beside `path` and renamed.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_save_checkpoint(const dfq_explorer *explorer, const char *path);

/** Puts a job that was created with the same space, accelerators, images, limits and options where
 *  a checkpoint left off; it ends with the same bits as one that was not interrupted. On failure it
 *  is as it was.
 *  @return ::DFQ_E_INVALID (made with others), ::DFQ_E_IO, ::DFQ_E_CORRUPT, ::DFQ_E_UNSUPPORTED (an
 *          older or a newer format), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_explorer_load_checkpoint(dfq_explorer *explorer, const char *path);

#ifdef __cplusplus
}
#endif
#endif
