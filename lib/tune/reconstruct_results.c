/* What a reconstruction tells: errors of its units, and what it costs. */
#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "tune/reconstruct_priv.h"

dfq_status dfqi_reconstruct_errors(const dfqi_reconstruct *r, dfq_tensor **out)
{
    dfq_tensor *copy;
    DFQI_TRY(dfqi_tensor_new(r->ctx, DFQI_F32, 2, (int64_t[]){r->unit, DFQI_UNIT_ERRORS}, &copy));
    memcpy(copy->data, r->errors, DFQI_UNIT_ERRORS * (size_t)r->unit * sizeof *r->errors);
    *out = copy;
    return DFQ_OK;
}

dfq_status dfqi_reconstruct_estimate(const dfqi_reconstruct *r, dfqi_reconstruct_cost *out)
{
    dfqi_reconstruct_cost c = {.steps = r->n_units * r->o.steps, .done = dfqi_reconstruct_done(r)};
    double most = 0;
    for (int32_t i = 0; i < r->n_units; i++) {
        const dfqi_unit *u = &r->units[i];
        dfqi_unit_job j;
        size_t bytes;
        DFQI_TRY(dfqi_unit_build(r, i, &j));
        dfq_status status = dfqi_exec_estimate(j.g, &bytes);
        double floats = (double)dfqi_unit_floats(r, i, &j);
        floats += (double)r->o.views *
                  ((i ? 2.0 : 1.0) * (double)dfqi_floats_of(r->teacher_graph, u->teacher_in) +
                   2.0 * (double)dfqi_floats_of(r->teacher_graph, u->teacher_out));
        int64_t left = i < r->unit ? 0 : i > r->unit ? r->o.steps : r->o.steps - r->step;
        c.macs += (double)left * dfqi_graph_macs(j.g);
        dfqi_unit_fini(r, &j);
        DFQI_TRY(status);
        most = fmax(most, (double)bytes + floats * (double)sizeof(float));
    }
    c.bytes = most;
    c.seconds_left = dfqi_seconds_left(r->seconds, r->timed, c.steps - c.done);
    *out = c;
    return DFQ_OK;
}
