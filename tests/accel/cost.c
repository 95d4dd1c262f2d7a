/* What a mapping's accesses cost, by hand from its counts; what bounds its latency. */
#include "accel/cost.h"

#include <math.h>

#include "accel/cases.h"

static const dfqi_layer layer = {
    .dim = {1, 1, 64, 32, 16, 1, 1, 1}, .stride = 1, .bits = {4, 8, 6}};

/* Weights in the elements, sums that go to DRAM and come back, an array of 4 x 8. */
static void map(const dfqi_accel_config *t, dfqi_mapping *m)
{
    dfqi_mapping_levels(t, m);
    dfqi_nest_add(&m->time[0], DFQI_DIM_C, 2);
    dfqi_nest_add(&m->time[0], DFQI_DIM_M, 2);
    dfqi_nest_add(&m->time[1], DFQI_DIM_C, 4);
    dfqi_nest_add(&m->time[1], DFQI_DIM_M, 4);
    dfqi_nest_add(&m->time[1], DFQI_DIM_P, 16);
    dfqi_nest_add(&m->space, DFQI_DIM_M, 4);
    dfqi_nest_add(&m->space, DFQI_DIM_C, 8);
}

/* Every price is another one. */
static const dfqi_accel_config machine = {.pe_x = 16,
                                          .pe_y = 16,
                                          .rf_words = 64,
                                          .dataflow = DFQI_FLOW_WS,
                                          .word_bits = 16,
                                          .psum_bits = 24,
                                          .float_bits = 16,
                                          .glb_kb = 64,
                                          .clock_mhz = 200,
                                          .dram_gb_per_s = 3.2,
                                          .glb_gb_per_s = 25.6,
                                          .price = {.mac_pj = 3,
                                                    .rf_pj = 5,
                                                    .rf_fill_pj = 7,
                                                    .reg_pj = 11,
                                                    .noc_pj = 13,
                                                    .glb_read_pj = 17,
                                                    .glb_write_pj = 19,
                                                    .glb_fill_pj = 23,
                                                    .dram_pj = 29,
                                                    .static_mw = 31}};

static void cost_of(const dfqi_accel_config *t, dfqi_counts *n, dfqi_cost *out)
{
    dfqi_mapping m;
    dfqi_pricing p;
    map(t, &m);
    dfqi_mapping_count(&layer, &m, n);
    dfqi_pricing_of(&layer, t, &p);
    dfqi_cost_mapping(&layer, &p, &m, out);
}

START_TEST(test_prices)
{
    static const double share[DFQI_OPERANDS] = {4 / 16.0, 8 / 16.0, 24 / 16.0};
    dfqi_counts n;
    dfqi_cost c;
    double rf = 0, reg = 0, noc = 0, glb = 0;
    cost_of(&machine, &n, &c);
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        const dfqi_access *g = &n.at[1][v], *r = &n.at[2][v], *l = &n.at[3][v];
        glb += share[v] * (17 * g->reads + 23 * g->fills + 19 * g->updates);
        rf += share[v] * (5 * (r->reads + r->updates) + 7 * r->fills);
        reg += share[v] * 11 * (l->reads + l->updates + l->fills);
        noc += share[v] * 13 * n.delivered[v];
    }
    /* sums go to DRAM and back once, outputs leave at their own width */
    double words = 32 * 16, bits = 64 * 32 * 4 + 64 * 16 * 8 + words * (2 * 24 + 6);
    ck_assert(n.at[1][DFQI_O].updates > 0 && n.at[2][DFQI_W].fills > 0 && rf > 0 && reg > 0);
    ck_assert_double_eq(c.dram_bytes * 8, bits);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_DRAM], bits / 16 * 29, 1e-6);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_GLB], glb, 1e-6);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_RF], rf + reg, 1e-6);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_NOC], noc, 1e-6);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_MAC], 3.0 * 64 * 32 * 16, 1e-6);
}
END_TEST

/* The slowest of array, DRAM and buffer; static power lasts as long. */
START_TEST(test_latency)
{
    for (int slow = 0; slow < 3; slow++) {
        dfqi_accel_config t = machine;
        dfqi_counts n;
        dfqi_cost c;
        t.dram_gb_per_s = slow == 1 ? 0.01 : 1000;
        t.glb_gb_per_s = slow == 2 ? 0.01 : 1000;
        cost_of(&t, &n, &c);
        const double bounds[3] = {c.compute_cycles, c.dram_cycles, c.glb_cycles};
        for (int k = 0; k < 3; k++) ck_assert_int_eq(bounds[k] == c.cycles, k == slow);
        ck_assert_double_eq(c.compute_cycles, 2 * 4 * 8 * 16);
        ck_assert_double_eq_tol(c.dram_cycles * t.dram_gb_per_s * 40, c.dram_bytes * 8, 1e-6);
        ck_assert_double_eq_tol(c.pj[DFQI_PART_STATIC], 31e-3 * c.cycles / 200e6 * 1e12,
                                1e-9 * c.total_pj);
    }
}
END_TEST

TCase *dfqt_cost_case(void)
{
    TCase *c = tcase_create("cost");
    tcase_add_test(c, test_prices);
    tcase_add_test(c, test_latency);
    return c;
}
