/* Products of rows of codes with packed ones. */
#include "kernel/int_x86/tile.h"
#include "kernel/int_x86/words.h"

enum { SPAN_ROWS = 64 }; /* of product_spans, together */

/* Rows whose codes and results stay in the L2 cache while all columns are computed; not so few that
 * reading the columns again for each block counts. */
static int64_t rows_of_block(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                             const dfqi_int_output *out)
{
    enum { BYTES = 512 * 1024, LEAST = 192 };
    const int64_t floats = (out->y != NULL) + (out->add != NULL && out->add != out->y);
    const int64_t codes = (out->q != NULL) + (out->add_codes != NULL && out->add_codes != out->q);
    const int64_t rows = BYTES / (a->ld + b->n * (4 * floats + codes));
    if (tile_takes_words(a, b)) return DFQI_INT_WORD_ROWS;
    return rows > LEAST ? rows : LEAST;
}

/* Rows i .. i + n - 1: as they are, or as words in scratch, behind the weights. */
static tile_rows rows_at(const dfqi_int_rows *a, const dfqi_int_matrix *b, int64_t i, int64_t n,
                         uint8_t *scratch)
{
    static const int64_t span = 0;
    const int64_t groups = dfqi_int_groups(b->k), step = b->spans * groups * WORD_GROUP;
    const uint8_t *x = a->codes + i * a->ld;
    tile_rows rows = {.x = x, .n = n, .step = a->ld, .spans = 1, .span = &span, .number = i};
    if (!tile_takes_words(a, b)) return rows;
    uint8_t *words = scratch + dfqi_int_weights_scratch(b);
    for (int64_t r = 0; r < n; r++, x += a->ld)
        for (int64_t s = 0; s < b->spans; s++)
            words_of_row(x + s * b->k, groups, words + r * step + s * groups * WORD_GROUP);
    rows.x = words;
    rows.step = step;
    return rows;
}

/* Columns first .. of some rows, with the weights w. */
static void columns(const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *out,
                    const tile_rows *rows, int64_t first, tile_weights w)
{
    tile_panels panels;
    tile_panels_at(a, b, out, first, w, &panels);
    INT_ISA(tiles)(&panels, rows);
}

void INT_ISA(product_rows)(int64_t first, int64_t m, const dfqi_int_rows *a,
                           const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch)
{
    const int64_t block = rows_of_block(a, b, out), end = first + m;
    for (int64_t i = first; i < end; i += block) {
        const tile_rows rows = rows_at(a, b, i, end - i < block ? end - i : block, scratch);
        for (int64_t j = 0; j < b->n; j += TILE_PANELS * DFQI_INT_PANEL)
            columns(a, b, out, &rows, j, INT_ISA(weights)(a, b, j, scratch));
    }
}

/* Rows of product_spans, span by span: columns stay in the L1 cache while spans are added up.
 * `stride`: from the scales of a span to those of the next one. rows, weights: of the first one. */
static void span_columns(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                         const dfqi_int_output *out, int64_t first, int64_t stride, tile_rows rows,
                         tile_weights weights)
{
    dfqi_int_output o = {.bias = out->bias, .ld_add = out->ld_y, .y = out->y, .ld_y = out->ld_y};
    dfqi_int_rows of = *a;
    dfqi_int_matrix w = *b;
    const int64_t step = tile_takes_words(a, b) ? dfqi_int_groups(b->k) * WORD_GROUP : b->k;
    int32_t same[SPAN_ROWS] = {0};
    for (int64_t i = 0; a->one_grid && i < rows.n; i++) same[i] = a->zero_point[0];
    if (a->one_grid) of.zero_point = same;
    of.one_grid = 0;
    for (int64_t g = 0; g < b->spans; g++) {
        columns(&of, &w, &o, &rows, first, weights);
        o.bias = NULL;
        o.add = out->y;
        rows.x += step;
        of.scale += stride;
        if (!a->one_grid) of.zero_point += stride;
        weights.codes += weights.span;
        w.sum += b->n;
    }
}

static void add_columns(int64_t m, const dfqi_int_output *out, int64_t first, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        float *y = out->y + i * out->ld_y + first;
        const float *add = out->add + i * out->ld_add + first;
        for (int64_t j = 0; j < n; j++) y[j] = y[j] + add[j];
    }
}

static void span_rows(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_output *out, int64_t stride, uint8_t *scratch)
{
    enum { COLUMNS = TILE_PANELS * DFQI_INT_PANEL };
    const tile_rows rows = rows_at(a, b, 0, m, scratch);
    for (int64_t j = 0; j < b->n; j += COLUMNS) {
        span_columns(a, b, out, j, stride, rows, INT_ISA(weights)(a, b, j, scratch));
        if (out->add) add_columns(m, out, j, b->n - j < COLUMNS ? b->n - j : COLUMNS);
    }
}

void INT_ISA(product_spans)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                            const dfqi_int_output *out, uint8_t *scratch)
{
    dfqi_int_rows of = *a;
    dfqi_int_output o = *out;
#if TILE_MAKES_SPANS
    if (INT_ISA(span_tiles)(m, a, b, out, scratch)) return;
#endif
    for (int64_t i = 0; i < m; i += SPAN_ROWS) {
        span_rows(m - i < SPAN_ROWS ? m - i : SPAN_ROWS, &of, b, &o, m, scratch);
        of.codes += SPAN_ROWS * a->ld;
        of.scale += SPAN_ROWS;
        if (!a->one_grid) of.zero_point += SPAN_ROWS;
        o.y += SPAN_ROWS * o.ld_y;
        if (o.add) o.add += SPAN_ROWS * o.ld_add;
    }
}

void INT_ISA(product)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_output *out, uint8_t *scratch)
{
    INT_ISA(product_rows)(0, m, a, b, out, scratch);
}
