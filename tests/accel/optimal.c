/* The mapping search against the best of all mappings, on small layers. studies/mappings.c does it
 * on more of them. */
#include "accel/mapping_search.h"

#include <math.h>

#include "accel/cases.h"
#include "support/small_layers.h"

enum { LAYERS = 10, MOST = 100000 };

/* How far above the least energy x latency; below 0: no mapping fits, or there are too many. */
static double gap_of(dfq_context *ctx, const dfqt_small *s)
{
    dfqi_search_cache cache;
    dfqt_best_mapping best;
    dfqi_mapping m;
    dfqi_cost c;
    dfqi_search_cache_init(&cache, ctx, &s->layer);
    dfq_status status = dfqi_search_mapping(&cache, "layer", &s->t, DFQI_LEAST_EDP, &c, &m);
    dfqi_search_cache_fini(&cache);
    if (status != DFQ_OK) return -1;
    const double found = dfqt_mapping_value(&c, DFQT_EDP);
    if (!dfqt_best_mapping_of(&s->layer, &s->t, DFQT_EDP, found * 1.0001, MOST, &best)) return -1;
    /* the mapping that was found is one of all */
    ck_assert_int_gt(best.tried, 0);
    ck_assert_double_le(best.value, found * (1 + 1e-9));
    return found / best.value - 1;
}

START_TEST(test_gap)
{
    dfq_context *ctx = dfqt_context(1);
    double sum = 0;
    int n = 0, flows[DFQI_FLOW_COUNT] = {0};
    for (uint64_t i = 0; n < LAYERS; i++) {
        dfqt_small s;
        ck_assert(dfqt_small_layer(ctx, 1, i, &s));
        double gap = gap_of(ctx, &s);
        if (gap < 0) continue;
        ck_assert_double_le(gap, 0.1);
        sum += fmax(gap, 0);
        flows[s.t.dataflow]++;
        n++;
    }
    ck_assert_double_le(sum / n, 0.03);
    for (int f = 0; f < DFQI_FLOW_COUNT; f++) ck_assert_int_gt(flows[f], 0);
    dfq_context_release(ctx);
}
END_TEST

/* Layers whose best tiles are not the largest that fit: those would leave part of the array, or of
 * the register files, empty. */
START_TEST(test_filled)
{
    static const uint64_t layers[] = {51, 745, 1311, 1668, 101, 565, 1532, 1892, 3419};
    dfq_context *ctx = dfqt_context(1);
    dfqt_small s;
    ck_assert(dfqt_small_layer(ctx, 1, layers[_i], &s));
    const double gap = gap_of(ctx, &s);
    ck_assert_double_ge(gap, 0);
    ck_assert_double_le(gap, 0.015);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_optimal_case(void)
{
    TCase *c = tcase_create("optimal");
    tcase_add_test(c, test_gap);
    tcase_add_loop_test(c, test_filled, 0, 9);
    return c;
}
