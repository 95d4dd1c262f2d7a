/* The report of a co-exploration: one self-contained HTML file, as in report.h. The caller fills
 * `struct explore_page`; pointers are borrowed until explore_page_write returns. What is absent
 * (NULL, count 0, NaN) is left out, with its heading. Arrays of metrics are in the order of
 * DFQ_EXPLORE_*: latency (ms for one image), energy (mJ for one image), area (mm2), size (MB),
 * power (mW). The last two are told where they have a limit. */
#ifndef DFQ_TOOLS_REPORT_EXPLORE_PAGE_H
#define DFQ_TOOLS_REPORT_EXPLORE_PAGE_H

#include <dfq/explorer.h>

#include "report/report.h"

/* Metrics that the page knows, and stages that train weights: warm-up, explore, train. */
enum { EXPLORE_METRICS = 5, EXPLORE_STAGES = 3 };

/* A cell of the network, or a hardware parameter of the accelerator. */
struct explore_group {
    const char *name, *words;   /* "cell 3" and "3x3 kernel, expansion 6", as found */
    int32_t choices;            /* how many there are */
    int32_t chosen, raw;        /* found, and the likeliest before repair; -1: none */
    int32_t by;                 /* DFQ_CHOSEN_*: the step that chose it */
    const char *const *names;   /* [choices] "k3e6", ... */
    const float *probabilities; /* [choices] at the end */
    /* [choices] on the loss, against the mean; NULL for hardware parameters */
    const float *effects;
};

/* A network on an accelerator, as the picture shows it. */
struct explore_pair {
    double loss; /* estimated in the supernet; NaN: nothing was learned */
    double costs[EXPLORE_METRICS];
};

struct explore_page {
    const char *space, *accel; /* as on the command line */
    const char *rule;          /* "constraint-gradient", ... */
    const char *output;        /* file of the network; NULL if nothing meets the limits */

    int32_t verdict;  /* DFQ_VERDICT_* */
    int proved;       /* infeasible: nothing at all meets the limits */
    int raw_feasible; /* the likeliest choices met the limits before any repair */
    double limits[EXPLORE_METRICS], costs[EXPLORE_METRICS];
    double raw_costs[EXPLORE_METRICS];
    /* infeasible: what could be met while the others hold, INFINITY: not even without this one;
     * and what any pair can reach, whatever the others */
    double tightest[EXPLORE_METRICS], least[EXPLORE_METRICS];

    const struct explore_group *groups; /* cells, then hardware parameters */
    int32_t n_groups, n_cells;
    const char *accelerator;            /* in words */
    const struct report_row *hw_params; /* the same as a table */
    size_t n_hw_params;

    const char *evaluator; /* "tables" or "networks"; of these, as dfq_explorer_metric: */
    double evaluator_mean[EXPLORE_METRICS], evaluator_p99[EXPLORE_METRICS];
    double evaluator_gap[EXPLORE_METRICS], hw_generator_accuracy, hw_generator_regret;

    double cost_weight;                /* 0: costs were not in the loss */
    const char *cost_function;         /* "mean", ... */
    double reference[EXPLORE_METRICS]; /* costs of the reference design, for all but "mean" */

    double macs, top1;        /* of the network; top1 0 to 1 */
    uint64_t accuracy_images; /* judged for top1 */
    double chance;            /* what one class for all of these images gets right, 0 to 1 */
    int chance_level;         /* EXPLORE_ABOVE_CHANCE, ...: see explore_verdict.h */
    double loss;              /* estimated in the supernet */

    /* As dfq_explorer_get_trajectory(): [steps, 1 + 3 + n_limits] loss, costs, deltas. */
    const float *trajectory;
    int64_t trajectory_steps;
    int32_t n_limits, limit_metric[EXPLORE_METRICS];

    const float *losses[EXPLORE_STAGES]; /* of the weights' steps in warm-up, explore, train */
    int64_t n_losses[EXPLORE_STAGES];

    /* Random ones; the likeliest at each snapshot; the likeliest at the end, before repair; and
     * what is certified, or comes nearest. */
    const struct explore_pair *cloud, *snapshots;
    size_t n_cloud, n_snapshots;
    struct explore_pair likeliest, result;

    double seconds;      /* NaN: not told */
    uint64_t peak_bytes; /* memory; 0: not told */
    const char *command;
    const struct report_row *provenance; /* seed, steps, version, ... */
    size_t n_provenance;
    const struct report_file *inputs;
    size_t n_inputs;
};

/* -- explore_pareto.c -------------------------------------------------------------------------- */

/* How lines are drawn. */
#define EXPLORE_LIMIT    "stroke=\"var(--weak)\" stroke-dasharray=\"7 4\""
#define EXPLORE_TIGHTEST "stroke=\"var(--accent)\" stroke-dasharray=\"3 3\""
#define EXPLORE_LEAST    "stroke=\"var(--soft)\" stroke-dasharray=\"1.5 3\""

/* The picture, a figure for each plane. 0, or -1 without memory. */
int explore_pareto_write(FILE *f, const struct explore_page *p);

/* -- explore_page.c ---------------------------------------------------------------------------- */

/* Writes beside `path` and renames, replacing what is there. 0, or -1 with errno; then nothing is
 * left behind and an older file at `path` is as it was. */
int explore_page_write(const struct explore_page *p, const char *path);

/* Is metric m told, and how many of them has a trajectory? */
int explore_tells(const struct explore_page *p, int m);
int explore_count_metrics(const struct explore_page *p);

#endif
