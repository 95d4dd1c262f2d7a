/* Matrix products in plain C. Each row of C is computed on its own and summed over k in order, so a
 * row does not depend on its neighbours. */
#include "kernel/ref/ref.h"

#include <string.h>

/* c[n] += x * b[n] */
static void row_update(int64_t n, float x, const float *restrict b, float *restrict c)
{
    for (int64_t j = 0; j < n; j++) c[j] += x * b[j];
}

void dfqi_ref_gemm(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    int64_t row = trans_a ? 1 : lda;
    int64_t col = trans_a ? lda : 1;
    for (int64_t i = 0; i < m; i++) {
        float *ci = c + i * ldc;
        if (!accumulate) memset(ci, 0, (size_t)n * sizeof *ci);
        for (int64_t p = 0; p < k; p++) row_update(n, a[i * row + p * col], b + p * ldb, ci);
    }
}

void dfqi_ref_pack(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out)
{
    int64_t row = trans ? 1 : ldb;
    int64_t col = trans ? ldb : 1;
    for (int64_t j0 = 0; j0 < n; j0 += DFQI_PANEL) {
        int64_t w = n - j0 < DFQI_PANEL ? n - j0 : DFQI_PANEL;
        for (int64_t p = 0; p < k; p++, out += DFQI_PANEL) {
            const float *src = b + p * row + j0 * col;
            for (int64_t j = 0; j < w; j++) out[j] = src[j * col];
            for (int64_t j = w; j < DFQI_PANEL; j++) out[j] = 0.0f;
        }
    }
}

void dfqi_ref_gemm_packed(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *packed, const float *bias, float *c, int64_t ldc)
{
    for (int64_t j0 = 0; j0 < n; j0 += DFQI_PANEL, packed += k * DFQI_PANEL) {
        int64_t w = n - j0 < DFQI_PANEL ? n - j0 : DFQI_PANEL;
        for (int64_t i = 0; i < m; i++) {
            float acc[DFQI_PANEL] = {0};
            for (int64_t p = 0; p < k; p++)
                row_update(DFQI_PANEL, a[i * lda + p], packed + p * DFQI_PANEL, acc);
            float *ci = c + i * ldc + j0;
            for (int64_t j = 0; j < w; j++) ci[j] = bias ? acc[j] + bias[j0 + j] : acc[j];
        }
    }
}

void dfqi_ref_gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                      int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    dfqi_ref_pack(1, k, n, b, ldb, scratch);
    dfqi_ref_gemm_packed(m, n, k, a, lda, scratch, NULL, c, ldc);
}

void dfqi_ref_minus_nt(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda,
                       const double *b, int64_t ldb, double *c, int64_t ldc)
{
    enum { LANES = 8 };
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const double *x = a + i * lda, *y = b + j * ldb;
            double sum[LANES] = {0};
            int64_t p = 0;
            for (; p + LANES <= k; p += LANES)
                for (int64_t l = 0; l < LANES; l++) sum[l] += x[p + l] * y[p + l];
            for (; p < k; p++) sum[0] += x[p] * y[p];
            c[i * ldc + j] -=
                ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
        }
}
