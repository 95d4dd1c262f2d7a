/* Matrix products on the kernels of libxsmm 1.17. C is cut into blocks of 24 rows by 64 columns;
 * one kernel call computes one block over a chunk of k.
 *
 * libxsmm is column-major, so its "A" is our right-hand side and its "B" our left one. It can read
 * only its B transposed, and trans_a needs just that. A product looks up its few kernels once.
 *
 * The result of a row must not depend on the number of rows. libxsmm sums over k in order, except
 * in blocks of at most 16 columns and fewer than 12 rows, where it splits k over several
 * accumulators. Such corners are computed 32 columns wide, in scratch memory on the stack. */
#include <math.h>
#include <string.h>

#include "kernel/tables.h"
#include "kernel/ref/ref.h"
#include "kernel/xsmm/jit.h"

enum {
    ROWS = 24,
    WIDTH = 32,
    NARROW = 16,        /* columns, and ... */
    LOW = 12,           /* ... rows below which libxsmm changes the order of the sum */
    CORNER = 32,        /* columns of a corner in scratch */
    CORNER_K = 128,     /* rows of the right-hand side copied for it at a time */
    K_CHUNK = 384,      /* rows of an unpacked right-hand side that stay in L2 */
    L2_FLOATS = 160000, /* a packed right-hand side up to here stays in L2 between row blocks */
};

/* One product. `b` is the first block of 64 columns; each further block starts b_next floats
 * later. */
typedef struct product {
    int trans_a;
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb, b_next;
    bool padded;       /* b has 64 columns in its last block, too */
    const float *bias; /* NULL: none */
    int accumulate;
    float *c;
    int64_t ldc;
} product;

/* The kernels of one column width. */
typedef struct width_kernels {
    int64_t width;
    dfqi_xsmm_kernel full, rest;               /* of ROWS rows, of the rows that remain */
    int64_t corner_rows, corner_k;             /* rest as a corner: rows (0: none), chunk of k */
    dfqi_xsmm_kernel corner_full, corner_rest; /* a whole chunk, the last one */
} width_kernels;

static dfqi_xsmm_kernel lookup(const product *p, int64_t width, int64_t rows, int64_t k,
                               int64_t ldb, int64_t ldc, bool add)
{
    /* libxsmm's names: its A is our B. */
    const dfqi_xsmm_shape shape = {.m = (int32_t)width,
                                   .n = (int32_t)rows,
                                   .k = (int32_t)k,
                                   .lda = (int32_t)ldb,
                                   .ldb = (int32_t)p->lda,
                                   .ldc = (int32_t)ldc,
                                   .trans_b = p->trans_a != 0,
                                   .add = add};
    return dfqi_xsmm_find(&shape);
}

static bool corner_init(const product *p, int64_t rows, width_kernels *w)
{
    const int64_t ldb = p->padded ? p->ldb : CORNER;
    w->corner_rows = rows;
    w->corner_k = p->padded || p->k < CORNER_K ? p->k : CORNER_K;
    const int64_t last = p->k % w->corner_k;
    w->corner_full = lookup(p, CORNER, rows, w->corner_k, ldb, CORNER, true);
    w->corner_rest = last ? lookup(p, CORNER, rows, last, ldb, CORNER, true) : NULL;
    return w->corner_full && (last == 0 || w->corner_rest);
}

static bool width_init(const product *p, int64_t width, width_kernels *w)
{
    const int64_t rest = p->m % ROWS;
    const bool add = p->accumulate || p->bias;
    *w = (width_kernels){.width = width};
    if (width == 0) return true;
    if (p->m >= ROWS && !(w->full = lookup(p, width, ROWS, p->k, p->ldb, p->ldc, add)))
        return false;
    if (rest == 0) return true;
    if (width <= NARROW && rest < LOW) return corner_init(p, rest, w);
    w->rest = lookup(p, width, rest, p->k, p->ldb, p->ldc, add);
    return w->rest != NULL;
}

/* Some rows of C from row i on, columns [j, j + cols), begin with the bias. */
static void put_bias(const product *p, int64_t i, int64_t j, int64_t cols)
{
    const int64_t end = p->m - i < ROWS ? p->m : i + ROWS;
    for (; p->bias && i < end; i++)
        memcpy(p->c + i * p->ldc + j, p->bias + j, (size_t)cols * sizeof *p->c);
}

/* The last rows of a narrow block of columns; `b` and `c` point at its first element. */
static void run_corner(const product *p, const width_kernels *w, const float *a, const float *b,
                       float *c)
{
    float tile[LOW * CORNER] = {0};
    float copy[CORNER_K * CORNER];
    const size_t row_bytes = (size_t)w->width * sizeof *c;
    if (p->accumulate || p->bias)
        for (int64_t i = 0; i < w->corner_rows; i++)
            memcpy(tile + i * CORNER, c + i * p->ldc, row_bytes);
    if (!p->padded) memset(copy, 0, sizeof copy);
    for (int64_t p0 = 0; p0 < p->k; p0 += w->corner_k) {
        const int64_t k = p->k - p0 < w->corner_k ? p->k - p0 : w->corner_k;
        const float *from = b + p0 * p->ldb;
        if (!p->padded) {
            for (int64_t q = 0; q < k; q++) memcpy(copy + q * CORNER, from + q * p->ldb, row_bytes);
            from = copy;
        }
        dfqi_xsmm_kernel kernel = k == w->corner_k ? w->corner_full : w->corner_rest;
        kernel(from, a + (p->trans_a ? p0 * p->lda : p0), tile);
    }
    for (int64_t i = 0; i < w->corner_rows; i++)
        memcpy(c + i * p->ldc, tile + i * CORNER, row_bytes);
}

/* The block of up to ROWS rows at row i, column j. C has the bias already. */
static void run_block(const product *p, const width_kernels *w, int64_t i, int64_t j)
{
    const int64_t rows = p->m - i < ROWS ? p->m - i : ROWS;
    const float *a = p->a + (p->trans_a ? i : i * p->lda);
    const float *b = p->b + j / DFQI_PANEL * p->b_next + j % DFQI_PANEL;
    float *c = p->c + i * p->ldc + j;
    if (rows == ROWS)
        w->full(b, a, c);
    else if (w->corner_rows)
        run_corner(p, w, a, b, c);
    else
        w->rest(b, a, c); /* there for such rows. NOLINT(clang-analyzer-core.CallAndMessage) */
}

/* The slow fallback, for shapes that libxsmm does not know and when there is no memory for code. It
 * gives the same bits as the kernels: one sum over k in order, each step rounded once. */
static void run_plain(const product *p)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const float *a = p->a + (p->trans_a ? i : i * p->lda);
            const float *b = p->b + j / DFQI_PANEL * p->b_next + j % DFQI_PANEL;
            float *c = p->c + i * p->ldc + j;
            float sum = p->bias ? p->bias[j] : p->accumulate ? *c : 0.0f;
            for (int64_t q = 0; q < p->k; q++)
                sum = fmaf(a[p->trans_a ? q * p->lda : q], b[q * p->ldb], sum);
            *c = sum;
        }
}

/* Runs the product on kernels. Returns false, with nothing written, if a kernel is missing. */
static bool run_kernels(const product *p)
{
    const int64_t limit = INT32_MAX;
    const int64_t n_wide = p->n / WIDTH * WIDTH;
    width_kernels wide;
    width_kernels tail;
    if (p->lda > limit || p->ldb > limit || p->ldc > limit || p->k > limit) return false;
    if (!width_init(p, n_wide ? WIDTH : 0, &wide)) return false;
    if (!width_init(p, p->n - n_wide, &tail)) return false;
    if (p->k * n_wide <= L2_FLOATS) {
        for (int64_t i = 0; i < p->m; i += ROWS) {
            put_bias(p, i, 0, n_wide);
            for (int64_t j = 0; j < n_wide; j += WIDTH) run_block(p, &wide, i, j);
        }
    } else {
        for (int64_t j = 0; j < n_wide; j += WIDTH) {
            put_bias(p, 0, j, WIDTH);
            for (int64_t i = 0; i < p->m; i += ROWS) {
                put_bias(p, i + ROWS, j, WIDTH); /* long before it is read */
                run_block(p, &wide, i, j);
            }
        }
    }
    for (int64_t i = 0; tail.width && i < p->m; i += ROWS) {
        put_bias(p, i, n_wide, tail.width);
        run_block(p, &tail, i, n_wide);
    }
    return true;
}

/* The product with k in one piece. */
static void run(const product *p)
{
    if (!run_kernels(p)) run_plain(p);
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
        run(&p);
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
                 .padded = true,
                 .bias = bias,
                 .c = c,
                 .ldc = ldc};
    if (m <= 0 || n <= 0) return;
    if (k <= 0)
        dfqi_ref_gemm_packed(m, n, k, a, lda, packed, bias, c, ldc);
    else
        run(&p);
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
    if (!dfqi_xsmm_start()) return false;
    t->gemm = xsmm_gemm;
    if (t->gemm_packed == dfqi_kernels_ref.gemm_packed) { /* nothing better is there */
        t->gemm_packed = xsmm_gemm_packed;
        t->gemm_nt = xsmm_gemm_nt;
    }
    if (!pack) pack = t->pack;
    return true;
}
