/* Estimates of time and memory from a short run of the work. During the run, a progress callback of
 * this file replaces the caller's; it measures the time and stops the work. */
#include "quant/estimate.h"

#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "base/rng.h"
#include "graph/walk.h"
#include "quant/cnn_grids.h"
#include "quant/scheme_priv.h"
#include "quant/search.h"

enum { SAMPLE = 2, PARITY = 16, FOLLOW = 32, SWEEP = 4, JUDGED = 8, SWEEPS = 3 };

/* Forward passes that the walk of rounding costs: two, and the moments take about as long. */
enum { WALK = 4 };

typedef struct watch {
    const char *last; /* the stage that ends the measurement, after 1 / parts of it */
    uint64_t parts;
    double calibrate, round; /* seconds of whole stages */
    double all;              /* seconds of the run, also where it has no stages */
    uint64_t steps;          /* units of calibration */
    int32_t enough;
    dfq_progress_fn progress; /* the caller's, restored afterwards */
    void *user;
    dfq_log_fn log;
} watch;

static int32_t look(const dfq_progress *p, void *user)
{
    watch *w = user;
    double whole = p->done ? p->elapsed_s / (double)p->done * (double)p->total : 0;
    if (strcmp(p->stage, "round") == 0) {
        w->round = whole;
    } else {
        w->calibrate = whole;
        w->steps = p->total;
    }
    w->enough = strcmp(p->stage, w->last) == 0 && p->done * w->parts >= p->total;
    return w->enough;
}

/* Results on noise must not appear in the caller's log. */
static void watch_begin(dfq_context *ctx, watch *w)
{
    w->progress = ctx->progress;
    w->user = ctx->progress_user;
    w->log = ctx->log;
    ctx->progress = look;
    ctx->progress_user = w;
    ctx->log = NULL;
}

static void watch_end(dfq_context *ctx, const watch *w)
{
    ctx->progress = w->progress;
    ctx->progress_user = w->user;
    ctx->log = w->log;
}

static dfq_status make_noise(const dfqi_model *m, int64_t n, dfq_tensor **out)
{
    const dfqi_arch *a = &m->net.arch;
    dfqi_rng r = dfqi_rng_make(1, 1);
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 4,
                             (int64_t[]){n, a->channels, a->image.height, a->image.width}, out));
    dfqi_rng_fill_normal(&r, dfqi_tensor_f32(*out), (size_t)dfqi_tensor_count(*out));
    return DFQ_OK;
}

/* Seconds of one image; the first run is a warm-up, in which the system provides the memory. */
static dfq_status time_forward(const dfqi_model *m, const dfq_tensor *images, double *out)
{
    int64_t n = images->dims[0];
    float *z = dfqi_calloc(m->ctx, (size_t)n, (size_t)m->net.arch.classes * sizeof *z);
    dfq_status status = z ? DFQ_OK : DFQ_E_NOMEM;
    for (int i = 0; i < 2 && status == DFQ_OK; i++) {
        double start = dfqi_now();
        status = dfqi_model_logits(m, dfqi_tensor_f32(images), n, z);
        *out = (dfqi_now() - start) / (double)n;
    }
    dfqi_free(m->ctx, z);
    return status;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Bytes of a forward pass; `keep`: all operands of products can be read afterwards. */
static dfq_status forward_bytes(const dfqi_model *m, int64_t batch, int keep, double *out)
{
    dfqi_graph *g;
    dfqi_id x, logits;
    size_t bytes = 0;
    DFQI_TRY(dfqi_model_graph_with(m, batch, DFQI_GRAPH_WHOLE, &g, &x, &logits));
    for (int32_t i = 0; keep && i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        if (!(dfqi_op_get(n->op)->flags & DFQI_OPF_PRODUCT)) continue;
        for (int32_t k = 0; k < 2 && k < n->n_in; k++)
            if (n->in[k] >= 0 && g->values[n->in[k]].kind == DFQI_VALUE_NODE)
                dfqi_graph_keep(g, n->in[k]);
    }
    dfq_status status = dfqi_exec_estimate(g, &bytes);
    dfqi_graph_free(g);
    *out = (double)bytes;
    return status;
}

/* Moments and their factors of the widest layer, as rounding.c has them. */
static double rounding_bytes(const dfqi_network *net)
{
    double widest = 0;
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfq_tensor *t = net->params[i].tensor;
        double cols = (double)dfqi_tensor_count(t) / (double)t->dims[0];
        if (t->rank >= 2 && t->dims[0] > 1 && cols > widest) widest = cols;
    }
    return widest * widest * (sizeof(float) + 4 * sizeof(double));
}

/* What the walk of rounding keeps of n images, of teacher and student (rounding.h). */
static dfq_status live_bytes(const dfqi_model *m, int64_t n, double *out)
{
    dfqi_graph *g;
    dfqi_id x, logits, *stops;
    dfqi_walk *walk = NULL;
    int32_t layers = 0;
    DFQI_TRY(dfqi_model_graph_with(m, 1, DFQI_GRAPH_WHOLE, &g, &x, &logits));
    stops = dfqi_calloc(m->ctx, (size_t)g->n_nodes, sizeof *stops);
    dfq_status status = stops ? DFQ_OK : DFQ_E_NOMEM;
    for (int32_t i = 0; stops && i < g->n_nodes; i++)
        if (g->nodes[i].op == DFQI_OP_LINEAR || g->nodes[i].op == DFQI_OP_CONV)
            stops[layers++] = g->nodes[i].in[0];
    if (status == DFQ_OK) status = dfqi_walk_new(g, layers, stops, NULL, &walk);
    if (status == DFQ_OK) {
        double bytes = 2.0 * (double)n * sizeof(float) * (double)dfqi_walk_floats(walk);
        *out = bytes < DFQI_ROUND_LIVE_BYTES ? bytes : DFQI_ROUND_LIVE_BYTES;
    }
    dfqi_walk_free(walk);
    dfqi_free(m->ctx, stops);
    dfqi_graph_free(g);
    return status;
}

/* Bytes of the statistics of activations (search.h), which are kept until weights are rounded. */
static dfq_status stats_bytes(const dfqi_network *net, double *out)
{
    const double each = 2 * sizeof(float) + 2 * sizeof(double) +
                        DFQI_CANDIDATES * (2 * sizeof(float) + sizeof(double));
    dfqi_scheme s;
    double bytes = 0;
    DFQI_TRY(dfqi_scheme_new(net, DFQI_MODE_IMPROVED, (dfqi_widths){.weight = 4, .act = 4}, &s));
    for (int32_t i = 0; i < s.n_sites; i++) {
        if (!s.sites[i].scale) continue;
        int64_t n = dfqi_tensor_count(s.sites[i].scale);
        bytes += 2 * (double)sizeof(float) * (double)n; /* the scheme's own */
        if (dfqi_site_is_weight(&s.sites[i])) continue;
        bytes += each * (double)n + (double)sizeof(float) * (double)dfqi_stats_tile(n, n);
    }
    dfqi_scheme_fini(&s);
    *out = bytes;
    return DFQ_OK;
}

/* Bytes of the samples that the search of a CNN's grids looks at (cnn_grids.h). */
static dfq_status sample_bytes(const dfqi_network *net, int64_t n, double *out)
{
    dfqi_graph *g;
    double floats = 0;
    DFQI_TRY(dfqi_network_whole(net, &g));
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *node = &g->nodes[i];
        const bool input = node->op == DFQI_OP_CONV && !dfqi_has_codes(g, node->in[0]);
        if (!dfqi_op_activates(node->op) && !input) continue;
        const dfqi_id value = input ? node->in[0] : node->out[0];
        double all = (double)n * (double)dfqi_value_stride(&g->values[value]);
        floats += all < DFQI_GRID_SAMPLE ? all : DFQI_GRID_SAMPLE;
    }
    dfqi_graph_free(g);
    *out = (double)sizeof(float) * floats;
    return DFQ_OK;
}

static bool walks(const dfqi_quantize_job *job)
{
    return job->walks && ((job->sweeps && !job->parity) || job->samples);
}

static dfq_status quantize_bytes(const dfqi_model *m, int64_t n, const dfqi_quantize_job *job,
                                 double *out)
{
    double kept = 0, plain, copy = 0, stats = 0, live = 0;
    int sweeps = job->sweeps && !job->rows, keep = job->parity || sweeps || job->samples;
    int64_t most = job->parity ? PARITY : keep ? SWEEP : FOLLOW;
    if (!job->rows) DFQI_TRY(forward_bytes(m, n < most ? n : most, keep, &kept));
    DFQI_TRY(forward_bytes(m, n < SWEEP ? n : SWEEP, 0, &plain));
    for (int32_t i = 0; i < m->net.n_params; i++)
        copy += (double)sizeof(float) * (double)dfqi_tensor_count(m->net.params[i].tensor);
    if (job->rotated || job->samples) copy *= 2;
    if (sweeps && !job->parity) DFQI_TRY(stats_bytes(&m->net, &stats));
    if (job->samples) DFQI_TRY(sample_bytes(&m->net, n, &stats));
    if (walks(job)) DFQI_TRY(live_bytes(m, n, &live));
    double round = live > 0 ? plain + live + rounding_bytes(&m->net) : 0;
    *out = copy + stats + (kept > round ? kept : round);
    return DFQ_OK;
}

/* -- estimates --------------------------------------------------------------------------------- */

static void fill_cost(const watch *w, int64_t n, int64_t sample, const dfqi_quantize_job *job,
                      double forward, double macs, dfqi_cost *out)
{
    double images = (double)n, walked = walks(job) ? WALK * images : 0;
    if (job->parity) { /* a pass for each quantizer, of 16 images */
        out->seconds = w->calibrate;
        out->macs = macs * (double)w->steps * (double)sample;
    } else if (!job->sweeps) { /* the moments of a convolution's patches take as long as the walk */
        out->seconds = (w->calibrate + w->round) * images / (double)sample;
        out->macs = macs * (images + walked);
    } else {
        out->seconds = w->calibrate * images / (double)sample + w->round + forward * walked;
        out->macs = macs * (images * SWEEPS + walked);
        if (out->seconds == 0) out->seconds = w->all;
    }
}

dfq_status dfqi_quantize_estimate(const dfqi_model *m, int64_t n, const dfqi_quantize_job *job,
                                  dfqi_cost *out)
{
    const dfqi_arch *a = &m->net.arch;
    int rounds = job->sweeps && !job->parity;
    int64_t most = job->parity ? PARITY : rounds ? SAMPLE : FOLLOW, sample = n < most ? n : most;
    watch w = {.last = rounds || job->samples ? "round" : "calibrate",
               .parts = rounds || job->parity ? (uint64_t)dfqi_arch_blocks(a) : 1};
    dfq_tensor *noise = NULL;
    double forward, macs;
    dfqi_cost c;
    dfq_status status;
    DFQI_GOTO(make_noise(m, sample, &noise), out);
    watch_begin(m->ctx, &w);
    w.all = dfqi_now();
    status = job->run(m, noise, job->user);
    w.all = dfqi_now() - w.all;
    watch_end(m->ctx, &w);
    if (status == DFQ_E_CANCELLED && w.enough) status = DFQ_OK;
    if (status != DFQ_OK) goto out;
    DFQI_GOTO(time_forward(m, noise, &forward), out);
    DFQI_GOTO(dfqi_network_macs(&m->net, &macs), out);
    DFQI_GOTO(quantize_bytes(m, n, job, &c.bytes), out);
    fill_cost(&w, n, sample, job, forward, macs, &c);
    *out = c;
out:
    dfqi_tensor_release(noise);
    return status;
}

dfq_status dfqi_evaluate_estimate(const dfqi_model *m, const dfqi_dataset *d, int64_t first,
                                  int64_t n, dfqi_cost *out)
{
    const dfqi_arch *a = &m->net.arch;
    int64_t sample = n < JUDGED ? n : JUDGED;
    dfqi_accuracy acc;
    watch w = {.last = "", .parts = 1};
    dfqi_cost c;
    double macs;
    dfq_status status = DFQ_OK;
    for (int i = 0; i < 2 && status == DFQ_OK; i++) { /* the first run is a warm-up */
        watch_begin(m->ctx, &w);
        status = dfqi_evaluate(m, d, first, sample, NULL, &acc);
        watch_end(m->ctx, &w);
    }
    if (status == DFQ_OK) status = dfqi_network_macs(&m->net, &macs);
    if (status == DFQ_OK) status = forward_bytes(m, sample, 0, &c.bytes);
    if (status != DFQ_OK) return status;
    c.bytes += (double)sizeof(float) * (double)(sample * dfqi_arch_pixels(a));
    c.macs = macs * (double)n;
    c.seconds = w.calibrate * (double)n / (double)sample;
    *out = c;
    return DFQ_OK;
}
