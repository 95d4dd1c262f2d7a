/* Column-wise slots on channels-last images, for BatchNorm and its gradient. Rows are processed in
 * blocks that fit into the L1 cache, and the sums of a block stay in registers. So memory is read
 * once, and the rounding error grows only with the number of blocks. */
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

enum { BLOCK = 64 };

static inline int64_t block_rows(int64_t rows, int64_t first)
{
    return rows - first < BLOCK ? rows - first : BLOCK;
}

void ISA(col_affine)(int64_t rows, int64_t cols, const float *x, const float *center,
                     const float *s, const float *shift, float *y)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c,                                                                      \
                  vf_fma(vf_sub(vf_load_tail(x + (i), c), vf_load_tail(center + (i), c)),          \
                         vf_load_tail(s + (i), c), vf_load_tail(shift + (i), c)))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

/* Takes n rows of c columns into the mean and squares of the `before` rows above (Chan et al.). The
 * mean is summed as distances from the first row, which are small where columns lie far from 0. */
static inline void moments_block(int64_t n, int64_t before, int64_t cols, int64_t c, const float *x,
                                 float *mean, float *square)
{
    vf sum = vf_set(0.0f);
    vf squares = vf_set(0.0f);
    const vf first = vf_load_tail(x, c);
    for (int64_t r = 1; r < n; r++) sum = vf_add(sum, vf_sub(vf_load_tail(x + r * cols, c), first));
    const vf m = vf_fma(sum, vf_set(1.0f / (float)n), first);
    for (int64_t r = 0; r < n; r++) {
        vf d = vf_sub(vf_load_tail(x + r * cols, c), m);
        squares = vf_fma(d, d, squares);
    }
    if (before == 0) {
        vf_store_tail(mean, c, m);
        vf_store_tail(square, c, squares);
        return;
    }
    const float share = (float)n / (float)(before + n);
    const vf old = vf_load_tail(mean, c);
    const vf d = vf_sub(m, old);
    squares = vf_fma(vf_mul(d, d), vf_set((float)before * share), squares);
    vf_store_tail(mean, c, vf_fma(d, vf_set(share), old));
    vf_store_tail(square, c, vf_add(vf_load_tail(square, c), squares));
}

void ISA(col_moments)(int64_t rows, int64_t cols, const float *x, float *mean, float *square)
{
    for (int64_t r = 0; r < rows; r += BLOCK) {
        const int64_t n = block_rows(rows, r);
#define STEP(i, c) moments_block(n, r, cols, c, x + r * cols + (i), mean + (i), square + (i))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

static inline void dots_block(int64_t n, int64_t cols, int64_t c, const float *x,
                              const float *center, const float *dy, float *dot, float *sum)
{
    const vf m = vf_load_tail(center, c);
    vf dots = vf_set(0.0f);
    vf sums = vf_set(0.0f);
    for (int64_t r = 0; r < n; r++) {
        vf d = vf_load_tail(dy + r * cols, c);
        dots = vf_fma(vf_sub(vf_load_tail(x + r * cols, c), m), d, dots);
        sums = vf_add(sums, d);
    }
    vf_store_tail(dot, c, vf_add(vf_load_tail(dot, c), dots));
    vf_store_tail(sum, c, vf_add(vf_load_tail(sum, c), sums));
}

void ISA(col_dots)(int64_t rows, int64_t cols, const float *x, const float *center, const float *dy,
                   float *dot, float *sum)
{
    for (int64_t c = 0; c < cols; c++) dot[c] = sum[c] = 0.0f;
    for (int64_t r = 0; r < rows; r += BLOCK) {
        const int64_t n = block_rows(rows, r);
        const int64_t at = r * cols;
#define STEP(i, c)                                                                                 \
    dots_block(n, cols, c, x + at + (i), center + (i), dy + at + (i), dot + (i), sum + (i))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}
