/* The job of one unit: its graph with the loss, what moves, and its memory. */
#include <string.h>

#include "base/memory.h"
#include "graph/graft.h"
#include "graph/ops.h"
#include "tune/reconstruct_priv.h"

/* -- graph ------------------------------------------------------------------------------------- */

/* Those of quantizers are numbered from 0. */
enum { INPUT_STREAM = 1 << 20 };

static dfqi_id input_like(dfqi_graph *g, const dfqi_graph *from, dfqi_id id, const char *name)
{
    const dfqi_value *v = dfqi_graph_value(from, id);
    return dfqi_graph_input(g, name, 1, v->rank - 1, v->dims + 1);
}

/* The student's part of the graph; its output. */
static dfqi_id build_student(const dfqi_reconstruct *r, int32_t unit, dfqi_unit_job *j)
{
    const dfqi_unit *u = &r->units[unit];
    dfqi_graft t;
    j->xs = input_like(j->g, r->student_graph, u->student_in, "student input");
    j->keys = dfqi_graph_input(j->g, "keys", 1, 1, (int64_t[]){1});
    dfqi_id x = j->xs;
    if (r->o.drop && unit > 0) { /* images are the same on both sides */
        j->x = input_like(j->g, r->teacher_graph, u->teacher_in, "teacher input");
        x = dfqi_drop(j->g, j->x, j->xs, j->keys, INPUT_STREAM);
    }
    if (dfqi_graft_new(r->student_graph, j->g, &t) != DFQ_OK)
        return dfqi_graph_fail(j->g, DFQ_E_NOMEM, "out of memory for a unit of a network");
    dfqi_graft_put(&t, u->student_in, x);
    if (r->keys >= 0) dfqi_graft_put(&t, r->keys, j->keys);
    dfqi_id out = dfqi_graft_bring(&t, u->student_out);
    dfqi_graft_fini(&t);
    return out;
}

/* The final feature, as the rest of the teacher makes it of the unit's output. */
static dfqi_id build_feature(const dfqi_reconstruct *r, int32_t unit, dfqi_unit_job *j, dfqi_id out)
{
    dfqi_graft t;
    if (dfqi_graft_new(r->teacher_graph, j->g, &t) != DFQ_OK)
        return dfqi_graph_fail(j->g, DFQ_E_NOMEM, "out of memory for the rest of a network");
    dfqi_graft_put(&t, r->units[unit].teacher_out, out);
    dfqi_id feature = dfqi_graft_bring(&t, dfqi_feature_of(r));
    dfqi_graft_fini(&t);
    return feature;
}

/* Behind the unit before the classifier there is nothing else than the feature. */
bool dfqi_unit_has_feature(const dfqi_reconstruct *r, int32_t unit)
{
    return r->o.feature_weight > 0 && unit < r->n_units - 2 &&
           unit >= r->n_units - 1 - r->o.feature_units;
}

static dfq_status build_loss(const dfqi_reconstruct *r, int32_t unit, dfqi_unit_job *j, dfqi_id out)
{
    static const char *const names[2] = {"unit weight", "feature weight"};
    dfqi_id term[2], weight[2];
    int32_t n = 1;
    for (int i = 0; i < 2; i++) {
        DFQI_TRY(dfqi_tensor_new(r->ctx, DFQI_F32, 1, (int64_t[]){1}, &j->weight[i]));
        *dfqi_tensor_f32(j->weight[i]) = 1;
        weight[i] = dfqi_graph_param(j->g, names[i], j->weight[i], 0);
    }
    j->z = input_like(j->g, r->teacher_graph, r->units[unit].teacher_out, "target");
    term[0] = dfqi_squared_error(j->g, out, j->z, weight[0]);
    if (dfqi_unit_has_feature(r, unit)) {
        dfqi_id f = build_feature(r, unit, j, out);
        j->f = input_like(j->g, r->teacher_graph, dfqi_feature_of(r), "feature");
        term[n++] = dfqi_squared_error(j->g, f, j->f, weight[1]);
    }
    j->total = dfqi_total(j->g, n, term, (float[]){1, r->o.feature_weight});
    j->parts = dfqi_graph_output(j->g, j->total, 1);
    dfqi_graph_keep(j->g, j->total);
    dfqi_graph_keep(j->g, j->parts);
    return dfqi_graph_status(j->g);
}

/* -- items ------------------------------------------------------------------------------------- */

static void describe_item(const dfqi_reconstruct *r, dfqi_unit_item *item)
{
    const dfqi_scheme *s = &r->student->scheme;
    const size_t n = strlen(item->name), end = strlen(".weight");
    bool weight = item->tensor->rank > 1 && n > end && strcmp(item->name + n - end, ".weight") == 0;
    item->learning_rate = weight ? r->o.learning_rate : r->o.bias_learning_rate;
    item->site = dfqi_scheme_find(s, item->name);
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        if (site->scale != item->tensor && site->zero_point != item->tensor) continue;
        item->log = site->scale == item->tensor;
        item->learning_rate = dfqi_site_is_weight(site) ? 0 : r->o.scale_learning_rate;
    }
}

/* All parameters that steps move. */
static void list_items(const dfqi_reconstruct *r, dfqi_unit_job *j, dfqi_id *wrt)
{
    for (int32_t v = 0, n = j->g->n_values; v < n; v++) {
        const dfqi_value *p = dfqi_graph_value(j->g, v);
        dfqi_unit_item item = {.name = p->name, .tensor = p->tensor};
        if (p->kind != DFQI_VALUE_PARAM || p->frozen || p->tensor == j->weight[0] ||
            p->tensor == j->weight[1])
            continue;
        item.count = dfqi_tensor_count(p->tensor);
        describe_item(r, &item);
        if (item.learning_rate == 0) continue;
        wrt[j->n_items] = v;
        j->items[j->n_items++] = item;
    }
}

static dfq_status build_gradients(const dfqi_reconstruct *r, dfqi_unit_job *j)
{
    size_t values = (size_t)j->g->n_values;
    dfq_status status = DFQ_E_NOMEM;
    dfqi_id *wrt = dfqi_calloc(r->ctx, 2 * values, sizeof *wrt), *grad = wrt + values;
    j->items = dfqi_calloc(r->ctx, values, sizeof *j->items);
    if (!wrt || !j->items) goto out;
    list_items(r, j, wrt);
    dfqi_id one = dfqi_fill(j->g, j->total, 1.0f);
    DFQI_GOTO(dfqi_graph_grad(j->g, 1, &j->total, &one, j->n_items, wrt, grad), out);
    int32_t n = 0;
    for (int32_t i = 0; i < j->n_items; i++) {
        if (grad[i] == DFQI_NONE) continue; /* the loss does not depend on it */
        dfqi_graph_keep(j->g, grad[i]);
        j->items[n] = j->items[i];
        j->items[n++].grad = grad[i];
    }
    j->n_items = n;
    status = dfqi_graph_status(j->g);
out:
    dfqi_free(r->ctx, wrt);
    return status;
}

dfq_status dfqi_unit_build(const dfqi_reconstruct *r, int32_t unit, dfqi_unit_job *out)
{
    dfqi_unit_job j = {.x = DFQI_NONE, .f = DFQI_NONE};
    dfq_status status;
    DFQI_GOTO(dfqi_graph_new(r->ctx, r->o.batch, &j.g), fail);
    dfqi_id made = build_student(r, unit, &j);
    DFQI_GOTO(build_loss(r, unit, &j, made), fail);
    DFQI_GOTO(build_gradients(r, &j), fail);
    *out = j;
    return DFQ_OK;
fail:
    dfqi_unit_fini(r, &j);
    return status;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Hands out pieces of j->memory; with base NULL it only counts. */
static int64_t lay_out(const dfqi_reconstruct *r, int32_t unit, dfqi_unit_job *j, float *base)
{
    const dfqi_unit *u = &r->units[unit];
    const dfqi_graph *g = r->teacher_graph;
    int64_t batch = r->o.batch, x = batch * dfqi_floats_of(g, u->teacher_in), n = 0, log = 0;
    for (int32_t i = 0; i < j->n_items; i++)
        if (j->items[i].log && j->items[i].count > log) log = j->items[i].count;
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&j->batch_x, x},
                  {&j->batch_xs, x},
                  {&j->batch_z, batch * dfqi_floats_of(g, u->teacher_out)},
                  {&j->batch_f, batch * dfqi_floats_of(g, dfqi_feature_of(r))},
                  {&j->batch_keys, batch},
                  {&j->log_scratch, 2 * log}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (base) *pieces[i].at = base + n;
        n += (pieces[i].floats + 15) / 16 * 16;
    }
    for (int32_t i = 0; i < j->n_items; i++) {
        dfqi_unit_item *item = &j->items[i];
        if (base) {
            item->moments = dfqi_moments_at(DFQI_ADAMW, item->count, base + n);
            item->before = base + n + 2 * item->count;
        }
        n += 3 * item->count;
    }
    return n;
}

int64_t dfqi_unit_floats(const dfqi_reconstruct *r, int32_t unit, const dfqi_unit_job *j)
{
    dfqi_unit_job count = *j; /* without a base, nothing is written */
    return lay_out(r, unit, &count, NULL);
}

dfq_status dfqi_unit_start(dfqi_reconstruct *r)
{
    dfqi_unit_job *j = &r->job;
    j->memory = dfqi_calloc(r->ctx, (size_t)dfqi_unit_floats(r, r->unit, j), sizeof *j->memory);
    if (!j->memory) return DFQ_E_NOMEM;
    lay_out(r, r->unit, j, j->memory);
    for (int32_t i = 0; i < j->n_items; i++)
        memcpy(j->items[i].before, j->items[i].tensor->data,
               (size_t)j->items[i].count * sizeof(float));
    DFQI_TRY(dfqi_exec_new_in(j->g, &r->work, &j->e));
    dfqi_exec_bind(j->e, j->x, j->batch_x);
    dfqi_exec_bind(j->e, j->xs, j->batch_xs);
    dfqi_exec_bind(j->e, j->z, j->batch_z);
    dfqi_exec_bind(j->e, j->f, j->batch_f);
    dfqi_exec_bind(j->e, j->keys, j->batch_keys);
    return DFQ_OK;
}

void dfqi_unit_fini(const dfqi_reconstruct *r, dfqi_unit_job *j)
{
    dfqi_exec_free(j->e);
    dfqi_graph_free(j->g);
    dfqi_tensor_release(j->weight[0]);
    dfqi_tensor_release(j->weight[1]);
    dfqi_free(r->ctx, j->items);
    dfqi_free(r->ctx, j->memory);
    *j = (dfqi_unit_job){.f = DFQI_NONE};
}
