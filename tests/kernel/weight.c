/* Weights on grids of their rows: fake quantization, and how many codes a step changes. */
#include "kernel/support.h"

enum { ROUNDS = 40 };

static void slot_fq_weight(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows = pool_extent(p, 1, 6), cols = round < 35 ? round + 1 : 300;
        size_t n = (size_t)(rows * cols);
        int bits = 2 + round % 7;
        float *w = pool_take(p, n, -0.5f, 0.5f), *y = pool_take(p, n, 0.0f, 1.0f);
        float *s = round % 3 ? pool_take(p, (size_t)cols, 0.5f, 2.0f) : NULL;
        float *in = round % 5 == 4 ? pool_take(p, (size_t)rows, 0.01f, 0.1f) : NULL;
        float *scale = pool_take(p, (size_t)rows, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        if (round == 7) memset(w, 0, n * sizeof *w);
        t->fq_weight(rows, cols, bits, w, s, in, y, scale);
        double qmin = -ldexp(1.0, bits - 1);
        for (int64_t r = 0; r < rows; r++) {
            float top = 0.0f;
            for (int64_t c = 0; c < cols; c++)
                top = fmaxf(top, fabsf(w[r * cols + c] * (s ? s[c] : 1.0f)));
            float d = in ? in[r] : fmaxf(2.0f * top, 1e-8f) / (ldexpf(1.0f, bits) - 1.0f);
            ck_assert_float_eq(scale[r], d);
            for (int64_t c = 0; c < cols; c++) {
                float code = rintf(w[r * cols + c] * (s ? s[c] : 1.0f) / d);
                code = fminf(fmaxf(code, (float)qmin), (float)(-qmin - 1.0));
                want[r * cols + c] = s ? code * d / s[c] : code * d;
            }
        }
        check_close(n, y, want, 0.0, "fq_weight");
        t->fq_weight(rows, cols, bits, w, s, in, w, NULL);
        check_close(n, w, want, 0.0, "fq_weight in place");
        pool_end(p);
    }
}

/* The grid of a row as AIT's code writes it, its zero_point being -z. */
static void range_of(int64_t cols, int bits, const float *w, float *scale, float *zero_point)
{
    float a = w[0], b = w[0];
    for (int64_t c = 1; c < cols; c++) {
        a = fminf(a, w[c]);
        b = fmaxf(b, w[c]);
    }
    *scale = fmaxf(b - a, 1e-8f) / (ldexpf(1.0f, bits) - 1.0f);
    *zero_point = -(rintf(a / *scale) + ldexpf(1.0f, bits - 1));
}

static float code_of(int bits, float v, float scale, float zero_point)
{
    float half = ldexpf(1.0f, bits - 1);
    return fminf(fmaxf(rintf(v / scale) + zero_point, -half), half - 1.0f);
}

static void slot_fq_weight_range(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows = pool_extent(p, 1, 6), cols = round < 35 ? round + 1 : 300;
        size_t n = (size_t)(rows * cols);
        int bits = 2 + round % 7;
        float low = round % 3 ? -0.5f : 0.2f, *w = pool_take(p, n, low, 0.7f);
        float *y = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        float *scale = pool_take(p, (size_t)rows, 0.0f, 1.0f);
        float *zero_point = pool_take(p, (size_t)rows, 0.0f, 1.0f);
        if (round == 7) memset(w, 0, n * sizeof *w);
        t->fq_weight_range(rows, cols, bits, w, y, scale, zero_point);
        for (int64_t r = 0; r < rows; r++) {
            float d, z;
            range_of(cols, bits, w + r * cols, &d, &z);
            ck_assert_float_eq(scale[r], d);
            ck_assert_float_eq(zero_point[r], z);
            for (int64_t c = 0; c < cols; c++)
                want[r * cols + c] = (code_of(bits, w[r * cols + c], d, z) - z) * d;
        }
        check_close(n, y, want, 0.0, "fq_weight_range");
        t->fq_weight_range(rows, cols, bits, w, w, NULL, NULL);
        check_close(n, w, want, 0.0, "fq_weight_range in place");
        pool_end(p);
    }
}

/* Codes of fq_weight and fq_weight_range, told apart by dequantized values and grids. */
static void codes_of(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                     float *codes, float *grids)
{
    const dfqi_kernels *ref = reference();
    float *zero_point = grids + rows;
    memset(zero_point, 0, (size_t)rows * sizeof *zero_point);
    if (g->asymmetric)
        ref->fq_weight_range(rows, cols, g->bits, w, codes, grids, zero_point);
    else
        ref->fq_weight(rows, cols, g->bits, w, g->s, g->scale, codes, grids);
    for (int64_t i = 0; i < rows * cols; i++) {
        float v = g->s ? codes[i] * g->s[i % cols] : codes[i];
        codes[i] = rintf(v / grids[i / cols] + zero_point[i / cols]);
    }
}

static void slot_crossings(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows = pool_extent(p, 1, 6), cols = round < 35 ? round + 1 : 300;
        size_t n = (size_t)(rows * cols), extra = (size_t)(2 * rows);
        float alpha = round % 5 ? 0.07f : 0.0f;
        float *w = pool_take(p, n, -0.5f, 0.5f), *d = pool_take(p, n, -1.0f, 1.0f);
        float *moved = pool_copy(p, n, w), *grids = pool_take(p, extra, 0.0f, 1.0f);
        float *before = pool_take(p, n, 0.0f, 1.0f), *after = pool_take(p, n, 0.0f, 1.0f);
        dfqi_weight_grid g = {.bits = 2 + round % 7, .asymmetric = round % 3 == 0};
        if (round % 3 == 1) g.scale = pool_take(p, (size_t)rows, 0.01f, 0.1f);
        if (!g.asymmetric && round % 2) g.s = pool_take(p, (size_t)cols, 0.5f, 2.0f);
        for (size_t i = 0; i < n; i++) moved[i] -= alpha * d[i];
        codes_of(rows, cols, &g, w, before, grids);
        codes_of(rows, cols, &g, moved, after, grids);
        int64_t want = 0;
        for (size_t i = 0; i < n; i++) want += before[i] != after[i];
        ck_assert_int_eq(t->crossings(rows, cols, &g, w, d, alpha), want);
        ck_assert(alpha != 0 ? cols < 40 || want > 0 : want == 0);
        d[n - 1] = NAN;
        if (alpha != 0) ck_assert_int_gt(t->crossings(rows, cols, &g, w, d, alpha), 0);
        pool_end(p);
    }
}

static void slot_extremes(const dfqi_kernels *t, pool *p)
{
    float out[2];
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = round < 35 ? (size_t)round + 1 : 3000;
        float low = round % 3 ? -1.0f : 0.5f, *x = pool_take(p, n, low, low + 0.7f);
        float a = x[0], b = x[0];
        for (size_t i = 1; i < n; i++) {
            a = fminf(a, x[i]);
            b = fmaxf(b, x[i]);
        }
        t->extremes(n, x, out);
        ck_assert_float_eq(out[0], a);
        ck_assert_float_eq(out[1], b);
        pool_end(p);
    }
    float sick[3] = {2.0f, NAN, -1.0f};
    t->extremes(3, sick, out);
    ck_assert(out[0] == -1.0f && out[1] == 2.0f);
    t->extremes(0, sick, out);
    ck_assert(out[0] == INFINITY && out[1] == -INFINITY);
}

const slot_test weight_slots[] = {
    SLOT(fq_weight), SLOT(fq_weight_range), SLOT(crossings), SLOT(extremes), {NULL, 0, NULL}};

/* -- numbers that AIT's released code gave ----------------------------------------------------- */

/* Two channels in 4 bits. */
START_TEST(test_published_weights)
{
    static const float codes[12] = {1, 6, 7, 4, -2, -8, -8, -8, -4, 1, 5, 7};
    static const float values[12] = {0.320705f,  0.855212f,  0.962114f,  0.641409f,
                                     0.0f,       -0.641409f, -0.917881f, -0.917881f,
                                     -0.393378f, 0.262252f,  0.786755f,  1.049007f};
    need_table(_i);
    float w[12], y[12], scale[2], zero_point[2];
    for (int i = 0; i < 12; i++) w[i] = (float)sin(0.7 * i + 0.3);
    table(_i)->fq_weight_range(2, 6, 4, w, y, scale, zero_point);
    ck_assert_float_eq_tol(1 / scale[0], 9.35440445f, 2e-6f);
    ck_assert_float_eq_tol(1 / scale[1], 7.62625885f, 2e-6f);
    ck_assert(zero_point[0] == -2.0f && zero_point[1] == -1.0f);
    for (int i = 0; i < 12; i++) {
        ck_assert_float_eq(rintf(y[i] / scale[i / 6] + zero_point[i / 6]), codes[i]);
        ck_assert_float_eq_tol(y[i], values[i], 1e-6f);
    }
}
END_TEST

/* Range [0, 3] in 4 bits. */
START_TEST(test_published_activations)
{
    static const float x[9] = {-0.2f, 0.0f, 0.1f, 0.3f, 0.5f, 1.1f, 2.9f, 3.0f, 4.0f};
    static const float want[9] = {0.0f, 0.0f, 0.0f, 0.4f, 0.4f, 1.2f, 2.8f, 3.0f, 3.0f};
    need_table(_i);
    float y[9], scale = 3.0f / 15.0f, zero_point = -8.0f;
    dfqi_grid g = {
        .scale = &scale, .zero_point = &zero_point, .n_scales = 1, .qmin = -8.0f, .qmax = 7.0f};
    table(_i)->fq(1, 9, &g, x, y);
    for (int i = 0; i < 9; i++) ck_assert_float_eq_tol(y[i], want[i], 1e-6f);
}
END_TEST

/* We divide by the scale, the published code multiplies by its inverse. The codes differ where the
 * quotient is within an ulp of a tie, by one, and nowhere else. */
START_TEST(test_division_and_multiplication)
{
    enum { N = 1 << 16, COLS = 64 };
    static float w[N];
    int64_t differ = 0;
    dfqi_rng rng = dfqi_rng_make(9, 1);
    for (int i = 0; i < N; i++) w[i] = dfqi_rng_range(&rng, -0.5f, 0.5f);
    for (int r = 0; r < N / COLS; r++) {
        float *row = w + r * COLS, scale, zero_point;
        range_of(COLS, 4, row, &scale, &zero_point);
        for (int c = 1; c < COLS; c += 2) /* every second one as near to a tie as floats come */
            row[c] = ((float)(c % 14) - 6.5f - zero_point) * scale;
        range_of(COLS, 4, row, &scale, &zero_point);
        float inverse = 15.0f / (scale * 15.0f);
        for (int c = 0; c < COLS; c++) {
            float q = code_of(4, row[c], scale, zero_point);
            float p = fminf(fmaxf(rintf(inverse * row[c]) + zero_point, -8.0f), 7.0f);
            float tie = fabsf(row[c] / scale - floorf(row[c] / scale) - 0.5f);
            if (p == q) continue;
            differ++;
            ck_assert(fabsf(p - q) == 1.0f && tie <= 2e-6f && c % 2 == 1);
        }
    }
    ck_assert(differ > 0 && differ < N / 4);
}
END_TEST

TCase *dfqt_weights_case(void)
{
    TCase *c = tcase_create("weights");
    tcase_add_loop_test(c, test_published_weights, 0, DFQT_TABLES_MAX);
    tcase_add_loop_test(c, test_published_activations, 0, DFQT_TABLES_MAX);
    tcase_add_test(c, test_division_and_multiplication);
    return c;
}
