/* Fused attention: one case worked out by hand, what must hold for every one, and the tiling that
 * is found against the best of all. */
#include "accel/fused_attention.h"

#include <math.h>
#include <string.h>

#include "accel/cases.h"
#include "accel/mapping_search_priv.h"
#include "base/rng.h"

typedef struct pair {
    dfqi_layer of[DFQI_PRODUCTS];
    double cycles, pj; /* apart */
    double dram_bytes;
} pair;

static void search_apart(dfq_context *ctx, const dfqi_accel_config *t, pair *p)
{
    p->cycles = p->pj = p->dram_bytes = 0;
    for (int k = 0; k < DFQI_PRODUCTS; k++) {
        dfqi_search_cache cache;
        dfqi_cost c;
        dfqi_search_cache_init(&cache, ctx, &p->of[k]);
        ck_assert_msg(dfqi_search_mapping(&cache, "product", t, DFQI_LEAST_EDP, &c, NULL) == DFQ_OK,
                      "%s", ctx->error);
        dfqi_search_cache_fini(&cache);
        p->cycles += c.cycles;
        p->pj += c.total_pj;
        p->dram_bytes += c.dram_bytes;
    }
}

static bool fuse(const pair *p, const dfqi_accel_config *t, dfqi_fused *out)
{
    return dfqi_fuse_attention(&p->of[DFQI_SCORES], &p->of[DFQI_VALUES], t, p->cycles, p->pj, out);
}

/* -- by hand ----------------------------------------------------------------------------------- */

/* A head of 4 queries, 4 keys of 2 channels, all words of 16 bits, on 2 x 2 elements that keep
 * weights, 4 words each.
 *
 *                      scores                          values
 *   loops              M 4, C 2, P 4                   M 2, C 4, P 4
 *   array              M 2 x C 2                       M 2 x C 2
 *   register file      M 2: a query is read once       C 2: a sum is added up in its register
 *   cycles             32 products / 4                 32 products / 4
 *   DRAM, words        8 queries + 8 keys              8 values + 8 results
 *   buffer             fills 8 + 8, reads 8 + 8,       fills 8, reads 16 (map) + 8,
 *                      16 scores                       8 results
 *
 * Apart, 16 scores go to DRAM, and 16 words of the map come from there into the buffer. */
START_TEST(test_by_hand)
{
    dfq_context *ctx = dfqt_context(1);
    const dfqi_prices price = {
        .mac_pj = 1, .glb_read_pj = 1, .glb_write_pj = 1, .glb_fill_pj = 1, .dram_pj = 10};
    const dfqi_accel_config t = {.pe_x = 2,
                                 .pe_y = 2,
                                 .rf_words = 4,
                                 .dataflow = DFQI_FLOW_WS,
                                 .word_bits = 16,
                                 .psum_bits = 16,
                                 .float_bits = 16,
                                 .fused_attention = 1,
                                 .glb_kb = 64,
                                 .clock_mhz = 100,
                                 .dram_gb_per_s = 1000,
                                 .glb_gb_per_s = 1000,
                                 .price = price};
    pair p = {.of = {{.dim = {1, 1, 2, 4, 4, 1, 1, 1}, .stride = 1, .bits = {16, 16, 16}},
                     {.dim = {1, 1, 4, 2, 4, 1, 1, 1}, .stride = 1, .bits = {16, 16, 16}}}};
    dfqi_fused f;
    search_apart(ctx, &t, &p);
    ck_assert_double_eq(p.cycles, 16);
    ck_assert_double_eq(p.dram_bytes, 2 * (16 + 16 + 16 + 16));
    ck_assert_double_eq(p.pj, 64 + (48 + 40 + 16) + 10 * 64);
    ck_assert(fuse(&p, &t, &f));
    ck_assert_double_eq(f.cost[DFQI_SCORES].cycles, 8);
    ck_assert_double_eq(f.cost[DFQI_SCORES].dram_bytes, 2 * 16);
    ck_assert_double_eq(f.cost[DFQI_SCORES].pj[DFQI_PART_GLB], 48);
    ck_assert_double_eq(f.cost[DFQI_SCORES].total_pj, 32 + 48 + 160);
    ck_assert_double_eq(f.cost[DFQI_VALUES].cycles, 8);
    ck_assert_double_eq(f.cost[DFQI_VALUES].dram_bytes, 2 * 16);
    ck_assert_double_eq(f.cost[DFQI_VALUES].pj[DFQI_PART_GLB], 40);
    ck_assert_double_eq(f.cost[DFQI_VALUES].total_pj, 32 + 40 + 160);
    dfqi_context_release(ctx);
}
END_TEST

/* -- every one --------------------------------------------------------------------------------- */

static int64_t between(dfqi_rng *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)dfqi_rng_below(r, (uint32_t)(hi - lo + 1));
}

static void draw(dfqi_rng *r, dfq_context *ctx, pair *p, dfqi_accel_config *t)
{
    static const int32_t bits[] = {2, 4, 8, 16}, side[] = {2, 3, 4, 6};
    static const double kb[] = {0.0625, 0.125, 0.25, 0.5, 2};
    const int64_t heads = between(r, 1, 2), rows = between(r, 3, 20), keys = between(r, 3, 20);
    const int64_t depth = between(r, 2, 8), width = between(r, 2, 8);
    dfqi_accel_space s;
    *p = (pair){.of = {{.dim = {heads, 1, depth, keys, rows, 1, 1, 1}, .stride = 1},
                       {.dim = {heads, 1, keys, width, rows, 1, 1, 1}, .stride = 1}}};
    for (int k = 0; k < DFQI_PRODUCTS; k++)
        for (int v = 0; v < DFQI_OPERANDS; v++) p->of[k].bits[v] = bits[dfqi_rng_below(r, 4)];
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, t);
    t->pe_x = side[dfqi_rng_below(r, 4)];
    t->pe_y = side[dfqi_rng_below(r, 4)];
    t->rf_words = 8;
    t->dataflow = (int32_t)dfqi_rng_below(r, DFQI_FLOW_COUNT);
    t->glb_kb = kb[dfqi_rng_below(r, 5)];
}

static int64_t trips(const dfqi_mapping *m, dfqi_dim d)
{
    for (int32_t i = 0; i < m->time[0].n; i++)
        if (m->time[0].loop[i].dim == (int32_t)d) return m->time[0].loop[i].trips;
    return 1;
}

static const dfqi_dim inner[DFQI_PRODUCTS] = {DFQI_DIM_M, DFQI_DIM_C};

/* Bits that the buffer holds during a product at least, with as many tiles as the mappings have. */
static double filled(const pair *p, const dfqi_accel_config *t, const dfqi_fused *f, int k)
{
    const dfqi_layer *l = &p->of[k], *other = &p->of[1 - k];
    const int64_t *dim = l->dim, blocks = trips(&f->mapping[k], DFQI_DIM_P);
    const double keys = (double)dim[inner[k]],
                 rows = ceil((double)dim[DFQI_DIM_P] / (double)blocks);
    const double part = ceil(keys / (double)trips(&f->mapping[k], inner[k]));
    const double depth = (double)dim[k == DFQI_SCORES ? DFQI_DIM_C : DFQI_DIM_M];
    double bits = part * depth * l->bits[DFQI_W];
    if (k == DFQI_SCORES)
        bits += rows *
                (depth * l->bits[DFQI_I] + part * t->psum_bits + (keys - part) * l->bits[DFQI_O]);
    else
        bits += rows * (depth * t->psum_bits + keys * l->bits[DFQI_I]);
    /* what the other product finds again for the next rows */
    if (blocks > 1 && trips(&f->mapping[1 - k], inner[1 - k]) == 1)
        bits +=
            dfqi_layer_words(other, DFQI_W) / (double)other->dim[DFQI_DIM_G] * other->bits[DFQI_W];
    return bits;
}

/* DRAM has all operands but scores and map, keys and values once for each tile of rows unless they
 * stay: less than the same mappings take apart, by the score matrix. */
static void check_traffic(const pair *p, const dfqi_accel_config *t, const dfqi_fused *f)
{
    const dfqi_operand held[] = {DFQI_O, DFQI_I}, other[] = {DFQI_I, DFQI_O};
    for (int k = 0; k < DFQI_PRODUCTS; k++) {
        const dfqi_layer *l = &p->of[k];
        const double blocks = (double)trips(&f->mapping[k], DFQI_DIM_P);
        const double times = trips(&f->mapping[k], inner[k]) > 1 ? blocks : 1;
        double bits = dfqi_layer_words(l, DFQI_W) * l->bits[DFQI_W] * times +
                      dfqi_layer_words(l, other[k]) * l->bits[other[k]];
        dfqi_pricing apart;
        dfqi_cost c;
        ck_assert_double_eq_tol(f->cost[k].dram_bytes * 8, bits, 1e-6);
        dfqi_pricing_of(l, t, &apart);
        dfqi_cost_mapping(l, &apart, &f->mapping[k], &c);
        bits = dfqi_layer_words(l, held[k]) * l->bits[held[k]];
        ck_assert_double_eq_tol((c.dram_bytes - f->cost[k].dram_bytes) * 8, bits, 1e-6);
        ck_assert_double_ge(c.cycles, f->cost[k].cycles);
    }
}

/* -- the best of all --------------------------------------------------------------------------- */

static dfqi_cost map_part(const pair *p, const dfqi_accel_config *t, int k, int64_t rows,
                          int64_t part)
{
    const dfqi_layer *l = &p->of[k];
    const int64_t *dim = l->dim;
    dfqi_mapping_search h = dfqi_mapping_search_of(l, DFQI_DIM_M, t, DFQI_LEAST_EDP);
    dfqi_tiling tiling = {.tile = {1, 1, dim[DFQI_DIM_C], dim[DFQI_DIM_M], rows, 1, 1, 1}};
    tiling.tile[inner[k]] = part;
    dfqi_nest_add(&tiling.dram, DFQI_DIM_G, dim[DFQI_DIM_G]);
    dfqi_nest_add(&tiling.dram, DFQI_DIM_P, dfqi_ceil_div(dim[DFQI_DIM_P], rows));
    dfqi_nest_add(&tiling.dram, inner[k], dfqi_ceil_div(dim[inner[k]], part));
    h.pricing.held = k == DFQI_SCORES ? 1 << DFQI_O : 1 << DFQI_I;
    dfqi_mapping_search_tiling(&h, &tiling);
    return h.best;
}

enum { KEYS = 20 };

/* The least energy x latency over all numbers of rows, keys and values in a tile; infinity: none
 * that fits is better than apart. */
static double best_of_all(const pair *p, const dfqi_accel_config *t)
{
    const dfqi_layer *s = &p->of[DFQI_SCORES], *v = &p->of[DFQI_VALUES];
    const int64_t rows = s->dim[DFQI_DIM_P], keys = s->dim[DFQI_DIM_M];
    const double depth = (double)s->dim[DFQI_DIM_C], width = (double)v->dim[DFQI_DIM_M];
    const double key = depth * s->bits[DFQI_W], value = width * v->bits[DFQI_W];
    double best = INFINITY;
    for (int64_t r = 1; r <= rows; r++) {
        dfqi_cost cost[DFQI_PRODUCTS][KEYS + 1];
        for (int k = 0; k < DFQI_PRODUCTS; k++)
            for (int64_t n = 1; n <= keys; n++) cost[k][n] = map_part(p, t, k, r, n);
        for (int64_t n = 1; n <= keys; n++)
            for (int64_t m = 1; m <= keys; m++) {
                const bool stays = r < rows;
                const double scores =
                    (double)r * (depth * s->bits[DFQI_I] + (double)n * t->psum_bits +
                                 (double)(keys - n) * s->bits[DFQI_O]);
                const double map =
                    (double)r * (width * t->psum_bits + (double)keys * v->bits[DFQI_I]);
                const double first =
                    scores + (double)n * key + (stays && m == keys ? (double)keys * value : 0);
                const double second =
                    map + (double)m * value + (stays && n == keys ? (double)keys * key : 0);
                const double cycles = cost[0][n].cycles + cost[1][m].cycles;
                const double pj = cost[0][n].total_pj + cost[1][m].total_pj;
                if (fmax(first, second) > t->glb_kb * 8192) continue;
                if (!(cost[0][n].total_pj > 0) || !(cost[1][m].total_pj > 0)) continue;
                if (cycles > p->cycles || pj > p->pj || pj * cycles >= p->pj * p->cycles) continue;
                best = fmin(best, pj * cycles);
            }
    }
    return best;
}

typedef struct seen {
    int fused, apart, missed, whole, resident, parts;
    double gap;
} seen;

static void look(const pair *p, const dfqi_accel_config *t, seen *n)
{
    dfqi_fused f;
    const double best = best_of_all(p, t);
    if (!fuse(p, t, &f)) {
        n->missed += !isinf(best);
        n->apart++;
        return;
    }
    const double cycles = dfqi_fused_cycles(&f), pj = dfqi_fused_pj(&f);
    ck_assert_double_le(cycles, p->cycles);
    ck_assert_double_le(pj, p->pj);
    ck_assert_double_lt(pj * cycles, p->pj * p->cycles);
    ck_assert_double_ge(pj * cycles, best * (1 - 1e-9));
    n->gap += pj * cycles / best - 1;
    n->fused++;
    for (int k = 0; k < DFQI_PRODUCTS; k++)
        ck_assert_double_le(filled(p, t, &f, k), t->glb_kb * 8192 + 1e-6);
    check_traffic(p, t, &f);
    const bool once = trips(&f.mapping[0], DFQI_DIM_P) == 1;
    const bool some = trips(&f.mapping[0], inner[0]) > 1 || trips(&f.mapping[1], inner[1]) > 1;
    n->whole += once && !some;
    n->resident += !once && !some;
    n->parts += some;
}

START_TEST(test_every_one)
{
    enum { PAIRS = 600 };
    dfq_context *ctx = dfqt_context(1);
    dfqi_rng r = dfqi_rng_make(17, 0);
    seen n = {0};
    for (int i = 0; i < PAIRS; i++) {
        pair p;
        dfqi_accel_config t;
        draw(&r, ctx, &p, &t);
        search_apart(ctx, &t, &p);
        look(&p, &t, &n);
    }
    ck_assert_msg(n.gap / n.fused < 0.005, "%g above the best on average", n.gap / n.fused);
    ck_assert_int_le(n.missed, PAIRS / 100); /* fused would be better, and was not found */
    ck_assert_msg(n.apart > 5 && n.whole > 5 && n.resident > 5 && n.parts > 5, "%d %d %d %d",
                  n.apart, n.whole, n.resident, n.parts);
    dfqi_context_release(ctx);
}
END_TEST

/* An accelerator that cannot, and a buffer that does not hold a row of scores. */
START_TEST(test_apart)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_rng r = dfqi_rng_make(18, 0);
    dfqi_accel_config t;
    dfqi_fused f;
    pair p;
    draw(&r, ctx, &p, &t);
    t.glb_kb = 16;
    search_apart(ctx, &t, &p);
    ck_assert(fuse(&p, &t, &f));
    t.fused_attention = 0;
    ck_assert(!fuse(&p, &t, &f));
    t.fused_attention = 1;
    for (int k = 0; k < DFQI_PRODUCTS; k++) p.of[k].dim[inner[k]] = 4000;
    t.glb_kb = 4;
    search_apart(ctx, &t, &p);
    ck_assert(!fuse(&p, &t, &f));
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_fused_attention_case(void)
{
    TCase *c = tcase_create("fused attention");
    tcase_add_test(c, test_by_hand);
    tcase_add_test(c, test_every_one);
    tcase_add_test(c, test_apart);
    return c;
}
