/* The job of reconstruction: units in network order, and what is kept for them. */
#include "tune/reconstruct.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/progress.h"
#include "quant/fold_batchnorm.h"
#include "tune/reconstruct_priv.h"
#include "tune/tune.h"

/* Layers of a unit: a transformer block has four, a residual unit two or three. */
enum { BLOCK_LAYERS = 4, CNN_LAYERS = 2 };

/* -- options ----------------------------------------------------------------------------------- */

/* Few images make a step, since each has hundreds of tokens. (ViT-Tiny, W3A3, errors of the first
 * two blocks after 1280 images at 3e-4: 0.084 and 0.173 with batches of 4, 0.068 and 0.143 with
 * batches of 2; batches of 16 at 1e-3 0.109 and 0.203.)
 *
 * Convolutional networks learn on the images as they are: what a crop enlarges has other statistics
 * than those that the images were made for, and units then learn what no picture asks for.
 * (studies/reconstruction.md) */
void dfqi_reconstruct_defaults(int cnn, dfqi_reconstruct_options *out)
{
    *out = (dfqi_reconstruct_options){.steps = 400,
                                      .batch = cnn ? 32 : 2,
                                      .views = cnn ? 1024 : 512,
                                      .learning_rate = 3e-4f,
                                      .bias_learning_rate = 3e-3f,
                                      .scale_learning_rate = 5e-3f,
                                      .feature_weight = 1,
                                      .feature_units = cnn ? 0 : 7,
                                      .drop = 1,
                                      .augment = cnn ? DFQ_AUGMENT_NONE : DFQ_AUGMENT_SYNTHETIC};
}

static dfq_status check_options(dfq_context *ctx, const dfqi_reconstruct_options *o)
{
    static const char job[] = "reconstruct";
    enum { STEPS_MAX = 10 * 1000 * 1000, VIEWS_MAX = 1000 * 1000, BATCH_MAX = 4096 };
    DFQI_TRY(dfqi_check_whole(ctx, job, "steps", o->steps, 1, STEPS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, job, "batch", o->batch, 1, BATCH_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, job, "views", o->views, 1, VIEWS_MAX));
    DFQI_TRY(
        dfqi_check_whole(ctx, job, "augment", o->augment, DFQ_AUGMENT_NONE, DFQ_AUGMENT_SYNTHETIC));
    DFQI_TRY(dfqi_check_whole(ctx, job, "feature_units", o->feature_units, 0, 1000));
    DFQI_TRY(dfqi_check_whole(ctx, job, "drop", o->drop, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, job, "learning_rate", (double)o->learning_rate, 0, 1e3));
    DFQI_TRY(
        dfqi_check_real(ctx, job, "bias_learning_rate", (double)o->bias_learning_rate, 0, 1e3));
    DFQI_TRY(
        dfqi_check_real(ctx, job, "scale_learning_rate", (double)o->scale_learning_rate, 0, 1e3));
    return dfqi_check_real(ctx, job, "feature_weight", (double)o->feature_weight, 0, 1e6);
}

/* -- life -------------------------------------------------------------------------------------- */

/* The graph of a whole network: the teacher's with `pass` NULL. */
static dfq_status build_graph(dfqi_reconstruct *r, const dfqi_model *m, dfqi_quant_pass *pass,
                              dfqi_graph **out, dfqi_pass_ends *ends)
{
    const dfqi_arch *a = &m->net.arch;
    dfqi_taps taps = {0};
    dfqi_id *ids = dfqi_calloc(r->ctx, (size_t)m->net.n_params, sizeof *ids);
    dfq_status status = ids ? dfqi_graph_new(r->ctx, r->o.batch, out) : DFQ_E_NOMEM;
    if (status != DFQ_OK) goto out;
    dfqi_graph *g = *out;
    dfqi_id x = dfqi_arch_input(a, g);
    if (pass && r->o.drop) r->keys = dfqi_graph_input(g, "keys", 1, 1, (int64_t[]){1});
    dfqi_network_params(&m->net, g, !pass, ids);
    if (pass) DFQI_GOTO(dfqi_quant_pass_begin(pass, g, &m->scheme, 0), out);
    if (pass) pass->keys = r->keys;
    if (!pass) g->rewrite = dfqi_rewrite_nothing; /* leaves nothing out, as the student */
    dfqi_network_forward(&m->net, g, ids, x, &taps);
    if (pass) dfqi_quant_pass_end(pass, g);
    *ends = (dfqi_pass_ends){g, x, taps.logits};
    status = dfqi_graph_status(g);
out:
    dfqi_free(r->ctx, ids);
    return status;
}

static dfq_status find_origin(dfqi_reconstruct *r)
{
    r->origin = &r->teacher->net;
    if (!dfqi_arch_is_cnn(&r->origin->arch) || r->student->scheme.mode != DFQI_MODE_IMPROVED)
        return DFQ_OK;
    DFQI_TRY(dfqi_network_clone(r->origin, &r->folded));
    dfqi_fold_batchnorm(&r->folded);
    r->origin = &r->folded;
    return DFQ_OK;
}

static dfq_status prepare(dfqi_reconstruct *r)
{
    dfqi_model *student = r->student;
    int32_t least = dfqi_arch_is_cnn(&student->net.arch) ? CNN_LAYERS : BLOCK_LAYERS;
    if (r->set && r->set->ctx != r->ctx)
        return dfqi_fail(
            r->ctx, DFQ_E_INVALID,
            "image set and student belong to different contexts; create both with one");
    DFQI_TRY(dfqi_model_check_images(student, r->set ? &r->set->shape : r->images, 0));
    /* The caller gives a set or images. */
    r->all = r->set ? r->set->images
                    : (dfqi_images){.n = r->images->dims[0], /* NOLINT(clang-analyzer-core.*) */
                                    .pixels = dfqi_tensor_count(r->images) / r->images->dims[0],
                                    .memory = dfqi_tensor_f32(r->images)};
    DFQI_TRY(
        dfqi_check_whole(r->ctx, "reconstruct", "the number of images", r->all.n, 1, INT32_MAX));
    if (r->o.augment == DFQ_AUGMENT_NONE && r->o.views > r->all.n)
        r->o.views = r->all.n; /* more would be the same again */
    if (r->o.batch > r->o.views) r->o.batch = r->o.views;
    DFQI_TRY(find_origin(r));
    DFQI_TRY(build_graph(r, r->teacher, NULL, &r->teacher_graph, &r->of_teacher));
    DFQI_TRY(build_graph(r, student, &r->pass, &r->student_graph, &r->of_student));
    DFQI_TRY(dfqi_units_find(&r->of_teacher, &r->of_student, least, &r->units, &r->n_units));
    r->o.views = dfqi_reconstruct_count_views(r);
    if (r->o.batch > r->o.views)
        return dfqi_fail(r->ctx, DFQ_E_INVALID,
                         "reconstruct: batch is %lld, must be at most %lld: inputs of units for "
                         "more images take over 1 GiB",
                         (long long)r->o.batch, (long long)r->o.views);
    r->errors = dfqi_calloc(r->ctx, DFQI_UNIT_ERRORS * (size_t)r->n_units, sizeof *r->errors);
    return r->errors ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_reconstruct_new(const dfqi_model *teacher, dfqi_model *student,
                                const dfq_tensor *images, dfqi_imageset *set,
                                const dfqi_reconstruct_options *o, dfqi_reconstruct **out)
{
    dfq_context *ctx = student->ctx;
    dfqi_model *own;
    DFQI_TRY(check_options(ctx, o));
    DFQI_TRY(dfqi_tune_teacher(teacher, student, &own));
    dfqi_reconstruct *r = dfqi_calloc(ctx, 1, sizeof *r);
    if (!r) {
        dfqi_model_release(own);
        return DFQ_E_NOMEM;
    }
    *r = (dfqi_reconstruct){.ctx = ctx, .teacher = own, .o = *o, .keys = DFQI_NONE};
    r->student = dfqi_model_retain(student);
    if (set)
        r->set = dfqi_imageset_retain(set);
    else
        r->images = dfqi_tensor_retain(images);
    dfq_status status = dfqi_model_ready(student);
    if (status == DFQ_OK) status = prepare(r);
    if (status == DFQ_OK)
        *out = r;
    else
        dfqi_reconstruct_release(r);
    return status;
}

/* Inputs and target of a unit. */
static void drop_kept(dfqi_reconstruct *r)
{
    if (r->xs != r->x) dfqi_free(r->ctx, r->xs);
    dfqi_free(r->ctx, r->x);
    dfqi_free(r->ctx, r->z);
    r->x = r->xs = r->z = NULL;
}

/* Back to before work began. */
static void stop(dfqi_reconstruct *r)
{
    drop_kept(r);
    dfqi_free(r->ctx, r->order);
    dfqi_free(r->ctx, r->f);
    r->order = NULL;
    r->f = NULL;
}

void dfqi_reconstruct_release(dfqi_reconstruct *r)
{
    if (!r) return;
    dfq_context *ctx = r->ctx;
    dfqi_model *teacher = r->teacher, *student = r->student;
    dfqi_unit_fini(r, &r->job);
    dfqi_workspace_fini(ctx, &r->work);
    dfqi_quant_pass_fini(&r->pass, ctx);
    dfqi_graph_free(r->teacher_graph);
    dfqi_graph_free(r->student_graph);
    dfqi_network_fini(&r->folded);
    stop(r);
    dfqi_free(ctx, r->units);
    dfqi_free(ctx, r->errors);
    dfqi_tensor_release(r->images);
    dfqi_imageset_release(r->set);
    dfqi_free(ctx, r);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
}

/* -- units ------------------------------------------------------------------------------------- */

static dfq_status target_of(dfqi_reconstruct *r, const dfqi_unit *u)
{
    return dfqi_reconstruct_pass(r, r->teacher_graph, u->teacher_in, u->teacher_out, r->x, &r->z);
}

static dfq_status made_by(dfqi_reconstruct *r, const dfqi_unit *u, float **made)
{
    return dfqi_reconstruct_pass(r, r->student_graph, u->student_in, u->student_out, r->xs, made);
}

/* To the inputs of the unit behind u: z and `made`, which it takes. */
static void advance(dfqi_reconstruct *r, float *made)
{
    float *z = r->z;
    r->z = NULL;
    drop_kept(r);
    r->x = z;
    r->xs = made;
}

/* The views, and the inputs that the first unit that is not done has. */
static dfq_status start(dfqi_reconstruct *r)
{
    float *made;
    r->order = dfqi_calloc(r->ctx, (size_t)r->o.views, sizeof *r->order);
    r->x = dfqi_calloc(r->ctx, (size_t)r->o.views, (size_t)r->all.pixels * sizeof *r->x);
    if (!r->order || !r->x) return DFQ_E_NOMEM;
    dfqi_scheme_loosen(&r->student->scheme);
    DFQI_TRY(dfqi_reconstruct_views(r));
    r->xs = r->x;
    if (r->o.feature_units > 0)
        DFQI_TRY(dfqi_reconstruct_pass(r, r->teacher_graph, r->of_teacher.x, dfqi_feature_of(r),
                                       r->x, &r->f));
    for (int32_t i = 0; i < r->unit; i++) {
        DFQI_TRY(target_of(r, &r->units[i]));
        DFQI_TRY(made_by(r, &r->units[i], &made));
        advance(r, made);
    }
    return DFQ_OK;
}

/* In proportion to the power of what should be; `floats` of each view. */
static float error_of(const dfqi_reconstruct *r, const float *have, const float *want,
                      int64_t floats)
{
    double error = 0, power = 0;
    for (int64_t i = 0; i < r->o.views * floats; i++) {
        double d = (double)have[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    return (float)(power > 0 ? error / power : 0);
}

/* The errors of the running unit's output and, if it is part of the loss, of the final feature that
 * the teacher makes of it. */
static dfq_status measure(dfqi_reconstruct *r, const float *made, float *unit, float *feature)
{
    const dfqi_unit *u = &r->units[r->unit];
    float *f;
    *unit = error_of(r, made, r->z, dfqi_floats_of(r->teacher_graph, u->teacher_out));
    if (!dfqi_unit_has_feature(r, r->unit)) return DFQ_OK;
    DFQI_TRY(
        dfqi_reconstruct_pass(r, r->teacher_graph, u->teacher_out, dfqi_feature_of(r), made, &f));
    *feature = error_of(r, f, r->f, dfqi_floats_of(r->teacher_graph, dfqi_feature_of(r)));
    dfqi_free(r->ctx, f);
    return DFQ_OK;
}

static dfq_status prepare_unit(dfqi_reconstruct *r)
{
    const dfqi_unit *u = &r->units[r->unit];
    float *made, *e = r->errors + DFQI_UNIT_ERRORS * r->unit;
    DFQI_TRY(target_of(r, u));
    r->epoch = -1;
    if (r->job.g) return DFQ_OK; /* it comes from a checkpoint */
    DFQI_TRY(made_by(r, u, &made));
    dfq_status status = measure(r, made, &e[0], &e[2]);
    dfqi_free(r->ctx, made);
    DFQI_TRY(status);
    DFQI_TRY(dfqi_unit_build(r, r->unit, &r->job));
    DFQI_TRY(dfqi_unit_start(r));
    return dfqi_unit_leave_middle(r);
}

/* After a failure the unit can begin again. */
static dfq_status begin_unit(dfqi_reconstruct *r)
{
    dfq_status status = prepare_unit(r);
    if (status == DFQ_OK) return DFQ_OK;
    if (r->step == 0) dfqi_unit_fini(r, &r->job);
    dfqi_free(r->ctx, r->z);
    r->z = NULL;
    return status;
}

static double share(float after, float before)
{
    return before > 0 ? (double)after / (double)before : after > 0 ? INFINITY : 1;
}

/* A unit that became worse, by the loss without dropping, gets its parameters back. */
static dfq_status end_unit(dfqi_reconstruct *r)
{
    const dfqi_unit *u = &r->units[r->unit];
    const dfqi_unit_job *j = &r->job;
    const double weight = dfqi_unit_has_feature(r, r->unit) ? (double)r->o.feature_weight : 0;
    float *made, *e = r->errors + DFQI_UNIT_ERRORS * r->unit;
    DFQI_TRY(made_by(r, u, &made));
    dfq_status status = measure(r, made, &e[1], &e[3]);
    if (status == DFQ_OK && !(share(e[1], e[0]) + weight * share(e[3], e[2]) < 1 + weight)) {
        for (int32_t i = 0; i < j->n_items; i++)
            memcpy(j->items[i].tensor->data, j->items[i].before,
                   (size_t)j->items[i].count * sizeof(float));
        e[1] = e[0];
        e[3] = e[2];
        dfqi_free(r->ctx, made);
        DFQI_TRY(made_by(r, u, &made));
    }
    if (status != DFQ_OK) {
        dfqi_free(r->ctx, made);
        return status;
    }
    dfqi_log(r->ctx, DFQ_LOG_DEBUG,
             "reconstruct: unit %d of %d, %d layers: error %g, was %g, of the feature %g, was %g",
             (int)r->unit + 1, (int)r->n_units, (int)u->layers, (double)e[1], (double)e[0],
             (double)e[3], (double)e[2]);
    dfqi_unit_fini(r, &r->job);
    advance(r, made);
    r->unit++;
    r->step = 0;
    return DFQ_OK;
}

dfq_status dfqi_reconstruct_step(dfqi_reconstruct *r, int32_t *out_finished)
{
    if (r->failed)
        return dfqi_fail(r->ctx, DFQ_E_NUMERIC,
                         "reconstruct: the job has ended: unit %d was not finite; start anew",
                         (int)r->unit);
    if (r->unit < r->n_units) {
        dfq_status status = r->x ? DFQ_OK : start(r);
        if (status != DFQ_OK) {
            stop(r);
            return status;
        }
        if (!r->z) DFQI_TRY(begin_unit(r));
        double begin = dfqi_now();
        if (r->step < r->o.steps) DFQI_TRY(dfqi_unit_step(r));
        r->seconds += dfqi_now() - begin;
        r->timed++;
        if (r->step == r->o.steps) DFQI_TRY(end_unit(r));
    }
    *out_finished = r->unit == r->n_units;
    return DFQ_OK;
}

int64_t dfqi_reconstruct_done(const dfqi_reconstruct *r)
{
    return r->unit * r->o.steps + r->step;
}

dfq_status dfqi_reconstruct_run(dfqi_reconstruct *r)
{
    int32_t finished = r->unit == r->n_units;
    dfqi_stage stage = dfqi_stage_begin(r->ctx, "reconstruct", (uint64_t)dfqi_reconstruct_done(r),
                                        (uint64_t)(r->n_units * r->o.steps));
    while (!finished) {
        DFQI_TRY(dfqi_reconstruct_step(r, &finished));
        dfq_status status = dfqi_stage_report(&stage, (uint64_t)dfqi_reconstruct_done(r), r->loss);
        if (status != DFQ_OK && !finished) return status;
    }
    return DFQ_OK;
}
