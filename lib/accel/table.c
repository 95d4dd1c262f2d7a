/* Cost tables. One parallel task handles one layer shape and one combination of all parameters but
 * the array size: the accelerators of a task share their tilings and the mappings of smaller
 * arrays. */
#include "accel/table.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"

double dfqi_cycles_ms(double cycles, double clock_mhz)
{
    return cycles / (clock_mhz * 1e3);
}

/* One row of a table. */
typedef struct filling {
    dfqi_table *table;
    const dfqi_accel_space *space;
    const char *name;
    int32_t row;
    dfqi_layer layer;  /* resolved */
    dfqi_layer values; /* of an attention, whose scores are `layer` */
    dfqi_attention_pair attention;
    int64_t combinations;
    dfq_status *status; /* [combinations] */
    dfq_context *ctx;
} filling;

/* -- one accelerator --------------------------------------------------------------------------- */

static size_t cell(const dfqi_table *t, int32_t row, int64_t config)
{
    return (size_t)row * (size_t)t->n_configs + (size_t)config;
}

static dfq_status cost_one(const filling *f, dfqi_search_cache *cache, int64_t config)
{
    dfqi_accel_config t;
    dfqi_cost c;
    dfq_status status = DFQ_OK;
    dfqi_accel_space_config(f->space, config, &t);
    if (f->layer.kind == DFQI_LAYER_ROWS) {
        dfqi_pricing p;
        dfqi_pricing_of(&f->layer, &t, &p);
        dfqi_cost_rows(&f->layer, &t, &p, &c);
    } else {
        status = dfqi_search_mapping(cache, f->name, &t, DFQI_LEAST_EDP, &c, NULL);
    }
    if (status != DFQ_OK && status != DFQ_E_INFEASIBLE) return status;
    const size_t at = cell(f->table, f->row, config);
    f->table->cycles[at] = status == DFQ_OK ? c.cycles : INFINITY;
    f->table->pj[at] = status == DFQ_OK ? c.total_pj : INFINITY;
    return DFQ_OK;
}

static void fuse_one(const filling *f, int64_t config)
{
    dfqi_table *t = f->table;
    const size_t at = cell(t, f->row, config), scores = cell(t, f->attention.scores, config),
                 values = cell(t, f->attention.values, config);
    const double cycles = t->cycles[scores] + t->cycles[values], pj = t->pj[scores] + t->pj[values];
    dfqi_accel_config own;
    dfqi_fused fused;
    dfqi_accel_space_config(f->space, config, &own);
    if (!dfqi_fuse_attention(&f->layer, &f->values, &own, cycles, pj, &fused)) return; /* 0 */
    t->cycles[at] = dfqi_fused_cycles(&fused) - cycles;
    t->pj[at] = dfqi_fused_pj(&fused) - pj;
}

/* -- rows -------------------------------------------------------------------------------------- */

/* The accelerators of a combination differ in their arrays. */
static int64_t count_arrays(const filling *f)
{
    return (int64_t)f->space->pe_x.n * f->space->pe_y.n;
}

static void fill(void *arg, int64_t combination, int32_t thread)
{
    filling *f = arg;
    dfqi_search_cache cache;
    dfq_status status = DFQ_OK;
    (void)thread;
    dfqi_search_cache_init(&cache, f->ctx, &f->layer);
    for (int64_t i = 0; i < count_arrays(f) && status == DFQ_OK; i++)
        status = cost_one(f, &cache, i * f->combinations + combination);
    dfqi_search_cache_fini(&cache);
    f->status[combination] = status;
}

static void fuse(void *arg, int64_t combination, int32_t thread)
{
    const filling *f = arg;
    (void)thread;
    for (int64_t i = 0; i < count_arrays(f); i++) fuse_one(f, i * f->combinations + combination);
}

static dfq_status resolve(const filling *f, const dfqi_layer *shape, dfqi_layer *out)
{
    dfqi_accel_config any;
    dfqi_accel_space_config(f->space, 0, &any);
    return dfqi_layer_resolve(f->ctx, f->name, shape, &any, out);
}

static dfq_status fill_shape(filling *f, const dfqi_layer *shape)
{
    const dfqi_table *t = f->table;
    DFQI_TRY(resolve(f, shape, &f->layer));
    dfqi_parallel_for(f->ctx, f->combinations, fill, f);
    for (int64_t i = 0; i < f->combinations; i++)
        if (f->status[i] != DFQ_OK) return f->status[i];
    for (int64_t i = 0; i < t->n_configs; i++)
        if (!isinf(t->cycles[cell(t, f->row, i)])) return DFQ_OK;
    return dfqi_fail(
        f->ctx, DFQ_E_INFEASIBLE,
        "%s: a layer has no mapping on any accelerator of %s; make glb_kb or rf_words larger",
        f->name, f->space->name);
}

static dfq_status fill_attention(filling *f, const dfqi_shapes *shapes)
{
    f->attention = shapes->attentions[f->row - f->table->n_shapes];
    DFQI_TRY(resolve(f, &shapes->of[f->attention.scores], &f->layer));
    DFQI_TRY(resolve(f, &shapes->of[f->attention.values], &f->values));
    dfqi_parallel_for(f->ctx, f->combinations, fuse, f);
    return DFQ_OK;
}

static dfq_status fill_all(filling *f, const dfqi_shapes *shapes)
{
    dfqi_table *t = f->table;
    const int32_t rows = t->n_shapes + t->n_attentions;
    dfqi_stage stage = dfqi_stage_begin(f->ctx, "tabulate", 0, (uint64_t)rows);
    for (int64_t i = 0; i < t->n_configs; i++) {
        dfqi_accel_config own;
        dfqi_accel_space_config(f->space, i, &own);
        t->mm2[i] = dfqi_accel_config_mm2(&own);
    }
    for (f->row = 0; f->row < rows; f->row++) {
        DFQI_TRY(f->row < t->n_shapes ? fill_shape(f, &shapes->of[f->row])
                                      : fill_attention(f, shapes));
        DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)f->row + 1, (double)NAN));
    }
    return DFQ_OK;
}

dfq_status dfqi_table_new(dfq_context *ctx, const dfqi_accel_space *space,
                          const dfqi_shapes *shapes, const char *name, dfqi_table *out)
{
    dfqi_table t = {.ctx = ctx,
                    .n_shapes = shapes->n,
                    .n_attentions = shapes->n_attentions,
                    .n_configs = dfqi_accel_space_count(space)};
    filling f = {.table = &t, .space = space, .name = name, .ctx = ctx};
    size_t cells = 0, rows = (size_t)t.n_shapes + (size_t)t.n_attentions;
    f.combinations = t.n_configs / space->pe_x.n / space->pe_y.n;
    if (!dfqi_mul_size(rows, (size_t)t.n_configs, &cells))
        return dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the table of %s is too large", name);
    t.cycles = dfqi_calloc(ctx, cells, sizeof *t.cycles);
    t.pj = dfqi_calloc(ctx, cells, sizeof *t.pj);
    t.mm2 = dfqi_calloc(ctx, (size_t)t.n_configs, sizeof *t.mm2);
    f.status = dfqi_calloc(ctx, (size_t)f.combinations, sizeof *f.status);
    dfq_status status = t.cycles && t.pj && t.mm2 && f.status ? fill_all(&f, shapes) : DFQ_E_NOMEM;
    dfqi_free(ctx, f.status);
    if (status == DFQ_OK)
        *out = t;
    else
        dfqi_table_fini(&t);
    return status;
}

void dfqi_table_fini(dfqi_table *t)
{
    dfqi_free(t->ctx, t->cycles);
    dfqi_free(t->ctx, t->pj);
    dfqi_free(t->ctx, t->mm2);
    memset(t, 0, sizeof *t);
}

/* -- networks ---------------------------------------------------------------------------------- */

dfqi_shapes dfqi_shapes_of(const dfqi_layer_list *l)
{
    return (dfqi_shapes){l->n_shapes, l->n_attentions, l->shapes, l->attentions};
}

void dfqi_table_sum(const dfqi_table *t, const dfqi_layer_list *l, int64_t config, double *cycles,
                    double *pj)
{
    *cycles = *pj = 0;
    for (int32_t i = 0; i < l->n_layers; i++) {
        const dfqi_layer_entry *entry = &l->layers[i];
        const size_t at = cell(t, entry->shape, config);
        *cycles += t->cycles[at];
        *pj += t->pj[at];
        if (entry->scores < 0) continue;
        const size_t fused = cell(t, t->n_shapes + entry->attention, config);
        *cycles += t->cycles[fused];
        *pj += t->pj[fused];
    }
}
