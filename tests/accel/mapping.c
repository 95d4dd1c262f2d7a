/* Access counts, cycles and energy of four mappings whose Timeloop outputs are public (in
 * timeloop-accelergy-exercises), to the last count and the last printed digit. */
#include "accel/mapping.h"

#include <stdio.h>
#include <string.h>

#include "accel/cases.h"

/* "P8 Q2 M4" */
static dfqi_nest nest(const char *text)
{
    dfqi_nest n = {0};
    char dim;
    int trips, used;
    while (sscanf(text, " %c%d%n", &dim, &trips, &used) == 2) {
        dfqi_nest_add(&n, (dfqi_dim)(strchr("GNCMPQRS", dim) - "GNCMPQRS"), trips);
        text += used;
    }
    return n;
}

enum { BIT_W = 1, BIT_I = 2, BIT_O = 4, ALL = 7 };
enum { DRAM, GLB, ROW3, ROW4, ROW5, ROW6 };

/* problems D and V */
static const dfqi_layer strided = {.dim = {1, 1, 3, 32, 112, 112, 3, 3}, .stride = 2};
static const dfqi_layer deep = {.dim = {1, 1, 128, 256, 56, 56, 3, 3}, .stride = 1};

/* Eyeriss-like: DRAM, GLB (inputs and outputs), then in each element one memory for each
 * operand. */
static dfqi_mapping eyeriss(const char *dram, const char *glb, const char *space, const char *w,
                            const char *o)
{
    return (dfqi_mapping){.n_levels = 5,
                          .fork = 2,
                          .keep = {ALL, BIT_I | BIT_O, BIT_I, BIT_W, BIT_O},
                          .time = {nest(dram), nest(glb), {0}, nest(w), nest(o)},
                          .space = nest(space)};
}

/* Simple designs: DRAM, GLB, a memory of each element for one operand, three registers. */
static dfqi_mapping simple(int glb_keeps, int keeps, const char *dram, const char *glb,
                           const char *space, const char *spad, const char *reg)
{
    return (dfqi_mapping){.n_levels = 6,
                          .fork = 2,
                          .keep = {ALL, (uint8_t)glb_keeps, (uint8_t)keeps, BIT_W, BIT_I, BIT_O},
                          .time = {nest(dram), nest(glb), nest(spad), nest(reg)},
                          .space = nest(space)};
}

static dfqi_mapping t1(void)
{
    return eyeriss("P8 Q2 M4", "P14 Q4", "Q14 C3 S3", "R3", "M8");
}

static dfqi_mapping t2(void)
{
    return eyeriss("Q4 C4 P7 M4", "M2 C4 P8", "Q14 M4 S3", "R3 C8", "M8");
}

static dfqi_mapping t3(void)
{
    return simple(ALL, BIT_W, "Q14", "S3 P2 M8", "M4 C3", "R3 Q2 P2", "P28 Q4");
}

static dfqi_mapping t4(void)
{
    return simple(BIT_W | BIT_I, BIT_O, "P2 Q8 M2", "Q14 R3", "M16", "C3 P4 S3", "P14");
}

static void is(const dfqi_access *a, double instances, double reads, double fills, double updates)
{
    ck_assert_double_eq(a->reads, reads * instances);
    ck_assert_double_eq(a->fills, fills * instances);
    ck_assert_double_eq(a->updates, updates * instances);
}

START_TEST(test_t1)
{
    dfqi_counts c;
    dfqi_mapping m = t1();
    dfqi_mapping_count(&strided, &m, &c);
    ck_assert_double_eq(c.macs, 10838016);
    ck_assert_double_eq(c.cycles, 86016);
    ck_assert_double_eq(c.elements, 126);
    is(&c.at[DRAM][DFQI_W], 1, 13824, 0, 0);
    is(&c.at[DRAM][DFQI_I], 1, 157296, 0, 0);
    is(&c.at[DRAM][DFQI_O], 1, 0, 0, 401408);
    is(&c.at[GLB][DFQI_W], 1, 0, 0, 0);
    is(&c.at[GLB][DFQI_I], 1, 1354752, 157296, 0);
    is(&c.at[GLB][DFQI_O], 1, 0, 0, 401408);
    is(&c.at[ROW3][DFQI_I], 126, 86016, 10752, 0);
    is(&c.at[ROW4][DFQI_W], 126, 86016, 1536, 0);
    is(&c.at[ROW5][DFQI_O], 126, 57344, 0, 86016);
}
END_TEST

START_TEST(test_t2)
{
    dfqi_counts c;
    dfqi_mapping m = t2();
    dfqi_mapping_count(&deep, &m, &c);
    ck_assert_double_eq(c.macs, 924844032);
    ck_assert_double_eq(c.cycles, 5505024);
    ck_assert_double_eq(c.elements, 168);
    is(&c.at[DRAM][DFQI_W], 1, 8257536, 0, 0);
    is(&c.at[DRAM][DFQI_I], 1, 573440, 0, 0);
    is(&c.at[DRAM][DFQI_O], 1, 2408448, 0, 3211264);
    is(&c.at[GLB][DFQI_I], 1, 12042240, 573440, 0);
    is(&c.at[GLB][DFQI_O], 1, 12042240, 2408448, 12845056);
    is(&c.at[ROW3][DFQI_I], 168, 5505024, 286720, 0);
    is(&c.at[ROW4][DFQI_W], 168, 5505024, 688128, 0);
    is(&c.at[ROW5][DFQI_O], 168, 5490688, 215040, 5505024);
}
END_TEST

START_TEST(test_t3)
{
    dfqi_counts c;
    dfqi_mapping m = t3();
    dfqi_mapping_count(&strided, &m, &c);
    ck_assert_double_eq(c.cycles, 903168);
    ck_assert_double_eq(c.elements, 12);
    is(&c.at[DRAM][DFQI_W], 1, 864, 0, 0);
    is(&c.at[DRAM][DFQI_I], 1, 151875, 0, 0);
    is(&c.at[DRAM][DFQI_O], 1, 0, 0, 401408);
    is(&c.at[GLB][DFQI_W], 1, 24192, 864, 0);
    is(&c.at[GLB][DFQI_I], 1, 2709504, 151875, 0);
    is(&c.at[GLB][DFQI_O], 1, 3211264, 0, 3612672);
    is(&c.at[ROW3][DFQI_W], 12, 2016, 2016, 0);
    is(&c.at[ROW6][DFQI_O], 12, 802816, 802816, 903168);
}
END_TEST

START_TEST(test_t4)
{
    dfqi_counts c;
    dfqi_mapping m = t4();
    dfqi_mapping_count(&strided, &m, &c);
    ck_assert_double_eq(c.cycles, 677376);
    ck_assert_double_eq(c.elements, 16);
    is(&c.at[DRAM][DFQI_W], 1, 13824, 0, 0);
    is(&c.at[DRAM][DFQI_I], 1, 157296, 0, 0);
    is(&c.at[DRAM][DFQI_O], 1, 0, 0, 401408);
    is(&c.at[GLB][DFQI_W], 1, 774144, 13824, 0);
    is(&c.at[GLB][DFQI_I], 1, 677376, 157296, 0);
    is(&c.at[ROW3][DFQI_O], 16, 652288, 0, 677376);
    is(&c.at[ROW4][DFQI_W], 16, 677376, 48384, 0);
}
END_TEST

/* -- energy ------------------------------------------------------------------------------------ */

/* A row of `words` words. The references leak, but do not print how much: `leak` is what is missing
 * of one printed figure, and the other tests' figures of the same memory confirm it. */
static dfqi_level_cost row(double read, double write, double words, double leak)
{
    return (dfqi_level_cost){
        {read, read, read}, {write, write, write}, {write, write, write}, words, leak};
}

/* Compares levels and total, in fJ for each multiply-accumulate, to the printed hundredths. */
static void prints(const dfqi_layer *l, const dfqi_mapping *m, const dfqi_level_cost *cost,
                   double mac_pj, const double *levels, double total)
{
    dfqi_counts c;
    double pj[DFQI_LEVELS_MAX], sum = mac_pj * 1000;
    dfqi_mapping_count(l, m, &c);
    dfqi_mapping_energy(m, &c, c.cycles, cost, pj);
    for (int32_t i = 0; i < m->n_levels; i++) {
        ck_assert_double_eq_tol(pj[i] / c.macs * 1000, levels[i], 0.0055);
        sum += pj[i] / c.macs * 1000;
    }
    ck_assert_double_eq_tol(sum, total, 0.0205); /* a sum of as many rounded figures */
}

START_TEST(test_energy_eyeriss)
{
    const dfqi_level_cost cost[] = {
        row(512, 512, 8, 0), row(18.1838, 14.1379, 8, 0.00586), row(.202442, .176713, 2, 0.000101),
        row(1.976602, 1.881657, 2, 0.001592), row(.2513, .2191, 1, 0.000136)};
    const dfqi_level_cost nm45[] = {row(512, 512, 8, 0), row(32.342452, 26.121552, 8, 0.00353),
                                    row(.310924, .271902, 2, 0.000157),
                                    row(3.005554, 2.861554, 2, 0.002416),
                                    row(.385026, .336188, 1, 0.000206)};
    dfqi_mapping m = t1(), n = t2();
    prints(&strided, &m, cost, .207692, (double[]){3380.86, 375.27, 112.37, 1006.69, 386.77},
           59280000.0 / 10838.016);
    prints(&deep, &n, cost, .207692, (double[]){1000.00, 89.47, 105.92, 1107.50, 478.44}, 2989.02);
    prints(&deep, &n, nm45, .315, (double[]){1000.00, 161.18, 162.70, 1684.04, 733.55}, 4056.46);
}
END_TEST

START_TEST(test_energy_simple)
{
    const dfqi_level_cost cost[] = {row(512, 512, 4, 0),
                                    row(32.377775, 26.156875, 4, 0.00540),
                                    row(.680237, 1.582678, 1, 0.001169),
                                    row(.144, 0, 1, 0),
                                    row(.144, 0, 1, 0),
                                    row(.144, 0, 1, 0)};
    dfqi_mapping m = t3(), n = t4();
    prints(&strided, &m, cost, .315, (double[]){6544.64, 6712.38, 6.22, 144, 144, 128}, 13994.23);
    prints(&strided, &n, cost, .315, (double[]){6761.72, 1187.66, 2238.89, 144, 144, 138.67},
           10929.93);
}
END_TEST

/* -- where trips do not divide ----------------------------------------------------------------- */

/* 7 rows in tiles of 3: the third tile has one row, and nothing that is not there moves. */
START_TEST(test_edges)
{
    const dfqi_layer l = {.dim = {1, 1, 5, 4, 7, 6, 3, 3}, .stride = 1};
    dfqi_mapping m = {.n_levels = 3,
                      .fork = 2,
                      .keep = {ALL, ALL, ALL},
                      .time = {nest("M4 P3"), nest("C3"), nest("P3 Q6 R3 S3")},
                      .space = nest("C2")};
    dfqi_counts c;
    dfqi_mapping_count(&l, &m, &c);
    ck_assert_double_eq(c.cycles, 4 * 3 * 3 * 3 * 6 * 9);
    ck_assert_double_eq(c.macs, 5 * 4 * 7 * 6 * 9);
    ck_assert_double_eq(c.at[DRAM][DFQI_W].reads, 5 * 4 * 9);
    ck_assert_double_eq(c.at[DRAM][DFQI_O].updates, 4 * 7 * 6);
    ck_assert_double_eq(c.at[DRAM][DFQI_O].reads, 0);
    /* sliding over rows: each of the 9 comes once for each of the 4 filters */
    ck_assert_double_eq(c.at[DRAM][DFQI_I].reads, 4 * 5 * 9 * 8);
    m.time[0] = nest("P3 M4");
    dfqi_mapping_count(&l, &m, &c);
    /* tiles of 5, 5 and 3 rows, kept while the filters change */
    ck_assert_double_eq(c.at[DRAM][DFQI_I].reads, 5 * (5 + 5 + 3) * 8);
    ck_assert_double_eq(dfqi_mapping_tile(&l, &m, 1, DFQI_I), 5 * 5 * 8);
    ck_assert_double_eq(dfqi_mapping_tile(&l, &m, 2, DFQI_I), 5 * 8);
}
END_TEST

/* Row-stationary: an element has one input row for its output row and its filter row; the rows on a
 * diagonal are the same. */
START_TEST(test_diagonal)
{
    const dfqi_layer l = {.dim = {1, 1, 1, 1, 4, 6, 3, 3}, .stride = 1};
    dfqi_mapping m = {.n_levels = 3,
                      .fork = 2,
                      .keep = {ALL, ALL, ALL},
                      .time = {{0}, nest("Q6"), nest("S3")},
                      .space = nest("P4 R3")};
    dfqi_counts c;
    dfqi_mapping_count(&l, &m, &c);
    ck_assert_double_eq(c.at[GLB][DFQI_I].reads, 4 * 3 * 8);
    m.diagonal = 1;
    dfqi_mapping_count(&l, &m, &c);
    ck_assert_double_eq(c.at[GLB][DFQI_I].reads, 6 * 8);
    ck_assert_double_eq(c.at[ROW3][DFQI_I].fills, 4 * 3 * 8);
    /* weights to 4 x 3 elements, inputs, and sums from all of them */
    ck_assert_double_eq(c.delivered[DFQI_W], 3 * 3 * 4);
    ck_assert_double_eq(c.delivered[DFQI_I], 4 * 3 * 8);
    ck_assert_double_eq(c.delivered[DFQI_O], 4 * 6 * 3);
}
END_TEST

START_TEST(test_not_covered)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_mapping m = t1();
    ck_assert_int_eq(dfqi_mapping_check(ctx, &strided, &m), DFQ_OK);
    m.space = nest("Q14 C3");
    ck_assert_int_eq(dfqi_mapping_check(ctx, &strided, &m), DFQ_E_INVALID);
    ck_assert_str_eq(
        ctx->error,
        "mapping: the loops over S cover 1 of 3; the product of their trips must be 3 or more");
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_mapping_case(void)
{
    TCase *c = tcase_create("mapping");
    tcase_add_test(c, test_t1);
    tcase_add_test(c, test_t2);
    tcase_add_test(c, test_t3);
    tcase_add_test(c, test_t4);
    tcase_add_test(c, test_energy_eyeriss);
    tcase_add_test(c, test_energy_simple);
    tcase_add_test(c, test_edges);
    tcase_add_test(c, test_diagonal);
    tcase_add_test(c, test_not_covered);
    return c;
}
