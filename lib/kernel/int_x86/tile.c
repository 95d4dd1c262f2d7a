/* Sums of products of codes. The sums of a tile (rows times one or two panels
 * of 16 columns) stay in registers during the loop over k; integers are exact,
 * so their order is free. */
#include "kernel/int_x86/tile.h"
#include "kernel/x86/repeat.h"

/* Where a tile's floats go, if that is all there is to do; y NULL: it is not. */
typedef struct tile_floats {
    const finish_columns *columns; /* of each panel */
    int64_t lanes;                 /* of the last one */
    const int32_t *zero_point;     /* of each row */
    const float *scale;
    const float *add; /* NULL: nothing */
    float *y;
    int64_t ld_add, ld_y;
    int64_t zero_point_step, scale_step; /* to the next row */
} tile_floats;

typedef struct tile_codes tile_codes;
typedef struct tile_spans tile_spans;

/* What a tile function makes. */
typedef enum tile_what {
    TILE_SUMS,
    TILE_FLOATS,
    TILE_FLOATS_ADD,
    TILE_SPANS, /* floats, of product_spans */
    TILE_CODES,
    TILE_CODES_ADD /* codes are added */
} tile_what;

typedef struct tile {
    const tile_rows *rows;
    const uint8_t *x;    /* the first row */
    const uint8_t *w;    /* the first panel */
    int64_t panel;       /* bytes to the next one */
    const uint8_t *next; /* those of the next tile, soon */
    int64_t groups;      /* of a span */
    int nibbles;
    int words;
    int32_t *sums; /* [rows][TILE_PANELS * 16] */
    tile_floats floats;
    tile_codes *codes;
    const tile_spans *spans;
    tile_what what;
    int64_t tiles; /* of as many rows, one below the other: 1 if it makes sums */
} tile;

/* To the next tile. */
static inline void advance(tile_floats *f, int64_t rows)
{
    f->zero_point += rows * f->zero_point_step;
    f->scale += rows * f->scale_step;
    if (f->add) f->add += rows * f->ld_add;
    f->y += rows * f->ld_y;
}

static inline int32_t load_group(const uint8_t *x)
{
    int32_t group;
    memcpy(&group, x, sizeof group);
    return group;
}

#if defined(__AVX512VNNI__)
#include "kernel/int_x86/tile_vnni512.h"
#else
/* Only AVX-512 has registers for it. */
struct tile_codes {
    const uint8_t *add, *q;
};

static tile_codes codes_of(const tile_panels *p, const tile_rows *r)
{
    (void)p;
    (void)r;
    return (tile_codes){NULL, NULL};
}

static void advance_codes(tile_codes *c, int64_t rows)
{
    (void)c;
    (void)rows;
}

#if defined(__AVXVNNI__)
#include "kernel/int_x86/tile_vnni256.h"
#else
#include "kernel/int_x86/tile_avx2.h"
#endif
#endif

#define TILE_ARGUMENT tile
#include "kernel/x86/tile_table.h"

/* Grids of the rows of a tile; one for all rows is repeated. */
typedef struct tile_grids {
    int32_t zero_point[TILE_ROWS];
    float scale[TILE_ROWS];
} tile_grids;

static tile_floats floats_of(const tile_panels *p, const tile_rows *r, tile_grids *g)
{
    const finish_columns *c = p->columns;
    const dfqi_int_output *o = c->out;
    if (!c->floats) return (tile_floats){.y = NULL};
    for (int i = 0; i < TILE_ROWS; i++) {
        g->zero_point[i] = *c->row_zero_point;
        g->scale[i] = *c->row_scale;
    }
    return (tile_floats){.columns = c,
                         .lanes = c[p->n - 1].lanes,
                         .zero_point =
                             c->zero_point_step ? c->row_zero_point + r->number : g->zero_point,
                         .scale = c->scale_step ? c->row_scale + r->number : g->scale,
                         .add = o->add ? o->add + r->number * o->ld_add + c->first : NULL,
                         .y = o->y + r->number * o->ld_y + c->first,
                         .ld_add = o->ld_add,
                         .ld_y = o->ld_y,
                         .zero_point_step = c->zero_point_step,
                         .scale_step = c->scale_step};
}

/* Sums of a tile are so far apart; those of some tiles are finished together. */
enum { LD = TILE_PANELS * DFQI_INT_PANEL, SUM_ROWS = 48 };

static void finish_panels(const tile_panels *p, const int32_t *sums, int64_t rows, int64_t row)
{
    if (p->columns[0].kind == FINISH_CODES && p->columns[p->n - 1].kind == FINISH_CODES) {
        INT_ISA(finish_codes)(p->columns, p->n, sums, LD, rows, row);
        return;
    }
    for (int64_t k = 0; k < p->n; k++)
        INT_ISA(finish)(&p->columns[k], sums + k * DFQI_INT_PANEL, LD, rows, row);
}

/* Sums of tiles of as many rows, and what becomes of them. */
static void sum_tiles(tile *t, const tile_panels *p, tile_fn run, int64_t tiles, int64_t rows,
                      int64_t at)
{
    int32_t *const sums = t->sums;
    t->tiles = 1;
    for (int64_t n, most = SUM_ROWS / rows; tiles > 0; tiles -= n, at += n * rows) {
        n = tiles < most ? tiles : most;
        for (int64_t i = 0; i < n; i++) {
            t->sums = sums + i * rows * LD;
            run(t);
            t->x += rows * t->rows->step;
        }
        finish_panels(p, sums, n * rows, at);
    }
    t->sums = sums;
}

/* Tiles of as many rows, from row `at` of the output on. */
static void equal_tiles(tile *t, const tile_panels *p, tile_fn run, int64_t tiles, int64_t rows,
                        int64_t at)
{
    if (t->what == TILE_SUMS) {
        sum_tiles(t, p, run, tiles, rows, at);
        return;
    }
    t->tiles = tiles;
    run(t);
    t->x += tiles * rows * t->rows->step;
    if (t->floats.y) advance(&t->floats, tiles * rows);
    if (t->codes->q) advance_codes(t->codes, tiles * rows);
}

/* Uses tiles of about the same size: some have a row more than the others. */
void INT_ISA(tiles)(const tile_panels *p, const tile_rows *r)
{
    int32_t sums[SUM_ROWS * LD] __attribute__((aligned(64)));
    tile_grids grids;
    int64_t most;
    const tile_fn *tiles = tiles_of(p->n, &most);
    tile_codes codes = codes_of(p, r);
    tile t = {.rows = r,
              .x = r->x,
              .w = p->weights.codes,
              .panel = p->weights.panel,
              .next = p->weights.next,
              .groups = p->groups,
              .nibbles = p->weights.nibbles,
              .words = p->weights.words,
              .sums = sums,
              .codes = &codes};
    if (TILE_MAKES_FLOATS) t.floats = floats_of(p, r, &grids);
    if (t.floats.y) t.what = t.floats.add ? TILE_FLOATS_ADD : TILE_FLOATS;
    if (codes.q) t.what = codes.add ? TILE_CODES_ADD : TILE_CODES;
    const int64_t n = (r->n + most - 1) / most, rows = r->n / n, more = r->n % n;
    if (more) equal_tiles(&t, p, tiles[rows], more, rows + 1, r->number);
    if (rows) equal_tiles(&t, p, tiles[rows - 1], n - more, rows, r->number + more * (rows + 1));
}

#if TILE_MAKES_SPANS
/* `tiles` tiles of as many rows. */
static void equal_span_tiles(tile *t, tile_spans *o, tile_fn run, int64_t tiles, int64_t rows)
{
    t->tiles = tiles;
    run(t);
    t->x += tiles * rows * t->rows->step;
    o->row_scale += tiles * rows;
    o->y += tiles * rows * o->ld_y;
    o->add += tiles * rows * o->ld_add;
}

/* All m rows of `panels` panels. */
static void all_span_tiles(tile *t, tile_spans *o, int64_t panels, int64_t m)
{
    int64_t most;
    const tile_fn *tiles = tiles_of(panels, &most);
    const int64_t n = (m + most - 1) / most, rows = m / n, more = m % n;
    if (more) equal_span_tiles(t, o, tiles[rows], more, rows + 1);
    if (rows) equal_span_tiles(t, o, tiles[rows - 1], n - more, rows);
}
#endif

#if defined(__AVX512VNNI__)
/* Columns first .. of the product, from row 0 on. */
static void spans_of(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                     const dfqi_int_output *out, int64_t first, int nibbles, tile_spans *o)
{
    const vf factor = vf_set(nibbles ? 0.0625f : 1.0f);
    o->spans = b->spans;
    o->span = b->k;
    o->sum = b->sum + first;
    o->ld_sum = b->n;
    o->zero_point = a->zero_point[0];
    o->row_scale = a->scale;
    o->ld_rows = m;
    o->y = out->y + first;
    o->ld_y = out->ld_y;
    for (int v = 0; v < TILE_PANELS; v++) {
        const int64_t at = first + v * VF, n = b->n - at < 0 ? 0 : b->n - at < VF ? b->n - at : VF;
        o->lanes[v] = vm_first(n);
        vf_store(o->scale + v * VF, vf_mul(factor, vf_load_n(b->scale + at, n)));
        vf_store(o->bias + v * VF, out->bias ? vf_load_n(out->bias + at, n) : vf_set(-0.0f));
    }
}

/* Sums of nibbles are 16 times what they should be. Scales of columns are divided by 16 in turn,
 * which changes no bit where no number becomes too large or too small on the way. */
static int spans_fit(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b)
{
    const int64_t rows = m * b->spans;
    unsigned odd = !a->one_grid;
    for (int64_t i = 0; b->nibbles && i < rows; i += VF)
        odd |= vm_bits(vf_lt(vf_set(0x1p80f), vf_load_tail(a->scale + i, rows - i)));
    for (int64_t j = 0; b->nibbles && j < b->n; j += VF) {
        const vf scale = vf_abs(vf_load_tail(b->scale + j, b->n - j));
        const vm there = vm_first(b->n - j < VF ? b->n - j : VF);
        odd |= vm_bits(vm_and(there, vf_lt(scale, vf_set(0x1p-100f))));
    }
    return !odd;
}

int INT_ISA(span_tiles)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                        const dfqi_int_output *out, uint8_t *scratch)
{
    const tile_rows step = {.step = a->ld};
    float nothing[LD]; /* leaves every float as it is */
    if (!spans_fit(m, a, b)) return 0;
    for (int i = 0; i < LD; i++) nothing[i] = -0.0f;
    for (int64_t j = 0; j < b->n; j += LD) {
        const tile_weights w = INT_ISA(weights)(a, b, j, scratch);
        tile_spans o;
        tile t = {.rows = &step,
                  .x = a->codes,
                  .w = w.codes,
                  .panel = w.panel,
                  .next = w.next,
                  .groups = dfqi_int_groups(b->k),
                  .nibbles = w.nibbles,
                  .spans = &o,
                  .what = TILE_SPANS};
        spans_of(m, a, b, out, j, w.nibbles, &o);
        o.add = out->add ? out->add + j : nothing;
        o.ld_add = out->add ? out->ld_add : 0;
        all_span_tiles(&t, &o, tile_panels_from(b, j), m);
    }
    return 1;
}

#elif TILE_WITHOUT_VNNI
/* Bytes, whole panels, and one zero point. */
int INT_ISA(span_tiles)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                        const dfqi_int_output *out, uint8_t *scratch)
{
    const tile_rows step = {.step = a->ld};
    float nothing[DFQI_INT_PANEL]; /* leaves every float as it is */
    if (!a->one_grid || tile_takes_words(a, b) || b->n % DFQI_INT_PANEL != 0) return 0;
    for (int i = 0; i < DFQI_INT_PANEL; i++) nothing[i] = -0.0f;
    for (int64_t j = 0; j < b->n; j += DFQI_INT_PANEL) {
        const tile_weights w = INT_ISA(weights)(a, b, j, scratch);
        tile_spans o = {.spans = b->spans,
                        .of_rows = b->k,
                        .of_weights = w.span,
                        .sum = b->sum + j,
                        .ld_sum = b->n,
                        .zero_point = a->zero_point[0],
                        .row_scale = a->scale,
                        .ld_rows = m,
                        .scale = b->scale + j,
                        .bias = out->bias ? out->bias + j : nothing,
                        .add = out->add ? out->add + j : nothing,
                        .ld_add = out->add ? out->ld_add : 0,
                        .y = out->y + j,
                        .ld_y = out->ld_y};
        tile t = {.rows = &step,
                  .x = a->codes,
                  .w = w.codes,
                  .groups = dfqi_int_groups(b->k),
                  .spans = &o,
                  .what = TILE_SPANS};
        all_span_tiles(&t, &o, 1, m);
    }
    return 1;
}
#endif
