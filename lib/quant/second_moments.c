/* Sums of second moments (second_moments.h): strips of rows of the result, one a body of a parallel
 * loop. */
#include "quant/second_moments.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { STRIP = 48 };

typedef struct job {
    const dfqi_kernels *k;
    dfqi_input_moments *m;
    int64_t rows, strips;
    const float *student, *teacher;
    float *scratch; /* [threads][STRIP][n] */
} job;

dfq_status dfqi_input_moments_new(dfq_context *ctx, int64_t n, dfqi_input_moments *out)
{
    dfqi_input_moments m = {.n = n};
    size_t size = (size_t)n;
    m.self = dfqi_calloc(ctx, size * size, sizeof *m.self);
    m.cross = dfqi_calloc(ctx, size * size, sizeof *m.cross);
    m.student = dfqi_calloc(ctx, 2 * size, sizeof *m.student);
    if (!m.self || !m.cross || !m.student) {
        dfqi_input_moments_fini(ctx, &m);
        return DFQ_E_NOMEM;
    }
    m.teacher = m.student + n;
    *out = m;
    return DFQ_OK;
}

void dfqi_input_moments_fini(dfq_context *ctx, dfqi_input_moments *m)
{
    dfqi_free(ctx, m->self);
    dfqi_free(ctx, m->cross);
    dfqi_free(ctx, m->student);
    *m = (dfqi_input_moments){0};
}

size_t dfqi_input_moments_scratch(const dfq_context *ctx, int64_t n)
{
    return (size_t)ctx->threads * STRIP * (size_t)n;
}

static void add_sums(int64_t rows, int64_t n, const float *x, double *sum)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < n; c++) sum[c] += (double)x[r * n + c];
}

/* Bodies: strips of `cross`, strips of `self` up to the diagonal, and both sums. */
static void add_strip(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    dfqi_input_moments *m = j->m;
    int64_t n = m->n, self = i >= j->strips, first = (i - (self ? j->strips : 0)) * STRIP;
    if (i >= 2 * j->strips) {
        int teacher = i > 2 * j->strips;
        add_sums(j->rows, n, teacher ? j->teacher : j->student, teacher ? m->teacher : m->student);
        return;
    }
    int64_t strip = n - first < STRIP ? n - first : STRIP, cols = self ? first + strip : n;
    float *part = j->scratch + thread * STRIP * n;
    double *to = (self ? m->self : m->cross) + first * n;
    j->k->gemm(1, strip, cols, j->rows, j->student + first, n, self ? j->student : j->teacher, n, 0,
               part, cols);
    for (int64_t r = 0; r < strip; r++)
        for (int64_t c = 0; c < cols; c++) to[r * n + c] += (double)part[r * cols + c];
}

void dfqi_input_moments_add(dfq_context *ctx, dfqi_input_moments *m, int64_t rows,
                            const float *student, const float *teacher, float *scratch)
{
    job j = {.k = dfqi_kernels_get(ctx), .m = m, .scratch = scratch};
    j.strips = (m->n + STRIP - 1) / STRIP;
    for (int64_t r = 0; r < rows; r += DFQI_MOMENTS_ROWS) {
        j.rows = rows - r < DFQI_MOMENTS_ROWS ? rows - r : DFQI_MOMENTS_ROWS;
        j.student = student + r * m->n;
        j.teacher = teacher + r * m->n;
        dfqi_parallel_for(ctx, 2 * j.strips + 2, add_strip, &j);
    }
    m->rows += (double)rows;
}

bool dfqi_input_moments_end(dfqi_input_moments *m)
{
    bool finite = true;
    for (int64_t r = 0; r < m->n; r++)
        for (int64_t c = 0; c < m->n; c++) {
            if (c > r) m->self[r * m->n + c] = m->self[c * m->n + r];
            finite = finite && isfinite(m->self[r * m->n + c]) && isfinite(m->cross[r * m->n + c]);
        }
    return finite;
}
