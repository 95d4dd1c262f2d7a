/* A tiny space with made-up costs on made-up pictures, to explore in. */
#ifndef DFQT_EXPLORE_COEXPLORE_SCENE_H
#define DFQT_EXPLORE_COEXPLORE_SCENE_H

#include "explore/coexplore/coexplore.h"

/* CELLS and so on: of the space; UNITS: steps of a job by the options below. */
enum { CELLS = 4, HW_PARAMS = 2, CONFIGS = 6, N = 60, RECORD = 3073, UNITS = 6 + 3 * 2 + 5 + 4 };
enum { CHOICES = 4 * 3 }; /* of the cells, at most */

typedef struct dfqt_scene {
    double cost[3 * CHOICES * CONFIGS], base[3 * CONFIGS], reference[3];
    dfqi_coexplore_tables space;
    dfq_constraint limits[2];
    dfq_explorer_options o;
    dfq_solver_options solver;
    char images[64], file[64];
} dfqt_scene;

/* Family 0: MBConv cells, 1: stages of vision transformers. */
void dfqt_scene_make(int family, dfqt_scene *out);
void dfqt_scene_done(const dfqt_scene *s);
/* A name of a file that nobody has. */
void dfqt_scene_file(char *out);

dfq_context *dfqt_scene_context(int32_t threads);
dfq_status dfqt_scene_create(dfq_context *ctx, const dfqt_scene *s, dfqi_coexplore **out);
/* The bits of a job that is done: its result, estimates, curves, and the weights of the derived
 * network. */
uint64_t dfqt_scene_bits(dfqi_coexplore *e, const dfqt_scene *s);

#endif
