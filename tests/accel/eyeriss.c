/* The row-stationary mapper against Eyeriss, with the figures of nn_dataflow's tests: V1 is the
 * energy breakdown of AlexNet in ISCA 2016, Fig. 10, V2 the chip's latencies and powers of JSSC
 * 2017, Table V. */
#include <math.h>

#include "accel/cases.h"
#include "accel/mapping_search.h"

typedef struct reference {
    const char *name;
    int64_t c, m, p, k, stride, groups; /* of one group */
    /* V1, in 1e9 multiplications' energy */
    double alu, dram, glb, noc, rf, cycles, utilization;
    /* V2 */
    double chip_ms, chip_mw, ms, mw;
} reference;

static const reference layers[] = {
    {"conv1", 3, 48, 55, 11, 4, 2, 1.69, 2.46, .0737, .193, 6.75, 11151360, .591, 16.5, 332, 13.94,
     222},
    {"conv2", 48, 128, 27, 5, 1, 2, 3.58, 2.27, .0681, .214, 14.33, 26542080, .527, 39.2, 288,
     33.18, 197},
    {"conv3", 256, 192, 13, 3, 1, 2, 2.39, 2.02, .0606, .242, 9.57, 12460032, .750, 21.8, 266,
     19.17, 223},
    {"conv4", 192, 192, 13, 3, 1, 2, 1.79, 1.57, .0470, .183, 7.18, 9345024, .750, 16.0, 235, 14.38,
     224},
    {"conv5", 192, 128, 13, 3, 1, 2, 1.20, 1.05, .0314, .122, 4.78, 6230016, .750, 10.0, 236, 9.58,
     224},
    {"fc1", 256, 4096, 1, 6, 1, 1, .60, 7.78, .334, .352, 2.42, 3145728, .750, 0, 0, 0, 0},
    {"fc2", 4096, 4096, 1, 1, 1, 1, .27, 3.39, .102, .101, 1.07, 1048576, 1.0, 0, 0, 0, 0},
    {"fc3", 4096, 1000, 1, 1, 1, 1, .07, .84, .0251, .0250, .26, 262144, .977, 0, 0, 0, 0}};

enum { LAYERS = sizeof layers / sizeof *layers, CONVS = 5 };

static void cost_of(dfq_context *ctx, const char *preset, const reference *r, int64_t batch,
                    dfqi_cost *out, double *utilization)
{
    dfqi_accel_space s;
    dfqi_accel_config t;
    dfqi_search_cache cache;
    dfqi_layer l = {.dim = {1, batch, r->c, r->m, r->p, r->p, r->k, r->k},
                    .stride = r->stride,
                    .bits = {16, 16, 16}};
    ck_assert_msg(dfqi_accel_space_load(ctx, preset, &s) == DFQ_OK, "%s", ctx->error);
    dfqi_accel_space_config(&s, 0, &t);
    dfqi_search_cache_init(&cache, ctx, &l);
    ck_assert_int_eq(dfqi_search_mapping(&cache, r->name, &t, DFQI_LEAST_ENERGY, out, NULL),
                     DFQ_OK);
    *utilization = dfqi_cost_utilization(out, &l, &t);
    dfqi_search_cache_fini(&cache);
}

/* Within the bar of 0.1, and in fact to the last printed digit but for what a sum's first addition
 * reads, which the reference counts and we do not, and for rows that only padding has. */
static void near(const reference *r, const char *what, double got, double figure, double off)
{
    ck_assert_msg(fabs(got - figure) <= off, "%s: %s is %g, should be %g", r->name, what, got,
                  figure);
}

START_TEST(test_v1)
{
    dfq_context *ctx = dfqt_context(1);
    for (int i = 0; i < LAYERS; i++) {
        const reference *r = &layers[i];
        double n = (double)r->groups / 1e9, utilization;
        dfqi_cost c;
        cost_of(ctx, "eyeriss-isca16", r, 16, &c, &utilization);
        near(r, "ALU", c.pj[DFQI_PART_MAC] * n, r->alu, 0.0051);
        near(r, "DRAM", c.pj[DFQI_PART_DRAM] * n, r->dram, 0.0251);
        near(r, "GLB", c.pj[DFQI_PART_GLB] * n, r->glb, 0.001);
        near(r, "NoC", c.pj[DFQI_PART_NOC] * n, r->noc, 0.003);
        near(r, "RF", c.pj[DFQI_PART_RF] * n, r->rf, 0.1);
        near(r, "utilization", utilization, r->utilization, 0.0006);
        ck_assert_double_eq(c.cycles * (double)r->groups, r->cycles);
    }
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_v2)
{
    dfq_context *ctx = dfqt_context(1);
    for (int i = 0; i < CONVS; i++) {
        const reference *r = &layers[i];
        double utilization;
        dfqi_cost c;
        cost_of(ctx, "eyeriss-chip", r, 4, &c, &utilization);
        double ms = c.cycles * (double)r->groups / 200e3;
        double mw = (c.total_pj - c.pj[DFQI_PART_DRAM]) * (double)r->groups / ms * 1e-6;
        near(r, "ms", ms, r->ms, 0.0051);
        near(r, "mW", mw, r->mw, 1.3);
        ck_assert(ms >= 0.8 * r->chip_ms && ms <= r->chip_ms);
        ck_assert(mw >= 0.6 * r->chip_mw && mw <= r->chip_mw);
    }
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_eyeriss_case(void)
{
    TCase *c = tcase_create("eyeriss");
    tcase_add_test(c, test_v1);
    tcase_add_test(c, test_v2);
    return c;
}
