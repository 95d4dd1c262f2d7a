/* Codes of activations: floats that are quantized, by themselves or with what makes the floats, and
 * ops that move codes instead of floats. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "runtime/program_priv.h"

/* -- which values have codes ------------------------------------------------------------------- */

static const dfqi_node *producer(const dfqi_rt_builder *b, dfqi_id id)
{
    const int32_t node = id < 0 ? -1 : dfqi_graph_value(b->g, id)->node;
    return node < 0 ? NULL : &b->g->nodes[node];
}

/* Unsigned codes on grids of rows? */
static bool is_row_quantizer(const dfqi_node *n)
{
    return n->op == DFQI_OP_FQ_ROW && !n->attr.i[1] && !n->attr.i[2];
}

bool dfqi_rt_zero_points_within(const dfqi_graph *g, const dfqi_node *n, float lo, float hi)
{
    const dfqi_value *z = n->in[2] < 0 ? NULL : dfqi_graph_value(g, n->in[2]);
    for (int64_t i = 0; i < (z ? dfqi_value_count(z) : 1); i++) {
        const float code = (z ? rintf(dfqi_tensor_f32(z->tensor)[i]) : 0.0f) - n->attr.f[0];
        if (!(code >= lo && code <= hi)) return false;
    }
    return true;
}

/* A static grid of codes that fit in a byte, one for all or one for each entry of a row? */
static bool is_static_quantizer(const dfqi_graph *g, const dfqi_node *n)
{
    if (n->op != DFQI_OP_FQ || n->attr.f[1] - n->attr.f[0] > 255.0f) return false;
    const dfqi_value *x = dfqi_graph_value(g, n->in[0]);
    const int64_t scales = dfqi_value_count(dfqi_graph_value(g, n->in[1]));
    if (scales == 1) return dfqi_rt_zero_points_within(g, n, 0.0f, 255.0f);
    return scales == dfqi_value_last(x) && x->rank < 4;
}

/* Does it move codes of one grid, or the largest of them, where it moves floats? */
static bool moves_codes(const dfqi_node *n)
{
    return n->op == DFQI_OP_MAX_POOL || n->op == DFQI_OP_SUBSAMPLE_PAD;
}

int64_t dfqi_rt_group_of(const dfqi_node *quantizer)
{
    return quantizer->op == DFQI_OP_FQ_ROW ? quantizer->attr.i[4] : 0;
}

bool dfqi_rt_is_quantizer(const dfqi_graph *g, const dfqi_node *n)
{
    return is_row_quantizer(n) || is_static_quantizer(g, n);
}

const dfqi_node *dfqi_rt_quantizer_of(const dfqi_rt_builder *b, dfqi_id id)
{
    const dfqi_node *n = producer(b, id);
    return n && dfqi_rt_is_quantizer(b->g, n) ? n : dfqi_rt_one_grid_of(b, id);
}

const dfqi_node *dfqi_rt_one_grid_of(const dfqi_rt_builder *b, dfqi_id id)
{
    const dfqi_node *n = producer(b, id);
    while (n && moves_codes(n)) n = producer(b, n->in[0]);
    return n && is_static_quantizer(b->g, n) &&
                   dfqi_value_count(dfqi_graph_value(b->g, n->in[1])) == 1
               ? n
               : NULL;
}

float dfqi_rt_grid_scale(const dfqi_rt_builder *b, const dfqi_node *n)
{
    return dfqi_tensor_f32(dfqi_graph_value(b->g, n->in[1])->tensor)[0];
}

/* Kernels have codes less qmin. */
int32_t dfqi_rt_grid_zero_point(const dfqi_rt_builder *b, const dfqi_node *n, int64_t i)
{
    const float *z =
        n->in[2] < 0 ? NULL : dfqi_tensor_f32(dfqi_graph_value(b->g, n->in[2])->tensor);
    return (int32_t)((z ? rintf(z[i]) : 0.0f) - n->attr.f[0]);
}

/* -- making codes ------------------------------------------------------------------------------ */

/* The codes of some rows. */
typedef struct code_rows {
    uint8_t *q;
    float *scale;
    int32_t *zero_point;
    int64_t rows, ld;
} code_rows;

static code_rows results(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                         int64_t count)
{
    return (code_rows){.q = dfqi_rt_at(f, s->out[0], s->units, first),
                       .scale = dfqi_rt_at(f, s->out[1], s->units, first),
                       .zero_point = dfqi_rt_at(f, s->out[2], s->units, first),
                       .rows = count * s->rows,
                       .ld = dfqi_int_row(s->cols)};
}

static void run_rows(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const code_rows to = results(s, f, first, count);
    f->p->ik->quantize_rows(to.rows, s->cols, s->bits, dfqi_rt_at(f, s->in[0], s->units, first),
                            s->cols, to.q, to.ld, to.scale, to.zero_point);
}

static void run_layernorm(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                          int64_t count)
{
    const code_rows to = results(s, f, first, count);
    f->p->ik->layernorm(to.rows, s->cols, s->attr.f[0], dfqi_rt_at(f, s->in[0], s->units, first),
                        s->cols, dfqi_rt_at(f, s->in[1], 1, 0), dfqi_rt_at(f, s->in[2], 1, 0),
                        s->bits, to.q, to.ld, to.scale, to.zero_point, (float *)(void *)f->scratch);
}

static void run_gelu(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const code_rows to = results(s, f, first, count);
    f->p->ik->gelu(to.rows, s->cols, dfqi_rt_at(f, s->in[0], s->units, first), s->cols, s->bits,
                   to.q, to.ld, to.scale, to.zero_point, (float *)(void *)f->scratch);
}

dfqi_grid dfqi_rt_static_grid(const dfqi_rt_step *s, const dfqi_rt_frame *f)
{
    return (dfqi_grid){.scale = dfqi_rt_at(f, s->in[1], 1, 0),
                       .zero_point = s->in[2] < 0 ? NULL : dfqi_rt_at(f, s->in[2], 1, 0),
                       .n_scales = (int64_t)(f->p->values[s->in[1]].bytes / sizeof(float)),
                       .qmin = s->attr.f[0],
                       .qmax = s->attr.f[1]};
}

static void run_static(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const dfqi_grid grid = dfqi_rt_static_grid(s, f);
    f->p->ik->quantize(count * s->rows, s->cols, &grid, dfqi_rt_at(f, s->in[0], s->units, first),
                       s->cols, dfqi_rt_at(f, s->out[0], s->units, first), dfqi_int_row(s->cols));
}

/* What makes the operand of a quantizer and can be done with it: a LayerNorm or a GELU that nobody
 * else reads. */
static const dfqi_node *maker_of(const dfqi_rt_builder *b, const dfqi_node *n)
{
    if (!is_row_quantizer(n) || b->want[n->out[0]] != DFQI_RT_CODES) return NULL;
    const dfqi_node *norm = dfqi_rt_sole(b, n->in[0], DFQI_OP_LAYERNORM);
    if (norm && b->readers[norm->out[1]] == 0) return norm;
    return dfqi_rt_sole(b, n->in[0], DFQI_OP_GELU);
}

/* Does it make codes of an image with its channels last, which nobody else reads? */
static bool quantizes_image(const dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_node *maker = dfqi_rt_sole(b, n->in[0], DFQI_OP_CHANNELS_LAST);
    return maker && n->op == DFQI_OP_FQ && b->want[n->out[0]] == DFQI_RT_CODES &&
           dfqi_graph_value(b->g, maker->in[0])->kind == DFQI_VALUE_INPUT;
}

bool dfqi_rt_quantize_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    if (!dfqi_rt_is_quantizer(b->g, n) || !(b->want[n->out[0]] & DFQI_RT_CODES)) return false;
    const dfqi_node *maker = maker_of(b, n);
    if (quantizes_image(b, n)) {
        dfqi_rt_take(b, producer(b, n->in[0]));
        return true;
    }
    if (maker) dfqi_rt_take(b, maker);
    dfqi_rt_want(b, maker ? maker->in[0] : n->in[0], DFQI_RT_FLOATS);
    return true;
}

void dfqi_rt_rows_of(const dfqi_value *x, dfqi_rt_step *s)
{
    s->cols = dfqi_value_last(x);
    s->units = x->rank < 3 ? 1 : x->dims[1];
    s->rows = dfqi_value_stride(x) / s->cols / s->units;
}

int32_t dfqi_rt_codes_new(dfqi_rt_builder *b, dfqi_id id)
{
    const dfqi_value *x = dfqi_graph_value(b->g, id);
    const int64_t cols = dfqi_value_last(x), rows = dfqi_value_stride(x) / cols;
    int32_t *codes = b->codes_of[id];
    codes[0] = dfqi_rt_value_new(b, DFQI_RT_SLICE, (size_t)(rows * dfqi_int_row(cols)));
    return codes[0];
}

void dfqi_rt_quantize_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_value *x = dfqi_graph_value(b->g, n->in[0]);
    const dfqi_node *maker = maker_of(b, n), *from = maker ? maker : n;
    int32_t *codes = b->codes_of[n->out[0]];
    dfqi_rt_step *s = dfqi_rt_step_add(b, from);
    dfqi_rt_rows_of(x, s);
    if (!maker) s->kind = "quantize";
    s->run = n->op == DFQI_OP_FQ              ? run_static
             : !maker                         ? run_rows
             : maker->op == DFQI_OP_LAYERNORM ? run_layernorm
                                              : run_gelu;
    s->bits = (int32_t)n->attr.i[0];
    s->scratch = (size_t)s->cols * sizeof(float);
    s->group = dfqi_rt_group_of(n);
    if (s->group > 0) {
        s->run = dfqi_rt_run_group_codes;
        s->scratch = dfqi_rt_groups_scratch(s->cols);
    }
    s->n_in = from->n_in;
    const bool image = quantizes_image(b, n);
    if (image) {
        s->run = dfqi_rt_run_image_codes;
        s->scratch = (size_t)(s->rows * s->cols) * (sizeof(float) + 1);
    }
    for (int32_t i = image; i < s->n_in; i++) s->in[i] = dfqi_rt_value_of(b, from->in[i], true);
    s->n_out = 1;
    s->out[0] = dfqi_rt_codes_new(b, n->out[0]);
    s->macs = (double)dfqi_value_count(x);
    if (n->op == DFQI_OP_FQ) return;
    s->n_out = dfqi_rt_is_level(n) ? 2 : 3;
    const int64_t groups = s->group > 0 ? s->cols / s->group : 1;
    for (int32_t i = 1; i < s->n_out; i++)
        s->out[i] = codes[i] = dfqi_rt_value_new(
            b, DFQI_RT_SLICE, (size_t)(s->units * s->rows * groups) * sizeof(float));
}

/* -- ops on codes of one static grid ----------------------------------------------------------- */

static void run_dequantize(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                           int64_t count)
{
    const int64_t ld = dfqi_int_row(s->cols);
    const uint8_t *q = dfqi_rt_at(f, s->in[0], s->units, first);
    float *y = dfqi_rt_at(f, s->out[0], s->units, first);
    for (int64_t r = 0; r < count * s->rows; r++, q += ld, y += s->cols)
        for (int64_t c = 0; c < s->cols; c++) y[c] = (float)(q[c] - s->zero_point) * s->scale;
}

static void run_max_pool(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                         int64_t count)
{
    const int64_t ld = dfqi_int_row(s->shape.c);
    const uint8_t *x = dfqi_rt_at(f, s->in[0], 1, first);
    uint8_t *y = dfqi_rt_at(f, s->out[0], 1, first);
    for (int64_t i = 0; i < count; i++) {
        f->p->ik->max_pool(&s->shape, x, ld, y, ld);
        x += s->shape.in_y * s->shape.in_x * ld;
        y += s->shape.out_y * s->shape.out_x * ld;
    }
}

static void run_mean(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    float *y = dfqi_rt_at(f, s->out[0], 1, first);
    dfqi_int_rows a = {.codes = dfqi_rt_at(f, s->in[0], 1, first),
                       .ld = dfqi_int_row(s->cols),
                       .scale = &s->scale,
                       .zero_point = &s->zero_point,
                       .one_grid = 1};
    for (int64_t i = 0; i < count; i++, y += s->cols, a.codes += s->rows * a.ld)
        f->p->ik->mean(s->rows, s->cols, &a, y);
}

/* attr i: stride, channels before and after, which have the code of 0 */
static void run_subsample(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                          int64_t count)
{
    const int64_t stride = s->attr.i[0], before = s->attr.i[1];
    const int64_t from = dfqi_int_row(s->shape.c), to = dfqi_int_row(s->shape.o);
    const uint8_t *x = dfqi_rt_at(f, s->in[0], 1, first);
    uint8_t *y = dfqi_rt_at(f, s->out[0], 1, first);
    memset(y, s->zero_point, (size_t)(count * s->shape.out_y * s->shape.out_x * to));
    for (int64_t i = 0; i < count; i++, x += s->shape.in_y * s->shape.in_x * from)
        for (int64_t r = 0; r < s->shape.out_y; r++)
            for (int64_t c = 0; c < s->shape.out_x; c++, y += to)
                memcpy(y + before, x + (r * s->shape.in_x + c) * stride * from, (size_t)s->shape.c);
}

static dfqi_rt_step *add_moved(dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_node *grid = dfqi_rt_one_grid_of(b, n->in[0]);
    const dfqi_value *x = dfqi_graph_value(b->g, n->in[0]);
    dfqi_rt_step *s = dfqi_rt_step_add(b, n);
    s->n_in = s->n_out = 1;
    s->in[0] = b->codes_of[n->in[0]][0];
    s->scale = dfqi_rt_grid_scale(b, grid);
    s->zero_point = dfqi_rt_grid_zero_point(b, grid, 0);
    s->cols = dfqi_value_last(x);
    s->rows = dfqi_value_stride(x) / s->cols;
    s->macs = (double)dfqi_value_count(x);
    return s;
}

/* From codes to codes where these are wanted; a mean to floats. */
bool dfqi_rt_move_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    const bool moves = moves_codes(n);
    if (moves ? !(b->want[n->out[0]] & DFQI_RT_CODES) : n->op != DFQI_OP_MEAN_POOL) return false;
    if (!dfqi_rt_one_grid_of(b, n->in[0])) return false;
    dfqi_rt_want(b, n->in[0], moves ? b->want[n->out[0]] : DFQI_RT_CODES);
    return true;
}

void dfqi_rt_move_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    const int64_t *x = dfqi_graph_value(b->g, n->in[0])->dims;
    const int64_t *y = dfqi_graph_value(b->g, n->out[0])->dims;
    dfqi_rt_step *s = add_moved(b, n);
    s->run = n->op == DFQI_OP_MAX_POOL        ? run_max_pool
             : n->op == DFQI_OP_SUBSAMPLE_PAD ? run_subsample
                                              : run_mean;
    if (n->op == DFQI_OP_MEAN_POOL) {
        s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
        return;
    }
    s->shape = (dfqi_conv_shape){
        .in_y = x[1], .in_x = x[2], .c = x[3], .out_y = y[1], .out_x = y[2], .o = y[3]};
    if (n->op == DFQI_OP_MAX_POOL) {
        s->shape.kernel_y = s->shape.kernel_x = n->attr.i[0];
        s->shape.stride = n->attr.i[1];
        s->shape.pad = n->attr.i[2]; /* what is padded more behind the image is in out_y, out_x */
        s->shape.dilation = 1;
    }
    s->out[0] = dfqi_rt_codes_new(b, n->out[0]);
}

void dfqi_rt_dequantize_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    dfqi_rt_step *s = dfqi_rt_step_add(b, n);
    const dfqi_value *x = dfqi_graph_value(b->g, n->out[0]);
    dfqi_rt_rows_of(x, s);
    s->kind = "dequantize";
    s->run = run_dequantize;
    s->n_in = s->n_out = 1;
    s->in[0] = b->codes_of[n->out[0]][0];
    s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
    s->scale = dfqi_rt_grid_scale(b, n);
    s->zero_point = dfqi_rt_grid_zero_point(b, n, 0);
    s->macs = (double)dfqi_value_count(x);
}
