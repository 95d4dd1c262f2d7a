/* Matrix products by BLIS 0.9, with one thread per call, because the library's own threads call it.
 * The small-matrix paths of BLIS are switched off: with them, the rounding of a row depends on its
 * neighbours. */
#include <pthread.h>
#include <stdlib.h>

#include "kernel/kernel_config.h"
#include "kernel/tables.h"
#include "kernel/ref/ref.h"

#if DFQI_BLIS_SUBDIR
#include <blis/blis.h>
#else
#include <blis.h>
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Sets the BLIS configuration before the first use, by the environment, which is the only way.
 * BLIS 0.9 takes new Intel CPUs for haswell and new AMD CPUs for generic, which is 2 and 6 times
 * slower. */
static void start(void)
{
#if defined(__x86_64__)
    arch_t best = BLIS_ARCH_GENERIC;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        best = BLIS_ARCH_SKX;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        best = BLIS_ARCH_HASWELL;
    if (best != BLIS_ARCH_GENERIC && !getenv("BLIS_ARCH_TYPE")) {
        char id[] = {(char)('0' + (int)best), '\0'}; /* both ids are single digits */
        setenv("BLIS_ARCH_TYPE", id, 0);
        bli_init();
        unsetenv("BLIS_ARCH_TYPE");
        return;
    }
#endif
    bli_init();
}

/* C[m,n] = A[m,k] B[k,n] + beta C with strides of rows and columns; m, n, k > 0. */
static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col,
                    const float *b, int64_t b_row, int64_t b_col, float beta, float *c, int64_t ldc)
{
    float alpha = 1.0f;
    rntm_t runtime = BLIS_RNTM_INITIALIZER;
    pthread_once(&once, start);
    bli_rntm_set_num_threads(1, &runtime);
    bli_rntm_disable_l3_sup(&runtime);
    /* BLIS takes pointers to non-const but only reads A and B. */
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (float *)a, a_row, a_col,
                 (float *)b, b_row, b_col, &beta, c, ldc, 1, NULL, &runtime);
}

static void blis_gemm(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        dfqi_ref_gemm(trans_a, m, n, 0, a, lda, b, ldb, accumulate, c, ldc);
        return;
    }
    product(m, n, k, a, trans_a ? 1 : lda, trans_a ? lda : 1, b, ldb, 1, accumulate ? 1.0f : 0.0f,
            c, ldc);
}

static void blis_gemm_packed(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                             const float *packed, const float *bias, float *c, int64_t ldc)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        dfqi_ref_gemm_packed(m, n, 0, a, lda, packed, bias, c, ldc);
        return;
    }
    for (int64_t i = 0; bias && i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = bias[j];
    for (int64_t j = 0; j < n; j += DFQI_PANEL, packed += k * DFQI_PANEL)
        product(m, n - j < DFQI_PANEL ? n - j : DFQI_PANEL, k, a, lda, 1, packed, DFQI_PANEL, 1,
                bias ? 1.0f : 0.0f, c + j, ldc);
}

/* BLIS packs by itself: the scratch memory stays unused. */
static void blis_gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                         const float *b, int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    (void)scratch;
    if (m <= 0 || n <= 0) return;
    if (k <= 0)
        dfqi_ref_gemm(0, m, n, 0, a, lda, b, ldb, 0, c, ldc);
    else
        product(m, n, k, a, lda, 1, b, 1, ldb, 0.0f, c, ldc);
}

bool dfqi_kernels_use_blis(dfqi_kernels *t)
{
    t->gemm = blis_gemm;
    if (t->gemm_packed == dfqi_kernels_ref.gemm_packed) { /* nothing better is there */
        t->gemm_packed = blis_gemm_packed;
        t->gemm_nt = blis_gemm_nt;
    }
    return true;
}
