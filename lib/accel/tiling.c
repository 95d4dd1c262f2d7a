/* Tilings of the global buffer. A tile always has all filter taps, and whole output rows, or parts
 * of all rows; parts of some rows only if one row does not fit. Groups are tiled one by one, except
 * for the channels of a depthwise convolution. */
#include "accel/tiling.h"

#include <stdlib.h>
#include <string.h>

static bool is_prime(int64_t n)
{
    for (int64_t k = 2; k * k <= n; k++)
        if (n % k == 0) return false;
    return n > 1;
}

int32_t dfqi_parts(int64_t length, int64_t limit, int64_t out[DFQI_PARTS_MAX])
{
    int64_t small[DFQI_PARTS_MAX], n = length > 3 && is_prime(length) ? length + 1 : length;
    int32_t n_small = 0, count = 0;
    if (n != length && length <= limit) out[count++] = length;
    for (int64_t k = 1; k * k <= n && n_small < DFQI_PARTS_MAX / 2; k++) {
        if (n % k != 0) continue;
        if (n / k <= limit && n / k <= length && count < DFQI_PARTS_MAX / 2) out[count++] = n / k;
        if (k * k != n) small[n_small++] = k;
    }
    while (n_small > 0)
        if (small[--n_small] <= limit) out[count++] = small[n_small];
    return count;
}

typedef struct builder {
    const dfqi_tiling_cache *tiling_cache;
    dfqi_tilings set;
    double bits[DFQI_OPERANDS];
    int64_t unit[DFQI_DIMS];
    int32_t ins, outs; /* sizes of tiles along channels and filters, by these units */
    int64_t in[DFQI_PARTS_MAX], out[DFQI_PARTS_MAX];
    int32_t room;
    dfq_status status;
} builder;

/* Words of the tile for each channel and filter, each channel, each filter. */
typedef struct words {
    double filter, input, output;
} words;

static words words_of(const builder *b, const dfqi_tiling *t)
{
    const int64_t *e = t->tile;
    const double u = (double)b->tiling_cache->layer.stride, n = (double)e[DFQI_DIM_N];
    const double y = dfqi_window_rows((double)e[DFQI_DIM_P], (double)e[DFQI_DIM_R], u);
    const double x = dfqi_window_rows((double)e[DFQI_DIM_Q], (double)e[DFQI_DIM_S], u);
    return (words){(double)(e[DFQI_DIM_R] * e[DFQI_DIM_S]), n * y * x,
                   n * (double)(e[DFQI_DIM_P] * e[DFQI_DIM_Q])};
}

static bool fits(const builder *b, const words *each, const dfqi_tiling *t)
{
    const double in = (double)t->tile[DFQI_DIM_C], out = (double)t->tile[DFQI_DIM_M];
    const double bits = in * out * each->filter * b->bits[DFQI_W] +
                        in * each->input * b->bits[DFQI_I] + out * each->output * b->bits[DFQI_O];
    return (double)t->tile[DFQI_DIM_G] * bits <= b->set.buffer.kb * 8192;
}

static void keep(builder *b, const dfqi_tiling *t)
{
    if (b->set.n == b->room) {
        int32_t room = b->room ? 2 * b->room : 64;
        dfqi_tiling *more =
            dfqi_realloc(b->tiling_cache->ctx, b->set.list, (size_t)room * sizeof *more);
        if (!more) {
            b->status = DFQ_E_NOMEM;
            return;
        }
        b->set.list = more;
        b->room = room;
    }
    b->set.list[b->set.n++] = *t;
}

static void add_axis(const dfqi_tiling_cache *s, int axis, dfqi_tiling *t)
{
    static const dfqi_dim place[] = {DFQI_DIM_N, DFQI_DIM_P, DFQI_DIM_Q};
    for (int k = 0; k < (axis == DFQI_AXIS_PLACE ? 3 : 1); k++) {
        dfqi_dim d = axis == DFQI_AXIS_PLACE ? place[k]
                     : axis == DFQI_AXIS_IN  ? DFQI_DIM_C
                                             : s->out;
        dfqi_nest_add(&t->dram, d, dfqi_ceil_div(s->layer.dim[d], t->tile[d]));
    }
}

/* The tile in the three orders that differ: by which axis is innermost. */
static void add_orders(builder *b, dfqi_tiling *t)
{
    const dfqi_tiling_cache *s = b->tiling_cache;
    for (int inner = 0; inner < DFQI_AXES && b->status == DFQ_OK; inner++) {
        dfqi_access at[DFQI_OPERANDS];
        memset(&t->dram, 0, sizeof t->dram);
        if (s->out != DFQI_DIM_G) dfqi_nest_add(&t->dram, DFQI_DIM_G, s->layer.dim[DFQI_DIM_G]);
        for (int k = 1; k < DFQI_AXES; k++) add_axis(s, (inner + k) % DFQI_AXES, t);
        int32_t before = t->dram.n;
        add_axis(s, inner, t);
        if (before == t->dram.n && inner > 0)
            continue; /* an axis of one step: no order of its own */
        dfqi_mapping_traffic(&s->layer, &t->dram, t->tile, at);
        const dfqi_access *o = &at[DFQI_O];
        t->dram_bits = at[DFQI_W].reads * b->bits[DFQI_W] + at[DFQI_I].reads * b->bits[DFQI_I] +
                       2 * o->reads * b->bits[DFQI_O] +
                       (o->updates - o->reads) * dfqi_layer_stored(&s->layer, DFQI_O);
        keep(b, t);
    }
}

/* Parts of a dimension in whole units, in steps. */
static int32_t parts_of(const builder *b, dfqi_dim d, int64_t out[DFQI_PARTS_MAX])
{
    int64_t length = b->tiling_cache->layer.dim[d], units = dfqi_ceil_div(length, b->unit[d]);
    int32_t n = dfqi_parts(units, units, out);
    for (int32_t i = 0; i < n; i++) out[i] = dfqi_least(out[i] * b->unit[d], length);
    return n;
}

static void add_tiles(builder *b, dfqi_tiling *t)
{
    const words each = words_of(b, t);
    for (int32_t i = 0; i < b->ins; i++) {
        t->tile[DFQI_DIM_C] = b->in[i];
        for (int32_t k = 0; k < b->outs; k++) {
            t->tile[b->tiling_cache->out] = b->out[k];
            if (!fits(b, &each, t)) continue;
            add_orders(b, t);
            break; /* smaller ones move more */
        }
    }
}

/* All rows, and parts of each: rows that lie in the array may have no good parts. */
static void add_columns(builder *b, dfqi_tiling *t)
{
    const int64_t all = t->tile[DFQI_DIM_Q];
    int64_t part[DFQI_PARTS_MAX];
    int32_t n = parts_of(b, DFQI_DIM_Q, part);
    t->tile[DFQI_DIM_P] = b->tiling_cache->layer.dim[DFQI_DIM_P];
    for (int32_t i = 0; i < n; i++) {
        t->tile[DFQI_DIM_Q] = part[i];
        if (part[i] < all) add_tiles(b, t);
    }
    t->tile[DFQI_DIM_Q] = all;
}

/* Images and rows in a tile: parts of one image, or whole images. */
static void add_places(builder *b, dfqi_tiling *t)
{
    const int64_t *dim = b->tiling_cache->layer.dim;
    int64_t part[DFQI_PARTS_MAX];
    int32_t n = parts_of(b, DFQI_DIM_P, part);
    t->tile[DFQI_DIM_N] = 1;
    for (int32_t i = 0; i < n; i++) {
        t->tile[DFQI_DIM_P] = part[i];
        add_tiles(b, t);
    }
    if (b->set.buffer.columns) add_columns(b, t);
    if (dim[DFQI_DIM_N] == 1) return;
    t->tile[DFQI_DIM_P] = dim[DFQI_DIM_P];
    n = parts_of(b, DFQI_DIM_N, part);
    for (int32_t i = 0; i < n; i++) {
        t->tile[DFQI_DIM_N] = part[i];
        if (part[i] > 1) add_tiles(b, t);
    }
}

static int by_traffic(const void *a, const void *b)
{
    const dfqi_tiling *x = a, *y = b;
    if (x->dram_bits != y->dram_bits) return x->dram_bits < y->dram_bits ? -1 : 1;
    for (int d = 0; d < DFQI_DIMS; d++)
        if (x->tile[d] != y->tile[d]) return x->tile[d] > y->tile[d] ? -1 : 1;
    return memcmp(&x->dram, &y->dram, sizeof x->dram);
}

/* What the tiles of each dimension hold together: the last may be empty in part, the array idle. */
typedef struct padding {
    int64_t dim[DFQI_DIMS];
} padding;

static padding pad(const dfqi_layer *l, const dfqi_tiling *t)
{
    padding p;
    for (int d = 0; d < DFQI_DIMS; d++)
        p.dim[d] = dfqi_ceil_div(l->dim[d], t->tile[d]) * t->tile[d];
    return p;
}

static bool inside(const dfqi_tiling *a, const padding *own, const dfqi_tiling *b,
                   const padding *other)
{
    for (int d = 0; d < DFQI_DIMS; d++)
        if (a->tile[d] > b->tile[d] || own->dim[d] < other->dim[d]) return false;
    return true;
}

/* Drops dominated tilings: another one has tiles as large in every dimension and as well filled,
 * and no more DRAM traffic. */
static dfq_status prune(dfq_context *ctx, const dfqi_layer *l, dfqi_tilings *s)
{
    padding *kept = dfqi_calloc(ctx, (size_t)s->n, sizeof *kept);
    int32_t n = 0;
    if (!kept) return DFQ_E_NOMEM;
    qsort(s->list, (size_t)s->n, sizeof *s->list, by_traffic);
    for (int32_t i = 0; i < s->n; i++) {
        const padding own = pad(l, &s->list[i]);
        int32_t k = 0;
        while (k < n && !inside(&s->list[i], &own, &s->list[k], &kept[k])) k++;
        if (k < n) continue;
        kept[n] = own;
        s->list[n++] = s->list[i];
    }
    s->n = n;
    dfqi_free(ctx, kept);
    return DFQ_OK;
}

/* Where whole units do not fit, parts of the array idle; where whole rows do not, parts of them. */
static void build(builder *b)
{
    static const int64_t ones[DFQI_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const dfqi_layer *l = &b->tiling_cache->layer;
    dfqi_tiling t = {.tile = {1, 1, 1, 1, 1, 1, l->dim[DFQI_DIM_R], l->dim[DFQI_DIM_S]}};
    int64_t part[DFQI_PARTS_MAX];
    int32_t n = dfqi_parts(l->dim[DFQI_DIM_Q], l->dim[DFQI_DIM_Q], part);
    for (int32_t i = 0; i < n; i++)
        for (int fine = 0; fine < 2; fine++) {
            memcpy(b->unit, fine ? ones : b->set.buffer.unit, sizeof b->unit);
            b->ins = parts_of(b, DFQI_DIM_C, b->in);
            b->outs = parts_of(b, b->tiling_cache->out, b->out);
            t.tile[DFQI_DIM_Q] = part[i];
            add_places(b, &t);
            if (b->set.n > 0 || b->status != DFQ_OK) return;
        }
}

/* -- the tiling cache -------------------------------------------------------------------------- */

dfqi_dim dfqi_tiling_out(const dfqi_layer *l)
{
    const bool depthwise = l->dim[DFQI_DIM_C] == 1 && l->dim[DFQI_DIM_M] == 1;
    return depthwise ? DFQI_DIM_G : DFQI_DIM_M;
}

void dfqi_tiling_cache_init(dfqi_tiling_cache *s, dfq_context *ctx, const dfqi_layer *l)
{
    *s = (dfqi_tiling_cache){.ctx = ctx, .layer = *l, .out = dfqi_tiling_out(l)};
}

void dfqi_tiling_cache_fini(dfqi_tiling_cache *s)
{
    for (int32_t i = 0; i < s->n; i++) dfqi_free(s->ctx, s->sets[i].list);
    dfqi_free(s->ctx, s->sets);
    s->sets = NULL;
    s->n = s->room = 0;
}

static bool same(const dfqi_buffer *a, const dfqi_buffer *b)
{
    return a->kb == b->kb && a->psum_bits == b->psum_bits && a->columns == b->columns &&
           memcmp(a->unit, b->unit, sizeof a->unit) == 0;
}

dfq_status dfqi_tiling_cache_get(dfqi_tiling_cache *s, const dfqi_buffer *buffer,
                                 const dfqi_tilings **out)
{
    for (int32_t i = s->n - 1; i >= 0; i--)
        if (same(&s->sets[i].buffer, buffer)) {
            *out = &s->sets[i];
            return DFQ_OK;
        }
    if (s->n == s->room) {
        int32_t room = s->room ? 2 * s->room : 8;
        dfqi_tilings *more = dfqi_realloc(s->ctx, s->sets, (size_t)room * sizeof *more);
        if (!more) return DFQ_E_NOMEM;
        s->sets = more;
        s->room = room;
    }
    builder b = {.tiling_cache = s,
                 .set.buffer = *buffer,
                 .bits = {dfqi_layer_stored(&s->layer, DFQI_W),
                          dfqi_layer_stored(&s->layer, DFQI_I), buffer->psum_bits}};
    build(&b);
    if (b.status == DFQ_OK && b.set.n > 0) b.status = prune(s->ctx, &s->layer, &b.set);
    if (b.status != DFQ_OK) {
        dfqi_free(s->ctx, b.set.list);
        return b.status;
    }
    s->sets[s->n] = b.set;
    *out = &s->sets[s->n++];
    return DFQ_OK;
}
