/* The diagnosis job. It computes the logits of both networks batch by batch, then the curvature of
 * the loss on a copy of the student. The quantized weights of the copy are free floats that start
 * at the dequantized values. */
#include "tune/diagnose_priv.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "graph/ops.h"
#include "quant/evaluate.h"
#include "tune/tune.h"

void dfqi_diagnose_defaults(dfqi_diagnose_options *o)
{
    *o = (dfqi_diagnose_options){.batch = 16,
                                 .round = 1,
                                 .divide = 1,
                                 .temperature = 20, /* AIT's */
                                 .curvature = {.probes = 10, .power = 30, .grid = 11}};
}

/* -- checks ------------------------------------------------------------------------------------ */

static dfq_status check_options(dfq_context *ctx, const dfqi_diagnose_options *o)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } ranges[] = {{"batch", o->batch, 1, 4096},
                  {"round_activations", o->round, 0, 1},
                  {"divide_by_classes", o->divide, 0, 1},
                  {"probes", o->curvature.probes, 0, 10000},
                  {"power_iterations", o->curvature.power, 0, 10000},
                  {"grid", o->curvature.grid, 0, 101}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return dfqi_fail(ctx, DFQ_E_INVALID, "diagnosis: %s is %lld, must be %lld to %lld",
                             ranges[i].name, (long long)ranges[i].value, (long long)ranges[i].least,
                             (long long)ranges[i].most);
    if (o->curvature.grid == 1 || (o->curvature.grid > 0 && o->curvature.grid % 2 == 0))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "diagnosis: grid is %d, must be 0, or odd from 3 on, so that the weights "
                         "are its centre",
                         (int)o->curvature.grid);
    if (!(o->temperature >= 0.001f && o->temperature <= 1000.0f))
        return dfqi_fail(ctx, DFQ_E_INVALID, "diagnosis: temperature is %g, must be 0.001 to 1000",
                         (double)o->temperature);
    return DFQ_OK;
}

static dfq_status check_images(const dfqi_model *m, const dfq_tensor *images,
                               const dfq_tensor *labels)
{
    DFQI_TRY(dfqi_model_check_images(m, images, 0));
    if (images->dims[0] > INT32_MAX)
        return dfqi_fail(m->ctx, DFQ_E_SHAPE, "diagnosis: there are %lld images, must be 1 to %d",
                         (long long)images->dims[0], INT32_MAX);
    return labels ? dfqi_model_check_labels(m, labels, images->dims[0]) : DFQ_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

dfq_status dfqi_diagnosis_new(const dfqi_model *teacher, const dfqi_model *student,
                              const dfq_tensor *images, const dfq_tensor *labels,
                              const dfqi_diagnose_options *o, dfqi_diagnosis **out)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &student->net.arch;
    DFQI_TRY(check_options(ctx, o));
    DFQI_TRY(dfqi_model_ready(student));
    DFQI_TRY(dfqi_arch_need_classes(ctx, a, "a diagnosis"));
    DFQI_TRY(check_images(student, images, labels));
    dfqi_model *own;
    DFQI_TRY(dfqi_tune_teacher(teacher, student, &own));
    dfqi_diagnosis *d = dfqi_calloc(ctx, 1, sizeof *d);
    if (!d) {
        dfqi_model_release(own);
        return DFQ_E_NOMEM;
    }
    d->ctx = ctx;
    d->teacher = own;
    d->student = dfqi_model_retain(student);
    d->images = dfqi_tensor_retain(images);
    d->labels = labels ? dfqi_tensor_retain(labels) : NULL;
    d->o = *o;
    d->n_images = images->dims[0];
    d->pixels = dfqi_arch_pixels(a);
    d->classes = a->classes;
    if (d->o.batch > d->n_images) d->o.batch = d->n_images;
    dfq_status status = dfqi_coded_list(student, &d->coded, &d->n, &d->values);
    if (status != DFQ_OK)
        dfqi_diagnosis_release(d);
    else
        *out = d;
    return status;
}

/* Back to before work began. */
static void stop(dfqi_diagnosis *d)
{
    dfqi_loss_curvature_fini(&d->curvature);
    dfqi_network_fini(&d->net);
    dfqi_free(d->ctx, d->weights);
    dfqi_free(d->ctx, d->logits);
    dfqi_free(d->ctx, d->classes_of);
    d->weights = NULL;
    d->logits = d->classes_of = NULL;
}

void dfqi_diagnosis_release(dfqi_diagnosis *d)
{
    if (!d) return;
    dfqi_model *teacher = d->teacher, *student = d->student;
    dfq_tensor *images = d->images, *labels = d->labels;
    stop(d);
    dfqi_free(d->ctx, d->coded);
    dfqi_free(d->ctx, d);
    dfqi_tensor_release(labels);
    dfqi_tensor_release(images);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
}

/* -- the copy ---------------------------------------------------------------------------------- */

/* The student's quantization pass, wrapped so that weights stay free floats. */
typedef struct free_pass {
    dfqi_quant_pass pass;
    dfqi_rewrite inner;
    void *inner_user;
} free_pass;

static dfqi_id leave_weights(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                             dfqi_id value, void *user)
{
    free_pass *p = user;
    int weight = (op == DFQI_OP_LINEAR || op == DFQI_OP_CONV) && slot == 1;
    return weight ? value : p->inner(g, op, name, slot, value, p->inner_user);
}

/* The student with free weights; everything else is constant. */
static dfq_status forward(void *user, dfqi_graph *g, dfqi_id x, dfqi_id *weights, dfqi_id *logits)
{
    const dfqi_diagnosis *d = user;
    dfqi_taps taps = {0};
    free_pass p = {0};
    dfq_status status = DFQ_OK;
    dfqi_id *ids = dfqi_calloc(d->ctx, (size_t)d->net.n_params, sizeof *ids);
    if (!ids) return DFQ_E_NOMEM;
    for (int32_t i = 0, k = 0; i < d->net.n_params; i++) {
        const dfqi_param *param = &d->net.params[i];
        int moves = k < d->n && d->coded[k].param == i;
        ids[i] = dfqi_graph_param(g, param->name, param->tensor, !moves);
        if (moves) weights[k++] = ids[i];
    }
    int round = d->o.round && !d->surface.smooth;
    if (round) {
        DFQI_GOTO(dfqi_quant_pass_begin(&p.pass, g, &d->student->scheme, 1), out);
        p.inner = g->rewrite;
        p.inner_user = g->rewrite_user;
        g->rewrite = leave_weights;
        g->rewrite_user = &p;
    }
    dfqi_network_forward(&d->net, g, ids, x, &taps);
    if (round) dfqi_quant_pass_end(&p.pass, g);
    *logits = taps.logits;
    status = dfqi_graph_status(g);
out:
    dfqi_quant_pass_fini(&p.pass, d->ctx);
    dfqi_free(d->ctx, ids);
    return status;
}

/* Weights of the copy become what the student's codes stand for. */
static void dequantize(dfqi_diagnosis *d)
{
    const dfqi_kernels *k = dfqi_kernels_get(d->ctx);
    for (int32_t i = 0; i < d->n; i++) {
        const dfqi_coded *w = &d->coded[i];
        dfq_tensor *to = d->net.params[w->param].tensor;
        float scale, zero_point;
        for (int64_t r = 0; r < w->rows; r++)
            dfqi_weight_row(k, w->site, r, w->cols, dfqi_tensor_f32(w->tensor) + r * w->cols,
                            w->col, dfqi_tensor_f32(to) + r * w->cols, &scale, &zero_point);
        d->weights[i] = (dfqi_free_weight){
            .tensor = to, .rows = w->rows, .count = w->rows * w->cols, .at = w->at};
    }
}

dfqi_loss_surface dfqi_diagnosis_surface_of(dfqi_diagnosis *d)
{
    const dfqi_arch *a = &d->student->net.arch;
    return (dfqi_loss_surface){.ctx = d->ctx,
                               .forward = forward,
                               .user = d,
                               .n_weights = d->n,
                               .weights = d->weights,
                               .floats = d->values,
                               .rank = 3,
                               .dims = {a->channels, a->image.height, a->image.width},
                               .n = d->n_images,
                               .classes = d->classes,
                               .images = dfqi_tensor_f32(d->images),
                               .labels = d->classes_of,
                               .teacher = d->logits,
                               .temperature = d->o.temperature,
                               .divide = d->o.divide,
                               .batch = d->o.batch};
}

static dfq_status allocate(dfqi_diagnosis *d)
{
    d->weights = dfqi_calloc(d->ctx, (size_t)d->n, sizeof *d->weights);
    d->logits = dfqi_calloc(d->ctx, (size_t)d->n_images, (size_t)d->classes * sizeof *d->logits);
    d->classes_of = dfqi_calloc(d->ctx, (size_t)d->n_images, sizeof *d->classes_of);
    if (!d->weights || !d->logits || !d->classes_of) return DFQ_E_NOMEM;
    DFQI_TRY(dfqi_network_clone(&d->student->net, &d->net));
    dequantize(d);
    d->surface = dfqi_diagnosis_surface_of(d);
    return dfqi_loss_curvature_init(&d->curvature, &d->surface, &d->o.curvature);
}

dfq_status dfqi_diagnosis_start(dfqi_diagnosis *d)
{
    if (d->curvature.l) return DFQ_OK;
    dfq_status status = allocate(d);
    if (status != DFQ_OK) stop(d);
    return status;
}

/* -- work -------------------------------------------------------------------------------------- */

/* Logits of the next batch, by both. */
static dfq_status judge(dfqi_diagnosis *d)
{
    int64_t left = d->n_images - d->judged, n = left < d->o.batch ? left : d->o.batch;
    const float *images = dfqi_tensor_f32(d->images) + d->judged * d->pixels;
    float *theirs = d->logits + d->judged * d->classes;
    float *own = dfqi_alloc(d->ctx, (size_t)(n * d->classes) * sizeof *own);
    dfq_status status = own ? DFQ_OK : DFQ_E_NOMEM;
    if (status == DFQ_OK) status = dfqi_model_logits(d->teacher, images, n, theirs);
    if (status == DFQ_OK) status = dfqi_model_logits(d->student, images, n, own);
    for (int64_t i = 0; i < n && status == DFQ_OK; i++) {
        int32_t t = dfqi_best_class(theirs + i * d->classes, d->classes);
        int32_t s = dfqi_best_class(own + i * d->classes, d->classes);
        if (t < 0) {
            status = dfqi_fail(d->ctx, DFQ_E_NUMERIC,
                               "diagnosis: logits of the float network are not finite for image "
                               "%lld; check the images and the weights",
                               (long long)(d->judged + i));
            break;
        }
        int32_t label = d->labels ? ((const int32_t *)d->labels->data)[d->judged + i] : t;
        d->classes_of[d->judged + i] = (float)label;
        d->agreement.agree += t == s;
        d->agreement.teacher += t == label;
        d->agreement.student += s == label;
    }
    if (status == DFQ_OK) d->judged += n;
    dfqi_free(d->ctx, own);
    return status;
}

dfq_status dfqi_diagnosis_step(dfqi_diagnosis *d, int32_t *out_finished)
{
    double from = dfqi_now();
    int kind = dfqi_diagnosis_kind(d);
    DFQI_TRY(dfqi_diagnosis_start(d));
    DFQI_TRY(d->judged < d->n_images ? judge(d) : dfqi_loss_curvature_step(&d->curvature));
    d->seconds[kind] += dfqi_now() - from;
    d->timed[kind]++;
    *out_finished = d->curvature.stage == DFQI_LOSS_CURVATURE_DONE;
    return DFQ_OK;
}

dfq_status dfqi_diagnosis_run(dfqi_diagnosis *d)
{
    int32_t finished = 0;
    int64_t batch = d->o.batch;
    DFQI_TRY(dfqi_diagnosis_start(d));
    int64_t judging = dfqi_loss_surface_batches(&d->surface);
    int64_t done = (d->judged + batch - 1) / batch + d->curvature.done;
    dfqi_stage stage = dfqi_stage_begin(d->ctx, "diagnose", (uint64_t)done,
                                        (uint64_t)(judging + d->curvature.total));
    while (!finished) {
        DFQI_TRY(dfqi_diagnosis_step(d, &finished));
        done = (d->judged + batch - 1) / batch + d->curvature.done;
        dfq_status status = dfqi_stage_report(&stage, (uint64_t)done, NAN);
        if (status != DFQ_OK && !finished) return status;
    }
    return DFQ_OK;
}

/* -- results ----------------------------------------------------------------------------------- */

int64_t dfqi_diagnosis_images(const dfqi_diagnosis *d)
{
    return d->n_images;
}

dfqi_agreement dfqi_diagnosis_agreement(const dfqi_diagnosis *d)
{
    return d->agreement;
}

int32_t dfqi_diagnosis_count(const dfqi_diagnosis *d)
{
    return d->n;
}

const char *dfqi_diagnosis_name(const dfqi_diagnosis *d, int32_t i)
{
    return d->coded[i].name;
}

const dfqi_loss_curvature *dfqi_diagnosis_curvature(const dfqi_diagnosis *d)
{
    return d->curvature.l ? &d->curvature : NULL;
}

int64_t dfqi_diagnosis_values(const dfqi_diagnosis *d)
{
    return d->values;
}

int32_t dfqi_diagnosis_grid(const dfqi_diagnosis *d)
{
    return d->o.curvature.grid;
}
