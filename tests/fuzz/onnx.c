/* Any bytes as an ONNX file; what is accepted runs forward on one image, and what it saves is read
 * again. */
#include <dfq/graph.h>

#include "exchange/import.h"
#include "fuzz/target.h"

/* Saved and read again, it must be the same network. */
static void reload(dfq_context *ctx, const dfq_graph *g)
{
    dfq_tensor *bytes = NULL;
    dfq_graph *again = NULL;
    if (dfq_graph_save_to_memory(g, 0, &bytes) != DFQ_OK) return;
    dfq_status status = dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                                   dfq_tensor_get_bytes(bytes), NULL, &again);
    if (status != DFQ_OK && status != DFQ_E_NOMEM) abort();
    dfq_graph_release(again);
    dfq_tensor_release(bytes);
}

static void run(dfq_context *ctx, const dfq_graph *g)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_tensor *x = NULL, *y = NULL;
    dfq_status status = dfq_graph_get_info(g, &info);
    target_check(ctx, status);
    if (status != DFQ_OK || info.image > 64 || info.macs > 100000000) return;
    const int64_t dims[4] = {1, 3, info.image, info.image};
    if (dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, &x) == DFQ_OK) {
        status = dfq_graph_forward(g, x, &y);
        target_check(ctx, status);
    }
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    reload(ctx, g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfq_graph *g = NULL;
    if (!ctx) return 0;
    dfqi_source s = dfqi_source_memory(ctx, "fuzz", data, size);
    dfq_status status = dfqi_import_from(&s, NULL, NULL, &g);
    target_check(ctx, status);
    if (status == DFQ_OK) run(ctx, g);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
    return 0;
}
