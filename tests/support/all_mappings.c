/* Exhaustive search over mappings (all_mappings.h). Splits of all dimensions are enumerated, one
 * dimension after the other. Of a split the cycles of the array are known, which bounds its value
 * before any order of its loops is tried. */
#include "support/all_mappings.h"

#include <math.h>
#include <string.h>

enum { DRAM, BUFFER, SPACE, FILE_LEVEL, PLACES };
enum { SPLITS_MAX = 4096 };

typedef struct split {
    int32_t trips[PLACES];
} split;

typedef struct job {
    const dfqi_layer *l;
    const dfqi_accel_config *t;
    dfqi_pricing pricing;
    int aim;
    int64_t most;
    dfqt_best_mapping *best;
    double macs, fixed_pj, least_bits;
    int32_t n[DFQI_DIMS];
    split splits[DFQI_DIMS][SPLITS_MAX];
    const split *at[DFQI_DIMS]; /* those of the mapping being made */
    bool too_many;
} job;

double dfqt_mapping_value(const dfqi_cost *c, int aim)
{
    return aim == DFQT_ENERGY    ? c->total_pj
           : aim == DFQT_LATENCY ? c->cycles
                                 : c->total_pj * c->cycles;
}

/* -- splits of one dimension ------------------------------------------------------------------- */

static bool is_depthwise(const dfqi_layer *l)
{
    return l->dim[DFQI_DIM_C] == 1 && l->dim[DFQI_DIM_M] == 1;
}

/* May loops over a dimension be laid out in space? */
static bool in_space(const job *j, int d)
{
    static const char *const dims[DFQI_FLOW_COUNT][2] = {
        {"CM", "GRS"}, {"MPQ", "GPQ"}, {"RPCM", "RPG"}};
    return strchr(dims[j->t->dataflow][is_depthwise(j->l)], "GNCMPQRS"[d]) != NULL;
}

/* Trips from DRAM inwards, each the fewest that cover what is left of the dimension. */
static void add_splits(job *j, int d, int place, int64_t left, split *s)
{
    if (place == FILE_LEVEL) {
        s->trips[place] = (int32_t)left;
        if (j->n[d] < SPLITS_MAX) j->splits[d][j->n[d]++] = *s;
        return;
    }
    for (int64_t k = 1; k <= left; k++) {
        int64_t rest = (left + k - 1) / k;
        if ((left + rest - 1) / rest != k) continue;
        if (place == SPACE && k > 1 && !in_space(j, d)) break;
        s->trips[place] = (int32_t)k;
        add_splits(j, d, place + 1, rest, s);
    }
}

/* -- what fits --------------------------------------------------------------------------------- */

static double trips(const job *j, int place, const char *dims)
{
    double p = 1;
    for (; *dims; dims++) p *= j->at[strchr("GNCMPQRS", *dims) - "GNCMPQRS"]->trips[place];
    return p;
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Does the array hold the loops in space? As flow_*.c lay them out, in any other measure. */
static bool fits_array(const job *j)
{
    const int64_t x = j->t->pe_x, y = j->t->pe_y;
    const int64_t out = (int64_t)trips(j, SPACE, "GM"), in = (int64_t)trips(j, SPACE, "C");
    const int64_t p = (int64_t)trips(j, SPACE, "P"), q = (int64_t)trips(j, SPACE, "Q");
    const int64_t rows = j->l->dim[DFQI_DIM_R]; /* lie along y, or equal folds of them */
    const int64_t r = (int64_t)trips(j, SPACE, "R"), s = (int64_t)trips(j, SPACE, "S");
    if (j->t->dataflow == DFQI_FLOW_WS) return out <= x && in * r * s <= y;
    if (j->t->dataflow == DFQI_FLOW_OS)
        return (out <= x && p * q <= y) || (out == 1 && q <= x && p <= y && !is_depthwise(j->l));
    return r == up(rows, up(rows, y)) && r * in * up(p, x) * up(out, p < x ? x / p : 1) <= y;
}

/* Register files hold what stays (docs/METHODS.md, Mappings). */
static bool fits_file(const job *j)
{
    const double *bits = j->pricing.rf_bits, room = (double)j->t->rf_words * j->t->word_bits;
    const double w = trips(j, FILE_LEVEL, "GCMRS") * bits[DFQI_W];
    if (j->t->dataflow == DFQI_FLOW_WS) return w <= fmax(room, bits[DFQI_W]);
    if (j->t->dataflow == DFQI_FLOW_OS)
        return trips(j, FILE_LEVEL, "GNMPQ") * bits[DFQI_O] <= fmax(room, bits[DFQI_O]);
    return w + trips(j, FILE_LEVEL, "GNCPRS") * bits[DFQI_I] +
               trips(j, FILE_LEVEL, "GNMP") * bits[DFQI_O] <=
           room;
}

static bool fits_buffer(const job *j, const dfqi_mapping *m)
{
    double bits = 0;
    for (int v = 0; v < DFQI_OPERANDS; v++)
        bits += dfqi_mapping_tile(j->l, m, 1, (dfqi_operand)v) * j->pricing.bits[v];
    return bits <= j->t->glb_kb * 8192;
}

/* -- orders ------------------------------------------------------------------------------------ */

/* Only the innermost loops of a memory change what is moved: all that do not address one operand,
 * and of those that slide over inputs the last. */
enum { SUMS, FILTERS, ROWS, COLUMNS, ORDERS };
static const char *const orders[ORDERS] = {"GNPQMCRS", "GNPQCRSM", "GCRSMNQP", "GCRSMNPQ"};
static const char *const innermost[ORDERS] = {"CRS", "M", "P", "Q"};

/* False: an order that another one is as good as. */
static bool order(const job *j, int place, int which, dfqi_nest *nest)
{
    const bool any = trips(j, place, "NCMPQRS") > 1;
    if (any ? trips(j, place, innermost[which]) == 1 : which > 0) return false;
    nest->n = 0;
    for (const char *d = orders[which]; *d; d++) {
        int dim = (int)(strchr("GNCMPQRS", *d) - "GNCMPQRS");
        dfqi_nest_add(nest, (dfqi_dim)dim, j->at[dim]->trips[place]);
    }
    return true;
}

static void try_orders(job *j, dfqi_mapping *m)
{
    for (int a = 0; a < ORDERS; a++) {
        if (!order(j, DRAM, a, &m->time[0])) continue;
        for (int b = 0; b < ORDERS; b++) {
            if (!order(j, BUFFER, b, &m->time[1])) continue;
            for (int c = 0; c < ORDERS; c++) {
                dfqi_cost cost;
                if (!order(j, FILE_LEVEL, c, &m->time[2])) continue;
                dfqi_cost_mapping(j->l, &j->pricing, m, &cost);
                j->best->tried++;
                double value = dfqt_mapping_value(&cost, j->aim);
                if (value >= j->best->value) continue;
                j->best->value = value;
                j->best->mapping = *m;
            }
        }
    }
}

/* -- all splits -------------------------------------------------------------------------------- */

/* Of all mappings whose array takes so many cycles at least. */
static double bound(const job *j, double cycles)
{
    const double elements = (double)j->t->pe_x * j->t->pe_y, rate = j->pricing.rate;
    const double least =
        fmax(fmax(cycles, j->macs / elements) / rate, j->least_bits / j->pricing.dram_bits);
    const double pj = j->fixed_pj + j->pricing.static_pj * least;
    return j->aim == DFQT_ENERGY ? pj : j->aim == DFQT_LATENCY ? least : pj * least;
}

static void leaf(job *j)
{
    dfqi_mapping m;
    if (!fits_array(j) || !fits_file(j)) return;
    dfqi_mapping_levels(j->t, &m);
    for (int d = 0; d < DFQI_DIMS; d++)
        dfqi_nest_add(&m.space, (dfqi_dim)d, j->at[d]->trips[SPACE]);
    order(j, FILE_LEVEL, SUMS, &m.time[2]);
    if (m.time[2].n == 0)
        for (int d = 0; d < DFQI_DIMS; d++)
            dfqi_nest_add(&m.time[2], (dfqi_dim)d, j->at[d]->trips[FILE_LEVEL]);
    for (int d = 0; d < DFQI_DIMS; d++)
        dfqi_nest_add(&m.time[1], (dfqi_dim)d, j->at[d]->trips[BUFFER]);
    if (!fits_buffer(j, &m)) return;
    try_orders(j, &m);
    if (j->best->tried > j->most) j->too_many = true;
}

static void enumerate(job *j, int d, double cycles, double elements)
{
    if (d == DFQI_DIMS) {
        leaf(j);
        return;
    }
    for (int32_t i = 0; i < j->n[d] && !j->too_many; i++) {
        const split *s = j->at[d] = &j->splits[d][i];
        double taken = elements * s->trips[SPACE];
        double time = cycles * s->trips[DRAM] * s->trips[BUFFER] * s->trips[FILE_LEVEL];
        if (taken > (double)j->t->pe_x * j->t->pe_y || bound(j, time) >= j->best->value) continue;
        enumerate(j, d + 1, time, taken);
    }
}

static void set_bounds(job *j)
{
    const dfqi_pricing *p = &j->pricing;
    const dfqi_level_cost *inner = j->t->dataflow == DFQI_FLOW_RS ? &p->level[2] : &p->level[3];
    const double w = dfqi_layer_words(j->l, DFQI_W), o = dfqi_layer_words(j->l, DFQI_O);
    const double i = dfqi_layer_words(j->l, DFQI_I);
    j->macs = dfqi_layer_macs(j->l);
    j->least_bits = w * p->bits[DFQI_W] + i * p->bits[DFQI_I] + o * p->output_bits;
    j->fixed_pj = j->macs * (p->mac_pj + inner->read_pj[DFQI_W] + inner->read_pj[DFQI_I] +
                             inner->update_pj[DFQI_O]) +
                  j->least_bits * p->dram_pj + w * p->level[1].read_pj[DFQI_W] +
                  o * p->level[1].update_pj[DFQI_O];
}

bool dfqt_best_mapping_of(const dfqi_layer *l, const dfqi_accel_config *t, int aim, double known,
                          int64_t most, dfqt_best_mapping *out)
{
    static job j; /* large */
    memset(&j, 0, sizeof j);
    j.l = l;
    j.t = t;
    j.aim = aim;
    j.most = most;
    j.best = out;
    *out = (dfqt_best_mapping){.value = known};
    dfqi_pricing_of(l, t, &j.pricing);
    set_bounds(&j);
    for (int d = 0; d < DFQI_DIMS; d++) {
        split s;
        add_splits(&j, d, DRAM, l->dim[d], &s);
        if (j.n[d] == SPLITS_MAX) return false;
    }
    enumerate(&j, 0, 1, 1);
    return !j.too_many;
}
