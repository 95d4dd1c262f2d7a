/* The exact evaluator of additive.h. */
#include "explore/domain/additive.h"

#include <string.h>

#include "base/memory.h"

dfq_status dfqi_additive_new(const dfqi_domain *space, int32_t n_metrics, const double *cost,
                             const double *base, dfqi_additive *out)
{
    dfqi_additive a = {.space = space, .n_metrics = n_metrics, .cost = cost, .base = base};
    a.weight = dfqi_calloc(space->ctx, (size_t)space->configs, sizeof *a.weight);
    a.sum = dfqi_calloc(space->ctx, (size_t)space->configs, sizeof *a.sum);
    *out = a;
    if (a.weight && a.sum) return DFQ_OK;
    dfqi_additive_fini(out);
    return DFQ_E_NOMEM;
}

void dfqi_additive_fini(dfqi_additive *a)
{
    if (!a->space) return;
    dfqi_free(a->space->ctx, a->weight);
    dfqi_free(a->space->ctx, a->sum);
    a->weight = a->sum = NULL;
}

/* Probability of accelerator `config`; the choice of hardware parameter `without` is left out of
 * the product and goes to `*at`. */
static double probability(const dfqi_domain *s, const double *p, int32_t config, int32_t without,
                          int32_t *at)
{
    double w = 1;
    for (int32_t g = s->n_groups - 1; g >= s->n_groups - s->n_hw_params; g--) {
        int32_t i = s->first[g] + config % s->choices[g];
        config /= s->choices[g];
        if (g == without)
            *at = i;
        else
            w *= p[i];
    }
    return w;
}

static const double *row(const dfqi_additive *a, int32_t metric, int32_t i)
{
    const dfqi_domain *s = a->space;
    return a->cost + ((size_t)metric * (size_t)s->cells + (size_t)i) * (size_t)s->configs;
}

static void sum_cells(const dfqi_additive *a, int32_t metric, const double *p)
{
    const dfqi_domain *s = a->space;
    size_t configs = (size_t)s->configs;
    if (a->base)
        memcpy(a->sum, a->base + (size_t)metric * configs, configs * sizeof *a->sum);
    else
        memset(a->sum, 0, configs * sizeof *a->sum);
    for (int32_t i = 0; i < s->cells; i++) {
        const double *t = row(a, metric, i);
        if (p[i] == 0) continue;
        for (size_t c = 0; c < configs; c++) a->sum[c] += p[i] * t[c];
    }
}

static double along(const double *a, const double *b, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void gradient_of(const dfqi_additive *a, int32_t metric, const double *p, double *gradient)
{
    const dfqi_domain *s = a->space;
    for (int32_t i = 0; i < s->cells; i++)
        gradient[i] = along(a->weight, row(a, metric, i), s->configs);
    for (int32_t i = s->cells; i < s->total; i++) gradient[i] = 0;
    for (int32_t g = s->n_groups - s->n_hw_params; g < s->n_groups; g++)
        for (int32_t c = 0; c < s->configs; c++) {
            int32_t at = 0;
            double w = probability(s, p, c, g, &at);
            gradient[at] += w * a->sum[c];
        }
}

void dfqi_additive_costs(dfqi_additive *a, const double *p, double *costs, double *gradients)
{
    const dfqi_domain *s = a->space;
    int32_t none;
    for (int32_t c = 0; c < s->configs; c++) a->weight[c] = probability(s, p, c, -1, &none);
    for (int32_t j = 0; j < a->n_metrics; j++) {
        sum_cells(a, j, p);
        costs[j] = along(a->weight, a->sum, s->configs);
        if (gradients) gradient_of(a, j, p, gradients + (size_t)j * (size_t)s->total);
    }
}

static double base_of(const dfqi_additive *a, int32_t metric, int32_t config)
{
    return a->base ? a->base[(size_t)metric * (size_t)a->space->configs + (size_t)config] : 0;
}

void dfqi_additive_exact(const dfqi_additive *a, const int32_t *choice, double *costs)
{
    const dfqi_domain *s = a->space;
    int32_t config = dfqi_domain_config(s, choice);
    for (int32_t j = 0; j < a->n_metrics; j++) {
        double t = base_of(a, j, config);
        for (int32_t g = 0; g < s->n_groups - s->n_hw_params; g++)
            t += row(a, j, s->first[g] + choice[g])[config];
        costs[j] = t;
    }
}

void dfqi_additive_costs_on(const dfqi_additive *a, int32_t config, const double *p, double *costs)
{
    for (int32_t j = 0; j < a->n_metrics; j++) {
        costs[j] = base_of(a, j, config);
        for (int32_t i = 0; i < a->space->cells; i++) costs[j] += p[i] * row(a, j, i)[config];
    }
}

double dfqi_additive_column(const dfqi_additive *a, int32_t metric, int32_t config, double *out)
{
    for (int32_t i = 0; i < a->space->cells; i++) out[i] = row(a, metric, i)[config];
    return base_of(a, metric, config);
}
