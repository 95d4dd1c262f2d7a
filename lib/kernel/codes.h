/* Quantization codes of single values. All kernel tables follow these formulas, with true divisions
 * and rounding half to even; other code calls them to get the codes themselves. */
#ifndef DFQI_KERNEL_CODES_H
#define DFQI_KERNEL_CODES_H

#include <float.h>
#include <math.h>

/* clamp(rint(x / scale) + zero_point, qmin, qmax), `zero_point` whole: it is added behind the
 * rounding, as in ONNX's QuantizeLinear. NaN stays NaN. */
static inline float dfqi_code_uniform(float x, float scale, float zero_point, float qmin,
                                      float qmax)
{
    float q = rintf(x / scale) + zero_point;
    return q < qmin ? qmin : q > qmax ? qmax : q;
}

/* max(rint(-2 log2(x / top)), 0), from qmax + 1 on the value is 0; x / top below FLT_MIN, negative
 * or NaN: qmax + 1. Without a logarithm: with u = m 2^e, m in [1, 2), it is -2 e minus the number
 * of the thresholds 2^(1/4), 2^(3/4) that m reaches. Exact, hence the same on every machine. */
static inline int dfqi_code_log(float x, float top, float qmax)
{
    int e;
    float u = x / top;
    if (!(u >= FLT_MIN)) return (int)qmax + 1;
    float m = 2.0f * frexpf(u, &e);
    int q = -2 * (e - 1) - (m >= 1.18920711500272f) - (m >= 1.68179283050743f);
    return q < 0 ? 0 : q > (int)qmax ? (int)qmax + 1 : q;
}

/* The value of code q on a logarithmic grid: top 2^(-q/2), and 0 above qmax. */
static inline float dfqi_code_log_value(int q, float top, float qmax)
{
    float half = q % 2 ? 1.41421356237310f : 1.0f; /* 2^(-q/2) = half * 2^-ceil(q/2) */
    return (float)q > qmax ? 0.0f : top * ldexpf(half, -((q + 1) / 2));
}

#endif
