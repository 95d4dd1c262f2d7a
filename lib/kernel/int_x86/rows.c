/* Float rows that become codes. The floats are those of the float kernels, to the bit
 * (x86/float_rows.h), and are not written down where computing them again is cheaper. Some rows go
 * through each step together: what waits for the sum of a row need not wait for those of others. */
#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"
#include "kernel/x86/float_rows.h"

enum { TOGETHER = 8 };

static inline int64_t at_most_together(int64_t rows)
{
    return rows < TOGETHER ? rows : TOGETHER;
}

/* LayerNorm of one row. */
typedef struct norm {
    vf mean, rstd;
    const float *gamma, *beta;
} norm;

static inline vf norm_at(const norm *n, const float *x, int64_t i, int64_t c)
{
    return row_normalized(n->mean, n->rstd, vf_load_tail(x + i, c), vf_load_tail(n->gamma + i, c),
                          vf_load_tail(n->beta + i, c));
}

static dfqi_row_grid norm_grid(const norm *n, int64_t cols, int bits, const float *x)
{
    row_ends e[VF_CHAINS];
    row_ends_begin_chains(e);
#define STEP(vectors, i, c)                                                                        \
    VF_EACH(vectors)                                                                               \
    {                                                                                              \
        const vf y = norm_at(n, x, (i) + k * VF, c);                                               \
        row_ends_add(&e[k], (c) < VF ? vf_keep(vm_first(c), y) : y);                               \
    }
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return row_grid_of(row_ends_join(e), bits, 0);
}

void INT_ISA(layernorm)(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                        const float *gamma, const float *beta, int bits, uint8_t *q, int64_t ldq,
                        float *scale, int32_t *zero_point, float *scratch)
{
    (void)scratch;
    for (int64_t r = 0; r < rows; r += TOGETHER, x += TOGETHER * ldx, q += TOGETHER * ldq) {
        const int64_t n = at_most_together(rows - r);
        dfqi_row_grid g[TOGETHER];
        float mean[TOGETHER], rstd[TOGETHER];
        for (int64_t k = 0; k < n; k++) mean[k] = row_mean(cols, x + k * ldx);
        for (int64_t k = 0; k < n; k++) rstd[k] = row_rstd(cols, eps, x + k * ldx, mean[k]);
        for (int64_t k = 0; k < n; k++) {
            const norm of = {vf_set(mean[k]), vf_set(rstd[k]), gamma, beta};
            g[k] = norm_grid(&of, cols, bits, x + k * ldx);
            scale[r + k] = g[k].scale;
            zero_point[r + k] = row_zero_point(&g[k]);
        }
        for (int64_t k = 0; k < n; k++) {
            const norm of = {vf_set(mean[k]), vf_set(rstd[k]), gamma, beta};
            const row_coder coder = row_coder_of(&g[k]);
#define VALUE(i, count) norm_at(&of, row, i, count)
            const float *row = x + k * ldx;
            uint8_t *to = q + k * ldq;
            ROW_CODES(&coder, 0, cols, to, VALUE);
#undef VALUE
        }
    }
}

/* GELU of a row, and its grid. */
static dfqi_row_grid gelu_grid(int64_t cols, int bits, const float *x, float *y)
{
    row_ends e[VF_CHAINS];
    vf v[VF_CHAINS];
    row_ends_begin_chains(e);
#define STEP(vectors, i, c)                                                                        \
    do {                                                                                           \
        VF_EACH(vectors) v[k] = vf_load_tail(x + (i) + k * VF, c);                                 \
        vf_gelu(vectors, v);                                                                       \
        VF_EACH(vectors) row_ends_add(&e[k % 2], v[k]);                                            \
        VF_EACH(vectors) vf_store_tail(y + (i) + k * VF, c, v[k]);                                 \
    } while (0)
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return row_grid_of(row_ends_join(e), bits, 0);
}

void INT_ISA(gelu)(int64_t rows, int64_t cols, const float *x, int64_t ldx, int bits, uint8_t *q,
                   int64_t ldq, float *scale, int32_t *zero_point, float *scratch)
{
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const dfqi_row_grid g = gelu_grid(cols, bits, x, scratch);
        const row_coder coder = row_coder_of(&g);
        scale[r] = g.scale;
        zero_point[r] = row_zero_point(&g);
        row_codes(&coder, 0, cols, scratch, q);
    }
}

/* Codes of e / sum, where inv = 1 / sum. The largest e is 2^0 = 1, so the largest quotient is inv;
 * a row that is not finite has NaN in its sum. */
static float softmax_codes(int64_t cols, int bits, float inv, const float *e, uint8_t *q)
{
    const dfqi_row_grid g = dfqi_row_grid_runtime(bits, 0, 0.0f, inv, inv == inv);
    const row_coder coder = row_coder_of(&g);
    const vf by = vf_set(inv);
#define VALUE(i, count) vf_mul(by, vf_load_tail(e + (i), count))
    ROW_CODES(&coder, 0, cols, q, VALUE);
#undef VALUE
    return g.scale;
}

void INT_ISA(softmax)(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                      uint8_t *q, int64_t ldq, float *scale)
{
    const vf s = vf_set(factor * LOG2_E);
    for (int64_t r = 0; r < rows; r += TOGETHER, x += TOGETHER * ldx, q += TOGETHER * ldq) {
        const int64_t n = at_most_together(rows - r);
        float top[TOGETHER], inv[TOGETHER];
        for (int64_t k = 0; k < n; k++) top[k] = row_scaled_max(cols, s, x + k * ldx);
        for (int64_t k = 0; k < n; k++) {
            float *at = x + k * ldx;
            inv[k] = 1.0f / vf_sum(row_scaled_exp2(cols, s, vf_set(top[k]), at, at));
        }
        for (int64_t k = 0; k < n; k++)
            scale[r + k] = softmax_codes(cols, bits, inv[k], x + k * ldx, q + k * ldq);
    }
}
