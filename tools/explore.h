/* State of a running `dfq explore`, shared by cmd_explore.c and the explore_*.c files. */
#ifndef DFQ_TOOLS_EXPLORE_H
#define DFQ_TOOLS_EXPLORE_H

#include "report/explore_page.h"
#include "hardware.h"
#include "job.h"
#include "session.h"

enum { EXPLORE_ROWS = 16, EXPLORE_TEXT = 96, EXPLORE_INPUTS = 5 };

struct explore {
    struct session *s;
    struct options full; /* defaults filled in */
    struct job job;
    char *course[2];           /* with --trajectory: names of the CSV and the SVG */
    dfq_dataset *learn, *test; /* test: NULL without --test-data */
    dfq_explorer *e;
    dfq_constraint limits[EXPLORE_METRICS];
    int32_t n_limits;
    int64_t accelerators;           /* of the description */
    double opening;                 /* seconds that tables and images took */
    double seconds[EXPLORE_STAGES]; /* that the stages will take */
    int hopeless;                   /* nothing meets the limits: known beforehand */
    int told;                       /* the first line of the plan */
    int warm_saved;                 /* --save-supernet is done */
    int failed;                     /* exit code of what went wrong beside the job */

    /* What came out: borrowed by `page`. */
    int64_t config;            /* number of the accelerator */
    dfq_accelerator_config hw; /* struct_size 0: none */
    dfq_accuracy accuracy;     /* n 0: not judged */
    dfq_tensor *choice, *raw, *by, *probabilities, *effects, *trajectory, *losses[EXPLORE_STAGES];
    struct explore_group *groups;
    const char **names;
    char (*words)[EXPLORE_TEXT]; /* of each group */
    char hardware[HARDWARE_TEXT];
    char values[EXPLORE_ROWS][EXPLORE_TEXT];
    struct report_row rows[EXPLORE_ROWS];
    struct explore_pair *cloud, *snapshots;
    char *command;
    struct report_file inputs[EXPLORE_INPUTS];
    struct explore_page page;
};

/* -- explore_plan.c ---------------------------------------------------------------------------- */

/* Defaults where nothing was given. */
struct options explore_fill(const struct options *o);
/* Sets x->limits. */
void explore_limits(struct explore *x);
dfq_explorer_options explore_options(const struct options *full);
dfq_solver_options explore_solver(const struct options *full);
/* Tells what the whole will take, measured beside the job; of EST and GEN by their first steps.
 * Returns 0 or an exit code, after one error line. */
int explore_plan(struct explore *x);
/* Are EST and GEN to be trained first? Then the plan is for them alone. */
int explore_untrained(const struct explore *x);

/* -- explore_pairs.c --------------------------------------------------------------------------- */

/* Fills the points of x->page's picture, once x has the tensors of the result. */
dfq_status explore_pairs(struct explore *x);

/* -- explore_result.c -------------------------------------------------------------------------- */

/* Fills x->page from a finished job. Returns 0 or an exit code, after one error line. */
int explore_collect(struct explore *x);
void explore_forget(struct explore *x);

/* -- explore_print.c --------------------------------------------------------------------------- */

/* "latency_ms", ... */
extern const char *const explore_metrics[EXPLORE_METRICS];

/* Results on stdout. */
void explore_print(const struct explore *x);
/* Writes --trajectory. Returns 0 or an exit code, after one error line. */
int explore_write_course(const struct explore *x);

#endif
