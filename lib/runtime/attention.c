/* Attention as one step for each head and some of the queries: the heads are read where the linear
 * layer in front leaves them, and results go where the layer behind reads them. Products, softmax
 * and bits are those of the graph's single ops. */
#include "graph/ops.h"
#include "runtime/program_priv.h"

/* The nodes of an attention, from the back. */
typedef struct pattern {
    const dfqi_node *split, *scores, *softmax, *values, *join, *select; /* select: or NULL */
} pattern;

/* Is `id` part `slot` of a split, read by one node alone? */
static bool is_part(const dfqi_rt_builder *b, dfqi_id id, int32_t slot, const dfqi_node **split)
{
    const dfqi_node *n = dfqi_rt_sole(b, id, DFQI_OP_SPLIT_HEADS);
    if (!n || n->n_out != 3 || n->out[slot] != id || (*split && *split != n)) return false;
    *split = n;
    return true;
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
    if (!p->values) return false;
    p->softmax = dfqi_rt_sole(b, p->values->in[0], DFQI_OP_SOFTMAX);
    if (!p->softmax || !is_part(b, p->values->in[1], 2, &p->split)) return false;
    p->scores = dfqi_rt_sole(b, p->softmax->in[0], DFQI_OP_MATMUL_NT);
    return p->scores && is_part(b, p->scores->in[0], 0, &p->split) &&
           is_part(b, p->scores->in[1], 1, &p->split);
}

static void take(dfqi_rt_builder *b, const dfqi_node *n)
{
    b->taken[n - b->g->nodes] = 1;
}

void dfqi_rt_attention_mark(dfqi_rt_builder *b)
{
    for (int32_t i = b->g->n_nodes - 1; i >= 0; i--) {
        pattern p;
        if (!b->needed[i] || b->taken[i] || !match(b, &b->g->nodes[i], &p)) continue;
        take(b, p.split);
        take(b, p.scores);
        take(b, p.softmax);
        take(b, p.values);
        if (p.select) take(b, p.join);
    }
}

/* Queries [first, first + count) of head h of image i. */
static void run_head(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t i, int64_t h,
                     int64_t first, int64_t count)
{
    const dfqi_rt_attention *a = &s->attention;
    const dfqi_kernels *k = f->p->k;
    const int64_t d = a->width, n = a->tokens, wide = 3 * a->heads * d, out = a->heads * d;
    const float *qkv = (const float *)(const void *)dfqi_rt_at(f, s->in[0], 1, i) + h * d;
    float *y = (float *)(void *)dfqi_rt_at(f, s->out[0], 1, i) + first * out + h * d;
    float *packed = (float *)(void *)f->scratch, *map = packed + dfqi_packed_floats(d, n);
    k->gemm_nt(count, n, d, qkv + (a->first_query + first) * wide, wide, qkv + out, wide, map, n,
               packed);
    k->softmax(count, n, a->scale, map, map);
    k->gemm(0, count, d, n, map, n, qkv + 2 * out, wide, 0, y, out);
}

/* A unit is a head of an image, cut into chunks of queries. */
static void run(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    const dfqi_rt_attention *a = &s->attention;
    for (int64_t u = first; u < first + count; u++) {
        int64_t head = u / f->chunks, c = u % f->chunks;
        int64_t begin = a->queries * c / f->chunks, end = a->queries * (c + 1) / f->chunks;
        if (begin < end) run_head(s, f, head / a->heads, head % a->heads, begin, end - begin);
    }
}

bool dfqi_rt_attention_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    pattern m;
    if (!match(b, n, &m)) return false;
    const dfqi_value *q = dfqi_graph_value(b->g, m.split->out[0]);
    dfqi_rt_step *s = dfqi_rt_step_add(b, m.softmax);
    s->run = run;
    s->n_in = s->n_out = 1;
    s->in[0] = dfqi_rt_value_of(b, m.split->in[0], true);
    s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
    s->attention = (dfqi_rt_attention){.heads = q->dims[1],
                                       .tokens = q->dims[2],
                                       .width = q->dims[3],
                                       .first_query = m.select ? m.select->attr.i[0] : 0,
                                       .queries = m.select ? 1 : q->dims[2],
                                       .scale = m.softmax->attr.f[0]};
    s->units = q->dims[1];
    s->divisible = s->attention.queries;
    s->scratch =
        ((size_t)(s->attention.queries * q->dims[2]) + dfqi_packed_floats(q->dims[3], q->dims[2])) *
        sizeof(float);
    s->macs = 2.0 * (double)q->dims[1] * (double)s->attention.queries * (double)q->dims[2] *
              (double)q->dims[3];
    return true;
}
