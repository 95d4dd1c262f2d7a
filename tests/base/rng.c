/* Philox against the known answers of its authors, and the shapes of the distributions. */
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cases.h"

/* From kat_vectors of the authors' Random123 library: counter, key, result. */
static const uint32_t known[3][10] = {
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
     0xa20bc7c6, 0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
     0x5001e420, 0x24126ea1},
};

START_TEST(test_known_answers)
{
    uint32_t out[4];
    dfqi_philox(known[_i], known[_i] + 4, out);
    ck_assert_mem_eq(out, known[_i] + 6, sizeof out);
}
END_TEST

START_TEST(test_sequence_is_counter_based)
{
    dfqi_rng r = dfqi_rng_make(5, 9), saved, other;
    uint32_t words[11];
    int i;
    for (i = 0; i < 11; i++) words[i] = dfqi_rng_u32(&r);
    saved = dfqi_rng_make(5, 9);
    saved.index = 7;
    for (i = 7; i < 11; i++) ck_assert_uint_eq(dfqi_rng_u32(&saved), words[i]);
    saved.index = 2;
    ck_assert_uint_eq(dfqi_rng_u64(&saved), (uint64_t)words[3] << 32 | words[2]);
    other = dfqi_rng_make(5, 10);
    ck_assert_uint_ne(dfqi_rng_u32(&other), words[0]);
    other = dfqi_rng_make(6, 9);
    ck_assert_uint_ne(dfqi_rng_u32(&other), words[0]);
}
END_TEST

START_TEST(test_below)
{
    dfqi_rng r = dfqi_rng_make(1, 0);
    int count[7] = {0};
    int i;
    for (i = 0; i < 70000; i++) {
        uint32_t v = dfqi_rng_below(&r, 7);
        ck_assert_uint_lt(v, 7);
        count[v]++;
    }
    for (i = 0; i < 7; i++) ck_assert_int_lt(abs(count[i] - 10000), 500); /* 5 sigma */
    ck_assert_uint_eq(dfqi_rng_below(&r, 1), 0);
    for (i = 0; i < 100; i++) ck_assert_uint_lt(dfqi_rng_below(&r, 0x80000001u), 0x80000001u);
}
END_TEST

START_TEST(test_uniform)
{
    dfqi_rng r = dfqi_rng_make(2, 0);
    double sum = 0;
    int i;
    for (i = 0; i < 100000; i++) {
        float u = dfqi_rng_uniform(&r);
        ck_assert(u >= 0.0f && u < 1.0f);
        sum += (double)u;
    }
    ck_assert_double_eq_tol(sum / 100000, 0.5, 0.005);
    for (i = 0; i < 100000; i++) {
        /* One bit of room above lo: the sum rounds up half of the time. */
        float v = dfqi_rng_range(&r, 1.0f, 1.0f + 0x1p-23f);
        ck_assert(v == 1.0f);
    }
    ck_assert_float_eq(dfqi_rng_range(&r, 3.0f, 3.0f), 3.0f);
}
END_TEST

START_TEST(test_normal)
{
    enum { N = 100001 };
    float *x = malloc(N * sizeof *x);
    dfqi_rng r = dfqi_rng_make(3, 4), one;
    double m1 = 0, m2 = 0, m4 = 0;
    int i;
    ck_assert_ptr_nonnull(x);
    r.index = 2; /* not at the start of a block */
    one = r;
    dfqi_rng_fill_normal(&r, x, N);
    for (i = 0; i < N; i++) {
        double v = (double)x[i];
        ck_assert(isfinite(x[i]));
        m1 += v;
        m2 += v * v;
        m4 += v * v * v * v;
        if (i < 9) ck_assert_float_eq(x[i], dfqi_rng_normal(&one));
    }
    ck_assert_double_eq_tol(m1 / N, 0.0, 0.016);
    ck_assert_double_eq_tol(m2 / N, 1.0, 0.023);
    ck_assert_double_eq_tol(m4 / N, 3.0, 0.16);
    ck_assert_uint_eq(r.index, 2 + 2 * (uint64_t)N);
    free(x);
}
END_TEST

START_TEST(test_fill_starts_anywhere)
{
    uint64_t start;
    for (start = 0; start < 4; start++) {
        dfqi_rng r = dfqi_rng_make(8, 8), one;
        float x[6];
        int i;
        r.index = start;
        one = r;
        dfqi_rng_fill_normal(&r, x, 6);
        for (i = 0; i < 6; i++) ck_assert_float_eq(x[i], dfqi_rng_normal(&one));
        ck_assert_uint_eq(r.index, one.index);
    }
}
END_TEST

START_TEST(test_permute)
{
    enum { N = 257 };
    uint32_t order[N];
    unsigned char seen[N];
    dfqi_rng r = dfqi_rng_make(11, 0);
    int i, fixed = 0;
    memset(seen, 0, sizeof seen);
    dfqi_rng_permute(&r, order, N);
    for (i = 0; i < N; i++) {
        ck_assert_uint_lt(order[i], N);
        ck_assert_uint_eq(seen[order[i]], 0);
        seen[order[i]] = 1;
        fixed += order[i] == (uint32_t)i;
    }
    ck_assert_int_lt(fixed, 8);
    dfqi_rng_permute(&r, order, 0);
}
END_TEST

TCase *dfqt_rng_case(void)
{
    TCase *t = tcase_create("rng");
    tcase_add_loop_test(t, test_known_answers, 0, 3);
    tcase_add_test(t, test_sequence_is_counter_based);
    tcase_add_test(t, test_below);
    tcase_add_test(t, test_uniform);
    tcase_add_test(t, test_normal);
    tcase_add_test(t, test_fill_starts_anywhere);
    tcase_add_test(t, test_permute);
    return t;
}
