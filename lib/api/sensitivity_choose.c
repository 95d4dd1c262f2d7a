/* dfq_sensitivity_choose(): limits, and the widths within them. */
#include <math.h>

#include "api/api.h"
#include "api/handles.h"
#include "api/sensitivity_priv.h"
#include "base/memory.h"
#include "bits/choose_costs.h"

static const dfq_bits_limits no_limits = {.mean_weight_bits = 0};

void dfq_bits_limits_init(dfq_bits_limits *limits, size_t size)
{
    dfqi_options_init(limits, size, &no_limits, sizeof no_limits);
}

static dfq_status need_finished(const dfq_sensitivity *s)
{
    if (dfqi_sensitivity_is_finished(s)) return DFQ_OK;
    return dfqi_fail(s->graph->ctx, DFQ_E_INVALID,
                     "the damages of %d layers are not measured yet; run the job to its end first",
                     s->core.n - s->core.done);
}

static dfq_status take_limits(const dfq_sensitivity *s, const dfq_bits_limits *given,
                              dfq_bits_limits *out)
{
    dfq_context *ctx = s->graph->ctx;
    dfq_bits_limits l = no_limits;
    DFQI_TRY(dfqi_options_read(ctx, "dfq_bits_limits", given, &l, sizeof l));
    const struct {
        const char *name;
        double value;
    } all[] = {{"mean_weight_bits", l.mean_weight_bits},
               {"mean_act_bits", l.mean_act_bits},
               {"size_bytes", l.size_bytes},
               {"latency_ms", l.latency_ms},
               {"energy_mj", l.energy_mj},
               {"area_mm2", l.area_mm2}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!(all[i].value >= 0 && isfinite(all[i].value)))
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s is %g, must be a number above 0, or 0 for no limit", all[i].name,
                             all[i].value);
        if (i >= 3 && all[i].value > 0 && l.accelerator == NULL)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s is %g without an accelerator; give one, or leave the limit out",
                             all[i].name, all[i].value);
    }
    *out = l;
    return DFQ_OK;
}

static dfq_status to_table(const dfq_sensitivity *s, const dfqi_pair *widths, dfq_bits **out)
{
    dfqi_bits *b;
    DFQI_TRY(dfqi_bits_copy(s->table, &b));
    for (int32_t i = 0; i < b->n; i++) dfqi_bits_set(b, i, widths[i].w, widths[i].a);
    *out = b;
    return DFQ_OK;
}

void dfqi_sensitivity_forget_costs(dfq_sensitivity *s)
{
    dfqi_bits_costs_fini(&s->costs);
    dfqi_scheme_fini(&s->scheme);
}

/* Tables of this accelerator, which take much longer than a choice: they are kept. */
static dfq_status take_costs(dfq_sensitivity *s, const dfq_accelerator *accel)
{
    if (s->costs.ctx && dfqi_accel_space_equal(&s->costs.space, &accel->space)) return DFQ_OK;
    dfqi_sensitivity_forget_costs(s);
    DFQI_TRY(dfqi_scheme_of_options(s->graph, &s->quantize, &s->scheme));
    return dfqi_bits_costs_new(s->graph, &s->scheme, s->table, &accel->space, &s->costs);
}

static double code_bytes(const dfq_sensitivity *s, const dfqi_pair *widths)
{
    double bits = 0;
    for (int32_t i = 0; i < s->table->n; i++)
        bits += (double)s->table->rows[i].weights * widths[i].w;
    return bits / 8;
}

/* A size is a mean width of the weights. */
static double mean_of_size(const dfq_sensitivity *s, double bytes)
{
    double weights = 0;
    for (int32_t i = 0; i < s->table->n; i++) weights += (double)s->table->rows[i].weights;
    return 8 * bytes / weights;
}

static dfq_status choose(dfq_sensitivity *s, const dfq_bits_limits *l, dfqi_pair *widths,
                         dfqi_chosen *out)
{
    dfqi_cost_limits limits = {.mean = {l->mean_weight_bits, l->mean_act_bits},
                               .ms = l->latency_ms,
                               .mj = l->energy_mj,
                               .mm2 = l->area_mm2};
    double size = l->size_bytes > 0 ? mean_of_size(s, l->size_bytes) : 0;
    if (size > 0 && !(limits.mean.weight > 0 && limits.mean.weight < size))
        limits.mean.weight = size;
    if (l->accelerator) {
        DFQI_TRY(take_costs(s, l->accelerator));
        return dfqi_choose_costs(&s->core, &s->costs, &limits, widths, out);
    }
    *out = (dfqi_chosen){.config = -1, .ms = (double)NAN, .mj = (double)NAN, .mm2 = (double)NAN};
    return dfqi_choose_means(&s->core, limits.mean, widths, &out->proved);
}

dfq_status dfq_sensitivity_choose(dfq_sensitivity *sensitivity, const dfq_bits_limits *limits,
                                  dfq_bits **out_bits, dfq_bits_choice *out_choice)
{
    dfq_bits_limits most;
    dfqi_chosen chosen;
    dfq_bits *bits = NULL;
    if (sensitivity == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = sensitivity->graph->ctx;
    DFQI_NEED(ctx, out_bits);
    DFQI_TRY(need_finished(sensitivity));
    DFQI_TRY(take_limits(sensitivity, limits, &most));
    dfqi_pair *widths = dfqi_calloc(ctx, (size_t)sensitivity->table->n, sizeof *widths);
    if (!widths) return DFQ_E_NOMEM;
    dfq_status status = choose(sensitivity, &most, widths, &chosen);
    if (status == DFQ_OK) status = to_table(sensitivity, widths, &bits);
    if (status == DFQ_OK && out_choice) {
        const dfq_bits_choice own = {.proved = chosen.proved,
                                     .config = chosen.config,
                                     .predicted =
                                         dfqi_sensitivity_predict(&sensitivity->core, widths),
                                     .size_bytes = code_bytes(sensitivity, widths),
                                     .latency_ms = chosen.ms,
                                     .energy_mj = chosen.mj,
                                     .area_mm2 = chosen.mm2};
        status = dfqi_info_write(ctx, "dfq_bits_choice", &own, sizeof own, out_choice);
    }
    if (status == DFQ_OK)
        *out_bits = bits;
    else
        dfqi_bits_free(bits);
    dfqi_free(ctx, widths);
    return status;
}
