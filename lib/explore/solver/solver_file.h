/* The state of a solver as part of a safetensors file, its own or that of a larger job. */
#ifndef DFQI_EXPLORE_SOLVER_FILE_H
#define DFQI_EXPLORE_SOLVER_FILE_H

#include "explore/solver/solver.h"
#include "io/safetensors.h"

enum { DFQI_SOLVER_TENSORS = 8, DFQI_SOLVER_META = 3 };

/* Entries and metadata to be written; they point into the struct, which must stay where it is. */
typedef struct dfqi_solver_file {
    int32_t n; /* entries */
    dfqi_st_entry entries[DFQI_SOLVER_TENSORS];
    dfqi_st_meta meta[DFQI_SOLVER_META];
    dfq_tensor tensors[DFQI_SOLVER_TENSORS]; /* views: borrowed memory, never retained */
    int64_t state[2];
    char keys[DFQI_SOLVER_META][24], text[DFQI_SOLVER_META][24], names[DFQI_SOLVER_TENSORS][24];
} dfqi_solver_file;

void dfqi_solver_pack(const dfqi_solver *s, dfqi_solver_file *out);
/* As dfqi_solver_restore, of a file that was read. */
DFQI_CHECKED dfq_status dfqi_solver_unpack(dfqi_solver *s, const dfqi_safetensors *st,
                                           const char *path);

#endif
