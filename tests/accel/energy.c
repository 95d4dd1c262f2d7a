/* Energies and areas of parts (docs/METHODS.md, Prices): the 16-bit multiplier is that of
 * Accelergy's Eyeriss, buffers are CACTI's. */
#include <math.h>

#include "accel/cases.h"
#include "accel/energy.h"

START_TEST(test_mac)
{
    /* e_mac(b) has operands and sum of b bits */
    ck_assert_double_eq_tol(dfqi_mac_pj(2, 2, 2), 0.039, 0.0005);
    ck_assert_double_eq_tol(dfqi_mac_pj(4, 4, 4), 0.1456, 0.00005);
    ck_assert_double_eq_tol(dfqi_mac_pj(8, 8, 8), 0.5608, 0.00005);
    ck_assert_double_eq_tol(dfqi_mac_pj(16, 16, 16), 2.20035, 0.000005);
    ck_assert_double_eq_tol(dfqi_pe_um2(DFQI_PE_FIXED, 2), 29.2, 0.06);
    ck_assert_double_eq_tol(dfqi_pe_um2(DFQI_PE_FIXED, 4), 94.3, 0.06);
    ck_assert_double_eq_tol(dfqi_pe_um2(DFQI_PE_FIXED, 8), 332.3, 0.06);
    ck_assert_double_eq_tol(dfqi_pe_um2(DFQI_PE_FIXED, 16), 1239.5, 0.06);
    ck_assert_int_eq(dfqi_sum_bits(4, 8), 20);
    ck_assert_int_eq(dfqi_sum_bits(16, 16), 32);
}
END_TEST

START_TEST(test_rate)
{
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_FIXED, 8, 4, 4), 1);
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_FUSION, 8, 8, 8), 1);
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_FUSION, 8, 4, 4), 4);
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_FUSION, 8, 3, 5), 2);
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_FUSION, 8, 2, 2), 16);
    ck_assert_double_eq(dfqi_pe_rate(DFQI_PE_SERIAL, 8, 8, 5), 1.6);
}
END_TEST

START_TEST(test_memories)
{
    ck_assert_double_eq_tol(dfqi_rf_pj(12, 16), 0.183, 0.0005);
    ck_assert_double_eq_tol(dfqi_rf_pj(16, 16), 0.202, 0.0005);
    ck_assert_double_eq_tol(dfqi_rf_pj(192, 16), 1.464, 0.002);
    ck_assert_double_eq_tol(dfqi_rf_um2(1, 16), 95.68, 1e-9);
    ck_assert_double_eq_tol(dfqi_sram_read_pj(0.5) * 64, 0.644, 1e-9);
    ck_assert_double_eq_tol(dfqi_sram_read_pj(128) * 64, 15.55, 1e-9);
    ck_assert_double_eq_tol(dfqi_sram_write_pj(512) * 64, 21.42, 1e-9);
    ck_assert_double_eq_tol(dfqi_sram_um2(64), 209084, 1e-6);
    /* in between and beyond: a straight line over the logarithms */
    ck_assert_double_eq_tol(dfqi_sram_um2(96), 209084 * pow(429665.0 / 209084, log2(1.5)), 1e-6);
    ck_assert_double_eq_tol(dfqi_sram_read_pj(1024) * 64, 27.71 * 27.71 / 20.31, 1e-9);
    ck_assert_double_eq_tol(dfqi_sram_um2(0.25), 2143.0 * 2143 / 3600, 1e-9);
}
END_TEST

TCase *dfqt_energy_case(void)
{
    TCase *c = tcase_create("energy");
    tcase_add_test(c, test_mac);
    tcase_add_test(c, test_rate);
    tcase_add_test(c, test_memories);
    return c;
}
