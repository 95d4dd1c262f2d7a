/* Images of a co-exploration: decodes, shuffles and splits them into training and held-out
 * images. */
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "explore/coexplore/coexplore_priv.h"

dfq_status dfqi_coexplore_read(const dfqi_coexplore *e, const dfqi_dataset *d, float **images,
                               int32_t **labels, dfqi_super_data *out)
{
    int64_t n = dfqi_dataset_count(d), side = e->space.net->image;
    dfqi_preprocess how = {.size = dfqi_square(side), .resize = dfqi_square(side)};
    size_t count;
    memcpy(how.mean, e->o.mean, sizeof how.mean);
    memcpy(how.std, e->o.std, sizeof how.std);
    if (!dfqi_mul_size((size_t)(3 * side * side), (size_t)n, &count)) return DFQ_E_NOMEM;
    *images = dfqi_calloc(e->ctx, count, sizeof **images);
    *labels = dfqi_calloc(e->ctx, (size_t)n, sizeof **labels);
    if (!*images || !*labels) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        (*labels)[i] = dfqi_dataset_label(d, i);
        if ((*labels)[i] < 0 || (*labels)[i] >= e->space.net->classes)
            return dfqi_fail(e->ctx, DFQ_E_CORRUPT,
                             "%s: label is %d, must be 0 to %lld, a class of space %s; use images "
                             "of these classes",
                             dfqi_dataset_name(d, i), (int)(*labels)[i],
                             (long long)e->space.net->classes - 1, e->space.net->name);
    }
    if (n > 0) DFQI_TRY(dfqi_dataset_batch(d, 0, n, &how, *images));
    *out = (dfqi_super_data){n, *images, *labels};
    return DFQ_OK;
}

/* Data sets may list images by class, so they are shuffled before the split. */
static void shuffle(dfqi_coexplore *e, int64_t n, size_t pixels, float *spare)
{
    dfqi_rng r = dfqi_rng_make(dfqi_coexplore_seed(e, DFQI_SEED_SPLIT), 0);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = dfqi_rng_below(&r, (uint32_t)i + 1);
        float *a = e->images + (size_t)i * pixels, *b = e->images + (size_t)j * pixels;
        int32_t label = e->labels[i];
        if (i == j) continue;
        memcpy(spare, a, pixels * sizeof *a);
        memcpy(a, b, pixels * sizeof *a);
        memcpy(b, spare, pixels * sizeof *a);
        e->labels[i] = e->labels[j];
        e->labels[j] = label;
    }
}

dfq_status dfqi_coexplore_take(dfqi_coexplore *e, const dfqi_dataset *d)
{
    int64_t n = dfqi_dataset_count(d), side = e->space.net->image;
    size_t pixels = (size_t)(3 * side * side);
    int64_t held = (int64_t)((double)n * e->o.held_out);
    if (held < 1 || held == n || n > UINT32_MAX / 2)
        return dfqi_fail(e->ctx, DFQ_E_INVALID,
                         "explorer: %lld of %lld images are held out, and both parts must have "
                         "some; give more images",
                         (long long)held, (long long)n);
    DFQI_TRY(dfqi_coexplore_read(e, d, &e->images, &e->labels, &e->all));
    float *spare = dfqi_calloc(e->ctx, pixels, sizeof *spare);
    if (!spare) return DFQ_E_NOMEM;
    shuffle(e, n, pixels, spare);
    dfqi_free(e->ctx, spare);
    int64_t learn = n - held;
    e->learn = (dfqi_super_data){learn, e->images, e->labels};
    e->held =
        (dfqi_super_data){held, e->images + (size_t)learn * pixels, e->labels + (size_t)learn};
    return DFQ_OK;
}
