/* Functions of dfq/graph.h: networks in memory, through readers and writers, and from several
 * files. */
#include <dfq/graph.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/memory.h"
#include "exchange/import.h"
#include "io/safetensors.h"
#include "quant/model.h"

static dfq_status read_reader(dfq_context *ctx, const dfq_reader *given, dfqi_source *out)
{
    dfq_reader own = {.struct_size = sizeof own};
    DFQI_TRY(dfqi_struct_read(ctx, "dfq_reader", given, &own, sizeof own));
    if (own.reserved != 0)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "dfq_reader.reserved is %d, must be 0",
                         (int)own.reserved);
    if (own.size > 0 && own.data == NULL && own.read == NULL)
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "%s: the reader of %llu bytes has neither data nor a function; set one of them",
            own.name != NULL ? own.name : "memory", (unsigned long long)own.size);
    *out = dfqi_source_reader(ctx, &own);
    return DFQ_OK;
}

static dfq_status read_options(dfq_context *ctx, const dfq_load_options *given,
                               dfq_load_options *out)
{
    *out = (dfq_load_options){.struct_size = sizeof *out};
    return dfqi_options_read(ctx, "dfq_load_options", given, out, sizeof *out);
}

/* n_shards sources, or with `single` the one of a whole file. */
static dfq_status load(dfq_context *ctx, dfqi_source *index, int32_t n_shards, dfqi_source *shards,
                       const char *name, const dfq_load_options *options, dfq_graph **out_graph)
{
    dfqi_safetensors st;
    dfq_load_options o;
    dfq_graph *g;
    bool onnx = false;
    DFQI_TRY(read_options(ctx, options, &o));
    if (index == NULL && n_shards == 1) DFQI_TRY(dfqi_import_looks_so(shards, &onnx));
    if (onnx) {
        DFQI_TRY(dfqi_import_from(shards, NULL, &o, &g));
        return dfqi_graph_named(g, o.class_names, out_graph);
    }
    DFQI_TRY(index != NULL || n_shards > 1 ? dfqi_st_read_shards(ctx, index, n_shards, shards, &st)
                                           : dfqi_st_read_source(shards, &st));
    dfq_status status = dfqi_model_from(&st, name, &o, &g);
    dfqi_st_fini(&st);
    return status == DFQ_OK ? dfqi_graph_named(g, o.class_names, out_graph) : status;
}

dfq_status dfq_graph_load_from_memory(dfq_context *context, const void *data, size_t size,
                                      const dfq_load_options *options, dfq_graph **out_graph)
{
    const dfq_reader reader = {.struct_size = sizeof reader, .size = size, .data = data};
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, data);
    return dfq_graph_load_from_reader(context, &reader, options, out_graph);
}

dfq_status dfq_graph_load_from_reader(dfq_context *context, const dfq_reader *reader,
                                      const dfq_load_options *options, dfq_graph **out_graph)
{
    dfqi_source source;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, reader);
    DFQI_NEED(context, out_graph);
    DFQI_TRY(read_reader(context, reader, &source));
    return load(context, NULL, 1, &source, source.name, options, out_graph);
}

dfq_status dfq_graph_load_from_shards(dfq_context *context, const dfq_reader *index,
                                      const dfq_reader *const *shards, int32_t n_shards,
                                      const dfq_load_options *options, dfq_graph **out_graph)
{
    dfqi_source map, *sources;
    dfq_status status = DFQ_OK;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, shards);
    DFQI_NEED(context, out_graph);
    if (n_shards < 1)
        return dfqi_fail(context, DFQ_E_INVALID, "n_shards is %d, must be 1 or more",
                         (int)n_shards);
    if (index != NULL) DFQI_TRY(read_reader(context, index, &map));
    sources = dfqi_calloc(context, (size_t)n_shards, sizeof *sources);
    if (sources == NULL) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < n_shards; i++) {
        if (shards[i] == NULL) {
            status = dfqi_fail(context, DFQ_E_INVALID, "shards[%d] is NULL", (int)i);
            goto out;
        }
        DFQI_GOTO(read_reader(context, shards[i], &sources[i]), out);
    }
    status = load(context, index != NULL ? &map : NULL, n_shards, sources,
                  index != NULL ? map.name : sources[0].name, options, out_graph);
out:
    dfqi_free(context, sources);
    return status;
}

/* -- writing ----------------------------------------------------------------------------------- */

static dfq_status check_half(const dfq_graph *graph, int32_t half)
{
    if (half == 0 || !graph->quantized) return DFQ_OK;
    return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                     "%s: half must be 0 for a quantized network, which has its own widths",
                     graph->net.arch.name);
}

dfq_status dfq_graph_save_to_memory(const dfq_graph *graph, int32_t half, dfq_tensor **out_bytes)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_bytes);
    DFQI_TRY(check_half(graph, half));
    const dfqi_st_target to = {.bytes = out_bytes};
    return dfqi_model_save_to(graph, &to, half);
}

dfq_status dfq_graph_save_to_writer(const dfq_graph *graph, const dfq_writer *writer, int32_t half)
{
    dfq_writer own = {.struct_size = sizeof own};
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, writer);
    DFQI_TRY(dfqi_struct_read(graph->ctx, "dfq_writer", writer, &own, sizeof own));
    if (own.write == NULL || own.reserved != 0)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "dfq_writer: write must be a function, and reserved must be 0");
    DFQI_TRY(check_half(graph, half));
    const dfqi_st_target to = {.writer = &own};
    return dfqi_model_save_to(graph, &to, half);
}
