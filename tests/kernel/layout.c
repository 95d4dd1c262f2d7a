/* Transposition, exactly. */
#include "kernel/support.h"

static void slot_transpose(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < 60; round++) {
        int64_t rows = pool_extent(p, 1, 50), cols = pool_extent(p, 1, 50);
        int64_t ld_in = cols + pool_extent(p, 0, 3), ld_out = rows + pool_extent(p, 0, 3);
        float *in = pool_take(p, (size_t)(rows * ld_in), -1.0f, 1.0f);
        float *out = pool_take(p, (size_t)(cols * ld_out), -1.0f, 1.0f);
        float *want = pool_copy(p, (size_t)(cols * ld_out), out);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) want[c * ld_out + r] = in[r * ld_in + c];
        t->transpose(rows, cols, in, ld_in, out, ld_out);
        check_close((size_t)(cols * ld_out), out, want, 0.0, "transpose");
        pool_end(p);
    }
}

const slot_test layout_slots[] = {SLOT(transpose), {NULL, 0, NULL}};
