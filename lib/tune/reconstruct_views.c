/* Views: the images on which units are reconstructed, drawn once, and what units make of them. */
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "graph/graft.h"
#include "synth/leaves.h"
#include "tune/augment.h"
#include "tune/reconstruct_priv.h"

enum { DRAW_STREAM = 12, LEAVES_STREAM = 13, KEPT_BYTES = 1 << 30 };
/* Images that have one crop, and those of them that are dead leaves with augmentation SYNTHETIC. */
enum { TOGETHER = 16, LEAVES = 4 };

/* -- drawing ----------------------------------------------------------------------------------- */

typedef struct drawing {
    dfqi_augment augment;
    float *picked, *leaves;
    uint32_t *order; /* of the images, in `epoch` */
    int64_t epoch, taken;
} drawing;

/* Every image once in each epoch. */
static dfq_status pick(const dfqi_reconstruct *r, drawing *d, int64_t n)
{
    int64_t pixels = r->all.pixels;
    const float *x;
    for (int64_t i = 0; i < n; i++, d->taken++) {
        int64_t epoch = d->taken / r->all.n;
        if (epoch != d->epoch) {
            dfqi_rng rng = dfqi_rng_make(r->o.seed, (uint64_t)DRAW_STREAM << 60 | (uint64_t)epoch);
            dfqi_rng_permute(&rng, d->order, (uint32_t)r->all.n);
            d->epoch = epoch;
        }
        DFQI_TRY(dfqi_images_at(&r->all, d->order[d->taken % r->all.n], 1, &x));
        memcpy(d->picked + i * pixels, x, (size_t)pixels * sizeof *x);
    }
    return DFQ_OK;
}

static dfq_status draw_some(dfqi_reconstruct *r, drawing *d, int64_t first)
{
    const dfqi_arch *a = &r->student->net.arch;
    int64_t left = r->o.views - first, n = left < TOGETHER ? left : TOGETHER, leaves = 0;
    dfqi_draw draw;
    dfqi_rng rng = dfqi_rng_make(r->o.seed, (uint64_t)LEAVES_STREAM << 60 | (uint64_t)first);
    if (r->o.augment == DFQ_AUGMENT_SYNTHETIC) leaves = n * LEAVES / TOGETHER;
    DFQI_TRY(pick(r, d, n - leaves));
    if (leaves > 0)
        dfqi_leaves_draw(r->ctx, a, rng, leaves, d->leaves,
                         d->picked + (n - leaves) * r->all.pixels);
    dfqi_augment_draw((dfqi_augment_kind)r->o.augment, r->o.seed, first, a->image, &draw);
    dfqi_augment_apply(&d->augment, &draw, n, d->picked, r->x + first * r->all.pixels);
    return DFQ_OK;
}

dfq_status dfqi_reconstruct_views(dfqi_reconstruct *r)
{
    const dfqi_arch *a = &r->student->net.arch;
    drawing d = {.epoch = -1};
    dfq_status status = DFQ_E_NOMEM;
    size_t scratch = (size_t)(dfqi_leaves_scratch(a->image) * r->ctx->threads);
    d.order = dfqi_calloc(r->ctx, (size_t)r->all.n, sizeof *d.order);
    d.picked = dfqi_calloc(r->ctx, (size_t)(TOGETHER * r->all.pixels), sizeof *d.picked);
    d.leaves = dfqi_calloc(r->ctx, scratch, sizeof *d.leaves);
    if (!d.order || !d.picked || !d.leaves) goto out;
    DFQI_GOTO(dfqi_augment_new(r->ctx, a->image, a->mean, a->std, &d.augment), out);
    for (int64_t i = 0; i < r->o.views && status == DFQ_OK; i += TOGETHER)
        status = draw_some(r, &d, i);
out:
    dfqi_augment_fini(&d.augment);
    dfqi_free(r->ctx, d.order);
    dfqi_free(r->ctx, d.picked);
    dfqi_free(r->ctx, d.leaves);
    return status;
}

/* Kept are two inputs of a unit, its target and its output. */
int64_t dfqi_reconstruct_count_views(const dfqi_reconstruct *r)
{
    int64_t most = 1, feature = dfqi_floats_of(r->teacher_graph, dfqi_feature_of(r));
    for (int32_t i = 0; i < r->n_units; i++) {
        int64_t x = dfqi_floats_of(r->teacher_graph, r->units[i].teacher_in);
        int64_t z = dfqi_floats_of(r->teacher_graph, r->units[i].teacher_out);
        int64_t floats = (i ? 2 : 1) * x + 2 * z + feature;
        if (floats > most) most = floats;
    }
    int64_t fit = KEPT_BYTES / (int64_t)sizeof(float) / most;
    return r->o.views < fit ? r->o.views : fit > 1 ? fit : 1;
}

/* -- what units make of them ------------------------------------------------------------------- */

static dfq_status run_all(dfqi_reconstruct *r, dfqi_exec *e, dfqi_id in, dfqi_id out,
                          const float *x, int64_t x_floats, float *y, int64_t y_floats)
{
    for (int64_t i = 0; i < r->o.views; i += r->o.batch) {
        if (i + r->o.batch > r->o.views) i = r->o.views - r->o.batch; /* the last one is full */
        dfqi_exec_bind(e, in, x + i * x_floats);
        DFQI_TRY(dfqi_exec_run(e));
        memcpy(y + i * y_floats, dfqi_exec_data(e, out),
               (size_t)(r->o.batch * y_floats) * sizeof *y);
    }
    return DFQ_OK;
}

dfq_status dfqi_reconstruct_pass(dfqi_reconstruct *r, const dfqi_graph *from, dfqi_id in,
                                 dfqi_id out, const float *x, float **y)
{
    const dfqi_value *v = dfqi_graph_value(from, in);
    dfq_status status = DFQ_E_NOMEM;
    dfqi_graph *g = NULL;
    dfqi_exec *e = NULL;
    dfqi_graft t = {0};
    int64_t floats = dfqi_floats_of(from, out);
    float *keys = dfqi_calloc(r->ctx, (size_t)r->o.batch, sizeof *keys);
    float *made = dfqi_calloc(r->ctx, (size_t)r->o.views, (size_t)floats * sizeof *made);
    if (!keys || !made) goto out;
    for (int64_t i = 0; i < r->o.batch; i++) keys[i] = -1; /* nothing is dropped */
    DFQI_GOTO(dfqi_graph_new(r->ctx, r->o.batch, &g), out);
    DFQI_GOTO(dfqi_graft_new(from, g, &t), out);
    dfqi_id gx = dfqi_graph_input(g, "x", 1, v->rank - 1, v->dims + 1);
    dfqi_graft_put(&t, in, gx);
    dfqi_id gy = dfqi_graft_bring(&t, out);
    dfqi_graph_keep(g, gy);
    DFQI_GOTO(dfqi_exec_new_in(g, &r->work, &e), out);
    dfqi_exec_bind(e, dfqi_graph_find(g, "keys"), keys);
    DFQI_GOTO(run_all(r, e, gx, gy, x, dfqi_floats_of(from, in), made, floats), out);
    *y = made;
    made = NULL;
out:
    dfqi_exec_free(e);
    dfqi_graft_fini(&t);
    dfqi_graph_free(g);
    dfqi_free(r->ctx, made);
    dfqi_free(r->ctx, keys);
    return status;
}
