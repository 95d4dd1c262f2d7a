/* Linear layers whose inputs have a scale for each group of channels of a row (docs/METHODS.md,
 * Grids of rows). A group of a row is quantized as a row is; products of groups are added up in
 * float, in the order of the groups. Scales and zero points are [rows, groups]. */
#include "runtime/program_priv.h"

/* -- codes ------------------------------------------------------------------------------------- */

enum { TOGETHER = 8 }; /* rows of floats that are made before they are quantized */

size_t dfqi_rt_groups_scratch(int64_t cols)
{
    return (size_t)(TOGETHER * cols) * sizeof(float) + 2 * TOGETHER * sizeof(float);
}

/* x[count, cols] to codes[count, cols], with a scale and a zero point for each group of a row. */
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
    float *y = (float *)(void *)f->scratch, *stats = y + TOGETHER * s->cols;
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
    int32_t *zero_point = dfqi_rt_at(f, s->out[2], s->units, first);
    for (int64_t r = 0; r < rows; r += TOGETHER) {
        const int64_t n = rows - r < TOGETHER ? rows - r : TOGETHER;
        quantize(s, f, floats(s, f, x + r * s->cols, n), n, q + r * s->cols, scale + r * groups,
                 zero_point + r * groups);
    }
}

/* -- products ---------------------------------------------------------------------------------- */

/* A tile of the result stays in the L1 cache while the groups are added up. */
enum { TILE_ROWS = 64, TILE_COLS = 4 * DFQI_INT_PANEL };

/* The weights of one group: matrices of groups lie behind each other. */
static dfqi_int_matrix matrix_of(const dfqi_rt_step *s, int64_t group)
{
    dfqi_int_matrix w = s->matrix;
    w.codes += group * dfqi_int_packed_bytes(w.n, 1, w.k, w.nibbles ? 4 : 8);
    w.sum += group * w.n;
    return w;
}

size_t dfqi_rt_product_groups_scratch(int64_t groups)
{
    return (size_t)(groups * TILE_ROWS) * (sizeof(float) + sizeof(int32_t));
}

/* Scales and zero points of the rows of a tile, each group's together. */
static void gather(int64_t rows, int64_t groups, const float *scale, const int32_t *zero_point,
                   float *scales, int32_t *zero_points)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < groups; i++) {
            scales[i * TILE_ROWS + r] = scale[r * groups + i];
            zero_points[i * TILE_ROWS + r] = zero_point[r * groups + i];
        }
}

/* Some rows, in tiles of columns. */
static void run_tiles(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t rows,
                      const uint8_t *codes, const float *scales, const int32_t *zero_points,
                      const float *bias, float *y)
{
    const int64_t n = s->matrix.n, groups = s->cols / s->group;
    for (int64_t col = 0; col < n; col += TILE_COLS)
        for (int64_t i = 0; i < groups; i++) {
            const dfqi_int_matrix all = matrix_of(s, i);
            const dfqi_int_matrix w =
                dfqi_int_matrix_part(&all, col, n - col < TILE_COLS ? n - col : TILE_COLS);
            const dfqi_int_rows a = {.codes = codes + i * s->group,
                                     .ld = s->cols,
                                     .scale = scales + i * TILE_ROWS,
                                     .zero_point = zero_points + i * TILE_ROWS};
            const dfqi_int_output o = {.bias = i == 0 && bias ? bias + col : NULL,
                                       .add = i > 0 ? y + col : NULL,
                                       .ld_add = n,
                                       .y = y + col,
                                       .ld_y = n};
            f->p->ik->product(rows, &a, &w, &o);
        }
}

void dfqi_rt_run_product_groups(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                                int64_t count)
{
    enum { Q, Q_SCALE, Q_ZERO_POINT, BIAS };
    const int64_t groups = s->cols / s->group, rows = count * s->rows;
    const uint8_t *codes = dfqi_rt_at(f, s->in[Q], s->units, first);
    const float *scale = dfqi_rt_at(f, s->in[Q_SCALE], s->units, first);
    const int32_t *zero_point = dfqi_rt_at(f, s->in[Q_ZERO_POINT], s->units, first);
    const float *bias = s->in[BIAS] < 0 ? NULL : dfqi_rt_at(f, s->in[BIAS], 1, 0);
    float *y = dfqi_rt_at(f, s->out[0], s->units, first);
    float *scales = (float *)(void *)f->scratch;
    int32_t *zero_points = (int32_t *)(void *)(scales + groups * TILE_ROWS);
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
        const int64_t n = rows - r < TILE_ROWS ? rows - r : TILE_ROWS;
        gather(n, groups, scale + r * groups, zero_point + r * groups, scales, zero_points);
        run_tiles(s, f, n, codes + r * s->cols, scales, zero_points, bias, y + r * s->matrix.n);
    }
}
