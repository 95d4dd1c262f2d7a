/* Products with a packed right-hand side: tiles of up to 12 rows by 32 columns (AVX2: 6 by 16),
 * whose sums stay in registers. A value of the left-hand side is loaded once for both registers of
 * a row of the right-hand side, because loads limit such products. Each element is one sum over k
 * in order, whatever the tile. */
#include "kernel/x86/isa.h"
#include "kernel/x86/repeat.h"
#include "kernel/x86/vec.h"

#if defined(__AVX512F__)
enum { COLUMNS = 32, POINTERS = 6 }; /* three rows to a pointer */
#else
enum { COLUMNS = 16, POINTERS = 2 };
#endif

/* Rows of C from the first element of a tile on; `lanes` columns of its last vector exist. */
typedef struct gemm_tile {
    const float *a, *b, *bias; /* bias NULL: 0 */
    int64_t lda, ldb, k, lanes;
    int64_t ahead; /* floats from b to the columns that come next */
    float *c;
    int64_t ldc;
    int more; /* AVX2: c has the sums of the k before these */
} gemm_tile;

#if defined(__AVX512F__)
/* Written in assembler because compilers load the value once for each of its uses. */
#define FMA(sum, x, w) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))
#else
/* Sums a and b of eight columns each. Written in assembler: compilers copy sums from register to
 * register. */
#define FMA(a, b, x, w, w_b)                                                                       \
    {                                                                                              \
        __m256 one;                                                                                \
        __asm__("vbroadcastss %3, %2\n\t"                                                          \
                "vfmadd231ps %4, %2, %0\n\t"                                                       \
                "vfmadd231ps %5, %2, %1"                                                           \
                : "+x"(a), "+x"(b), "=&x"(one)                                                     \
                : "m"(x), "x"(w), "x"(w_b));                                                       \
    }
#endif
/* Keeps the compiler from computing the distances of all rows, for which registers are too few. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

#if defined(__AVX512F__)
#define LDB DFQI_PANEL
/* The work of a tile for row p, with one vector of columns (sums a) or two (sums a and b). */
#define BEGIN_1(p) vf a##p = bias;
#define BEGIN_2(p) vf a##p = bias, b##p = bias_b;
#define STEP_1(p)  FMA(a##p, vf_set(x[(p) / 3][(p) % 3 * lda]), weight);
#define STEP_2(p)                                                                                  \
    {                                                                                              \
        const vf one = vf_set(x[(p) / 3][(p) % 3 * lda]);                                          \
        FMA(a##p, one, weight);                                                                    \
        FMA(b##p, one, weight_b);                                                                  \
    }
#define END_1(p)                                                                                   \
    vf_store_tail(c, t->lanes, a##p);                                                              \
    c += t->ldc;
#define END_2(p)                                                                                   \
    vf_store(c, a##p);                                                                             \
    vf_store_tail(c + VF, t->lanes, b##p);                                                         \
    c += t->ldc;
#define BIAS_1 const vf bias = t->bias ? vf_load_tail(t->bias, t->lanes) : vf_set(0.0f);
#define BIAS_2                                                                                     \
    const vf bias = t->bias ? vf_load(t->bias) : vf_set(0.0f);                                     \
    const vf bias_b = t->bias ? vf_load_tail(t->bias + VF, t->lanes) : vf_set(0.0f);
#define WEIGHT_1 const vf weight = vf_load(w);
#define WEIGHT_2                                                                                   \
    WEIGHT_1 const vf weight_b = vf_load(w + VF);                                                  \
    _mm_prefetch((const char *)(w + ahead), _MM_HINT_T1);                                          \
    _mm_prefetch((const char *)(w + ahead + VF), _MM_HINT_T1);
#else
#define LDB t->ldb
#define BEGIN_1(p)                                                                                 \
    const vf begin##p = t->more ? vf_load_tail(c + (p)*t->ldc, t->lanes) : bias;                   \
    __m256 a##p = begin##p.a, b##p = begin##p.b;
#define STEP_1(p) FMA(a##p, b##p, x[(p) / 3][(p) % 3 * lda], weight.a, weight.b);
#define END_1(p)                                                                                   \
    vf_store_tail(c, t->lanes, ((vf){a##p, b##p}));                                                \
    c += t->ldc;
#define BIAS_1   const vf bias = t->bias ? vf_load_tail(t->bias, t->lanes) : vf_set(0.0f);
#define WEIGHT_1 const vf weight = vf_load(w);
#endif

#define TILE(P, V)                                                                                 \
    static void tile_##P##_##V(const gemm_tile *t)                                                 \
    {                                                                                              \
        const int64_t lda = t->lda, ahead = t->ahead;                                              \
        (void)ahead;                                                                               \
        const float *x[POINTERS];                                                                  \
        float *c = t->c;                                                                           \
        for (int i = 0; i < POINTERS; i++) {                                                       \
            x[i] = t->a + 3 * i * lda;                                                             \
            FORGET(x[i]);                                                                          \
        }                                                                                          \
        const int64_t ldb = LDB;                                                                   \
        BIAS_##V REPEAT_##P(BEGIN_##V) for (const float *w = t->b, *end = w + t->k * ldb; w < end; \
                                            w += ldb)                                              \
        {                                                                                          \
            WEIGHT_##V REPEAT_##P(STEP_##V) for (int i = 0; i < POINTERS; i++) x[i]++;             \
        }                                                                                          \
        REPEAT_##P(END_##V)                                                                        \
    }

#define TILE_ARGUMENT gemm_tile
#include "kernel/x86/tile_table.h"

/* All rows of up to COLUMNS columns, in tiles of about the same size. */
static void run_columns(gemm_tile t, int64_t m, int panels)
{
    int64_t most;
    const tile_fn *tiles = tiles_of(panels, &most);
    const int64_t n = (m + most - 1) / most;
    for (int64_t i = 0, first = 0; i < n; i++) {
        const int64_t rows = (i + 1) * m / n - first;
        tiles[rows - 1](&t);
        first += rows;
        t.a += rows * t.lda;
        t.c += rows * t.ldc;
    }
}

#if defined(__AVX512F__)
static void columns_of(gemm_tile t, int64_t m, int panels)
{
    run_columns(t, m, panels);
}

static int64_t rows_together(int64_t k)
{
    (void)k;
    return INT64_MAX;
}
#else
/* Rows of a panel are so far apart that its lines meet in a few sets of the L1 cache: some are
 * copied beside each other. */
static void columns_of(gemm_tile t, int64_t m, int panels)
{
    enum { K = 256, FEW = 12 };
    float beside[K * COLUMNS] __attribute__((aligned(64)));
    gemm_tile part = t;
    if (m < FEW) {
        run_columns(t, m, panels);
        return;
    }
    part.b = beside;
    part.ldb = COLUMNS;
    for (int64_t k = 0; k < t.k; k += K) {
        part.k = t.k - k < K ? t.k - k : K;
        for (int64_t i = 0; i < part.k; i++)
            vf_store(beside + i * COLUMNS, vf_load(t.b + (k + i) * t.ldb));
        run_columns(part, m, panels);
        part.a += part.k;
        part.more = 1;
    }
}

/* Rows of the left-hand side that stay in the L2 cache while all columns are computed. */
static int64_t rows_together(int64_t k)
{
    enum { FLOATS = 48 * 1024, LEAST = 48 };
    return FLOATS / (k + 1) > LEAST ? FLOATS / (k + 1) : LEAST;
}
#endif

/* Some rows. */
static void rows_of(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                    const float *packed, const float *bias, float *c, int64_t ldc)
{
    for (int64_t j = 0; j < n; j += COLUMNS) {
        const int64_t left = n - j < COLUMNS ? n - j : COLUMNS, panels = left > VF ? 2 : 1;
        const gemm_tile t = {.a = a,
                             .b = packed + j / DFQI_PANEL * k * DFQI_PANEL + j % DFQI_PANEL,
                             .bias = bias ? bias + j : NULL,
                             .lda = lda,
                             .ldb = DFQI_PANEL,
                             .k = k,
                             .ahead = (j + COLUMNS) % DFQI_PANEL ? COLUMNS
                                                                 : (k - 1) * DFQI_PANEL + COLUMNS,
                             .lanes = left - (panels - 1) * VF,
                             .c = c + j,
                             .ldc = ldc};
        columns_of(t, m, (int)panels);
    }
}

void ISA(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *packed, const float *bias, float *c, int64_t ldc)
{
    const int64_t rows = rows_together(k);
    for (int64_t i = 0; i < m; i += rows)
        rows_of(m - i < rows ? m - i : rows, n, k, a + i * lda, lda, packed, bias, c + i * ldc,
                ldc);
}

void ISA(gemm_nt)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    ISA(pack)(1, k, n, b, ldb, scratch);
    ISA(gemm_packed)(m, n, k, a, lda, scratch, NULL, c, ldc);
}
