/* Weight-stationary and output-stationary mappings (docs/METHODS.md, Mappings). The register file
 * of an element holds weights (or partial sums); the other two operands pass through one register
 * each. The innermost loops alone can reuse the value of a single register, so few loop orders have
 * to be tried. */
#include "accel/mapping_search_priv.h"

/* What is left of a tile's dimensions on the way inwards. */
typedef struct cut {
    int64_t left[DFQI_DIMS];
} cut;

/* Spreads the tile over the array, `unit` steps of each dimension at most. */
static cut spread(const dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS], dfqi_mapping *m)
{
    cut c;
    dfqi_mapping_search_begin(h, m);
    for (int d = 0; d < DFQI_DIMS; d++) {
        int64_t n = dfqi_least(h->tiling->tile[d], unit[d]);
        dfqi_nest_add(&m->space, (dfqi_dim)d, n);
        c.left[d] = dfqi_ceil_div(h->tiling->tile[d], n);
    }
    return c;
}

/* Takes a part of at most `room` steps of a dimension out of what is left. */
static int64_t take(cut *c, dfqi_dim d, int64_t room)
{
    int64_t part[DFQI_PARTS_MAX];
    dfqi_parts(c->left[d], room, part);
    c->left[d] = dfqi_ceil_div(c->left[d], part[0]);
    return part[0];
}

/* What is left becomes loops of a level. */
static void rest(dfqi_mapping *m, int32_t level, const cut *c, const dfqi_dim *dims, int n)
{
    for (int i = 0; i < n; i++) dfqi_nest_add(&m->time[level], dims[i], c->left[dims[i]]);
}

static int64_t capacity(const dfqi_mapping_search *h, dfqi_operand v)
{
    int64_t words = (int64_t)((double)h->t->rf_words * h->t->word_bits / h->pricing.rf_bits[v]);
    return words > 0 ? words : 1;
}

static void no_unit(int64_t unit[DFQI_DIMS])
{
    for (int d = 0; d < DFQI_DIMS; d++) unit[d] = 1;
}

static const dfqi_dim weights[] = {DFQI_DIM_G, DFQI_DIM_C, DFQI_DIM_M, DFQI_DIM_R, DFQI_DIM_S};
static const dfqi_dim places[] = {DFQI_DIM_N, DFQI_DIM_P, DFQI_DIM_Q};
static const dfqi_dim outputs[] = {DFQI_DIM_G, DFQI_DIM_N, DFQI_DIM_M, DFQI_DIM_P, DFQI_DIM_Q};
static const dfqi_dim sums[] = {DFQI_DIM_C, DFQI_DIM_R, DFQI_DIM_S};

/* -- weight-stationary ------------------------------------------------------------------------- */

/* Filters along x and channels along y; depthwise: channels along x and taps along y. */
static dfqi_way ws_way(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS])
{
    const int64_t *dim = h->layer->dim, x = h->t->pe_x, y = h->t->pe_y;
    no_unit(unit);
    unit[h->out] = dfqi_least(dim[h->out], x);
    if (h->out == DFQI_DIM_G) {
        unit[DFQI_DIM_R] = dfqi_least(dim[DFQI_DIM_R], y);
        unit[DFQI_DIM_S] = dfqi_least(dim[DFQI_DIM_S], y / unit[DFQI_DIM_R]);
    } else {
        unit[DFQI_DIM_C] = dfqi_least(dim[DFQI_DIM_C], y);
    }
    return i == 0 ? DFQI_WAY : DFQI_WAY_NONE;
}

/* Uses of the register file: one tap of several filters (fewer input reads), taps and channels of
 * one filter (fewer partial sums), taps of several filters, or one weight at a time (fewer weight
 * reads). */
static void ws_try(dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS])
{
    enum { FILTERS, SUMS, TAPS, ONE, KINDS };
    int64_t room = capacity(h, DFQI_W);
    for (int kind = 0; kind < KINDS; kind++) {
        dfqi_mapping m;
        cut c = spread(h, unit, &m);
        int64_t in = 1, out = 1, r = 1, s = 1;
        if (kind == SUMS || kind == TAPS) {
            s = take(&c, DFQI_DIM_S, room);
            r = take(&c, DFQI_DIM_R, room / s);
        }
        if (kind == SUMS) in = take(&c, DFQI_DIM_C, room / s / r);
        if (kind == FILTERS || kind == TAPS) out = take(&c, h->out, room / s / r);
        rest(&m, 1, &c, weights, 5);
        rest(&m, 2, &c, places, 3);
        dfqi_nest_add(&m.time[2], h->out, out);
        dfqi_nest_add(&m.time[2], DFQI_DIM_C, in);
        dfqi_nest_add(&m.time[2], DFQI_DIM_R, r);
        dfqi_nest_add(&m.time[2], DFQI_DIM_S, s);
        dfqi_mapping_search_try(h, &m);
    }
}

/* -- output-stationary ------------------------------------------------------------------------- */

/* Filters (or depthwise channels) along x and pixels along y; columns along x and rows along y;
 * then fewer rows along y, which leave room for columns. */
static dfqi_way os_way(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS])
{
    const int64_t *dim = h->layer->dim, x = h->t->pe_x, y = h->t->pe_y;
    int64_t rows[DFQI_PARTS_MAX], p = dfqi_least(dim[DFQI_DIM_P], y);
    const bool columns = dim[DFQI_DIM_Q] > 1 && h->out != DFQI_DIM_G;
    no_unit(unit);
    unit[DFQI_DIM_P] = p;
    if (i == 1 && columns) {
        unit[DFQI_DIM_Q] = dfqi_least(dim[DFQI_DIM_Q], x);
        return DFQI_WAY;
    }
    if (i > 0) {
        int32_t n = dfqi_parts(dim[DFQI_DIM_P], dfqi_least(p - 1, y / 2), rows),
                k = i - 1 - columns;
        if (dim[DFQI_DIM_Q] == 1 || k >= n) return DFQI_WAY_NONE; /* columns take the room */
        unit[DFQI_DIM_P] = rows[k];
    }
    unit[h->out] = dfqi_least(dim[h->out], x);
    unit[DFQI_DIM_Q] = dfqi_least(dim[DFQI_DIM_Q], y / unit[DFQI_DIM_P]);
    return i == 0 ? DFQI_WAY : DFQI_WAY_IF_FASTER;
}

/* Uses of the register file: sums of several filters (inputs are reused), sums of several pixels
 * (weights are reused), of pixels and filters, or one sum at a time in its register. */
static void os_try(dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS])
{
    enum { FILTERS, PIXELS, BOTH, ONE, KINDS };
    int64_t room = capacity(h, DFQI_O);
    for (int kind = 0; kind < KINDS; kind++) {
        dfqi_mapping m;
        cut c = spread(h, unit, &m);
        int64_t part[3] = {1, 1, 1}, out = 1;
        if (kind == PIXELS || kind == BOTH) {
            part[2] = take(&c, DFQI_DIM_Q, room);
            part[1] = take(&c, DFQI_DIM_P, room / part[2]);
            part[0] = take(&c, DFQI_DIM_N, room / part[2] / part[1]);
        }
        if (kind == FILTERS || kind == BOTH)
            out = take(&c, h->out, room / part[2] / part[1] / part[0]);
        rest(&m, 1, &c, outputs, 5);
        rest(&m, 2, &c, sums, 3);
        dfqi_nest_add(&m.time[2], h->out, out);
        for (int k = 0; k < 3; k++) dfqi_nest_add(&m.time[2], places[k], part[k]);
        dfqi_mapping_search_try(h, &m);
    }
}

const dfqi_flow dfqi_flow_ws = {ws_way, ws_try};
const dfqi_flow dfqi_flow_os = {os_way, os_try};
