/* Gradient inundation: numbers of the published code, PyTorch's, and what it promises. */
#include "nn/inundation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

static dfqi_inundation begin(dfq_context *ctx, int64_t largest, int64_t rows, double rho)
{
    dfqi_inundation w;
    ck_assert_int_eq(dfqi_inundation_new(ctx, largest, rows, &w), DFQ_OK);
    w.rho = (float)rho;
    return w;
}

/* -- golden vector 4 of ait.md ----------------------------------------------------------------- */

typedef struct published {
    int capped;
    double rho;
    double kappa[3][2];
    int changed[3][2];
    double w0[3];
} published;

static const published rows[] = {
    {1,
     0.001,
     {{126, 126}, {126, 126}, {126, 126}},
     {{0}},
     {0.197736160, 0.197702497, 0.197661266}},
    {1, 0.05, {{126, 126}, {126, 126}, {126, 126}}, {{0}}, {0.197736160, 0.197702497, 0.197661266}},
    {0,
     0.001,
     {{2016, 75776}, {4992, 192512}, {74, 1952}},
     {{1, 1}},
     {0.197377071, 0.196043149, 0.196018934}},
    {0,
     0.05,
     {{14080, 217088}, {3648, 108544}, {29184, 71680}},
     {{3, 1}, {18, 2}, {4, 1}},
     {0.195084900, 0.194110110, 0.184558570}}};

/* The two tensors and their gradients. */
static void fill(int t, float *p1, float *p2, float *g1, float *g2)
{
    for (int i = 0; i < 72; i++) {
        if (t == 0) p1[i] = (float)(0.5 * sin(0.7 * i + 0.3) + 0.05 * cos(3.1 * i));
        g1[i] = (float)(1e-3 * cos(1.3 * i + 0.2 * t));
    }
    for (int i = 0; i < 24; i++) {
        if (t == 0) p2[i] = (float)(0.4 * cos(0.9 * i));
        g2[i] = (float)(2e-4 * sin(2.3 * i + t));
    }
}

START_TEST(test_published)
{
    static const double velocity[3] = {0.001, 0.001880067, 0.002613121};
    static const dfqi_optim_options sgd = {.kind = DFQI_SGD, .momentum = 0.9f};
    const dfqi_codes codes[2] = {{4, {.bits = 4, .ranged = 1}}, {3, {.bits = 4, .ranged = 1}}};
    const published *row = &rows[_i];
    dfq_context *ctx = dfqt_context(1);
    dfqi_inundation w = begin(ctx, 72, 4, row->rho);
    dfqi_moments s[2];
    float p[2][72], g[2][72];
    ck_assert_int_eq(dfqi_moments_new(ctx, DFQI_SGD, 72, &s[0]), DFQ_OK);
    ck_assert_int_eq(dfqi_moments_new(ctx, DFQI_SGD, 24, &s[1]), DFQ_OK);
    w.capped = row->capped;
    for (int t = 0; t < 3; t++) {
        fill(t, p[0], p[1], g[0], g[1]);
        for (int k = 0; k < 2; k++) {
            dfqi_crossing c =
                dfqi_inundation_step(&w, &sgd, &s[k], t + 1, 1e-4f, g[k], p[k], &codes[k]);
            ck_assert_float_eq(c.kappa, (float)row->kappa[t][k]);
            ck_assert_int_eq(c.changed, row->changed[t][k]);
            ck_assert_int_eq(c.count, s[k].count);
        }
        ck_assert_double_eq_tol((double)p[0][0], row->w0[t], 1e-8);
        ck_assert_double_eq_tol((double)s[0].m[0], velocity[t], 1e-9);
    }
    for (int k = 0; k < 2; k++) dfqi_moments_fini(ctx, &s[k]);
    dfqi_inundation_fini(&w);
    dfqi_inundation_fini(&w);
    dfqi_context_release(ctx);
}
END_TEST

/* -- PyTorch's optimisers, three kinds of codes (tests/golden) --------------------------------- */

static const dfqi_optim_options optims[3] = {
    {.kind = DFQI_SGD, .momentum = 0.9f},
    {.kind = DFQI_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f},
    {.kind = DFQI_RMSPROP, .beta2 = 0.99f, .eps = 1e-8f}};

static const dfq_tensor *find(const dfqi_safetensors *st, const char *a, const char *b,
                              const char *c)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", a, b, c);
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "no %s", name);
    return t;
}

START_TEST(test_golden)
{
    static const char *const names[3] = {"sgd", "adam", "rmsprop"};
    static const char *const kinds[3] = {".range", ".symmetric", ".learned"};
    const char *name = names[_i / 3], *kind = kinds[_i % 3];
    dfq_context *ctx = dfqt_context(1);
    dfqi_safetensors st;
    char path[512];
    float p[120];
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "inundation.safetensors", path, sizeof path));
    ck_assert_msg(dfqi_st_read(ctx, path, &st) == DFQ_OK, "%s", ctx->error);
    const float *kappa = dfqi_tensor_f32(find(&st, name, kind, ".kappa"));
    const int32_t *changed = find(&st, name, kind, ".changed")->data;
    const float *after = dfqi_tensor_f32(find(&st, name, kind, ".w"));
    const float *grads = dfqi_tensor_f32(find(&st, "grads", "", ""));
    memcpy(p, dfqi_tensor_f32(find(&st, "w", "", "")), sizeof p);
    dfqi_codes codes = {6, {.bits = 4, .ranged = _i % 3 == 0}};
    if (_i % 3 == 2) {
        codes.grid.step = dfqi_tensor_f32(find(&st, "step", "", ""));
        codes.grid.s = dfqi_tensor_f32(find(&st, "col", "", ""));
    }
    dfqi_inundation w = begin(ctx, 120, 6, 0.05);
    dfqi_moments s;
    ck_assert_int_eq(dfqi_moments_new(ctx, optims[_i / 3].kind, 120, &s), DFQ_OK);
    for (int t = 0; t < 3; t++) {
        dfqi_crossing c = dfqi_inundation_step(&w, &optims[_i / 3], &s, t + 1, 1e-4f,
                                               grads + (ptrdiff_t)t * 120, p, &codes);
        ck_assert_float_eq(c.kappa, kappa[t]);
        ck_assert_int_eq(c.changed, changed[t]);
        for (int i = 0; i < 120; i++) ck_assert_float_eq_tol(p[i], after[t * 120 + i], 2e-7f);
    }
    dfqi_moments_fini(ctx, &s);
    dfqi_inundation_fini(&w);
    dfqi_st_fini(&st);
    dfqi_context_release(ctx);
}
END_TEST

/* -- promises ---------------------------------------------------------------------------------- */

/* A tensor of several blocks, its state and one step. */
typedef struct bench {
    int64_t rows, cols, n;
    float *p, *g;
    dfqi_moments s;
    dfqi_inundation w;
    dfqi_codes codes;
} bench;

static bench bench_new(dfq_context *ctx, dfqi_optim_kind kind, int64_t rows_, int64_t cols)
{
    bench b = {.rows = rows_, .cols = cols, .n = rows_ * cols};
    dfqi_rng rng = dfqi_rng_make(4, 0);
    b.p = calloc((size_t)b.n, sizeof *b.p);
    b.g = calloc((size_t)b.n, sizeof *b.g);
    for (int64_t i = 0; i < b.n; i++) {
        b.p[i] = dfqi_rng_range(&rng, -1, 1);
        b.g[i] = dfqi_rng_range(&rng, -1, 1);
    }
    ck_assert_int_eq(dfqi_moments_new(ctx, kind, b.n, &b.s), DFQ_OK);
    b.w = begin(ctx, b.n, rows_, 0.01);
    b.codes = (dfqi_codes){rows_, {.bits = 4, .ranged = 1}};
    return b;
}

static void bench_end(dfq_context *ctx, bench *b)
{
    dfqi_moments_fini(ctx, &b->s);
    dfqi_inundation_fini(&b->w);
    free(b->p);
    free(b->g);
}

/* About the share is changed (when the end of a row moves, many of its codes change at once); threads do not matter. With SGD the codes counted are the
 * codes changed. */
START_TEST(test_share)
{
    static float first[300 * 700];
    for (int threads = 1; threads <= 3; threads++) {
        dfq_context *ctx = dfqt_context(threads);
        bench b = bench_new(ctx, optims[_i].kind, 300, 700);
        static float before[300 * 700];
        const dfqi_kernels *k = dfqi_kernels_get(ctx);
        memcpy(before, b.p, sizeof before);
        dfqi_crossing c =
            dfqi_inundation_step(&b.w, &optims[_i], &b.s, 1, 1e-6f, b.g, b.p, &b.codes);
        ck_assert_msg(c.kappa > 1 && fabs((double)c.changed - 2100) < 1000, "kappa %g changes %d",
                      (double)c.kappa, (int)c.changed);
        for (int64_t i = 0; i < b.n; i++) before[i] -= b.p[i]; /* the step */
        int64_t crossed = k->crossings(b.rows, b.cols, &b.codes.grid, b.p, before, -1.0f);
        ck_assert(llabs(crossed - c.changed) <= 2);
        if (threads == 1) memcpy(first, b.p, sizeof first);
        ck_assert_mem_eq(first, b.p, sizeof first);
        bench_end(ctx, &b);
        dfqi_context_release(ctx);
    }
}
END_TEST

/* A step that changes enough by itself, and one that has nothing to amplify, are plain steps. */
START_TEST(test_plain)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_optim_options o = optims[_i];
    o.weight_decay = 0.1f;
    for (int zero = 0; zero < 3; zero++) {
        float rate = zero == 2 ? 0.0f : 0.1f;
        bench b = bench_new(ctx, o.kind, 20, 30), plain = bench_new(ctx, o.kind, 20, 30);
        if (zero == 1) {
            memset(b.g, 0, (size_t)b.n * sizeof *b.g);
            memset(plain.g, 0, (size_t)b.n * sizeof *b.g);
        }
        dfqi_crossing c = dfqi_inundation_step(&b.w, &o, &b.s, 1, rate, b.g, b.p, &b.codes);
        dfqi_optim_step(ctx, &o, &plain.s, 1, rate, plain.g, plain.p);
        ck_assert(c.kappa == 1 && c.count == 600);
        ck_assert(zero ? c.changed == 0 : c.changed >= 6);
        ck_assert_mem_eq(b.p, plain.p, (size_t)b.n * sizeof *b.p);
        bench_end(ctx, &plain);
        bench_end(ctx, &b);
    }
    dfqi_context_release(ctx);
}
END_TEST

/* Where 2^60 times the step is not enough, it stays as it is. */
START_TEST(test_hopeless)
{
    dfq_context *ctx = dfqt_context(1);
    bench b = bench_new(ctx, DFQI_SGD, 20, 30);
    float p0 = b.p[0];
    for (int64_t i = 0; i < b.n; i++) b.g[i] = 1e-30f;
    dfqi_crossing c = dfqi_inundation_step(&b.w, &optims[0], &b.s, 1, 1e-6f, b.g, b.p, &b.codes);
    ck_assert(c.kappa == 1 && c.changed == 0 && b.p[0] == p0);
    bench_end(ctx, &b);
    dfqi_context_release(ctx);
}
END_TEST

/* rho as a float is not quite the fraction it stands for: 30 of 600 are 5 percent. And weight decay
 * is not amplified. */
START_TEST(test_rounding_and_decay)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_optim_options o = {.kind = DFQI_SGD, .weight_decay = 0.5f};
    dfqi_codes codes = {20, {.bits = 4}};
    float step[20], p[600], g[600];
    for (int r = 0; r < 20; r++) step[r] = 1;
    codes.grid.step = step;
    for (int i = 0; i < 600; i++) {
        p[i] = i < 30 ? 0.8f : 0.0f;
        g[i] = i < 30 ? 1.0f : 0.0f;
    }
    dfqi_inundation w = begin(ctx, 600, 20, 0.05);
    dfqi_moments s;
    ck_assert_int_eq(dfqi_moments_new(ctx, DFQI_SGD, 600, &s), DFQ_OK);
    /* 30 codes of 600 cross together, when the step reaches 0.3 */
    dfqi_crossing c = dfqi_inundation_step(&w, &o, &s, 1, 0.03125f, g, p, &codes);
    ck_assert_int_eq(c.changed, 30);
    ck_assert(c.kappa == 12.0f);
    ck_assert_float_eq_tol(p[0], 0.8f - 0.03125f * 12 - 0.03125f * 0.5f * 0.8f, 1e-6f);
    dfqi_moments_fini(ctx, &s);
    dfqi_inundation_fini(&w);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status make(dfq_context *ctx, void *arg)
{
    dfqi_inundation w;
    (void)arg;
    DFQI_TRY(dfqi_inundation_new(ctx, 100, 10, &w));
    dfqi_inundation_fini(&w);
    return DFQ_OK;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(make, NULL, 1);
    ck_assert(dfqi_inundation_bytes(100, 10) == 480);
}
END_TEST

TCase *dfqt_inundation_case(void)
{
    TCase *c = tcase_create("inundation");
    tcase_add_loop_test(c, test_published, 0, 4);
    tcase_add_loop_test(c, test_golden, 0, 9);
    tcase_add_loop_test(c, test_share, 0, 3);
    tcase_add_loop_test(c, test_plain, 0, 3);
    tcase_add_test(c, test_hopeless);
    tcase_add_test(c, test_rounding_and_decay);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
