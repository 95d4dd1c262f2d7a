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

typedef struct filling {
    const dfqi_accel_space *space;
    const char *name;
    dfqi_layer layer; /* resolved */
    int64_t combinations;
    double *cycles, *pj; /* of this shape */
    dfq_status *status;  /* [combinations] */
    dfq_context *ctx;
} filling;

static dfq_status cost_one(filling *f, dfqi_search_cache *cache, int64_t config)
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
    f->cycles[config] = status == DFQ_OK ? c.cycles : INFINITY;
    f->pj[config] = status == DFQ_OK ? c.total_pj : INFINITY;
    return DFQ_OK;
}

static void fill(void *arg, int64_t combination, int32_t thread)
{
    filling *f = arg;
    dfqi_search_cache cache;
    dfq_status status = DFQ_OK;
    (void)thread;
    dfqi_search_cache_init(&cache, f->ctx, &f->layer);
    int64_t arrays = (int64_t)f->space->pe_x.n * f->space->pe_y.n;
    for (int64_t i = 0; i < arrays && status == DFQ_OK; i++)
        status = cost_one(f, &cache, i * f->combinations + combination);
    dfqi_search_cache_fini(&cache);
    f->status[combination] = status;
}

static dfq_status fill_shape(filling *f, int64_t n_configs)
{
    dfqi_parallel_for(f->ctx, f->combinations, fill, f);
    for (int64_t i = 0; i < f->combinations; i++)
        if (f->status[i] != DFQ_OK) return f->status[i];
    for (int64_t i = 0; i < n_configs; i++)
        if (!isinf(f->cycles[i])) return DFQ_OK;
    return dfqi_fail(
        f->ctx, DFQ_E_INFEASIBLE,
        "%s: a layer has no mapping on any accelerator of %s; make glb_kb or rf_words larger",
        f->name, f->space->name);
}

static dfq_status fill_all(dfqi_table *t, filling *f, const dfqi_layer *shapes)
{
    dfqi_accel_config any;
    dfqi_stage stage = dfqi_stage_begin(f->ctx, "tabulate", 0, (uint64_t)t->n_shapes);
    dfqi_accel_space_config(f->space, 0, &any);
    for (int64_t i = 0; i < t->n_configs; i++) {
        dfqi_accel_config own;
        dfqi_accel_space_config(f->space, i, &own);
        t->mm2[i] = dfqi_accel_config_mm2(&own);
    }
    for (int32_t s = 0; s < t->n_shapes; s++) {
        DFQI_TRY(dfqi_layer_resolve(f->ctx, f->name, &shapes[s], &any, &f->layer));
        f->cycles = t->cycles + s * t->n_configs;
        f->pj = t->pj + s * t->n_configs;
        DFQI_TRY(fill_shape(f, t->n_configs));
        DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)s + 1, (double)NAN));
    }
    return DFQ_OK;
}

dfq_status dfqi_table_new(dfq_context *ctx, const dfqi_accel_space *space, int32_t n_shapes,
                          const dfqi_layer *shapes, const char *name, dfqi_table *out)
{
    dfqi_table t = {.ctx = ctx, .n_shapes = n_shapes, .n_configs = dfqi_accel_space_count(space)};
    filling f = {.space = space, .name = name, .ctx = ctx};
    size_t cells = 0;
    f.combinations = t.n_configs / space->pe_x.n / space->pe_y.n;
    if (!dfqi_mul_size((size_t)n_shapes, (size_t)t.n_configs, &cells))
        return dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the table of %s is too large", name);
    t.cycles = dfqi_calloc(ctx, cells, sizeof *t.cycles);
    t.pj = dfqi_calloc(ctx, cells, sizeof *t.pj);
    t.mm2 = dfqi_calloc(ctx, (size_t)t.n_configs, sizeof *t.mm2);
    f.status = dfqi_calloc(ctx, (size_t)f.combinations, sizeof *f.status);
    dfq_status status =
        t.cycles && t.pj && t.mm2 && f.status ? fill_all(&t, &f, shapes) : DFQ_E_NOMEM;
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
