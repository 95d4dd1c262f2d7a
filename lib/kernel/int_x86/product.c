/* Products of rows of codes with packed ones. */
#include "kernel/int_x86/tile.h"

/* Rows whose codes and results stay in the L2 cache while all columns are computed; not so few that
 * reading the columns again for each block counts. */
static int64_t rows_of_block(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                             const dfqi_int_output *out)
{
    enum { BYTES = 128 * 1024, LEAST = 96 };
    const int64_t floats = (out->y != NULL) + (out->add != NULL && out->add != out->y);
    const int64_t codes = (out->q != NULL) + (out->add_codes != NULL && out->add_codes != out->q);
    const int64_t rows = BYTES / (a->ld + b->n * (4 * floats + codes));
    return rows > LEAST ? rows : LEAST;
}

void INT_ISA(product_rows)(int64_t first, int64_t m, const dfqi_int_rows *a,
                           const dfqi_int_matrix *b, const dfqi_int_output *out)
{
    const int64_t span = 0, block = rows_of_block(a, b, out), end = first + m;
    for (int64_t i = first; i < end; i += block) {
        const tile_rows rows = {.x = a->codes + i * a->ld,
                                .n = end - i < block ? end - i : block,
                                .step = a->ld,
                                .spans = 1,
                                .span = &span,
                                .number = i};
        for (int64_t j = 0; j < b->n; j += TILE_PANELS * DFQI_INT_PANEL) {
            tile_panels panels;
            tile_panels_at(a, b, out, j, &panels);
            INT_ISA(tiles)(&panels, &rows);
        }
    }
}

void INT_ISA(product)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_output *out)
{
    INT_ISA(product_rows)(0, m, a, b, out);
}
