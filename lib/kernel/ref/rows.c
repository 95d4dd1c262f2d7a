/* Row-wise slots (softmax, LayerNorm) and column reductions in plain C. */
#include "kernel/ref/ref.h"

#include <math.h>

void dfqi_ref_softmax(int64_t rows, int64_t cols, float scale, const float *x, float *p)
{
    for (int64_t r = 0; r < rows; r++, x += cols, p += cols) {
        float top = -INFINITY;
        for (int64_t c = 0; c < cols; c++) top = scale * x[c] > top ? scale * x[c] : top;
        double sum = 0.0;
        for (int64_t c = 0; c < cols; c++) {
            p[c] = expf(scale * x[c] - top);
            sum += (double)p[c];
        }
        float inv = (float)(1.0 / sum);
        for (int64_t c = 0; c < cols; c++) p[c] *= inv;
    }
}

void dfqi_ref_softmax_bwd(int64_t rows, int64_t cols, float scale, const float *p, const float *dp,
                          float *dx)
{
    for (int64_t r = 0; r < rows; r++, p += cols, dp += cols, dx += cols) {
        double dot = 0.0;
        for (int64_t c = 0; c < cols; c++) dot += (double)p[c] * (double)dp[c];
        for (int64_t c = 0; c < cols; c++) dx[c] = scale * p[c] * (dp[c] - (float)dot);
    }
}

void dfqi_ref_layernorm(int64_t rows, int64_t cols, float eps, const float *x, const float *gamma,
                        const float *beta, float *y, float *stats)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        double sum = 0.0;
        for (int64_t c = 0; c < cols; c++) sum += (double)x[c];
        float mean = (float)(sum / (double)cols);
        double square = 0.0;
        for (int64_t c = 0; c < cols; c++) {
            double d = (double)(x[c] - mean);
            square += d * d;
        }
        float rstd = (float)(1.0 / sqrt(square / (double)cols + (double)eps));
        for (int64_t c = 0; c < cols; c++) y[c] = (x[c] - mean) * rstd * gamma[c] + beta[c];
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
    }
}

void dfqi_ref_layernorm_bwd(int64_t rows, int64_t cols, const float *x, const float *stats,
                            const float *gamma, const float *dy, float *dx, float *dgamma_dbeta)
{
    float *dgamma = dgamma_dbeta;
    float *dbeta = dgamma_dbeta ? dgamma_dbeta + cols : NULL;
    for (int64_t c = 0; dgamma && c < cols; c++) dgamma[c] = dbeta[c] = 0.0f;
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols, dx += cols) {
        float mean = stats[2 * r];
        float rstd = stats[2 * r + 1];
        double sum = 0.0;
        double dot = 0.0;
        for (int64_t c = 0; c < cols; c++) {
            double g = (double)dy[c] * (double)gamma[c];
            sum += g;
            dot += g * (double)((x[c] - mean) * rstd);
        }
        float a = (float)(sum / (double)cols);
        float b = (float)(dot / (double)cols);
        for (int64_t c = 0; c < cols; c++) {
            float xhat = (x[c] - mean) * rstd;
            dx[c] = rstd * (dy[c] * gamma[c] - a - xhat * b);
            if (!dgamma) continue;
            dgamma[c] += dy[c] * xhat;
            dbeta[c] += dy[c];
        }
    }
}

void dfqi_ref_col_sum(int64_t rows, int64_t cols, const float *x, int accumulate, float *out)
{
    for (int64_t c = 0; c < cols; c++) {
        double sum = accumulate ? (double)out[c] : 0.0;
        for (int64_t r = 0; r < rows; r++) sum += (double)x[r * cols + c];
        out[c] = (float)sum;
    }
}

void dfqi_ref_col_scale(int64_t rows, int64_t cols, const float *x, const float *s, float *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) y[r * cols + c] = x[r * cols + c] * s[c];
}

void dfqi_ref_col_affine(int64_t rows, int64_t cols, const float *x, const float *center,
                         const float *s, const float *shift, float *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            y[r * cols + c] = (x[r * cols + c] - center[c]) * s[c] + shift[c];
}

void dfqi_ref_col_moments(int64_t rows, int64_t cols, const float *x, float *mean, float *square)
{
    for (int64_t c = 0; c < cols; c++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t r = 0; r < rows; r++) sum += (double)x[r * cols + c];
        sum /= (double)rows;
        for (int64_t r = 0; r < rows; r++) {
            double d = (double)x[r * cols + c] - sum;
            squares += d * d;
        }
        mean[c] = (float)sum;
        square[c] = (float)squares;
    }
}

void dfqi_ref_col_dots(int64_t rows, int64_t cols, const float *x, const float *center,
                       const float *dy, float *dot, float *sum)
{
    for (int64_t c = 0; c < cols; c++) {
        double dots = 0.0, sums = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            double d = dy[r * cols + c];
            dots += ((double)x[r * cols + c] - (double)center[c]) * d;
            sums += d;
        }
        dot[c] = (float)dots;
        sum[c] = (float)sums;
    }
}
