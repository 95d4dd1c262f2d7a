/* Quantization error by layer: the signal-to-noise ratio between student and teacher at the
 * attention output of each block, or at each ReLU output of a convolutional network. */
#include <math.h>

#include "base/memory.h"
#include "graph/exec.h"
#include "tune/tune.h"

enum { BATCH = 8 };

static const double most_db = 200.0;

/* One of the two networks. */
typedef struct side {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x;
    dfqi_taps taps; /* without arrays of its own */
    dfqi_id *at;    /* [n] owned: where the networks are compared, in network order */
    int32_t n;
} side;

static void side_fini(dfq_context *ctx, side *s)
{
    dfqi_exec_free(s->e);
    dfqi_graph_free(s->g);
    dfqi_free(ctx, s->at);
}

/* Finds the output of each ReLU, or of the quantizer behind it. `at` NULL: only counts. */
static int32_t find_relus(const dfqi_graph *g, dfqi_id *at)
{
    int32_t n = 0;
    dfqi_id last = DFQI_NONE;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *node = &g->nodes[i];
        bool quantizer = node->op == DFQI_OP_FQ && node->in[0] == last;
        if (!dfqi_op_activates(node->op) && !quantizer) continue;
        last = node->out[0];
        n += !quantizer;
        if (at) at[n - 1] = last;
    }
    return n;
}

static dfq_status init_relus(const dfqi_model *m, int64_t batch, side *s)
{
    DFQI_TRY(dfqi_model_graph(m, batch, &s->g, &s->x, &s->taps));
    s->n = find_relus(s->g, NULL);
    s->at = dfqi_calloc(m->ctx, (size_t)s->n + 1, sizeof *s->at);
    if (!s->at) return DFQ_E_NOMEM;
    find_relus(s->g, s->at);
    for (int32_t i = 0; i < s->n; i++) dfqi_graph_keep(s->g, s->at[i]);
    return DFQ_OK;
}

static dfq_status init_blocks(const dfqi_model *m, int64_t batch, side *s)
{
    s->n = (int32_t)dfqi_arch_blocks(&m->net.arch);
    s->at = dfqi_calloc(m->ctx, (size_t)s->n + 1, sizeof *s->at);
    if (!s->at) return DFQ_E_NOMEM;
    s->taps.head = s->at;
    return dfqi_model_graph(m, batch, &s->g, &s->x, &s->taps);
}

static dfq_status side_init(const dfqi_model *m, int64_t batch, side *s)
{
    if (dfqi_arch_blocks(&m->net.arch) > 0)
        DFQI_TRY(init_blocks(m, batch, s));
    else
        DFQI_TRY(init_relus(m, batch, s));
    s->at[s->n++] = s->taps.logits;
    return dfqi_exec_new(s->g, &s->e);
}

/* Adds the squares of signal and difference of the images from..n-1 of a batch. */
static void add_squares(const side *t, const side *s, dfqi_id in_t, dfqi_id in_s, int64_t from,
                        double sums[2])
{
    const dfqi_value *v = dfqi_graph_value(t->g, in_t);
    const float *a = dfqi_exec_data(t->e, in_t), *b = dfqi_exec_data(s->e, in_s);
    for (int64_t i = from * dfqi_value_stride(v), n = dfqi_value_count(v); i < n; i++) {
        double d = (double)b[i] - a[i];
        sums[0] += (double)a[i] * a[i];
        sums[1] += d * d;
    }
}

static dfq_status run_batch(side *t, side *s, const float *images, int64_t from, double *sums)
{
    dfqi_exec_bind(t->e, t->x, images);
    dfqi_exec_bind(s->e, s->x, images);
    DFQI_TRY(dfqi_exec_run(t->e));
    DFQI_TRY(dfqi_exec_run(s->e));
    for (int32_t i = 0; i < t->n; i++) add_squares(t, s, t->at[i], s->at[i], from, sums + 2 * i);
    return DFQ_OK;
}

static float decibel(const double sums[2])
{
    double db = 10.0 * log10(sums[0] / sums[1]);
    if (sums[1] == 0) return (float)most_db;
    return (float)(db > most_db ? most_db : db < -most_db ? -most_db : db);
}

dfq_status dfqi_layer_errors(const dfqi_model *teacher, const dfqi_model *student,
                             const float *images, int64_t n, dfq_tensor **out)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &student->net.arch;
    int64_t batch = n < BATCH ? n : BATCH, image = dfqi_arch_pixels(a);
    side t = {0}, s = {0};
    dfq_tensor *db = NULL;
    double *sums = NULL;
    dfq_status status;
    dfqi_model *like = NULL;
    DFQI_TRY(dfqi_tune_teacher(teacher, student, &like));
    DFQI_GOTO(side_init(like, batch, &t), out);
    DFQI_GOTO(side_init(student, batch, &s), out);
    sums = dfqi_calloc(ctx, 2 * (size_t)t.n, sizeof *sums);
    if (!sums) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    for (int64_t i = 0; i < n; i += batch) {
        /* the last batch is moved back to be full: its first images were counted before */
        int64_t first = i + batch <= n ? i : n - batch;
        DFQI_GOTO(run_batch(&t, &s, images + first * image, i - first, sums), out);
    }
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){t.n}, &db), out);
    for (int32_t i = 0; i < t.n; i++) dfqi_tensor_f32(db)[i] = decibel(sums + 2 * i);
    *out = db;
out:
    side_fini(ctx, &t);
    side_fini(ctx, &s);
    dfqi_model_release(like);
    dfqi_free(ctx, sums);
    return status;
}
