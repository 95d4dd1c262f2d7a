/* What must hold for every layer: nothing moves less than it must, and more elements are not slower
 * where dimensions divide. */
#include "accel/mapping_search.h"

#include "accel/cases.h"
#include "base/rng.h"

enum { LAYERS = 10000, PIECES = 10 };

static int64_t pick(dfqi_rng *r, const int64_t *from, uint32_t n)
{
    return from[dfqi_rng_below(r, n)];
}

/* Convolutions, depthwise and grouped ones, products: dimensions that 4, 8 and 16 divide. */
static dfqi_layer random_layer(dfqi_rng *r, bool divides)
{
    static const int64_t wide[] = {16, 32, 48, 64, 96, 128, 256}, side[] = {16, 32, 48, 64},
                         taps[] = {1, 3, 5, 7}, bits[] = {2, 3, 4, 6, 8, 16};
    int64_t odd = divides ? 0 : (int64_t)dfqi_rng_below(r, 16);
    int64_t k = pick(r, taps, 4), p = pick(r, side, 4) - odd, c = pick(r, wide, 7) - odd;
    int64_t m = pick(r, wide, 7) - odd;
    dfqi_layer l = {.dim = {1, 1, c, m, p, p, k, k}, .stride = 1 + dfqi_rng_below(r, 2)};
    switch (dfqi_rng_below(r, 4)) {
    case 0:
        l.dim[DFQI_DIM_G] = c;
        l.dim[DFQI_DIM_C] = l.dim[DFQI_DIM_M] = 1;
        break;
    case 1:
        l.dim[DFQI_DIM_G] = 1 + dfqi_rng_below(r, 4);
        break;
    case 2:
        l.stride = l.dim[DFQI_DIM_Q] = l.dim[DFQI_DIM_R] = l.dim[DFQI_DIM_S] = 1;
        break;
    default:
        break;
    }
    for (int v = 0; v < DFQI_OPERANDS; v++) l.bits[v] = (int32_t)pick(r, bits, 6);
    return l;
}

/* The short count of DRAM accesses is that of a mapping of DRAM and buffer alone. */
static void check_traffic(const dfqi_layer *l, const dfqi_mapping *m)
{
    dfqi_mapping two = {.n_levels = 2, .fork = 2, .keep = {7, 7}, .time = {m->time[0]}};
    int64_t tile[DFQI_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    dfqi_access at[DFQI_OPERANDS];
    dfqi_counts n;
    for (int32_t i = 1; i < m->n_levels; i++)
        for (int32_t k = 0; k < m->time[i].n; k++)
            tile[m->time[i].loop[k].dim] *= m->time[i].loop[k].trips;
    for (int32_t k = 0; k < m->space.n; k++) tile[m->space.loop[k].dim] *= m->space.loop[k].trips;
    for (int d = 0; d < DFQI_DIMS; d++) dfqi_nest_add(&two.time[1], (dfqi_dim)d, tile[d]);
    dfqi_mapping_count(l, &two, &n);
    dfqi_mapping_traffic(l, &m->time[0], tile, at);
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        ck_assert_double_eq(at[v].reads, n.at[0][v].reads);
        ck_assert_double_eq(at[v].updates, n.at[0][v].updates);
    }
}

static void cost_of(dfqi_search_cache *s, const dfqi_accel_config *t, dfqi_cost *out)
{
    dfqi_mapping m;
    dfqi_counts n;
    ck_assert_int_eq(dfqi_search_mapping(s, "layer", t, DFQI_LEAST_EDP, out, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_mapping_check(s->tiling_cache.ctx, &s->tiling_cache.layer, &m), DFQ_OK);
    dfqi_mapping_count(&s->tiling_cache.layer, &m, &n);
    double least = 0;
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        double words = dfqi_layer_words(&s->tiling_cache.layer, (dfqi_operand)v);
        const dfqi_access *a = &n.at[0][v];
        ck_assert_double_ge((v == DFQI_O ? a->updates : a->reads), words);
        least += words * s->tiling_cache.layer.bits[v];
    }
    ck_assert_double_ge(out->dram_bytes * 8, least);
    ck_assert_double_le(n.elements, t->pe_x * t->pe_y);
    ck_assert_double_ge(out->compute_cycles * t->pe_x * t->pe_y, n.macs);
    ck_assert_double_ge(out->cycles, out->compute_cycles);
    ck_assert_double_ge(out->compute_cycles, dfqi_mapping_least_cycles(&s->tiling_cache.layer, t));
    check_traffic(&s->tiling_cache.layer, &m);
}

static dfqi_accel_config random_config(dfqi_rng *r, dfq_context *ctx)
{
    static const int64_t rf[] = {3, 4, 8, 16, 32, 64}, kb[] = {16, 64, 108, 256};
    dfqi_accel_space s;
    dfqi_accel_config t;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    s.glb_kb = (dfqi_values){1, {(double)pick(r, kb, 4)}};
    s.rf_words = (dfqi_values){1, {(double)pick(r, rf, 6)}};
    s.dataflow = (dfqi_values){1, {dfqi_rng_below(r, DFQI_FLOW_COUNT)}};
    dfqi_accel_space_config(&s, 0, &t);
    return t;
}

START_TEST(test_random_layers)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_rng r = dfqi_rng_make(4, (uint64_t)_i);
    static const int32_t side[] = {4, 8, 16, 32};
    for (int i = 0; i < LAYERS / PIECES; i++) {
        bool divides = i % 2 == 0;
        dfqi_layer l = random_layer(&r, divides);
        dfqi_accel_config t = random_config(&r, ctx);
        dfqi_search_cache s;
        dfqi_cost small, wide, tall;
        uint32_t x = dfqi_rng_below(&r, 3), y = dfqi_rng_below(&r, 3);
        dfqi_search_cache_init(&s, ctx, &l);
        t.pe_x = side[x];
        t.pe_y = side[y];
        cost_of(&s, &t, &small);
        if (divides) {
            t.pe_x = side[x + 1];
            cost_of(&s, &t, &wide);
            t.pe_x = side[x];
            t.pe_y = side[y + 1];
            cost_of(&s, &t, &tall);
            ck_assert_double_le(wide.cycles, small.cycles);
            ck_assert_double_le(tall.cycles, small.cycles);
        }
        dfqi_search_cache_fini(&s);
    }
    dfqi_context_release(ctx);
}
END_TEST

/* A register file of few words is no reason to leave elements idle; one that does not hold a word
 * of each operand fits no rows. */
START_TEST(test_tiny_register_file)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_layer l = {.dim = {1, 1, 32, 32, 16, 16, 3, 3}, .stride = 1, .bits = {16, 16, 16}};
    dfqi_accel_space s;
    dfqi_accel_config t;
    dfqi_search_cache n;
    dfqi_cost small, large;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, &t);
    dfqi_search_cache_init(&n, ctx, &l);
    t.dataflow = _i;
    t.rf_words = _i == DFQI_FLOW_RS ? 3 : 1;
    t.pe_x = t.pe_y = 4;
    cost_of(&n, &t, &small);
    t.pe_x = t.pe_y = 16;
    cost_of(&n, &t, &large);
    ck_assert_double_le(large.compute_cycles, small.compute_cycles / 8);
    t.rf_words = 2;
    ck_assert_int_eq(dfqi_search_mapping(&n, "layer", &t, DFQI_LEAST_EDP, &large, NULL),
                     _i == DFQI_FLOW_RS ? DFQ_E_INFEASIBLE : DFQ_OK);
    dfqi_search_cache_fini(&n);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_search_case(void)
{
    TCase *c = tcase_create("search");
    tcase_add_loop_test(c, test_tiny_register_file, 0, DFQI_FLOW_COUNT);
    tcase_add_loop_test(c, test_random_layers, 0, PIECES);
    return c;
}
