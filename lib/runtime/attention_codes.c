/* Attention on codes: queries and maps on grids of rows, keys on signed grids of rows, values on
 * signed grids of columns. Queries are done some at a time, so that scores stay in cache. */
#include "runtime/program_priv.h"

enum { QUERIES = 36, LINE = DFQI_ALIGN / sizeof(float) };

/* Scratch memory of a head. Queries and maps are of QUERIES rows at most. */
typedef struct memory {
    uint8_t *keys, *values, *queries, *map;
    float *key_scale, *value_scale, *query_scale, *map_scale, *scores;
    int32_t *key_sum, *query_zero_point;
    uint8_t *product;
} memory;

/* `bytes` of whole cache lines, *at behind `base`; *at goes behind them. */
static void *carve(char *base, size_t *at, int64_t bytes)
{
    char *block = base ? base + *at : NULL;
    *at += ((size_t)bytes + DFQI_ALIGN - 1) / DFQI_ALIGN * DFQI_ALIGN;
    return block;
}

/* Floats from a row of scores to the next: whole cache lines, unless a bias is added: its rows have
 * no space between them. */
static int64_t score_row(const dfqi_rt_attention *a)
{
    return a->biased ? a->tokens : (a->tokens + LINE - 1) / LINE * LINE;
}

/* Bytes from a row of the map to the next: whole cache lines. */
static int64_t map_row(const dfqi_rt_attention *a)
{
    return (a->tokens + DFQI_ALIGN - 1) / DFQI_ALIGN * DFQI_ALIGN;
}

/* Cuts up the memory at `base`, if it is not NULL; returns how much it is. */
static size_t cut(const dfqi_rt_attention *a, char *base, memory *m)
{
    const int64_t n = a->tokens, d = a->width, word = sizeof(float);
    const int64_t q = a->queries < QUERIES ? a->queries : QUERIES;
    size_t at = 0;
    m->keys = carve(base, &at, dfqi_int_packed_bytes(n, 1, d, 8));
    m->key_scale = carve(base, &at, word * n);
    m->key_sum = carve(base, &at, word * n);
    m->values = carve(base, &at, dfqi_int_packed_bytes(d, 1, n, 8));
    m->value_scale = carve(base, &at, word * d);
    m->queries = carve(base, &at, q * dfqi_int_row(d));
    m->query_scale = carve(base, &at, word * q);
    m->query_zero_point = carve(base, &at, word * q);
    m->scores = carve(base, &at, word * q * score_row(a));
    m->map = carve(base, &at, q * map_row(a));
    m->map_scale = carve(base, &at, word * q);
    const int64_t of_keys = dfqi_int_product_scratch(&(dfqi_int_matrix){.k = d, .spans = 1});
    const int64_t of_values = dfqi_int_product_scratch(&(dfqi_int_matrix){.k = n, .spans = 1});
    m->product = carve(base, &at, of_keys > of_values ? of_keys : of_values);
    return at;
}

size_t dfqi_rt_attention_codes_scratch(const dfqi_rt_attention *a)
{
    memory m;
    return cut(a, NULL, &m);
}

void dfqi_rt_attention_codes(const dfqi_rt_attention *a, const dfqi_rt_frame *f,
                             const dfqi_rt_head *h, int64_t first, int64_t count)
{
    const float *qkv = h->qkv;
    const dfqi_int_kernels *k = f->p->ik;
    const int64_t n = a->tokens, d = a->width, out = a->heads * d, wide = 3 * out;
    const int64_t ld = score_row(a);
    memory m;
    cut(a, f->scratch, &m);
    const dfqi_int_matrix keys = {
        .n = n, .k = d, .spans = 1, .codes = m.keys, .scale = m.key_scale, .sum = m.key_sum};
    const dfqi_int_matrix values = {
        .n = d, .k = n, .spans = 1, .codes = m.values, .scale = m.value_scale};
    const dfqi_int_rows queries = {.codes = m.queries,
                                   .ld = dfqi_int_row(d),
                                   .scale = m.query_scale,
                                   .zero_point = m.query_zero_point,
                                   .most = (1 << a->bits[DFQI_RT_QUERY]) - 1};
    const dfqi_int_rows map = {.codes = m.map,
                               .ld = map_row(a),
                               .scale = m.map_scale,
                               .most = (1 << a->bits[DFQI_RT_MAP]) - 1};
    k->pack_rows(n, d, a->bits[DFQI_RT_KEY], qkv + out, wide, m.keys, m.key_scale, m.key_sum);
    k->pack_columns(n, d, a->bits[DFQI_RT_VALUES], qkv + 2 * out, wide, m.values, m.value_scale,
                    NULL);
    for (int64_t i = first; i < first + count; i += QUERIES) {
        const int64_t rows = first + count - i < QUERIES ? first + count - i : QUERIES;
        k->quantize_rows(rows, d, a->bits[DFQI_RT_QUERY], qkv + (a->first_query + i) * wide, wide,
                         m.queries, queries.ld, m.query_scale, m.query_zero_point);
        k->product(rows, &queries, &keys, &(dfqi_int_output){.y = m.scores, .ld_y = ld}, m.product);
        dfqi_rt_attention_bias(a, f, h, i, rows, m.scores);
        k->softmax(rows, n, a->scale, m.scores, ld, a->bits[DFQI_RT_MAP], m.map, map.ld,
                   m.map_scale);
        k->product(rows, &map, &values, &(dfqi_int_output){.y = h->y + i * out, .ld_y = out},
                   m.product);
    }
}
