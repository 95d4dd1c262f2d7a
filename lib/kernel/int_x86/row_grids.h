/* Grids of sixteen rows at once: what a row has once is computed for all of them together. */
#ifndef DFQI_INT_X86_ROW_GRIDS_H
#define DFQI_INT_X86_ROW_GRIDS_H

#include "kernel/int_x86/grids.h"

typedef struct row_grids {
    float scale[VF], inverse[VF];
    int32_t zero_point[VF];
} row_grids;

/* The extremes of sixteen rows, of which those behind the last one are zeros; odd: NaN where a
 * number is not finite. */
typedef struct rows_ends {
    vf lo[VF], hi[VF], odd;
} rows_ends;

/* Rows of 64 columns: heads, and groups of channels. */
static inline void rows_ends_64(int64_t rows, const float *x, int64_t ldx, rows_ends *e)
{
    vf odd[VF_CHAINS];
    vf_chains_set(odd, 0.0f);
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        vf v[VF_CHAINS];
        VF_EACH(VF_CHAINS) v[k] = vf_load(x + k * VF);
        VF_EACH(VF_CHAINS) odd[k] = vf_fma(v[k], vf_set(0.0f), odd[k]);
        e->lo[r] = vf_min(vf_min(v[0], v[1]), vf_min(v[2], v[3]));
        e->hi[r] = vf_max(vf_max(v[0], v[1]), vf_max(v[2], v[3]));
    }
    e->odd = vf_chains_sum(odd);
}

static inline void rows_ends_of(int64_t rows, int64_t cols, const float *x, int64_t ldx,
                                rows_ends *e)
{
    for (int64_t i = rows; i < VF; i++) e->lo[i] = e->hi[i] = vf_set(0.0f);
    if (cols == VF_CHAINS * VF) {
        rows_ends_64(rows, x, ldx, e);
        return;
    }
    vf odd = vf_set(0.0f);
    for (int64_t r = 0; r < rows; r++) {
        const row_ends of = row_ends_of(cols, x + r * ldx);
        e->lo[r] = of.lo;
        e->hi[r] = of.hi;
        odd = vf_add(odd, of.odd);
    }
    e->odd = odd;
}

#if defined(__AVX512F__)
/* Lane i of the result: the smallest, or largest, of all lanes of v[i]. */
static inline __attribute__((always_inline)) vf vf_each_end(const vf v[VF], int largest)
{
    vf a[8], b[4], c[2];
#define END(x, y) (largest ? _mm512_max_ps(x, y) : _mm512_min_ps(x, y))
    for (int i = 0; i < 8; i++)
        a[i] = END(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                   _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        const __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
        b[i] = END(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                   _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
#define JOIN(x, y) END(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd))
    for (int i = 0; i < 2; i++) c[i] = JOIN(b[2 * i], b[2 * i + 1]);
    return JOIN(c[0], c[1]);
#undef JOIN
#undef END
}
#else
static inline vf vf_each_end(const vf v[VF], int largest)
{
    float each[VF];
    for (int i = 0; i < VF; i++) each[i] = largest ? vf_largest(v[i]) : vf_smallest(v[i]);
    return vf_load(each);
}
#endif

/* The grids of sixteen rows, with the bits of dfqi_row_grid_runtime. Returns 0 unless all of them
 * are such as quotients may be computed on by multiplication (grids.h), and finite. */
static inline int row_grids_of(const rows_ends *e, int bits, int is_signed, row_grids *g)
{
    const vf zero = vf_set(0.0f);
    const vf lo = vf_min(vf_each_end(e->lo, 0), zero), hi = vf_max(vf_each_end(e->hi, 1), zero);
    const vf most = vf_set((float)((1 << (is_signed ? bits - 1 : bits)) - 1));
    const vf range = is_signed ? vf_max(vf_sub(zero, lo), hi) : vf_sub(hi, lo);
    vf scale = vf_div(range, most);
    scale = vf_select(vf_lt(scale, vf_set(FLT_MIN)), vf_set(1.0f), scale);
    const vm ordinary = vm_and(vf_lt(vf_set(0x1p-100f), scale), vf_lt(scale, vf_set(0x1p100f)));
    if (vm_bits(ordinary) != (1u << VF) - 1 || vm_bits(vf_nan(e->odd))) return 0;
    vf_store(g->scale, scale);
    vf_store(g->inverse, vf_div(vf_set(1.0f), scale));
    vi_store(g->zero_point, is_signed ? vi_set(0) : vi_round(vf_div(vf_sub(zero, lo), scale)));
    return 1;
}

static inline row_coder row_grids_coder(const row_grids *g, int64_t row, int bits, int is_signed)
{
    return (row_coder){vf_set(g->scale[row]), vf_set(g->inverse[row]), vf_set(row_grid_far),
                       g->zero_point[row], (1 << (is_signed ? bits - 1 : bits)) - 1};
}

#endif
