/* Per-row quantization of weights, with the same codes as in kernel/ref. */
#include <math.h>

#include "kernel/row_grid.h"
#include "kernel/x86/grid.h"
#include "kernel/x86/isa.h"

static inline grid spread(const dfqi_row_grid *g)
{
    return (grid){vf_set(g->scale), vf_set(g->zero_point), vf_set(g->qmin), vf_set(g->qmax)};
}

static inline vf weight(const float *w, const float *s, int64_t i, int64_t c)
{
    vf v = vf_load_tail(w + i, c);
    return s ? vf_mul(v, vf_load_tail(s + i, c)) : v;
}

/* max |w s| of a row; NaN is left out. */
static float largest_weight(int64_t cols, const float *w, const float *s)
{
    vf m = vf_set(0.0f);
#define STEP(i, c) m = vf_max(vf_abs(weight(w, s, i, c)), m)
    VF_LOOP(cols, STEP);
#undef STEP
    return vf_largest(m);
}

void ISA(fq_weight)(int64_t rows, int64_t cols, int bits, const float *w, const float *s,
                    const float *scale_in, float *y, float *scale_out)
{
    for (int64_t r = 0; r < rows; r++, w += cols, y += cols) {
        dfqi_row_grid row =
            dfqi_row_grid_symmetric(bits, scale_in ? 0.0f : largest_weight(cols, w, s));
        if (scale_in) row.scale = scale_in[r];
        const grid g = spread(&row);
        if (scale_out) scale_out[r] = row.scale;
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = grid_fq(&g, weight(w, s, i, c));                                                    \
        vf_store_tail(y + (i), c, s ? vf_div(v, vf_load_tail(s + (i), c)) : v);                    \
    } while (0)
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

/* Smallest and largest so far. */
typedef struct ends {
    vf a, b;
} ends;

static inline ends ends_none(void)
{
    return (ends){vf_set(INFINITY), vf_set(-INFINITY)};
}

/* The first c lanes of v. */
static inline ends ends_with(ends e, vf v, int64_t c)
{
    if (c < VF) {
        vm first = vm_first(c);
        return (ends){vf_min(vf_select(first, v, e.a), e.a), vf_max(vf_select(first, v, e.b), e.b)};
    }
    return (ends){vf_min(v, e.a), vf_max(v, e.b)};
}

void ISA(extremes)(size_t n, const float *x, float *out)
{
    ends e = ends_none();
#define STEP(i, c) e = ends_with(e, vf_load_tail(x + (i), c), c)
    VF_LOOP((int64_t)n, STEP);
#undef STEP
    out[0] = vf_smallest(e.a);
    out[1] = vf_largest(e.b);
}

void ISA(fq_weight_range)(int64_t rows, int64_t cols, int bits, const float *w, float *y,
                          float *scale_out, float *zero_point_out)
{
    for (int64_t r = 0; r < rows; r++, w += cols, y += cols) {
        float range[2];
        ISA(extremes)((size_t)cols, w, range);
        const dfqi_row_grid row = dfqi_row_grid_asymmetric(bits, range[0], range[1]);
        const grid g = spread(&row);
        if (scale_out) scale_out[r] = row.scale;
        if (zero_point_out) zero_point_out[r] = row.zero_point;
#define STEP(i, c) vf_store_tail(y + (i), c, grid_fq(&g, vf_load_tail(w + (i), c)))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

/* One row after the step: v = (w - alpha d) s. */
typedef struct moved_row {
    const float *w, *d, *s;
    vf alpha;
} moved_row;

static inline vf moved(const moved_row *m, int64_t i, int64_t c)
{
    vf v = vf_sub(vf_load_tail(m->w + i, c), vf_mul(m->alpha, vf_load_tail(m->d + i, c)));
    return m->s ? vf_mul(v, vf_load_tail(m->s + i, c)) : v;
}

static grid grid_of(int64_t cols, const dfqi_weight_grid *g, int64_t r, const moved_row *m)
{
    ends e = ends_none();
#define STEP(i, c) e = ends_with(e, moved(m, i, c), c)
    if (!g->scale) VF_LOOP(cols, STEP);
#undef STEP
    float a = vf_smallest(e.a), b = vf_largest(e.b);
    dfqi_row_grid row = g->asymmetric ? dfqi_row_grid_asymmetric(g->bits, a, b)
                                      : dfqi_row_grid_symmetric(g->bits, fmaxf(-a, b));
    if (g->scale) row.scale = g->scale[r];
    return spread(&row);
}

/* Each lane counts up to 2^20 codes before it is added to the total. */
static int64_t row_crossings(int64_t cols, const grid *before, const moved_row *from,
                             const grid *after, const moved_row *to)
{
    enum { BLOCK = VF << 20 };
    const vf one = vf_set(1.0f);
    int64_t n = 0;
    for (int64_t at = 0; at < cols; at += BLOCK) {
        int64_t count = cols - at < BLOCK ? cols - at : BLOCK;
        vf sum = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf p = grid_code(before, moved(from, at + (i), c));                                        \
        vf q = grid_code(after, moved(to, at + (i), c));                                           \
        vf differ = vf_drop(vf_eq(p, q), one);                                                     \
        sum = vf_add(sum, (c) < VF ? vf_keep(vm_first(c), differ) : differ);                       \
    } while (0)
        VF_LOOP(count, STEP);
#undef STEP
        n += (int64_t)vf_sum(sum);
    }
    return n;
}

int64_t ISA(crossings)(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                       const float *d, float alpha)
{
    int64_t n = 0;
    for (int64_t r = 0; r < rows; r++) {
        const moved_row from = {w + r * cols, d + r * cols, g->s, vf_set(0.0f)};
        const moved_row to = {from.w, from.d, g->s, vf_set(alpha)};
        const grid before = grid_of(cols, g, r, &from), after = grid_of(cols, g, r, &to);
        n += row_crossings(cols, &before, &from, &after, &to);
    }
    return n;
}
