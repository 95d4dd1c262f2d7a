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

dfq_status dfqi_sensitivity_init(const dfqi_mixed *mixed, dfqi_sensitivity *out)
{
    *out = (dfqi_sensitivity){.mixed = *mixed, .n = mixed->table->n};
    out->damages = dfqi_calloc(mixed->ctx, (size_t)out->n, sizeof *out->damages);
    if (!out->damages) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < out->n; i++)
        for (int32_t k = 0; k < DFQI_BITS_WIDTHS; k++)
            out->damages[i].w[k] = out->damages[i].a[k] = (double)NAN;
    return DFQ_OK;
}

void dfqi_sensitivity_fini(dfqi_sensitivity *s)
{
    dfq_context *ctx = s->mixed.ctx;
    if (!ctx) return;
    forget(s);
    dfqi_free(ctx, s->damages);
    dfqi_mixed_fini(&s->mixed);
    memset(s, 0, sizeof *s);
}

void dfqi_sensitivity_resume(dfqi_sensitivity *s, int32_t done)
{
    forget(s);
    s->done = done;
}

static dfq_status begin(dfqi_sensitivity *s, const dfqi_pair *widths)
{
    if (s->state.kept) return DFQ_OK;
    DFQI_TRY(dfqi_mixed_build(&s->mixed, widths, &s->graph));
    return dfqi_cut_start(s->graph.g, &s->state);
}

/* All widths of the layer's weights, or of its activations, into d. */
static dfq_status measure(dfqi_sensitivity *s, const dfqi_pair *widths, int32_t *place, double *d)
{
    dfq_status status = DFQ_OK;
    for (int32_t b = DFQI_BITS_MIN; status == DFQ_OK && b <= DFQI_BITS_MAX; b++) {
        *place = b;
        status = dfqi_mixed_kl(&s->mixed, widths, &s->state, &d[b - DFQI_BITS_MIN]);
    }
    *place = 0;
    return status;
}

/* widths [n]: zeros. */
static dfq_status measure_layer(dfqi_sensitivity *s, dfqi_pair *widths)
{
    const dfqi_bits_row *row = &s->mixed.table->rows[s->done];
    dfqi_damage *d = &s->damages[s->done];
    dfqi_pair *own = &widths[s->done];
    DFQI_TRY(begin(s, widths));
    DFQI_TRY(dfqi_cut_advance(&s->graph.cut, s->graph.image, s->mixed.images,
                              dfqi_mixed_first(&s->graph, row->name), &s->mixed.work, &s->state));
    if (row->has_weight) DFQI_TRY(measure(s, widths, &own->w, d->w));
    return row->has_act ? measure(s, widths, &own->a, d->a) : DFQ_OK;
}

dfq_status dfqi_sensitivity_step(dfqi_sensitivity *s)
{
    dfqi_pair *widths = dfqi_calloc(s->mixed.ctx, (size_t)s->n, sizeof *widths);
    if (!widths) return DFQ_E_NOMEM;
    dfq_status status = measure_layer(s, widths);
    if (status == DFQ_OK && ++s->done == s->n) forget(s);
    dfqi_free(s->mixed.ctx, widths);
    return status;
}

double dfqi_sensitivity_predict(const dfqi_sensitivity *s, const dfqi_pair *widths)
{
    double sum = 0;
    for (int32_t i = 0; i < s->n; i++)
        sum += dfqi_damage_of(s->damages[i].w, widths[i].w) +
               dfqi_damage_of(s->damages[i].a, widths[i].a);
    return sum;
}
