/* Functions of dfq/graph.h: parameters by name, layers, probes. */
#include <dfq/graph.h>

#include <string.h>

#include "accel/layer_rows.h"
#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "io/json.h"
#include "nn/load.h"
#include "quant/probe.h"

/* -- parameters -------------------------------------------------------------------------------- */

dfq_status dfq_graph_get_parameter(const dfq_graph *graph, const char *name,
                                   dfq_tensor **out_values)
{
    char show[DFQI_SHOW_MAX];
    dfq_tensor *copy;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, out_values);
    const dfq_tensor *t = dfqi_network_find(&graph->net, name);
    if (t == NULL)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "%s has no parameter \"%s\"",
                         graph->net.arch.name, dfqi_show(name, show));
    DFQI_TRY(dfqi_tensor_new(graph->ctx, DFQI_F32, t->rank, t->dims, &copy));
    memcpy(copy->data, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    *out_values = copy;
    return DFQ_OK;
}

dfq_status dfq_graph_set_parameter(dfq_graph *graph, const char *name, const dfq_tensor *values)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, values);
    if (graph->quantized)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "%s is quantized, and its weights cannot be set; set those of the float "
                         "network and quantize it again",
                         graph->net.arch.name);
    return dfqi_network_set(&graph->net, name, values);
}

/* -- layers ------------------------------------------------------------------------------------ */

dfq_status dfq_graph_get_layer_count(const dfq_graph *graph, int32_t *out_count)
{
    const dfqi_layer_row *rows;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_count);
    return dfqi_layer_rows_of(graph, out_count, &rows);
}

dfq_status dfq_graph_get_layer(const dfq_graph *graph, int32_t i, dfq_layer_info *out_info)
{
    const dfqi_layer_row *rows;
    int32_t n;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    DFQI_TRY(dfqi_layer_rows_of(graph, &n, &rows));
    DFQI_TRY(dfqi_check_index(graph->ctx, "layer", i, n));
    return dfqi_info_write(graph->ctx, "dfq_layer_info", &rows[i].info, sizeof rows[i].info,
                           out_info);
}

/* -- probes ------------------------------------------------------------------------------------ */

dfq_status dfq_graph_get_probe_count(const dfq_graph *graph, int32_t *out_count)
{
    const dfqi_probe *probes;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_count);
    return dfqi_probes_of(graph, out_count, &probes);
}

dfq_status dfq_graph_get_probe(const dfq_graph *graph, int32_t i, dfq_probe_info *out_info)
{
    const dfqi_probe *probes;
    int32_t n;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    DFQI_TRY(dfqi_probes_of(graph, &n, &probes));
    DFQI_TRY(dfqi_check_index(graph->ctx, "probe", i, n));
    dfq_probe_info info = {.kind = probes[i].kind, .rank = probes[i].rank, .name = probes[i].name};
    memcpy(info.dims, probes[i].dims, sizeof info.dims);
    return dfqi_info_write(graph->ctx, "dfq_probe_info", &info, sizeof info, out_info);
}

dfq_status dfq_graph_forward_with_probes(const dfq_graph *graph, const dfq_tensor *images,
                                         const char *const *names, int32_t n_names,
                                         dfq_tensor **out_logits, dfq_tensor **out_probes)
{
    dfq_tensor *logits = NULL;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    if (n_names < 0)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "n_names is %d, must be 0 or more",
                         (int)n_names);
    if (n_names > 0) DFQI_NEED(graph->ctx, names);
    if (n_names > 0) DFQI_NEED(graph->ctx, out_probes);
    DFQI_TRY(dfqi_model_check_images(graph, images, 0));
    int64_t n = images->dims[0], classes = graph->net.arch.classes;
    if (out_logits != NULL)
        DFQI_TRY(dfqi_tensor_new(graph->ctx, DFQI_F32, 2, (int64_t[]){n, classes}, &logits));
    dfq_status status =
        dfqi_probe_forward(graph, dfqi_tensor_f32(images), n, n_names, names,
                           logits != NULL ? dfqi_tensor_f32(logits) : NULL, out_probes);
    if (status != DFQ_OK)
        dfqi_tensor_release(logits);
    else if (out_logits != NULL)
        *out_logits = logits;
    return status;
}
