/* Linear layers whose inputs have a scale for each group of channels of a row (docs/METHODS.md,
 * Grids of rows). A group of a row is quantized as a row is; products of groups are added up in
 * float, in the order of the groups. Scales and zero points are [rows, groups]; where a byte holds
 * it, codes are moved so that all have one zero point, which products then need not look up. */
#include "runtime/program_priv.h"

bool dfqi_rt_is_level(const dfqi_node *quantizer)
{
    return dfqi_rt_group_of(quantizer) > 0 && quantizer->attr.i[0] <= DFQI_INT_LEVEL_BITS;
}

/* -- codes ------------------------------------------------------------------------------------- */

/* Rows of floats that are made before they are quantized: some that the L1 cache holds. */
static int64_t rows_together(int64_t cols)
{
    enum { FLOATS = 3072 };
    return cols < FLOATS ? FLOATS / cols : 1;
}

size_t dfqi_rt_groups_scratch(int64_t cols)
{
    return (size_t)(rows_together(cols) * (cols + 2)) * sizeof(float); /* with statistics */
}

/* x[count, cols] to codes[count, cols]; each group of a row has a scale, and a zero point
 * of its own unless zero_point is NULL. */
static void quantize(const dfqi_rt_step *s, const dfqi_rt_frame *f, const float *x, int64_t count,
                     uint8_t *q, float *scale, int32_t *zero_point)
{
    const int64_t groups = s->cols / s->group;
    f->p->ik->quantize_rows(count * groups, s->group, s->bits, x, s->group, q, s->group, scale,
                            zero_point);
}

/* The floats of some rows by the op of the step: LayerNorm, GELU, or as they are. */
static const float *floats(const dfqi_rt_step *s, const dfqi_rt_frame *f, const float *x,
                           int64_t count)
{
    float *y = (float *)(void *)f->scratch, *stats = y + rows_together(s->cols) * s->cols;
    const dfqi_kernels *k = f->p->k;
    if (s->op == DFQI_OP_LAYERNORM)
        k->layernorm(count, s->cols, s->attr.f[0], x, dfqi_rt_at(f, s->in[1], 1, 0),
                     dfqi_rt_at(f, s->in[2], 1, 0), y, stats);
    else if (s->op == DFQI_OP_GELU)
        k->gelu((size_t)(count * s->cols), x, y);
    else
        return x;
    return y;
}

void dfqi_rt_run_group_codes(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                             int64_t count)
{
    const int64_t groups = s->cols / s->group, rows = count * s->rows;
    const float *x = dfqi_rt_at(f, s->in[0], s->units, first);
    uint8_t *q = dfqi_rt_at(f, s->out[0], s->units, first);
    float *scale = dfqi_rt_at(f, s->out[1], s->units, first);
    int32_t *zero_point = s->out[2] < 0 ? NULL : dfqi_rt_at(f, s->out[2], s->units, first);
    const int64_t together = rows_together(s->cols);
    for (int64_t r = 0; r < rows; r += together) {
        const int64_t n = rows - r < together ? rows - r : together;
        quantize(s, f, floats(s, f, x + r * s->cols, n), n, q + r * s->cols, scale + r * groups,
                 zero_point ? zero_point + r * groups : NULL);
    }
}

/* -- products ---------------------------------------------------------------------------------- */

enum { ROWS = 144 }; /* whose scales are gathered at a time: those of a block (plan.c) */

size_t dfqi_rt_product_scratch(const dfqi_rt_step *s)
{
    const int64_t groups = s->group > 0 ? s->cols / s->group : 0;
    return (size_t)dfqi_int_product_scratch(&s->matrix) +
           (size_t)(groups * ROWS) * (sizeof(float) + sizeof(int32_t));
}

/* Scales and zero points (NULL: not wanted) of some rows, each group's together. */
static void gather(int64_t rows, int64_t groups, const float *scale, const int32_t *zero_point,
                   float *scales, int32_t *zero_points)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < groups; i++) {
            scales[i * rows + r] = scale[r * groups + i];
            if (zero_point) zero_points[i * rows + r] = zero_point[r * groups + i];
        }
}

void dfqi_rt_run_product_groups(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                                int64_t count)
{
    enum { Q_ZERO_POINT = 2 };
    const int64_t groups = s->cols / s->group, rows = count * s->rows;
    const dfqi_int_rows all = dfqi_rt_product_operand(s, f, s->units, first);
    dfqi_int_output o = dfqi_rt_product_output(s, f, s->units, first);
    char *behind = f->scratch + dfqi_int_product_scratch(&s->matrix);
    float *scales = (float *)(void *)behind;
    int32_t *zero_points = (int32_t *)(void *)(scales + groups * ROWS);
    const int level = s->in[Q_ZERO_POINT] < 0;
    dfqi_int_rows a = {.codes = all.codes,
                       .ld = all.ld,
                       .scale = scales,
                       .zero_point = level ? all.zero_point : zero_points,
                       .one_grid = level,
                       .most = all.most};
    for (int64_t r = 0; r < rows; r += ROWS) {
        const int64_t n = rows - r < ROWS ? rows - r : ROWS;
        gather(n, groups, all.scale + r * groups, level ? NULL : all.zero_point + r * groups,
               scales, zero_points);
        f->p->ik->product_spans(n, &a, &s->matrix, &o, (uint8_t *)f->scratch);
        a.codes += ROWS * a.ld;
        o.y += ROWS * o.ld_y;
        if (o.add) o.add += ROWS * o.ld_add;
    }
}
