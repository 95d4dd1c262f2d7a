/* Panels of weights with grids of groups (kernel/weight_groups.h) become bytes: m u - m z. */
#include "kernel/int_x86/tile.h"

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

tile_weights INT_ISA(weights)(const dfqi_int_matrix *b, int64_t first, uint8_t *scratch)
{
    const int64_t panel = dfqi_int_panel_bytes(b);
    const int64_t bytes = b->spans * dfqi_int_span_bytes(b->k, 0);
    const int64_t panels = tile_panels_from(b, first);
    const uint8_t *w = b->codes + first / DFQI_INT_PANEL * panel, *next = w + panels * panel;
    if (b->grid_columns == 0) return (tile_weights){w, panel, b->nibbles, next};
    for (int64_t i = 0; i < panels; i++)
        unpack(w + i * panel, dfqi_int_panel_codes(b) / DFQI_INT_BLOCK,
               b->grid_columns / (2 * DFQI_INT_GROUP), scratch + i * bytes);
    return (tile_weights){scratch, bytes, 0, next};
}
