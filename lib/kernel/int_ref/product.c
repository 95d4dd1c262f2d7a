/* Products of codes in plain C, in the order of operations that int_kernel.h fixes. */
#include <math.h>

#include "kernel/codes.h"
#include "kernel/int_layout.h"
#include "kernel/int_ref/int_ref.h"
#include "kernel/weight_groups.h"

/* c[j,p] of a span */
static int32_t code_at(const dfqi_int_matrix *b, int64_t j, int64_t span, int64_t p)
{
    int shift;
    uint32_t byte = b->codes[dfqi_int_at(b, j, span, p, &shift)];
    if (!b->nibbles) return (int8_t)byte;
    byte = byte >> shift & 15;
    if (b->grid_columns > 0) {
        const float grid = (float)b->codes[dfqi_int_grid_at(b, j, span, p)];
        return (int32_t)dfqi_group_number((float)byte, dfqi_group_grid_of(grid));
    }
    return (int32_t)(byte ^ 8) - 8;
}

/* The panel that begins with row j; with grids of groups as bytes in scratch. */
static dfqi_int_matrix panel_of(const dfqi_int_matrix *b, int64_t j, uint8_t *scratch)
{
    const int64_t n = b->n - j < DFQI_INT_PANEL ? b->n - j : DFQI_INT_PANEL;
    const dfqi_int_matrix grids = dfqi_int_matrix_part(b, j, n);
    dfqi_int_matrix w = grids;
    int shift;
    if (b->grid_columns == 0) return w;
    w.nibbles = 0;
    w.grid_columns = 0;
    w.codes = scratch;
    for (int64_t r = 0; r < n; r++)
        for (int64_t s = 0; s < b->spans; s++)
            for (int64_t p = 0; p < b->k; p++)
                scratch[dfqi_int_at(&w, r, s, p, &shift)] = (uint8_t)code_at(&grids, r, s, p);
    return w;
}

static float added(const dfqi_int_output *o, int64_t i, int64_t j)
{
    if (o->add) return o->add[i * o->ld_add + j];
    return (float)(o->add_codes[i * o->ld_add_codes + j] - o->add_zero_point) * o->add_scale;
}

/* Element (i, j) from its sum. Each value is stored in a variable, so that no two operations become
 * one; this file is compiled without contraction as well. */
static void finish(const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *o,
                   int64_t i, int64_t j, int32_t sum)
{
    int64_t grid = a->one_grid ? 0 : i;
    int32_t t = a->zero_point ? sum - a->zero_point[grid] * b->sum[j] : sum;
    float y = (float)t * a->scale[grid];
    y = y * b->scale[j];
    if (o->bias) y = y + o->bias[j];
    if (o->add || o->add_codes) y = y + added(o, i, j);
    if (o->relu) y = y < 0.0f ? 0.0f : y > o->cap ? o->cap : y;
    if (o->y) o->y[i * o->ld_y + j] = y;
    if (o->q) dfqi_int_ref_quantize(1, 1, o->grid, &y, 1, o->q + i * o->ld_q + j, 1);
}

void dfqi_int_ref_product(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                          const dfqi_int_output *out, uint8_t *scratch)
{
    for (int64_t first = 0; first < b->n; first += DFQI_INT_PANEL) {
        const dfqi_int_matrix w = panel_of(b, first, scratch);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < w.n; j++) {
                const uint8_t *q = a->codes + i * a->ld;
                int32_t sum = 0;
                for (int64_t p = 0; p < b->k; p++) sum += q[p] * code_at(&w, j, 0, p);
                finish(a, b, out, i, first + j, sum);
            }
    }
}

/* Span g of element (i, j), to which y is added. w: the panel of row j. */
static float add_span(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_matrix *w, int64_t i, int64_t j, int64_t g, float y)
{
    const uint8_t *q = a->codes + i * a->ld + g * b->k;
    int32_t t = 0;
    for (int64_t p = 0; p < b->k; p++) t += q[p] * code_at(w, j % DFQI_INT_PANEL, g, p);
    t -= a->zero_point[a->one_grid ? 0 : g * m + i] * b->sum[g * b->n + j];
    float v = (float)t * a->scale[g * m + i];
    v = v * b->scale[j];
    return v + y;
}

void dfqi_int_ref_product_spans(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                                const dfqi_int_output *out, uint8_t *scratch)
{
    for (int64_t first = 0; first < b->n; first += DFQI_INT_PANEL) {
        const dfqi_int_matrix w = panel_of(b, first, scratch);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = first; j < first + w.n; j++) {
                float y = out->bias ? out->bias[j] : -0.0f; /* -0 leaves every float as it is */
                for (int64_t g = 0; g < b->spans; g++) y = add_span(m, a, b, &w, i, j, g, y);
                if (out->add) y = y + out->add[i * out->ld_add + j];
                out->y[i * out->ld_y + j] = y;
            }
    }
}

/* The pixel that tap (u, v) of output pixel (y, x) reads; NULL: in the padding. */
static const uint8_t *pixel(const dfqi_conv_shape *s, const dfqi_int_rows *a, int64_t y, int64_t x,
                            int64_t u, int64_t v)
{
    int64_t iy = y * s->stride + u * s->dilation - s->pad;
    int64_t ix = x * s->stride + v * s->dilation - s->pad;
    if (iy < 0 || iy >= s->in_y || ix < 0 || ix >= s->in_x) return NULL;
    return a->codes + (iy * s->in_x + ix) * a->ld;
}

static int32_t padding(const dfqi_int_rows *a)
{
    return a->zero_point ? a->zero_point[0] : 0;
}

void dfqi_int_ref_conv(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                       const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *out,
                       uint8_t *scratch)
{
    const int64_t taps = s->kernel_y * s->kernel_x, tap = dfqi_int_row(s->c);
    (void)scratch;
    for (int64_t i = first * s->out_x; i < (first + rows) * s->out_x; i++)
        for (int64_t j = 0; j < s->o; j++) {
            int32_t sum = 0;
            for (int64_t t = 0; t < taps; t++) {
                const uint8_t *q =
                    pixel(s, a, i / s->out_x, i % s->out_x, t / s->kernel_x, t % s->kernel_x);
                for (int64_t c = 0; c < s->c; c++) {
                    int64_t p = t * tap + c;
                    sum += (q ? q[c] : padding(a)) * code_at(b, j, p / b->k, p % b->k);
                }
            }
            finish(a, b, out, i, j, sum);
        }
}

void dfqi_int_ref_depthwise(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                            const dfqi_int_rows *a, const dfqi_int_matrix *b,
                            const dfqi_int_output *out, uint8_t *scratch)
{
    (void)scratch;
    for (int64_t i = first * s->out_x; i < (first + rows) * s->out_x; i++)
        for (int64_t j = 0; j < s->c; j++) {
            int32_t sum = 0;
            for (int64_t u = 0; u < s->kernel_y; u++)
                for (int64_t v = 0; v < s->kernel_x; v++) {
                    const uint8_t *q = pixel(s, a, i / s->out_x, i % s->out_x, u, v);
                    sum += (q ? q[j] : padding(a)) * code_at(b, j, v, u);
                }
            finish(a, b, out, i, j, sum);
        }
}
