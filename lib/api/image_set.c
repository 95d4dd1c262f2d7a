/* The functions of dfq/image_set.h. */
#include <dfq/image_set.h>
#include <math.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "base/memory.h"
#include "synth/imageset.h"

static dfq_status check_most(const dfq_graph *graph, int64_t most)
{
    if (most >= 0) return DFQ_OK;
    return dfqi_fail(graph->ctx, DFQ_E_INVALID, "image set: most is %lld, must be 0 or more",
                     (long long)most);
}

dfq_status dfq_image_set_open(const dfq_graph *graph, const char *folder, int64_t most,
                              dfq_image_set **out_set)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, folder);
    DFQI_NEED(graph->ctx, out_set);
    DFQI_TRY(check_most(graph, most));
    return dfqi_imageset_open(graph, folder, most, out_set);
}

dfq_status dfq_image_set_create_from_dataset(const dfq_graph *graph, const dfq_dataset *dataset,
                                             int64_t most, const char *spool,
                                             dfq_image_set **out_set)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, dataset);
    DFQI_NEED(graph->ctx, out_set);
    DFQI_TRY(check_most(graph, most));
    if (dataset->ctx != graph->ctx)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "data set and network belong to different contexts; create both with one");
    return dfqi_imageset_of_dataset(graph, dataset->d, most, spool, out_set);
}

void dfq_image_set_release(dfq_image_set *set)
{
    dfqi_imageset_release(set);
}

int64_t dfq_image_set_get_count(const dfq_image_set *set)
{
    return set != NULL ? set->images.n : 0;
}

dfq_status dfq_image_set_read(dfq_image_set *set, int64_t first, int64_t n, dfq_tensor **out_images,
                              dfq_tensor **out_labels)
{
    if (set == NULL) return DFQ_E_INVALID;
    DFQI_NEED(set->ctx, out_images);
    DFQI_NEED(set->ctx, out_labels);
    DFQI_TRY(dfqi_check_span(set->ctx, "images of the set", first, n, 1, set->images.n));
    return dfqi_imageset_take(set, first, n, out_images, out_labels);
}

dfq_status dfq_image_set_save_tensors(const dfq_graph *graph, const dfq_tensor *images,
                                      const dfq_tensor *labels, const char *folder, int32_t replace)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, labels);
    DFQI_NEED(graph->ctx, folder);
    return dfqi_imageset_save(graph, images, labels, folder, replace != 0);
}

dfq_status dfq_image_set_load_tensors(const dfq_graph *graph, const char *folder,
                                      dfq_tensor **out_images, dfq_tensor **out_labels)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, folder);
    DFQI_NEED(graph->ctx, out_images);
    DFQI_NEED(graph->ctx, out_labels);
    return dfqi_imageset_load(graph, folder, out_images, out_labels);
}

dfq_status dfq_image_set_save_estimate(const dfq_graph *graph, int64_t n_images,
                                       dfq_job_cost *out_cost)
{
    double bytes, file_bytes;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_cost);
    if (n_images < 1)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "n_images is %lld, must be 1 or more",
                         (long long)n_images);
    dfqi_imageset_save_cost(graph, n_images, &bytes, &file_bytes);
    const dfq_job_cost cost = {.bytes = dfqi_count_i64(bytes),
                               .seconds_left = NAN,
                               .units = n_images,
                               .file_bytes = dfqi_count_i64(file_bytes)};
    return dfqi_info_write(graph->ctx, "dfq_job_cost", &cost, sizeof cost, out_cost);
}
