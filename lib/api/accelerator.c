/* The functions of dfq/accelerator.h. */
#include <dfq/accelerator.h>

#include <string.h>

#include "accel/mapping_text.h"
#include "accel/table.h"
#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "base/memory.h"

const char *dfq_accelerator_preset_name(int32_t i)
{
    return dfqi_preset_name(i);
}

static dfq_status wrap(dfq_context *context, const dfqi_accel_space *space, dfq_accelerator **out)
{
    dfq_accelerator *a = dfqi_calloc(context, 1, sizeof *a);
    if (a == NULL) return DFQ_E_NOMEM;
    a->ctx = dfqi_context_retain(context);
    a->space = *space;
    *out = a;
    return DFQ_OK;
}

dfq_status dfq_accelerator_load(dfq_context *context, const char *name,
                                dfq_accelerator **out_accelerator)
{
    dfqi_accel_space space;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, name);
    DFQI_NEED(context, out_accelerator);
    DFQI_TRY(dfqi_accel_space_load(context, name, &space));
    return wrap(context, &space, out_accelerator);
}

dfq_status dfq_accelerator_parse(dfq_context *context, const char *json, size_t size,
                                 dfq_accelerator **out_accelerator)
{
    dfqi_accel_space space;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, json);
    DFQI_NEED(context, out_accelerator);
    DFQI_TRY(dfqi_accel_space_parse(context, "accelerator", json, size, &space));
    return wrap(context, &space, out_accelerator);
}

void dfq_accelerator_release(dfq_accelerator *accelerator)
{
    if (accelerator == NULL) return;
    dfq_context *ctx = accelerator->ctx;
    dfqi_free(ctx, accelerator);
    dfqi_context_release(ctx);
}

const char *dfq_accelerator_get_name(const dfq_accelerator *accelerator)
{
    return accelerator != NULL ? accelerator->space.name : "";
}

int64_t dfq_accelerator_get_count(const dfq_accelerator *accelerator)
{
    return accelerator != NULL ? dfqi_accel_space_count(&accelerator->space) : 0;
}

dfq_status dfqi_config_take(dfq_context *ctx, const dfq_accelerator *a, int64_t i,
                            dfqi_accel_config *out)
{
    int64_t n = dfqi_accel_space_count(&a->space);
    char name[96];
    snprintf(name, sizeof name, "accelerator of %s", a->space.name);
    DFQI_TRY(dfqi_check_index(ctx, name, i, n));
    dfqi_accel_space_config(&a->space, i, out);
    return DFQ_OK;
}

dfq_status dfqi_config_write(dfq_context *ctx, const dfqi_accel_config *t,
                             dfq_accelerator_config *out)
{
    dfq_accelerator_config c = {.pe_x = t->pe_x,
                                .pe_y = t->pe_y,
                                .dataflow = t->dataflow,
                                .pe_type = t->pe,
                                .word_bits = t->word_bits,
                                .psum_bits = t->psum_bits,
                                .float_bits = t->float_bits,
                                .rf_words = t->rf_words,
                                .glb_kb = t->glb_kb,
                                .clock_mhz = t->clock_mhz,
                                .dram_gb_per_s = t->dram_gb_per_s,
                                .glb_gb_per_s = t->glb_gb_per_s,
                                .area_mm2 = dfqi_accel_config_mm2(t),
                                .fused_attention = t->fused_attention};
    return dfqi_info_write(ctx, "dfq_accelerator_config", &c, sizeof c, out);
}

dfq_status dfq_accelerator_get_config(const dfq_accelerator *accelerator, int64_t i,
                                      dfq_accelerator_config *out_config)
{
    dfqi_accel_config t;
    if (accelerator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(accelerator->ctx, out_config);
    DFQI_TRY(dfqi_config_take(accelerator->ctx, accelerator, i, &t));
    return dfqi_config_write(accelerator->ctx, &t, out_config);
}

static void sum_table(const dfqi_table *t, const dfqi_layer_list *l, double clock_mhz,
                      double *out_ms, double *out_mj, double *out_mm2)
{
    for (int64_t k = 0; k < t->n_configs; k++) {
        double cycles, pj;
        dfqi_table_sum(t, l, k, &cycles, &pj);
        out_ms[k] = dfqi_cycles_ms(cycles, clock_mhz);
        out_mj[k] = pj * 1e-9;
        out_mm2[k] = t->mm2[k];
    }
}

dfq_status dfq_accelerator_tabulate(const dfq_accelerator *accelerator, const dfq_graph *graph,
                                    const dfq_cost_options *options, int64_t count, double *out_ms,
                                    double *out_mj, double *out_mm2)
{
    dfqi_layer_list list;
    dfqi_table table;
    dfq_cost_options o;
    dfqi_layer_bits bits;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, accelerator);
    DFQI_NEED(graph->ctx, out_ms);
    DFQI_NEED(graph->ctx, out_mj);
    DFQI_NEED(graph->ctx, out_mm2);
    DFQI_TRY(dfqi_cost_options_take(graph, options, &o, &bits));
    if (count != dfqi_accel_space_count(&accelerator->space))
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "count is %lld, must be %lld, the number of accelerators",
                         (long long)count, (long long)dfqi_accel_space_count(&accelerator->space));
    DFQI_TRY(dfqi_layers_of(graph, bits, &list));
    const dfqi_shapes shapes = dfqi_shapes_of(&list);
    dfq_status status = dfqi_table_new(graph->ctx, &accelerator->space, &shapes, NULL,
                                       graph->net.arch.name, &table);
    if (status == DFQ_OK) {
        sum_table(&table, &list, accelerator->space.clock_mhz, out_ms, out_mj, out_mm2);
        dfqi_table_fini(&table);
    }
    dfqi_layer_list_fini(&list);
    return status;
}
