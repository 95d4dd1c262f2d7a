/* Products with a packed right-hand side, with AVX-512: tiles of up to 12 rows by 32 columns, whose
 * sums stay in registers. A value of the left-hand side is loaded once for both registers of a row
 * of the right-hand side, because loads limit such products. Each element is one sum over k in
 * order, whatever the tile. */
#include "kernel/x86/isa.h"

#if defined(__AVX512F__)
#include "kernel/x86/repeat.h"
#include "kernel/x86/vec.h"

enum { COLUMNS = 32, POINTERS = 6 }; /* three rows to a pointer */

/* Rows of C from the first element of a tile on; `lanes` columns of its last vector exist. */
typedef struct gemm_tile {
    const float *a, *b, *bias; /* bias NULL: 0 */
    int64_t lda, k, lanes;
    int64_t ahead; /* floats from b to the columns that come next */
    float *c;
    int64_t ldc;
} gemm_tile;

/* Written in assembler because compilers load the value once for each of its uses. */
#define FMA(sum, x, w) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))
/* Keeps the compiler from computing the distances of all rows, for which registers are too few. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

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
        BIAS_##V REPEAT_##P(BEGIN_##V) for (const float *w = t->b, *end = w + t->k * DFQI_PANEL;   \
                                            w < end; w += DFQI_PANEL)                              \
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

void ISA(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *packed, const float *bias, float *c, int64_t ldc)
{
    for (int64_t j = 0; j < n; j += COLUMNS) {
        const int64_t left = n - j < COLUMNS ? n - j : COLUMNS, panels = left > VF ? 2 : 1;
        const gemm_tile t = {.a = a,
                             .b = packed + j / DFQI_PANEL * k * DFQI_PANEL + j % DFQI_PANEL,
                             .bias = bias ? bias + j : NULL,
                             .lda = lda,
                             .k = k,
                             .ahead = (j + COLUMNS) % DFQI_PANEL ? COLUMNS
                                                                 : (k - 1) * DFQI_PANEL + COLUMNS,
                             .lanes = left - (panels - 1) * VF,
                             .c = c + j,
                             .ldc = ldc};
        run_columns(t, m, (int)panels);
    }
}

void ISA(gemm_nt)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    ISA(pack)(1, k, n, b, ldb, scratch);
    ISA(gemm_packed)(m, n, k, a, lda, scratch, NULL, c, ldc);
}
#endif
