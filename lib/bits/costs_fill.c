/* Costs of accelerators (costs.h): bounds of all, and tables of those that are asked for. */
#include <math.h>

#include "base/parallel.h"
#include "bits/costs_priv.h"

/* -- bounds ------------------------------------------------------------------------------------ */

/* The layer with operands as narrow as any cell has them, without grids. */
static dfqi_layer narrowest(const dfqi_layer *l, const dfqi_accel_config *t)
{
    dfqi_layer own = *l;
    own.weight_group = 0;
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        const bool there = v != DFQI_W || l->kind == DFQI_LAYER_PRODUCT || l->sum;
        own.grid[v] = (dfqi_share){0, 0};
        if (l->bits[v] > DFQI_BITS_MIN) own.bits[v] = DFQI_BITS_MIN;
        if (l->bits[v] == 0 && there) own.bits[v] = t->float_bits;
    }
    return own;
}

/* No mapping of a product has less energy than its multiplications, which read both operands inside
 * the array and add to a sum. */
static void bound_product(const dfqi_layer *l, const dfqi_accel_config *t, double *cycles,
                          double *pj)
{
    dfqi_pricing p;
    dfqi_pricing_of(l, t, &p);
    const dfqi_level_cost *level = &p.level[t->dataflow == DFQI_FLOW_RS ? 2 : 3];
    *cycles = fmax(dfqi_mapping_least_cycles(l, t), p.lane_cycles);
    *pj = dfqi_layer_macs(l) * (p.mac_pj + level->read_pj[DFQI_W] + level->read_pj[DFQI_I] +
                                level->update_pj[DFQI_O]) +
          *cycles * p.static_pj;
}

static void bound_shape(const dfqi_layer *shape, const dfqi_accel_config *t, double *cycles,
                        double *pj)
{
    const dfqi_layer l = narrowest(shape, t);
    dfqi_pricing p;
    dfqi_cost c;
    if (l.kind == DFQI_LAYER_PRODUCT) {
        bound_product(&l, t, cycles, pj);
        return;
    }
    dfqi_pricing_of(&l, t, &p);
    dfqi_cost_rows(&l, t, &p, &c);
    *cycles = c.cycles;
    *pj = c.total_pj;
}

static void bound_config(void *arg, int64_t config, int32_t thread)
{
    static const double rounding = 1 - 1e-9;
    dfqi_bits_costs *c = arg;
    const struct dfqi_bits_plan *p = c->plan;
    dfqi_accel_config t;
    double ms = 0, mj = 0;
    (void)thread;
    dfqi_accel_space_config(&c->space, config, &t);
    for (int32_t i = 0; i < p->shapes.n; i++) {
        double cycles, pj, times = 0;
        for (int32_t k = 0; k < p->base.n; k++) times += p->base_shape[k] == i;
        if (times == 0.0) continue;
        bound_shape(&p->shapes.all[i], &t, &cycles, &pj);
        ms += times * dfqi_cycles_ms(cycles, t.clock_mhz);
        mj += times * pj * 1e-9;
    }
    c->least_ms[config] = rounding * ms;
    c->least_mj[config] = rounding * mj;
    c->base_mm2[config] = dfqi_accel_config_mm2(&t);
}

void dfqi_bits_bound(dfqi_bits_costs *c)
{
    dfqi_parallel_for(c->ctx, c->n_configs, bound_config, c);
}

/* -- tables ------------------------------------------------------------------------------------ */

static double bounded(double v)
{
    return v < DFQI_BITS_NEVER ? v : DFQI_BITS_NEVER;
}

static void fill_base(dfqi_bits_costs *c, const dfqi_table *t, int64_t k)
{
    const struct dfqi_bits_plan *p = c->plan;
    double cycles = 0, pj = 0;
    for (int32_t i = 0; i < p->base.n; i++) {
        const int64_t n = c->n_configs, at = p->base_shape[i] * n + k;
        const int64_t fused = (t->n_shapes + p->base_attention[i]) * n + k;
        const bool attention = p->base_attention[i] >= 0;
        cycles += t->cycles[at] + (attention ? t->cycles[fused] : 0);
        pj += t->pj[at] + (attention ? t->pj[fused] : 0);
    }
    c->base_ms[k] = bounded(dfqi_cycles_ms(cycles, c->space.clock_mhz));
    c->base_mj[k] = bounded(pj * 1e-9);
}

static void fill_change(dfqi_bits_costs *c, const dfqi_table *t, const dfqi_bits_change *ch,
                        const uint8_t *wanted)
{
    const struct dfqi_bits_plan *p = c->plan;
    const int64_t n = c->n_configs;
    const int32_t first = ch->attention ? t->n_shapes : 0;
    const int32_t base = (ch->attention ? p->base_attention : p->base_shape)[ch->layer];
    for (int64_t k = 0; k < n; k++) {
        if (!wanted[k]) continue;
        int64_t to = (first + ch->to) * n + k, from = (first + base) * n + k;
        double cycles = t->cycles[to] - t->cycles[from], pj = t->pj[to] - t->pj[from];
        double *ms = &c->ms[ch->cell * n + k], *mj = &c->mj[ch->cell * n + k];
        *ms = isfinite(cycles) ? *ms + dfqi_cycles_ms(cycles, c->space.clock_mhz) : DFQI_BITS_NEVER;
        *mj = isfinite(pj) ? *mj + pj * 1e-9 : DFQI_BITS_NEVER;
    }
}

/* wanted: none of them is filled. */
static dfq_status fill(dfqi_bits_costs *c, const uint8_t *wanted)
{
    const struct dfqi_bits_plan *p = c->plan;
    const dfqi_shapes all = {p->shapes.n, p->shapes.n_attentions, p->shapes.all,
                             p->shapes.attentions};
    dfqi_table t;
    int64_t n = 0;
    for (int64_t k = 0; k < c->n_configs; k++) n += wanted[k];
    if (n == 0) return DFQ_OK;
    DFQI_TRY(dfqi_table_new(c->ctx, &c->space, &all, n == c->n_configs ? NULL : wanted,
                            c->table->network, &t));
    for (int64_t k = 0; k < c->n_configs; k++) {
        if (!wanted[k]) continue;
        fill_base(c, &t, k);
        c->filled[k] = 1;
    }
    for (int32_t i = 0; i < p->n_changes; i++) fill_change(c, &t, &p->changes[i], wanted);
    dfqi_table_fini(&t);
    return DFQ_OK;
}

dfq_status dfqi_bits_costs_fill(dfqi_bits_costs *c, const uint8_t *wanted)
{
    uint8_t *missing = dfqi_calloc(c->ctx, (size_t)c->n_configs, sizeof *missing);
    if (!missing) return DFQ_E_NOMEM;
    for (int64_t k = 0; k < c->n_configs; k++) missing[k] = !c->filled[k] && (!wanted || wanted[k]);
    dfq_status status = fill(c, missing);
    dfqi_free(c->ctx, missing);
    return status;
}
