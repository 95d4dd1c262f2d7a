/* Per-row quantization of weights in plain C, with true divisions and rounding half to even: codes
 * must not depend on the kernel that computes them. */
#include "kernel/codes.h"
#include "kernel/ref/ref.h"
#include "kernel/row_grid.h"

static float code(const dfqi_row_grid *g, float v)
{
    return dfqi_code_uniform(v, g->scale, g->zero_point, g->qmin, g->qmax);
}

void dfqi_ref_fq_weight(int64_t rows, int64_t cols, int bits, const float *w, const float *s,
                        const float *scale_in, float *y, float *scale_out)
{
    for (int64_t r = 0; r < rows; r++, w += cols, y += cols) {
        float m = 0.0f;
        for (int64_t c = 0; !scale_in && c < cols; c++) {
            float v = fabsf(s ? w[c] * s[c] : w[c]);
            m = v > m ? v : m;
        }
        dfqi_row_grid g = dfqi_row_grid_symmetric(bits, m);
        if (scale_in) g.scale = scale_in[r];
        for (int64_t c = 0; c < cols; c++) {
            float back = code(&g, s ? w[c] * s[c] : w[c]) * g.scale;
            y[c] = s ? back / s[c] : back;
        }
        if (scale_out) scale_out[r] = g.scale;
    }
}

void dfqi_ref_extremes(size_t n, const float *x, float *out)
{
    out[0] = INFINITY;
    out[1] = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        out[0] = x[i] < out[0] ? x[i] : out[0];
        out[1] = x[i] > out[1] ? x[i] : out[1];
    }
}

void dfqi_ref_fq_weight_range(int64_t rows, int64_t cols, int bits, const float *w, float *y,
                              float *scale_out, float *zero_point_out)
{
    for (int64_t r = 0; r < rows; r++, w += cols, y += cols) {
        float ends[2];
        dfqi_ref_extremes((size_t)cols, w, ends);
        dfqi_row_grid g = dfqi_row_grid_asymmetric(bits, ends[0], ends[1]);
        for (int64_t c = 0; c < cols; c++) y[c] = (code(&g, w[c]) - g.zero_point) * g.scale;
        if (scale_out) scale_out[r] = g.scale;
        if (zero_point_out) zero_point_out[r] = g.zero_point;
    }
}

/* One row after the step: v[c] = (w - alpha d)[c] s[c]. */
typedef struct moved_row {
    const float *w, *d, *s;
    float alpha;
} moved_row;

static float moved(const moved_row *m, int64_t c)
{
    float v = m->w[c] - m->alpha * m->d[c];
    return m->s ? v * m->s[c] : v;
}

static dfqi_row_grid grid_of(int64_t cols, const dfqi_weight_grid *g, int64_t r, const moved_row *m)
{
    float a = INFINITY, b = -INFINITY;
    for (int64_t c = 0; !g->scale && c < cols; c++) {
        float v = moved(m, c);
        a = v < a ? v : a;
        b = v > b ? v : b;
    }
    if (g->asymmetric) return dfqi_row_grid_asymmetric(g->bits, a, b);
    dfqi_row_grid grid = dfqi_row_grid_symmetric(g->bits, fmaxf(-a, b));
    if (g->scale) grid.scale = g->scale[r];
    return grid;
}

int64_t dfqi_ref_crossings(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                           const float *d, float alpha)
{
    int64_t n = 0;
    for (int64_t r = 0; r < rows; r++) {
        moved_row to = {w + r * cols, d + r * cols, g->s, alpha}, from = to;
        from.alpha = 0.0f;
        dfqi_row_grid before = grid_of(cols, g, r, &from), after = grid_of(cols, g, r, &to);
        for (int64_t c = 0; c < cols; c++)
            n += !(code(&before, moved(&from, c)) == code(&after, moved(&to, c)));
    }
    return n;
}
