/* dfq_sensitivity_choose(): limits, and the widths within them. */
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "api/sensitivity_priv.h"
#include "base/memory.h"
#include "bits/refine.h"

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
               {"area_mm2", l.area_mm2},
               {"power_mw", l.power_mw}};
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

static double weight_bytes(const dfq_sensitivity *s, const dfqi_pair *widths)
{
    double bits = 0;
    for (int32_t i = 0; i < s->table->n; i++) {
        const dfqi_bits_row *r = &s->table->rows[i];
        if (r->has_weight) bits += (double)r->weights * dfqi_bits_of_weight(r, widths[i].w);
    }
    return bits / 8;
}

/* A size is a mean width of the weights. */
static double mean_of_size(const dfq_sensitivity *s, double bytes)
{
    double weights = 0;
    for (int32_t i = 0; i < s->table->n; i++)
        if (s->table->rows[i].has_weight) weights += (double)s->table->rows[i].weights;
    return 8 * bytes / weights;
}

static dfqi_cost_limits cost_limits(const dfq_sensitivity *s, const dfq_bits_limits *l)
{
    dfqi_cost_limits limits = {.mean = {l->mean_weight_bits, l->mean_act_bits},
                               .ms = l->latency_ms,
                               .mj = l->energy_mj,
                               .mm2 = l->area_mm2,
                               .mw = l->power_mw};
    double size = l->size_bytes > 0 ? mean_of_size(s, l->size_bytes) : 0;
    if (size > 0 && !(limits.mean.weight > 0 && limits.mean.weight < size))
        limits.mean.weight = size;
    return limits;
}

static dfq_status choose(dfq_sensitivity *s, const dfq_bits_limits *l, dfqi_pair *widths,
                         dfqi_chosen *out)
{
    const dfqi_cost_limits limits = cost_limits(s, l);
    if (l->accelerator) {
        DFQI_TRY(take_costs(s, l->accelerator));
        return dfqi_choose_costs(&s->core, &s->costs, &limits, widths, out);
    }
    *out = (dfqi_chosen){.config = -1, .ms = (double)NAN, .mj = (double)NAN, .mm2 = (double)NAN};
    return dfqi_choose_means(&s->core, limits.mean, widths, &out->proof);
}

/* The share of a prediction that other widths could take off. */
static double gap_of(const dfqi_proof *proof, double predicted)
{
    if (proof->proved || !(predicted > proof->bound)) return 0;
    return fmin(1 - proof->bound / predicted, 1);
}

static dfq_status tell(const dfq_sensitivity *s, const dfqi_pair *widths, const dfqi_chosen *chosen,
                       dfq_bits_choice *out)
{
    const double predicted = dfqi_sensitivity_predict(&s->core, widths);
    const dfq_bits_choice own = {.proved = chosen->proof.proved,
                                 .config = chosen->config,
                                 .predicted = predicted,
                                 .gap = gap_of(&chosen->proof, predicted),
                                 .size_bytes = weight_bytes(s, widths),
                                 .latency_ms = chosen->ms,
                                 .energy_mj = chosen->mj,
                                 .area_mm2 = chosen->mm2,
                                 .fused_attentions = chosen->fused,
                                 .power_mw = 1000 * chosen->mj / chosen->ms};
    return dfqi_info_write(s->graph->ctx, "dfq_bits_choice", &own, sizeof own, out);
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
    if (status == DFQ_OK && out_choice) status = tell(sensitivity, widths, &chosen, out_choice);
    if (status == DFQ_OK)
        *out_bits = bits;
    else
        dfqi_bits_free(bits);
    dfqi_free(ctx, widths);
    return status;
}

/* -- moves ------------------------------------------------------------------------------------- */

static dfq_status refine(dfq_sensitivity *s, const dfq_bits_limits *l, int32_t trials,
                         dfqi_pair *widths, dfqi_chosen *chosen, double kl[2])
{
    const dfqi_cost_limits limits = cost_limits(s, l);
    if (l->accelerator) DFQI_TRY(take_costs(s, l->accelerator));
    DFQI_TRY(dfqi_sensitivity_prepare(s));
    const dfqi_refine r = {
        .s = &s->core, .c = l->accelerator ? &s->costs : NULL, .limits = &limits, .trials = trials};
    return dfqi_refine_run(&r, widths, chosen, kl);
}

static dfq_status check_refine(const dfq_sensitivity *s, const dfq_bits_limits *l, int32_t trials,
                               const dfq_bits_choice *choice)
{
    const int64_t n = l->accelerator ? dfqi_accel_space_count(&l->accelerator->space) : 0;
    DFQI_TRY(need_finished(s));
    if (trials < 1 || trials > 100000)
        return dfqi_fail(s->graph->ctx, DFQ_E_INVALID, "trials is %d, must be 1 to 100000", trials);
    if (l->accelerator ? choice->config >= 0 && choice->config < n : choice->config == -1)
        return DFQ_OK;
    return dfqi_fail(s->graph->ctx, DFQ_E_INVALID,
                     "config of the choice is %lld, and the limits have %lld accelerators; give "
                     "the limits that it was made with",
                     (long long)choice->config, (long long)n);
}

dfq_status dfq_sensitivity_refine(dfq_sensitivity *sensitivity, const dfq_bits_limits *limits,
                                  int32_t trials, dfq_bits *bits, dfq_bits_choice *choice,
                                  double *out_measured)
{
    dfq_bits_limits most;
    double kl[2];
    if (sensitivity == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = sensitivity->graph->ctx;
    DFQI_NEED(ctx, bits);
    DFQI_NEED(ctx, choice);
    DFQI_TRY(take_limits(sensitivity, limits, &most));
    DFQI_TRY(check_refine(sensitivity, &most, trials, choice));
    const dfqi_proof proof = {choice->proved, choice->predicted * (1 - choice->gap)};
    dfqi_chosen chosen = {.proof = proof,
                          .config = choice->config,
                          .ms = choice->latency_ms,
                          .mj = choice->energy_mj,
                          .mm2 = choice->area_mm2,
                          .fused = choice->fused_attentions};
    dfqi_pair *widths = dfqi_calloc(ctx, (size_t)sensitivity->table->n, sizeof *widths);
    if (!widths) return DFQ_E_NOMEM;
    dfq_status status = dfqi_sensitivity_take(sensitivity, bits, widths);
    if (status == DFQ_OK) status = refine(sensitivity, &most, trials, widths, &chosen, kl);
    if (status == DFQ_OK) status = tell(sensitivity, widths, &chosen, choice);
    for (int32_t i = 0; status == DFQ_OK && i < bits->n; i++)
        dfqi_bits_set(bits, i, widths[i].w, widths[i].a);
    if (status == DFQ_OK && out_measured) memcpy(out_measured, kl, sizeof kl);
    dfqi_free(ctx, widths);
    return status;
}
