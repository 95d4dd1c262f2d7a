/* Codes of floats: those of the fake quantizers, to the bit. */
#include <float.h>

#include "kernel/codes.h"
#include "kernel/int_support.h"
#include "kernel/row_grid.h"

enum { ROUNDS = 150 };

static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX};

/* Rows of many kinds: ordinary ones, values on ties, zeros, tiny and huge ones, of one sign, not
 * finite. */
static float *take_rows(pages *p, int64_t rows, int64_t cols, int64_t ld, int bits)
{
    float *x = take_floats(p, (size_t)((rows - 1) * ld + cols), -3.0f, 3.0f);
    int32_t top = (1 << bits) - 1;
    const int ordinary = (int)draw(p, 0, 1); /* all of them */
    for (int64_t r = 0; r < rows; r++) {
        float *row = x + r * ld;
        int kind = (int)draw(p, 0, 11);
        if (ordinary && ((kind >= 3 && kind <= 5) || kind == 8 || kind == 9)) kind = 0;
        for (int64_t c = 0; c < cols; c++) {
            if (kind == 1) row[c] = (float)draw(p, 0, 2 * top) / 16.0f;
            if (kind == 2) row[c] = 0.0f;
            if (kind == 3) row[c] *= 1e-38f;
            if (kind == 4) row[c] *= 3e-36f;
            if (kind == 5) row[c] *= 1e37f;
            if (kind == 6) row[c] = fabsf(row[c]);
            if (kind == 7) row[c] = -fabsf(row[c]);
            if (kind == 8) row[c] *= 1e-30f;
        }
        if (kind == 1) row[draw(p, 0, cols - 1)] = (float)top / 8.0f; /* the scale is 1/8 */
        if (kind == 9) row[draw(p, 0, cols - 1)] = odd[draw(p, 0, 4)];
        if (kind == 10) row[draw(p, 0, cols - 1)] = 1000.0f;
    }
    return x;
}

/* The fake-quantized row of a float table; with its scale and zero point. */
static void fake(const dfqi_kernels *f, int64_t cols, int bits, int is_signed, const float *x,
                 int64_t next, float *y, float *scale, float *zero_point)
{
    float row[512];
    for (int64_t c = 0; c < cols; c++) row[c] = x[c * next];
    f->fq_row(1, cols, bits, is_signed, row, y, scale, zero_point);
}

/* The code of x on the grid that fake quantization found. */
static int32_t code_of(float x, int bits, int is_signed, float scale, float zero_point)
{
    float qmax = ldexpf(1.0f, bits - is_signed) - 1.0f, qmin = is_signed ? -qmax : 0.0f;
    return (int32_t)(isnan(scale) ? qmin : dfqi_code_uniform(x, scale, zero_point, qmin, qmax));
}

/* The same codes q on one zero point; 0 where a row has none. */
static void check_level(const dfqi_int_kernels *t, pages *p, int64_t rows, int64_t cols, int bits,
                        const float *x, int64_t ld, const uint8_t *q, int64_t ldq,
                        const int32_t *zero_point, const float *scale)
{
    uint8_t *level = take_bytes(p, (size_t)((rows - 1) * ldq + cols), 99, 99);
    float *scale2 = take_floats(p, (size_t)rows, 0.0f, 1.0f);
    t->quantize_rows(rows, cols, bits, x, ld, level, ldq, scale2, NULL);
    same_floats((size_t)rows, scale2, scale, "scale");
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            const int up = isnan(scale[r]) ? 0 : (1 << bits) - 1 - zero_point[r];
            dfqt_each(level[r * ldq + c] == q[r * ldq + c] + up, "%s: code %d, expected %d",
                      t->name, level[r * ldq + c], q[r * ldq + c] + up);
        }
}

START_TEST(test_quantize_rows)
{
    const dfqi_int_kernels *t = int_table(_i);
    const dfqi_kernels *f = float_table(t);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        int bits = 2 + round % 7;
        int64_t rows = draw(&p, 1, 40), cols = round % 3 ? draw(&p, 1, 300) : 64;
        int64_t ld = cols + draw(&p, 0, 9), ldq = cols + draw(&p, 0, 9);
        const float *x = take_rows(&p, rows, cols, ld, bits);
        uint8_t *q = take_bytes(&p, (size_t)((rows - 1) * ldq + cols), 99, 99);
        float *scale = take_floats(&p, (size_t)rows, 0.0f, 1.0f);
        int32_t *zero_point = take_ints(&p, (size_t)rows, 0, 9);
        t->quantize_rows(rows, cols, bits, x, ld, q, ldq, scale, zero_point);
        if (bits <= DFQI_INT_LEVEL_BITS)
            check_level(t, &p, rows, cols, bits, x, ld, q, ldq, zero_point, scale);
        for (int64_t r = 0; r < rows; r++) {
            float y[512], s, z;
            fake(f, cols, bits, 0, x + r * ld, 1, y, &s, &z);
            same_floats(1, scale + r, &s, "scale");
            dfqt_each(isnan(s) ? zero_point[r] == 0 : (float)zero_point[r] == z, "zero point %d",
                      zero_point[r]);
            for (int64_t c = 0; c < cols; c++) {
                int32_t code = code_of(x[r * ld + c], bits, 0, s, z);
                dfqt_each(q[r * ldq + c] == code, "%s: round %d: %g: code %d, expected %d", t->name,
                          round, (double)x[r * ld + c], q[r * ldq + c], code);
                dfqt_each(isnan(s) || (float)(q[r * ldq + c] - zero_point[r]) * s == y[c],
                          "%s: not the value of fq_row", t->name);
            }
            for (int64_t c = cols; c < ldq && r + 1 < rows; c++)
                dfqt_each(q[r * ldq + c] == 99, "%s: wrote between rows", t->name);
        }
        pages_end(&p);
    }
}
END_TEST

/* Values beside every tie of a grid, and at some distance: a multiplication by 1 / scale in place
 * of the division would be wrong at some of them. */
START_TEST(test_ties)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < 300; round++) {
        enum { N = 5 * 255 };
        float x[N + 2], scale;
        uint8_t q[N + 2];
        int32_t zero_point;
        float top = dfqi_rng_range(&p.rng, 0.5f, 2.0f) * ldexpf(1.0f, (int)draw(&p, -90, 90));
        dfqi_row_grid g = dfqi_row_grid_runtime(8, 0, 0.0f, top, 1);
        for (int i = 0; i < N; i++) {
            float tie = (float)(((double)(i / 5) + 0.5) * g.scale);
            x[i] = i % 5 == 0 ? tie : nextafterf(tie, i % 2 ? 0.0f : INFINITY);
            if (i % 5 > 2) x[i] = nextafterf(x[i], i % 2 ? 0.0f : INFINITY);
            x[i] = fminf(x[i], top);
        }
        x[N] = top, x[N + 1] = 0.0f;
        t->quantize_rows(1, N + 2, 8, x, N + 2, q, N + 2, &scale, &zero_point);
        ck_assert_float_eq(scale, g.scale);
        for (int i = 0; i < N; i++)
            dfqt_each(q[i] == fminf(rintf(x[i] / g.scale), 255.0f), "%s: %.9g / %.9g became %d",
                      t->name, (double)x[i], (double)g.scale, q[i]);
    }
}
END_TEST

/* Values beside ties of a static grid that are quantized together with NaN. */
START_TEST(test_ties_beside_nan)
{
    enum { N = 64, LANES = 16 };
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < 2000; round++) {
        const int nan = round / 2 % 4 * LANES;
        const float scale = dfqi_rng_range(&p.rng, 0.001f, 0.3f);
        const dfqi_grid g = {.scale = &scale, .n_scales = 1, .qmax = 255.0f};
        float x[N];
        uint8_t q[N];
        for (int i = 0; i < N; i++) {
            const float tie = (float)(((double)draw(&p, 0, 254) + 0.5) * scale);
            x[i] = i >= nan && i < nan + LANES ? NAN : nextafterf(tie, i % 2 ? 0.0f : INFINITY);
        }
        t->quantize(1, N, &g, x, N, q, N);
        for (int i = 0; i < N; i++)
            dfqt_each(q[i] == (isnan(x[i]) ? 0.0f : fminf(rintf(x[i] / scale), 255.0f)),
                      "%s: %.9g / %.9g became %d", t->name, (double)x[i], (double)scale, q[i]);
    }
}
END_TEST

START_TEST(test_quantize)
{
    const dfqi_int_kernels *t = int_table(_i);
    const dfqi_kernels *f = float_table(t);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        int bits = 2 + round % 7, is_signed = (int)draw(&p, 0, 1), each = (int)draw(&p, 0, 1);
        int64_t rows = draw(&p, 1, 9), cols = draw(&p, 1, 300), ld = cols + draw(&p, 0, 9);
        const float *x = take_rows(&p, rows, cols, ld, bits);
        uint8_t *q = take_bytes(&p, (size_t)(rows * ld), 99, 99);
        size_t grids = each ? (size_t)cols : 1;
        dfqi_grid g = {.n_scales = (int64_t)grids};
        g.scale = take_floats(&p, grids, 0.001f, 0.3f);
        g.zero_point = draw(&p, 0, 1) ? take_floats(&p, grids, -30.0f, 30.0f) : NULL;
        g.qmin = is_signed ? -(float)(1 << (bits - 1)) : 0.0f;
        g.qmax = g.qmin + (float)((1 << bits) - 1);
        t->quantize(rows, cols, &g, x, ld, q, ld);
        for (int64_t r = 0; r < rows; r++) {
            float y[512];
            f->fq(1, cols, &g, x + r * ld, y);
            for (int64_t c = 0; c < cols; c++) {
                int64_t i = each ? c : 0;
                float z = g.zero_point ? rintf(g.zero_point[i]) : 0.0f;
                float code = (float)q[r * ld + c] + g.qmin, x_rc = x[r * ld + c];
                dfqt_each(isnan(x_rc) ? code == g.qmin : (code - z) * g.scale[i] == y[c],
                          "%s: %g: code %g, value %g", t->name, (double)x_rc, (double)code,
                          (double)y[c]);
            }
            for (int64_t c = cols; c < ld; c++)
                dfqt_each(q[r * ld + c] == 99, "%s: wrote between rows", t->name);
        }
        pages_end(&p);
    }
}
END_TEST

/* Keys (columns 0) and values (1). */
static void check_operand(const dfqi_int_kernels *t, pages *p, int columns, int bits)
{
    int64_t n = draw(p, 1, 70), k = draw(p, 1, 300), groups = dfqi_int_row(k) / 4;
    int64_t rows = columns ? k : n, cols = columns ? n : k, ld = cols + draw(p, 0, 9);
    int64_t next = columns ? ld : 1, row = columns ? 1 : ld,
            bytes = dfqi_int_packed_bytes(n, 1, k, 8);
    const float *x = take_rows(p, rows, cols, ld, bits);
    uint8_t *codes = pages_take(p, (size_t)bytes, 1), *want = pages_take(p, (size_t)bytes, 1);
    float *scale = take_floats(p, (size_t)n, 0.0f, 1.0f);
    int32_t *sum = draw(p, 0, 1) ? take_ints(p, (size_t)n, 0, 0) : NULL;
    (columns ? t->pack_columns : t->pack_rows)(rows, cols, bits, x, ld, codes, scale, sum);
    memset(want, 0, (size_t)bytes);
    for (int64_t j = 0; j < n; j++) {
        float y[512], s, z;
        int32_t total = 0;
        fake(float_table(t), k, bits, 1, x + j * row, next, y, &s, &z);
        same_floats(1, scale + j, &s, "scale");
        for (int64_t c = 0; c < k; c++) {
            int32_t code = code_of(x[j * row + c * next], bits, 1, s, z);
            want[((j / 16 * groups + c / 4) * 16 + j % 16) * 4 + c % 4] = (uint8_t)code;
            total += code;
        }
        dfqt_each(!sum || sum[j] == total, "%s: sum %d, expected %d", t->name, sum[j], total);
    }
    same_bytes((size_t)bytes, codes, want, t->name);
    pages_end(p);
}

START_TEST(test_operands)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) check_operand(t, &p, round % 2, 2 + round % 7);
}
END_TEST

TCase *dfqt_int_quantize_case(void)
{
    TCase *c = tcase_create("quantize");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_quantize_rows, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_ties, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_ties_beside_nan, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_quantize, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_operands, 0, DFQT_INT_TABLES);
    return c;
}
