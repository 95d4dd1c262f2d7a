/* Search of the tilings of a fused attention. A tile has some rows of queries with all their
 * scores, and keys (later values): all of them, which then stay in the buffer for the rows that
 * follow, or a part, after which the next one comes, anew for each tile of rows. */
#include "accel/fused_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/mapping_search_priv.h"

enum { UNITS_MAX = 16, PARTS_MAX = 24, ROWS_MAX = 4 * DFQI_PARTS_MAX };

/* How many steps of a dimension the array takes at a time, in any of its ways. */
typedef struct units {
    int32_t n;
    int64_t v[UNITS_MAX];
} units;

/* What is known of one product: tiles, and what fits beside them. */
typedef struct product {
    const dfqi_layer *layer;
    dfqi_dim inner; /* keys, values */
    double of_row;  /* bits of a row of queries; of one of results, as sums */
    double of_key;  /* bits of a key; of a value */
    units parts;    /* of keys, of values */
    uint32_t held;
    dfqi_pricing pricing;
} product;

typedef struct search {
    const dfqi_accel_config *t;
    product of[DFQI_PRODUCTS];
    int64_t rows, keys;
    double sum, score, map; /* bits of a score under way; of a finished one; behind softmax */
    double result;          /* bits of a finished row of results */
    double room;            /* bits of the buffer */
    units strips;           /* of rows */
    double most_cycles, most_pj, best; /* energy x latency */
    dfqi_fused fused;
} search;

/* -- what fits --------------------------------------------------------------------------------- */

/* Bits that a product's own operands take, with a part of its keys (or values). */
static double need(const search *s, int k, int64_t rows, int64_t part)
{
    const double r = (double)rows, own = (double)part, all = (double)s->keys;
    const double scores = k == DFQI_SCORES ? own * s->sum + (all - own) * s->score : all * s->map;
    return r * (s->of[k].of_row + scores) + own * s->of[k].of_key;
}

/* Bits of all keys (or values) that stay during the other product. */
static double resident(const search *s, int k, int64_t rows)
{
    return rows < s->rows ? (double)s->keys * s->of[k].of_key : 0;
}

/* Is a tile of `small` not larger than one of `large`, and is no array filled better by it? */
static bool inside(const units *u, int64_t all, int64_t small, int64_t large)
{
    if (small > large) return false;
    for (int32_t i = 0; i < u->n; i++)
        if (dfqi_ceil_div(all, small) * dfqi_ceil_div(small, u->v[i]) <
            dfqi_ceil_div(all, large) * dfqi_ceil_div(large, u->v[i]))
            return false;
    return true;
}

/* Adds a size to the list unless another one is as good. */
static void add_size(const units *u, int64_t all, int64_t size, int32_t *n, int64_t *list)
{
    for (int32_t i = 0; i < *n; i++)
        if (inside(u, all, size, list[i])) return;
    list[(*n)++] = size;
}

/* How many keys (or values) a tile may have beside `rows` rows: all of them, or parts. Where all
 * are tried as well (`beside`), parts must fill the array better. Returns the number. */
static int32_t list_parts(const search *s, int k, bool all, bool beside, int64_t rows, double room,
                          int64_t out[PARTS_MAX])
{
    const units *u = &s->of[k].parts;
    const int32_t first = beside && !all;
    int32_t n = first;
    out[0] = s->keys;
    if (all) return need(s, k, rows, s->keys) <= room;
    for (int32_t i = 0; i < u->n; i++) {
        int64_t part[DFQI_PARTS_MAX];
        const int64_t steps = dfqi_ceil_div(s->keys, u->v[i]);
        const int32_t parts = dfqi_parts(steps, (s->keys - 1) / u->v[i], part);
        for (int32_t at = 0; at < parts && n < PARTS_MAX; at++)
            if (need(s, k, rows, part[at] * u->v[i]) <= room)
                add_size(u, s->keys, part[at] * u->v[i], &n, out);
    }
    memmove(out, out + first, (size_t)(n - first) * sizeof *out);
    return n - first;
}

/* -- mappings ---------------------------------------------------------------------------------- */

/* The best mapping of one product with these tiles. False: there is none. Scores and map are
 * written and read whole, tile by tile: they are held. */
static bool map(const search *s, int k, int64_t rows, int64_t part, dfqi_cost *cost,
                dfqi_mapping *mapping)
{
    const product *p = &s->of[k];
    const int64_t *dim = p->layer->dim;
    dfqi_mapping_search h = dfqi_mapping_search_of(p->layer, DFQI_DIM_M, s->t, DFQI_LEAST_EDP);
    dfqi_tiling tiling = {.tile = {1, 1, dim[DFQI_DIM_C], dim[DFQI_DIM_M], rows, 1, 1, 1}};
    tiling.tile[p->inner] = part;
    dfqi_nest_add(&tiling.dram, DFQI_DIM_G, dim[DFQI_DIM_G]);
    dfqi_nest_add(&tiling.dram, DFQI_DIM_P, dfqi_ceil_div(s->rows, rows));
    dfqi_nest_add(&tiling.dram, p->inner, dfqi_ceil_div(s->keys, part));
    h.pricing.held = p->held;
    dfqi_mapping_search_tiling(&h, &tiling);
    *cost = h.best;
    *mapping = h.mapping;
    return !isinf(h.score);
}

/* Of one product, some parts of its keys with their mappings. */
typedef struct options {
    int32_t n;
    int64_t part[PARTS_MAX];
    dfqi_cost cost[PARTS_MAX];
    dfqi_mapping mapping[PARTS_MAX];
} options;

static void map_all(const search *s, int k, int64_t rows, options *o)
{
    int32_t n = 0;
    for (int32_t i = 0; i < o->n; i++)
        /* list_parts filled so many. NOLINTNEXTLINE(clang-analyzer-core.*) */
        n += map(s, k, rows, o->part[i], &o->cost[n], &o->mapping[n]);
    o->n = n;
}

static void take_best(search *s, const options o[DFQI_PRODUCTS])
{
    for (int32_t i = 0; i < o[DFQI_SCORES].n; i++)
        for (int32_t k = 0; k < o[DFQI_VALUES].n; k++) {
            const dfqi_cost *a = &o[DFQI_SCORES].cost[i], *b = &o[DFQI_VALUES].cost[k];
            const double cycles = a->cycles + b->cycles, pj = a->total_pj + b->total_pj;
            const double score = dfqi_mapping_score(DFQI_LEAST_EDP, pj, cycles);
            if (cycles > s->most_cycles || pj > s->most_pj || !(score < s->best)) continue;
            s->best = score;
            s->fused =
                (dfqi_fused){{*a, *b}, {o[DFQI_SCORES].mapping[i], o[DFQI_VALUES].mapping[k]}};
        }
}

/* Energy x latency of both products at least. */
static double bound(const search *s, int64_t rows, const bool all[DFQI_PRODUCTS])
{
    const dfqi_pricing *any = &s->of[DFQI_SCORES].pricing;
    double bits = (double)s->rows * (s->of[DFQI_SCORES].of_row + s->result), cycles = 0, pj = 0;
    for (int k = 0; k < DFQI_PRODUCTS; k++) {
        const double times = all[k] ? 1 : (double)dfqi_ceil_div(s->rows, rows);
        const double macs = dfqi_layer_macs(s->of[k].layer);
        bits += times * (double)s->keys * s->of[k].of_key;
        cycles += macs / (s->of[k].pricing.rate * s->t->pe_x * s->t->pe_y);
        pj += macs * s->of[k].pricing.mac_pj;
    }
    bits *= (double)s->of[DFQI_SCORES].layer->dim[DFQI_DIM_G];
    cycles = fmax(cycles, bits / any->dram_bits);
    return dfqi_mapping_score(DFQI_LEAST_EDP, pj + bits * any->dram_pj, cycles);
}

/* All keys or parts of them, all values or parts of them. False: they do not fit. */
static bool try_rows(search *s, int64_t rows, const bool all[DFQI_PRODUCTS], bool beside)
{
    options o[DFQI_PRODUCTS];
    for (int k = 0; k < DFQI_PRODUCTS; k++) {
        const double room = s->room - (all[1 - k] ? resident(s, 1 - k, rows) : 0);
        o[k].n = list_parts(s, k, all[k], beside, rows, room, o[k].part);
    }
    if (!o[DFQI_SCORES].n || !o[DFQI_VALUES].n) return false;
    if (bound(s, rows, all) > s->best) return true;
    for (int k = 0; k < DFQI_PRODUCTS; k++) map_all(s, k, rows, &o[k]);
    take_best(s, o);
    return true;
}

/* -- tiles ------------------------------------------------------------------------------------- */

static int descending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Numbers of rows that a tile may have, the largest first. */
static int32_t list_rows(const search *s, int64_t out[ROWS_MAX])
{
    int32_t n = 0;
    for (int32_t u = 0; u < s->strips.n; u++) {
        const int64_t unit = s->strips.v[u], steps = dfqi_ceil_div(s->rows, unit);
        int64_t part[DFQI_PARTS_MAX];
        const int32_t parts = dfqi_parts(steps, steps, part);
        for (int32_t i = 0; i < parts && n < ROWS_MAX; i++)
            out[n++] = dfqi_least(part[i] * unit, s->rows);
    }
    qsort(out, (size_t)n, sizeof *out, descending);
    return n;
}

/* Where all keys and values fit, fewer rows move as much. */
static void try_all(search *s)
{
    int64_t rows[ROWS_MAX], whole[ROWS_MAX];
    const int32_t n = list_rows(s, rows);
    int32_t n_whole = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t before = n_whole;
        const bool both[DFQI_PRODUCTS] = {true, true};
        if (i > 0 && rows[i] == rows[i - 1]) continue;
        add_size(&s->strips, s->rows, rows[i], &n_whole, whole);
        if (n_whole == before) continue;
        const bool fit = try_rows(s, rows[i], both, false);
        if (!fit) n_whole = before;
        for (int way = 1; way < 4; way++) {
            const bool all[DFQI_PRODUCTS] = {!(way & 1), !(way & 2)};
            (void)try_rows(s, rows[i], all, fit);
        }
    }
}

static void add_unit(units *u, int64_t v)
{
    for (int32_t i = 0; i < u->n; i++)
        if (u->v[i] == v) return;
    if (u->n < UNITS_MAX) u->v[u->n++] = v;
}

static void set_product(search *s, int k, const dfqi_layer *l)
{
    const dfqi_mapping_search h = dfqi_mapping_search_of(l, DFQI_DIM_M, s->t, DFQI_LEAST_EDP);
    product *p = &s->of[k];
    int64_t unit[DFQI_DIMS];
    p->layer = l;
    p->inner = k == DFQI_SCORES ? DFQI_DIM_M : DFQI_DIM_C;
    p->held = k == DFQI_SCORES ? 1 << DFQI_O : 1 << DFQI_I;
    p->pricing = h.pricing;
    p->parts = (units){1, {1}};
    for (int32_t i = 0; dfqi_mapping_search_unit(&h, i, unit); i++) {
        add_unit(&s->strips, unit[DFQI_DIM_P]);
        add_unit(&p->parts, unit[p->inner]);
    }
}

bool dfqi_fuse_attention(const dfqi_layer *scores, const dfqi_layer *values,
                         const dfqi_accel_config *t, double cycles, double pj, dfqi_fused *out)
{
    const double depth = (double)scores->dim[DFQI_DIM_C], width = (double)values->dim[DFQI_DIM_M];
    search s = {.t = t,
                .rows = scores->dim[DFQI_DIM_P],
                .keys = scores->dim[DFQI_DIM_M],
                .sum = t->psum_bits,
                .score = dfqi_layer_stored(scores, DFQI_O),
                .map = dfqi_layer_stored(values, DFQI_I),
                .result = width * dfqi_layer_stored(values, DFQI_O),
                .room = t->glb_kb * 8192,
                .strips = {1, {1}},
                .most_cycles = cycles,
                .most_pj = pj,
                .best = dfqi_mapping_score(DFQI_LEAST_EDP, pj, cycles)};
    if (!t->fused_attention || isinf(cycles)) return false;
    const double before = s.best;
    set_product(&s, DFQI_SCORES, scores);
    set_product(&s, DFQI_VALUES, values);
    s.of[DFQI_SCORES].of_row = depth * dfqi_layer_stored(scores, DFQI_I);
    s.of[DFQI_SCORES].of_key = depth * dfqi_layer_stored(scores, DFQI_W);
    s.of[DFQI_VALUES].of_row = width * t->psum_bits;
    s.of[DFQI_VALUES].of_key = width * dfqi_layer_stored(values, DFQI_W);
    try_all(&s);
    if (s.best >= before) return false;
    *out = s.fused;
    return true;
}

double dfqi_fused_cycles(const dfqi_fused *f)
{
    return f->cost[DFQI_SCORES].cycles + f->cost[DFQI_VALUES].cycles;
}

double dfqi_fused_pj(const dfqi_fused *f)
{
    return f->cost[DFQI_SCORES].total_pj + f->cost[DFQI_VALUES].total_pj;
}
