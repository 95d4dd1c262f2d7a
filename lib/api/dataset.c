/* The functions of dfq/dataset.h. */
#include <dfq/dataset.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "quant/evaluate.h"

static const dfq_dataset_options defaults;

void dfq_dataset_options_init(dfq_dataset_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

dfq_status dfq_dataset_open(dfq_context *context, const char *path, int32_t classes,
                            dfq_dataset **out_dataset)
{
    const dfq_dataset_options o = {.struct_size = sizeof o, .classes = classes};
    return dfq_dataset_open_with(context, path, &o, out_dataset);
}

dfq_status dfq_dataset_open_with(dfq_context *context, const char *path,
                                 const dfq_dataset_options *options, dfq_dataset **out_dataset)
{
    dfq_dataset_options o = defaults;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_dataset);
    DFQI_TRY(dfqi_options_read(context, "dfq_dataset_options", options, &o, sizeof o));
    dfq_dataset *ds = dfqi_calloc(context, 1, sizeof *ds);
    if (ds == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_dataset_open_with(context, path, o.classes, o.labels_from,
                                               o.graph != NULL ? o.graph->net.names : NULL, &ds->d);
    if (status != DFQ_OK) {
        dfqi_free(context, ds);
        return status;
    }
    ds->ctx = dfqi_context_retain(context);
    *out_dataset = ds;
    return DFQ_OK;
}

dfq_status dfq_dataset_create(dfq_context *context, const dfq_dataset_source *source,
                              dfq_dataset **out_dataset)
{
    dfq_dataset_source own = {.struct_size = sizeof own};
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, source);
    DFQI_NEED(context, out_dataset);
    DFQI_TRY(dfqi_struct_read(context, "dfq_dataset_source", source, &own, sizeof own));
    dfq_dataset *ds = dfqi_calloc(context, 1, sizeof *ds);
    if (ds == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_dataset_create(context, &own, &ds->d);
    if (status != DFQ_OK) {
        dfqi_free(context, ds);
        return status;
    }
    ds->ctx = dfqi_context_retain(context);
    *out_dataset = ds;
    return DFQ_OK;
}

void dfq_dataset_release(dfq_dataset *dataset)
{
    if (dataset == NULL) return;
    dfq_context *ctx = dataset->ctx;
    dfqi_dataset_release(dataset->d);
    dfqi_free(ctx, dataset);
    dfqi_context_release(ctx);
}

dfq_status dfq_dataset_get_info(const dfq_dataset *dataset, dfq_dataset_info *out_info)
{
    if (dataset == NULL) return DFQ_E_INVALID;
    DFQI_NEED(dataset->ctx, out_info);
    const dfqi_dataset_counts c = dfqi_dataset_get_counts(dataset->d);
    const dfq_dataset_info info = {.kind = c.kind,
                                   .count = dfqi_dataset_count(dataset->d),
                                   .folders = c.folders,
                                   .left_out = c.left_out,
                                   .cropped = c.cropped,
                                   .turned = c.turned};
    return dfqi_info_write(dataset->ctx, "dfq_dataset_info", &info, sizeof info, out_info);
}

int64_t dfq_dataset_get_count(const dfq_dataset *dataset)
{
    return dataset != NULL ? dfqi_dataset_count(dataset->d) : 0;
}

int32_t dfq_dataset_get_label(const dfq_dataset *dataset, int64_t i)
{
    if (dataset == NULL || i < 0 || i >= dfqi_dataset_count(dataset->d)) return -1;
    return dfqi_dataset_label(dataset->d, i);
}

/* The range first .. first + n - 1 lies in the data set. */
dfq_status dfqi_dataset_range(const dfq_dataset *ds, int64_t first, int64_t n)
{
    return dfqi_check_span(ds->ctx, "images of the data set", first, n, 1,
                           dfqi_dataset_count(ds->d));
}

dfq_status dfq_dataset_get_batch(const dfq_dataset *dataset, const dfq_graph *graph, int64_t first,
                                 int64_t n, dfq_tensor **out_images)
{
    if (dataset == NULL) return DFQ_E_INVALID;
    DFQI_NEED(dataset->ctx, graph);
    DFQI_NEED(dataset->ctx, out_images);
    DFQI_TRY(dfqi_dataset_range(dataset, first, n));
    const dfqi_arch *a = &graph->net.arch;
    dfqi_preprocess p = dfqi_model_preprocess(graph);
    dfq_tensor *t;
    DFQI_TRY(dfqi_tensor_new(dataset->ctx, DFQI_F32, 4,
                             (int64_t[]){n, a->channels, a->image.height, a->image.width}, &t));
    dfq_status status = dfqi_dataset_batch(dataset->d, first, n, &p, dfqi_tensor_f32(t));
    if (status != DFQ_OK)
        dfqi_tensor_release(t);
    else
        *out_images = t;
    return status;
}
