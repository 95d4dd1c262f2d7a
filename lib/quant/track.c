/* Tracks ranges with one graph: the new states are nodes of the graph, and are copied back after a
 * run. */
#include "quant/track.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "quant/scheme_priv.h"

struct dfqi_tracker {
    dfqi_scheme *s;
    dfqi_quant_pass pass;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x;
};

dfq_status dfqi_tracker_new(dfqi_scheme *s, const dfqi_network *net, int64_t batch,
                            dfqi_tracker **out)
{
    dfq_status status;
    dfqi_tracker *t = dfqi_calloc(s->ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->s = s;
    DFQI_GOTO(dfqi_track_graph(s, net, batch, &t->pass, &t->g, &t->x), fail);
    DFQI_GOTO(dfqi_exec_new(t->g, &t->e), fail);
    *out = t;
    return DFQ_OK;
fail:
    dfqi_tracker_free(t);
    return status;
}

void dfqi_tracker_free(dfqi_tracker *t)
{
    if (!t) return;
    dfqi_exec_free(t->e);
    dfqi_graph_free(t->g);
    dfqi_quant_pass_fini(&t->pass, t->s->ctx);
    dfqi_free(t->s->ctx, t);
}

static void copy(const dfqi_tracker *t, dfqi_id id, dfq_tensor *to)
{
    memcpy(to->data, dfqi_exec_data(t->e, id), (size_t)dfqi_tensor_count(to) * sizeof(float));
}

dfq_status dfqi_tracker_add(dfqi_tracker *t, const float *images)
{
    dfqi_exec_bind(t->e, t->x, images);
    DFQI_TRY(dfqi_exec_run(t->e));
    for (int32_t i = 0; i < t->s->n_sites; i++) {
        const dfqi_site *site = &t->s->sites[i];
        if (!site->range) continue;
        const float *range = dfqi_exec_data(t->e, t->pass.range[i]);
        if (!isfinite(range[0]) || !isfinite(range[1]))
            return dfqi_fail(t->s->ctx, DFQ_E_NUMERIC,
                             "%s: the values are between %g and %g, must be finite; check the "
                             "images and the weights",
                             site->name, (double)range[0], (double)range[1]);
    }
    for (int32_t i = 0; i < t->s->n_sites; i++) {
        dfqi_site *site = &t->s->sites[i];
        if (!site->range) continue;
        copy(t, t->pass.scale[i], site->scale);
        copy(t, t->pass.zero_point[i], site->zero_point);
        copy(t, t->pass.range[i], site->range);
    }
    return DFQ_OK;
}
