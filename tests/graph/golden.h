/* Golden data in the tests of graphs: tensors are named "case.what". */
#ifndef DFQT_GRAPH_GOLDEN_H
#define DFQT_GRAPH_GOLDEN_H

#include "graph/rig.h"
#include "io/safetensors.h"

typedef struct golden {
    dfq_context *ctx;
    dfqi_safetensors st;
} golden;

golden dfqt_golden(const char *file);
void dfqt_golden_fini(golden *f);
const dfq_tensor *dfqt_golden_tensor(const golden *f, const char *name, const char *what);
/* An input with the numbers of a tensor. */
dfqi_id dfqt_golden_input(rig *r, const golden *f, const char *name, const char *what, int batched);
/* Compares what a run left in v: differences up to `tol` times the largest number wanted. */
void dfqt_golden_check(const rig *r, dfqi_id v, const golden *f, const char *name, const char *what,
                       double tol);

#endif
