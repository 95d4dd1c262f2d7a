/* Tiles of product_spans for AVX2, of bytes. The sums of a span begin at minus the zero points'
 * share, and are added to floats of half a tile that stay in the L1 cache. */

/* Where the floats of a tile go: columns from the tile's first one on, rows from its first one. */
struct tile_spans {
    int64_t spans;
    int64_t of_rows, of_weights; /* bytes from a span to the next: of a row of codes, of a panel */
    const int32_t *sum;          /* [spans][ld_sum] */
    int64_t ld_sum;
    int32_t zero_point;
    const float *row_scale; /* [spans][ld_rows] */
    int64_t ld_rows;
    const float *scale, *bias; /* of columns */
    const float *add;
    float *y;
    int64_t ld_add, ld_y;
};

#define SPAN_BEGIN(p) wide a##p = start;
#define SPAN_FLOATS(p)                                                                             \
    _mm256_add_ps(                                                                                 \
        _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(a##p), _mm256_set1_ps(scale[p])), column),  \
        _mm256_load_ps(floats + (p)*8))
#define SPAN_BIAS(p) _mm256_store_ps(floats + (p)*8, bias);
#define SPAN_END(p)  _mm256_store_ps(floats + (p)*8, SPAN_FLOATS(p));
#define SPAN_PUT(p)                                                                                \
    _mm256_storeu_ps(y + (p)*o.ld_y, _mm256_add_ps(_mm256_load_ps(floats + (p)*8),                 \
                                                   _mm256_loadu_ps(add + (p)*o.ld_add)));

#define SPAN_TILES(P)                                                                              \
    static void half_spans_##P(const tile *t, int64_t row, int at)                                 \
    {                                                                                              \
        enum { rows = (P) };                                                                       \
        float floats[rows * 8] __attribute__((aligned(32)));                                       \
        const tile_spans o = *t->spans;                                                            \
        const int64_t step = t->rows->step;                                                        \
        const wide ones = _mm256_set1_epi16(1), zero = _mm256_set1_epi32(-o.zero_point);           \
        const __m256 column = _mm256_loadu_ps(o.scale + at), bias = _mm256_loadu_ps(o.bias + at);  \
        const float *add = o.add + row * o.ld_add + at;                                            \
        float *y = o.y + row * o.ld_y + at;                                                        \
        REPEAT_##P(SPAN_BIAS);                                                                     \
        for (int64_t s = 0; s < o.spans; s++) {                                                    \
            const uint8_t *x = t->x + row * step + s * o.of_rows;                                  \
            const uint8_t *w = t->w + s * o.of_weights + at * DFQI_INT_GROUP;                      \
            const float *scale = o.row_scale + s * o.ld_rows + row;                                \
            const wide sum = load_wide((const uint8_t *)(o.sum + s * o.ld_sum + at));              \
            const wide start = _mm256_mullo_epi32(sum, zero);                                      \
            REPEAT_##P(SPAN_BEGIN);                                                                \
            BYTES(P)                                                                               \
            REPEAT_##P(SPAN_END);                                                                  \
        }                                                                                          \
        REPEAT_##P(SPAN_PUT);                                                                      \
    }                                                                                              \
    static void spans_##P(const tile *t)                                                           \
    {                                                                                              \
        for (int64_t i = 0; i < t->tiles * (P); i += (P))                                          \
            for (int at = 0; at < DFQI_INT_PANEL; at += 8) half_spans_##P(t, i, at);               \
    }
