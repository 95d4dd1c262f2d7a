/* A small graph with everything it needs to run: inputs filled with random numbers, an executor,
 * and the gradients asked for. Failures of the library abort the test. */
#ifndef DFQT_GRAPH_RIG_H
#define DFQT_GRAPH_RIG_H

#include <check.h>

#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"

enum { RIG_MAX = 16 };

typedef struct rig {
    dfq_context *ctx;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_rng rng;
    int32_t n; /* inputs */
    dfqi_id input[RIG_MAX];
    float *data[RIG_MAX];
    int32_t n_wrt; /* inputs whose gradient is asked for, and the gradients */
    int32_t wrt[RIG_MAX];
    dfqi_id dwrt[RIG_MAX];
} rig;

dfq_context *dfqt_context(int32_t threads);

rig dfqt_rig(int32_t threads, int64_t batch, uint64_t seed);
void dfqt_rig_fini(rig *r);
/* An input with numbers in [lo, hi). `batched`: dims are those of one image. */
dfqi_id dfqt_input(rig *r, int batched, int32_t rank, const int64_t *dims, float lo, float hi);
/* The same, and its gradient will be asked for. */
dfqi_id dfqt_wrt(rig *r, int batched, int32_t rank, const int64_t *dims, float lo, float hi);
/* The numbers of an input. */
float *dfqt_data(const rig *r, dfqi_id input);
/* An input shaped like v, numbers in [-1, 1): the gradient that comes in at v. */
dfqi_id dfqt_seed(rig *r, dfqi_id v);
/* Adds the gradients of the inputs made by dfqt_wrt and keeps them and the values. */
void dfqt_grad(rig *r, int32_t n, const dfqi_id *value, const dfqi_id *seed);
/* Makes the executor and binds all inputs. */
void dfqt_start(rig *r);
void dfqt_run(rig *r);
int64_t dfqt_count(const rig *r, dfqi_id v);
int dfqt_has_op(const dfqi_graph *g, dfqi_op_kind op); /* number of nodes */

#endif
