/* Cost estimate of a diagnosis. Memory and MACs come from its graphs, time from the batches that
 * were run. Batches of a kind that was not run yet are assumed to need the same time per MAC. */
#include <math.h>

#include "graph/exec.h"
#include "tune/diagnose_priv.h"

int dfqi_diagnosis_kind(const dfqi_diagnosis *d)
{
    static const int kinds[] = {[DFQI_LOSS_CURVATURE_GRADIENTS] = DFQI_DIAGNOSIS_GRADIENTS,
                                [DFQI_LOSS_CURVATURE_HESSIAN] = DFQI_DIAGNOSIS_GRADIENTS,
                                [DFQI_LOSS_CURVATURE_POWER] = DFQI_DIAGNOSIS_GRADIENT,
                                [DFQI_LOSS_CURVATURE_PLANE] = DFQI_DIAGNOSIS_LOSS,
                                [DFQI_LOSS_CURVATURE_DONE] = DFQI_DIAGNOSIS_NOTHING};
    return d->judged < d->n_images ? DFQI_DIAGNOSIS_JUDGE : kinds[d->curvature.stage];
}

/* Batches left of each kind. */
static void count_left(const dfqi_diagnosis *d, int64_t batches, int64_t left[DFQI_DIAGNOSIS_KINDS])
{
    static const int kinds[DFQI_LOSS_CURVATURE_DONE] = {
        DFQI_DIAGNOSIS_GRADIENTS, DFQI_DIAGNOSIS_GRADIENTS, DFQI_DIAGNOSIS_GRADIENT,
        DFQI_DIAGNOSIS_LOSS};
    const dfqi_loss_curvature *s = &d->curvature;
    for (int k = 0; k < DFQI_DIAGNOSIS_KINDS; k++) left[k] = 0;
    left[DFQI_DIAGNOSIS_JUDGE] = batches - (d->judged + d->o.batch - 1) / d->o.batch;
    for (int k = (int)s->stage; k < DFQI_LOSS_CURVATURE_DONE; k++) {
        int64_t n = batches * dfqi_loss_curvature_passes(&d->o.curvature, k);
        if (k == (int)s->stage) n -= s->pass * batches + s->batch;
        if (k == (int)s->stage && k == DFQI_LOSS_CURVATURE_POWER)
            n -= s->slope * 2 * (int64_t)d->o.curvature.power * batches;
        left[kinds[k]] += n;
    }
}

/* Work of a batch of each kind, and the memory of the largest. */
static dfq_status cost_kinds(const dfqi_diagnosis *d, double macs[DFQI_DIAGNOSIS_KINDS],
                             double *out_bytes)
{
    dfqi_diagnosis view = *d;
    double bytes;
    if (!d->curvature.l) view.net = d->student->net; /* read alone */
    view.surface = dfqi_diagnosis_surface_of(&view);
    *out_bytes = 0;
    for (int k = DFQI_DIAGNOSIS_GRADIENTS; k <= DFQI_DIAGNOSIS_LOSS; k++) {
        uint32_t mask = k == DFQI_DIAGNOSIS_GRADIENT ? 1u << DFQI_SLOPE_KL : DFQI_SLOPE_ALL;
        DFQI_TRY(dfqi_loss_surface_cost(&view.surface, mask, k != DFQI_DIAGNOSIS_LOSS, &bytes,
                                        &macs[k]));
        if (bytes > *out_bytes) *out_bytes = bytes;
    }
    macs[DFQI_DIAGNOSIS_JUDGE] = 2 * macs[DFQI_DIAGNOSIS_LOSS];
    macs[DFQI_DIAGNOSIS_NOTHING] = 0;
    return DFQ_OK;
}

static double seconds_left(const dfqi_diagnosis *d, const int64_t left[DFQI_DIAGNOSIS_KINDS],
                           const double macs[DFQI_DIAGNOSIS_KINDS])
{
    double seconds = 0, work = 0, sum = 0;
    for (int k = 0; k < DFQI_DIAGNOSIS_NOTHING; k++) {
        seconds += d->seconds[k];
        work += (double)d->timed[k] * macs[k];
    }
    for (int k = 0; k < DFQI_DIAGNOSIS_NOTHING; k++) {
        if (left[k] <= 0) continue;
        double each = d->timed[k] > 0 ? d->seconds[k] / (double)d->timed[k]
                      : work > 0      ? seconds / work * macs[k]
                                      : (double)NAN;
        sum += each * (double)left[k];
    }
    return sum;
}

dfq_status dfqi_diagnosis_estimate(const dfqi_diagnosis *d, dfqi_diagnosis_cost *out)
{
    double macs[DFQI_DIAGNOSIS_KINDS], run;
    int64_t left[DFQI_DIAGNOSIS_KINDS];
    int64_t batches = (d->n_images + d->o.batch - 1) / d->o.batch;
    dfqi_diagnosis_cost c = {.units = batches};
    DFQI_TRY(cost_kinds(d, macs, &run));
    count_left(d, batches, left);
    for (int k = 0; k < DFQI_DIAGNOSIS_KINDS; k++) c.macs += macs[k] * (double)left[k];
    for (int k = 0; k < DFQI_LOSS_CURVATURE_DONE; k++)
        c.units += batches * dfqi_loss_curvature_passes(&d->o.curvature, k);
    c.done = (d->judged + d->o.batch - 1) / d->o.batch + d->curvature.done;
    c.seconds_left = seconds_left(d, left, macs);
    double floats = (double)dfqi_loss_curvature_floats(&d->o.curvature, d->n, d->values);
    floats += (double)d->n_images * (double)(d->classes + 1);
    for (int32_t i = 0; i < d->student->net.n_params; i++) /* the copy */
        floats += (double)dfqi_tensor_count(d->student->net.params[i].tensor);
    c.bytes = run + floats * (double)sizeof(float);
    *out = c;
    return DFQ_OK;
}
