/* Speed of every kernel slot of every table on one thread, at the shapes of ViT-Tiny, and of
 * ResNet-20, ResNet-18, MobileNetV2 and a generator of images for convolutions: products in GFLOPS
 * and as a share of the FMA peak that the same run measures, the rest in elements a second.
 * Usage: bench_kernels [name or part of a table]. Best of several runs; the machine should be idle.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/rng.h"
#include "kernel/tables.h"

enum {
    TOKENS = 197,
    WIDTH = 192,
    HIDDEN = 768,
    HEADS = 3,
    HEAD = 64,
    BATCH_ROWS = 3152,
    DW_IMAGES = 4
};

/* One measured call; `work` is its flops or elements. */
typedef struct job {
    const char *name;
    void (*run)(const dfqi_kernels *t, const struct job *j);
    int64_t m, n, k;
    double work;
    int64_t stride; /* convolutions */
} job;

static float *buf[6]; /* each holds the largest operand; values in (0, 1) */

static const size_t buf_floats = (size_t)16 * 512 * 512;

static double seconds(const dfqi_kernels *t, const job *j)
{
    double best = 1e30;
    double begin = dfqi_now();
    /* At least 5 runs and 60 ms, each of enough calls for the clock. */
    for (int run = 0; run < 5 || dfqi_now() - begin < 0.06; run++) {
        int calls = 0;
        double start = dfqi_now();
        double spent;
        do {
            j->run(t, j);
            calls++;
            spent = dfqi_now() - start;
        } while (spent < 1e-3);
        if (spent / calls < best) best = spent / calls;
    }
    return best;
}

static double fma_peak(void)
{
    double best = 0.0;
    for (int run = 0; run < 20; run++) {
        double start = dfqi_now();
        double flops = dfqi_fma_burst(1000);
        double rate = flops / (dfqi_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

static void run_packed(const dfqi_kernels *t, const job *j)
{
    t->gemm_packed(j->m, j->n, j->k, buf[0], j->k, buf[1], buf[3], buf[2], j->n);
}

static void run_scores(const dfqi_kernels *t, const job *j) /* q, k inside of a row of 3 x WIDTH */
{
    t->gemm_nt(j->m, j->n, j->k, buf[0], 3 * WIDTH, buf[0] + WIDTH, 3 * WIDTH, buf[2], j->n,
               buf[1]);
}

static void run_mix(const dfqi_kernels *t, const job *j)
{
    t->gemm(0, j->m, j->n, j->k, buf[1], j->k, buf[0], 3 * WIDTH, 0, buf[2], WIDTH);
}

static void run_weight_grad(const dfqi_kernels *t, const job *j)
{
    t->gemm(1, j->m, j->n, j->k, buf[0], j->m, buf[1], j->n, 0, buf[2], j->n);
}

static void run_mix_grad(const dfqi_kernels *t, const job *j) /* P^T dO */
{
    t->gemm(1, j->m, j->n, j->k, buf[1], j->m, buf[0], WIDTH, 0, buf[2], 3 * WIDTH);
}

static void run_pack(const dfqi_kernels *t, const job *j)
{
    t->pack(1, j->k, j->n, buf[0], j->k, buf[1]);
}

#define PRODUCT(name, fn, m, n, k)                                                                 \
    {                                                                                              \
        name, fn, m, n, k, 2.0 * (m) * (n) * (k), 0                                                \
    }
static const job products[] = {
    PRODUCT("qkv", run_packed, TOKENS, 3 * WIDTH, WIDTH),
    PRODUCT("proj", run_packed, TOKENS, WIDTH, WIDTH),
    PRODUCT("fc1", run_packed, TOKENS, HIDDEN, WIDTH),
    PRODUCT("fc2", run_packed, TOKENS, WIDTH, HIDDEN),
    PRODUCT("head, 16 rows", run_packed, 16, 1000, WIDTH),
    PRODUCT("QK^T", run_scores, TOKENS, TOKENS, HEAD),
    PRODUCT("AV", run_mix, TOKENS, HEAD, TOKENS),
    PRODUCT("A^T dO", run_mix_grad, TOKENS, HEAD, TOKENS),
    PRODUCT("dW qkv", run_weight_grad, 3 * WIDTH, WIDTH, BATCH_ROWS),
    PRODUCT("dW proj", run_weight_grad, WIDTH, WIDTH, BATCH_ROWS),
    PRODUCT("dW fc1", run_weight_grad, HIDDEN, WIDTH, BATCH_ROWS),
    PRODUCT("dW fc2", run_weight_grad, WIDTH, HIDDEN, BATCH_ROWS),
    PRODUCT("dW fc1, 197", run_weight_grad, HIDDEN, WIDTH, TOKENS),
};

/* Convolutions of one image, conv_dw of some, of m x m pixels with 3 x 3 taps: k channels, n
 * filters. */
static dfqi_conv_shape conv_shape(const job *j)
{
    const int64_t out = (j->m - 1) / j->stride + 1;
    return (dfqi_conv_shape){j->m, j->m, j->k, out, out, j->n, 3, 3, j->stride, 1, 1};
}

#define RUN_CONV(slot, ...)                                                                        \
    static void run_##slot(const dfqi_kernels *t, const job *j)                                    \
    {                                                                                              \
        const dfqi_conv_shape s = conv_shape(j);                                                   \
        t->slot(&s, __VA_ARGS__);                                                                  \
    }
RUN_CONV(conv, buf[0], buf[1], NULL, buf[2], buf[4])
RUN_CONV(conv_dx, buf[0], buf[1], buf[2], buf[4])
RUN_CONV(conv_dw, DW_IMAGES, 0, s.o, buf[0], buf[1], buf[2], buf[4])
RUN_CONV(winograd, buf[0], buf[1], NULL, buf[2], buf[4])
RUN_CONV(winograd_dx, buf[0], buf[1], buf[2], buf[4])
RUN_CONV(winograd_dw, DW_IMAGES, 0, s.o, buf[0], buf[1], buf[2], buf[4])
RUN_CONV(depthwise, buf[0], buf[1], NULL, buf[2], buf[4])
RUN_CONV(depthwise_dx, buf[0], buf[1], buf[2], buf[4])
RUN_CONV(depthwise_dw, 1, 0, s.o, buf[0], buf[1], buf[2], buf[4])

static void run_conv_pack(const dfqi_kernels *t, const job *j)
{
    t->conv_pack(0, j->n, j->k, 9, buf[0], 9 * j->k, buf[2]);
}

static void run_conv_pack_dx(const dfqi_kernels *t, const job *j)
{
    t->conv_pack(1, j->n, j->k, 9, buf[0], 9 * j->k, buf[2]);
}

static void run_conv_unpack(const dfqi_kernels *t, const job *j)
{
    t->conv_unpack(j->n, j->k, 9, buf[0], buf[2]);
}

#define CONV(name, m, n, k, stride, out)                                                           \
    {"conv, " name, run_conv, m, n, k, 18.0 * (out) * (out) * (n) * (k), stride},                  \
        {"conv_dx, " name, run_conv_dx, m, n, k, 18.0 * (out) * (out) * (n) * (k), stride},        \
    {                                                                                              \
        "conv_dw, " name, run_conv_dw, m, n, k, 18.0 * DW_IMAGES *(out) * (out) * (n) * (k),       \
            stride                                                                                 \
    }
/* Counted as if it multiplied as much as the direct one, whose rows come first. */
#define WINOGRAD(name, m, n, k)                                                                    \
    CONV(name, m, n, k, 1, m),                                                                     \
        {"winograd, " name, run_winograd, m, n, k, 18.0 * (m) * (m) * (n) * (k), 1},               \
        {"winograd_dx, " name, run_winograd_dx, m, n, k, 18.0 * (m) * (m) * (n) * (k), 1},         \
    {                                                                                              \
        "winograd_dw, " name, run_winograd_dw, m, n, k, 18.0 * DW_IMAGES *(m) * (m) * (n) * (k), 1 \
    }
#define DEPTHWISE(name, m, n, stride, out)                                                         \
    {"depthwise, " name, run_depthwise, m, n, n, 18.0 * (out) * (out) * (n), stride},              \
        {"depthwise_dx, " name, run_depthwise_dx, m, n, n, 18.0 * (out) * (out) * (n), stride},    \
    {                                                                                              \
        "depthwise_dw, " name, run_depthwise_dw, m, n, n, 18.0 * (out) * (out) * (n), stride       \
    }
static const job convs[] = {
    CONV("first", 32, 16, 3, 1, 32),       WINOGRAD("stage 1", 32, 16, 16),
    CONV("to stage 2", 32, 32, 16, 2, 16), WINOGRAD("stage 2", 16, 32, 32),
    CONV("to stage 3", 16, 64, 32, 2, 8),  WINOGRAD("stage 3", 8, 64, 64),
    WINOGRAD("generator 1", 16, 128, 128), WINOGRAD("generator 2", 32, 64, 128),
    CONV("generator 3", 32, 3, 64, 1, 32), WINOGRAD("56 pixels", 56, 64, 64),
    WINOGRAD("28 pixels", 28, 128, 128),   WINOGRAD("14 pixels", 14, 256, 256),
    WINOGRAD("7 pixels", 7, 512, 512),     DEPTHWISE("early", 56, 144, 1, 56),
    DEPTHWISE("stride", 56, 144, 2, 28),   DEPTHWISE("late", 7, 960, 1, 7),
};

/* The rest: m x n elements of the MLP or of one head. */
#define SIZE ((size_t)(j->m * j->n))
#define RUN(slot, call)                                                                            \
    static void run_##slot(const dfqi_kernels *t, const job *j)                                    \
    {                                                                                              \
        call;                                                                                      \
    }
static const float scale = 0.1f;
static const dfqi_grid grid = {&scale, NULL, 1, -8.0f, 7.0f};

RUN(add, t->add(SIZE, buf[0], buf[1], buf[2]))
RUN(axpy, t->axpy(SIZE, 0.0f, buf[0], buf[2]))
RUN(scale, t->scale(SIZE, 0.5f, buf[0], buf[2]))
RUN(gelu, t->gelu(SIZE, buf[0], buf[2]))
RUN(gelu_bwd, t->gelu_bwd(SIZE, buf[0], buf[1], buf[2]))
RUN(relu, t->relu(SIZE, 6.0f, buf[0], buf[2]))
RUN(relu_bwd, t->relu_bwd(SIZE, 6.0f, buf[0], buf[1], buf[2]))
RUN(softmax, t->softmax(j->m, j->n, 0.125f, buf[0], buf[2]))
RUN(softmax_bwd, t->softmax_bwd(j->m, j->n, 0.125f, buf[0], buf[1], buf[2]))
RUN(layernorm, t->layernorm(j->m, j->n, 1e-6f, buf[0], buf[3], buf[3], buf[2], buf[4]))
RUN(layernorm_bwd, t->layernorm_bwd(j->m, j->n, buf[0], buf[3], buf[3], buf[1], buf[2], buf[4]))
RUN(layernorm_dx, t->layernorm_bwd(j->m, j->n, buf[0], buf[3], buf[3], buf[1], buf[2], NULL))
RUN(col_sum, t->col_sum(j->m, j->n, buf[0], 0, buf[2]))
RUN(col_scale, t->col_scale(j->m, j->n, buf[0], buf[1], buf[2]))
RUN(fq, t->fq(j->m, j->n, &grid, buf[0], buf[2]))
RUN(fq_bwd, t->fq_bwd(j->m, j->n, &grid, buf[0], buf[1], buf[2], buf[4], buf[5]))
RUN(fq_log, t->fq_log(SIZE, 1.0f, 15.0f, buf[0], buf[2]))
RUN(fq_weight, t->fq_weight(j->m, j->n, 4, buf[0], NULL, NULL, buf[2], buf[4]))
RUN(transpose, t->transpose(j->m, j->n, buf[0], j->n, buf[2], j->m))
RUN(inter_head, t->inter_head(j->k, j->n, 1, DFQI_DISTANCE_SQUARE, buf[0], 1.0f, buf[2], buf[4]))
RUN(head_ssim, t->head_ssim(j->k, TOKENS, j->n, 1, buf[0], buf[1], 1.0f, buf[2], buf[4]))

static void run_fq_columns(const dfqi_kernels *t, const job *j)
{
    dfqi_grid g = {buf[3], buf[3], j->n, -8.0f, 7.0f};
    t->fq(j->m, j->n, &g, buf[0], buf[2]);
}

static void run_fq_bwd_columns(const dfqi_kernels *t, const job *j)
{
    dfqi_grid g = {buf[3], buf[3], j->n, -8.0f, 7.0f};
    t->fq_bwd(j->m, j->n, &g, buf[0], buf[1], buf[2], buf[4], buf[5]);
}

#define ELEMENTS(name, fn, m, n)                                                                   \
    {                                                                                              \
        name, fn, m, n, 0, 1.0 * (m) * (n), 0                                                      \
    }
static const job rest[] = {
    ELEMENTS("add", run_add, TOKENS, WIDTH),
    ELEMENTS("axpy", run_axpy, TOKENS, WIDTH),
    ELEMENTS("scale", run_scale, TOKENS, WIDTH),
    ELEMENTS("gelu", run_gelu, 48, HIDDEN),
    ELEMENTS("gelu, 197 rows", run_gelu, TOKENS, HIDDEN),
    ELEMENTS("gelu_bwd", run_gelu_bwd, 48, HIDDEN),
    ELEMENTS("relu", run_relu, TOKENS, WIDTH),
    ELEMENTS("relu_bwd", run_relu_bwd, TOKENS, WIDTH),
    ELEMENTS("softmax", run_softmax, TOKENS, TOKENS),
    ELEMENTS("softmax_bwd", run_softmax_bwd, TOKENS, TOKENS),
    ELEMENTS("layernorm", run_layernorm, TOKENS, WIDTH),
    ELEMENTS("layernorm_bwd", run_layernorm_bwd, TOKENS, WIDTH),
    ELEMENTS("layernorm_bwd, dx", run_layernorm_dx, TOKENS, WIDTH),
    ELEMENTS("col_sum", run_col_sum, TOKENS, HIDDEN),
    ELEMENTS("col_scale", run_col_scale, TOKENS, WIDTH),
    ELEMENTS("fq", run_fq, TOKENS, WIDTH),
    ELEMENTS("fq, columns", run_fq_columns, TOKENS, WIDTH),
    ELEMENTS("fq_bwd", run_fq_bwd, TOKENS, WIDTH),
    ELEMENTS("fq_bwd, columns", run_fq_bwd_columns, TOKENS, WIDTH),
    ELEMENTS("fq_log", run_fq_log, TOKENS, TOKENS),
    ELEMENTS("fq_weight", run_fq_weight, HIDDEN, WIDTH),
    ELEMENTS("transpose", run_transpose, TOKENS, TOKENS),
    /* One block of one image, all heads. */
    {"pack, transposed", run_pack, TOKENS, TOKENS, HEAD, 1.0 * TOKENS *HEAD, 0},
    {"inter_head", run_inter_head, TOKENS, TOKENS, HEADS, 1.0 * HEADS *TOKENS *TOKENS, 0},
    {"head_ssim", run_head_ssim, TOKENS, HEAD, HEADS, 1.0 * HEADS *TOKENS *HEAD, 0},
    {"conv_pack", run_conv_pack, 64, 64, 64, 9.0 * 64 * 64, 0},
    {"conv_pack, dx", run_conv_pack_dx, 64, 64, 64, 9.0 * 64 * 64, 0},
    {"conv_unpack", run_conv_unpack, 64, 64, 64, 9.0 * 64 * 64, 0},
};

static bool fill_buffers(void)
{
    dfqi_rng rng = dfqi_rng_make(1, 1);
    for (int b = 0; b < 6; b++) {
        void *block;
        if (posix_memalign(&block, 64, buf_floats * sizeof *buf[b]) != 0) return false;
        buf[b] = block;
        for (size_t i = 0; i < buf_floats; i++) buf[b][i] = dfqi_rng_range(&rng, 0.01f, 1.0f);
    }
    return true;
}

static void measure_products(const dfqi_kernels *t, double peak, const job *jobs, size_t n)
{
    for (const job *j = jobs; j < jobs + n; j++) {
        double rate = j->work / seconds(t, j);
        printf("  %-20s %4d x %4d x %4d %8.1f GFLOPS", j->name, (int)j->m, (int)j->n, (int)j->k,
               1e-9 * rate);
        if (peak > 0.0) printf(" %5.1f %%", 100.0 * rate / peak);
        printf("\n");
    }
}

static void measure(const dfqi_kernels *t, double peak)
{
    printf("%s\n", t->name);
    measure_products(t, peak, products, sizeof products / sizeof *products);
    measure_products(t, peak, convs, sizeof convs / sizeof *convs);
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        const job *j = &rest[i];
        double s = seconds(t, j);
        printf("  %-20s %4d x %4d        %8.2f Gelem/s %8.1f us\n", j->name, (int)j->m, (int)j->n,
               1e-9 * j->work / s, 1e6 * s);
    }
}

int main(int argc, char **argv)
{
    const dfqi_kernels *list[8];
    int32_t n = dfqi_kernels_list(list, 8);
    if (!fill_buffers()) return EXIT_FAILURE;
    double peak = fma_peak();
    printf("FMA peak %.1f GFLOPS on one thread\n", 1e-9 * peak);
    for (int32_t i = 0; i < n; i++)
        if (argc < 2 || strstr(list[i]->name, argv[1])) measure(list[i], peak);
    for (int b = 0; b < 6; b++) free(buf[b]);
    return EXIT_SUCCESS;
}
