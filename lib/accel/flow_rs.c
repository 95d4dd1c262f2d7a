/* Row-stationary mappings, generated as nn_dataflow does (docs/METHODS.md, Mappings). A processing
 * element convolves one filter row with one input row and produces one output row, so its register
 * file holds a window of S words of the input row. */
#include "accel/mapping_search_priv.h"

/* Maps filter rows to a column of elements (all of them if they fit), and output rows along x. Sets
 * the units of P and R. Returns the height that remains for channels and filters.
 * rows 0: as many output rows as there are. Those that do not fit along x use free height first,
 * then further passes. Else so many, and filters beside them. */
static int64_t lay_out(const dfqi_mapping_search *h, int64_t rows, int64_t unit[DFQI_DIMS])
{
    int64_t r = h->layer->dim[DFQI_DIM_R], p = h->layer->dim[DFQI_DIM_P];
    int64_t x = h->t->pe_x, y = h->t->pe_y;
    int64_t height = r > y ? 1 : y / r, strips = dfqi_ceil_div(p, x);
    int64_t stacked = rows ? 1 : dfqi_least(height, strips);
    for (int d = 0; d < DFQI_DIMS; d++) unit[d] = 1;
    unit[DFQI_DIM_R] = dfqi_ceil_div(r, dfqi_ceil_div(r, y));
    unit[DFQI_DIM_P] = rows ? rows : dfqi_ceil_div(p, dfqi_ceil_div(strips, stacked));
    return height / stacked;
}

/* The i-th way to have so many rows along x: it gives the i-th divisor of the free height to
 * channels, the rest to filters. False behind the last. */
static bool rows_way(const dfqi_mapping_search *h, int64_t rows, int32_t i, int64_t unit[DFQI_DIMS])
{
    const int64_t *dim = h->layer->dim;
    int64_t height = lay_out(h, rows, unit), part[DFQI_PARTS_MAX];
    int64_t width = h->t->pe_x > unit[DFQI_DIM_P] ? h->t->pe_x / unit[DFQI_DIM_P] : 1;
    int32_t n = 0;
    for (int64_t k = 1; k <= height; k++)
        if (height % k == 0) part[n++] = k;
    if (h->out == DFQI_DIM_G) {
        unit[DFQI_DIM_G] = dfqi_least(height * width, dim[DFQI_DIM_G]);
        return i == 0;
    }
    if (i >= n) return false;
    unit[DFQI_DIM_C] = dfqi_least(part[i], dim[DFQI_DIM_C]);
    unit[DFQI_DIM_M] = dfqi_least(height / part[i] * width, dim[DFQI_DIM_M]);
    return true;
}

/* All ways to have all rows, then those to have parts of them, the largest first. */
static dfqi_way rs_way(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS])
{
    int64_t rows[DFQI_PARTS_MAX], p = h->layer->dim[DFQI_DIM_P];
    int32_t n = dfqi_parts(p, dfqi_least(p - 1, h->t->pe_x / 2), rows);
    for (int32_t k = -1; k < n; k++) {
        int32_t ways = 0;
        while (rows_way(h, k < 0 ? 0 : rows[k], ways, unit)) {
            if (ways++ == i) return k < 0 ? DFQI_WAY : DFQI_WAY_IF_FASTER;
            if (h->out == DFQI_DIM_G) break;
        }
        i -= ways;
    }
    return DFQI_WAY_NONE;
}

/* Lengths of a tile's loops in time: channels, filters, strips, images. */
enum { IN, OUT, STRIPS, IMAGES, LOOPS };

typedef struct element {
    int64_t taps;        /* of a filter row that an element holds at a time */
    int64_t loop[LOOPS]; /* what its register file holds of each loop */
} element;

/* Fills the register file that channels and filters leave with strips, then images. False: no
 * room. */
static bool fill(const dfqi_mapping_search *h, const int64_t length[LOOPS], element *e)
{
    const double *bits = h->pricing.rf_bits;
    double taps = (double)e->taps, room = (double)h->t->rf_words * h->t->word_bits;
    int64_t part[DFQI_PARTS_MAX];
    room -= taps * (double)(e->loop[IN] * e->loop[OUT]) * bits[DFQI_W];
    /* A depthwise convolution's filters have an input channel each. */
    int64_t channels = e->loop[IN] * (h->out == DFQI_DIM_G ? e->loop[OUT] : 1);
    double each = taps * (double)channels * bits[DFQI_I] + (double)e->loop[OUT] * bits[DFQI_O];
    if (room < each) return false;
    int64_t n = room / each > 1e6 ? 1000000 : (int64_t)(room / each);
    dfqi_parts(length[STRIPS], n, part);
    e->loop[STRIPS] = part[0];
    dfqi_parts(length[IMAGES], part[0] < length[STRIPS] ? 1 : n / part[0], part);
    e->loop[IMAGES] = part[0];
    return true;
}

/* The three orders of the loops outside of the elements, by their innermost axis. */
static void try_element(dfqi_mapping_search *h, const dfqi_mapping *base,
                        const int64_t length[LOOPS], const element *e)
{
    const dfqi_dim dims[LOOPS] = {DFQI_DIM_C, h->out, DFQI_DIM_P, DFQI_DIM_N};
    int64_t outer[LOOPS];
    dfqi_mapping m = *base;
    dfqi_nest start = m.time[1];
    dfqi_nest_add(&m.time[2], DFQI_DIM_Q, h->tiling->tile[DFQI_DIM_Q]);
    for (int k = LOOPS - 1; k >= 0; k--) {
        dfqi_nest_add(&m.time[2], dims[k], e->loop[k]);
        outer[k] = dfqi_ceil_div(length[k], e->loop[k]);
    }
    dfqi_nest_add(&m.time[2], DFQI_DIM_S, e->taps);
    const bool moves[DFQI_AXES] = {outer[IN] > 1, outer[OUT] > 1,
                                   outer[STRIPS] * outer[IMAGES] > 1};
    for (int inner = 0; inner < DFQI_AXES; inner++) {
        if (!moves[inner] && (inner > 0 || moves[1] || moves[2])) continue;
        m.time[1] = start;
        for (int k = 1; k <= DFQI_AXES; k++) {
            int axis = (inner + k) % DFQI_AXES;
            if (axis == DFQI_AXIS_PLACE) dfqi_nest_add(&m.time[1], DFQI_DIM_N, outer[IMAGES]);
            dfqi_nest_add(&m.time[1], dims[axis], outer[axis]);
        }
        dfqi_mapping_search_try(h, &m);
    }
}

/* All register-file tiles of as many taps. False: none fits. */
static bool try_taps(dfqi_mapping_search *h, const dfqi_mapping *base, const int64_t length[LOOPS],
                     int64_t taps)
{
    int64_t in[DFQI_PARTS_MAX], out[DFQI_PARTS_MAX], room = h->t->rf_words * h->t->word_bits;
    dfqi_mapping m = *base;
    bool any = false;
    dfqi_nest_add(&m.time[1], DFQI_DIM_S, dfqi_ceil_div(h->tiling->tile[DFQI_DIM_S], taps));
    int32_t ins = dfqi_parts(length[IN], room, in), outs = dfqi_parts(length[OUT], room, out);
    for (int32_t i = 0; i < ins; i++)
        for (int32_t k = 0; k < outs; k++) {
            element e = {.taps = taps, .loop = {in[i], out[k], 1, 1}};
            if (!fill(h, length, &e)) continue;
            any = true;
            try_element(h, &m, length, &e);
        }
    return any;
}

static void rs_try(dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS])
{
    const int64_t *tile = h->tiling->tile;
    int64_t take[DFQI_DIMS], length[LOOPS], taps = tile[DFQI_DIM_S];
    dfqi_mapping m;
    dfqi_mapping_search_begin(h, &m);
    for (int d = 0; d < DFQI_DIMS; d++) {
        take[d] = dfqi_least(tile[d], unit[d]);
        dfqi_nest_add(&m.space, (dfqi_dim)d, take[d]);
    }
    dfqi_nest_add(&m.time[1], DFQI_DIM_R, dfqi_ceil_div(tile[DFQI_DIM_R], take[DFQI_DIM_R]));
    length[IN] = dfqi_ceil_div(tile[DFQI_DIM_C], take[DFQI_DIM_C]);
    length[OUT] = dfqi_ceil_div(tile[h->out], take[h->out]);
    length[STRIPS] = dfqi_ceil_div(tile[DFQI_DIM_P], take[DFQI_DIM_P]);
    length[IMAGES] = tile[DFQI_DIM_N];
    /* A row of taps that is too long for the register file is folded. */
    while (!try_taps(h, &m, length, taps) && taps > 1) taps = dfqi_ceil_div(taps, 2);
}

const dfqi_flow dfqi_flow_rs = {rs_way, rs_try};
