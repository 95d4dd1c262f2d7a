/* Cost tables. One parallel task handles one layer shape, one dataflow and one buffer: the
 * accelerators of a task share their tilings, which depend neither on register files nor on kinds
 * of elements, and the mappings of smaller arrays. */
#include "accel/table.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"

double dfqi_cycles_ms(double cycles, double clock_mhz)
{
    return cycles / (clock_mhz * 1e3);
}

/* Rows of a table. */
typedef struct filling {
    dfqi_table *table;
    const dfqi_accel_space *space;
    const dfqi_shapes *shapes;
    const uint8_t *wanted; /* [n_configs]; NULL: all */
    const char *name;
    dfqi_layer *layers; /* [n_shapes] resolved */
    int32_t row;        /* of attentions; of shapes the first of those under way */
    int64_t groups;     /* of accelerators: dataflows and buffers */
    dfq_status *status; /* [TOGETHER * groups] */
    dfq_context *ctx;
} filling;

/* Rows that are computed at a time, so that there is work for many threads. */
enum { TOGETHER = 8 };

/* -- one accelerator --------------------------------------------------------------------------- */

static size_t cell(const dfqi_table *t, int32_t row, int64_t config)
{
    return (size_t)row * (size_t)t->n_configs + (size_t)config;
}

static bool is_wanted(const filling *f, int64_t config)
{
    return !f->wanted || f->wanted[config];
}

static dfq_status cost_one(const filling *f, int32_t row, dfqi_search_cache *cache, int64_t config)
{
    const dfqi_layer *l = &f->layers[row];
    dfqi_accel_config t;
    dfqi_cost c;
    dfq_status status = DFQ_OK;
    if (!is_wanted(f, config)) return DFQ_OK;
    dfqi_accel_space_config(f->space, config, &t);
    if (l->kind == DFQI_LAYER_ROWS) {
        dfqi_pricing p;
        dfqi_pricing_of(l, &t, &p);
        dfqi_cost_rows(l, &t, &p, &c);
    } else {
        status = dfqi_search_mapping(cache, f->name, &t, DFQI_LEAST_EDP, &c, NULL);
    }
    if (status != DFQ_OK && status != DFQ_E_INFEASIBLE) return status;
    const size_t at = cell(f->table, row, config);
    f->table->cycles[at] = status == DFQ_OK ? c.cycles : INFINITY;
    f->table->pj[at] = status == DFQ_OK ? c.total_pj : INFINITY;
    return DFQ_OK;
}

static void fuse_one(const filling *f, int64_t config)
{
    dfqi_table *t = f->table;
    const dfqi_attention_pair *pair = &f->shapes->attentions[f->row - t->n_shapes];
    const size_t at = cell(t, f->row, config), scores = cell(t, pair->scores, config),
                 values = cell(t, pair->values, config);
    const double cycles = t->cycles[scores] + t->cycles[values], pj = t->pj[scores] + t->pj[values];
    dfqi_accel_config own;
    dfqi_fused fused;
    dfqi_accel_space_config(f->space, config, &own);
    if (!dfqi_fuse_attention(&f->layers[pair->scores], &f->layers[pair->values], &own, cycles, pj,
                             &fused))
        return; /* 0 */
    t->cycles[at] = dfqi_fused_cycles(&fused) - cycles;
    t->pj[at] = dfqi_fused_pj(&fused) - pj;
}

/* -- rows -------------------------------------------------------------------------------------- */

/* Accelerators of one array, by their other parameters: register file, dataflow, element,
 * buffer. */
static int64_t count_others(const filling *f)
{
    return f->table->n_configs / f->space->pe_x.n / f->space->pe_y.n;
}

static bool in_group(const filling *f, int64_t other, int64_t group)
{
    const dfqi_accel_space *s = f->space;
    const int64_t glb = other % s->glb_kb.n, flow = other / s->glb_kb.n / s->pe.n % s->dataflow.n;
    return flow * s->glb_kb.n + glb == group;
}

static void fill(void *arg, int64_t task, int32_t thread)
{
    filling *f = arg;
    const int32_t row = f->row + (int32_t)(task / f->groups);
    const int64_t others = count_others(f), arrays = f->table->n_configs / others;
    dfqi_search_cache cache;
    dfq_status status = DFQ_OK;
    (void)thread;
    dfqi_search_cache_init(&cache, f->ctx, &f->layers[row]);
    for (int64_t k = 0; k < others; k++) {
        if (!in_group(f, k, task % f->groups)) continue;
        for (int64_t i = 0; i < arrays && status == DFQ_OK; i++)
            status = cost_one(f, row, &cache, i * others + k);
    }
    dfqi_search_cache_fini(&cache);
    f->status[task] = status;
}

static void fuse(void *arg, int64_t other, int32_t thread)
{
    const filling *f = arg;
    const int64_t others = count_others(f);
    (void)thread;
    for (int64_t i = other; i < f->table->n_configs; i += others)
        if (is_wanted(f, i)) fuse_one(f, i);
}

static dfq_status resolve_all(const filling *f)
{
    dfqi_accel_config any;
    dfqi_accel_space_config(f->space, 0, &any);
    for (int32_t i = 0; i < f->table->n_shapes; i++)
        DFQI_TRY(dfqi_layer_resolve(f->ctx, f->name, &f->shapes->of[i], &any, &f->layers[i]));
    return DFQ_OK;
}

/* Does a row that was asked for everywhere have a mapping somewhere? */
static dfq_status check_row(const filling *f, int32_t row)
{
    const dfqi_table *t = f->table;
    for (int64_t i = 0; i < t->n_configs; i++)
        if (f->wanted || !isinf(t->cycles[cell(t, row, i)])) return DFQ_OK;
    return dfqi_fail(
        f->ctx, DFQ_E_INFEASIBLE,
        "%s: a layer has no mapping on any accelerator of %s; make glb_kb or rf_words larger",
        f->name, f->space->name);
}

static dfq_status fill_shapes(filling *f, dfqi_stage *stage)
{
    const int32_t n = f->table->n_shapes;
    for (f->row = 0; f->row < n; f->row += TOGETHER) {
        const int32_t rows = n - f->row < TOGETHER ? n - f->row : TOGETHER;
        dfqi_parallel_for(f->ctx, rows * f->groups, fill, f);
        for (int64_t i = 0; i < rows * f->groups; i++)
            if (f->status[i] != DFQ_OK) return f->status[i];
        for (int32_t i = 0; i < rows; i++) DFQI_TRY(check_row(f, f->row + i));
        DFQI_TRY(dfqi_stage_report(stage, (uint64_t)(f->row + rows), (double)NAN));
    }
    return DFQ_OK;
}

static dfq_status fill_attentions(filling *f, dfqi_stage *stage)
{
    const dfqi_table *t = f->table;
    for (f->row = t->n_shapes; f->row < t->n_shapes + t->n_attentions; f->row++) {
        dfqi_parallel_for(f->ctx, count_others(f), fuse, f);
        DFQI_TRY(dfqi_stage_report(stage, (uint64_t)f->row + 1, (double)NAN));
    }
    return DFQ_OK;
}

static dfq_status fill_all(filling *f)
{
    dfqi_table *t = f->table;
    const uint64_t rows = (uint64_t)t->n_shapes + (uint64_t)t->n_attentions;
    dfqi_stage stage = dfqi_stage_begin(f->ctx, "tabulate", 0, rows);
    for (int64_t i = 0; i < t->n_configs; i++) {
        dfqi_accel_config own;
        dfqi_accel_space_config(f->space, i, &own);
        t->mm2[i] = dfqi_accel_config_mm2(&own);
    }
    DFQI_TRY(resolve_all(f));
    DFQI_TRY(fill_shapes(f, &stage));
    return fill_attentions(f, &stage);
}

dfq_status dfqi_table_new(dfq_context *ctx, const dfqi_accel_space *space,
                          const dfqi_shapes *shapes, const uint8_t *wanted, const char *name,
                          dfqi_table *out)
{
    dfqi_table t = {.ctx = ctx,
                    .n_shapes = shapes->n,
                    .n_attentions = shapes->n_attentions,
                    .n_configs = dfqi_accel_space_count(space)};
    filling f = {.table = &t,
                 .space = space,
                 .shapes = shapes,
                 .wanted = wanted,
                 .name = name,
                 .groups = (int64_t)space->dataflow.n * space->glb_kb.n,
                 .ctx = ctx};
    size_t cells = 0, rows = (size_t)t.n_shapes + (size_t)t.n_attentions;
    if (!dfqi_mul_size(rows, (size_t)t.n_configs, &cells))
        return dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the table of %s is too large", name);
    t.cycles = dfqi_calloc(ctx, cells, sizeof *t.cycles);
    t.pj = dfqi_calloc(ctx, cells, sizeof *t.pj);
    t.mm2 = dfqi_calloc(ctx, (size_t)t.n_configs, sizeof *t.mm2);
    f.layers = dfqi_calloc(ctx, (size_t)t.n_shapes, sizeof *f.layers);
    f.status = dfqi_calloc(ctx, (size_t)(TOGETHER * f.groups), sizeof *f.status);
    const bool room = t.cycles && t.pj && t.mm2 && f.layers && f.status;
    dfq_status status = room ? fill_all(&f) : DFQ_E_NOMEM;
    dfqi_free(ctx, f.layers);
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
