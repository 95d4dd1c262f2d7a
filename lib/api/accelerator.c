/* dfq/accelerator.h. */
#include <dfq/accelerator.h>

#include <string.h>

#include "accel/mapping_text.h"
#include "accel/table.h"
#include "api/api.h"
#include "api/handles.h"
#include "base/memory.h"

struct dfq_accelerator {
    dfq_context *ctx; /* retained */
    dfqi_accel_space space;
};

struct dfq_cost {
    dfq_context *ctx; /* retained */
    dfqi_report report;
    char (*mappings)[DFQI_MAPPING_TEXT_MAX]; /* [report.list.n_shapes] */
};

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

static dfq_status take_config(dfq_context *ctx, const dfq_accelerator *a, int64_t i,
                              dfqi_accel_config *out)
{
    int64_t n = dfqi_accel_space_count(&a->space);
    if (i < 0 || i >= n)
        return dfqi_fail(ctx, DFQ_E_INVALID, "accelerator %lld of %s asked for, there are %lld",
                         (long long)i, a->space.name, (long long)n);
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
                                .area_mm2 = dfqi_accel_config_mm2(t)};
    return dfqi_info_write(ctx, "dfq_accelerator_config", &c, sizeof c, out);
}

dfq_status dfq_accelerator_get_config(const dfq_accelerator *accelerator, int64_t i,
                                      dfq_accelerator_config *out_config)
{
    dfqi_accel_config t;
    if (accelerator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(accelerator->ctx, out_config);
    DFQI_TRY(take_config(accelerator->ctx, accelerator, i, &t));
    return dfqi_config_write(accelerator->ctx, &t, out_config);
}

/* -- costs ------------------------------------------------------------------------------------- */

static const dfq_cost_options defaults = {.weight_bits = 0};

void dfq_cost_options_init(dfq_cost_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

static dfq_status take_options(dfq_context *ctx, const dfq_cost_options *given,
                               dfq_cost_options *out)
{
    dfq_cost_options o = defaults;
    DFQI_TRY(dfqi_options_read(ctx, "dfq_cost_options", given, &o, sizeof o));
    bool none = o.weight_bits == 0 && o.act_bits == 0;
    if (!none && (o.weight_bits < 2 || o.weight_bits > 16 || o.act_bits < 2 || o.act_bits > 16))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "weight_bits is %d and act_bits %d, must be 2 to 16, or both 0",
                         o.weight_bits, o.act_bits);
    *out = o;
    return DFQ_OK;
}

dfq_status dfq_cost_create(const dfq_accelerator *accelerator, const dfq_graph *graph,
                           const dfq_cost_options *options, dfq_cost **out_cost)
{
    dfqi_accel_config t;
    dfq_cost_options o;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, accelerator);
    DFQI_NEED(graph->ctx, out_cost);
    DFQI_TRY(take_options(graph->ctx, options, &o));
    DFQI_TRY(take_config(graph->ctx, accelerator, o.config, &t));
    dfq_cost *c = dfqi_calloc(graph->ctx, 1, sizeof *c);
    if (c == NULL) return DFQ_E_NOMEM;
    dfqi_layer_bits bits = {o.weight_bits, o.act_bits};
    dfq_status status = dfqi_report_new(graph, &t, bits, &c->report);
    if (status == DFQ_OK) {
        size_t n = (size_t)c->report.list.n_shapes;
        c->mappings = dfqi_calloc(graph->ctx, n, sizeof *c->mappings);
        if (c->mappings == NULL) {
            dfqi_report_fini(&c->report);
            status = DFQ_E_NOMEM;
        }
    }
    if (status != DFQ_OK) {
        dfqi_free(graph->ctx, c);
        return status;
    }
    c->ctx = dfqi_context_retain(graph->ctx);
    for (int32_t s = 0; s < c->report.list.n_shapes; s++)
        dfqi_mapping_print(&c->report.mappings[s], c->mappings[s]);
    *out_cost = c;
    return DFQ_OK;
}

void dfq_cost_release(dfq_cost *cost)
{
    if (cost == NULL) return;
    dfq_context *ctx = cost->ctx;
    dfqi_report_fini(&cost->report);
    dfqi_free(ctx, cost->mappings);
    dfqi_free(ctx, cost);
    dfqi_context_release(ctx);
}

int32_t dfq_cost_get_count(const dfq_cost *cost)
{
    return cost != NULL ? cost->report.list.n_layers : 0;
}

static dfq_cost_info info_of(const dfqi_cost *c, const dfqi_accel_config *t)
{
    return (dfq_cost_info){.cycles = c->cycles,
                           .compute_cycles = c->compute_cycles,
                           .dram_cycles = c->dram_cycles,
                           .glb_cycles = c->glb_cycles,
                           .ms = dfqi_cycles_ms(c->cycles, t->clock_mhz),
                           .macs = c->macs,
                           .dram_bytes = c->dram_bytes,
                           .mac_pj = c->pj[DFQI_PART_MAC],
                           .rf_pj = c->pj[DFQI_PART_RF],
                           .noc_pj = c->pj[DFQI_PART_NOC],
                           .glb_pj = c->pj[DFQI_PART_GLB],
                           .dram_pj = c->pj[DFQI_PART_DRAM],
                           .static_pj = c->pj[DFQI_PART_STATIC],
                           .total_pj = c->total_pj,
                           .area_mm2 = dfqi_accel_config_mm2(t)};
}

/* Layer `i` at the cost of a mapping. */
static dfq_cost_info layer_info(const dfqi_report *r, int32_t i, const dfqi_cost *c,
                                const char *mapping)
{
    const dfqi_layer *l = &r->list.shapes[r->list.layers[i].shape];
    dfq_cost_info info = info_of(c, &r->t);
    info.kind = l->kind;
    info.weight_bits = l->bits[DFQI_W];
    info.input_bits = l->bits[DFQI_I];
    info.output_bits = l->bits[DFQI_O];
    memcpy(info.dims, l->dim, sizeof info.dims);
    info.stride = l->stride;
    info.utilization = dfqi_cost_utilization(c, l, &r->t);
    info.name = r->list.layers[i].name;
    info.mapping = l->kind == DFQI_LAYER_PRODUCT ? mapping : NULL;
    return info;
}

static dfq_status check_layer(const dfq_cost *cost, int32_t i)
{
    if (i >= 0 && i < cost->report.list.n_layers) return DFQ_OK;
    return dfqi_fail(cost->ctx, DFQ_E_INVALID, "layer %d asked for, there are %d", i,
                     cost->report.list.n_layers);
}

dfq_status dfq_cost_get_layer(const dfq_cost *cost, int32_t i, dfq_cost_info *out_info)
{
    if (cost == NULL) return DFQ_E_INVALID;
    DFQI_NEED(cost->ctx, out_info);
    DFQI_TRY(check_layer(cost, i));
    const dfqi_report *r = &cost->report;
    int32_t shape = r->list.layers[i].shape;
    dfq_cost_info info = layer_info(r, i, &r->costs[shape], cost->mappings[shape]);
    return dfqi_info_write(cost->ctx, "dfq_cost_info", &info, sizeof info, out_info);
}

dfq_status dfq_cost_get_total(const dfq_cost *cost, dfq_cost_info *out_info)
{
    if (cost == NULL) return DFQ_E_INVALID;
    DFQI_NEED(cost->ctx, out_info);
    const dfqi_report *r = &cost->report;
    dfq_cost_info info = info_of(&r->total, &r->t);
    info.kind = DFQ_LAYER_TOTAL;
    info.name = "total";
    for (int32_t i = 0; i < r->list.n_layers; i++) {
        int32_t shape = r->list.layers[i].shape;
        const dfqi_cost *c = &r->costs[shape];
        info.utilization +=
            dfqi_cost_utilization(c, &r->list.shapes[shape], &r->t) * c->cycles / info.cycles;
    }
    return dfqi_info_write(cost->ctx, "dfq_cost_info", &info, sizeof info, out_info);
}

dfq_status dfq_cost_evaluate_mapping(const dfq_cost *cost, int32_t i, const char *mapping,
                                     dfq_cost_info *out_info)
{
    if (cost == NULL) return DFQ_E_INVALID;
    DFQI_NEED(cost->ctx, mapping);
    DFQI_NEED(cost->ctx, out_info);
    DFQI_TRY(check_layer(cost, i));
    const dfqi_report *r = &cost->report;
    const dfqi_layer *l = &r->list.shapes[r->list.layers[i].shape];
    dfqi_mapping m;
    dfqi_pricing p;
    dfqi_cost c;
    if (l->kind != DFQI_LAYER_PRODUCT)
        return dfqi_fail(cost->ctx, DFQ_E_INVALID, "%s is no product, it takes no mapping",
                         r->list.layers[i].name);
    DFQI_TRY(dfqi_mapping_parse(cost->ctx, mapping, l, &r->t, &m));
    dfqi_pricing_of(l, &r->t, &p);
    dfqi_cost_mapping(l, &p, &m, &c);
    dfq_cost_info info = layer_info(r, i, &c, mapping);
    return dfqi_info_write(cost->ctx, "dfq_cost_info", &info, sizeof info, out_info);
}

static void sum_table(const dfqi_table *t, const dfqi_layer_list *l, double clock_mhz,
                      double *out_ms, double *out_mj, double *out_mm2)
{
    for (int64_t k = 0; k < t->n_configs; k++) {
        double cycles = 0, pj = 0;
        for (int32_t i = 0; i < l->n_layers; i++) {
            cycles += t->cycles[l->layers[i].shape * t->n_configs + k];
            pj += t->pj[l->layers[i].shape * t->n_configs + k];
        }
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
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, accelerator);
    DFQI_NEED(graph->ctx, out_ms);
    DFQI_NEED(graph->ctx, out_mj);
    DFQI_NEED(graph->ctx, out_mm2);
    DFQI_TRY(take_options(graph->ctx, options, &o));
    if (count != dfqi_accel_space_count(&accelerator->space))
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "room for %lld accelerators, there are %lld",
                         (long long)count, (long long)dfqi_accel_space_count(&accelerator->space));
    DFQI_TRY(dfqi_layers_of(graph, (dfqi_layer_bits){o.weight_bits, o.act_bits}, &list));
    dfq_status status = dfqi_table_new(graph->ctx, &accelerator->space, list.n_shapes, list.shapes,
                                       graph->net.arch.name, &table);
    if (status == DFQ_OK) {
        sum_table(&table, &list, accelerator->space.clock_mhz, out_ms, out_mj, out_mm2);
        dfqi_table_fini(&table);
    }
    dfqi_layer_list_fini(&list);
    return status;
}
