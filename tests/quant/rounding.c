/* Rounding of one layer against the golden data, whose formulas are written in another form; the
 * blocked factors; inputs that make moments singular or infinite. */
#include "quant/rounding_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "quant/cases.h"
#include "quant/factor.h"
#include "support/fail_alloc.h"
#include "support/path.h"

/* -- factors ----------------------------------------------------------------------------------- */

enum { N = 150, ROWS = 37 }; /* three blocks, two pieces of rows */

/* A random matrix times its transpose, and a bit on the diagonal. */
static void positive(double *a, double *half)
{
    dfqi_rng r = dfqi_rng_make(31, 1);
    for (int i = 0; i < N * N; i++) half[i] = (double)dfqi_rng_range(&r, -1, 1);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            a[i * N + k] = i == k ? 0.1 : 0;
            for (int q = 0; q < N; q++) a[i * N + k] += half[i * N + q] * half[k * N + q];
        }
}

START_TEST(test_factor)
{
    static double a[N * N], half[N * N], l[N * N], inv[N * N], b[ROWS * N], x[ROWS * N];
    static double first[2][N * N];
    positive(a, half);
    for (int i = 0; i < ROWS * N; i++) b[i] = half[i % (N * N)];
    for (int32_t threads = 1; threads <= 3; threads++) {
        dfq_context *ctx = dfqt_context(threads);
        dfqi_factor f;
        memcpy(l, a, sizeof l);
        memcpy(x, b, sizeof x);
        ck_assert_int_eq(dfqi_factor_new(ctx, N, &f), DFQ_OK);
        ck_assert(dfqi_factor_make(&f, l));
        dfqi_factor_solve(&f, ROWS, x);
        dfqi_factor_invert(&f, inv);
        for (int r = 0; r < N; r++)
            for (int c = 0; c < N; c++) {
                double sum = 0, unit = 0;
                for (int q = 0; q <= (r < c ? r : c); q++) sum += l[r * N + q] * l[c * N + q];
                for (int q = c; q <= r; q++) unit += l[r * N + q] * inv[c * N + q];
                ck_assert_double_eq_tol(sum, a[r * N + c], 1e-10);
                if (r >= c) ck_assert_double_eq_tol(unit, r == c ? 1 : 0, 1e-9);
                if (r > c) ck_assert_double_eq(inv[r * N + c], 0);
            }
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < N; c++) {
                double sum = 0;
                for (int q = 0; q < N; q++) sum += x[r * N + q] * a[q * N + c];
                ck_assert_double_eq_tol(sum, b[r * N + c], 1e-9);
            }
        if (threads == 1) memcpy(first[0], l, sizeof l), memcpy(first[1], inv, sizeof inv);
        ck_assert_mem_eq(first[0], l, sizeof l);
        ck_assert_mem_eq(first[1], inv, sizeof inv);
        dfqi_factor_fini(&f);
        dfqi_context_release(ctx);
    }
}
END_TEST

START_TEST(test_no_factor)
{
    static double a[N * N];
    static const double odd[4] = {0, -1, NAN, INFINITY};
    dfq_context *ctx = dfqt_context(1);
    dfqi_factor f;
    ck_assert_int_eq(dfqi_factor_new(ctx, N, &f), DFQ_OK);
    for (int i = 0; i < N; i++) a[i * (N + 1)] = 1;
    a[100 * (N + 1)] = odd[_i];
    ck_assert(!dfqi_factor_make(&f, a));
    dfqi_factor_fini(&f);
    dfqi_context_release(ctx);
}
END_TEST

/* -- golden ------------------------------------------------------------------------------------ */

/* A layer of its own, without a network. */
typedef struct rig {
    dfq_context *ctx;
    dfqi_site site;
    dfqi_round_layer l;
    dfqi_input_moments m;
} rig;

static dfqi_safetensors golden;

static const dfq_tensor *find(const char *name, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", name, what);
    const dfq_tensor *t = dfqi_st_find(&golden, text);
    ck_assert_msg(t != NULL, "no %s", text);
    return t;
}

static float *copy(dfq_context *ctx, const dfq_tensor *t)
{
    float *x = dfqi_calloc(ctx, (size_t)dfqi_tensor_count(t), sizeof *x);
    ck_assert_ptr_nonnull(x);
    memcpy(x, dfqi_tensor_f32(t), (size_t)dfqi_tensor_count(t) * sizeof *x);
    return x;
}

static rig begin(int32_t threads, const char *name)
{
    char path[512];
    dfq_context *ctx = dfqt_context(threads);
    rig r = {.ctx = ctx, .site = {.name = "layer.weight", .qmin = -8, .qmax = 7, .bits = 4}};
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "rounding.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &golden), DFQ_OK);
    const dfq_tensor *x = find("x", ""), *w = find("w", "");
    r.site.scale = dfqi_tensor_retain(find(name, ".scale"));
    r.l = (dfqi_round_layer){.ctx = ctx, .name = "layer", .systems = 1};
    r.l.rows = w->dims[0];
    r.l.n = w->dims[1];
    r.l.teacher = dfqi_tensor_f32(w);
    r.l.teacher_bias = dfqi_tensor_f32(find("b", ""));
    r.l.w = copy(ctx, w);
    r.l.bias = copy(ctx, find("b", ""));
    if (strcmp(name, "columns") == 0) r.l.col = dfqi_tensor_f32(find("col", ""));
    ck_assert_int_eq(dfqi_input_moments_new(ctx, r.l.n, &r.m), DFQ_OK);
    float *scratch = dfqi_calloc(ctx, dfqi_input_moments_scratch(ctx, r.l.n), sizeof *scratch);
    dfqi_input_moments_add(ctx, &r.m, x->dims[0], dfqi_tensor_f32(find("q", "")),
                           dfqi_tensor_f32(x), scratch);
    dfqi_free(ctx, scratch);
    ck_assert(dfqi_input_moments_end(&r.m));
    return r;
}

/* `r` must not move afterwards. */
static void join(rig *r)
{
    r->l.site = &r->site;
    r->l.moments = &r->m;
}

static void end(rig *r)
{
    dfqi_free(r->ctx, r->l.w);
    dfqi_free(r->ctx, r->l.bias);
    dfqi_input_moments_fini(r->ctx, &r->m);
    dfqi_tensor_release(r->site.scale);
    dfqi_st_fini(&golden);
    dfqi_context_release(r->ctx);
}

static void near(const float *have, const dfq_tensor *want, double tol, const char *what)
{
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++)
        ck_assert_msg(fabs((double)(have[i] - dfqi_tensor_f32(want)[i])) <= tol,
                      "%s %d: %g, not %g", what, (int)i, (double)have[i],
                      (double)dfqi_tensor_f32(want)[i]);
}

static const char *const cases[] = {"plain", "columns"};

START_TEST(test_golden)
{
    static float bits[7 * 100 + 7];
    for (int32_t threads = 1; threads <= 3; threads++) {
        rig r = begin(threads, cases[_i]);
        join(&r);
        ck_assert_int_eq(dfqi_ridge(&r.l, 0.3), DFQ_OK);
        near(r.l.w, find(cases[_i], ".w"), 2e-5, "weight");
        near(r.l.bias, find(cases[_i], ".b"), 2e-5, "bias");
        ck_assert_int_eq(dfqi_gptq(&r.l, 0.01), DFQ_OK);
        const int32_t *codes = find(cases[_i], ".codes")->data;
        for (int64_t i = 0; i < r.l.rows * r.l.n; i++) {
            float scale = dfqi_tensor_f32(r.site.scale)[i / r.l.n];
            float v = r.l.w[i] * (r.l.col ? r.l.col[i % r.l.n] : 1.0f) / scale;
            ck_assert_msg(fabsf(v - (float)codes[i]) < 1e-3f, "weight %d: code %g, not %d", (int)i,
                          (double)v, (int)codes[i]);
        }
        dfqi_round_bias(&r.l);
        near(r.l.bias, find(cases[_i], ".final"), 1e-4, "final bias");
        if (threads == 1) {
            memcpy(bits, r.l.w, 700 * sizeof *bits);
            memcpy(bits + 700, r.l.bias, 7 * sizeof *bits);
        }
        ck_assert_mem_eq(bits, r.l.w, 700 * sizeof *bits);
        ck_assert_mem_eq(bits + 700, r.l.bias, 7 * sizeof *bits);
        end(&r);
    }
}
END_TEST

/* Second-order codes are nearer to the layer's output than the nearest ones. */
static double output_error(const rig *r)
{
    double sum = 0;
    for (int64_t o = 0; o < r->l.rows; o++)
        for (int64_t a = 0; a < r->l.n; a++)
            for (int64_t b = 0; b < r->l.n; b++)
                sum += (double)(r->l.w[o * r->l.n + a] - r->l.teacher[o * r->l.n + a]) *
                       r->m.self[a * r->l.n + b] *
                       (double)(r->l.w[o * r->l.n + b] - r->l.teacher[o * r->l.n + b]);
    return sum;
}

START_TEST(test_nearest)
{
    double error[2];
    for (int second = 0; second < 2; second++) {
        rig r = begin(1, cases[_i]);
        join(&r);
        if (second)
            ck_assert_int_eq(dfqi_gptq(&r.l, 0.01), DFQ_OK);
        else
            dfqi_round_nearest(&r.l);
        error[second] = output_error(&r);
        end(&r);
    }
    ck_assert_msg(error[1] < 0.8 * error[0], "error %g, of nearest codes %g", error[1], error[0]);
}
END_TEST

/* Searched grids lose less than those of the full range. */
START_TEST(test_search)
{
    double error[2];
    for (int searched = 0; searched < 2; searched++) {
        rig r = begin(1, cases[_i]);
        join(&r);
        for (int64_t o = 0; o < r.l.rows; o++) {
            float top = 0;
            for (int64_t c = 0; c < r.l.n; c++)
                top = fmaxf(top, fabsf(r.l.w[o * r.l.n + c] * (r.l.col ? r.l.col[c] : 1.0f)));
            dfqi_tensor_f32(r.site.scale)[o] = 2 * top / 15;
        }
        if (searched) ck_assert_int_eq(dfqi_round_search(&r.l), DFQ_OK);
        dfqi_round_nearest(&r.l);
        double sum = 0;
        for (int64_t i = 0; i < r.l.rows * r.l.n; i++) {
            double d = (double)(r.l.w[i] - r.l.teacher[i]);
            sum += d * d * r.m.self[i % r.l.n * (r.l.n + 1)];
        }
        error[searched] = sum;
        end(&r);
    }
    ck_assert_msg(error[1] < 0.9 * error[0], "error %g, of the full range %g", error[1], error[0]);
}
END_TEST

/* -- odd moments ------------------------------------------------------------------------------- */

/* Inputs that are all 0, or all the same: there is nothing to learn, and nothing breaks. */
START_TEST(test_singular)
{
    rig r = begin(1, "plain");
    join(&r);
    double level = _i ? 0.5 : 0;
    for (int64_t a = 0; a < r.l.n; a++) {
        r.m.student[a] = r.m.teacher[a] = level * r.m.rows;
        for (int64_t b = 0; b < r.l.n; b++)
            r.m.self[a * r.l.n + b] = r.m.cross[a * r.l.n + b] = level * level * r.m.rows;
    }
    ck_assert_int_eq(dfqi_ridge(&r.l, 1), DFQ_OK);
    for (int64_t i = 0; i < r.l.rows * r.l.n; i++)
        ck_assert_float_eq_tol(r.l.w[i], r.l.teacher[i], 1e-6f);
    ck_assert_int_eq(dfqi_round_search(&r.l), DFQ_OK);
    ck_assert_int_eq(dfqi_gptq(&r.l, 0.01), DFQ_OK);
    for (int64_t i = 0; i < r.l.rows * r.l.n; i++) ck_assert(isfinite(r.l.w[i]));
    end(&r);
}
END_TEST

START_TEST(test_infinite)
{
    rig r = begin(1, "plain");
    join(&r);
    r.m.self[5 * (r.l.n + 1)] = INFINITY;
    ck_assert_int_eq(_i ? dfqi_ridge(&r.l, 1) : dfqi_gptq(&r.l, 0.01), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(r.ctx->error, "layer: the second moments"));
    end(&r);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    enum { SMALL = 3 };
    float w[SMALL] = {0.3f, -0.2f, 0.1f}, t[SMALL] = {0.3f, -0.2f, 0.1f}, scale = 0.05f;
    dfq_tensor s = {.dtype = DFQI_F32, .rank = 1, .dims = {1}, .data = &scale};
    dfqi_site site = {.name = "layer.weight", .qmin = -8, .qmax = 7, .bits = 4, .scale = &s};
    dfqi_input_moments m;
    (void)arg;
    DFQI_TRY(dfqi_input_moments_new(ctx, SMALL, &m));
    m.rows = 4;
    for (int i = 0; i < SMALL; i++) m.self[i * (SMALL + 1)] = m.cross[i * (SMALL + 1)] = 1;
    dfqi_round_layer l = {.ctx = ctx, .site = &site, .name = "layer", .teacher = t, .w = w};
    l.rows = l.systems = 1;
    l.n = SMALL;
    l.moments = &m;
    dfq_status status = dfqi_ridge(&l, 1);
    if (status == DFQ_OK) status = dfqi_round_search(&l);
    if (status == DFQ_OK) status = dfqi_gptq(&l, 0.01);
    dfqi_input_moments_fini(ctx, &m);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, NULL, 2);
}
END_TEST

TCase *dfqt_rounding_case(void)
{
    TCase *c = tcase_create("rounding");
    tcase_add_test(c, test_factor);
    tcase_add_loop_test(c, test_no_factor, 0, 4);
    tcase_add_loop_test(c, test_golden, 0, 2);
    tcase_add_loop_test(c, test_nearest, 0, 2);
    tcase_add_loop_test(c, test_search, 0, 2);
    tcase_add_loop_test(c, test_singular, 0, 2);
    tcase_add_loop_test(c, test_infinite, 0, 2);
    tcase_add_test(c, test_memory);
    return c;
}
