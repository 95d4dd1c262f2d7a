/* See support.h. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "io/dataset.h"

int study_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int64_t study_accelerators(const dfqi_search_space_costs *c)
{
    int64_t n = 1;
    for (int32_t f = 0; f < c->n_hw_params; f++) n *= c->choices[c->n_cells + f];
    return n;
}

int64_t study_cell_choices(const dfqi_search_space_costs *c)
{
    int64_t n = 0;
    for (int32_t i = 0; i < c->n_cells; i++) n += c->choices[i];
    return n;
}

void study_draw_pairs(const dfqi_search_space_costs *c, uint64_t seed, int32_t n_metrics, int pairs,
                      double *out)
{
    int64_t n = study_accelerators(c), all = study_cell_choices(c);
    dfqi_rng rng = dfqi_rng_make(seed, 0);
    for (int i = 0; i < pairs; i++) {
        int64_t a = (int64_t)dfqi_rng_below(&rng, (uint32_t)n), first = 0;
        for (int32_t m = 0; m < n_metrics; m++) out[m * pairs + i] = c->base[m * n + a];
        for (int32_t cell = 0; cell < c->n_cells; cell++) {
            int64_t k = first + (int64_t)dfqi_rng_below(&rng, (uint32_t)c->choices[cell]);
            for (int32_t m = 0; m < n_metrics; m++)
                out[m * pairs + i] += c->cost[(m * all + k) * n + a];
            first += c->choices[cell];
        }
    }
    for (int32_t m = 0; m < n_metrics; m++)
        qsort(out + m * pairs, (size_t)pairs, sizeof *out, study_ascending);
}

dfq_status study_load(dfq_context *ctx, const char *path, const dfqi_supernet_space *space,
                      dfqi_super_data *out)
{
    dfqi_dataset *d;
    dfqi_preprocess how = {.size = dfqi_square(space->image),
                           .mean = {0.485f, 0.456f, 0.406f},
                           .std = {0.229f, 0.224f, 0.225f}};
    memset(out, 0, sizeof *out);
    dfq_status status = dfqi_dataset_open(ctx, path, (int32_t)space->classes, &d);
    if (status != DFQ_OK) return status;
    int64_t n = dfqi_dataset_count(d);
    float *x = malloc((size_t)(n * 3 * space->image * space->image) * sizeof *x);
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    status = x && labels ? dfqi_dataset_batch(d, 0, n, &how, x) : DFQ_E_NOMEM;
    for (int64_t i = 0; i < n && status == DFQ_OK; i++) labels[i] = dfqi_dataset_label(d, i);
    dfqi_dataset_release(d);
    *out = (dfqi_super_data){n, x, labels};
    if (status != DFQ_OK) study_unload(out);
    return status;
}

void study_unload(dfqi_super_data *data)
{
    free((void *)(uintptr_t)data->images);
    free((void *)(uintptr_t)data->labels);
    memset(data, 0, sizeof *data);
}
