/* The points of the report's Pareto plots: pairs of a network and an accelerator, with exact costs
 * and the loss estimated from the judged paths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

enum { CLOUD = 1000 };

/* The estimated loss of a choice above `level`: the sum of the effects of its cells. */
static double sum_effects(const struct explore *x, const int32_t *choice)
{
    const float *e = dfq_tensor_get_data(x->effects);
    double sum = 0;
    for (int32_t g = 0, at = 0; g < dfq_explorer_get_cells(x->e); g++) {
        sum += (double)e[at + choice[g]];
        at += dfq_explorer_get_choices(x->e, g);
    }
    return sum;
}

/* Before any path is judged all effects are 0, and nothing is known of losses. */
static double find_level(const struct explore *x)
{
    const float *e = dfq_tensor_get_data(x->effects);
    for (int64_t i = 0; i < dfq_tensor_get_dims(x->effects)[0]; i++)
        if (e[i] != 0) return x->page.loss - sum_effects(x, dfq_tensor_get_data(x->choice));
    return (double)NAN;
}

static dfq_status fill(const struct explore *x, const int32_t *choice, double level,
                       struct explore_pair *out)
{
    out->loss = level + sum_effects(x, choice);
    return dfq_explorer_cost(x->e, choice, dfq_explorer_get_metrics(x->e), out->costs);
}

/* Drawn at random, always the same ones. */
static dfq_status fill_cloud(struct explore *x, double level)
{
    int32_t n = dfq_explorer_get_groups(x->e);
    int32_t *choice = calloc((uint32_t)n, sizeof *choice);
    uint32_t state = 1;
    dfq_status status = DFQ_OK;
    x->cloud = calloc(CLOUD, sizeof *x->cloud);
    if (!choice || !x->cloud) status = DFQ_E_NOMEM;
    for (int i = 0; i < CLOUD && status == DFQ_OK; i++) {
        for (int32_t g = 0; g < n; g++) {
            state = state * UINT32_C(1664525) + UINT32_C(1013904223);
            choice[g] = (int32_t)((state >> 8) % (uint32_t)dfq_explorer_get_choices(x->e, g));
        }
        status = fill(x, choice, level, &x->cloud[i]);
    }
    free(choice);
    x->page.cloud = x->cloud;
    x->page.n_cloud = CLOUD;
    return status;
}

static dfq_status fill_snapshots(struct explore *x, double level)
{
    dfq_tensor *t;
    dfq_status status = dfq_explorer_get_snapshots(x->e, &t);
    if (status != DFQ_OK) return status;
    const int32_t *choice = dfq_tensor_get_data(t);
    int64_t n = dfq_tensor_get_dims(t)[0], width = dfq_tensor_get_dims(t)[1];
    x->snapshots = calloc(n > 0 ? (size_t)n : 1, sizeof *x->snapshots);
    if (!x->snapshots) status = DFQ_E_NOMEM;
    for (int64_t i = 0; i < n && status == DFQ_OK; i++)
        status = fill(x, choice + i * width, level, &x->snapshots[i]);
    dfq_tensor_release(t);
    x->page.snapshots = x->snapshots;
    x->page.n_snapshots = (size_t)n;
    return status;
}

dfq_status explore_pairs(struct explore *x)
{
    double level = find_level(x);
    dfq_status status = fill_cloud(x, level);
    if (status == DFQ_OK) status = fill_snapshots(x, level);
    if (status == DFQ_OK) status = fill(x, dfq_tensor_get_data(x->raw), level, &x->page.likeliest);
    if (status == DFQ_OK) status = fill(x, dfq_tensor_get_data(x->choice), level, &x->page.result);
    return status;
}
