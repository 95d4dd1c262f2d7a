/* Sums of second moments (second_moments.h). */
#include "quant/second_moments.h"

#include <string.h>

static void put_away(dfqi_second_moments *m)
{
    size_t n = (size_t)(m->cols * m->cols);
    for (size_t i = 0; i < n; i++) m->total[i] += (double)m->sum[i];
    memset(m->sum, 0, n * sizeof *m->sum);
    m->rows = 0;
}

void dfqi_second_moments_add(const dfqi_kernels *k, dfqi_second_moments *m, const float *x,
                             int64_t rows)
{
    int64_t n = m->cols;
    if (m->rows > 0 && m->rows + rows > DFQI_MOMENTS_ROWS) put_away(m);
    k->gemm(1, n, n, rows, x, n, x, n, 1, m->sum, n);
    m->rows += rows;
}

void dfqi_second_moments_end(dfqi_second_moments *m)
{
    for (int64_t i = 0; i < m->cols * m->cols; i++)
        m->sum[i] = (float)(m->total[i] + (double)m->sum[i]);
}
