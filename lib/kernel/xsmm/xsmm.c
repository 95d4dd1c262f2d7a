/* Matrix products on the JIT kernels of libxsmm 1.17: C is cut into blocks of 24 rows by 64
 * columns, one kernel call each over a chunk of k.
 *
 * libxsmm is column-major, so its "A" is our right-hand side and its "B" our left one; it knows the
 * transposed form of its B alone, which is what trans_a needs. Kernels are looked up once per
 * product (at most four shapes, some 40 ns each, in libxsmm's thread-local cache).
 *
 * Rows must not depend on the number of rows: libxsmm sums over k in order, except for blocks of up
 * to 16 columns, where it splits k over 4 accumulators for up to 5 rows, 2 for up to 11, else 1.
 * Such column tails therefore always run in blocks of at most 5 rows. */
#include <libxsmm.h>

#include "kernel/kernel_priv.h"
#include "kernel/ref/ref.h"

enum {
    ROWS = 24,
    NARROW = 16,
    NARROW_ROWS = 5,
    K_CHUNK = 384,      /* rows of an unpacked right-hand side that stay in L2 */
    L2_FLOATS = 160000, /* a packed right-hand side up to here stays in L2 between row blocks */
};

/* One product; `b` is the first block of 64 columns, the next one lies b_next floats behind. */
typedef struct product {
    int trans_a;
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb, b_next;
    const float *bias; /* NULL: none */
    int accumulate;
    float *c;
    int64_t ldc;
} product;

/* The kernels of one column width: full row blocks, and the rest of the rows. */
typedef struct width_kernels {
    int64_t width, rows;
    libxsmm_smmfunction full, rest;
} width_kernels;

static libxsmm_smmfunction lookup(const product *p, int64_t width, int64_t rows)
{
    const libxsmm_blasint lda = (libxsmm_blasint)p->ldb;
    const libxsmm_blasint ldb = (libxsmm_blasint)p->lda;
    const libxsmm_blasint ldc = (libxsmm_blasint)p->ldc;
    const float alpha = 1.0f;
    const float beta = p->accumulate ? 1.0f : 0.0f;
    const int flags = p->trans_a ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
    return libxsmm_smmdispatch((libxsmm_blasint)width, (libxsmm_blasint)rows, (libxsmm_blasint)p->k,
                               &lda, &ldb, &ldc, &alpha, &beta, &flags, &prefetch);
}

static bool width_init(const product *p, int64_t width, width_kernels *w)
{
    *w = (width_kernels){width, width > NARROW ? ROWS : NARROW_ROWS, NULL, NULL};
    if (width == 0) return true;
    int64_t rest = p->m % w->rows;
    if (p->m >= w->rows && !(w->full = lookup(p, width, w->rows))) return false;
    return rest == 0 || (w->rest = lookup(p, width, rest)) != NULL;
}

/* Rows i0..i0+count of the columns that begin at j0, `count` <= ROWS. */
static void run_block(const product *p, const width_kernels *w, int64_t i0, int64_t count,
                      int64_t j0)
{
    const float *b = p->b + (j0 / DFQI_PANEL) * p->b_next;
    for (int64_t i = i0; i < i0 + count; i += w->rows) {
        int64_t rows = i0 + count - i < w->rows ? i0 + count - i : w->rows;
        float *c = p->c + i * p->ldc + j0;
        for (int64_t r = 0; p->bias && r < rows; r++)
            for (int64_t j = 0; j < w->width; j++) c[r * p->ldc + j] = p->bias[j0 + j];
        libxsmm_smmfunction kernel = rows == w->rows ? w->full : w->rest;
        kernel(b, p->a + (p->trans_a ? i : i * p->lda), c);
    }
}

/* Runs the product with k in one piece. False: libxsmm has no such kernel, nothing was written. */
static bool run(const product *p)
{
    const int64_t limit = INT32_MAX;
    if (p->lda > limit || p->ldb > limit || p->ldc > limit || p->k > limit) return false;
    width_kernels wide;
    width_kernels tail;
    int64_t n_wide = p->n / DFQI_PANEL * DFQI_PANEL;
    if (!width_init(p, n_wide ? DFQI_PANEL : 0, &wide)) return false;
    if (!width_init(p, p->n - n_wide, &tail)) return false;
    /* Row blocks outside while the right-hand side stays in L2, else column panels. Narrow tails
     * run over all rows at once: their blocks of rows must begin at multiples of NARROW_ROWS. */
    if (p->k * n_wide <= L2_FLOATS) {
        for (int64_t i = 0; i < p->m; i += ROWS)
            for (int64_t j = 0; j < n_wide; j += DFQI_PANEL)
                run_block(p, &wide, i, p->m - i < ROWS ? p->m - i : ROWS, j);
    } else {
        for (int64_t j = 0; j < n_wide; j += DFQI_PANEL) run_block(p, &wide, 0, p->m, j);
    }
    if (tail.width) run_block(p, &tail, 0, p->m, n_wide);
    return true;
}

static void xsmm_gemm(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        dfqi_ref_gemm(trans_a, m, n, 0, a, lda, b, ldb, accumulate, c, ldc);
        return;
    }
    int64_t chunk = k <= 2 * K_CHUNK ? k : K_CHUNK;
    for (int64_t p0 = 0; p0 < k; p0 += chunk) {
        product p = {.trans_a = trans_a,
                     .m = m,
                     .n = n,
                     .k = k - p0 < chunk ? k - p0 : chunk,
                     .a = a + (trans_a ? p0 * lda : p0),
                     .lda = lda,
                     .b = b + p0 * ldb,
                     .ldb = ldb,
                     .b_next = DFQI_PANEL,
                     .accumulate = accumulate || p0 > 0,
                     .c = c,
                     .ldc = ldc};
        if (!run(&p)) dfqi_ref_gemm(trans_a, m, n, p.k, p.a, lda, p.b, ldb, p.accumulate, c, ldc);
    }
}

static void xsmm_gemm_packed(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                             const float *packed, const float *bias, float *c, int64_t ldc)
{
    product p = {.m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .lda = lda,
                 .b = packed,
                 .ldb = DFQI_PANEL,
                 .b_next = k * DFQI_PANEL,
                 .bias = bias,
                 .accumulate = bias != NULL,
                 .c = c,
                 .ldc = ldc};
    if (m <= 0 || n <= 0) return;
    if (k <= 0 || !run(&p)) dfqi_ref_gemm_packed(m, n, k, a, lda, packed, bias, c, ldc);
}

/* The best pack of this machine: that of the first table built. */
static void (*pack)(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out);

static void xsmm_gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                         const float *b, int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    pack(1, k, n, b, ldb, scratch);
    xsmm_gemm_packed(m, n, k, a, lda, scratch, NULL, c, ldc);
}

bool dfqi_kernels_use_xsmm(dfqi_kernels *t)
{
    libxsmm_init();
    product probe = {.k = 64, .lda = 64, .ldb = DFQI_PANEL, .ldc = DFQI_PANEL};
    if (!lookup(&probe, DFQI_PANEL, ROWS)) return false; /* no JIT on this machine */
    t->gemm = xsmm_gemm;
    t->gemm_packed = xsmm_gemm_packed;
    t->gemm_nt = xsmm_gemm_nt;
    if (!pack) pack = t->pack;
    return true;
}
