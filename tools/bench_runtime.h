/* dfq bench --runtime. */
#ifndef DFQ_TOOLS_BENCH_RUNTIME_H
#define DFQ_TOOLS_BENCH_RUNTIME_H

#include "session.h"

/* Measures the network's runtime and prints what it found. Returns an exit code. */
int bench_runtime(struct session *s, const dfq_graph *net);

#endif
