/* Guarded buffers and comparisons. */
#include "kernel/support.h"

#include <stdlib.h>

#include "support/skip.h"

static const float guard = -12345.678f;

pool pool_begin(uint64_t seed)
{
    pool p = {.rng = dfqi_rng_make(seed, 77)};
    return p;
}

float *pool_take(pool *p, size_t n, float lo, float hi)
{
    ck_assert_int_lt(p->n, POOL_MAX);
    size_t shift = POOL_GUARD + dfqi_rng_below(&p->rng, 16);
    size_t all = shift + n + POOL_GUARD;
    float *base = malloc(all * sizeof *base);
    ck_assert_ptr_nonnull(base);
    for (size_t i = 0; i < all; i++) base[i] = guard;
    for (size_t i = 0; i < n; i++) base[shift + i] = dfqi_rng_range(&p->rng, lo, hi);
    p->base[p->n] = base;
    p->size[p->n] = n;
    p->shift[p->n++] = shift;
    return base + shift;
}

float *pool_copy(pool *p, size_t n, const float *from)
{
    float *to = pool_take(p, n, 0.0f, 1.0f);
    memcpy(to, from, n * sizeof *to);
    return to;
}

int64_t pool_extent(pool *p, int64_t lo, int64_t hi)
{
    return lo + (int64_t)dfqi_rng_below(&p->rng, (uint32_t)(hi - lo + 1));
}

void pool_end(pool *p)
{
    for (int b = 0; b < p->n; b++) {
        const float *base = p->base[b];
        size_t end = p->shift[b] + p->size[b];
        for (size_t i = 0; i < p->shift[b]; i++)
            dfqt_each(base[i] == guard, "buffer %d: written %zu before its begin", b,
                      p->shift[b] - i);
        for (size_t i = end; i < end + POOL_GUARD; i++)
            dfqt_each(base[i] == guard, "buffer %d: written %zu behind its end", b, i - end);
        free(p->base[b]);
    }
    p->n = 0;
}

static bool is_close(double got, double want, double tol)
{
    return got == want || fabs(got - want) <= tol * fmax(1.0, fabs(want));
}

void check_close(size_t n, const float *got, const float *want, double tol, const char *what)
{
    for (size_t i = 0; i < n; i++)
        dfqt_each(is_close((double)got[i], (double)want[i], tol), "%s[%zu]: %.9g, expected %.9g",
                  what, i, (double)got[i], (double)want[i]);
}

void check_mostly(size_t n, const float *got, const float *want, double tol, size_t limit,
                  const char *what)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) bad += !is_close((double)got[i], (double)want[i], tol);
    ck_assert_msg(bad <= limit, "%s: %zu of %zu differ", what, bad, n);
}

void check_number(double got, double want, double tol, const char *what)
{
    dfqt_each(is_close(got, want, tol), "%s: %.12g, expected %.12g", what, got, want);
}

int n_tables(void)
{
    const dfqi_kernels *list[DFQT_TABLES_MAX];
    return dfqi_kernels_list(list, DFQT_TABLES_MAX);
}

void need_table(int i)
{
    if (i >= n_tables()) dfqt_skip("this machine has %d kernel tables", n_tables());
}

const dfqi_kernels *table(int i)
{
    const dfqi_kernels *list[DFQT_TABLES_MAX];
    int n = dfqi_kernels_list(list, DFQT_TABLES_MAX);
    ck_assert_int_lt(i, n);
    return list[i];
}

const dfqi_kernels *reference(void)
{
    return table(n_tables() - 1);
}
