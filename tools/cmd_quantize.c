/* dfq quantize: makes a low-bit model from a float one. Stages: evaluation of the float network
 * (also finds broken pictures before the long work), images, calibration, reconstruction, tuning,
 * saving, evaluation of the result, report. With a generator network beside the student
 * (ait_job.h), tuning makes the images and finds the activation ranges, so the stages of images and
 * calibration are left out. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "ait_job.h"
#include "bits.h"
#include "model.h"
#include "quantize.h"
#include "synthesis.h"
#include "text.h"

enum { LEAVES_SHOWN = 16 };

dfq_status quantize_slice(dfq_context *ctx, const dfq_tensor *t, int64_t first, int64_t n,
                          dfq_tensor **out)
{
    const int64_t *dims = dfq_tensor_get_dims(t);
    const char *data = dfq_tensor_get_data(t);
    int64_t part[DFQ_RANK_MAX];
    dfq_tensor *copy;
    if (n > dims[0] - first) n = dims[0] - first;
    if (n == dims[0]) {
        *out = dfq_tensor_retain(t);
        return DFQ_OK;
    }
    memcpy(part, dims, (size_t)dfq_tensor_get_rank(t) * sizeof *dims);
    part[0] = n;
    dfq_status status =
        dfq_tensor_create(ctx, dfq_tensor_get_dtype(t), dfq_tensor_get_rank(t), part, &copy);
    if (status != DFQ_OK) return status;
    size_t row = dfq_tensor_get_bytes(copy) / (size_t)n;
    memcpy(dfq_tensor_get_data(copy), data + (size_t)first * row, dfq_tensor_get_bytes(copy));
    *out = copy;
    return DFQ_OK;
}

/* -- before work ------------------------------------------------------------------------------- */

static int open_data(struct quantize *q)
{
    struct session *s = q->s;
    double seconds = 0;
    if (!s->o->data) return CODE_DONE;
    int code = model_open_data(s, q->net, q->info.classes, &q->data);
    if (code) return code;
    code = model_measure(s, (struct evaluated){.graph = q->net}, q->data, &seconds);
    int64_t n = dfq_dataset_get_count(q->data);
    q->plan.seconds[PLAN_FLOAT] = seconds * (double)(n - q->job.judged[0].n);
    q->plan.seconds[PLAN_LOW] = 1.5 * seconds * (double)(n - q->job.judged[1].n);
    return code;
}

static int prepare(struct quantize *q)
{
    struct session *s = q->s;
    /* what stays float, ranges and names come on top; a small network is mostly that */
    double low = 1.2 * (double)q->info.parameters * (double)s->o->weight_bits / 8 + 65536;
    int code = recipe_check(s, &q->full, q->net, &q->info);
    if (!code && q->info.quantized)
        code =
            session_error(s, CODE_INPUT, "%s is already quantized (w%da%d); give the float network",
                          s->o->input, (int)q->info.weight_bits, (int)q->info.act_bits);
    if (!code) code = job_open(s, &q->full, low, &q->job);
    if (!code) code = open_data(q);
    return code;
}

/* -- work -------------------------------------------------------------------------------------- */

static int judge(struct quantize *q, int which)
{
    static const char *const labels[2] = {"float", "quantized"};
    if (!q->data) return CODE_DONE;
    const struct evaluated net = {.graph = which ? q->low : q->net};
    int code =
        model_judge(q->s, net, q->data, dfq_dataset_get_count(q->data), labels[which],
                    plan_after(&q->plan, which ? PLAN_LOW : PLAN_FLOAT), &q->job.judged[which]);
    if (code == CODE_INTERRUPTED) (void)job_note(q->s, &q->job);
    if (!code && which == 0) model_say_pictures(q->s, q->data);
    return code;
}

static dfq_status save_synthesizer(void *handle, const char *path)
{
    return dfq_synthesizer_save_checkpoint(handle, path);
}

/* If the output is a device, there is no folder to spool images to: they stay in memory. */
static dfq_status take_made(struct quantize *q, const dfq_synthesizer *g)
{
    if (!q->job.enabled) {
        dfq_status status = dfq_synthesizer_get_images(g, &q->images);
        return status == DFQ_OK ? dfq_synthesizer_get_labels(g, &q->labels) : status;
    }
    dfq_status status = dfq_synthesizer_get_set(g, &q->set);
    return status == DFQ_OK ? quantize_read_first(q) : status;
}

/* Makes images and takes what the report needs, so that the memory of synthesis can go. */
static int synthesise(struct quantize *q)
{
    struct session *s = q->s;
    dfq_status status = DFQ_OK;
    if (q->synthesizer) {
        dfq_synthesizer *g = q->synthesizer;
        int code = synthesis_run(s, g, &q->job, plan_after(&q->plan, PLAN_SYNTH));
        if (code) return code;
        if (!q->job.resumed || q->plan.seconds[PLAN_SYNTH] > 0)
            job_checkpoint(s, &q->job, save_synthesizer, g, q->job.synth);
        status = take_made(q, g);
        if (status == DFQ_OK) status = dfq_synthesizer_get_losses(g, &q->losses);
        if (status == DFQ_OK && model_has_heads(&q->info))
            status = dfq_synthesizer_get_similarity(g, SYNTHESIS_SHOWN, &q->similarity[0],
                                                    &q->similarity[1]);
        dfq_synthesizer_release(g);
        q->synthesizer = NULL;
    } else if (q->images && model_has_heads(&q->info)) {
        dfq_tensor *head = NULL;
        status = quantize_slice(s->ctx, q->images, 0, SYNTHESIS_SHOWN, &head);
        if (status == DFQ_OK)
            status = dfq_graph_get_head_similarity(q->net, head, &q->similarity[1]);
        dfq_tensor_release(head);
    }
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}

/* What the report shows a network that was quantized without images. */
static dfq_status draw_leaves(struct quantize *q)
{
    dfq_synthesizer_options o;
    dfq_synthesizer *leaves;
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_LEAVES, q->full.mode, NULL);
    o.images = LEAVES_SHOWN;
    o.seed = q->full.seed + 1; /* other ones than those that weights are rounded on */
    dfq_status status = dfq_synthesizer_create(q->net, &o, &leaves);
    if (status != DFQ_OK) return status;
    status = dfq_synthesizer_run(leaves);
    if (status == DFQ_OK) status = dfq_synthesizer_get_images(leaves, &q->images);
    dfq_synthesizer_release(leaves);
    return status;
}

static int calibrate(struct quantize *q)
{
    struct session *s = q->s;
    dfq_quantize_options o = recipe_quantize(&q->full);
    progress_begin(&s->progress, NULL, 0, plan_after(&q->plan, PLAN_CALIBRATE));
    dfq_status status = q->set ? dfq_graph_quantize_from(q->net, q->set, &o, &q->low)
                               : dfq_graph_quantize(q->net, q->images, &o, &q->low);
    if (status == DFQ_OK && q->full.no_images && q->full.report) status = draw_leaves(q);
    progress_end(&s->progress);
    if (status == DFQ_E_CANCELLED) return CODE_INTERRUPTED;
    return status == DFQ_OK ? CODE_DONE : recipe_fail(s, &q->full, status);
}

static dfq_status run_tuner(void *handle)
{
    return dfq_tuner_run(handle);
}

static dfq_status save_tuner(void *handle, const char *path)
{
    return dfq_tuner_save_checkpoint(handle, path);
}

static dfq_status save_watched(void *handle, const char *path)
{
    const struct code_changes *w = handle;
    return dfq_tuner_save_checkpoint(w->tuner, path);
}

static int tune_with(struct quantize *q, dfq_tuner *t)
{
    struct session *s = q->s;
    const struct job_stage plain = {run_tuner, save_tuner, t, q->job.tune};
    const struct job_stage watched = {code_changes_run, save_watched, &q->diagnosis.changes,
                                      q->job.tune};
    dfq_status status = DFQ_OK;
    if (q->job.resumed && file_kind(q->job.tune) == FILE_REGULAR)
        status = dfq_tuner_load_checkpoint(t, q->job.tune);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    progress_begin(&s->progress, "tune", 0, plan_after(&q->plan, PLAN_TUNE));
    q->diagnosis.changes.tuner = t;
    int code = job_run(s, &q->job, q->full.diagnose > 0 ? &watched : &plain);
    progress_end(&s->progress);
    if (!code && q->full.method == METHOD_AIT) code = ait_job_take(q, t);
    if (code) return code;
    /* Saving can fail and the evaluation can be interrupted: the tuned network must not be lost. */
    if (!q->job.saved) job_checkpoint(s, &q->job, save_tuner, t, q->job.tune);
    q->best.struct_size = sizeof q->best;
    status = dfq_tuner_get_best(t, &q->best);
    if (status == DFQ_OK) status = dfq_tuner_get_curves(t, &q->curves);
    if (status == DFQ_OK) status = dfq_tuner_get_evaluations(t, &q->evaluations);
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}

static int tune(struct quantize *q)
{
    dfq_tuner_options o = recipe_tuner(&q->full, q->net);
    dfq_generator_options l = recipe_generator_options(&q->full, q->net);
    dfq_tuner *t;
    dfq_status status = DFQ_OK;
    if (q->full.diagnose > 0) status = code_changes_open(&q->diagnosis.changes, q->s, q->low);
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_WORK);
    q->diagnosis.changes.inundated = o.crossing_target > 0;
    if (q->full.no_tune && !q->with_generator) return CODE_DONE;
    status = q->with_generator ? dfq_tuner_create_with_generator(q->net, q->low, &l, &o, &t)
             : q->set          ? dfq_tuner_create_from(q->net, q->low, q->set, &o, &t)
                               : dfq_tuner_create(q->net, q->low, q->images, &o, &t);
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_WORK);
    int code = tune_with(q, t);
    dfq_tuner_release(t);
    return code;
}

static int save(struct quantize *q)
{
    int code = places_appeared(q->s, OPT_OUT);
    if (code) return code;
    dfq_status status = dfq_graph_save(q->low, q->s->o->out, 0);
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_WRITE);
    q->job.saved = 1;
    return CODE_DONE;
}

/* -- results ----------------------------------------------------------------------------------- */

static int finish(struct quantize *q)
{
    struct session *s = q->s;
    q->seconds = text_now() - s->start;
    q->peak = session_peak();
    if (s->o->report) {
        dfq_tensor *head = NULL;
        dfq_status status = DFQ_OK;
        if (q->images) status = quantize_slice(s->ctx, q->images, 0, SYNTHESIS_SHOWN, &head);
        if (head) status = dfq_graph_get_layer_errors(q->net, q->low, head, &q->errors);
        dfq_tensor_release(head);
        if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
        int code = places_appeared(s, OPT_REPORT);
        if (!code) code = page_write(q);
        if (code) return code;
    }
    quantize_print(q);
    return CODE_DONE;
}

static void release(struct quantize *q)
{
    dfq_synthesizer_release(q->synthesizer);
    dfq_dataset_release(q->data);
    diagnose_close(&q->diagnosis);
    dfq_image_set_release(q->set);
    dfq_tensor_release(q->images);
    dfq_tensor_release(q->labels);
    dfq_tensor_release(q->generator_losses);
    dfq_tensor_release(q->crossed);
    dfq_tensor_release(q->crossing_targets);
    dfq_tensor_release(q->losses);
    dfq_tensor_release(q->similarity[0]);
    dfq_tensor_release(q->similarity[1]);
    dfq_tensor_release(q->curves);
    dfq_tensor_release(q->evaluations);
    dfq_tensor_release(q->errors);
    dfq_tensor_release(q->unit_errors);
    dfq_graph_release(q->low);
    dfq_graph_release(q->net);
    bits_close(q);
}

int cmd_quantize(struct session *s)
{
    struct quantize q;
    memset(&q, 0, sizeof q);
    q.s = s;
    const struct options *given = s->o;
    int32_t decides = DFQ_DECIDES_LOGITS | DFQ_DECIDES_INPUTS;
    if (s->o->data || s->o->real) decides |= DFQ_DECIDES_PICTURES;
    int code = model_load(s, decides, &q.net, &q.info);
    if (code) return code;
    struct options own = *s->o;
    if (own.verb == VERB_JOINT) {
        own.no_images = bits_need_no_images(&own, &q.info);
        s->o = &own;
    }
    q.full = recipe_fill(s->o, q.net, &q.info);
    q.with_generator = recipe_with_generator(&q.full);
    code = bits_open(&q);
    if (!code) code = prepare(&q);
    if (!code) code = q.with_generator ? ait_job_plan(&q) : quantize_plan(&q);
    if (!code) code = judge(&q, 0);
    if (!code && !q.with_generator) code = synthesise(&q);
    if (!code) code = bits_choose(&q);
    if (!code) code = calibrate(&q);
    if (!code) code = reconstruct_run(&q);
    if (!code) code = tune(&q);
    if (!code) code = save(&q);
    if (!code) code = bits_write(&q);
    if (!code) code = judge(&q, 1);
    if (!code) code = diagnose_run(&q);
    if (!code) code = parts_run(&q);
    if (!code) code = finish(&q);
    job_close(s, code, &q.job);
    release(&q);
    s->o = given;
    return code;
}
