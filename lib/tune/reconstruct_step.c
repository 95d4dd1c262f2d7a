/* Steps of a unit. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "tune/reconstruct_priv.h"

enum { ORDER_STREAM = 14, KEY_STREAM = 15, UNIT_SHIFT = 40 };

/* How far from the middle of its cell a weight may begin, in parts of the scale. */
static const float reach = 0.45f;
static const dfqi_optim_options adam = {
    .kind = DFQI_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};

/* -- before the first step --------------------------------------------------------------------- */

/* Rounded weights are in the middle of the cells of their codes. Each moves towards the float
 * weight as far as its cell goes. It keeps its code, and those that were nearly rounded the other
 * way change theirs first. (ViT-Tiny, W3A3, the first two blocks, 320 steps of 4 images: errors of
 * 0.084 and 0.173, from the middle 0.098 and 0.199.) */
static void leave_middle(const dfqi_reconstruct *r, const dfqi_unit_item *item, float *code)
{
    const dfqi_site *site = item->site;
    const dfq_tensor *from = dfqi_network_find(r->origin, site->name);
    const dfqi_kernels *k = dfqi_kernels_get(r->ctx);
    const float *col =
        site->input >= 0 ? dfqi_tensor_f32(r->student->scheme.sites[site->input].scale) : NULL;
    if (site->kind != DFQI_SITE_WEIGHT || !site->scale || site->follows || !from) return;
    int64_t rows = item->tensor->dims[0], cols = item->count / rows;
    for (int64_t o = 0; o < rows; o++) {
        float *w = dfqi_tensor_f32(item->tensor) + o * cols, scale, zero_point;
        const float *own = dfqi_tensor_f32(from) + o * cols;
        dfqi_weight_row(k, site, o, cols, w, col, code, &scale, &zero_point);
        for (int64_t c = 0; c < cols; c++) {
            float step = scale;
            dfqi_weight_grid_at(site, o, cols, c, &step, &zero_point);
            float most = reach * step / (col ? col[c] : 1);
            w[c] = fminf(fmaxf(own[c], code[c] - most), code[c] + most);
        }
    }
}

dfq_status dfqi_unit_leave_middle(dfqi_reconstruct *r)
{
    dfqi_unit_job *j = &r->job;
    int64_t widest = 0;
    for (int32_t i = 0; i < j->n_items; i++)
        if (j->items[i].site && j->items[i].count > widest) widest = j->items[i].count;
    float *code = dfqi_calloc(r->ctx, (size_t)widest, sizeof *code);
    if (!code) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < j->n_items; i++)
        if (j->items[i].site) leave_middle(r, &j->items[i], code);
    dfqi_free(r->ctx, code);
    return DFQ_OK;
}

/* -- a step ------------------------------------------------------------------------------------ */

/* Every view once in each epoch; a batch may lie across two. */
static int64_t view_at(dfqi_reconstruct *r, int64_t i)
{
    int64_t at = r->step * r->o.batch + i, epoch = at / r->o.views;
    uint64_t stream = (uint64_t)ORDER_STREAM << 60 | (uint64_t)r->unit << UNIT_SHIFT;
    if (epoch != r->epoch) {
        dfqi_rng rng = dfqi_rng_make(r->o.seed, stream | (uint64_t)epoch);
        dfqi_rng_permute(&rng, r->order, (uint32_t)r->o.views);
        r->epoch = epoch;
    }
    return r->order[at % r->o.views];
}

static void copy_view(float *to, int64_t i, const float *from, int64_t view, int64_t floats)
{
    memcpy(to + i * floats, from + view * floats, (size_t)floats * sizeof *to);
}

static void fill_batch(dfqi_reconstruct *r)
{
    dfqi_unit_job *j = &r->job;
    const dfqi_unit *u = &r->units[r->unit];
    const dfqi_graph *g = r->teacher_graph;
    uint64_t stream = (uint64_t)KEY_STREAM << 60 | (uint64_t)r->unit << UNIT_SHIFT;
    dfqi_rng keys = dfqi_rng_make(r->o.seed, stream | (uint64_t)r->step);
    for (int64_t i = 0; i < r->o.batch; i++) {
        int64_t view = view_at(r, i);
        if (j->x >= 0) copy_view(j->batch_x, i, r->x, view, dfqi_floats_of(g, u->teacher_in));
        copy_view(j->batch_xs, i, r->xs, view, dfqi_floats_of(g, u->teacher_in));
        copy_view(j->batch_z, i, r->z, view, dfqi_floats_of(g, u->teacher_out));
        if (j->f >= 0) copy_view(j->batch_f, i, r->f, view, dfqi_floats_of(g, dfqi_feature_of(r)));
        j->batch_keys[i] = (float)(dfqi_rng_u32(&keys) >> 8);
    }
}

static void move(dfqi_reconstruct *r, dfqi_unit_item *item, float share)
{
    dfqi_unit_job *j = &r->job;
    const float *grad = dfqi_exec_data(j->e, item->grad);
    float *p = dfqi_tensor_f32(item->tensor), learning_rate = share * item->learning_rate;
    if (item->log)
        dfqi_optim_step_log(r->ctx, &adam, &item->moments, r->step + 1, learning_rate, grad, p,
                            j->log_scratch);
    else
        dfqi_optim_step(r->ctx, &adam, &item->moments, r->step + 1, learning_rate, grad, p);
}

dfq_status dfqi_unit_step(dfqi_reconstruct *r)
{
    dfqi_unit_job *j = &r->job;
    fill_batch(r);
    DFQI_TRY(dfqi_exec_run(j->e));
    if (r->step == 0) { /* both parts of the loss begin at 1 */
        const float *parts = dfqi_exec_data(j->e, j->parts);
        for (int i = 0; i < (j->f >= 0 ? 2 : 1); i++)
            *dfqi_tensor_f32(j->weight[i]) = 1 / fmaxf(parts[i], 1e-12f);
        DFQI_TRY(dfqi_exec_run(j->e));
    }
    r->loss = (double)*dfqi_exec_data(j->e, j->total);
    if (!isfinite(r->loss)) {
        r->failed = 1;
        return dfqi_fail(r->ctx, DFQ_E_NUMERIC,
                         "reconstruct: the loss of step %lld of unit %d is %g; lower the learning "
                         "rate (%g)",
                         (long long)r->step, (int)r->unit, r->loss, (double)r->o.learning_rate);
    }
    float share = dfqi_cosine(r->step, r->o.steps, 0, 1, 0);
    for (int32_t i = 0; i < j->n_items; i++) move(r, &j->items[i], share);
    r->step++;
    return DFQ_OK;
}
