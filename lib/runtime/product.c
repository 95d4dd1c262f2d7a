/* Linear layers and convolutions on codes, with what follows them: BatchNorm, a sum, a ReLU, and
 * the codes of the result. */
#include <math.h>

#include "graph/ops.h"
#include "runtime/program_priv.h"

/* Operands of a step. */
enum { Q, Q_SCALE, Q_ZERO_POINT, BIAS, ADDED, OPERANDS };

/* The nodes of a product, from the back; all but `base` may be absent. */
typedef struct chain {
    const dfqi_node *quantizer, *relu, *add, *norm, *base;
    dfqi_id added;
} chain;

/* -- what fits --------------------------------------------------------------------------------- */

/* The node that makes `id` for one reader alone. */
static const dfqi_node *sole(const dfqi_rt_builder *b, dfqi_id id)
{
    const int32_t node = dfqi_graph_value(b->g, id)->node;
    return node < 0 || b->readers[id] != 1 ? NULL : &b->g->nodes[node];
}

/* Kernels have all channels in one group, or each in its own. */
static bool groups_fit(const dfqi_rt_builder *b, const dfqi_node *n)
{
    dfqi_conv_shape s;
    int64_t groups;
    if (n->op != DFQI_OP_CONV) return true;
    dfqi_conv_node(b->g, n, &s, &groups);
    return groups == 1 || dfqi_conv_is_depthwise(&s, groups);
}

/* Have activations and weights codes that the kernels take? */
static bool fits(const dfqi_rt_builder *b, const dfqi_node *n)
{
    if ((n->op != DFQI_OP_LINEAR && n->op != DFQI_OP_CONV) || !groups_fit(b, n)) return false;
    const dfqi_node *q = n->op == DFQI_OP_CONV ? dfqi_rt_one_grid_of(b, n->in[0])
                                               : dfqi_rt_quantizer_of(b, n->in[0]);
    return q && dfqi_rt_weight_fits(b, n, q);
}

/* A product at the end of which `n` stands: itself, or its BatchNorm. */
static bool match_base(const dfqi_rt_builder *b, const dfqi_node *n, chain *c)
{
    c->norm = NULL;
    if (n && n->op == DFQI_OP_BATCHNORM) {
        c->norm = n;
        n = sole(b, n->in[0]);
    }
    if (!n || (c->norm && n->op != DFQI_OP_CONV) || !fits(b, n)) return false;
    c->base = n;
    return true;
}

/* Groups of channels are added up in floats, to which floats alone may be added. */
static bool groups_allow(const dfqi_rt_builder *b, const chain *c)
{
    if (dfqi_rt_group_of(dfqi_rt_quantizer_of(b, c->base->in[0])) == 0) return true;
    return !c->quantizer && !c->relu && !(c->add && dfqi_rt_one_grid_of(b, c->added));
}

static bool match_chain(const dfqi_rt_builder *b, const dfqi_node *n, chain *c)
{
    *c = (chain){.added = DFQI_NONE};
    if (n->op == DFQI_OP_FQ) {
        if (!(b->want[n->out[0]] & DFQI_RT_CODES) || !dfqi_rt_one_grid_of(b, n->out[0]))
            return false;
        c->quantizer = n;
        n = sole(b, n->in[0]);
    }
    if (n && n->op == DFQI_OP_RELU) {
        c->relu = n;
        n = sole(b, n->in[0]);
    }
    if (!n || n->op != DFQI_OP_ADD) return n && match_base(b, n, c);
    c->add = n;
    for (int32_t i = 0; i < 2; i++) {
        c->added = n->in[1 - i];
        if (sole(b, n->in[i]) && match_base(b, sole(b, n->in[i]), c)) return true;
    }
    return false;
}

static bool match(const dfqi_rt_builder *b, const dfqi_node *n, chain *c)
{
    return match_chain(b, n, c) && groups_allow(b, c);
}

bool dfqi_rt_product_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    chain c;
    if (!match(b, n, &c)) return false;
    const dfqi_node *const nodes[] = {c.quantizer, c.relu, c.add, c.norm, c.base};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (nodes[i] && nodes[i] != n) dfqi_rt_take(b, nodes[i]);
    dfqi_rt_want(b, c.base->in[0], DFQI_RT_CODES);
    if (c.add)
        dfqi_rt_want(b, c.added, dfqi_rt_one_grid_of(b, c.added) ? DFQI_RT_CODES : DFQI_RT_FLOATS);
    return true;
}

/* -- running ----------------------------------------------------------------------------------- */

dfqi_int_rows dfqi_rt_product_operand(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t units,
                                      int64_t first)
{
    dfqi_int_rows a = {.codes = dfqi_rt_at(f, s->in[Q], units, first),
                       .ld = dfqi_int_row(s->cols),
                       .scale = &s->scale,
                       .zero_point = &s->zero_point,
                       .one_grid = 1,
                       .most = s->most};
    if (s->in[Q_SCALE] < 0) return a;
    a.scale = dfqi_rt_at(f, s->in[Q_SCALE], units, first);
    if (s->in[Q_ZERO_POINT] >= 0) a.zero_point = dfqi_rt_at(f, s->in[Q_ZERO_POINT], units, first);
    a.one_grid = 0;
    return a;
}

dfqi_int_output dfqi_rt_product_output(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t units,
                                       int64_t first)
{
    const int64_t n = s->matrix.n;
    dfqi_int_output o = {.bias = s->in[BIAS] < 0 ? NULL : dfqi_rt_at(f, s->in[BIAS], 1, 0),
                         .ld_add = n,
                         .ld_add_codes = dfqi_int_row(n),
                         .add_scale = s->added_scale,
                         .add_zero_point = s->added_zero_point,
                         .relu = s->relu,
                         .cap = s->attr.f[0],
                         .ld_y = n,
                         .ld_q = dfqi_int_row(n),
                         .grid = &s->grid};
    if (s->in[ADDED] >= 0 && s->added_scale > 0)
        o.add_codes = dfqi_rt_at(f, s->in[ADDED], units, first);
    else if (s->in[ADDED] >= 0)
        o.add = dfqi_rt_at(f, s->in[ADDED], units, first);
    if (s->grid.scale)
        o.q = dfqi_rt_at(f, s->out[0], units, first);
    else
        o.y = dfqi_rt_at(f, s->out[0], units, first);
    return o;
}

static void run_linear(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const dfqi_int_rows a = dfqi_rt_product_operand(s, f, s->units, first);
    const dfqi_int_output o = dfqi_rt_product_output(s, f, s->units, first);
    f->p->ik->product(count * s->rows, &a, &s->matrix, &o, (uint8_t *)f->scratch);
}

/* Part of an image: rows of the output, and filters. */
typedef struct part {
    int64_t row, rows, filter, filters;
} part;

/* Filters: those columns of what is added and of the result. */
static void run_part(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t image, part p)
{
    dfqi_conv_shape shape = s->shape;
    dfqi_int_rows a = dfqi_rt_product_operand(s, f, 1, image);
    dfqi_int_output o = dfqi_rt_product_output(s, f, 1, image);
    dfqi_int_matrix w = dfqi_int_matrix_part(&s->matrix, p.filter, p.filters);
    shape.o = p.filters;
    if (o.bias) o.bias += p.filter;
    if (o.add) o.add += p.filter;
    if (o.add_codes) o.add_codes += p.filter;
    if (o.y) o.y += p.filter;
    if (o.q) o.q += p.filter;
    if (!s->depthwise) {
        f->p->ik->conv(&shape, p.row, p.rows, &a, &w, &o, (uint8_t *)f->scratch);
        return;
    }
    shape.c = p.filter;
    w.codes = s->matrix.codes + dfqi_int_depthwise_bytes(&shape);
    shape.c = p.filters;
    a.codes += p.filter;
    f->p->ik->depthwise(&shape, p.row, p.rows, &a, &w, &o, (uint8_t *)f->scratch);
}

/* Several images: filters in parts that stay in cache, for all images. */
static void run_images(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    enum { PART = 4 * DFQI_INT_PANEL };
    const dfqi_conv_shape *c = &s->shape;
    const int64_t filters = s->matrix.n;
    if (dfqi_int_is_product(c)) {
        const dfqi_int_rows a = dfqi_rt_product_operand(s, f, 1, first);
        const dfqi_int_output o = dfqi_rt_product_output(s, f, 1, first);
        f->p->ik->product(count * c->out_y * c->out_x, &a, &s->matrix, &o, (uint8_t *)f->scratch);
        return;
    }
    for (int64_t from = 0; from < filters; from += PART) {
        const part p = {0, c->out_y, from, filters - from < PART ? filters - from : PART};
        for (int64_t u = first; u < first + count; u++) run_part(s, f, u, p);
    }
}

/* Kernels compute two rows of the output or two panels of filters together, depthwise ones four. */
enum { ROWS = 2, FILTERS = 2 * DFQI_INT_PANEL, DEPTHWISE = 4 * DFQI_INT_PANEL };

static int64_t filters_together(const dfqi_rt_step *s)
{
    return s->depthwise ? DEPTHWISE : FILTERS;
}

/* Threads share the rows of an image if its codes are more than those of the filters, which each of
 * them reads; else the filters. */
static int32_t goes_by_rows(const dfqi_rt_step *s)
{
    const dfqi_conv_shape *c = &s->shape;
    const int64_t weights = c->kernel_y * c->kernel_x * c->o * (s->depthwise ? 1 : c->c);
    return c->in_y * c->in_x * c->c + c->out_y * c->out_x * c->o > weights &&
           (!s->depthwise || c->o < 4 * DEPTHWISE);
}

/* A unit is an image, cut into chunks. */
static void run_conv(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const int64_t filters = s->matrix.n, rows = s->shape.out_y;
    const int64_t each = s->by_rows ? ROWS : filters_together(s), all = s->by_rows ? rows : filters;
    if (f->chunks == 1 && count > 1) {
        run_images(s, f, first, count);
        return;
    }
    for (int64_t u = first; u < first + count; u++) {
        const int64_t c = u % f->chunks;
        const int64_t from = s->divisible * c / f->chunks * each;
        const int64_t end = c + 1 < f->chunks ? s->divisible * (c + 1) / f->chunks * each : all;
        const part by_rows = {from, end - from, 0, filters},
                   by_filters = {0, rows, from, end - from};
        if (from < end) run_part(s, f, u / f->chunks, s->by_rows ? by_rows : by_filters);
    }
}

/* -- the step ---------------------------------------------------------------------------------- */

static void set_operand(dfqi_rt_builder *b, const chain *c, dfqi_rt_step *s)
{
    const dfqi_id id = c->base->in[0];
    const dfqi_node *q = dfqi_rt_quantizer_of(b, id);
    for (int32_t i = 0; i < 3; i++) s->in[Q + i] = b->codes_of[id][i];
    s->cols = dfqi_value_last(dfqi_graph_value(b->g, id));
    s->group = dfqi_rt_group_of(q);
    if (dfqi_rt_is_level(q)) s->zero_point = (1 << q->attr.i[0]) - 1;
    if (q->op != DFQI_OP_FQ) {
        s->most = (1 << q->attr.i[0]) - 1 + s->zero_point;
        return;
    }
    /* scales of channels are in the weights, zero points in their sums (int_kernel.h) */
    const bool one = dfqi_value_count(dfqi_graph_value(b->g, q->in[1])) == 1;
    s->scale = one ? dfqi_rt_grid_scale(b, q) : 1.0f;
    s->zero_point = one ? dfqi_rt_grid_zero_point(b, q, 0) : 1;
    s->most = (int32_t)(q->attr.f[1] - q->attr.f[0]);
    if (s->zero_point > s->most) s->most = s->zero_point;
}

static void set_output(dfqi_rt_builder *b, const chain *c, const dfqi_node *n, dfqi_rt_step *s)
{
    const dfqi_node *added = c->add ? dfqi_rt_one_grid_of(b, c->added) : NULL;
    s->relu = c->relu != NULL;
    s->attr.f[0] = c->relu ? c->relu->attr.f[0] : 0.0f;
    if (added) {
        s->in[ADDED] = b->codes_of[c->added][0];
        s->added_scale = dfqi_rt_grid_scale(b, added);
        s->added_zero_point = dfqi_rt_grid_zero_point(b, added, 0);
    } else if (c->add) {
        s->in[ADDED] = dfqi_rt_value_of(b, c->added, true);
    }
    s->n_out = 1;
    if (!c->quantizer) {
        s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
        return;
    }
    s->out[0] = dfqi_rt_codes_new(b, n->out[0]);
    s->grid_scale = dfqi_rt_grid_scale(b, c->quantizer);
    s->grid_zero_point = (float)dfqi_rt_grid_zero_point(b, c->quantizer, 0) + n->attr.f[0];
    s->grid = (dfqi_grid){.scale = &s->grid_scale,
                          .zero_point = &s->grid_zero_point,
                          .n_scales = 1,
                          .qmin = n->attr.f[0],
                          .qmax = n->attr.f[1]};
}

void dfqi_rt_product_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    chain c;
    int64_t groups;
    if (!match(b, n, &c)) return; /* never: it was marked */
    dfqi_rt_step *s = dfqi_rt_step_add(b, c.base);
    set_operand(b, &c, s);
    if (c.base->op == DFQI_OP_LINEAR) {
        dfqi_rt_rows_of(dfqi_graph_value(b->g, c.base->in[0]), s);
        s->run = s->group > 0 ? dfqi_rt_run_product_groups : run_linear;
    } else {
        dfqi_conv_node(b->g, c.base, &s->shape, &groups);
        s->depthwise = groups != 1;
        s->run = run_conv;
        s->by_rows = goes_by_rows(s);
        s->divisible = s->by_rows ? s->shape.out_y / ROWS : s->shape.o / filters_together(s);
        if (s->divisible < 1) s->divisible = 1;
        s->parts = 1; /* so that a thread finds the rows that it made in its cache */
        s->scratch = (size_t)(s->depthwise ? dfqi_int_depthwise_scratch(&s->shape)
                                           : dfqi_int_conv_scratch(&s->shape));
    }
    s->n_in = OPERANDS;
    s->in[BIAS] = dfqi_rt_weight_of(b, c.base, c.norm, dfqi_rt_quantizer_of(b, c.base->in[0]), s);
    if (c.base->op == DFQI_OP_LINEAR) s->scratch = dfqi_rt_product_scratch(s);
    set_output(b, &c, n, s);
    s->macs = dfqi_op_get(c.base->op)->macs(b->g, c.base);
    s->product = s->integer = 1;
}
