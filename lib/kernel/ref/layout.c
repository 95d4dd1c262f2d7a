/* Transposition in plain C. */
#include "kernel/ref/ref.h"

void dfqi_ref_transpose(int64_t rows, int64_t cols, const float *in, int64_t ld_in, float *out,
                        int64_t ld_out)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) out[c * ld_out + r] = in[r * ld_in + c];
}
