/* Categorical search spaces: softmax and Gumbel-softmax (Jang et al., ICLR 2017) of logits, and
 * one-hot choices. */
#include "explore/domain/domain.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { GROUPS_MAX = 65536, TOTAL_MAX = 1 << 20, CONFIGS_MAX = 1 << 24, NOISE_STREAM = 0x4E01 };

static dfq_status count(dfq_context *ctx, const int32_t *choices, dfqi_domain *s)
{
    int64_t total = 0, configs = 1;
    for (int32_t g = 0; g < s->n_groups; g++) {
        if (choices[g] < 1)
            return dfqi_fail(ctx, DFQ_E_INVALID, "space: choices[%d] is %d, must be 1 or more",
                             (int)g, (int)choices[g]);
        s->choices[g] = choices[g];
        s->first[g] = (int32_t)total;
        total += choices[g];
        if (g >= s->n_groups - s->n_hw_params) configs *= choices[g];
        if (total > TOTAL_MAX || configs > CONFIGS_MAX)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "space: there are %lld choices and %lld accelerators up to group %d, "
                             "must be at most %d and %d",
                             (long long)total, (long long)configs, (int)g, (int)TOTAL_MAX,
                             (int)CONFIGS_MAX);
    }
    s->first[s->n_groups] = s->total = (int32_t)total;
    s->cells = s->first[s->n_groups - s->n_hw_params];
    s->configs = (int32_t)configs;
    return DFQ_OK;
}

dfq_status dfqi_domain_new(dfq_context *ctx, int32_t n_groups, int32_t n_hw_params,
                           const int32_t *choices, dfqi_domain *out)
{
    dfqi_domain s = {.ctx = ctx, .n_groups = n_groups, .n_hw_params = n_hw_params};
    if (n_groups < 1 || n_groups > GROUPS_MAX || n_hw_params < 0 || n_hw_params > n_groups)
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "space: there are %d groups, %d of them hardware parameters; must be 1 to %d groups",
            (int)n_groups, (int)n_hw_params, (int)GROUPS_MAX);
    s.choices = dfqi_calloc(ctx, (size_t)n_groups, sizeof *s.choices);
    s.first = dfqi_calloc(ctx, (size_t)n_groups + 1, sizeof *s.first);
    dfq_status status = s.choices && s.first ? count(ctx, choices, &s) : DFQ_E_NOMEM;
    if (status != DFQ_OK) {
        dfqi_domain_fini(&s);
        return status;
    }
    *out = s;
    return DFQ_OK;
}

void dfqi_domain_fini(dfqi_domain *s)
{
    dfqi_free(s->ctx, s->choices);
    dfqi_free(s->ctx, s->first);
    s->choices = s->first = NULL;
}

void dfqi_domain_softmax(const dfqi_domain *s, const double *x, const double *noise,
                         double temperature, double *p)
{
    for (int32_t g = 0; g < s->n_groups; g++) {
        int32_t begin = s->first[g], end = s->first[g + 1];
        double top = -INFINITY, sum = 0;
        for (int32_t i = begin; i < end; i++) {
            p[i] = (x[i] + (noise ? noise[i] : 0)) / temperature;
            top = fmax(top, p[i]);
        }
        for (int32_t i = begin; i < end; i++) sum += p[i] = exp(p[i] - top);
        for (int32_t i = begin; i < end; i++) p[i] /= sum;
    }
}

void dfqi_domain_chain(const dfqi_domain *s, const double *p, double temperature, double *gradient)
{
    for (int32_t g = 0; g < s->n_groups; g++) {
        double mean = 0;
        for (int32_t i = s->first[g]; i < s->first[g + 1]; i++) mean += p[i] * gradient[i];
        for (int32_t i = s->first[g]; i < s->first[g + 1]; i++)
            gradient[i] = p[i] * (gradient[i] - mean) / temperature;
    }
}

void dfqi_gumbel(dfqi_rng *r, int32_t n, double *noise)
{
    for (int32_t i = 0; i < n; i++) {
        double u = ((double)(dfqi_rng_u64(r) >> 11) + 0.5) * 0x1p-53; /* inside (0, 1) */
        noise[i] = -log(-log(u));
    }
}

void dfqi_domain_gumbel(const dfqi_domain *s, uint64_t seed, uint64_t step, double *noise)
{
    dfqi_rng r = dfqi_rng_make(seed, NOISE_STREAM);
    r.index = step * 2 * (uint64_t)s->total;
    dfqi_gumbel(&r, s->total, noise);
}

static int32_t likeliest(const dfqi_domain *s, const double *p, int32_t g)
{
    int32_t best = s->first[g];
    for (int32_t i = best + 1; i < s->first[g + 1]; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

void dfqi_domain_argmax(const dfqi_domain *s, const double *p, int32_t *choice)
{
    for (int32_t g = 0; g < s->n_groups; g++) choice[g] = likeliest(s, p, g) - s->first[g];
}

void dfqi_domain_one_hot(const dfqi_domain *s, const int32_t *choice, double *p)
{
    memset(p, 0, (size_t)s->total * sizeof *p);
    for (int32_t g = 0; g < s->n_groups; g++) p[s->first[g] + choice[g]] = 1;
}

void dfqi_domain_harden_hw_params(const dfqi_domain *s, double *p)
{
    for (int32_t g = s->n_groups - s->n_hw_params; g < s->n_groups; g++) {
        int32_t best = likeliest(s, p, g);
        for (int32_t i = s->first[g]; i < s->first[g + 1]; i++) p[i] = i == best;
    }
}

int32_t dfqi_domain_config(const dfqi_domain *s, const int32_t *choice)
{
    int32_t config = 0;
    for (int32_t g = s->n_groups - s->n_hw_params; g < s->n_groups; g++)
        config = config * s->choices[g] + choice[g];
    return config;
}

void dfqi_domain_set_config(const dfqi_domain *s, int32_t config, int32_t *choice)
{
    for (int32_t g = s->n_groups - 1; g >= s->n_groups - s->n_hw_params; g--) {
        choice[g] = config % s->choices[g];
        config /= s->choices[g];
    }
}
