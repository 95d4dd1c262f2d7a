/* Initial values of a network's parameters. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "nn/family.h"

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Standard deviation of a weight's normal distribution before truncation at two deviations. Vision
 * transformers use timm's. Convolutional networks use He's (ICCV 2015), which keeps the scale of
 * activations after ReLUs, divided by the factor by which truncation reduces it. */
static float deviation(dfqi_family family, const dfq_tensor *w)
{
    const float own = dfqi_family_get(family)->deviation;
    if (own > 0) return own;
    return sqrtf(2.0f * (float)w->dims[0] / (float)dfqi_tensor_count(w)) / 0.87962566f;
}

void dfqi_network_init(dfqi_network *net, uint64_t seed)
{
    for (int32_t p = 0; p < net->n_params; p++) {
        const char *name = net->params[p].name;
        dfq_tensor *t = net->params[p].tensor;
        float *v = dfqi_tensor_f32(t);
        int64_t n = dfqi_tensor_count(t);
        dfqi_rng r = dfqi_rng_make(seed, (uint64_t)p);
        if (t->rank == 1) { /* norms change nothing at first */
            bool zero = ends_with(name, ".bias") || ends_with(name, ".running_mean");
            for (int64_t i = 0; i < n; i++) v[i] = zero ? 0.0f : 1.0f;
            continue;
        }
        float size = deviation(net->arch.family, t);
        for (int64_t i = 0; i < n; i++) {
            float z = dfqi_rng_normal(&r);
            while (fabsf(z) > 2.0f) z = dfqi_rng_normal(&r);
            v[i] = size * z;
        }
    }
}
