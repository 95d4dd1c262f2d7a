/* Functions of dfq/export.h. */
#include <dfq/export.h>

#include "api/api.h"
#include "exchange/onnx.h"

static const dfq_export_options defaults;

void dfq_export_options_init(dfq_export_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

/* Before the work, because nothing may be written where an argument is wrong. */
static dfq_status check_info(const dfq_graph *graph, const dfq_export_info *out_info)
{
    const dfq_export_info nothing = {0};
    dfq_export_info room = {.struct_size = sizeof room};
    if (out_info == NULL) return DFQ_OK;
    if (out_info->struct_size < room.struct_size) room.struct_size = out_info->struct_size;
    return dfqi_info_write(graph->ctx, "dfq_export_info", &nothing, sizeof nothing, &room);
}

static dfq_status export_to(const dfq_graph *graph, const dfqi_st_target *to,
                            const dfq_export_options *options, dfq_export_info *out_info)
{
    dfq_export_options o = defaults;
    dfqi_onnx_info done;
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_export_options", options, &o, sizeof o));
    DFQI_TRY(check_info(graph, out_info));
    const dfqi_onnx_options own = {.opset = o.opset, .int4 = o.int4, .integer = o.integer};
    DFQI_TRY(dfqi_onnx_write(graph, &own, to, &done));
    if (out_info == NULL) return DFQ_OK;
    const dfq_export_info info = {.opset = done.opset,
                                  .ir_version = done.ir_version,
                                  .nodes = done.nodes,
                                  .constants = done.initializers,
                                  .bytes = done.bytes};
    return dfqi_info_write(graph->ctx, "dfq_export_info", &info, sizeof info, out_info);
}

dfq_status dfq_graph_export(const dfq_graph *graph, const char *path,
                            const dfq_export_options *options, dfq_export_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, path);
    const dfqi_st_target to = {.path = path};
    return export_to(graph, &to, options, out_info);
}

dfq_status dfq_graph_export_to_memory(const dfq_graph *graph, const dfq_export_options *options,
                                      dfq_tensor **out_bytes, dfq_export_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_bytes);
    const dfqi_st_target to = {.bytes = out_bytes};
    return export_to(graph, &to, options, out_info);
}
