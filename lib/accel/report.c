/* Costs of a network on one accelerator, layer by layer. */
#include <string.h>

#include "accel/table.h"

/* The name of the first layer of a shape. */
static const char *name_of(const dfqi_layer_list *l, int32_t shape)
{
    int32_t i = 0;
    while (l->layers[i].shape != shape) i++;
    return l->layers[i].name;
}

static dfq_status cost_shape(dfqi_report *r, int32_t s)
{
    dfq_context *ctx = r->list.ctx;
    const char *name = name_of(&r->list, s);
    dfqi_layer *l = &r->list.shapes[s];
    dfqi_search_cache cache;
    DFQI_TRY(dfqi_layer_resolve(ctx, name, l, &r->t, l));
    if (l->kind == DFQI_LAYER_ROWS) {
        dfqi_pricing p;
        dfqi_pricing_of(l, &r->t, &p);
        dfqi_cost_rows(l, &r->t, &p, &r->costs[s]);
        return DFQ_OK;
    }
    dfqi_search_cache_init(&cache, ctx, l);
    dfq_status status =
        dfqi_search_mapping(&cache, name, &r->t, DFQI_LEAST_EDP, &r->costs[s], &r->mappings[s]);
    dfqi_search_cache_fini(&cache);
    return status;
}

static void fuse(dfqi_report *r, int32_t a)
{
    const dfqi_attention_pair *at = &r->list.attentions[a];
    const dfqi_cost *scores = &r->costs[at->scores], *values = &r->costs[at->values];
    r->is_fused[a] = dfqi_fuse_attention(&r->list.shapes[at->scores], &r->list.shapes[at->values],
                                         &r->t, scores->cycles + values->cycles,
                                         scores->total_pj + values->total_pj, &r->fused[a]);
}

bool dfqi_report_is_fused(const dfqi_report *r, int32_t i)
{
    const int32_t a = r->list.layers[i].attention;
    return a >= 0 && r->is_fused[a];
}

int32_t dfqi_report_count_fused(const dfqi_report *r)
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->list.n_layers; i++)
        n += r->list.layers[i].scores >= 0 && dfqi_report_is_fused(r, i);
    return n;
}

/* Which product of a fused attention it is; -1: it is none. */
static int fused_product(const dfqi_report *r, int32_t i)
{
    const dfqi_layer_entry *entry = &r->list.layers[i];
    if (!dfqi_report_is_fused(r, i)) return -1;
    if (entry->scores >= 0) return DFQI_VALUES;
    return r->list.shapes[entry->shape].kind == DFQI_LAYER_PRODUCT ? DFQI_SCORES : -1;
}

const dfqi_cost *dfqi_report_cost(const dfqi_report *r, int32_t i)
{
    const dfqi_layer_entry *entry = &r->list.layers[i];
    const int product = fused_product(r, i);
    return product < 0 ? &r->costs[entry->shape] : &r->fused[entry->attention].cost[product];
}

const dfqi_mapping *dfqi_report_mapping(const dfqi_report *r, int32_t i)
{
    const dfqi_layer_entry *entry = &r->list.layers[i];
    const int product = fused_product(r, i);
    return product < 0 ? &r->mappings[entry->shape] : &r->fused[entry->attention].mapping[product];
}

static void add(dfqi_cost *sum, const dfqi_cost *c)
{
    sum->cycles += c->cycles;
    sum->compute_cycles += c->compute_cycles;
    sum->dram_cycles += c->dram_cycles;
    sum->glb_cycles += c->glb_cycles;
    sum->macs += c->macs;
    sum->dram_bytes += c->dram_bytes;
    sum->total_pj += c->total_pj;
    for (int i = 0; i < DFQI_PARTS; i++) sum->pj[i] += c->pj[i];
}

dfq_status dfqi_report_new(const dfqi_model *m, const dfqi_accel_config *t, dfqi_layer_bits bits,
                           dfqi_report *out)
{
    dfqi_report r = {.t = *t};
    DFQI_TRY(dfqi_layers_of(m, bits, &r.list));
    const size_t n = (size_t)r.list.n_shapes, attentions = (size_t)r.list.n_attentions + 1;
    r.costs = dfqi_calloc(m->ctx, n, sizeof *r.costs);
    r.mappings = dfqi_calloc(m->ctx, n, sizeof *r.mappings);
    r.is_fused = dfqi_calloc(m->ctx, attentions, sizeof *r.is_fused);
    r.fused = dfqi_calloc(m->ctx, attentions, sizeof *r.fused);
    dfq_status status = r.costs && r.mappings && r.is_fused && r.fused ? DFQ_OK : DFQ_E_NOMEM;
    for (int32_t s = 0; s < r.list.n_shapes && status == DFQ_OK; s++) status = cost_shape(&r, s);
    for (int32_t a = 0; a < r.list.n_attentions && status == DFQ_OK; a++) fuse(&r, a);
    if (status != DFQ_OK) {
        dfqi_report_fini(&r);
        return status;
    }
    for (int32_t i = 0; i < r.list.n_layers; i++) add(&r.total, dfqi_report_cost(&r, i));
    *out = r;
    return DFQ_OK;
}

void dfqi_report_fini(dfqi_report *r)
{
    dfqi_free(r->list.ctx, r->costs);
    dfqi_free(r->list.ctx, r->mappings);
    dfqi_free(r->list.ctx, r->is_fused);
    dfqi_free(r->list.ctx, r->fused);
    dfqi_layer_list_fini(&r->list);
    memset(r, 0, sizeof *r);
}
