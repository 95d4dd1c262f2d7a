/* Sixteen-bit floats: every value there and back, every halfway point to even. */
#include <math.h>
#include <string.h>

#include "tensor/cases.h"
#include "tensor/tensor.h"

/* The value of a finite half, by the definition. */
static double half_value(unsigned h)
{
    int exponent = (int)(h >> 10 & 0x1F);
    double mantissa = h & 0x3FF;
    double v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(mantissa + 1024, exponent - 25);
    return (h & 0x8000) != 0 ? -v : v;
}

START_TEST(test_every_half)
{
    unsigned h;
    for (h = 0; h < 0x10000; h++) {
        float f = dfqi_half_to_float((uint16_t)h);
        unsigned back = dfqi_float_to_half(f);
        if ((h & 0x7FFF) > 0x7C00) { /* NaN: stays one, is quiet, keeps sign and payload */
            ck_assert(isnan(f));
            ck_assert_uint_eq(back, h | 0x200);
        } else if ((h & 0x7FFF) == 0x7C00) {
            ck_assert(isinf(f) && (f < 0) == (h > 0x8000));
            ck_assert_uint_eq(back, h);
        } else {
            ck_assert_msg((double)f == half_value(h), "half %04x", h);
            ck_assert_uint_eq(signbit(f) != 0, h >> 15);
            ck_assert_uint_eq(back, h);
        }
    }
}
END_TEST

START_TEST(test_rounding_between_all_neighbours)
{
    unsigned h;
    for (h = 0; h < 0x7C00; h++) { /* the last upper neighbour stands for 65536: infinity */
        double lo = half_value(h);
        double hi = h == 0x7BFF ? 65536.0 : half_value(h + 1);
        float middle = (float)((lo + hi) / 2); /* exact */
        unsigned even = (h & 1) == 0 ? h : h + 1;
        ck_assert_msg(dfqi_float_to_half(middle) == even, "above half %04x", h);
        ck_assert_uint_eq(dfqi_float_to_half(-middle), even | 0x8000);
        ck_assert_uint_eq(dfqi_float_to_half(nextafterf(middle, 0.0f)), h);
        ck_assert_uint_eq(dfqi_float_to_half(nextafterf(middle, 1e9f)), h + 1);
    }
    ck_assert_uint_eq(dfqi_float_to_half(1e-30f), 0);
    ck_assert_uint_eq(dfqi_float_to_half(-1e-45f), 0x8000);
    ck_assert_uint_eq(dfqi_float_to_half(3.4e38f), 0x7C00);
}
END_TEST

START_TEST(test_bf16)
{
    unsigned h;
    for (h = 0; h < 0x10000; h++) {
        float f = dfqi_bf16_to_float((uint16_t)h), up, middle;
        uint32_t bits = (uint32_t)h << 16 | 0x8000, next = bits + 1, previous = bits - 1;
        if ((h & 0x7FFF) > 0x7F80) {
            ck_assert(isnan(f));
            ck_assert_uint_eq(dfqi_float_to_bf16(f), h | 0x40);
            continue;
        }
        ck_assert_uint_eq(dfqi_float_to_bf16(f), h);
        if ((h & 0x7FFF) == 0x7F80) continue;
        memcpy(&middle, &bits, sizeof middle);
        ck_assert_uint_eq(dfqi_float_to_bf16(middle), h + (h & 1));
        memcpy(&up, &next, sizeof up);
        ck_assert_uint_eq(dfqi_float_to_bf16(up), h + 1);
        memcpy(&up, &previous, sizeof up);
        ck_assert_uint_eq(dfqi_float_to_bf16(up), h);
    }
}
END_TEST

TCase *dfqt_half_case(void)
{
    TCase *t = tcase_create("half");
    tcase_add_test(t, test_every_half);
    tcase_add_test(t, test_rounding_between_all_neighbours);
    tcase_add_test(t, test_bf16);
    return t;
}
