/* Guarded buffers, random operands of products, and what products must be. */
#define _DEFAULT_SOURCE
#include "kernel/int_support.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/codes.h"
#include "support/skip.h"

static const char guard = 0x5a;

pages pages_begin(uint64_t seed)
{
    const char *loose = getenv("DFQT_LOOSE_PAGES");
    pages p = {.rng = dfqi_rng_make(seed, 78), .loose = loose && *loose == '1' ? PAGES_LOOSE : 0};
    return p;
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *pages_take(pages *p, size_t bytes, size_t align)
{
    size_t page = page_size(), used = (bytes + align + p->loose + page - 1) / page * page;
    ck_assert_int_lt(p->n, PAGES_MAX);
    char *base =
        mmap(NULL, used + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    ck_assert_int_eq(mprotect(base + used, page, PROT_NONE), 0);
    for (size_t i = 0; i < used - p->loose; i++) base[i] = (char)dfqi_rng_below(&p->rng, 256);
    memset(base + used - p->loose, guard, p->loose);
    p->base[p->n] = base;
    p->size[p->n++] = used + page;
    return base + (used - p->loose - bytes) / align * align;
}

void pages_end(pages *p)
{
    while (p->n > 0) {
        p->n--;
        const char *end = p->base[p->n] + p->size[p->n] - page_size();
        for (size_t i = 1; i <= p->loose; i++)
            ck_assert_msg(end[-(ptrdiff_t)i] == guard, "wrote behind a buffer");
        munmap(p->base[p->n], p->size[p->n]);
    }
}

float *take_floats(pages *p, size_t n, float lo, float hi)
{
    float *x = pages_take(p, n * sizeof *x, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = dfqi_rng_range(&p->rng, lo, hi);
    return x;
}

int64_t draw(pages *p, int64_t lo, int64_t hi)
{
    return lo + (int64_t)dfqi_rng_below(&p->rng, (uint32_t)(hi - lo + 1));
}

uint8_t *take_bytes(pages *p, size_t n, int32_t lo, int32_t hi)
{
    uint8_t *x = pages_take(p, n, 1);
    for (size_t i = 0; i < n; i++) x[i] = (uint8_t)draw(p, lo, hi);
    return x;
}

int32_t *take_ints(pages *p, size_t n, int32_t lo, int32_t hi)
{
    int32_t *x = pages_take(p, n * sizeof *x, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (int32_t)draw(p, lo, hi);
    return x;
}

void same_floats(size_t n, const float *got, const float *want, const char *what)
{
    for (size_t i = 0; i < n; i++)
        dfqt_each(memcmp(&got[i], &want[i], sizeof *got) == 0 || (isnan(got[i]) && isnan(want[i])),
                  "%s[%zu]: %.9g, expected %.9g", what, i, (double)got[i], (double)want[i]);
}

void same_bytes(size_t n, const uint8_t *got, const uint8_t *want, const char *what)
{
    for (size_t i = 0; i < n; i++)
        dfqt_each(got[i] == want[i], "%s[%zu]: %d, expected %d", what, i, got[i], want[i]);
}

const dfqi_int_kernels *int_table(int i)
{
    const dfqi_int_kernels *list[DFQT_INT_TABLES];
    int n = dfqi_int_kernels_list(list, DFQT_INT_TABLES);
    if (i >= n) dfqt_skip("this machine has %d tables of integer kernels", n);
    return list[i];
}

const dfqi_kernels *float_table(const dfqi_int_kernels *t)
{
    const dfqi_kernels *list[8];
    int n = dfqi_kernels_list(list, 8);
    for (int i = 0; i < n; i++)
        if (strncmp(list[i]->name, t->level, strlen(t->level)) == 0) return list[i];
    ck_abort_msg("no float table for %s", t->name);
    return NULL;
}

int8_t *take_codes(pages *p, size_t count, int bits)
{
    int32_t half = 1 << (bits - 1), how = (int32_t)draw(p, 0, 5);
    int8_t *codes = pages_take(p, count, 1);
    for (size_t i = 0; i < count; i++) {
        int32_t low = how == 0 || (how == 2 && draw(p, 0, 1)), high = how == 1 || how == 2;
        codes[i] = (int8_t)(low ? -half : high ? half - 1 : draw(p, -half, half - 1));
    }
    return codes;
}

int32_t take_most(pages *p)
{
    static const int32_t most[] = {0, 1, 7, 15, 30, 31, 32, 42, 63, 127, 255};
    return most[draw(p, 0, (int32_t)(sizeof most / sizeof *most) - 1)];
}

/* -- outputs of products ----------------------------------------------------------------------- */

void take_grids(pages *p, dfqi_int_rows *a, int64_t m)
{
    int how = (int)draw(p, 0, 2); /* 0: no zero points, 1: extreme ones */
    a->one_grid = (int)draw(p, 0, 1);
    size_t n = a->one_grid ? 1 : (size_t)m;
    a->scale = take_floats(p, n, 1e-3f, 1.0f);
    a->zero_point = how == 0 ? NULL : take_ints(p, n, how == 1 ? 255 : 0, 255);
}

target take_target(pages *p, int64_t m, int64_t n)
{
    target t = {0};
    dfqi_int_output *o = &t.out;
    int how = (int)draw(p, 0, 3), to = (int)draw(p, 0, 2);
    size_t ld = (size_t)(n + draw(p, 0, 9));
    if (draw(p, 0, 3)) o->bias = take_floats(p, (size_t)n, -5.0f, 5.0f);
    if (to != 0) {
        o->y = take_floats(p, (size_t)m * ld, -1.0f, 1.0f);
        o->ld_y = (int64_t)ld;
    }
    if (to != 1) {
        int32_t bits = (int32_t)draw(p, 2, 8), is_signed = (int32_t)draw(p, 0, 1);
        t.grid_scale = take_floats(p, 1, 0.01f, 30.0f);
        t.grid_zero_point = take_floats(p, 1, -3.0f, 20.0f);
        t.grid = (dfqi_grid){t.grid_scale, draw(p, 0, 1) ? t.grid_zero_point : NULL, 1,
                             is_signed ? -(float)(1 << (bits - 1)) : 0.0f, 0.0f};
        t.grid.qmax = t.grid.qmin + (float)((1 << bits) - 1);
        o->q = take_bytes(p, (size_t)m * ld, 0, 255);
        o->ld_q = (int64_t)ld;
    }
    if (how == 1) o->add = take_floats(p, (size_t)m * ld, -9.0f, 9.0f), o->ld_add = (int64_t)ld;
    if (how == 1 && o->y && draw(p, 0, 1)) o->add = o->y;
    if (how == 2) {
        o->add_codes = o->q && draw(p, 0, 1) ? o->q : take_bytes(p, (size_t)m * ld, 0, 255);
        o->ld_add_codes = (int64_t)ld;
        o->add_scale = dfqi_rng_range(&p->rng, 0.01f, 1.0f);
        o->add_zero_point = (int32_t)draw(p, 0, 255);
    }
    o->relu = (int)draw(p, 0, 1);
    o->cap = draw(p, 0, 1) ? 6.0f : INFINITY;
    return t;
}

static float want_float(const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *o,
                        int64_t i, int64_t j, int64_t sum)
{
    int64_t grid = a->one_grid ? 0 : i;
    int64_t t = sum - (a->zero_point ? (int64_t)a->zero_point[grid] * b->sum[j] : 0);
    ck_assert(t >= INT32_MIN && t <= INT32_MAX);
    volatile float y = (float)t * a->scale[grid];
    y = y * b->scale[j];
    if (o->bias) y = y + o->bias[j];
    if (o->add) y = y + o->add[i * o->ld_add + j];
    if (o->add_codes) {
        volatile float add =
            (float)(o->add_codes[i * o->ld_add_codes + j] - o->add_zero_point) * o->add_scale;
        y = y + add;
    }
    if (o->relu && y < 0.0f) y = 0.0f;
    if (o->relu && y > o->cap) y = o->cap;
    return y;
}

static uint8_t want_code(const dfqi_grid *g, float y)
{
    float z = g->zero_point ? rintf(g->zero_point[0]) : 0.0f;
    float code = dfqi_code_uniform(y, g->scale[0], z, g->qmin, g->qmax);
    return (uint8_t)(isnan(code) ? 0.0f : code - g->qmin);
}

wanted want_product(pages *p, const target *t, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                    int64_t m, const int64_t *sums)
{
    const dfqi_int_output *o = &t->out;
    wanted w = {0};
    if (o->y) w.y = pages_take(p, (size_t)(m * o->ld_y) * sizeof *w.y, sizeof *w.y);
    if (o->q) w.q = pages_take(p, (size_t)(m * o->ld_q), 1);
    if (o->y) memcpy(w.y, o->y, (size_t)(m * o->ld_y) * sizeof *w.y);
    if (o->q) memcpy(w.q, o->q, (size_t)(m * o->ld_q));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < b->n; j++) {
            float y = want_float(a, b, o, i, j, sums[i * b->n + j]);
            if (o->y) w.y[i * o->ld_y + j] = y;
            if (o->q) w.q[i * o->ld_q + j] = want_code(&t->grid, y);
        }
    return w;
}

void check_target(const target *t, int64_t m, const wanted *w, const char *what)
{
    if (w->y) same_floats((size_t)(m * t->out.ld_y), t->out.y, w->y, what);
    if (w->q) same_bytes((size_t)(m * t->out.ld_q), t->out.q, w->q, what);
}
