/* Transposition in blocks of 16 x 16, and packing of the right-hand sides of matrix products. */
#include "kernel/x86/block.h"
#include "kernel/x86/isa.h"

void ISA(transpose)(int64_t rows, int64_t cols, const float *in, int64_t ld_in, float *out,
                    int64_t ld_out)
{
    for (int64_t i = 0; i < rows; i += VF)
        for (int64_t j = 0; j < cols; j += VF) {
            vf v[16];
            const int64_t r = at_most_16(rows - i);
            const int64_t c = at_most_16(cols - j);
            float *at = out + j * ld_out + i;
            load_block(r, c, in + i * ld_in + j, ld_in, v);
            if (r == VF && c == VF) {
                for (int t = 0; t < VF; t++) vf_store(at + t * ld_out, v[t]);
            } else {
                for (int t = 0; t < c; t++) vf_store_tail(at + t * ld_out, r, v[t]);
            }
        }
}

/* One panel of a transposed right-hand side: w of its 64 columns exist. */
static void pack_panel_trans(int64_t k, int64_t w, const float *b, int64_t ldb, float *out)
{
    for (int64_t j = 0; j < DFQI_PANEL; j += VF)
        for (int64_t p = 0; p < k; p += VF) {
            vf v[16];
            const int64_t c = at_most_16(k - p);
            float *at = out + p * DFQI_PANEL + j;
            if (j < w)
                load_block(at_most_16(w - j), c, b + j * ldb + p, ldb, v);
            else
                for (int t = 0; t < VF; t++) v[t] = vf_set(0.0f);
            for (int t = 0; t < c; t++) vf_store(at + t * DFQI_PANEL, v[t]);
        }
}

static void pack_panel(int64_t k, int64_t w, const float *b, int64_t ldb, float *out)
{
    for (int64_t p = 0; p < k; p++, b += ldb, out += DFQI_PANEL)
        for (int64_t j = 0; j < DFQI_PANEL; j += VF)
            vf_store(out + j, j < w ? vf_load_tail(b + j, w - j) : vf_set(0.0f));
}

void ISA(pack)(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out)
{
    for (int64_t j = 0; j < n; j += DFQI_PANEL, out += k * DFQI_PANEL) {
        const int64_t w = n - j < DFQI_PANEL ? n - j : DFQI_PANEL;
        if (trans)
            pack_panel_trans(k, w, b + j * ldb, ldb, out);
        else
            pack_panel(k, w, b + j, ldb, out);
    }
}
