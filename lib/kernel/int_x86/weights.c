/* Panels of weights as tiles take them. Those with grids of groups (kernel/weight_groups.h) become
 * bytes: m u - m z. */
#include "kernel/int_x86/tile.h"
#include "kernel/int_x86/words.h"

/* Grids of a group, for half the rows of a panel. */
typedef struct half_grids {
    __m256i multiplier; /* 16 bits, twice for each row */
    __m256i start;      /* m z in bytes, four times for each row */
} half_grids;

static inline half_grids grids_of(const uint8_t *bytes)
{
    const __m256i twice =
        _mm256_setr_epi8(0, -1, 0, -1, 4, -1, 4, -1, 8, -1, 8, -1, 12, -1, 12, -1, 0, -1, 0, -1, 4,
                         -1, 4, -1, 8, -1, 8, -1, 12, -1, 12, -1);
    const __m256i often = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0, 0,
                                           0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    const __m256i grid =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
    const __m256i m = _mm256_and_si256(grid, _mm256_set1_epi32(15));
    const __m256i product = _mm256_mullo_epi16(m, _mm256_srli_epi32(grid, 4));
    return (half_grids){_mm256_shuffle_epi8(m, twice), _mm256_shuffle_epi8(product, often)};
}

/* Bytes of codes, each of which is at most 15: two products of 16 bits keep apart. */
static inline void put(uint8_t *to, __m256i codes, const half_grids *g)
{
    const __m256i scaled = _mm256_mullo_epi16(codes, g->multiplier);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_sub_epi8(scaled, g->start));
}

/* Two groups of four codes, of half the rows. */
static inline void put_two(uint8_t *to, const uint8_t *w, const half_grids *g)
{
    const __m256i four = _mm256_set1_epi8(15);
    const __m256i codes = _mm256_loadu_si256((const __m256i *)(const void *)w);
    put(to, _mm256_and_si256(codes, four), g);
    put(to + DFQI_INT_BLOCK, _mm256_and_si256(_mm256_srli_epi16(codes, 4), four), g);
}

/* A panel. `steps` blocks of nibbles have the same grids. */
static void unpack(const uint8_t *w, int64_t blocks, int64_t steps, uint8_t *to)
{
    const uint8_t *grids = w + blocks * DFQI_INT_BLOCK, *end = grids;
    for (; w < end; grids += DFQI_INT_PANEL) {
        const half_grids low = grids_of(grids), high = grids_of(grids + DFQI_INT_PANEL / 2);
        for (int64_t i = 0; i < steps; i++, w += DFQI_INT_BLOCK, to += 2 * DFQI_INT_BLOCK) {
            put_two(to, w, &low);
            put_two(to + DFQI_INT_BLOCK / 2, w + DFQI_INT_BLOCK / 2, &high);
        }
    }
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
tile_weights INT_ISA(weights)(const dfqi_int_rows *a, const dfqi_int_matrix *b, int64_t first,
                              uint8_t *scratch)
{
    const int64_t panel = dfqi_int_panel_bytes(b), panels = tile_panels_from(b, first);
    const int64_t bytes = b->spans * dfqi_int_span_bytes(b->k, 0);
    const uint8_t *w = b->codes + first / DFQI_INT_PANEL * panel, *next = w + panels * panel;
    tile_weights t = {.codes = w,
                      .panel = panel,
                      .span = dfqi_int_span_bytes(b->k, b->nibbles),
                      .nibbles = b->nibbles,
                      .next = next};
    (void)a;
    if (b->grid_columns == 0) return t;
    for (int64_t i = 0; i < panels; i++)
        unpack(w + i * panel, dfqi_int_panel_codes(b) / DFQI_INT_BLOCK,
               b->grid_columns / (2 * DFQI_INT_GROUP), scratch + i * bytes);
    return (tile_weights){scratch, bytes, dfqi_int_span_bytes(b->k, 0), 0, 0, next};
}
#else
/* A span of nibbles, as bytes. */
static void unpack_nibbles(const uint8_t *w, int64_t groups, uint8_t *to)
{
    const __m256i four = _mm256_set1_epi8(15), sign = _mm256_set1_epi8(8);
    for (int64_t g = 0; g < groups; g++, to += DFQI_INT_BLOCK) {
        for (int half = 0; half < DFQI_INT_BLOCK; half += 32) {
            const __m256i two = _mm256_loadu_si256((const __m256i *)(const void *)(w + half));
            const __m256i code = _mm256_and_si256(g % 2 ? _mm256_srli_epi16(two, 4) : two, four);
            _mm256_storeu_si256((__m256i *)(void *)(to + half),
                                _mm256_sub_epi8(_mm256_xor_si256(code, sign), sign));
        }
        w += g % 2 * DFQI_INT_BLOCK;
    }
}

/* One panel. In scratch it is as bytes, and behind those as words. */
tile_weights INT_ISA(weights)(const dfqi_int_rows *a, const dfqi_int_matrix *b, int64_t first,
                              uint8_t *scratch)
{
    const int64_t groups = dfqi_int_groups(b->k), span = dfqi_int_span_bytes(b->k, 0);
    const int64_t packed = dfqi_int_span_bytes(b->k, 1);
    const uint8_t *w = b->codes + first / DFQI_INT_PANEL * dfqi_int_panel_bytes(b);
    tile_weights t = {.codes = w, .span = span, .words = tile_takes_words(a, b)};
    if (b->nibbles) t.codes = scratch;
    if (b->grid_columns > 0)
        unpack(w, dfqi_int_panel_codes(b) / DFQI_INT_BLOCK, b->grid_columns / (2 * DFQI_INT_GROUP),
               scratch);
    else if (b->nibbles)
        for (int64_t i = 0; i < b->spans; i++)
            unpack_nibbles(w + i * packed, groups, scratch + i * span);
    if (!t.words) return t;
    words_of_panel(t.codes, b->spans * groups, scratch + b->spans * span);
    t.codes = scratch + b->spans * span;
    t.span = 2 * span;
    return t;
}
#endif
