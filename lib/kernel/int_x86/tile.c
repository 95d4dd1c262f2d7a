/* Sums of products of codes. The sums of a tile (rows times one or two panels
 * of 16 columns) stay in registers during the loop over k; integers are exact,
 * so their order is free. */
#include "kernel/int_x86/tile.h"
#include "kernel/x86/repeat.h"

typedef struct tile {
    const tile_rows *rows;
    const uint8_t *x; /* the first row */
    const uint8_t *w; /* the first panel */
    int64_t panel;    /* bytes to the next one */
    int64_t groups;   /* of a span */
    int nibbles;
    int32_t *sums; /* [rows][TILE_PANELS * 16] */
} tile;

static inline int32_t load_group(const uint8_t *x)
{
    int32_t group;
    memcpy(&group, x, sizeof group);
    return group;
}

#if defined(__AVX512VNNI__)
#include "kernel/int_x86/tile_vnni512.h"
#elif defined(__AVXVNNI__)
#include "kernel/int_x86/tile_vnni256.h"
#else
#include "kernel/int_x86/tile_avx2.h"
#endif

#define TILE_ARGUMENT tile
#include "kernel/x86/tile_table.h"

/* Uses tiles of about the same size. */
void INT_ISA(tiles)(const tile_rows *r, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                    const dfqi_int_output *out, int64_t first)
{
    int32_t sums[TILE_ROWS * TILE_PANELS * DFQI_INT_PANEL] __attribute__((aligned(64)));
    const int64_t panels = b->n - first > DFQI_INT_PANEL ? TILE_PANELS : 1;
    int64_t most;
    const tile_fn *tiles = tiles_of(panels, &most);
    tile t = {.rows = r,
              .x = r->x,
              .w = b->codes + first / DFQI_INT_PANEL * dfqi_int_panel_bytes(b),
              .panel = dfqi_int_panel_bytes(b),
              .groups = dfqi_int_groups(b->k),
              .nibbles = b->nibbles,
              .sums = sums};
    const int64_t n = (r->n + most - 1) / most;
    for (int64_t i = 0, at = 0; i < n; i++) {
        const int64_t end = (i + 1) * r->n / n;
        tiles[end - at - 1](&t);
        INT_ISA(finish)
        (sums, TILE_PANELS * DFQI_INT_PANEL, end - at, r->number + at, first, a, b, out);
        t.x += (end - at) * r->step;
        at = end;
    }
}
