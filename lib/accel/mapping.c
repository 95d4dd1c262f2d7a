/* Access counts of a mapping (docs/METHODS.md, Counting). If all loop trips divide their
 * dimensions, the counts equal Timeloop's. Otherwise the last iteration idles in part, but only
 * words that exist are moved: tile sizes are those of the layer, not of the padded loops. */
#include "accel/mapping.h"

#include <math.h>
#include <string.h>

void dfqi_nest_add(dfqi_nest *nest, dfqi_dim d, int64_t trips)
{
    if (trips > 1 && nest->n < DFQI_LOOPS_MAX)
        nest->loop[nest->n++] = (dfqi_loop){(int32_t)d, (int32_t)trips};
}

static void multiply(const dfqi_nest *nest, double extent[DFQI_DIMS])
{
    for (int32_t i = 0; i < nest->n; i++) extent[nest->loop[i].dim] *= nest->loop[i].trips;
}

static double product(const dfqi_nest *nest)
{
    double p = 1;
    for (int32_t i = 0; i < nest->n; i++) p *= nest->loop[i].trips;
    return p;
}

/* What one instance of `level` covers of each dimension: loops of the level and inside. */
static void cover(const dfqi_mapping *m, int32_t level, double extent[DFQI_DIMS])
{
    for (int d = 0; d < DFQI_DIMS; d++) extent[d] = 1;
    for (int32_t i = level; i < m->n_levels; i++) multiply(&m->time[i], extent);
    if (level < m->fork) multiply(&m->space, extent);
}

dfq_status dfqi_mapping_check(dfq_context *ctx, const dfqi_layer *l, const dfqi_mapping *m)
{
    double extent[DFQI_DIMS];
    cover(m, 0, extent);
    for (int d = 0; d < DFQI_DIMS; d++)
        if (extent[d] < (double)l->dim[d])
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "mapping: the loops over %c cover %.0f of %lld; the product of their "
                             "trips must be %lld or more",
                             "GNCMPQRS"[d], extent[d], (long long)l -> dim[d],
                             (long long)l -> dim[d]);
    return DFQ_OK;
}

static bool relevant(int v, int d)
{
    static const uint8_t mask[DFQI_OPERANDS] = {
        [DFQI_W] =
            1 << DFQI_DIM_G | 1 << DFQI_DIM_C | 1 << DFQI_DIM_M | 1 << DFQI_DIM_R | 1 << DFQI_DIM_S,
        [DFQI_I] = 1 << DFQI_DIM_G | 1 << DFQI_DIM_N | 1 << DFQI_DIM_C | 1 << DFQI_DIM_P |
                   1 << DFQI_DIM_Q | 1 << DFQI_DIM_R | 1 << DFQI_DIM_S,
        [DFQI_O] = 1 << DFQI_DIM_G | 1 << DFQI_DIM_N | 1 << DFQI_DIM_M | 1 << DFQI_DIM_P |
                   1 << DFQI_DIM_Q};
    return (mask[v] >> d & 1) != 0;
}

bool dfqi_dim_relevant(dfqi_operand v, dfqi_dim d)
{
    return relevant((int)v, (int)d);
}

double dfqi_mapping_tile(const dfqi_layer *l, const dfqi_mapping *m, int32_t level, dfqi_operand v)
{
    double e[DFQI_DIMS], u = (double)l->stride;
    cover(m, level, e);
    for (int d = 0; d < DFQI_DIMS; d++)
        if (e[d] > (double)l->dim[d]) e[d] = (double)l->dim[d];
    if (v == DFQI_W)
        return e[DFQI_DIM_G] * e[DFQI_DIM_C] * e[DFQI_DIM_M] * e[DFQI_DIM_R] * e[DFQI_DIM_S];
    if (v == DFQI_O)
        return e[DFQI_DIM_G] * e[DFQI_DIM_N] * e[DFQI_DIM_M] * e[DFQI_DIM_P] * e[DFQI_DIM_Q];
    return e[DFQI_DIM_G] * e[DFQI_DIM_N] * e[DFQI_DIM_C] *
           dfqi_window_rows(e[DFQI_DIM_P], e[DFQI_DIM_R], u) *
           dfqi_window_rows(e[DFQI_DIM_Q], e[DFQI_DIM_S], u);
}

/* Loops outside of a level, as they affect the fills of one operand. */
typedef struct outside {
    double repeats; /* trips of loops that do not address the operand and are not stripped */
    int slide;      /* dimension along which a tile moves on with overlap: P, Q, or -1 */
    double trips;   /* of that loop */
} outside;

static void look_outside(const dfqi_nest time[], int32_t level, int v, outside *out)
{
    bool stripping = true, stripped = false;
    *out = (outside){.repeats = 1, .slide = -1};
    for (int32_t i = level - 1; i >= 0; i--) {
        const dfqi_nest *t = &time[i];
        for (int32_t k = t->n - 1; k >= 0; k--) {
            int d = t->loop[k].dim;
            if (relevant(v, d)) {
                if (stripping && !stripped && (d == DFQI_DIM_P || d == DFQI_DIM_Q)) {
                    out->slide = d;
                    out->trips = t->loop[k].trips;
                }
                stripping = false;
            } else if (stripping) {
                stripped = true;
            } else {
                out->repeats *= t->loop[k].trips;
            }
        }
    }
}

double dfqi_window_rows(double windows, double taps, double stride)
{
    return stride < taps ? (windows - 1) * stride + taps : windows * taps;
}

/* Rows (or columns) of the input that are moved when windows of `filter` at steps of `stride` are
 * cut into tiles of `tile` windows times `taps` taps: the sum of all tiles' rows. */
static double rows(double windows, double filter, double stride, double tile, double taps)
{
    double n_tiles = ceil(windows / tile), n_taps = ceil(filter / taps);
    if (stride >= taps) return windows * filter;
    return n_taps * stride * (windows - n_tiles) + n_tiles * filter;
}

/* Inputs moved for tiles of `extent`, multicast counted once; `o` as seen from them. */
static double input_words(const dfqi_layer *l, const double extent[DFQI_DIMS], const outside *o,
                          const double space[DFQI_DIMS])
{
    double u = (double)l->stride, axis[2];
    for (int k = 0; k < 2; k++) {
        int at = DFQI_DIM_P + k, tap = DFQI_DIM_R + k;
        double tile = extent[at];
        /* Overlapping tiles (halo): the next tile loads only inputs that this one does not have. */
        if (o->slide == at && space[at] == 1.0 && u * tile < (tile - 1) * u + extent[tap])
            tile *= o->trips;
        axis[k] = rows((double)l->dim[at], (double)l->dim[tap], u, tile, extent[tap]);
    }
    return (double)(l->dim[DFQI_DIM_G] * l->dim[DFQI_DIM_N] * l->dim[DFQI_DIM_C]) * axis[0] *
           axis[1] * o->repeats;
}

/* Products over the dimensions that do not address an operand, and over those that do. */
static double others(const double e[DFQI_DIMS], int v)
{
    if (v == DFQI_W) return e[DFQI_DIM_N] * e[DFQI_DIM_P] * e[DFQI_DIM_Q];
    if (v == DFQI_I) return e[DFQI_DIM_M];
    return e[DFQI_DIM_C] * e[DFQI_DIM_R] * e[DFQI_DIM_S];
}

static double whole(const dfqi_layer *l, int v)
{
    const int64_t *d = l->dim;
    const int64_t w = d[DFQI_DIM_C] * d[DFQI_DIM_R] * d[DFQI_DIM_S];
    return (double)(d[DFQI_DIM_G] * d[DFQI_DIM_M] *
                    (v == DFQI_W ? w : d[DFQI_DIM_N] * d[DFQI_DIM_P] * d[DFQI_DIM_Q]));
}

/* One operand from DRAM inwards. `copies`: how many instances of a level get each word, 1 outside
 * of the array and the trips of the spatial loops that do not address the operand inside. */
static void count_operand(const dfqi_layer *l, const dfqi_mapping *m, const double space[DFQI_DIMS],
                          int v, dfqi_counts *out)
{
    static const double flat[DFQI_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const double size = v == DFQI_I ? 0 : whole(l, v), inner_copies = others(space, v);
    double extent[DFQI_DIMS], copies = 1;
    int32_t parent = 0;
    for (int32_t i = 1; i < m->n_levels; i++) {
        if (!(m->keep[i] >> v & 1)) continue;
        bool inside = i >= m->fork, crossing = inside && parent < m->fork;
        double above = copies, moved, sent; /* moved into this level, read for it above */
        outside o;
        copies = inside ? inner_copies : 1;
        look_outside(m->time, i, v, &o);
        if (v == DFQI_I) {
            cover(m, i, extent);
            moved = sent = input_words(l, extent, &o, inside ? space : flat);
            if (crossing && m->diagonal) {
                multiply(&m->space, extent);
                sent = input_words(l, extent, &o, inside ? space : flat);
            }
        } else {
            moved = sent = size * o.repeats;
        }
        dfqi_access *here = &out->at[i][v], *up = &out->at[parent][v];
        if (v == DFQI_O) {
            here->fills = (moved - size) * copies;
            up->updates = moved * above;
            up->reads = (moved - size) * above;
        } else {
            here->fills = moved * copies;
            up->reads = sent * above;
        }
        if (crossing) out->delivered[v] = (v == DFQI_O ? 2 * moved - size : moved) * copies;
        parent = i;
    }
    dfqi_access *last = &out->at[parent][v];
    last->reads = out->macs - (v == DFQI_O ? size * copies : 0);
    if (v == DFQI_O) last->updates = out->macs;
}

void dfqi_mapping_count(const dfqi_layer *l, const dfqi_mapping *m, dfqi_counts *out)
{
    memset(out, 0, sizeof *out);
    out->cycles = 1;
    for (int32_t i = 0; i < m->n_levels; i++) out->cycles *= product(&m->time[i]);
    out->elements = product(&m->space);
    out->macs = dfqi_layer_macs(l);
    double space[DFQI_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    multiply(&m->space, space);
    for (int v = 0; v < DFQI_OPERANDS; v++) count_operand(l, m, space, v, out);
}

void dfqi_mapping_traffic(const dfqi_layer *l, const dfqi_nest *dram, const int64_t tile[DFQI_DIMS],
                          dfqi_access out[DFQI_OPERANDS])
{
    static const double flat[DFQI_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    double extent[DFQI_DIMS];
    for (int d = 0; d < DFQI_DIMS; d++) extent[d] = (double)tile[d];
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        const double size = v == DFQI_I ? 0 : whole(l, v);
        outside o;
        look_outside(dram, 1, v, &o);
        const double moved = v == DFQI_I ? input_words(l, extent, &o, flat) : size * o.repeats;
        out[v] = v == DFQI_O ? (dfqi_access){.reads = moved - size, .updates = moved}
                             : (dfqi_access){.reads = moved};
    }
}

static double rows_of(double words, double row_words, double instances)
{
    return row_words == 1.0 ? words : ceil(words / instances / row_words) * instances;
}

void dfqi_mapping_energy(const dfqi_mapping *m, const dfqi_counts *c, double cycles,
                         const dfqi_level_cost *cost, double *pj)
{
    for (int32_t i = 0; i < m->n_levels; i++) {
        double instances = i >= m->fork ? c->elements : 1, row = cost[i].row_words;
        pj[i] = cost[i].leak_pj * cycles * instances;
        for (int v = 0; v < DFQI_OPERANDS; v++) {
            const dfqi_access *a = &c->at[i][v];
            pj[i] += rows_of(a->reads, row, instances) * cost[i].read_pj[v] +
                     rows_of(a->fills, row, instances) * cost[i].fill_pj[v] +
                     rows_of(a->updates, row, instances) * cost[i].update_pj[v];
        }
    }
}
