/* The executor runs a graph by its plan. One thread may use it at a time; a run uses all threads of
 * the context. */
#ifndef DFQI_GRAPH_EXEC_H
#define DFQI_GRAPH_EXEC_H

#include "graph/plan.h"

typedef struct dfqi_exec dfqi_exec;

/* A workspace: memory for values that several executors use in turn, so that the system need not
 * provide zeroed memory for each graph. It is as large as the largest executor needed. */
typedef struct dfqi_workspace {
    float *base;
    size_t floats;
    int32_t taken;
} dfqi_workspace;

void dfqi_workspace_fini(dfq_context *ctx, dfqi_workspace *w);

/* Plans `g` (which must be without error and outlive the executor) and allocates all it needs. */
DFQI_CHECKED dfq_status dfqi_exec_new(const dfqi_graph *g, dfqi_exec **out);
/* dfqi_exec_new with the memory of `w`, which must outlive the executor. The executor allocates its
 * own memory if `w` is NULL or another executor uses it. */
DFQI_CHECKED dfq_status dfqi_exec_new_in(const dfqi_graph *g, dfqi_workspace *w, dfqi_exec **out);
void dfqi_exec_free(dfqi_exec *e); /* NULL ok */
/* Memory that dfqi_exec_new would allocate for `g`, in bytes, without doing so. */
DFQI_CHECKED dfq_status dfqi_exec_estimate(const dfqi_graph *g, size_t *out_bytes);

/* The memory of an input: whole batch, row-major; read during runs, never written. */
void dfqi_exec_bind(dfqi_exec *e, dfqi_id input, const float *data);
/* Computes everything kept. Every input that is read must be bound. */
DFQI_CHECKED dfq_status dfqi_exec_run(dfqi_exec *e);
/* The content of a kept value after a run; valid until the next one. */
const float *dfqi_exec_data(const dfqi_exec *e, dfqi_id v);

/* Seconds spent in each op kind since the executor was made, summed over threads, if profiling was
 * switched on; for benchmarks. */
DFQI_CHECKED dfq_status dfqi_exec_profile(dfqi_exec *e);
double dfqi_exec_seconds(const dfqi_exec *e, dfqi_op_kind op);

#endif
