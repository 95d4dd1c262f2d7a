/* Register tiles of products of codes, for product.c and conv.c. */
#ifndef DFQI_INT_X86_TILE_H
#define DFQI_INT_X86_TILE_H

#include "kernel/int_layout.h"
#include "kernel/int_x86/finish.h"

#if defined(__AVX512F__)
enum { TILE_PANELS = 2, TILE_ROWS = 16, TILE_MAKES_FLOATS = 1 }; /* of a tile, at most */
#else
enum { TILE_PANELS = 1, TILE_ROWS = 6, TILE_MAKES_FLOATS = 0 };
#endif

/* WITHOUT_VNNI: operands are words or bytes (words.h); MAKES_SPANS: there is span_tiles. */
#if defined(__AVX512VNNI__)
#define TILE_WITHOUT_VNNI 0
#define TILE_MAKES_SPANS  1
#elif defined(__AVXVNNI__)
#define TILE_WITHOUT_VNNI 0
#define TILE_MAKES_SPANS  0
#else
#define TILE_WITHOUT_VNNI 1
#define TILE_MAKES_SPANS  1
#endif

/* Where a run of rows of the left operand lies: pixels of a row of an image, or
 * rows. */
typedef struct tile_rows {
    const uint8_t *x;
    int64_t n, step; /* rows, bytes from one to the next */
    int64_t spans;
    const int64_t *span; /* where they begin in a row, in bytes */
    int64_t number;      /* of the first row, in grids and outputs */
} tile_rows;

/* Where the codes of some panels lie; without grids of groups. */
typedef struct tile_weights {
    const uint8_t *codes; /* of the first panel */
    int64_t panel, span;  /* bytes to the next one; of a span */
    int nibbles;
    int words;           /* 1: words.h */
    const uint8_t *next; /* behind these panels, to be read soon */
} tile_weights;

/* Panels of the right operand, up to TILE_PANELS, and what becomes of their sums. */
typedef struct tile_panels {
    tile_weights weights;
    int64_t groups; /* of a span */
    int64_t n;      /* panels */
    finish_columns columns[TILE_PANELS];
} tile_panels;

/* Panels that a tile takes from column `first` on. */
static inline int64_t tile_panels_from(const dfqi_int_matrix *b, int64_t first)
{
    return b->n - first > DFQI_INT_PANEL ? TILE_PANELS : 1;
}

/* Are operands words? Sums of four pairs of products of bytes must fit in 16 bits (tile_avx2.h). */
static inline int tile_takes_words(const dfqi_int_rows *a, const dfqi_int_matrix *b)
{
    const int most = a->most > 0 ? a->most : 255, of_b = b->nibbles && !b->grid_columns ? 8 : 128;
    return TILE_WITHOUT_VNNI && 4 * 2 * most * of_b > INT16_MAX;
}

/* The weights of these panels, for products with a: as they are, or in scratch
 * (dfqi_int_weights_scratch) as bytes or words. first: a multiple of 16. */
tile_weights INT_ISA(weights)(const dfqi_int_rows *a, const dfqi_int_matrix *b, int64_t first,
                              uint8_t *scratch);

/* The panels from column `first` on, whose weights are w. */
static inline void tile_panels_at(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                                  const dfqi_int_output *out, int64_t first, tile_weights w,
                                  tile_panels *p)
{
    p->weights = w;
    p->groups = dfqi_int_groups(b->k);
    p->n = tile_panels_from(b, first);
    for (int64_t i = 0; i < p->n; i++)
        INT_ISA(finish_columns)(a, b, out, first + i * DFQI_INT_PANEL, &p->columns[i]);
}

/* Rows first .. first + m - 1 of a product. */
void INT_ISA(product_rows)(int64_t first, int64_t m, const dfqi_int_rows *a,
                           const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch);

#if TILE_MAKES_SPANS
/* product_spans, where all have the same zero point. Returns 0, and has done nothing, if they do
 * not. AVX-512: nor if scales are such that sums cannot be multiplied by 16 on the way; AVX2: nor
 * for words or part of a panel. */
int INT_ISA(span_tiles)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                        const dfqi_int_output *out, uint8_t *scratch);
#endif

/* All rows of r times these panels. */
void INT_ISA(tiles)(const tile_panels *p, const tile_rows *r);

#endif
