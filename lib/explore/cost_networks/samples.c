/* Draws the samples of samples.h and computes their exact costs. */
#include "explore/cost_networks/samples.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { POOL_MAX = 8192, POOL_STREAM = 0xD1C4 };

static const float soft_share = 0.7f, shape = 0.3f;

/* Gamma(shape + 1) by Marsaglia and Tsang (ACM TOMS 2000), then U^(1 / shape) times it. */
static float draw_gamma(dfqi_rng *r)
{
    float d = shape + 1 - 1.0f / 3, c = 1 / sqrtf(9 * d);
    for (;;) {
        float z = dfqi_rng_normal(r), t = 1 + c * z, v = t * t * t;
        float u = dfqi_rng_uniform(r) + 0x1p-25f; /* in (0, 1) */
        float boost = powf(dfqi_rng_uniform(r) + 0x1p-25f, 1 / shape);
        if (v > 0 && logf(u) < 0.5f * z * z + d - d * v + d * logf(v)) return d * v * boost;
    }
}

static void fill_pool(dfqi_samples *s, uint64_t seed)
{
    const dfqi_domain *space = s->space;
    dfqi_rng r = dfqi_rng_make(seed, POOL_STREAM);
    float *row = s->pool;
    for (uint32_t k = 0; k < s->n_pool; k++, row += space->cells)
        for (int32_t g = 0; g < space->n_groups - space->n_hw_params; g++) {
            float sum = 0;
            for (int32_t i = space->first[g]; i < space->first[g + 1]; i++)
                sum += row[i] = draw_gamma(&r);
            for (int32_t i = space->first[g]; i < space->first[g + 1]; i++) row[i] /= sum;
        }
}

/* Accelerator by accelerator, as samples read them. */
static void transpose(dfqi_samples *s, const double *cost, const double *base)
{
    size_t configs = (size_t)s->space->configs, cells = (size_t)s->space->cells;
    size_t metrics = (size_t)s->n_metrics;
    for (size_t m = 0; m < metrics; m++)
        for (size_t c = 0; c < configs; c++) {
            float *row = s->rows + (c * metrics + m) * cells;
            for (size_t i = 0; i < cells; i++) row[i] = (float)cost[(m * cells + i) * configs + c];
            s->base[c * metrics + m] = base ? (float)base[m * configs + c] : 0;
        }
}

dfq_status dfqi_samples_new(const dfqi_domain *space, int32_t n_metrics, const double *cost,
                            const double *base, uint64_t seed, int64_t n, dfqi_samples *out)
{
    dfqi_samples s = {.space = space, .n_metrics = n_metrics};
    size_t cells = (size_t)space->cells, configs = (size_t)space->configs, rows;
    s.n_pool = n < POOL_MAX ? (uint32_t)n : POOL_MAX;
    if (!dfqi_mul_size(configs * (size_t)n_metrics, cells, &rows))
        return dfqi_fail(space->ctx, DFQ_E_INVALID,
                         "evaluator: cost_table is too large to be addressed");
    s.rows = dfqi_calloc(space->ctx, rows, sizeof *s.rows);
    s.base = dfqi_calloc(space->ctx, configs * (size_t)n_metrics, sizeof *s.base);
    s.pool = dfqi_calloc(space->ctx, s.n_pool * cells, sizeof *s.pool);
    if (!s.rows || !s.base || !s.pool) {
        dfqi_samples_fini(&s);
        return DFQ_E_NOMEM;
    }
    transpose(&s, cost, base);
    fill_pool(&s, seed);
    *out = s;
    return DFQ_OK;
}

void dfqi_samples_fini(dfqi_samples *s)
{
    if (!s->space) return;
    dfqi_free(s->space->ctx, s->rows);
    dfqi_free(s->space->ctx, s->base);
    dfqi_free(s->space->ctx, s->pool);
    memset(s, 0, sizeof *s);
}

void dfqi_samples_network(const dfqi_samples *s, dfqi_rng *r, float *p)
{
    const dfqi_domain *space = s->space;
    bool soft = dfqi_rng_uniform(r) < soft_share;
    memset(p, 0, (size_t)space->cells * sizeof *p);
    for (int32_t g = 0; g < space->n_groups - space->n_hw_params; g++) {
        int32_t begin = space->first[g], n = space->choices[g];
        if (soft)
            memcpy(p + begin,
                   s->pool + (size_t)dfqi_rng_below(r, s->n_pool) * (size_t)space->cells + begin,
                   (size_t)n * sizeof *p);
        else
            p[begin + (int32_t)dfqi_rng_below(r, (uint32_t)n)] = 1;
    }
}

int32_t dfqi_samples_config(const dfqi_samples *s, dfqi_rng *r)
{
    return (int32_t)dfqi_rng_below(r, (uint32_t)s->space->configs);
}

double dfqi_samples_cost(const dfqi_samples *s, const float *p, int32_t config, int32_t metric)
{
    size_t row = (size_t)config * (size_t)s->n_metrics + (size_t)metric;
    const float *t = s->rows + row * (size_t)s->space->cells;
    float part[8] = {0}; /* as many sums as a vector register has */
    int32_t cells = s->space->cells, i = 0;
    for (; i + 8 <= cells; i += 8)
        for (int32_t k = 0; k < 8; k++) part[k] += p[i + k] * t[i + k];
    double sum = (double)s->base[row];
    for (; i < cells; i++) sum += (double)(p[i] * t[i]);
    for (int32_t k = 0; k < 8; k++) sum += (double)part[k];
    return sum;
}
