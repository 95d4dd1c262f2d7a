/* Matrix products with AVX2. A is cut into blocks of rows and of k that stay in the L2 cache. For
 * each of them, 16 columns of B at a time are copied beside each other into the L1 cache, because
 * rows of B are so far apart that its lines meet in a few sets of a cache; for the same reason a
 * block of a transposed A is copied. Tiles of up to 6 rows by 16 columns keep their sums in
 * registers. Each element is one sum over k in order, whatever the blocks.
 *
 * What will be copied next is fetched into the L2 cache between tiles: rows of several kilobytes
 * are more than a CPU foresees. */
#include "kernel/x86/isa.h"

#if !defined(__AVX512F__)
#include "kernel/x86/repeat.h"
#include "kernel/x86/vec.h"

enum {
    POINTERS = 2,      /* three rows of a tile to a pointer */
    ROWS = 6,          /* of a tile */
    COLUMNS = VF,      /* of a tile */
    BLOCK = 200,       /* rows of a block */
    DEPTH = 256,       /* k of a block: the copied columns take half of an L1 cache */
    STRIP = 64,        /* rows of a block of a transposed A, */
    STRIP_DEPTH = 192, /* its k, */
    STRIP_WIDTH = 512, /* and columns of C that stay in the L2 cache for all k */
    FEW_ROWS = 12,     /* fewer rows do not pay for a copy of B, */
    FEW_COLUMNS = 96,  /* fewer columns not for a copy of A */
    NEAR = 4096,       /* floats of a B that fits into the L1 cache as it is */
    LINE = 64
};

/* A tile of C, which has the sums of the k before these if `more`. */
typedef struct gemm_tile {
    const float *a, *b, *bias; /* bias NULL: 0 */
    int64_t row, step;         /* floats from a row of A to the next, and from one k to the next */
    int64_t ldb, k, lanes;     /* lanes: columns that exist */
    float *c;
    int64_t ldc;
    int more;
} gemm_tile;

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
/* Keeps the compiler from computing the distances of all rows, for which registers are too few. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

#define BEGIN(p)                                                                                   \
    const vf begin##p = t->more ? vf_load_tail(c + (p)*t->ldc, t->lanes) : bias;                   \
    __m256 a##p = begin##p.a, b##p = begin##p.b;
#define STEP(p) FMA(a##p, b##p, x[(p) / 3][(p) % 3 * row], weight.a, weight.b);
#define END(p)                                                                                     \
    vf_store_tail(c, t->lanes, ((vf){a##p, b##p}));                                                \
    c += t->ldc;

#define TILE(P, V)                                                                                 \
    static void tile_##P##_##V(const gemm_tile *t)                                                 \
    {                                                                                              \
        const int64_t row = t->row, step = t->step, ldb = t->ldb;                                  \
        const float *x[POINTERS];                                                                  \
        float *c = t->c;                                                                           \
        for (int i = 0; i < POINTERS; i++) {                                                       \
            x[i] = t->a + 3 * i * row;                                                             \
            FORGET(x[i]);                                                                          \
        }                                                                                          \
        const vf bias = t->bias ? vf_load_tail(t->bias, t->lanes) : vf_set(0.0f);                  \
        REPEAT_##P(BEGIN) for (const float *w = t->b, *end = w + t->k * ldb; w < end; w += ldb)    \
        {                                                                                          \
            const vf weight = vf_load(w);                                                          \
            REPEAT_##P(STEP) for (int i = 0; i < POINTERS; i++) x[i] += step;                      \
        }                                                                                          \
        REPEAT_##P(END)                                                                            \
    }

#define TILE_ARGUMENT gemm_tile
#include "kernel/x86/tile_table.h"

/* Rows that are read soon, of which some are fetched `at_once`. */
typedef struct soon {
    const float *at;
    int64_t ld, cols, rows, at_once;
} soon;

/* C[m,n] = A B, or + C if `more`. Column j of B begins at b + j / 64 * panel + j % 64. */
typedef struct product {
    int64_t m, n, k;
    const float *a;
    int64_t row, step; /* as in a tile; step 0: A is copied, tile after tile */
    const float *b;
    int64_t ldb, panel;
    int padded; /* B has 16 columns in its last tile, too */
    const float *bias;
    float *c;
    int64_t ldc;
    int more;
} product;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t parts_of(int64_t m, int64_t most)
{
    return (m + most - 1) / most;
}

static void fetch(soon *s)
{
    const int64_t n = least(s->rows, s->at_once);
    for (int64_t i = 0; i < n; i++, s->at += s->ld)
        for (int64_t c = 0; c < s->cols; c += LINE / (int64_t)sizeof *s->at)
            _mm_prefetch((const char *)(s->at + c), _MM_HINT_T1);
    s->rows -= n;
}

static const float *column(const product *p, int64_t j)
{
    return p->b + j / DFQI_PANEL * p->panel + j % DFQI_PANEL;
}

/* All rows of the columns of which `t` is the first tile, in tiles of about the same size. */
static void run_rows(const product *p, gemm_tile t, soon *right, soon *left)
{
    int64_t most;
    const tile_fn *tiles = tiles_of(1, &most);
    const int64_t n = parts_of(p->m, most), few = p->m / n, more = p->m % n;
    right->at_once = parts_of(right->rows, n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t rows = few + (i < more);
        fetch(right);
        fetch(left);
        for (int64_t r = rows; t.more && i + 1 < n && r < rows + few; r++)
            _mm_prefetch((const char *)(t.c + r * t.ldc), _MM_HINT_T0);
        if (!p->step) t.step = rows;
        tiles[rows - 1](&t);
        t.a += rows * (p->step ? p->row : p->k);
        t.c += rows * t.ldc;
    }
}

/* All rows of the columns of a tile. */
static void run_columns(const product *p, int64_t j, soon *left)
{
    float beside[DEPTH * COLUMNS] __attribute__((aligned(LINE)));
    const int64_t lanes = least(p->n - j, COLUMNS), there = p->padded ? COLUMNS : lanes;
    const int copied = p->m >= FEW_ROWS && p->k * p->ldb > NEAR;
    gemm_tile t = {.a = p->a,
                   .b = column(p, j),
                   .bias = p->bias ? p->bias + j : NULL,
                   .row = p->row,
                   .step = p->step,
                   .ldb = p->ldb,
                   .k = p->k,
                   .lanes = lanes,
                   .c = p->c + j,
                   .ldc = p->ldc,
                   .more = p->more};
    soon right = {0};
    if (copied || there < COLUMNS) {
        for (int64_t i = 0; i < p->k; i++)
            vf_store(beside + i * COLUMNS, vf_load_tail(t.b + i * p->ldb, there));
        t.b = beside;
        t.ldb = COLUMNS;
    }
    if (copied && j + COLUMNS < p->n)
        right = (soon){.at = column(p, j + COLUMNS), .ld = p->ldb, .rows = p->k, .cols = 1};
    run_rows(p, t, &right, left);
}

/* Copies rows of a transposed A, tile after tile, as out[k][rows of the tile]. Full vectors are
 * stored: what is too much is overwritten by the next, and lies behind the end at last. */
static void copy_strip(int64_t m, int64_t k, const float *a, int64_t lda, float *out)
{
    const int64_t n = parts_of(m, ROWS), few = m / n, more = m % n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t rows = few + (i < more);
        const __m256i lanes = vm_first_half(rows);
        for (int64_t q = 0; q < k; q++, out += rows)
            _mm256_storeu_ps(out, _mm256_maskload_ps(a + q * lda, lanes));
        a += rows;
    }
}

/* A block of rows. Without k, C gets the bias. */
static void run_block(product p)
{
    const int64_t all = p.k, depth = parts_of(all, all > DEPTH ? parts_of(all, DEPTH) : 1);
    int64_t k = 0;
    do {
        soon left = {0};
        p.k = least(all - k, depth);
        for (int64_t j = 0; j < p.n; j += COLUMNS) run_columns(&p, j, &left);
        p.a += p.k * p.step;
        p.b += p.k * p.ldb;
        p.more = 1;
        k += p.k;
    } while (k < all);
}

/* A block of rows of a transposed A, copied. */
static void run_strip(product p, const float *a, int64_t lda)
{
    float strip[STRIP * STRIP_DEPTH + VF] __attribute__((aligned(LINE)));
    const int64_t all = p.k, depth = parts_of(all, parts_of(all, STRIP_DEPTH));
    const int64_t tiles = parts_of(p.m, ROWS) * parts_of(p.n, COLUMNS);
    p.a = strip;
    p.step = 0;
    for (int64_t k = 0; k < all; k += p.k, p.more = 1) {
        p.k = least(all - k, depth);
        copy_strip(p.m, p.k, a, lda, strip);
        a += p.k * lda;
        soon left = {.at = a, .ld = lda, .cols = p.m, .rows = least(all - k - p.k, depth)};
        left.at_once = parts_of(left.rows, tiles);
        for (int64_t j = 0; j < p.n; j += COLUMNS) run_columns(&p, j, &left);
        p.b += p.k * p.ldb;
    }
}

/* All rows of a transposed A, copied; a group of columns after the other. */
static void run_strips(const product *p)
{
    product part = *p;
    for (int64_t j = 0; j < p->n; j += STRIP_WIDTH)
        for (int64_t i = 0; i < p->m; i += STRIP) {
            part.m = least(p->m - i, STRIP);
            part.n = least(p->n - j, STRIP_WIDTH);
            part.b = p->b + j;
            part.c = p->c + i * p->ldc + j;
            run_strip(part, p->a + i, p->step);
        }
}

static void run_blocks(const product *p)
{
    if (p->m <= 0) return;
    const int64_t rows = parts_of(p->m, parts_of(p->m, BLOCK));
    product part = *p;
    for (int64_t i = 0; i < p->m; i += rows) {
        part.m = least(p->m - i, rows);
        run_block(part);
        part.a += part.m * p->row;
        part.c += part.m * p->ldc;
    }
}

void ISA(gemm)(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
               const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc)
{
    const product p = {.m = m,
                       .n = n,
                       .k = k,
                       .a = a,
                       .row = trans_a ? 1 : lda,
                       .step = trans_a ? lda : 1,
                       .b = b,
                       .ldb = ldb,
                       .panel = DFQI_PANEL,
                       .c = c,
                       .ldc = ldc,
                       .more = accumulate};
    if (trans_a && m >= FEW_ROWS && n >= FEW_COLUMNS && k > 0)
        run_strips(&p);
    else
        run_blocks(&p);
}

void ISA(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *packed, const float *bias, float *c, int64_t ldc)
{
    run_blocks(&(product){.m = m,
                          .n = n,
                          .k = k,
                          .a = a,
                          .row = lda,
                          .step = 1,
                          .b = packed,
                          .ldb = DFQI_PANEL,
                          .panel = k * DFQI_PANEL,
                          .padded = 1,
                          .bias = bias,
                          .c = c,
                          .ldc = ldc});
}

void ISA(gemm_nt)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float *c, int64_t ldc, float *scratch)
{
    ISA(pack)(1, k, n, b, ldb, scratch);
    ISA(gemm_packed)(m, n, k, a, lda, scratch, NULL, c, ldc);
}
#endif
