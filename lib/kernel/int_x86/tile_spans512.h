/* Tiles of product_spans for AVX-512 VNNI. The sums of one span stay in registers. They begin at
 * minus the zero points' share, and are added to floats of the tile that stay in the L1 cache. */

/* Where the floats of a tile go: columns from the tile's first one on, rows from its first one. */
struct tile_spans {
    int64_t spans, span; /* how many, and bytes of a row of codes from one to the next */
    const int32_t *sum;  /* [spans][ld_sum] */
    int64_t ld_sum;
    int32_t zero_point;
    const float *row_scale; /* [spans][ld_rows] */
    int64_t ld_rows;
    const float *add;
    float *y;
    int64_t ld_add, ld_y;
    vm lanes[TILE_PANELS];                                 /* columns that exist */
    float scale[TILE_PANELS * VF], bias[TILE_PANELS * VF]; /* of columns */
};

/* Minus the zero point's share, for panel v and sums that are multiplied with 2^shift. */
static inline __attribute__((always_inline)) vi span_start(const tile_spans *o, int64_t span, int v,
                                                           int shift)
{
    const int32_t *sum = o->sum + span * o->ld_sum + v * VF;
    return vi_mul(_mm512_maskz_loadu_epi32(o->lanes[v], sum),
                  vi_set(-o->zero_point * (1 << shift)));
}

/* A row on its way: floats of the spans before and behind this one. */
typedef struct span_row {
    const float *from, *add;
    float *to;
    int64_t ld_from, ld_add, ld_to;
} span_row;

/* Sixteen columns; the last span adds what is added, and leaves columns alone that do not exist. */
static inline __attribute__((always_inline)) void
put_span(const span_row *r, int last, int v, vm lanes, vf column, float row, wide sums)
{
    vf x = vf_mul(vf_mul(vi_to_float(sums), vf_set(row)), column);
    x = vf_add(x, vf_load(r->from + v * VF));
    if (!last) {
        vf_store(r->to + v * VF, x);
        return;
    }
    x = vf_add(x, _mm512_maskz_loadu_ps(lanes, r->add + v * VF));
    _mm512_mask_storeu_ps(r->to + v * VF, lanes, x);
}

static inline __attribute__((always_inline)) void next_span_row(span_row *r, int last)
{
    r->from += r->ld_from;
    FORGET(r->from);
    r->to += r->ld_to;
    FORGET(r->to);
    if (!last) return;
    r->add += r->ld_add;
    FORGET(r->add);
}

#define SPAN_START_1    const wide start = span_start(&o, s, 0, shift);
#define SPAN_START_2    SPAN_START_1 const wide start_b = span_start(&o, s, 1, shift);
#define SPAN_BEGIN_1(p) a##p = start;
#define SPAN_BEGIN_2(p) a##p = start, b##p = start_b;
#define SPAN_COLUMN_1   const vf column = vf_load(o.scale);
#define SPAN_COLUMN_2   SPAN_COLUMN_1 const vf column_b = vf_load(o.scale + VF);
#define SPAN_END_1(p, last)                                                                        \
    put_span(&r, last, 0, o.lanes[0], column, scale[p], a##p);                                     \
    next_span_row(&r, last);
#define SPAN_END_2(p, last)                                                                        \
    put_span(&r, last, 0, o.lanes[0], column, scale[p], a##p);                                     \
    put_span(&r, last, 1, o.lanes[1], column_b, scale[p], b##p);                                   \
    next_span_row(&r, last);
#define SPAN_MORE_1(p) SPAN_END_1(p, 0)
#define SPAN_MORE_2(p) SPAN_END_2(p, 0)
#define SPAN_LAST_1(p) SPAN_END_1(p, 1)
#define SPAN_LAST_2(p) SPAN_END_2(p, 1)

#define SPAN_TILES(P, V, LOOP)                                                                     \
    enum { all_rows = (P), ld = (V)*VF };                                                          \
    float floats[all_rows * ld] __attribute__((aligned(64)));                                      \
    const int64_t step = t->rows->step, panel = t->panel;                                          \
    const uintptr_t ahead = (uintptr_t)t->next - 2 * (uintptr_t)t->w;                              \
    const tile_spans o = *t->spans;                                                                \
    const uint8_t *first = t->x;                                                                   \
    (void)panel;                                                                                   \
    (void)ahead;                                                                                   \
    for (int64_t i = 0; i < t->tiles * all_rows; i += all_rows, first += all_rows * step) {        \
        const uint8_t *w = t->w;                                                                   \
        for (int64_t s = 0; s < o.spans; s++) {                                                    \
            const float *scale = o.row_scale + s * o.ld_rows + i;                                  \
            const uint8_t *x[POINTERS];                                                            \
            span_row r = {                                                                         \
                s ? floats : o.bias, o.add + i * o.ld_add, floats, s ? ld : 0, o.ld_add, ld};      \
            SPAN_START_##V REPEAT_##P(SUMS_##V) REPEAT_##P(SPAN_BEGIN_##V)                         \
                set_pointers(x, first + s * o.span, step);                                         \
            LOOP SPAN_COLUMN_##V if (s + 1 < o.spans)                                              \
            {                                                                                      \
                REPEAT_##P(SPAN_MORE_##V)                                                          \
            }                                                                                      \
            else                                                                                   \
            {                                                                                      \
                r.to = o.y + i * o.ld_y;                                                           \
                r.ld_to = o.ld_y;                                                                  \
                REPEAT_##P(SPAN_LAST_##V)                                                          \
            }                                                                                      \
        }                                                                                          \
    }

#define SPAN_FUNCTIONS(P, V)                                                                       \
    static void spans_bytes_##P##_##V(const tile *t)                                               \
    {                                                                                              \
        enum { shift = 0 };                                                                        \
        SPAN_TILES(P, V, BYTES(P, V))                                                              \
    }                                                                                              \
    static void spans_nibbles_##P##_##V(const tile *t)                                             \
    {                                                                                              \
        enum { shift = 4 };                                                                        \
        SPAN_TILES(P, V, NIBBLES(P, V))                                                            \
    }
