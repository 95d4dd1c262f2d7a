/* Speed of the integer kernels of every table on one thread: products in GOPS and as a share of
 * what the same run measures for products on registers alone; the rest in elements a second. Last
 * of ViT-Tiny comes a whole block of one image, whose share counts its products alone.
 * Usage: bench_int_kernels [name of a table]. Best of several runs, in time of this thread, so that
 * waiting for a core does not count; still, the machine should be idle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "kernel/int_kernel.h"

enum { TOKENS = 197, WIDTH = 192, HIDDEN = 768, HEADS = 3, HEAD = 64, ROWS = 64 };

/* One measured call; `work` is its operations or elements. */
typedef struct job {
    const char *name;
    void (*run)(const dfqi_int_kernels *t, const struct job *j);
    int64_t m, n, k;
    int bits;
    double work;
    int64_t kernel, stride; /* convolutions of m x m pixels with k channels */
} job;

enum { FLOATS = 1 << 22, BYTES = 1 << 22 };
static float *x, *y, *scales, *scratch;
static uint8_t *codes, *codes2, *weights, *bytes;
static int32_t *zeros, *sums;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds(const dfqi_int_kernels *t, const job *j)
{
    double best = 1e30, begin = now();
    for (int run = 0; run < 5 || now() - begin < 0.1; run++) {
        int calls = 0;
        double start = now(), spent;
        do {
            j->run(t, j);
            calls++;
            spent = now() - start;
        } while (spent < 1e-3);
        if (spent / calls < best) best = spent / calls;
    }
    return best;
}

static double peak_of(const dfqi_int_kernels *t)
{
    double best = 0.0;
    for (int run = 0; run < 40; run++) {
        double start = now(), work = t->burst(1000), rate = work / (now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

/* -- products ---------------------------------------------------------------------------------- */

static dfqi_int_matrix matrix(int64_t n, int64_t k, int bits)
{
    return (dfqi_int_matrix){n, k, 1, bits <= 4, 0, weights, scales, sums};
}

static void run_product(const dfqi_int_kernels *t, const job *j)
{
    const dfqi_int_rows a = {codes, dfqi_int_row(j->k), scales, zeros, 0, 0};
    const dfqi_int_matrix b = matrix(j->n, j->k, j->bits);
    const dfqi_int_output out = {.bias = scales, .y = y, .ld_y = j->n};
    t->product(j->m, &a, &b, &out, bytes);
}

static dfqi_conv_shape shape(const job *j)
{
    const int64_t out = (j->m - 1) / j->stride + 1;
    return (dfqi_conv_shape){j->m,      j->m,      j->k,      out,           out, j->n,
                             j->kernel, j->kernel, j->stride, j->kernel / 2, 1};
}

static const float grid_scale = 40.0f;
static const dfqi_grid grid = {&grid_scale, NULL, 1, 0.0f, 255.0f};

static void run_conv(const dfqi_int_kernels *t, const job *j)
{
    const dfqi_conv_shape s = shape(j);
    const dfqi_int_rows a = {codes, dfqi_int_row(s.c), scales, zeros, 1, 0};
    const dfqi_int_matrix b = {.n = s.o,
                               .k = dfqi_int_conv_span(&s),
                               .spans = dfqi_int_conv_spans(&s),
                               .nibbles = j->bits <= 4,
                               .codes = weights,
                               .scale = scales,
                               .sum = sums};
    const dfqi_int_output out = {.bias = scales,
                                 .add_codes = codes2,
                                 .ld_add_codes = s.o,
                                 .add_scale = 0.1f,
                                 .relu = 1,
                                 .cap = INFINITY,
                                 .q = codes2,
                                 .ld_q = s.o,
                                 .grid = &grid};
    t->conv(&s, 0, s.out_y, &a, &b, &out, bytes);
}

static void run_depthwise(const dfqi_int_kernels *t, const job *j)
{
    const dfqi_conv_shape s = shape(j);
    const dfqi_int_rows a = {codes, dfqi_int_row(s.c), scales, zeros, 1, 0};
    const dfqi_int_matrix b = {s.c, j->kernel, j->kernel, 0, 0, weights, scales, sums};
    const dfqi_int_output out = {
        .bias = scales, .relu = 1, .cap = 6.0f, .q = codes2, .ld_q = s.c, .grid = &grid};
    t->depthwise(&s, 0, s.out_y, &a, &b, &out, bytes);
}

/* -- rows -------------------------------------------------------------------------------------- */

static void run_quantize(const dfqi_int_kernels *t, const job *j)
{
    t->quantize_rows(j->m, j->n, j->bits, x, j->n, codes2, dfqi_int_row(j->n), scratch, zeros);
}

static void run_static(const dfqi_int_kernels *t, const job *j)
{
    t->quantize(j->m, j->n, &grid, x, j->n, codes2, dfqi_int_row(j->n));
}

static void run_keys(const dfqi_int_kernels *t, const job *j)
{
    t->pack_rows(j->m, j->n, j->bits, x, 3 * WIDTH, codes2, scratch, sums);
}

static void run_values(const dfqi_int_kernels *t, const job *j)
{
    t->pack_columns(j->m, j->n, j->bits, x, 3 * WIDTH, codes2, scratch, NULL);
}

static void run_layernorm(const dfqi_int_kernels *t, const job *j)
{
    t->layernorm(j->m, j->n, 1e-6f, x, j->n, scales, scales, j->bits, codes2, dfqi_int_row(j->n), y,
                 zeros, scratch);
}

/* In place; what is above 6 stays as it is, so that no call sees other values. */
static void run_gelu(const dfqi_int_kernels *t, const job *j)
{
    t->gelu(j->m, j->n, x, j->n, j->bits, codes2, dfqi_int_row(j->n), scales, zeros, scratch);
}

static void run_softmax(const dfqi_int_kernels *t, const job *j)
{
    t->softmax(j->m, j->n, 0.125f, y, j->n, j->bits, codes2, dfqi_int_row(j->n), scratch);
}

/* -- a block of a transformer ------------------------------------------------------------------ */

/* Memory of a block. */
static struct {
    float x[TOKENS * WIDTH], qkv[TOKENS * 3 * WIDTH], heads[TOKENS * WIDTH];
    float hidden[ROWS * HIDDEN], s[TOKENS * HIDDEN], k_scale[TOKENS], v_scale[HEAD];
    uint8_t q[TOKENS * WIDTH], h[ROWS * HIDDEN], p[ROWS * 200], keys[208 * HEAD], values[200 * 64];
    int32_t z[TOKENS], k_sum[TOKENS];
} block;

static int64_t rows_from(int64_t i)
{
    return TOKENS - i < ROWS ? TOKENS - i : ROWS;
}

static void attend(const dfqi_int_kernels *t, int bits, int64_t h)
{
    float *q = block.qkv + h * HEAD, *k = q + WIDTH, *v = k + WIDTH;
    const dfqi_int_matrix keys = {TOKENS, HEAD, 1, 0, 0, block.keys, block.k_scale, block.k_sum};
    const dfqi_int_matrix values = {HEAD, TOKENS, 1, 0, 0, block.values, block.v_scale, NULL};
    t->pack_rows(TOKENS, HEAD, bits, k, 3 * WIDTH, block.keys, block.k_scale, block.k_sum);
    t->pack_columns(TOKENS, HEAD, bits, v, 3 * WIDTH, block.values, block.v_scale, NULL);
    for (int64_t i = 0; i < TOKENS; i += ROWS) {
        const int64_t n = rows_from(i);
        const dfqi_int_rows a = {block.q, HEAD, block.s, block.z, 0, (1 << bits) - 1};
        const dfqi_int_rows map = {block.p, 200, block.s, NULL, 0, (1 << bits) - 1};
        const dfqi_int_output scores = {.y = block.hidden, .ld_y = TOKENS};
        const dfqi_int_output out = {.y = block.heads + i * WIDTH + h * HEAD, .ld_y = WIDTH};
        t->quantize_rows(n, HEAD, bits, q + i * 3 * WIDTH, 3 * WIDTH, block.q, HEAD, block.s,
                         block.z);
        t->product(n, &a, &keys, &scores, bytes);
        t->softmax(n, TOKENS, 0.125f, block.hidden, TOKENS, bits, block.p, 200, block.s);
        t->product(n, &map, &values, &out, bytes);
    }
}

/* Linear layer number i of those of a block, whose weights lie behind each other. */
static dfqi_int_matrix layer(int i, int bits)
{
    static const int64_t extents[4][2] = {
        {3 * WIDTH, WIDTH}, {WIDTH, WIDTH}, {HIDDEN, WIDTH}, {WIDTH, HIDDEN}};
    dfqi_int_matrix b = matrix(extents[i][0], extents[i][1], bits);
    for (int k = 0; k < i; k++)
        b.codes += dfqi_int_packed_bytes(extents[k][0], 1, extents[k][1], bits);
    return b;
}

static void run_block(const dfqi_int_kernels *t, const job *j)
{
    const int wide = j->bits >= 10 ? j->bits / 10 : j->bits, bits = j->bits % 10;
    const dfqi_int_matrix qkv = layer(0, wide), proj = layer(1, wide);
    const dfqi_int_matrix fc1 = layer(2, wide), fc2 = layer(3, wide);
    const dfqi_int_rows rows = {block.q, WIDTH, block.s, block.z, 0, (1 << bits) - 1};
    const dfqi_int_rows hidden = {block.h, HIDDEN, block.s, block.z, 0, (1 << bits) - 1};
    memcpy(block.x, x, sizeof block.x);
    for (int64_t i = 0; i < TOKENS; i += ROWS) {
        const dfqi_int_output out = {
            .bias = scales, .y = block.qkv + i * 3 * WIDTH, .ld_y = 3 * WIDTH};
        t->layernorm(rows_from(i), WIDTH, 1e-6f, block.x + i * WIDTH, WIDTH, scales, scales, bits,
                     block.q, WIDTH, block.s, block.z, scratch);
        t->product(rows_from(i), &rows, &qkv, &out, bytes);
    }
    for (int64_t h = 0; h < HEADS; h++) attend(t, bits, h);
    for (int64_t i = 0; i < TOKENS; i += ROWS) {
        const int64_t n = rows_from(i);
        float *at = block.x + i * WIDTH;
        const dfqi_int_output sum = {
            .bias = scales, .add = at, .ld_add = WIDTH, .y = at, .ld_y = WIDTH};
        const dfqi_int_output up = {.bias = scales, .y = block.hidden, .ld_y = HIDDEN};
        t->quantize_rows(n, WIDTH, bits, block.heads + i * WIDTH, WIDTH, block.q, WIDTH, block.s,
                         block.z);
        t->product(n, &rows, &proj, &sum, bytes);
        t->layernorm(n, WIDTH, 1e-6f, at, WIDTH, scales, scales, bits, block.q, WIDTH, block.s,
                     block.z, scratch);
        t->product(n, &rows, &fc1, &up, bytes);
        t->gelu(n, HIDDEN, block.hidden, HIDDEN, bits, block.h, HIDDEN, block.s, block.z, scratch);
        t->product(n, &hidden, &fc2, &sum, bytes);
    }
}

/* -- what is measured -------------------------------------------------------------------------- */

#define PRODUCT(name, m, n, k)                                                                     \
    {name, run_product, m, n, k, 8, 2.0 * (m) * (n) * (k), 0, 0},                                  \
    {                                                                                              \
        name, run_product, m, n, k, 4, 2.0 * (m) * (n) * (k), 0, 0                                 \
    }
#define BLOCK_WORK                                                                                 \
    (2.0 * TOKENS * (WIDTH * 4.0 * WIDTH + 2.0 * WIDTH * HIDDEN + 2.0 * TOKENS * WIDTH))
#define BLOCK(bits)                                                                                \
    {                                                                                              \
        "block of ViT-Tiny", run_block, TOKENS, 0, 0, bits, BLOCK_WORK, 0, 0                       \
    }
#define CONV(name, m, n, k, kernel, stride)                                                        \
    {                                                                                              \
        name, run_conv, m, n, k, 8,                                                                \
            2.0 * (((m)-1) / (stride) + 1) * (((m)-1) / (stride) + 1) * (n) * (k) * (kernel) *     \
                (kernel),                                                                          \
            kernel, stride                                                                         \
    }
#define DEPTHWISE(name, m, k, kernel, stride)                                                      \
    {                                                                                              \
        name, run_depthwise, m, k, k, 8,                                                           \
            2.0 * (((m)-1) / (stride) + 1) * (((m)-1) / (stride) + 1) * (k) * (kernel) * (kernel), \
            kernel, stride                                                                         \
    }
static const job products[] = {
    PRODUCT("qkv", TOKENS, 3 * WIDTH, WIDTH),
    PRODUCT("proj", TOKENS, WIDTH, WIDTH),
    PRODUCT("fc1", TOKENS, HIDDEN, WIDTH),
    PRODUCT("fc2", TOKENS, WIDTH, HIDDEN),
    PRODUCT("Q K^T", TOKENS, TOKENS, HEAD),
    PRODUCT("P V", TOKENS, HEAD, TOKENS),
    PRODUCT("head", 1, 1000, WIDTH),
    BLOCK(8),
    BLOCK(48),
    BLOCK(4),
    CONV("ResNet-20, stage 1", 32, 16, 16, 3, 1),
    CONV("ResNet-20, to 2", 32, 32, 16, 3, 2),
    CONV("ResNet-20, stage 2", 16, 32, 32, 3, 1),
    CONV("ResNet-20, stage 3", 8, 64, 64, 3, 1),
    CONV("ResNet-50, 1 x 1", 56, 64, 256, 1, 1),
    CONV("ResNet-50, 1 x 1", 56, 256, 64, 1, 1),
    CONV("ResNet-50, 3 x 3", 56, 64, 64, 3, 1),
    CONV("ResNet-50, 3 x 3", 28, 128, 128, 3, 1),
    CONV("ResNet-50, 3 x 3", 14, 256, 256, 3, 1),
    CONV("ResNet-50, 3 x 3", 7, 512, 512, 3, 1),
    CONV("ResNet-50, 1 x 1", 7, 2048, 512, 1, 1),
    CONV("ResNet-50, shortcut", 56, 512, 256, 1, 2),
    CONV("ResNet-50, stem", 224, 64, 3, 7, 2),
    CONV("MobileNetV2, expand", 56, 144, 24, 1, 1),
    CONV("MobileNetV2, project", 56, 24, 144, 1, 1),
    CONV("MobileNetV2, project", 14, 96, 576, 1, 1),
    DEPTHWISE("MobileNetV2, early", 112, 32, 3, 1),
    DEPTHWISE("MobileNetV2, early", 56, 144, 3, 1),
    DEPTHWISE("MobileNetV2, stride", 56, 144, 3, 2),
    DEPTHWISE("MobileNetV2, late", 7, 960, 3, 1),
};
#define ELEMENTS(name, fn, m, n, bits)                                                             \
    {                                                                                              \
        name, fn, m, n, 0, bits, 1.0 * (m) * (n), 0, 0                                             \
    }
static const job rest[] = {
    ELEMENTS("quantize rows", run_quantize, TOKENS, WIDTH, 8),
    ELEMENTS("quantize rows", run_quantize, TOKENS, HEAD, 8),
    ELEMENTS("quantize, static", run_static, TOKENS, WIDTH, 8),
    ELEMENTS("pack keys", run_keys, TOKENS, HEAD, 8),
    ELEMENTS("pack values", run_values, TOKENS, HEAD, 8),
    ELEMENTS("layernorm", run_layernorm, ROWS, WIDTH, 8),
    ELEMENTS("gelu", run_gelu, ROWS, HIDDEN, 8),
    ELEMENTS("softmax", run_softmax, ROWS, TOKENS, 8),
};

static void measure(const dfqi_int_kernels *t)
{
    double peak = peak_of(t);
    printf("%s: peak %.1f GOPS on one thread\n", t->name, 1e-9 * peak);
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        const job *j = &products[i];
        double s = seconds(t, j);
        printf("  %-22s %4d x %4d x %4d, %2d bits %8.1f GOPS", j->name, (int)j->m, (int)j->n,
               (int)j->k, j->bits, 1e-9 * j->work / s);
        if (peak > 0.0) printf(" %5.1f %%", 100.0 * j->work / s / peak);
        printf(" %8.1f us\n", 1e6 * s);
    }
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        const job *j = &rest[i];
        double s = seconds(t, j);
        printf("  %-22s %4d x %4d %23.2f Gelem/s %13.1f us\n", j->name, (int)j->m, (int)j->n,
               1e-9 * j->work / s, 1e6 * s);
    }
}

static void *take(size_t bytes_)
{
    void *block_;
    if (posix_memalign(&block_, 64, bytes_) != 0) exit(EXIT_FAILURE);
    return block_;
}

static void fill(void)
{
    dfqi_rng rng = dfqi_rng_make(1, 1);
    x = take(FLOATS * sizeof *x);
    y = take(FLOATS * sizeof *y);
    scales = take(4096 * sizeof *scales);
    scratch = take(4096 * sizeof *scratch);
    zeros = take(4096 * sizeof *zeros);
    sums = take(4096 * sizeof *sums);
    codes = take(BYTES);
    codes2 = take(BYTES);
    weights = take(BYTES);
    bytes = take(BYTES);
    for (int i = 0; i < FLOATS; i++) x[i] = dfqi_rng_range(&rng, -1.0f, 1.0f), y[i] = 7.0f + x[i];
    for (int i = 0; i < 4096; i++) scales[i] = 0.01f, zeros[i] = 100, sums[i] = i;
    for (int i = 0; i < BYTES; i++)
        codes[i] = weights[i] = (uint8_t)dfqi_rng_below(&rng, 256), codes2[i] = 0;
}

int main(int argc, char **argv)
{
    const dfqi_int_kernels *list[4];
    int32_t n = dfqi_int_kernels_list(list, 4);
    fill();
    for (int32_t i = 0; i < n; i++)
        if (argc < 2 ? i + 1 < n : strcmp(list[i]->name, argv[1]) == 0) measure(list[i]);
    return EXIT_SUCCESS;
}
