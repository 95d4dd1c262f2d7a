/* Mapping search. Tilings are tried in the order of their DRAM traffic. The search ends when a
 * lower bound, the cost of that traffic plus what every mapping pays, exceeds the best cost
 * found. */
#include "accel/mapping_search.h"

#include <math.h>
#include <string.h>

#include "accel/mapping_search_priv.h"

void dfqi_mapping_search_begin(const dfqi_mapping_search *h, dfqi_mapping *m)
{
    dfqi_mapping_levels(h->t, m);
    m->time[0] = h->tiling->dram;
}

double dfqi_mapping_score(dfqi_objective objective, double pj, double cycles)
{
    return objective == DFQI_LEAST_EDP ? pj * cycles : pj;
}

void dfqi_mapping_search_try(dfqi_mapping_search *h, const dfqi_mapping *m)
{
    dfqi_cost c;
    dfqi_cost_mapping(h->layer, &h->pricing, m, &c);
    if (c.cycles > h->most) return;
    double score = dfqi_mapping_score(h->objective, c.total_pj, c.cycles);
    if (score < h->score || (score == h->score && c.cycles < h->best.cycles)) {
        h->best = c;
        h->score = score;
        h->mapping = *m;
    }
}

/* Cycles of the array if it takes so many steps of each dimension at a time. */
static double array_cycles(const dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS])
{
    double steps = 1;
    for (int d = 0; d < DFQI_DIMS; d++) steps *= (double)dfqi_ceil_div(h->layer->dim[d], unit[d]);
    return steps / h->pricing.rate;
}

/* Lower bound of the score of all mappings with so many cycles and this much DRAM traffic. */
static double bound(const dfqi_mapping_search *h, double cycles, double dram_bits)
{
    const dfqi_pricing *p = &h->pricing;
    double macs = dfqi_layer_macs(h->layer);
    cycles = fmax(cycles, dram_bits / p->dram_bits);
    double pj = macs * p->mac_pj + dram_bits * p->dram_pj + cycles * p->static_pj;
    /* each product reads its weight and its input somewhere inside, and adds to a sum */
    const dfqi_level_cost *level = h->t->dataflow == DFQI_FLOW_RS ? &p->level[2] : &p->level[3];
    pj += macs * (level->read_pj[DFQI_W] + level->read_pj[DFQI_I] + level->update_pj[DFQI_O]);
    pj += dfqi_layer_words(h->layer, DFQI_W) * p->level[1].read_pj[DFQI_W] +
          dfqi_layer_words(h->layer, DFQI_O) * p->level[1].update_pj[DFQI_O];
    return dfqi_mapping_score(h->objective, pj, cycles);
}

/* Bits that every mapping moves to and from DRAM. */
static double least_traffic(const dfqi_mapping_search *h)
{
    const dfqi_pricing *p = &h->pricing;
    return dfqi_layer_words(h->layer, DFQI_W) * p->bits[DFQI_W] +
           dfqi_layer_words(h->layer, DFQI_I) * p->bits[DFQI_I] +
           dfqi_layer_words(h->layer, DFQI_O) * p->output_bits;
}

dfqi_mapping_search dfqi_mapping_search_of(const dfqi_layer *l, dfqi_dim out,
                                           const dfqi_accel_config *t, dfqi_objective objective)
{
    dfqi_mapping_search h = {.layer = l,
                             .t = t,
                             .out = out,
                             .objective = objective,
                             .score = INFINITY,
                             .most = INFINITY};
    dfqi_pricing_of(h.layer, t, &h.pricing);
    return h;
}

static dfqi_mapping_search search_of(const dfqi_search_cache *n, const dfqi_accel_config *t,
                                     dfqi_objective objective)
{
    return dfqi_mapping_search_of(&n->tiling_cache.layer, n->tiling_cache.out, t, objective);
}

/* -- one array --------------------------------------------------------------------------------- */

static const dfqi_flow *const flows[DFQI_FLOW_COUNT] = {&dfqi_flow_ws, &dfqi_flow_os,
                                                        &dfqi_flow_rs};

/* Improves h->best by the mappings that the whole array takes. */
static dfq_status search_array(dfqi_tiling_cache *tiling_cache, dfqi_mapping_search *h)
{
    const dfqi_flow *flow = flows[h->t->dataflow];
    const bool published = h->objective == DFQI_LEAST_ENERGY;
    dfqi_buffer buffer = {.kb = h->t->glb_kb, .psum_bits = h->t->psum_bits, .columns = !published};
    const double least_bits = least_traffic(h);
    double fastest = INFINITY;
    dfqi_way way;
    for (int32_t i = 0; (way = flow->way(h, i, buffer.unit)) != DFQI_WAY_NONE; i++) {
        const dfqi_tilings *tilings;
        double cycles = array_cycles(h, buffer.unit);
        if (way == DFQI_WAY_IF_FASTER && (published || cycles >= fastest)) continue;
        fastest = fmin(fastest, cycles);
        if (cycles > h->most || bound(h, cycles, least_bits) > h->score) continue;
        DFQI_TRY(dfqi_tiling_cache_get(tiling_cache, &buffer, &tilings));
        for (int32_t k = 0; k < tilings->n; k++) {
            h->tiling = &tilings->list[k];
            if (bound(h, cycles, h->tiling->dram_bits) > h->score) break;
            flow->try_all(h, buffer.unit);
        }
    }
    return DFQ_OK;
}

bool dfqi_mapping_search_unit(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS])
{
    return flows[h->t->dataflow]->way(h, i, unit) != DFQI_WAY_NONE;
}

double dfqi_mapping_least_cycles(const dfqi_layer *l, const dfqi_accel_config *t)
{
    const dfqi_dim out = dfqi_tiling_out(l);
    double least = INFINITY;
    for (int32_t x = 1; x <= t->pe_x; x++)
        for (int32_t y = 1; y <= t->pe_y && t->pe_x % x == 0; y++) {
            dfqi_accel_config part = *t;
            int64_t unit[DFQI_DIMS];
            if (t->pe_y % y != 0) continue;
            part.pe_x = x;
            part.pe_y = y;
            const dfqi_mapping_search h = dfqi_mapping_search_of(l, out, &part, DFQI_LEAST_EDP);
            for (int32_t i = 0; dfqi_mapping_search_unit(&h, i, unit); i++)
                least = fmin(least, array_cycles(&h, unit));
        }
    return least;
}

void dfqi_mapping_search_tiling(dfqi_mapping_search *h, const dfqi_tiling *tiling)
{
    const dfqi_flow *flow = flows[h->t->dataflow];
    int64_t unit[DFQI_DIMS];
    double fastest = INFINITY;
    dfqi_way way;
    h->tiling = tiling;
    for (int32_t i = 0; (way = flow->way(h, i, unit)) != DFQI_WAY_NONE; i++) {
        const double cycles = array_cycles(h, unit);
        if (way == DFQI_WAY_IF_FASTER && cycles >= fastest) continue;
        fastest = fmin(fastest, cycles);
        if (bound(h, cycles, tiling->dram_bits) <= h->score) flow->try_all(h, unit);
    }
}

/* -- arrays and their parts -------------------------------------------------------------------- */

typedef struct dfqi_solved {
    dfqi_accel_config t;
    dfqi_cost cost;
    dfqi_mapping mapping;
    double score;
} solved;

static bool same(const dfqi_accel_config *a, const dfqi_accel_config *b)
{
    return a->pe_x == b->pe_x && a->pe_y == b->pe_y && a->rf_words == b->rf_words &&
           a->dataflow == b->dataflow && a->pe == b->pe && a->glb_kb == b->glb_kb;
}

static dfq_status remember(dfqi_search_cache *n, const dfqi_mapping_search *h)
{
    if (n->n == n->room) {
        int32_t room = n->room ? 2 * n->room : 16;
        solved *more = dfqi_realloc(n->tiling_cache.ctx, n->solved, (size_t)room * sizeof *more);
        if (!more) return DFQ_E_NOMEM;
        n->solved = more;
        n->room = room;
    }
    n->solved[n->n++] = (solved){*h->t, h->best, h->mapping, h->score};
    return DFQ_OK;
}

static dfq_status solve(dfqi_search_cache *n, const dfqi_accel_config *t, solved *out);

/* The best of the arrays with a prime factor fewer columns or rows; the fastest one bounds the
 * latency. */
static dfq_status solve_parts(dfqi_search_cache *n, dfqi_mapping_search *h)
{
    for (int along = 0; along < 2; along++) {
        int32_t length = along ? h->t->pe_y : h->t->pe_x, rest = length;
        for (int32_t f = 2; rest > 1; f++) {
            if (f * f > rest) f = rest;
            if (rest % f != 0) continue;
            while (rest % f == 0) rest /= f;
            dfqi_accel_config part = *h->t;
            solved s;
            *(along ? &part.pe_y : &part.pe_x) = length / f;
            DFQI_TRY(solve(n, &part, &s));
            if (s.cost.cycles < h->most || (s.cost.cycles == h->most && s.score < h->score)) {
                h->most = s.cost.cycles;
                h->best = s.cost;
                h->score = s.score;
                h->mapping = s.mapping;
            }
        }
    }
    return DFQ_OK;
}

static dfq_status solve(dfqi_search_cache *n, const dfqi_accel_config *t, solved *out)
{
    for (int32_t i = n->n - 1; i >= 0; i--)
        if (same(&n->solved[i].t, t)) {
            *out = n->solved[i];
            return DFQ_OK;
        }
    dfqi_mapping_search h = search_of(n, t, DFQI_LEAST_EDP);
    DFQI_TRY(solve_parts(n, &h));
    DFQI_TRY(search_array(&n->tiling_cache, &h));
    DFQI_TRY(remember(n, &h));
    *out = n->solved[n->n - 1];
    return DFQ_OK;
}

dfq_status dfqi_search_mapping(dfqi_search_cache *cache, const char *name,
                               const dfqi_accel_config *t, dfqi_objective objective, dfqi_cost *out,
                               dfqi_mapping *mapping)
{
    solved s = {.score = INFINITY};
    if (objective == DFQI_LEAST_EDP) {
        DFQI_TRY(solve(cache, t, &s));
    } else {
        dfqi_mapping_search h = search_of(cache, t, objective);
        DFQI_TRY(search_array(&cache->tiling_cache, &h));
        s = (solved){*t, h.best, h.mapping, h.score};
    }
    if (isinf(s.score))
        return dfqi_fail(
            cache->tiling_cache.ctx, DFQ_E_INFEASIBLE,
            "%s: no mapping fits; glb_kb is %g and must hold one filter of one channel with its "
            "inputs, rf_words is %lld and must hold one word of each operand; make them larger",
            name, t->glb_kb, (long long)t->rf_words);
    *out = s.cost;
    if (mapping) *mapping = s.mapping;
    return DFQ_OK;
}

void dfqi_search_cache_init(dfqi_search_cache *n, dfq_context *ctx, const dfqi_layer *l)
{
    memset(n, 0, sizeof *n);
    dfqi_tiling_cache_init(&n->tiling_cache, ctx, l);
}

void dfqi_search_cache_fini(dfqi_search_cache *n)
{
    dfqi_free(n->tiling_cache.ctx, n->solved);
    dfqi_tiling_cache_fini(&n->tiling_cache);
    memset(n, 0, sizeof *n);
}
