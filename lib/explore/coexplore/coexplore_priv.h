/* State of a co-exploration, shared by the files of this folder. */
#ifndef DFQI_EXPLORE_COEXPLORE_PRIV_H
#define DFQI_EXPLORE_COEXPLORE_PRIV_H

#include "explore/coexplore/coexplore.h"
#include "explore/coexplore/effects.h"
#include "explore/cost_networks/evaluator.h"
#include "explore/cost_networks/hw_generator.h"
#include "tune/super_train.h"

enum { DFQI_SAMPLED_PATHS_MAX = 64 };

/* Losses of the steps of a stage. */
typedef struct dfqi_curve {
    float *v;
    int64_t n, room;
} dfqi_curve;

/* All that a checkpoint holds. */
typedef struct dfqi_coexplore_state {
    dfq_context *ctx; /* borrowed */
    int32_t stage;
    int32_t n_metrics;
    int64_t at;  /* units of the stage done: steps of weights; exploring, those and the solver's */
    bool judged; /* the paths of the round are judged, its first step of the solver is not done */
    dfqi_supernet net, derived; /* derived.layers NULL: there is none */
    int32_t path[DFQI_SUPER_CELLS];
    dfqi_super_train *train;     /* of the stage; NULL: it has not begun */
    dfqi_evaluator *est;         /* NULL: tables */
    dfqi_gen *gen;               /* NULL: tables */
    bool attached;               /* both are trained, and the solver has them */
    double gap[DFQ_METRICS_MAX]; /* of EST at the result; NaN */
    dfqi_effects effects;
    dfqi_solver *solver;
    dfqi_curve losses[DFQI_EXPLORE_STAGES];
} dfqi_coexplore_state;

struct dfqi_coexplore {
    dfq_context *ctx; /* retained */
    dfq_explorer_options o;
    dfq_solver_options solver_o;
    dfqi_coexplore_tables space;
    dfq_constraint limits[DFQ_METRICS_MAX];
    int32_t n_limits;
    int32_t supernet_was_read; /* weights were read: no warm-up */
    float *images;
    int32_t *labels;
    dfqi_super_data all, learn, held; /* learn and held are parts of all */
    dfqi_coexplore_state *s;
    bool failed;
    float loss; /* of the last step */
};

/* Seeds of what is drawn. */
enum {
    DFQI_SEED_WEIGHTS = 1,
    DFQI_SEED_SPLIT,
    DFQI_SEED_PATHS,
    DFQI_SEED_SAMPLED_PATHS,
    DFQI_SEED_DERIVED,
    DFQI_SEED_BATCHES, /* and the stages behind it */
    DFQI_SEED_EVALUATOR = DFQI_SEED_BATCHES + DFQI_EXPLORE_STAGES,
    DFQI_SEED_HW_GENERATOR
};
uint64_t dfqi_coexplore_seed(const dfqi_coexplore *e, int32_t of);

/* Normalised images in the order of the data set; to be freed by the caller, also on failure. */
DFQI_CHECKED dfq_status dfqi_coexplore_read(const dfqi_coexplore *e, const dfqi_dataset *d,
                                            float **images, int32_t **labels, dfqi_super_data *out);
/* All images of e, shuffled and split into training and held-out images. */
DFQI_CHECKED dfq_status dfqi_coexplore_take(dfqi_coexplore *e, const dfqi_dataset *d);

DFQI_CHECKED dfq_status dfqi_coexplore_state_new(dfqi_coexplore *e, dfqi_coexplore_state **out);
void dfqi_coexplore_state_free(dfqi_coexplore_state *s); /* NULL ok */
/* Gives the solver the networks, which have been trained. On failure s is as it was. */
DFQI_CHECKED dfq_status dfqi_coexplore_attach(const dfqi_coexplore *e, dfqi_coexplore_state *s);
/* Units of a stage. */
int64_t dfqi_coexplore_units(const dfqi_coexplore *e, int32_t stage);
/* The optimiser of the stage that s is in. */
DFQI_CHECKED dfq_status dfqi_coexplore_begin(const dfqi_coexplore *e, dfqi_coexplore_state *s);
/* The network of the solver's choices. */
DFQI_CHECKED dfq_status dfqi_coexplore_derive(const dfqi_coexplore *e, dfqi_coexplore_state *s);
/* DFQ_E_INVALID: the job is not finished, or found nothing. */
DFQI_CHECKED dfq_status dfqi_coexplore_need_derived(const dfqi_coexplore *e);

/* -- networks.c: DANCE's networks, if the options want them ---------------------------- */

DFQI_CHECKED dfq_status dfqi_networks_new(const dfqi_coexplore *e, const dfq_problem *tables,
                                          dfqi_coexplore_state *s);
void dfqi_networks_fini(dfqi_coexplore_state *s);
DFQI_CHECKED dfq_status dfqi_networks_solver(const dfqi_coexplore *e, const dfq_problem *tables,
                                             const dfqi_coexplore_state *s, dfqi_solver **out);
/* The network whose training has steps left, DFQI_EXPLORE_EST or GEN; DFQI_EXPLORE_NETWORKS:
 * none. */
int32_t dfqi_networks_next(const dfqi_coexplore_state *s);
int64_t dfqi_networks_done(const dfqi_coexplore_state *s, int32_t network);
int64_t dfqi_networks_steps(const dfqi_coexplore *e, int32_t network);
/* One step of that network. */
DFQI_CHECKED dfq_status dfqi_networks_step(dfqi_coexplore *e);
/* All that are left, with progress. */
DFQI_CHECKED dfq_status dfqi_networks_run(dfqi_coexplore *e);
/* Relative error of EST at the result of a finished search. */
DFQI_CHECKED dfq_status dfqi_networks_measure(dfqi_coexplore_state *s);
void dfqi_networks_result(const dfqi_coexplore *e, dfqi_coexplore_info *out);

/* What a checkpoint holds beside the networks' arrays; no padding. */
typedef struct dfqi_networks_state {
    int64_t done[DFQI_EXPLORE_NETWORKS], finished[DFQI_EXPLORE_NETWORKS];
    dfqi_evaluator_quality est;
    dfqi_gen_quality gen;
} dfqi_networks_state;

void dfqi_networks_note(const dfqi_coexplore_state *s, dfqi_networks_state *out);
/* Afterwards the arrays can be filled. */
DFQI_CHECKED dfq_status dfqi_networks_resume(const dfqi_coexplore *e,
                                             const dfqi_networks_state *from, const char *path,
                                             dfqi_coexplore_state *s);

/* Room for one more, or for n. */
DFQI_CHECKED dfq_status dfqi_curve_reserve(dfq_context *ctx, dfqi_curve *c, int64_t n);

#endif
