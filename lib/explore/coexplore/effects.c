/* Ridge regression of path losses, or of gradients by gates, on the paths' choices (effects.h). */
#include "explore/coexplore/effects.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* The ridge, in rounds: with noise of a batch's size an effect counts half when its choice was
 * compared with others so many times. */
static const double ridge = 10;

void dfqi_effects_fini(dfqi_effects *f)
{
    if (!f->ctx) return;
    dfqi_free(f->ctx, f->state);
    dfqi_free(f->ctx, f->e);
    dfqi_free(f->ctx, f->first);
    dfqi_free(f->ctx, f->scratch);
    memset(f, 0, sizeof *f);
}

dfq_status dfqi_effects_new(dfq_context *ctx, int32_t n_cells, const int32_t *choices, double decay,
                            dfqi_effects *out)
{
    dfqi_effects f = {.ctx = ctx, .n_cells = n_cells, .decay = decay};
    f.first = dfqi_calloc(ctx, (size_t)n_cells + 1, sizeof *f.first);
    if (!f.first) return DFQ_E_NOMEM;
    for (int32_t c = 0; c < n_cells; c++) f.first[c + 1] = f.first[c] + choices[c];
    f.total = f.first[n_cells];
    size_t n = (size_t)f.total;
    f.size = n * n + 2 * n + 2;
    f.state = dfqi_calloc(ctx, f.size, sizeof *f.state);
    f.e = dfqi_calloc(ctx, n, sizeof *f.e);
    f.scratch = dfqi_calloc(ctx, n * n + n, sizeof *f.scratch);
    if (!f.state || !f.e || !f.scratch) {
        dfqi_effects_fini(&f);
        return DFQ_E_NOMEM;
    }
    f.a = f.state;
    f.b = f.a + n * n;
    f.seen = f.b + n;
    f.sums = f.seen + n;
    *out = f;
    return DFQ_OK;
}

/* (A + ridge I) e = b by Cholesky's decomposition. A is positive semidefinite. */
void dfqi_effects_solve(dfqi_effects *f)
{
    size_t n = (size_t)f->total;
    double *l = f->scratch, predicted = 0;
    for (size_t i = 0; i < n; i++) {
        double y = f->b[i];
        for (size_t j = 0; j <= i; j++) {
            double v = f->a[i * n + j] + (i == j ? ridge : 0);
            for (size_t k = 0; k < j; k++) v -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? sqrt(v) : v / l[j * n + j];
        }
        for (size_t k = 0; k < i; k++) y -= l[i * n + k] * f->e[k];
        f->e[i] = y / l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) f->e[i] -= l[k * n + i] * f->e[k];
        f->e[i] /= l[i * n + i];
    }
    for (size_t i = 0; i < n; i++) predicted += f->seen[i] * f->e[i];
    f->level = f->sums[0] > 0 ? (f->sums[1] - predicted) / f->sums[0] : 0;
}

void dfqi_effects_add(dfqi_effects *f, int32_t n, const int32_t *paths, const double *losses)
{
    size_t total = (size_t)f->total;
    double *mean = f->scratch, *d = mean + total, average = 0; /* total is 1 at least */
    for (size_t i = 0; i < f->size; i++) f->state[i] *= f->decay;
    memset(mean, 0, total * sizeof *mean);
    for (int32_t k = 0; k < n; k++) {
        average += losses[k] / n;
        for (int32_t c = 0; c < f->n_cells; c++)
            mean[f->first[c] + paths[k * f->n_cells + c]] += 1.0 / n;
    }
    for (int32_t k = 0; k < n; k++) {
        for (size_t i = 0; i < total; i++) d[i] = -mean[i];
        for (int32_t c = 0; c < f->n_cells; c++) d[f->first[c] + paths[k * f->n_cells + c]] += 1;
        for (size_t i = 0; i < total; i++) {
            f->b[i] += d[i] * (losses[k] - average);
            for (size_t j = 0; j < total; j++) f->a[i * total + j] += d[i] * d[j];
        }
    }
    for (size_t i = 0; i < total; i++) f->seen[i] += mean[i];
    f->sums[0] += 1;
    f->sums[1] += average;
    dfqi_effects_solve(f);
}

void dfqi_effects_add_gates(dfqi_effects *f, int32_t n, const int32_t *paths, const double *losses,
                            const double *gates)
{
    for (size_t i = 0; i < f->size; i++) f->state[i] *= f->decay;
    f->sums[0] += 1;
    for (int32_t k = 0; k < n; k++) {
        f->sums[1] += losses[k] / n;
        for (int32_t c = 0; c < f->n_cells; c++) {
            size_t i = (size_t)f->first[c] + (size_t)paths[k * f->n_cells + c];
            f->a[i * (size_t)f->total + i] += 1; /* the regression of numbers on one choice each */
            f->b[i] += gates[k * f->n_cells + c];
            f->seen[i] += 1.0 / n;
        }
    }
    dfqi_effects_solve(f);
}

double dfqi_effects_loss(const dfqi_effects *f, const double *p)
{
    double sum = f->level;
    for (int32_t i = 0; i < f->total; i++) sum += p[i] * f->e[i];
    return sum;
}
