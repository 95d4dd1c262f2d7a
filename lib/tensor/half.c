/* Conversion of 16-bit floats. It uses integer arithmetic only, so the result depends neither on
 * the rounding mode nor on flush-to-zero. */
#include <string.h>

#include "tensor/tensor.h"

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* v / 2^shift, half to even; shift 1..31. */
static uint32_t shift_round(uint32_t v, uint32_t shift)
{
    uint32_t q = v >> shift;
    uint32_t rest = v & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    return q + (rest > half || (rest == half && (q & 1) != 0) ? 1 : 0);
}

float dfqi_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 0x1F;
    uint32_t mantissa = h & 0x3FF;

    if (exponent == 0x1F) /* infinity, or NaN made quiet */
        return float_of(sign | 0x7F800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0));
    if (exponent == 0) { /* mantissa * 2^-24: moved up until its leading one is the hidden bit */
        if (mantissa == 0) return float_of(sign);
        exponent = 1;
        while ((mantissa & 0x400) == 0) {
            mantissa <<= 1;
            exponent--;
        }
        mantissa &= 0x3FF;
    }
    return float_of(sign | (exponent + 112) << 23 |
                    mantissa << 13); /* unsigned: -9 + 112 wraps back */
}

uint16_t dfqi_float_to_half(float f)
{
    uint32_t u = bits_of(f);
    uint32_t sign = (u >> 16) & 0x8000;
    uint32_t v = u & 0x7FFFFFFF;

    if (v > 0x7F800000u) return (uint16_t)(sign | 0x7E00 | ((v >> 13) & 0x1FF));
    if (v >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* 65520 rounds to infinity */
    if (v >= 0x38800000u) return (uint16_t)(sign | (shift_round(v, 13) - (112u << 10)));
    if (v < 0x33000000u) return (uint16_t)sign; /* below half the smallest subnormal */
    return (uint16_t)(sign | shift_round((v & 0x7FFFFF) | 0x800000, 126 - (v >> 23)));
}

float dfqi_bf16_to_float(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t dfqi_float_to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000u)
        return (uint16_t)(u >> 16 | 0x40); /* NaN stays NaN, quiet */
    return (uint16_t)shift_round(u, 16);
}
