/* Attention as one step for each head and some of the queries: the heads are read where the linear
 * layer in front leaves them, and results go where the layer behind reads them. Products, softmax
 * and bits of floats are those of the graph's single ops. */
#include "graph/ops.h"
#include "runtime/program_priv.h"

/* The nodes of an attention, from the back. */
typedef struct pattern {
    const dfqi_node *split, *scores, *softmax, *values, *join;
    const dfqi_node *select, *bias;                          /* or NULL */
    const dfqi_node *quantizers[DFQI_RT_ATTENTION_OPERANDS]; /* all of them, or NULL */
} pattern;

/* The operand `which` before its quantizer on a grid of rows (of columns, if it is the values),
 * which is noted. */
static dfqi_id unquantized(const dfqi_rt_builder *b, dfqi_id id, int which, pattern *p)
{
    const dfqi_node *n = dfqi_rt_sole(b, id, DFQI_OP_FQ_ROW);
    const bool is_signed = which == DFQI_RT_KEY || which == DFQI_RT_VALUES;
    if (!n || (n->attr.i[1] != 0) != is_signed || (n->attr.i[2] != 0) != (which == DFQI_RT_VALUES))
        return id;
    p->quantizers[which] = n;
    return n->in[0];
}

/* Is `id` part `slot` of the split, and read by one node alone? */
static bool is_part(const dfqi_rt_builder *b, dfqi_id id, int32_t slot, pattern *p)
{
    const dfqi_node *n = dfqi_rt_sole(b, id, DFQI_OP_SPLIT_HEADS);
    if (!n || n->n_out != 3 || n->out[slot] != id || (p->split && p->split != n)) return false;
    p->split = n;
    return true;
}

/* All operands are floats, or all are codes. */
static bool agree(const pattern *p)
{
    int32_t n = 0;
    for (int i = 0; i < DFQI_RT_ATTENTION_OPERANDS; i++) n += p->quantizers[i] != NULL;
    return n == 0 || n == DFQI_RT_ATTENTION_OPERANDS;
}

/* The attention that ends in node n, a join of heads or the selection of one of its tokens. */
static bool match(const dfqi_rt_builder *b, const dfqi_node *n, pattern *p)
{
    *p = (pattern){.join = n};
    if (n->op == DFQI_OP_SELECT_TOKEN) {
        p->select = n;
        p->join = dfqi_rt_sole(b, n->in[0], DFQI_OP_JOIN_HEADS);
    }
    if (!p->join || p->join->op != DFQI_OP_JOIN_HEADS) return false;
    p->values = dfqi_rt_sole(b, p->join->in[0], DFQI_OP_MATMUL_NN);
    if (!p->values || !is_part(b, unquantized(b, p->values->in[1], DFQI_RT_VALUES, p), 2, p))
        return false;
    p->softmax = dfqi_rt_sole(b, unquantized(b, p->values->in[0], DFQI_RT_MAP, p), DFQI_OP_SOFTMAX);
    if (!p->softmax) return false;
    p->bias = dfqi_rt_sole(b, p->softmax->in[0], DFQI_OP_WINDOW_BIAS);
    p->scores = dfqi_rt_sole(b, (p->bias ? p->bias : p->softmax)->in[0], DFQI_OP_MATMUL_NT);
    return p->scores && is_part(b, unquantized(b, p->scores->in[0], DFQI_RT_QUERY, p), 0, p) &&
           is_part(b, unquantized(b, p->scores->in[1], DFQI_RT_KEY, p), 1, p) && agree(p);
}

bool dfqi_rt_attention_mark(dfqi_rt_builder *b, const dfqi_node *n)
{
    pattern p;
    if (!match(b, n, &p)) return false;
    dfqi_rt_take(b, p.split);
    dfqi_rt_take(b, p.scores);
    dfqi_rt_take(b, p.softmax);
    if (p.bias) dfqi_rt_take(b, p.bias);
    dfqi_rt_take(b, p.values);
    for (int i = 0; i < DFQI_RT_ATTENTION_OPERANDS; i++)
        if (p.quantizers[i]) dfqi_rt_take(b, p.quantizers[i]);
    if (p.select) dfqi_rt_take(b, p.join);
    dfqi_rt_want(b, p.split->in[0], DFQI_RT_FLOATS);
    return true;
}

void dfqi_rt_attention_bias(const dfqi_rt_attention *a, const dfqi_rt_frame *f,
                            const dfqi_rt_head *h, int64_t first, int64_t count, float *scores)
{
    const int64_t n = a->tokens;
    if (!h->bias) return;
    f->p->k->add((size_t)(count * n), scores, h->bias + first * n, scores);
    dfqi_window_mask(h->mask, h->window, first, count, scores);
}

/* Queries [first, first + count) of a head. */
static void run_floats(const dfqi_rt_attention *a, const dfqi_rt_frame *f, const dfqi_rt_head *h,
                       int64_t first, int64_t count)
{
    const float *qkv = h->qkv;
    const dfqi_kernels *k = f->p->k;
    const int64_t d = a->width, n = a->tokens, out = a->heads * d, wide = 3 * out;
    float *packed = (float *)(void *)f->scratch, *map = packed + dfqi_packed_floats(d, n);
    k->gemm_nt(count, n, d, qkv + (a->first_query + first) * wide, wide, qkv + out, wide, map, n,
               packed);
    dfqi_rt_attention_bias(a, f, h, first, count, map);
    k->softmax(count, n, a->scale, map, map);
    k->gemm(0, count, d, n, map, n, qkv + 2 * out, wide, 0, h->y + first * out, out);
}

/* Head i of an image, its windows one after the other. */
static dfqi_rt_head head_of(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t image, int64_t i)
{
    const dfqi_rt_attention *a = &s->attention;
    const int64_t h = i % a->heads, channels = a->heads * a->width, area = a->tokens * a->tokens;
    dfqi_rt_head out = {.window = i / a->heads, .mask = &s->attr};
    out.qkv = (const float *)dfqi_rt_at(f, s->in[0], 1, image) +
              out.window * a->tokens * 3 * channels + h * a->width;
    out.y = (float *)dfqi_rt_at(f, s->out[0], 1, image) + out.window * a->queries * channels +
            h * a->width;
    if (s->n_in > 1) out.bias = (const float *)dfqi_rt_at(f, s->in[1], 1, 0) + h * area;
    return out;
}

/* A unit is a head of an image, cut into chunks of queries. */
static void run(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const dfqi_rt_attention *a = &s->attention;
    const int64_t heads = a->heads * a->windows;
    for (int64_t u = first; u < first + count; u++) {
        const int64_t c = u % f->chunks, i = u / f->chunks;
        const int64_t begin = a->queries * c / f->chunks, end = a->queries * (c + 1) / f->chunks;
        const dfqi_rt_head h = head_of(s, f, i / heads, i % heads);
        if (begin < end)
            (a->bits[0] ? dfqi_rt_attention_codes : run_floats)(a, f, &h, begin, end - begin);
    }
}

static size_t scratch_of(const dfqi_rt_attention *a)
{
    if (a->bits[0]) return dfqi_rt_attention_codes_scratch(a);
    return ((size_t)(a->queries * a->tokens) + dfqi_packed_floats(a->width, a->tokens)) *
           sizeof(float);
}

void dfqi_rt_attention_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    pattern p;
    if (!match(b, n, &p)) return; /* never: it was marked */
    const dfqi_value *q = dfqi_graph_value(b->g, p.split->out[0]);
    dfqi_rt_step *s = dfqi_rt_step_add(b, p.softmax);
    dfqi_rt_attention *a = &s->attention;
    *a = (dfqi_rt_attention){.heads = dfqi_heads_of(b->g, q),
                             .windows = p.split->attr.i[3],
                             .tokens = q->dims[2],
                             .width = q->dims[3],
                             .biased = p.bias != NULL,
                             .first_query = p.select ? p.select->attr.i[0] : 0,
                             .queries = p.select ? 1 : q->dims[2],
                             .scale = p.softmax->attr.f[0]};
    for (int i = 0; i < DFQI_RT_ATTENTION_OPERANDS && p.quantizers[i]; i++)
        a->bits[i] = (int32_t)p.quantizers[i]->attr.i[0];
    s->run = run;
    s->n_in = s->n_out = 1;
    s->in[0] = dfqi_rt_value_of(b, p.split->in[0], true);
    if (p.bias) {
        s->attr = p.bias->attr;
        s->in[s->n_in++] = dfqi_rt_value_of(b, p.bias->in[1], true);
    }
    s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
    s->units = a->windows * a->heads;
    s->divisible = a->queries;
    s->parts = 2; /* each packs keys and values of its head */
    s->scratch = scratch_of(a);
    s->kind = "attention";
    s->product = 1;
    s->integer = a->bits[0] != 0;
    s->macs = 2.0 * (double)s->units * (double)a->queries * (double)a->tokens * (double)a->width;
}
