/* Grids of a layer that is about to be rounded: those of groups (weight_groups.h), or the range of
 * each row shrinks from its largest magnitude until the squared error of its output is smallest, by
 * the power of the inputs that the student sees. */
#include <math.h>

#include "base/parallel.h"
#include "quant/rounding_priv.h"
#include "quant/weight_groups.h"

enum { SHRINKS = 24 };
static const float shrink = 0.03f;

typedef struct job {
    dfqi_round_layer *l;
    double *error, *power; /* [rows] */
} job;

static void search_row(void *arg, int64_t r, int32_t thread)
{
    const job *j = arg;
    const dfqi_round_layer *l = j->l;
    const dfqi_input_moments *m = dfqi_round_moments(l, r);
    const float *w = l->w + r * l->n;
    float top = 0, best = 1e-8f;
    (void)thread;
    for (int64_t c = 0; c < l->n; c++) {
        top = fmaxf(top, fabsf(w[c] * (l->col ? l->col[c] : 1.0f)));
        j->power[r] += (double)w[c] * (double)w[c] * m->self[c * (l->n + 1)] / m->rows;
    }
    if (l->site->groups) {
        const dfqi_group_row row = {w, l->col, m->self, l->n, l->n + 1};
        j->error[r] = dfqi_search_groups(l->site, r, &row, true) / m->rows;
        return;
    }
    j->error[r] = INFINITY;
    for (int k = 0; k < SHRINKS; k++) {
        float share = 1.0f - shrink * (float)k;
        float scale = fmaxf(2 * share * top, 1e-8f) / (l->site->qmax - l->site->qmin);
        double error = 0;
        for (int64_t c = 0; c < l->n; c++) {
            float s = l->col ? l->col[c] : 1.0f, v = w[c] * s;
            double d = (double)((v - dfqi_round_value(l->site, v, scale)) / s);
            error += d * d * m->self[c * (l->n + 1)] / m->rows;
        }
        if (!(error < j->error[r])) continue;
        j->error[r] = error;
        best = scale;
    }
    dfqi_tensor_f32(l->site->scale)[r] = best;
}

dfq_status dfqi_round_search(dfqi_round_layer *l)
{
    job j = {.l = l};
    double error = 0, power = 0;
    j.error = dfqi_calloc(l->ctx, 2 * (size_t)l->rows, sizeof *j.error);
    if (!j.error) return DFQ_E_NOMEM;
    j.power = j.error + l->rows;
    dfqi_parallel_for(l->ctx, l->rows, search_row, &j);
    for (int64_t r = 0; r < l->rows; r++) {
        error += j.error[r];
        power += j.power[r];
    }
    dfqi_free(l->ctx, j.error);
    l->site->error = power > 0 ? error / power : 0;
    if (isfinite(error)) return DFQ_OK;
    return dfqi_fail(l->ctx, DFQ_E_NUMERIC, "%s: no scale has a finite error; values are too large",
                     l->site->name);
}
