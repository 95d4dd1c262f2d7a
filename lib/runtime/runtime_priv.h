/* The struct of a runtime. */
#ifndef DFQI_RUNTIME_RUNTIME_PRIV_H
#define DFQI_RUNTIME_RUNTIME_PRIV_H

#include "runtime/program_priv.h"

struct dfq_runtime {
    dfq_context *ctx; /* retained */
    dfqi_program *p;  /* retained */
    int32_t threads;  /* that there is memory for */
    int64_t n;        /* images of the last run */
    char *memory;     /* one block, cut into: */
    char *outputs;
    char *slices; /* of each thread; of one if the batch is smaller than their number */
    char *blocks; /* of each thread: block and scratch */
    size_t thread_bytes, memory_bytes;
    double *seconds; /* [threads][parts]; NULL: runs measure nothing */
};

#endif
