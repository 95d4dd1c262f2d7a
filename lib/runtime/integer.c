/* Integer steps: floats that become codes on grids of rows, by themselves or with what makes the
 * floats, and linear layers on codes. */
#include "runtime/program_priv.h"

/* -- codes ------------------------------------------------------------------------------------- */

/* The places of the codes of some rows. */
typedef struct code_rows {
    uint8_t *q;
    float *scale;
    int32_t *zero_point;
    int64_t ld;
} code_rows;

static code_rows results(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first)
{
    return (code_rows){.q = dfqi_rt_at(f, s->out[0], s->units, first),
                       .scale = dfqi_rt_at(f, s->out[1], s->units, first),
                       .zero_point = dfqi_rt_at(f, s->out[2], s->units, first),
                       .ld = dfqi_int_row(s->cols)};
}

static void run_quantize(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                         int64_t count)
{
    const code_rows to = results(s, f, first);
    f->p->ik->quantize_rows(count * s->rows, s->cols, s->bits,
                            dfqi_rt_at(f, s->in[0], s->units, first), s->cols, to.q, to.ld,
                            to.scale, to.zero_point);
}

static void run_layernorm(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                          int64_t count)
{
    const code_rows to = results(s, f, first);
    f->p->ik->layernorm(count * s->rows, s->cols, s->attr.f[0],
                        dfqi_rt_at(f, s->in[0], s->units, first), s->cols,
                        dfqi_rt_at(f, s->in[1], 1, 0), dfqi_rt_at(f, s->in[2], 1, 0), s->bits, to.q,
                        to.ld, to.scale, to.zero_point, (float *)(void *)f->scratch);
}

static void run_gelu(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const code_rows to = results(s, f, first);
    f->p->ik->gelu(count * s->rows, s->cols, dfqi_rt_at(f, s->in[0], s->units, first), s->cols,
                   s->bits, to.q, to.ld, to.scale, to.zero_point);
}

/* What makes the operand of a quantizer and can be done with it: a LayerNorm or a GELU that nobody
 * else reads. A GELU overwrites its input, which nobody else may read either. */
static const dfqi_node *maker_of(const dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_node *norm = dfqi_rt_sole(b, n->in[0], DFQI_OP_LAYERNORM);
    const dfqi_node *gelu = dfqi_rt_sole(b, n->in[0], DFQI_OP_GELU);
    if (norm && b->readers[norm->out[1]] == 0) return norm;
    return gelu && b->readers[gelu->in[0]] == 1 ? gelu : NULL;
}

/* Unsigned codes on grids of rows? */
static bool is_row_quantizer(const dfqi_node *n)
{
    return n && n->op == DFQI_OP_FQ_ROW && !n->attr.i[1] && !n->attr.i[2];
}

bool dfqi_rt_quantize_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    if (!is_row_quantizer(n) || !(b->want[n->out[0]] & DFQI_RT_CODES)) return false;
    const dfqi_node *maker = b->want[n->out[0]] == DFQI_RT_CODES ? maker_of(b, n) : NULL;
    if (maker) dfqi_rt_take(b, maker);
    dfqi_rt_want(b, maker ? maker->in[0] : n->in[0], DFQI_RT_FLOATS);
    return true;
}

void dfqi_rt_quantize_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_value *x = dfqi_graph_value(b->g, n->in[0]);
    const dfqi_node *maker = b->want[n->out[0]] == DFQI_RT_CODES ? maker_of(b, n) : NULL;
    const int64_t cols = dfqi_value_last(x), rows = dfqi_value_stride(x) / cols;
    dfqi_rt_step *s = dfqi_rt_step_add(b, maker ? maker : n);
    s->run = !maker ? run_quantize : maker->op == DFQI_OP_LAYERNORM ? run_layernorm : run_gelu;
    s->units = x->rank < 3 ? 1 : x->dims[1];
    s->rows = rows / s->units;
    s->cols = cols;
    s->bits = (int32_t)n->attr.i[0];
    s->scratch = (size_t)cols * sizeof(float);
    s->n_in = maker ? maker->n_in : 1;
    for (int32_t i = 0; i < s->n_in; i++)
        s->in[i] = dfqi_rt_value_of(b, maker ? maker->in[i] : n->in[0], true);
    s->n_out = 3;
    s->out[0] = dfqi_rt_value_new(b, DFQI_RT_SLICE, (size_t)(rows * dfqi_int_row(cols)));
    s->out[1] = dfqi_rt_value_new(b, DFQI_RT_SLICE, (size_t)rows * sizeof(float));
    s->out[2] = dfqi_rt_value_new(b, DFQI_RT_SLICE, (size_t)rows * sizeof(int32_t));
    b->codes_of[n->out[0]] = s->out[0];
    s->macs = (double)dfqi_value_count(x);
}

/* -- linear layers ----------------------------------------------------------------------------- */

/* Operands of a step: three of codes, three of weights, and what is added. */
enum { Q, Q_SCALE, Q_ZERO_POINT, WEIGHT, WEIGHT_SCALE, WEIGHT_SUM, BIAS, ADD, OPERANDS };

static void run_linear(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const int64_t n = s->weight.n;
    const dfqi_int_rows a = {.codes = dfqi_rt_at(f, s->in[Q], s->units, first),
                             .ld = dfqi_int_row(s->cols),
                             .scale = dfqi_rt_at(f, s->in[Q_SCALE], s->units, first),
                             .zero_point = dfqi_rt_at(f, s->in[Q_ZERO_POINT], s->units, first)};
    const dfqi_int_matrix w = {.n = n,
                               .k = s->weight.k,
                               .spans = 1,
                               .nibbles = s->weight.bits <= 4,
                               .codes = dfqi_rt_at(f, s->in[WEIGHT], 1, 0),
                               .scale = dfqi_rt_at(f, s->in[WEIGHT_SCALE], 1, 0),
                               .sum = dfqi_rt_at(f, s->in[WEIGHT_SUM], 1, 0)};
    const dfqi_int_output out = {.bias = s->in[BIAS] < 0 ? NULL : dfqi_rt_at(f, s->in[BIAS], 1, 0),
                                 .add = s->in[ADD] < 0 ? NULL
                                                       : dfqi_rt_at(f, s->in[ADD], s->units, first),
                                 .ld_add = n,
                                 .y = dfqi_rt_at(f, s->out[0], s->units, first),
                                 .ld_y = n};
    f->p->ik->product(count * s->rows, &a, &w, &out);
}

/* Can it be done on codes? */
static bool fits(const dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_graph *g = b->g;
    const dfqi_value *x = dfqi_graph_value(g, n->in[0]), *w = dfqi_graph_value(g, n->in[1]);
    if (x->node < 0 || w->node < 0 || dfqi_value_last(x) > DFQI_INT_K) return false;
    return is_row_quantizer(&g->nodes[x->node]) && dfqi_rt_weight_fits(b, &g->nodes[w->node]);
}

/* The linear layer of a node that is one, or that adds something to one; *add: what, or
 * DFQI_NONE. */
static const dfqi_node *layer_of(const dfqi_rt_builder *b, const dfqi_node *n, dfqi_id *add)
{
    *add = DFQI_NONE;
    if (n->op == DFQI_OP_LINEAR) return fits(b, n) ? n : NULL;
    for (int32_t i = 0; i < 2 && n->op == DFQI_OP_ADD; i++) {
        const dfqi_node *l = dfqi_rt_sole(b, n->in[i], DFQI_OP_LINEAR);
        *add = n->in[1 - i];
        if (l && fits(b, l)) return l;
    }
    return NULL;
}

bool dfqi_rt_linear_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    dfqi_id add;
    const dfqi_node *l = layer_of(b, n, &add);
    if (!l) return false;
    if (l != n) dfqi_rt_take(b, l);
    dfqi_rt_want(b, l->in[0], DFQI_RT_CODES);
    dfqi_rt_want(b, add, DFQI_RT_FLOATS);
    return true;
}

void dfqi_rt_linear_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    dfqi_id add;
    const dfqi_node *l = layer_of(b, n, &add);
    const dfqi_graph *g = b->g;
    const dfqi_value *x = dfqi_graph_value(g, l->in[0]);
    const int32_t codes = b->codes_of[l->in[0]];
    dfqi_rt_step *s = dfqi_rt_step_add(b, l);
    s->run = run_linear;
    s->cols = dfqi_value_last(x);
    s->units = x->rank < 3 ? 1 : x->dims[1];
    s->rows = dfqi_value_stride(x) / s->cols / s->units;
    s->n_in = OPERANDS;
    for (int32_t i = 0; i < 3; i++) s->in[Q + i] = codes + i;
    s->in[WEIGHT] =
        dfqi_rt_weight_of(b, &g->nodes[dfqi_graph_value(g, l->in[1])->node], &s->weight);
    s->in[WEIGHT_SCALE] = s->in[WEIGHT] + 1;
    s->in[WEIGHT_SUM] = s->in[WEIGHT] + 2;
    s->in[BIAS] = dfqi_rt_value_of(b, l->in[3], true);
    s->in[ADD] = dfqi_rt_value_of(b, add, true);
    s->n_out = 1;
    s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
    s->macs = dfqi_op_get(DFQI_OP_LINEAR)->macs(g, l);
    s->product = s->integer = 1;
}
