/* Products in double of two matrices whose rows are both contiguous, subtracted: what factoring and
 * solving need. Tiles of rows by four columns keep their sums in registers. Each element is summed
 * by the same lanes in the same order, whatever tile it lies in. */
#include <immintrin.h>

#include "kernel/x86/isa.h"

#if defined(__AVX512F__)
enum { LANES = 8, ROWS = 4 };
typedef __m512d vd;

static inline vd vd_load(const double *p)
{
    return _mm512_loadu_pd(p);
}

static inline vd vd_tail(const double *p, int64_t n) /* n < LANES; 0 behind */
{
    return _mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1u), p);
}

static inline vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}

static inline vd vd_zero(void)
{
    return _mm512_setzero_pd();
}

static inline __m256d vd_fold(vd x)
{
    return _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
}
#else
enum { LANES = 4, ROWS = 2 };
typedef __m256d vd;

static inline vd vd_load(const double *p)
{
    return _mm256_loadu_pd(p);
}

static inline vd vd_tail(const double *p, int64_t n)
{
    const __m256i lane = _mm256_set_epi64x(3, 2, 1, 0);
    return _mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane));
}

static inline vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}

static inline vd vd_zero(void)
{
    return _mm256_setzero_pd();
}

static inline __m256d vd_fold(vd x)
{
    return x;
}
#endif

enum { COLS = 4 };

static inline double vd_sum(vd x)
{
    __m256d f = vd_fold(x);
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(f), _mm256_extractf128_pd(f, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}

static inline double dot(int64_t k, const double *a, const double *b)
{
    vd sum = vd_zero();
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) sum = vd_fma(vd_load(a + p), vd_load(b + p), sum);
    if (p < k) sum = vd_fma(vd_tail(a + p, k - p), vd_tail(b + p, k - p), sum);
    return vd_sum(sum);
}

static inline void tile(int64_t k, const double *a, int64_t lda, const double *b, int64_t ldb,
                        double *c, int64_t ldc)
{
    vd sum[ROWS][COLS], x[ROWS];
    int64_t p = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) sum[i][j] = vd_zero();
    for (; p + LANES <= k; p += LANES) {
        for (int i = 0; i < ROWS; i++) x[i] = vd_load(a + i * lda + p);
        for (int j = 0; j < COLS; j++) {
            vd y = vd_load(b + j * ldb + p);
            for (int i = 0; i < ROWS; i++) sum[i][j] = vd_fma(x[i], y, sum[i][j]);
        }
    }
    if (p < k) {
        for (int i = 0; i < ROWS; i++) x[i] = vd_tail(a + i * lda + p, k - p);
        for (int j = 0; j < COLS; j++) {
            vd y = vd_tail(b + j * ldb + p, k - p);
            for (int i = 0; i < ROWS; i++) sum[i][j] = vd_fma(x[i], y, sum[i][j]);
        }
    }
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) c[i * ldc + j] -= vd_sum(sum[i][j]);
}

void ISA(minus_nt)(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                   int64_t ldb, double *c, int64_t ldc)
{
    const int64_t rows = m - m % ROWS, cols = n - n % COLS;
    for (int64_t i = 0; i < rows; i += ROWS)
        for (int64_t j = 0; j < cols; j += COLS)
            tile(k, a + i * lda, lda, b + j * ldb, ldb, c + i * ldc + j, ldc);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i < rows ? cols : 0; j < n; j++)
            c[i * ldc + j] -= dot(k, a + i * lda, b + j * ldb);
}
