/* Row-wise slots (softmax, LayerNorm) and column reductions. */
#include <math.h>

#include "kernel/x86/float_rows.h"
#include "kernel/x86/isa.h"

static void softmax_row(int64_t cols, float scale, const float *x, float *p)
{
    const vf s = vf_set(scale * LOG2_E);
    const vf top = vf_set(row_scaled_max(cols, s, x));
    const vf inv = vf_set(1.0f / vf_sum(row_scaled_exp2(cols, s, top, x, p)));
#define STEP(i, c) vf_store_tail(p + (i), c, vf_mul(inv, vf_load_tail(p + (i), c)))
    VF_LOOP(cols, STEP);
#undef STEP
}

void ISA(softmax)(int64_t rows, int64_t cols, float scale, const float *x, float *p)
{
    for (int64_t r = 0; r < rows; r++) softmax_row(cols, scale, x + r * cols, p + r * cols);
}

void ISA(softmax_bwd)(int64_t rows, int64_t cols, float scale, const float *p, const float *dp,
                      float *dx)
{
    for (int64_t r = 0; r < rows; r++, p += cols, dp += cols, dx += cols) {
        vf sum = vf_set(0.0f);
#define STEP(i, c) sum = vf_fma(vf_load_tail(p + (i), c), vf_load_tail(dp + (i), c), sum)
        VF_LOOP(cols, STEP);
#undef STEP
        const vf dot = vf_set(vf_sum(sum));
        const vf s = vf_set(scale);
#define STEP(i, c)                                                                                 \
    vf_store_tail(                                                                                 \
        dx + (i), c,                                                                               \
        vf_mul(vf_mul(s, vf_load_tail(p + (i), c)), vf_sub(vf_load_tail(dp + (i), c), dot)))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

void ISA(layernorm)(int64_t rows, int64_t cols, float eps, const float *x, const float *gamma,
                    const float *beta, float *y, float *stats)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        const float mean = row_mean(cols, x);
        const float rstd = row_rstd(cols, eps, x, mean);
        const vf m = vf_set(mean);
        const vf s = vf_set(rstd);
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c,                                                                      \
                  row_normalized(m, s, vf_load_tail(x + (i), c), vf_load_tail(gamma + (i), c),     \
                                 vf_load_tail(beta + (i), c)))
        VF_LOOP(cols, STEP);
#undef STEP
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
    }
}

/* One row of dx; dgamma and dbeta (both or neither NULL) take the row's share. */
static void layernorm_bwd_row(int64_t cols, const float *x, float mean, float rstd,
                              const float *gamma, const float *dy, float *dx, float *dgamma,
                              float *dbeta)
{
    const vf m = vf_set(mean);
    const vf s = vf_set(rstd);
    vf sum = vf_set(0.0f);
    vf dot = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf d = vf_load_tail(dy + (i), c);                                                          \
        vf g = vf_mul(d, vf_load_tail(gamma + (i), c));                                            \
        vf h = vf_mul(vf_sub(vf_load_tail(x + (i), c), m), s);                                     \
        sum = vf_add(sum, g);                                                                      \
        dot = vf_fma(g, h, dot);                                                                   \
        if (!dgamma) break;                                                                        \
        vf_store_tail(dgamma + (i), c, vf_fma(d, h, vf_load_tail(dgamma + (i), c)));               \
        vf_store_tail(dbeta + (i), c, vf_add(d, vf_load_tail(dbeta + (i), c)));                    \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
    const vf a = vf_set(vf_sum(sum) / (float)cols);
    const vf b = vf_set(vf_sum(dot) / (float)cols);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf g = vf_mul(vf_load_tail(dy + (i), c), vf_load_tail(gamma + (i), c));                    \
        vf h = vf_mul(vf_sub(vf_load_tail(x + (i), c), m), s);                                     \
        vf_store_tail(dx + (i), c, vf_mul(s, vf_fnma(h, b, vf_sub(g, a))));                        \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
}

void ISA(layernorm_bwd)(int64_t rows, int64_t cols, const float *x, const float *stats,
                        const float *gamma, const float *dy, float *dx, float *dgamma_dbeta)
{
    float *dgamma = dgamma_dbeta;
    float *dbeta = dgamma_dbeta ? dgamma_dbeta + cols : NULL;
    for (int64_t c = 0; dgamma && c < 2 * cols; c++) dgamma[c] = 0.0f;
    for (int64_t r = 0; r < rows; r++)
        layernorm_bwd_row(cols, x + r * cols, stats[2 * r], stats[2 * r + 1], gamma, dy + r * cols,
                          dx + r * cols, dgamma, dbeta);
}

/* Four rows at a time, added in pairs: fewer accesses to `out` and less rounding. */
static void add_rows4(int64_t cols, const float *x, float *out)
{
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        const float *at = x + (i);                                                                 \
        vf a = vf_add(vf_load_tail(at, c), vf_load_tail(at + cols, c));                            \
        vf b = vf_add(vf_load_tail(at + 2 * cols, c), vf_load_tail(at + 3 * cols, c));             \
        vf_store_tail(out + (i), c, vf_add(vf_load_tail(out + (i), c), vf_add(a, b)));             \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
}

void ISA(col_sum)(int64_t rows, int64_t cols, const float *x, int accumulate, float *out)
{
    int64_t r = 0;
    for (int64_t c = 0; !accumulate && c < cols; c++) out[c] = 0.0f;
    for (; r + 4 <= rows; r += 4) add_rows4(cols, x + r * cols, out);
    for (; r < rows; r++) ISA(add)((size_t)cols, out, x + r * cols, out);
}

void ISA(col_scale)(int64_t rows, int64_t cols, const float *x, const float *s, float *y)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c, vf_mul(vf_load_tail(x + (i), c), vf_load_tail(s + (i), c)))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}
