/* A solver's state as arrays of a safetensors file, its own or that of a larger job. */
#ifndef DFQI_EXPLORE_SOLVER_FILE_H
#define DFQI_EXPLORE_SOLVER_FILE_H

#include "explore/solver/solver.h"
#include "io/arrays.h"

enum { DFQI_SOLVER_MARKS = 3, DFQI_SOLVER_STATE = 2 };

void dfqi_solver_marks(const dfqi_solver *s, dfqi_mark out[DFQI_SOLVER_MARKS]);
/* Adds to the list, which points to `state` and into the solver. */
void dfqi_solver_pack(const dfqi_solver *s, dfqi_arrays *a, int64_t state[DFQI_SOLVER_STATE]);
/* As dfqi_solver_restore, of a file that was read and whose marks fit. */
DFQI_CHECKED dfq_status dfqi_solver_unpack(dfqi_solver *s, const dfqi_safetensors *st,
                                           const char *path);

#endif
