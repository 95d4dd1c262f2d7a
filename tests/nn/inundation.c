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

static dfqi_inundation begin(dfq_context *ctx, int64_t largest, double rho)
{
    dfqi_inundation w;
    ck_assert_int_eq(dfqi_inundation_new(ctx, largest, &w), DFQ_OK);
    w.rho = (float)rho;
    return w;
}

/* -- what AIT's released optimiser does -------------------------------------------------------- */

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
    const published *row = &rows[_i];
    dfq_context *ctx = dfqt_context(1);
    dfqi_inundation w = begin(ctx, 72, row->rho);
    dfqi_moments s[2];
    float p[2][72], g[2][72];
    dfqi_inundated at[2] = {{.rows = 4}, {.rows = 3}};
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(dfqi_moments_new(ctx, DFQI_SGD, k ? 24 : 72, &s[k]), DFQ_OK);
        at[k].grid = (dfqi_weight_grid){.bits = 4, .asymmetric = 1};
        at[k].p = p[k];
        at[k].g = g[k];
        at[k].moments = &s[k];
    }
    w.capped = row->capped;
    for (int t = 0; t < 3; t++) {
        fill(t, p[0], p[1], g[0], g[1]);
        dfqi_inundation_step(&w, &sgd, t + 1, 1e-4f, 2, at);
        for (int k = 0; k < 2; k++) {
            ck_assert_float_eq(at[k].kappa, (float)row->kappa[t][k]);
            ck_assert_int_eq(at[k].changed, row->changed[t][k]);
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
    dfqi_inundation w = begin(ctx, 120, 0.05);
    dfqi_moments s;
    dfqi_inundated at = {.rows = 6, .grid = {.bits = 4, .asymmetric = _i % 3 == 0}};
    if (_i % 3 == 2) {
        at.grid.scale = dfqi_tensor_f32(find(&st, "scale", "", ""));
        at.grid.s = dfqi_tensor_f32(find(&st, "col", "", ""));
    }
    ck_assert_int_eq(dfqi_moments_new(ctx, optims[_i / 3].kind, 120, &s), DFQ_OK);
    at.p = p;
    at.moments = &s;
    for (int t = 0; t < 3; t++) {
        at.g = grads + (ptrdiff_t)t * 120;
        dfqi_inundation_step(&w, &optims[_i / 3], t + 1, 1e-4f, 1, &at);
        ck_assert_float_eq(at.kappa, kappa[t]);
        ck_assert_int_eq(at.changed, changed[t]);
        for (int i = 0; i < 120; i++) ck_assert_float_eq_tol(p[i], after[t * 120 + i], 2e-7f);
    }
    dfqi_moments_fini(ctx, &s);
    dfqi_inundation_fini(&w);
    dfqi_st_fini(&st);
    dfqi_context_release(ctx);
}
END_TEST

/* -- promises ---------------------------------------------------------------------------------- */

/* Some tensors of different sizes. */
enum { TENSORS = 5, MOST = 90 * 70 };

typedef struct bench {
    dfqi_inundation w;
    dfqi_inundated at[TENSORS];
    dfqi_moments s[TENSORS];
    float p[TENSORS][MOST], g[TENSORS][MOST], scale[90];
} bench;

static bench *bench_new(dfq_context *ctx, dfqi_optim_kind kind)
{
    bench *b = calloc(1, sizeof *b);
    dfqi_rng rng = dfqi_rng_make(4, 0);
    b->w = begin(ctx, MOST, 0.01);
    for (int r = 0; r < 90; r++) b->scale[r] = 0.1f + 0.001f * (float)r;
    for (int k = 0; k < TENSORS; k++) {
        int64_t rows_ = 90 - 17 * k, n = rows_ * 70;
        ck_assert_int_eq(dfqi_moments_new(ctx, kind, n, &b->s[k]), DFQ_OK);
        for (int64_t i = 0; i < n; i++) {
            b->p[k][i] = dfqi_rng_range(&rng, -1, 1);
            b->g[k][i] = dfqi_rng_range(&rng, -1, 1);
        }
        b->at[k] = (dfqi_inundated){.rows = rows_,
                                    .grid = {.bits = 4, .asymmetric = k % 2},
                                    .p = b->p[k],
                                    .g = b->g[k],
                                    .moments = &b->s[k]};
        if (!b->at[k].grid.asymmetric) b->at[k].grid.scale = b->scale;
    }
    return b;
}

static void bench_end(dfq_context *ctx, bench *b)
{
    for (int k = 0; k < TENSORS; k++) dfqi_moments_fini(ctx, &b->s[k]);
    dfqi_inundation_fini(&b->w);
    free(b);
}

/* The share is changed, on live grids about (when an end of a row moves, all its codes may change
 * at once), and the codes counted are those changed, but for the last bits of AdamW's steps. */
START_TEST(test_share)
{
    dfq_context *ctx = dfqt_context(1);
    bench *b = bench_new(ctx, optims[_i].kind), *old = bench_new(ctx, optims[_i].kind);
    dfqi_inundation_step(&b->w, &optims[_i], 1, 1e-6f, TENSORS, b->at);
    for (int k = 0; k < TENSORS; k++) {
        const dfqi_inundated *at = &b->at[k];
        double share = (double)at->changed / (double)at->moments->count;
        ck_assert_msg(at->kappa > 1 && fabs(share - 0.01) < (k % 2 ? 0.03 : 0.001),
                      "kappa %g changes %g", (double)at->kappa, share);
        for (int i = 0; i < MOST; i++) old->p[k][i] -= b->p[k][i]; /* the step */
        int64_t crossed =
            dfqi_kernels_get(ctx)->crossings(at->rows, 70, &at->grid, at->p, old->p[k], -1.0f);
        ck_assert(llabs(crossed - at->changed) <= 2);
    }
    bench_end(ctx, old);
    bench_end(ctx, b);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_threads_do_not_matter)
{
    dfq_context *one = dfqt_context(1), *ctx = dfqt_context(_i + 2);
    bench *a = bench_new(one, DFQI_ADAMW), *b = bench_new(ctx, DFQI_ADAMW);
    for (int t = 1; t <= 3; t++) {
        dfqi_inundation_step(&a->w, &optims[1], t, 1e-6f, TENSORS, a->at);
        dfqi_inundation_step(&b->w, &optims[1], t, 1e-6f, TENSORS, b->at);
    }
    ck_assert_mem_eq(a->p, b->p, sizeof a->p);
    for (int k = 0; k < TENSORS; k++)
        ck_assert(a->at[k].kappa == b->at[k].kappa && a->at[k].changed == b->at[k].changed);
    bench_end(one, a);
    bench_end(ctx, b);
    dfqi_context_release(one);
    dfqi_context_release(ctx);
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
        bench *b = bench_new(ctx, o.kind), *plain = bench_new(ctx, o.kind);
        if (zero == 1) {
            memset(b->g, 0, sizeof b->g);
            memset(plain->g, 0, sizeof plain->g);
        }
        dfqi_inundation_step(&b->w, &o, 1, rate, TENSORS, b->at);
        for (int k = 0; k < TENSORS; k++) {
            dfqi_optim_step(ctx, &o, &plain->s[k], 1, rate, plain->g[k], plain->p[k]);
            ck_assert(b->at[k].kappa == 1 && (b->at[k].changed == 0) == (zero != 0));
        }
        ck_assert_mem_eq(b->p, plain->p, sizeof b->p);
        bench_end(ctx, plain);
        bench_end(ctx, b);
    }
    dfqi_context_release(ctx);
}
END_TEST

/* Where 2^60 times the step is not enough, it stays as it is. */
START_TEST(test_hopeless)
{
    dfq_context *ctx = dfqt_context(1);
    bench *b = bench_new(ctx, DFQI_SGD);
    float p0 = b->p[0][0];
    for (int i = 0; i < MOST; i++) b->g[0][i] = 1e-30f;
    dfqi_inundation_step(&b->w, &optims[0], 1, 1e-6f, 1, b->at);
    ck_assert(b->at[0].kappa == 1 && b->at[0].changed == 0 && b->p[0][0] == p0);
    bench_end(ctx, b);
    dfqi_context_release(ctx);
}
END_TEST

/* rho as a float is not quite the fraction it stands for: 30 of 600 are 5 percent. And weight decay
 * is not amplified. */
START_TEST(test_rounding_and_decay)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_optim_options o = {.kind = DFQI_SGD, .weight_decay = 0.5f};
    float scale[20], p[600], g[600];
    dfqi_inundation w = begin(ctx, 600, 0.05);
    dfqi_moments s;
    ck_assert_int_eq(dfqi_moments_new(ctx, DFQI_SGD, 600, &s), DFQ_OK);
    dfqi_inundated at = {
        .rows = 20, .grid = {.bits = 4, .scale = scale}, .p = p, .g = g, .moments = &s};
    for (int r = 0; r < 20; r++) scale[r] = 1;
    for (int i = 0; i < 600; i++) {
        p[i] = i < 30 ? 0.8f : 0.0f;
        g[i] = i < 30 ? 1.0f : 0.0f;
    }
    /* 30 codes of 600 change together, when the update reaches 0.3 */
    dfqi_inundation_step(&w, &o, 1, 0.03125f, 1, &at);
    ck_assert(at.changed == 30 && at.kappa == 12);
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
    DFQI_TRY(dfqi_inundation_new(ctx, 100, &w));
    dfqi_inundation_fini(&w);
    return DFQ_OK;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(make, NULL, 1);
}
END_TEST

TCase *dfqt_inundation_case(void)
{
    TCase *c = tcase_create("inundation");
    tcase_add_loop_test(c, test_published, 0, 4);
    tcase_add_loop_test(c, test_golden, 0, 9);
    tcase_add_loop_test(c, test_share, 0, 3);
    tcase_add_loop_test(c, test_threads_do_not_matter, 0, 2);
    tcase_add_loop_test(c, test_plain, 0, 3);
    tcase_add_test(c, test_hopeless);
    tcase_add_test(c, test_rounding_and_decay);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
