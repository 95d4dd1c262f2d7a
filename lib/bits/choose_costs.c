/* Widths within hard limits of cost (choose_costs.h). A group for each layer, whose choices are
 * pairs of widths, and one for the accelerators. */
#include "bits/choose_costs.h"

#include <math.h>
#include <string.h>

#include "explore/solver/solver.h"

enum { MS, MJ, MM2, MEAN_WEIGHT, MEAN_ACT, POWER, METRICS };
enum { ROUNDS = 9 };

static const char *const names[METRICS] = {"latency_ms",       "energy_mj",     "area_mm2",
                                           "mean_weight_bits", "mean_act_bits", "power_mw"};

typedef struct job {
    const dfqi_sensitivity *s;
    dfqi_bits_costs *c;
    dfq_context *ctx;
    int64_t n_configs; /* that may meet the limits */
    int64_t *configs;  /* [n_configs] */
    /* as in `names`; the accelerator's always, to find the cheapest of equally good ones */
    int32_t n, metric[METRICS];
    double limit[METRICS], given[METRICS]; /* 0: none */
    int32_t n_limits;
    dfqi_ratio power;  /* metric -1: there is no limit of it */
    double power_room; /* the limit of its row */
    const char *name[METRICS];
    int32_t *choices; /* [rows + 1] */
    double *loss;     /* [cells + configs] */
    double *cost, *base;
    dfqi_solver *solver;
} job;

static void collect_limits(job *j, const dfqi_cost_limits *l)
{
    const double all[METRICS] = {l->ms, l->mj, l->mm2, l->mean.weight, l->mean.act, l->mw};
    j->power = (dfqi_ratio){.metric = -1, .over = MJ, .under = MS, .scale = 1000};
    for (int32_t m = 0; m < METRICS; m++) {
        if (m > MM2 && !(all[m] > 0)) continue;
        j->metric[j->n] = m;
        j->name[j->n] = names[m];
        j->given[j->n] = j->limit[j->n] = all[m] * (1 + 1e-12);
        j->n_limits += all[m] > 0;
        if (m == POWER) j->power.metric = j->n;
        j->n++;
    }
}

/* What cell k adds to a metric that does not depend on the accelerator. */
static double own_cost(const job *j, int32_t metric, int32_t k)
{
    const dfqi_bits *t = j->c->table;
    const dfqi_bits_cell *cell = &j->c->cells[k];
    const dfqi_bits_row *r = &t->rows[cell->row];
    double all = 0;
    if (metric == MM2) return 0;
    for (int32_t i = 0; i < t->n; i++) {
        if (metric == MEAN_WEIGHT && t->rows[i].has_weight) all += (double)t->rows[i].weights;
        if (metric == MEAN_ACT && t->rows[i].has_act) all += (double)t->rows[i].macs;
    }
    if (metric == MEAN_WEIGHT)
        return r->has_weight ? (double)r->weights * dfqi_bits_of_weight(r, cell->pair.w) / all : 0;
    return r->has_act ? (double)r->macs * cell->pair.a / all : 0;
}

static void take_columns(const job *j, const double *from, double *to)
{
    for (int64_t i = 0; i < j->n_configs; i++) to[i] = from[j->configs[i]];
}

static void fill(job *j)
{
    const dfqi_bits_costs *c = j->c;
    const size_t configs = (size_t)j->n_configs, cells = (size_t)c->n_cells;
    for (int32_t m = 0; m < j->n; m++) {
        double *cost = j->cost + (size_t)m * cells * configs, *base = j->base + (size_t)m * configs;
        int32_t what = j->metric[m];
        if (what == POWER) continue; /* by fill_power() */
        const double *from = what == MS ? c->ms : what == MJ ? c->mj : NULL;
        const double *base_from[3] = {c->base_ms, c->base_mj, c->base_mm2};
        if (what <= MM2) take_columns(j, base_from[what], base);
        for (int32_t k = 0; k < c->n_cells; k++) {
            double v = from ? 0 : own_cost(j, what, k), *row = cost + (size_t)k * configs;
            if (from) take_columns(j, from + (size_t)k * (size_t)c->n_configs, row);
            for (size_t i = 0; !from && i < configs; i++) row[i] = v;
        }
    }
    for (int32_t k = 0; k < c->n_cells; k++) {
        const dfqi_damage *d = &j->s->damages[c->cells[k].row];
        j->loss[k] =
            dfqi_damage_of(d->w, c->cells[k].pair.w) + dfqi_damage_of(d->a, c->cells[k].pair.a);
    }
    for (int32_t i = 0; i < c->table->n; i++) j->choices[i] = c->first[i + 1] - c->first[i];
    j->choices[c->table->n] = (int32_t)j->n_configs;
}

/* Of the present limit. */
static void fill_power(job *j)
{
    const dfqi_bits_costs *c = j->c;
    double typical = 0, n = 0;
    if (j->power.metric < 0) return;
    for (int64_t i = 0; i < j->n_configs; i++) {
        const double ms = c->base_ms[j->configs[i]];
        if (!(ms < DFQI_BITS_NEVER)) continue;
        typical += ms;
        n++;
    }
    j->power.limit = j->limit[j->power.metric];
    j->power_room = dfqi_ratio_fill(&j->power, (size_t)c->n_cells, (size_t)j->n_configs,
                                    n > 0 ? typical / n : 1, DFQI_BITS_NEVER, j->cost, j->base);
}

/* May the accelerator meet the limits, by its area and what no widths go below? */
static bool may_meet(const job *j, int64_t config)
{
    const dfqi_bits_costs *c = j->c;
    const double least[METRICS] = {
        [MS] = c->least_ms[config], [MJ] = c->least_mj[config], [MM2] = c->base_mm2[config]};
    for (int32_t m = 0; m < j->n; m++)
        if (j->given[m] > 0 && least[j->metric[m]] > j->given[m]) return false;
    return true;
}

/* The accelerators to choose from, whose tables are filled: those that may meet the limits, or
 * `all`. */
static dfq_status select_configs(job *j, bool all)
{
    dfqi_bits_costs *c = j->c;
    uint8_t *wanted = dfqi_calloc(j->ctx, (size_t)c->n_configs, sizeof *wanted);
    j->configs = dfqi_calloc(j->ctx, (size_t)c->n_configs, sizeof *j->configs);
    j->n_configs = 0;
    for (int64_t k = 0; wanted && j->configs && k < c->n_configs; k++) {
        wanted[k] = all || may_meet(j, k);
        if (wanted[k]) j->configs[j->n_configs++] = k;
    }
    dfq_status status = wanted && j->configs ? dfqi_bits_costs_fill(c, wanted) : DFQ_E_NOMEM;
    dfqi_free(j->ctx, wanted);
    return status;
}

static void close_job(job *j)
{
    dfqi_solver_release(j->solver);
    dfqi_free(j->ctx, j->configs);
    dfqi_free(j->ctx, j->choices);
    dfqi_free(j->ctx, j->loss);
    dfqi_free(j->ctx, j->cost);
    dfqi_free(j->ctx, j->base);
}

static dfq_status open_job(job *j, bool all)
{
    const dfqi_bits_costs *c = j->c;
    DFQI_TRY(select_configs(j, all));
    size_t configs = (size_t)j->n_configs, cells, sum;
    if (!dfqi_mul_size((size_t)c->n_cells, configs, &cells) || !dfqi_mul_size(cells, METRICS, &sum))
        return DFQ_E_NOMEM;
    if (configs == 0) return DFQ_OK;
    j->choices = dfqi_calloc(j->ctx, (size_t)c->table->n + 1, sizeof *j->choices);
    j->loss = dfqi_calloc(j->ctx, (size_t)c->n_cells + configs, sizeof *j->loss);
    j->cost = dfqi_calloc(j->ctx, (size_t)j->n * cells, sizeof *j->cost);
    j->base = dfqi_calloc(j->ctx, (size_t)j->n * configs, sizeof *j->base);
    if (!j->choices || !j->loss || !j->cost || !j->base) return DFQ_E_NOMEM;
    fill(j);
    return DFQ_OK;
}

/* The optimum of the additive model within j->limit. */
static dfq_status solve(job *j, dfqi_pair *widths, dfqi_chosen *out)
{
    const dfqi_bits_costs *c = j->c;
    dfq_constraint most[METRICS];
    const dfq_problem problem = {.struct_size = sizeof problem,
                                 .n_groups = c->table->n + 1,
                                 .n_hw_params = 1,
                                 .n_metrics = j->n,
                                 .choices = j->choices,
                                 .metrics = j->name,
                                 .loss_table = j->loss,
                                 .cost_table = j->cost,
                                 .base_table = j->base};
    dfq_solver_options o;
    dfqi_solver_info info;
    dfqi_solver_defaults(&o);
    o.rule = DFQ_RULE_EXACT;
    o.steps = 1;
    int32_t n = 0;
    fill_power(j);
    for (int32_t m = 0; m < j->n; m++) {
        const double limit = m == j->power.metric ? j->power_room : j->limit[m];
        if (limit > 0)
            most[n++] = (dfq_constraint){.struct_size = sizeof *most, .metric = m, .limit = limit};
    }
    dfqi_solver_release(j->solver);
    j->solver = NULL;
    DFQI_TRY(dfqi_solver_new(j->ctx, &problem, most, n, &o, &j->solver));
    dfqi_solver_set_ratio(j->solver, &j->power, j->n);
    DFQI_TRY(dfqi_solver_run(j->solver));
    const int32_t *best = dfqi_solver_best(j->solver);
    dfqi_solver_result(j->solver, &info);
    out->proof = (dfqi_proof){info.result.proved, info.result.bound};
    for (int32_t i = 0; i < c->table->n; i++) widths[i] = c->cells[c->first[i] + best[i]].pair;
    out->config = j->configs[best[c->table->n]];
    return DFQ_OK;
}

/* Limits that the exact costs break become tighter by as much, and by a little that grows, since
 * the next choice may be off by more: 1e-6 at first, 0.07 in the last round. */
static bool tighten(job *j, const dfqi_chosen *chosen, int32_t round)
{
    const double more = ldexp(1e-6, 2 * round);
    bool broken = false;
    for (int32_t m = 0; m < j->n; m++) {
        const double mw = 1000 * chosen->mj / chosen->ms;
        const double costs[METRICS] = {[MS] = chosen->ms, [MJ] = chosen->mj, [POWER] = mw};
        const double exact = costs[j->metric[m]];
        if (!(j->limit[m] > 0) || exact <= j->given[m]) continue;
        j->limit[m] *= j->given[m] / exact * (1 - more);
        broken = true;
    }
    return broken;
}

static dfq_status search(job *j, dfqi_pair *widths, dfqi_chosen *out)
{
    double bound = 0;
    for (int32_t round = 0; round < ROUNDS; round++) {
        dfq_status status = solve(j, widths, out);
        if (status == DFQ_E_INFEASIBLE && round > 0) break;
        DFQI_TRY(status);
        DFQI_TRY(dfqi_bits_exact(j->c, widths, out->config, &out->ms, &out->mj, &out->fused));
        out->mm2 = j->c->base_mm2[out->config];
        if (round == 0) bound = out->proof.bound; /* later ones are of tighter limits */
        out->proof = (dfqi_proof){out->proof.proved && round == 0, bound};
        if (!tighten(j, out, round)) return DFQ_OK;
    }
    return dfqi_fail(j->ctx, DFQ_E_INFEASIBLE,
                     "the widths found take %.6g ms, %.6g mJ and %.6g mW by the exact model, more "
                     "than the limits allow; raise these a little",
                     out->ms, out->mj, 1000 * out->mj / out->ms);
}

static dfq_status attempt(job j, bool all, dfqi_pair *widths, dfqi_chosen *out)
{
    dfq_status status = open_job(&j, all);
    if (status == DFQ_OK) status = j.n_configs > 0 ? search(&j, widths, out) : DFQ_E_INFEASIBLE;
    close_job(&j);
    return status;
}

dfq_status dfqi_choose_costs(const dfqi_sensitivity *s, dfqi_bits_costs *c,
                             const dfqi_cost_limits *limits, dfqi_pair *widths, dfqi_chosen *out)
{
    job j = {.s = s, .c = c, .ctx = s->mixed.ctx};
    collect_limits(&j, limits);
    if (j.n_limits == 0)
        return dfqi_fail(j.ctx, DFQ_E_INVALID,
                         "a limit is missing: of latency, energy, area, size or mean widths");
    dfq_status status = attempt(j, false, widths, out);
    /* which limits would do, all accelerators tell */
    return status == DFQ_E_INFEASIBLE ? attempt(j, true, widths, out) : status;
}
