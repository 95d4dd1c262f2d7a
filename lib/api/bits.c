/* The functions of dfq/bits.h. */
#include <dfq/bits.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "bits/table.h"

dfq_status dfq_bits_create(const dfq_graph *graph, const dfq_quantize_options *options,
                           dfq_bits **out_bits)
{
    dfqi_scheme scheme = {0};
    int32_t group;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_bits);
    if (graph->quantized && options != NULL)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "options are for a float network, and %s is quantized; give NULL",
                         graph->net.arch.name);
    if (graph->quantized)
        return dfqi_bits_new(graph, &graph->scheme, graph->scheme.grids.weight_group, out_bits);
    DFQI_TRY(dfqi_weight_group_of_options(graph, options, &group));
    DFQI_TRY(dfqi_scheme_of_options(graph, options, &scheme));
    dfq_status status = dfqi_bits_new(graph, &scheme, group, out_bits);
    dfqi_scheme_fini(&scheme);
    return status;
}

dfq_status dfq_bits_load(const dfq_graph *graph, const char *path, dfq_bits **out_bits)
{
    dfqi_bits *b;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, path);
    DFQI_NEED(graph->ctx, out_bits);
    DFQI_TRY(dfq_bits_create(graph, NULL, &b));
    dfq_status status = dfqi_bits_load(b, path);
    if (status == DFQ_OK)
        *out_bits = b;
    else
        dfqi_bits_free(b);
    return status;
}

dfq_status dfq_bits_save(const dfq_bits *bits, const char *path)
{
    if (bits == NULL) return DFQ_E_INVALID;
    DFQI_NEED(bits->ctx, path);
    return dfqi_bits_save(bits, path);
}

void dfq_bits_release(dfq_bits *bits)
{
    dfqi_bits_free(bits);
}

int32_t dfq_bits_get_count(const dfq_bits *bits)
{
    return bits == NULL ? 0 : bits->n;
}

dfq_status dfq_bits_get_layer(const dfq_bits *bits, int32_t i, dfq_bits_layer *out_layer)
{
    if (bits == NULL) return DFQ_E_INVALID;
    DFQI_NEED(bits->ctx, out_layer);
    DFQI_TRY(dfqi_check_index(bits->ctx, "layer", i, bits->n));
    const dfqi_bits_row *r = &bits->rows[i];
    const dfq_bits_layer own = {.weight_bits = r->weight_bits,
                                .act_bits = r->act_bits,
                                .weight_group = (int32_t)r->weight_group,
                                .weights = r->weights,
                                .macs = r->macs,
                                .name = r->name};
    return dfqi_info_write(bits->ctx, "dfq_bits_layer", &own, sizeof own, out_layer);
}

dfq_status dfq_bits_set_layer(dfq_bits *bits, const char *name, int32_t weight_bits,
                              int32_t act_bits)
{
    if (bits == NULL) return DFQ_E_INVALID;
    DFQI_NEED(bits->ctx, name);
    int32_t row = dfqi_bits_find(bits, name);
    if (row < 0) return dfqi_bits_unknown(bits, "dfq_bits_set_layer", name);
    DFQI_TRY(dfqi_bits_check(bits, "dfq_bits_set_layer", row, weight_bits, act_bits));
    dfqi_bits_set(bits, row, weight_bits, act_bits);
    return DFQ_OK;
}

const dfq_layer_config *dfq_bits_get_configs(const dfq_bits *bits)
{
    return bits == NULL ? NULL : bits->configs;
}

dfq_status dfq_bits_get_means(const dfq_bits *bits, dfq_bits_means *out_means)
{
    if (bits == NULL) return DFQ_E_INVALID;
    DFQI_NEED(bits->ctx, out_means);
    const dfq_bits_means own = {.weight_bits = dfqi_bits_mean_weight(bits),
                                .act_bits = dfqi_bits_mean_act(bits)};
    return dfqi_info_write(bits->ctx, "dfq_bits_means", &own, sizeof own, out_means);
}
