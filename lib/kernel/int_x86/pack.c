/* Keys and values become right operands. */
#include <math.h>

#include "kernel/int_layout.h"
#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/row_grids.h"

enum { CHUNK = 64 }; /* codes of a row that are turned at once: a register */

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sixteen rows of 64 codes, of which the groups of four are turned:
 * out[group][row][4]. `groups` of them exist. */
static void turn(const uint8_t *rows, int64_t groups, uint8_t *out)
{
    vf v[VF];
    for (int j = 0; j < VF; j++) v[j] = vf_load((const float *)(const void *)(rows + j * CHUNK));
    vf_transpose(v);
    for (int64_t g = 0; g < groups; g++)
        vf_store((float *)(void *)(out + g * DFQI_INT_BLOCK), v[g]);
}

/* The sums over k of a panel of 16 rows. */
static void panel_sums(int64_t groups, const uint8_t *codes, int64_t n, int32_t *sum)
{
    int32_t all[DFQI_INT_PANEL];
    uint8_t ones[DFQI_INT_BLOCK];
    vi total = vi_set(0);
    memset(ones, 1, sizeof ones);
    for (int64_t g = 0; g < groups; g++) total = vi_dot(total, ones, codes + g * DFQI_INT_BLOCK);
    vi_store(all, total);
    memcpy(sum, all, (size_t)n * sizeof *sum);
}

static void make_coders(int64_t n, int64_t cols, int bits, const float *x, int64_t ldx,
                        row_coder coders[VF], float *scale)
{
    rows_ends e;
    row_grids all;
    rows_ends_of(n, cols, x, ldx, &e);
    const int ordinary = row_grids_of(&e, bits, 1, &all);
    for (int64_t j = 0; j < n; j++) {
        if (ordinary) {
            coders[j] = row_grids_coder(&all, j, bits, 1);
            scale[j] = all.scale[j];
            continue;
        }
        const dfqi_row_grid g = row_grid_of(row_ends_of(cols, x + j * ldx), bits, 1);
        coders[j] = row_coder_of(&g);
        scale[j] = g.scale;
    }
}

/* Rows first .. first + n, n <= 16. */
static void pack_panel(int64_t n, int64_t cols, int bits, const float *x, int64_t ldx,
                       uint8_t *codes, float *scale)
{
    uint8_t rows[VF][CHUNK] __attribute__((aligned(64)));
    row_coder coders[VF];
    make_coders(n, cols, bits, x, ldx, coders, scale);
    memset(rows, 0, sizeof rows);
    for (int64_t c = 0; c < cols; c += CHUNK, codes += CHUNK / DFQI_INT_GROUP * DFQI_INT_BLOCK) {
        const int64_t count = least(cols - c, CHUNK);
        for (int64_t j = 0; j < n; j++) {
            if (count < CHUNK) memset(rows[j], 0, CHUNK);
            row_codes(&coders[j], 1, count, x + j * ldx + c, rows[j]);
        }
        turn(rows[0], dfqi_int_groups(count), codes);
    }
}

void INT_ISA(pack_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                        uint8_t *codes, float *scale, int32_t *sum)
{
    const int64_t groups = dfqi_int_groups(cols);
    for (int64_t j = 0; j < rows; j += DFQI_INT_PANEL, codes += groups * DFQI_INT_BLOCK) {
        const int64_t n = least(rows - j, DFQI_INT_PANEL);
        pack_panel(n, cols, bits, x + j * ldx, ldx, codes, scale + j);
        if (sum) panel_sums(groups, codes, n, sum + j);
    }
}

/* What codes sixteen columns, of which n exist; their scales are stored. */
static row_coder column_coder(int64_t rows, int64_t n, int bits, const float *x, int64_t ldx,
                              float *scale)
{
    float lo[VF], hi[VF], odd[VF], scales[VF];
    row_ends e = row_ends_begin();
    row_coder coder = {0};
    int fast = 1;
    for (int64_t r = 0; r < rows; r++) row_ends_add(&e, vf_load_tail(x + r * ldx, n));
    vf_store(lo, e.lo);
    vf_store(hi, e.hi);
    vf_store(odd, e.odd);
    for (int j = 0; j < VF; j++) {
        const dfqi_row_grid g = dfqi_row_grid_runtime(bits, 1, lo[j], hi[j], odd[j] == 0.0f);
        if (j == 0) coder = row_coder_of(&g);
        fast &= grid_is_ordinary(g.scale, 0.0f);
        scales[j] = g.scale;
    }
    memcpy(scale, scales, (size_t)n * sizeof *scale);
    coder.scale = vf_load(scales);
    coder.inverse = vf_div(vf_set(1.0f), coder.scale);
    coder.far = vf_set(fast ? row_grid_far : -1.0f);
    return coder;
}

void INT_ISA(pack_columns)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                           uint8_t *codes, float *scale, int32_t *sum)
{
    const int64_t groups = dfqi_int_groups(rows);
    for (int64_t j = 0; j < cols; j += DFQI_INT_PANEL, codes += groups * DFQI_INT_BLOCK) {
        const int64_t n = least(cols - j, DFQI_INT_PANEL);
        const row_coder coder = column_coder(rows, n, bits, x + j, ldx, scale + j);
        for (int64_t r = 0; r < rows; r += DFQI_INT_GROUP) {
            vf v[DFQI_INT_GROUP];
            vi q[DFQI_INT_GROUP];
            for (int64_t i = 0; i < DFQI_INT_GROUP; i++)
                v[i] = r + i < rows ? vf_load_tail(x + (r + i) * ldx + j, n) : vf_set(0.0f);
            row_round(&coder, v, q);
            for (int64_t i = 0; i < DFQI_INT_GROUP; i++)
                q[i] = r + i < rows ? vi_max(q[i], vi_set(-coder.limit)) : vi_set(0);
            vi_store((int32_t *)(void *)(codes + r / DFQI_INT_GROUP * DFQI_INT_BLOCK), vi_bytes(q));
        }
        if (sum) panel_sums(groups, codes, n, sum + j);
    }
}
