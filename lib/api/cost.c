/* The functions of dfq/cost.h. */
#include <dfq/cost.h>

#include <string.h>

#include "accel/mapping_text.h"
#include "accel/table.h"
#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "base/memory.h"

struct dfq_cost {
    dfq_context *ctx; /* retained */
    dfqi_report report;
    char (*mappings)[DFQI_MAPPING_TEXT_MAX]; /* [report.list.n_layers] */
};

static const dfq_cost_options defaults = {.weight_bits = 0};

void dfq_cost_options_init(dfq_cost_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

/* AUTO: as dfq_graph_quantize() would choose. */
static dfq_status take_grids(const dfq_graph *graph, const dfq_cost_options *o, dfqi_grids *out)
{
    bool fits = dfqi_scheme_fits_rows(&graph->net.arch, DFQI_MODE_IMPROVED);
    *out = (dfqi_grids){.act_group = DFQI_ACT_GROUP_AUTO, .weight_group = DFQI_WEIGHT_GROUP_AUTO};
    if (o->act_scale < DFQ_ACT_SCALE_AUTO || o->act_scale > DFQ_ACT_SCALE_TENSOR)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "act_scale is %d, must be 0 (auto), 1 (row) or 2 (tensor)", o->act_scale);
    if (o->act_scale != DFQ_ACT_SCALE_AUTO && o->weight_bits == 0)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "act_scale is %d without weight_bits and act_bits; set them, or leave "
                         "act_scale 0 (auto)",
                         o->act_scale);
    if (o->act_scale == DFQ_ACT_SCALE_ROW && !fits)
        return dfqi_fail(graph->ctx, DFQ_E_UNSUPPORTED,
                         "act_scale row is for a vision transformer, not for %s; set it to auto "
                         "or tensor",
                         graph->net.arch.name);
    if (fits && o->act_scale != DFQ_ACT_SCALE_TENSOR) out->act_scale = DFQI_ACT_SCALE_ROW;
    return DFQ_OK;
}

dfq_status dfqi_cost_options_take(const dfq_graph *graph, const dfq_cost_options *given,
                                  dfq_cost_options *out, dfqi_layer_bits *out_bits)
{
    dfq_context *ctx = graph->ctx;
    dfq_cost_options o = defaults;
    dfqi_grids grids;
    DFQI_TRY(dfqi_options_read(ctx, "dfq_cost_options", given, &o, sizeof o));
    bool none = o.weight_bits == 0 && o.act_bits == 0;
    if (!none && (o.weight_bits < 2 || o.weight_bits > 16 || o.act_bits < 2 || o.act_bits > 16))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "weight_bits is %d and act_bits is %d, must be 2 to 16, or both 0",
                         o.weight_bits, o.act_bits);
    DFQI_TRY(take_grids(graph, &o, &grids));
    *out = o;
    *out_bits = (dfqi_layer_bits){o.weight_bits, o.act_bits, grids};
    return DFQ_OK;
}

dfq_status dfq_cost_create(const dfq_accelerator *accelerator, const dfq_graph *graph,
                           const dfq_cost_options *options, dfq_cost **out_cost)
{
    dfqi_accel_config t;
    dfq_cost_options o;
    dfqi_layer_bits bits;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, accelerator);
    DFQI_NEED(graph->ctx, out_cost);
    DFQI_TRY(dfqi_cost_options_take(graph, options, &o, &bits));
    DFQI_TRY(dfqi_config_take(graph->ctx, accelerator, o.config, &t));
    dfq_cost *c = dfqi_calloc(graph->ctx, 1, sizeof *c);
    if (c == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_report_new(graph, &t, bits, &c->report);
    if (status == DFQ_OK) {
        size_t n = (size_t)c->report.list.n_layers;
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
    for (int32_t i = 0; i < c->report.list.n_layers; i++)
        dfqi_mapping_print(dfqi_report_mapping(&c->report, i), c->mappings[i]);
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
    info.weight_group = l->weight_group;
    info.act_group = l->act_group;
    info.weight_grid_bits = dfqi_layer_grid(l, DFQI_W);
    info.input_grid_bits = dfqi_layer_grid(l, DFQI_I);
    info.output_grid_bits = dfqi_layer_grid(l, DFQI_O);
    memcpy(info.dims, l->dim, sizeof info.dims);
    info.stride = l->stride;
    info.utilization = dfqi_cost_utilization(c, l, &r->t);
    info.name = r->list.layers[i].name;
    info.mapping = l->kind == DFQI_LAYER_PRODUCT ? mapping : NULL;
    return info;
}

static dfq_status check_layer(const dfq_cost *cost, int32_t i)
{
    return dfqi_check_index(cost->ctx, "layer", i, cost->report.list.n_layers);
}

dfq_status dfq_cost_get_layer(const dfq_cost *cost, int32_t i, dfq_cost_info *out_info)
{
    if (cost == NULL) return DFQ_E_INVALID;
    DFQI_NEED(cost->ctx, out_info);
    DFQI_TRY(check_layer(cost, i));
    const dfqi_report *r = &cost->report;
    dfq_cost_info info = layer_info(r, i, dfqi_report_cost(r, i), cost->mappings[i]);
    info.fused = dfqi_report_is_fused(r, i);
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
    info.fused = dfqi_report_count_fused(r);
    for (int32_t i = 0; i < r->list.n_layers; i++) {
        const dfqi_layer *l = &r->list.shapes[r->list.layers[i].shape];
        const dfqi_cost *c = dfqi_report_cost(r, i);
        info.utilization += dfqi_cost_utilization(c, l, &r->t) * c->cycles / info.cycles;
        if (l->weight_group > info.weight_group) info.weight_group = l->weight_group;
        if (l->act_group > info.act_group) info.act_group = l->act_group;
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
        return dfqi_fail(
            cost->ctx, DFQ_E_INVALID,
            "layer %s is not a product and has no mapping; give a layer of kind product",
            r->list.layers[i].name);
    DFQI_TRY(dfqi_mapping_parse(cost->ctx, mapping, l, &r->t, &m));
    dfqi_pricing_of(l, &r->t, &p);
    dfqi_cost_mapping(l, &p, &m, &c);
    dfq_cost_info info = layer_info(r, i, &c, mapping);
    return dfqi_info_write(cost->ctx, "dfq_cost_info", &info, sizeof info, out_info);
}
