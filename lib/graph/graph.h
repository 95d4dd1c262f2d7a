/* The compute graph: values connected by nodes. Nodes are kept in the order of their creation,
 * which is a topological order.
 *
 * A value is *batched* when its first extent is the batch; such values are computed image by image.
 * A graph keeps its first error (a sticky error): later calls return DFQI_NONE, and
 * dfqi_graph_status() returns the error at the end. So code that builds a graph needs no checks in
 * between. */
#ifndef DFQI_GRAPH_H
#define DFQI_GRAPH_H

#include "base/memory.h"
#include "graph/op.h"
#include "tensor/tensor.h"

typedef enum dfqi_value_kind {
    DFQI_VALUE_INPUT, /* bound by pointer for each run */
    DFQI_VALUE_PARAM, /* lives in a tensor; changes between runs if `frozen` is not set */
    DFQI_VALUE_NODE   /* computed */
} dfqi_value_kind;

typedef struct dfqi_value {
    dfqi_value_kind kind;
    int32_t rank;
    int64_t dims[DFQI_RANK_MAX];
    uint8_t batched;    /* dims[0] is the batch */
    uint8_t frozen;     /* a constant, or computed from constants alone */
    uint8_t keep;       /* readable after a run */
    int32_t node;       /* producer of a NODE value, else -1 */
    dfq_tensor *tensor; /* PARAM: retained */
    const char *name;   /* probe name, or NULL */
} dfqi_value;

typedef struct dfqi_node {
    dfqi_op_kind op;
    dfqi_attr attr;
    int32_t n_in, n_out;
    dfqi_id in[DFQI_IN_MAX];
    dfqi_id out[DFQI_OUT_MAX];
    const char *name; /* "blocks.0.attn.qkv", or "" */
} dfqi_node;

/* Called for each operand of a named product about to be made: returns the value to use instead.
 * This is how quantizers get into a network without the network knowing (quant/). */
typedef dfqi_id (*dfqi_rewrite)(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                                dfqi_id value, void *user);

struct dfqi_graph {
    dfq_context *ctx;
    int64_t batch;
    int32_t n_values, cap_values;
    dfqi_value *values;
    int32_t n_nodes, cap_nodes;
    dfqi_node *nodes;
    dfqi_arena names;
    dfqi_rewrite rewrite; /* NULL: none */
    void *rewrite_user;
    int32_t lean; /* 1: what no output reads need not be built, even where operands are rewritten */
    dfq_status status;
};

DFQI_CHECKED dfq_status dfqi_graph_new(dfq_context *ctx, int64_t batch, dfqi_graph **out);
void dfqi_graph_free(dfqi_graph *g); /* NULL ok */
DFQI_CHECKED dfq_status dfqi_graph_status(const dfqi_graph *g);
/* Records a failure (the first one stays) and returns DFQI_NONE. */
dfqi_id dfqi_graph_fail(dfqi_graph *g, dfq_status code, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* An input: [batch, dims...] if batched, else dims as they are. */
dfqi_id dfqi_graph_input(dfqi_graph *g, const char *name, int batched, int32_t rank,
                         const int64_t *dims);
/* A parameter held by an F32 tensor (retained). frozen: its content never changes. */
dfqi_id dfqi_graph_param(dfqi_graph *g, const char *name, const dfq_tensor *t, int frozen);
/* A node; returns its first output. `name` may be NULL. */
dfqi_id dfqi_graph_node(dfqi_graph *g, dfqi_op_kind op, const char *name, const dfqi_attr *attr,
                        int32_t n_in, const dfqi_id *in);
/* The operand that a named product should use: `value`, or the value that the rewrite returns for
 * it. */
dfqi_id dfqi_graph_operand(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                           dfqi_id value);
/* The further outputs of the node that made `first`. */
dfqi_id dfqi_graph_output(const dfqi_graph *g, dfqi_id first, int32_t slot);
/* Gives a value a probe name. To read the value after a run, keep it. */
void dfqi_graph_probe(dfqi_graph *g, dfqi_id v, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
void dfqi_graph_keep(dfqi_graph *g, dfqi_id v);
/* By probe or input or parameter name; DFQI_NONE if there is none. */
dfqi_id dfqi_graph_find(const dfqi_graph *g, const char *name);
const dfqi_value *dfqi_graph_value(const dfqi_graph *g, dfqi_id v);
int64_t dfqi_value_count(const dfqi_value *v);  /* elements, whole batch */
int64_t dfqi_value_stride(const dfqi_value *v); /* elements of one image; unbatched: all */
int64_t dfqi_value_last(const dfqi_value *v);   /* last extent */

/* Reverse mode: adds nodes that compute d(sum_k <value_k, grad_k>)/d(wrt_i) and stores their ids;
 * DFQI_NONE if the values do not depend on wrt_i. Only the nodes on paths from `wrt` to the values
 * are differentiated: the input's gradient alone needs no weight gradient. */
DFQI_CHECKED dfq_status dfqi_graph_grad(dfqi_graph *g, int32_t n_seeds, const dfqi_id *value,
                                        const dfqi_id *grad, int32_t n_wrt, const dfqi_id *wrt,
                                        dfqi_id *out);

/* Multiply-accumulates of one run (whole batch), by the cost rule of each op. */
double dfqi_graph_macs(const dfqi_graph *g);
/* Multiply-accumulates of products alone (DFQI_OPF_PRODUCT): the usual size of a network.
 * Elementwise ops and quantizers do not count. */
double dfqi_graph_products(const dfqi_graph *g);

#endif
