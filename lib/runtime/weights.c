/* Weights of integer steps: codes packed for the kernels, scales, sums of codes, and biases. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "kernel/codes.h"
#include "kernel/row_grid.h"
#include "kernel/weight_groups.h"
#include "runtime/program_priv.h"

/* Operands of fq_weight: w, column factors, scales, groups; attr i: bits, 1: asymmetric. */
enum { W, COL, SCALE, GROUPS };
/* Operands of batchnorm, attr f[0] eps. */
enum { MEAN = 1, VAR, GAMMA, BETA };

static const float *content(const dfqi_rt_builder *b, dfqi_id id)
{
    return id < 0 ? NULL : dfqi_tensor_f32(dfqi_graph_value(b->g, id)->tensor);
}

static int64_t count_of(const dfqi_rt_builder *b, dfqi_id id)
{
    return dfqi_value_count(dfqi_graph_value(b->g, id));
}

/* -- rows of codes ----------------------------------------------------------------------------- */

static void extremes(const float *w, const float *col, int64_t n, float *lo, float *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const float v = col ? w[i] * col[i] : w[i];
        *lo = fminf(*lo, v);
        *hi = fmaxf(*hi, v);
    }
}

bool dfqi_rt_source_of(const dfqi_rt_builder *b, const dfqi_node *base, dfqi_rt_source *out)
{
    const dfqi_value *v = dfqi_graph_value(b->g, base->in[1]);
    const dfqi_node *fq = v->node < 0 ? NULL : &b->g->nodes[v->node];
    if (fq) {
        if (fq->op != DFQI_OP_FQ_WEIGHT) return false;
        *out = (dfqi_rt_source){.w = fq->in[W],
                                .col = fq->in[COL],
                                .scale = content(b, fq->in[SCALE]),
                                .bits = (int32_t)fq->attr.i[0],
                                .asymmetric = fq->attr.i[1] != 0};
        out->groups = content(b, fq->in[GROUPS]);
        if (out->groups) out->n_groups = dfqi_graph_value(b->g, fq->in[GROUPS])->dims[1];
        return dfqi_graph_value(b->g, out->w)->kind == DFQI_VALUE_PARAM;
    }
    const int32_t i = b->scheme ? dfqi_site_index(b->scheme, base->op, base->name, 1) : -1;
    if (i < 0 || v->kind != DFQI_VALUE_PARAM) return false;
    const dfqi_site *site = &b->scheme->sites[i];
    if (!site->follows || !site->scale) return false;
    *out = (dfqi_rt_source){.w = base->in[1],
                            .col = DFQI_NONE,
                            .scale = dfqi_tensor_f32(site->scale),
                            .bits = site->bits,
                            .asymmetric = site->zero_point != NULL};
    if (site->zero_point) out->zero_point = dfqi_tensor_f32(site->zero_point);
    return true;
}

/* The grid of row r of the weight w[rows, cols]. */
static dfqi_row_grid grid_of(const dfqi_rt_builder *b, const dfqi_rt_source *s, const float *w,
                             int64_t r, int64_t cols)
{
    float lo = 0.0f, hi = 0.0f;
    if (s->zero_point) {
        dfqi_row_grid g = dfqi_row_grid_codes(s->bits);
        g.scale = s->scale[r];
        g.zero_point = s->zero_point[r];
        return g;
    }
    if (!s->scale) extremes(w + r * cols, content(b, s->col), cols, &lo, &hi);
    if (s->asymmetric) return dfqi_row_grid_asymmetric(s->bits, lo, hi);
    dfqi_row_grid g = dfqi_row_grid_symmetric(s->bits, fmaxf(-lo, hi));
    if (s->scale) g.scale = s->scale[r];
    return g;
}

/* The weight is scale times this number. */
static float number_of(const dfqi_row_grid *g, float w, const float *col, int64_t i)
{
    const float v = col ? w * col[i] : w;
    return dfqi_code_uniform(v, g->scale, g->zero_point, g->qmin, g->qmax) - g->zero_point;
}

/* The code of value v in a group of the row, or its number if kernels do not take its grid. */
static float group_code(const dfqi_rt_weight *w, const dfqi_row_grid *row, float byte, float v)
{
    const dfqi_group_grid g = dfqi_group_grid_of(byte);
    const float code = dfqi_group_code(v, row->scale, g, (float)((1 << w->from.bits) - 1));
    return w->step->matrix.grid_columns > 0 ? code : dfqi_group_number(code, g);
}

/* The grid of column i of row r, of weights with groups. */
static float grid_byte(const dfqi_rt_weight *w, int64_t cols, int64_t r, int64_t i)
{
    return w->from.groups[r * w->from.n_groups + i * w->from.n_groups / cols];
}

/* Codes less zero points need more bits than codes, up to a byte. */
static int bits_of(const dfqi_rt_builder *b, const dfqi_rt_source *s)
{
    const dfqi_value *v = dfqi_graph_value(b->g, s->w);
    const float *w = content(b, s->w);
    int bits = s->groups ? 8 : s->bits;
    for (int64_t r = 0; r < v->dims[0] && s->asymmetric; r++) {
        const dfqi_row_grid g = grid_of(b, s, w, r, dfqi_value_count(v) / v->dims[0]);
        const float lo = g.qmin - g.zero_point, hi = g.qmax - g.zero_point;
        while (bits < 9 && (lo < -ldexpf(1.0f, bits - 1) || hi >= ldexpf(1.0f, bits - 1))) bits++;
    }
    return bits;
}

bool dfqi_rt_weight_fits(const dfqi_rt_builder *b, const dfqi_node *base,
                         const dfqi_node *quantizer)
{
    dfqi_rt_source s;
    if (!dfqi_rt_source_of(b, base, &s)) return false;
    const bool channels = quantizer->op == DFQI_OP_FQ && count_of(b, quantizer->in[1]) > 1;
    const int64_t cols = count_of(b, s.w) / dfqi_graph_value(b->g, s.w)->dims[0];
    if (s.col != (channels ? quantizer->in[1] : DFQI_NONE) || cols > DFQI_INT_K ||
        bits_of(b, &s) > 8)
        return false;
    /* sums of codes times codes, and of codes times zero points, fit in 32 bits together */
    const float most = (float)(INT32_MAX / (128 * cols)) - 255.0f;
    return !channels || dfqi_rt_zero_points_within(b->g, quantizer, -most, most);
}

/* -- constants --------------------------------------------------------------------------------- */

/* The matrix of a linear layer whose inputs have a scale for each `group` channels of a row, 0: for
 * all. */
static dfqi_int_matrix linear_matrix(const dfqi_rt_weight *w, int64_t rows, int64_t cols,
                                     int64_t group)
{
    dfqi_int_matrix m = {.n = rows,
                         .k = group > 0 ? group : cols,
                         .spans = group > 0 ? cols / group : 1,
                         .nibbles = w->bits <= 4};
    const int64_t grid_columns = w->from.groups ? cols / w->from.n_groups : 0;
    if (grid_columns > 0 && dfqi_int_takes_weight_groups(m.k, grid_columns)) {
        m.nibbles = 1;
        m.grid_columns = grid_columns;
    }
    return m;
}

static dfqi_int_matrix conv_matrix(const dfqi_rt_weight *w, int64_t rows, const dfqi_conv_shape *s)
{
    return (dfqi_int_matrix){.n = rows,
                             .k = dfqi_int_conv_span(s),
                             .spans = dfqi_int_conv_spans(s),
                             .nibbles = w->bits <= 4};
}

int32_t dfqi_rt_weight_of(dfqi_rt_builder *b, const dfqi_node *base, const dfqi_node *norm,
                          const dfqi_node *quantizer, dfqi_rt_step *s)
{
    dfqi_rt_weight *w = &b->weights[b->n_weights++];
    *w = (dfqi_rt_weight){.step = s, .base = base, .norm = norm, .quantizer = quantizer};
    (void)dfqi_rt_source_of(b, base, &w->from); /* it fits */
    const int64_t rows = dfqi_graph_value(b->g, w->from.w)->dims[0];
    const int64_t cols = count_of(b, w->from.w) / rows;
    w->bits = bits_of(b, &w->from);
    const bool linear = base->op == DFQI_OP_LINEAR;
    s->matrix = linear ? linear_matrix(w, rows, cols, dfqi_rt_group_of(quantizer))
                       : conv_matrix(w, rows, &s->shape);
    const int64_t bytes =
        s->depthwise ? dfqi_int_depthwise_bytes(&s->shape) : dfqi_int_matrix_bytes(&s->matrix);
    const int64_t sums = linear ? rows * s->matrix.spans : rows;
    w->codes = dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)bytes);
    w->scale = dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)rows * sizeof(float));
    w->sum = dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)sums * sizeof(int32_t));
    if (!norm) return w->bias = dfqi_rt_value_of(b, base->in[3], true);
    return w->bias = dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)rows * sizeof(float));
}

static void *place_of(const dfqi_rt_builder *b, int32_t value)
{
    return b->p->constants + b->p->values[value].offset;
}

/* codes[rows, cols] (numbers, or with grids of groups unsigned) and scales. A weight that is NaN
 * makes its row NaN. */
static void make_codes(const dfqi_rt_builder *b, const dfqi_rt_weight *w, const float *from,
                       int64_t cols, int8_t *codes, float *scale)
{
    const float *col = content(b, w->from.col);
    for (int64_t r = 0; r < w->step->matrix.n; r++) {
        const dfqi_row_grid g = grid_of(b, &w->from, from, r, cols);
        scale[r] = g.scale;
        for (int64_t i = 0; i < cols; i++) {
            const float code =
                w->from.groups ? group_code(w, &g, grid_byte(w, cols, r, i),
                                            col ? from[r * cols + i] * col[i] : from[r * cols + i])
                               : number_of(&g, from[r * cols + i], col, i);
            codes[r * cols + i] = isnan(code) ? 0 : (int8_t)code;
            if (isnan(code)) scale[r] = NAN;
        }
    }
}

/* BatchNorm is a factor and a bias for each filter. */
static void add_norm(const dfqi_rt_builder *b, const dfqi_rt_weight *w, float *scale)
{
    const dfqi_node *n = w->norm;
    const float *mean = content(b, n->in[MEAN]), *var = content(b, n->in[VAR]);
    const float *gamma = content(b, n->in[GAMMA]), *beta = content(b, n->in[BETA]);
    float *bias = place_of(b, w->bias);
    for (int64_t i = 0; i < w->step->matrix.n; i++) {
        const float factor = (gamma ? gamma[i] : 1.0f) / sqrtf(var[i] + n->attr.f[0]);
        scale[i] *= factor;
        bias[i] = (beta ? beta[i] : 0.0f) - mean[i] * factor;
    }
}

/* The number of a code: less its zero point, times its multiplier where it has one. */
static int32_t number_at(const dfqi_rt_weight *w, const int8_t *codes, int64_t cols, int64_t r,
                         int64_t i)
{
    const int8_t code = codes[r * cols + i];
    if (w->step->matrix.grid_columns == 0) return code;
    return (int32_t)dfqi_group_number((float)code, dfqi_group_grid_of(grid_byte(w, cols, r, i)));
}

/* Sums of numbers times the zero point of their channel. */
static void add_zero_points(const dfqi_rt_builder *b, const dfqi_rt_weight *w, int64_t cols,
                            const int8_t *codes, int32_t *sum)
{
    for (int64_t r = 0; r < w->step->matrix.n; r++) {
        sum[r] = 0;
        for (int64_t i = 0; i < cols; i++)
            sum[r] += number_at(w, codes, cols, r, i) * dfqi_rt_grid_zero_point(b, w->quantizer, i);
    }
}

static dfq_status pack(const dfqi_rt_builder *b, const dfqi_rt_weight *w, int64_t cols,
                       const int8_t *codes, const float *scale)
{
    dfq_context *ctx = b->p->ctx;
    dfqi_rt_step *s = w->step;
    const int64_t rows = s->matrix.n;
    uint8_t *packed = place_of(b, w->codes);
    int32_t *sum = place_of(b, w->sum);
    const dfqi_int_matrix *m = &s->matrix;
    if (m->grid_columns > 0)
        return dfqi_int_pack_weight_groups(ctx, w->base->name, rows, m->spans, m->k,
                                           m->grid_columns, codes, w->from.groups, scale, packed,
                                           sum, &s->matrix);
    if (s->group > 0)
        return dfqi_int_pack_spans(ctx, w->base->name, rows, cols / s->group, s->group, w->bits,
                                   codes, scale, packed, sum, &s->matrix);
    if (w->base->op == DFQI_OP_LINEAR)
        return dfqi_int_pack(ctx, w->base->name, rows, cols, w->bits, codes, scale, packed, sum,
                             &s->matrix);
    return (s->depthwise ? dfqi_int_pack_depthwise : dfqi_int_pack_conv)(
        ctx, w->base->name, &s->shape, w->bits, codes, scale, packed, sum, &s->matrix);
}

dfq_status dfqi_rt_weight_compute(const dfqi_rt_builder *b, const dfqi_rt_weight *w)
{
    const int64_t rows = w->step->matrix.n, cols = count_of(b, w->from.w) / rows;
    float *scale = place_of(b, w->scale);
    const dfq_tensor *t = dfqi_graph_value(b->g, w->from.w)->tensor;
    dfq_status status = DFQ_E_NOMEM;
    int8_t *codes = dfqi_alloc(b->p->ctx, (size_t)(rows * cols));
    float *own = t->fill ? dfqi_alloc(b->p->ctx, (size_t)(rows * cols) * sizeof *own) : NULL;
    if (!codes || (t->fill && !own)) goto out;
    if (own) dfqi_tensor_read(t, own);
    make_codes(b, w, own ? own : dfqi_tensor_f32(t), cols, codes, scale);
    if (w->norm) add_norm(b, w, scale);
    status = pack(b, w, cols, codes, scale);
    if (w->from.col >= 0) add_zero_points(b, w, cols, codes, place_of(b, w->sum));
out:
    dfqi_free(b->p->ctx, codes);
    dfqi_free(b->p->ctx, own);
    return status;
}
