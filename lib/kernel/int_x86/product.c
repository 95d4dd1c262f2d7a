/* Products of rows of codes with packed ones. */
#include "kernel/int_x86/tile.h"

void INT_ISA(product)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_output *out)
{
    const int64_t span = 0;
    const tile_rows rows = {.x = a->codes, .n = m, .step = a->ld, .spans = 1, .span = &span};
    for (int64_t j = 0; j < b->n; j += TILE_PANELS * DFQI_INT_PANEL) {
        tile_panels panels;
        tile_panels_at(a, b, out, j, &panels);
        INT_ISA(tiles)(&panels, &rows);
    }
}
