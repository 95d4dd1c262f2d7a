/* Elementwise slots in plain C. NaN passes through all of them. */
#include "kernel/ref/ref.h"

#include <math.h>

#define SQRT1_2      0.70710678118654752440
#define INV_SQRT_2PI 0.39894228040143267794

void dfqi_ref_add(size_t n, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void dfqi_ref_axpy(size_t n, float alpha, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] += alpha * x[i];
}

void dfqi_ref_scale(size_t n, float alpha, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = alpha * x[i];
}

/* x * Phi(x); erfc keeps the relative accuracy of the left tail. */
void dfqi_ref_gelu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(0.5 * (double)x[i] * erfc(-(double)x[i] * SQRT1_2));
}

/* Phi(x) + x * phi(x) */
void dfqi_ref_gelu_bwd(size_t n, const float *x, const float *dy, float *dx)
{
    for (size_t i = 0; i < n; i++) {
        double v = x[i];
        double slope = 0.5 * erfc(-v * SQRT1_2) + v * INV_SQRT_2PI * exp(-0.5 * v * v);
        dx[i] = (float)(slope * (double)dy[i]);
    }
}

void dfqi_ref_sigmoid(size_t n, float a, float b, int gate, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) {
        const float v = x[i], z = b == 0.0f ? a * v : (a + b * v * v) * v;
        y[i] = (gate ? v : 1.0f) / (1.0f + expf(-z));
    }
}

void dfqi_ref_relu(size_t n, float cap, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i] > cap ? cap : x[i];
}

/* The slope is 1 strictly between 0 and cap. */
void dfqi_ref_relu_bwd(size_t n, float cap, const float *x, const float *dy, float *dx)
{
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0.0f && x[i] < cap ? dy[i] : 0.0f;
}

void dfqi_ref_leaky_relu(size_t n, float slope, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
}

void dfqi_ref_leaky_relu_bwd(size_t n, float slope, const float *x, const float *dy, float *dx)
{
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0.0f ? dy[i] : slope * dy[i];
}
