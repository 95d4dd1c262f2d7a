/* Speed of the steps that the library's methods are made of, on ViT-Tiny or another network with
 * attention heads: forward, training step
 * (gradients of all weights, SGD), the same of the fake-quantized student alone (W4A4, min-max
 * weights, learned activation scales, KL to given logits), generation step (cross-entropy and
 * inter-head similarity of all blocks, gradient to the images). Images a second, GFLOPS of the
 * products, and where the time goes, in thread seconds for each kind of op.
 * Usage: bench_steps [batch] [threads] [weights.safetensors]; random weights without a file. Best
 * of several runs; the machine should be idle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "nn/load.h"
#include "nn/optim.h"
#include "quant/scheme.h"

enum { FORWARD, TRAIN, FAKE, GENERATE, N_STEPS, PARAMS_MAX = 512, DEPTH_MAX = 64 };

static const char *const step_names[N_STEPS] = {"forward", "training step", "fake-quant step",
                                                "generation step"};

typedef struct bench {
    dfq_context *ctx;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_exec *e;
    int64_t batch;
    float *x, *labels, *logits;
    dfqi_scheme scheme;
    int32_t n_wrt; /* what a training step moves: weights, then scales and zero points */
    float *moved[PARAMS_MAX];
    dfqi_id ids[PARAMS_MAX], dids[PARAMS_MAX];
    dfqi_moments moments[PARAMS_MAX];
} bench;

static void must(const bench *b, dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "bench_steps: %s\n", b->ctx->error);
    exit(1);
}

static void open_network(bench *b, const char *path)
{
    dfqi_arch a = {.name = "vit_tiny_patch16_224",
                   .image = {224, 224},
                   .channels = 3,
                   .classes = 1000,
                   .of.vit.patch = 16,
                   .of.vit.width = 192,
                   .of.vit.depth = 12,
                   .of.vit.heads = 3,
                   .of.vit.hidden = 768,
                   .eps = 1e-6f};
    if (path) {
        dfqi_safetensors st;
        must(b, dfqi_st_read(b->ctx, path, &st));
        must(b, dfqi_arch_find(&st, path, NULL, NULL, &a));
        dfqi_network net;
        must(b, dfqi_network_take(&st, path, &a, &net));
        must(b, dfqi_network_clone(&net, &b->net)); /* training writes */
        dfqi_network_fini(&net);
        dfqi_st_fini(&st);
    } else {
        dfqi_rng rng = dfqi_rng_make(1, 0);
        must(b, dfqi_network_new(b->ctx, &a, &b->net));
        for (int32_t i = 0; i < b->net.n_params; i++) {
            float *w = dfqi_tensor_f32(b->net.params[i].tensor);
            int norm = strstr(b->net.params[i].name, "norm") != NULL;
            for (int64_t k = 0; k < dfqi_tensor_count(b->net.params[i].tensor); k++)
                w[k] = 0.03f * dfqi_rng_normal(&rng) + (norm ? 1.0f : 0.0f);
        }
    }
    if (b->net.n_params > PARAMS_MAX || dfqi_arch_blocks(&b->net.arch) > DEPTH_MAX) {
        fprintf(stderr, "bench_steps: at most %d blocks\n", DEPTH_MAX);
        exit(1);
    }
}

static void add_moved(bench *b, dfqi_id id, const dfq_tensor *t)
{
    if (id == DFQI_NONE || b->n_wrt == PARAMS_MAX) return;
    b->ids[b->n_wrt] = id;
    b->moved[b->n_wrt] = dfqi_tensor_f32(t);
    must(b, dfqi_moments_new(b->ctx, DFQI_SGD, dfqi_tensor_count(t), &b->moments[b->n_wrt]));
    b->n_wrt++;
}

/* The network on x; the student of FAKE has quantized operands. */
static void build_network(bench *b, int step, dfqi_id x, dfqi_taps *taps)
{
    dfqi_quant_pass pass;
    dfqi_graph *g = b->g;
    int train = step == TRAIN || step == FAKE;
    dfqi_network_params(&b->net, g, !train, b->ids);
    if (step == FAKE) must(b, dfqi_quant_pass_begin(&pass, g, &b->scheme, 0));
    dfqi_network_forward(&b->net, g, b->ids, x, taps);
    for (int32_t i = 0; train && i < b->net.n_params; i++)
        add_moved(b, b->ids[i], b->net.params[i].tensor);
    if (step != FAKE) return;
    dfqi_quant_pass_end(&pass, g);
    for (int32_t i = 0; i < b->scheme.n_sites; i++) {
        add_moved(b, pass.scale[i], b->scheme.sites[i].scale);
        add_moved(b, pass.zero_point[i], b->scheme.sites[i].zero_point);
    }
    dfqi_quant_pass_fini(&pass, b->ctx);
}

static dfqi_id build_loss(bench *b, int step, const dfqi_taps *taps, dfqi_id labels, dfqi_id logits)
{
    int64_t depth = dfqi_arch_blocks(&b->net.arch);
    dfqi_graph *g = b->g;
    dfqi_id term[2];
    if (step == FAKE) {
        term[0] = dfqi_kl(g, taps->logits, logits, 5.0f);
        return dfqi_total(g, 1, term, (float[]){1.0f});
    }
    term[0] = dfqi_cross_entropy(g, taps->logits, labels);
    if (step == TRAIN) return dfqi_total(g, 1, term, (float[]){1.0f});
    for (int64_t i = 0; i < depth; i++) {
        dfqi_attention a;
        dfqi_arch_attention(&b->net.arch, i, &a);
        dfqi_id one = dfqi_inter_head(g, taps->raw[i], a.windows, a.drop, DFQI_DISTANCE_SQUARE);
        term[1] = i ? dfqi_add(g, term[1], one) : one;
    }
    return dfqi_total(g, 2, term, (float[]){1.0f, 1.0f / (float)depth});
}

static void build(bench *b, int step)
{
    const dfqi_arch *a = &b->net.arch;
    dfqi_id raw[DEPTH_MAX];
    dfqi_taps taps = {.raw = raw};
    b->n_wrt = 0;
    must(b, dfqi_graph_new(b->ctx, b->batch, &b->g));
    dfqi_graph *g = b->g;
    dfqi_id x = dfqi_arch_input(a, g);
    dfqi_id labels = dfqi_graph_input(g, "labels", 1, 0, NULL);
    dfqi_id logits = dfqi_graph_input(g, "logits", 1, 1, &a->classes);
    build_network(b, step, x, &taps);
    if (step == FORWARD) {
        dfqi_graph_keep(g, taps.logits);
    } else {
        dfqi_id loss = build_loss(b, step, &taps, labels, logits), one = dfqi_fill(g, loss, 1);
        int32_t n = step == GENERATE ? 1 : b->n_wrt;
        must(b, dfqi_graph_grad(g, 1, &loss, &one, n, step == GENERATE ? &x : b->ids, b->dids));
        for (int32_t i = 0; i < n; i++) dfqi_graph_keep(g, b->dids[i]);
        dfqi_graph_keep(g, loss);
    }
    must(b, dfqi_exec_new(g, &b->e));
    dfqi_exec_bind(b->e, x, b->x);
    dfqi_exec_bind(b->e, labels, b->labels);
    dfqi_exec_bind(b->e, logits, b->logits);
}

static void run_once(bench *b, int64_t t)
{
    static const dfqi_optim_options sgd = {.kind = DFQI_SGD, .momentum = 0.9f};
    must(b, dfqi_exec_run(b->e));
    for (int32_t i = 0; i < b->n_wrt; i++)
        dfqi_optim_step(b->ctx, &sgd, &b->moments[i], t, 1e-6f, dfqi_exec_data(b->e, b->dids[i]),
                        b->moved[i]);
}

/* Multiply-accumulates of the products alone. */
static double product_macs(const dfqi_graph *g)
{
    double sum = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_op *op = dfqi_op_get(g->nodes[i].op);
        if (op->macs) sum += op->macs(g, &g->nodes[i]);
    }
    return sum;
}

static void print_profile(const bench *b, double runs)
{
    double total = 0;
    for (int k = 0; k < DFQI_OP_COUNT; k++) total += dfqi_exec_seconds(b->e, (dfqi_op_kind)k);
    for (int k = 0; k < DFQI_OP_COUNT; k++) {
        double s = dfqi_exec_seconds(b->e, (dfqi_op_kind)k);
        if (s > 0.002 * total)
            printf("  %-16s %8.2f ms %5.1f %%\n", dfqi_op_get((dfqi_op_kind)k)->name,
                   1e3 * s / runs, 100 * s / total);
    }
    printf("  %-16s %8.2f ms\n", "all ops", 1e3 * total / runs);
}

static void measure(bench *b, int step)
{
    double best = 1e30, begin, start;
    int64_t t = 0, runs = 0;
    size_t bytes;
    build(b, step);
    run_once(b, ++t);
    for (begin = dfqi_now(); dfqi_now() - begin < 4.0 || runs < 3; runs++) {
        start = dfqi_now();
        run_once(b, ++t);
        double spent = dfqi_now() - start;
        if (spent < best) best = spent;
    }
    must(b, dfqi_exec_estimate(b->g, &bytes));
    printf("%-16s %7.1f img/s %7.1f GFLOPS %7.1f ms a step %6.0f MB\n", step_names[step],
           (double)b->batch / best, 2e-9 * product_macs(b->g) / best, 1e3 * best,
           (double)bytes * 1e-6);
    must(b, dfqi_exec_profile(b->e));
    for (runs = 0; runs < 3; runs++) run_once(b, ++t);
    print_profile(b, 3);
    for (int32_t i = 0; i < b->n_wrt; i++) dfqi_moments_fini(b->ctx, &b->moments[i]);
    dfqi_exec_free(b->e);
    dfqi_graph_free(b->g);
}

int main(int argc, char **argv)
{
    bench b = {.batch = argc > 1 ? atoi(argv[1]) : 8};
    dfq_context_options o;
    dfqi_rng rng = dfqi_rng_make(2, 0);
    dfq_context_options_init(&o, sizeof o);
    o.threads = argc > 2 ? atoi(argv[2]) : 0;
    if (dfq_context_create(&o, &b.ctx) != DFQ_OK) return 1;
    open_network(&b, argc > 3 ? argv[3] : NULL);
    size_t pixels = (size_t)dfqi_arch_pixels(&b.net.arch);
    b.x = dfqi_calloc(b.ctx, (size_t)b.batch * pixels, sizeof *b.x);
    b.labels = dfqi_calloc(b.ctx, (size_t)b.batch, sizeof *b.labels);
    b.logits = dfqi_calloc(b.ctx, (size_t)(b.batch * b.net.arch.classes), sizeof *b.logits);
    if (!b.x || !b.labels || !b.logits) must(&b, DFQ_E_NOMEM);
    for (size_t i = 0; i < (size_t)b.batch * pixels; i++) b.x[i] = dfqi_rng_range(&rng, -1, 1);
    must(&b, dfqi_scheme_new(&b.net, DFQI_MODE_PARITY, (dfqi_widths){4, 4, 0}, &b.scheme));
    must(&b, dfqi_scheme_calibrate(&b.scheme, &b.net, &b.net, b.x, b.batch));
    printf("%s, batch %d, %d threads, kernels %s\n", b.net.arch.name, (int)b.batch, b.ctx->threads,
           dfq_context_get_kernels(b.ctx));
    for (int step = 0; step < N_STEPS; step++) measure(&b, step);
    dfqi_scheme_fini(&b.scheme);
    dfqi_free(b.ctx, b.x);
    dfqi_free(b.ctx, b.labels);
    dfqi_free(b.ctx, b.logits);
    dfqi_network_fini(&b.net);
    dfq_context_release(b.ctx);
    return 0;
}
