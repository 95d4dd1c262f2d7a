/* Damages of bit widths (sensitivity.h). Layers are measured in network order: what lies before a
 * layer is the same for all its widths, and is computed once. */
#include "bits/sensitivity.h"

#include <math.h>
#include <string.h>

static void forget(dfqi_sensitivity *s)
{
    dfqi_cut_state_fini(&s->state);
    dfqi_mixed_graph_fini(&s->graph);
}

static void clear(dfqi_sensitivity *s)
{
    forget(s);
    s->done = 0;
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t k = 0; k < DFQI_BITS_WIDTHS; k++)
            s->damages[i].w[k] = s->damages[i].a[k] = (double)NAN;
}

dfq_status dfqi_sensitivity_init(const dfqi_mixed *mixed, dfqi_sensitivity *out)
{
    dfq_context *ctx = mixed->ctx;
    *out = (dfqi_sensitivity){.mixed = *mixed, .n = mixed->table->n};
    out->around = dfqi_calloc(ctx, (size_t)out->n, sizeof *out->around);
    out->damages = dfqi_calloc(ctx, (size_t)out->n, sizeof *out->damages);
    if (out->around && out->damages) {
        clear(out);
        return DFQ_OK;
    }
    dfqi_free(ctx, out->around);
    dfqi_free(ctx, out->damages);
    return DFQ_E_NOMEM;
}

void dfqi_sensitivity_fini(dfqi_sensitivity *s)
{
    dfq_context *ctx = s->mixed.ctx;
    if (!ctx) return;
    forget(s);
    dfqi_free(ctx, s->around);
    dfqi_free(ctx, s->damages);
    dfqi_mixed_fini(&s->mixed);
    memset(s, 0, sizeof *s);
}

void dfqi_sensitivity_resume(dfqi_sensitivity *s, int32_t done)
{
    forget(s);
    s->done = done;
}

dfq_status dfqi_sensitivity_restart(dfqi_sensitivity *s, const dfqi_pair *around)
{
    memcpy(s->around, around, (size_t)s->n * sizeof *around);
    clear(s);
    return dfqi_mixed_kl(&s->mixed, around, NULL, &s->around_kl);
}

static dfq_status begin(dfqi_sensitivity *s)
{
    if (s->state.kept) return DFQ_OK;
    DFQI_TRY(dfqi_mixed_build(&s->mixed, s->around, &s->graph));
    return dfqi_cut_start(s->graph.g, &s->state);
}

/* All widths of the layer's weights, or of its activations, into d. */
static dfq_status measure(dfqi_sensitivity *s, dfqi_pair *widths, int32_t *place, double *d)
{
    const int32_t before = *place;
    dfq_status status = DFQ_OK;
    for (int32_t b = DFQI_BITS_MIN; status == DFQ_OK && b <= DFQI_BITS_MAX; b++) {
        double *to = &d[b - DFQI_BITS_MIN];
        *place = b;
        if (b == before)
            *to = 0;
        else
            status = dfqi_mixed_kl(&s->mixed, widths, &s->state, to);
        if (status == DFQ_OK && b != before) *to -= s->around_kl;
    }
    *place = before;
    return status;
}

dfq_status dfqi_sensitivity_step(dfqi_sensitivity *s)
{
    const dfqi_bits_row *row = &s->mixed.table->rows[s->done];
    dfqi_damage *d = &s->damages[s->done];
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(begin(s));
    dfqi_pair *widths = dfqi_calloc(s->mixed.ctx, (size_t)s->n, sizeof *widths);
    if (!widths) return DFQ_E_NOMEM;
    memcpy(widths, s->around, (size_t)s->n * sizeof *widths);
    DFQI_GOTO(dfqi_cut_advance(&s->graph.cut, s->graph.image, s->mixed.images,
                               dfqi_mixed_first(&s->graph, row->name), &s->mixed.work, &s->state),
              out);
    if (row->has_weight) DFQI_GOTO(measure(s, widths, &widths[s->done].w, d->w), out);
    if (row->has_act) DFQI_GOTO(measure(s, widths, &widths[s->done].a, d->a), out);
    status = DFQ_OK;
    if (++s->done == s->n) forget(s);
out:
    dfqi_free(s->mixed.ctx, widths);
    return status;
}

double dfqi_sensitivity_predict(const dfqi_sensitivity *s, const dfqi_pair *widths)
{
    double sum = s->around_kl;
    for (int32_t i = 0; i < s->n; i++)
        sum += dfqi_damage_of(s->damages[i].w, widths[i].w) +
               dfqi_damage_of(s->damages[i].a, widths[i].a);
    return sum;
}
