/* AIT jobs: the plan of an AIT job (time, memory), and its results. */
#include "ait_job.h"

#include <math.h>

#include "files.h"
#include "text.h"

/* -- plan -------------------------------------------------------------------------------------- */

struct probe {
    double idle, step; /* seconds of a step of the warm-up, and of one behind it */
    double bytes;
};

/* One step of each kind. Both count although the first step of a job is slower by some percent: on
 * large networks a step takes minutes. */
static dfq_status time_steps(const struct quantize *q, dfq_graph *student, struct probe *out)
{
    dfq_tuner_options o = recipe_tuner(&q->full, q->net);
    dfq_generator_options l = recipe_generator_options(&q->full, q->net);
    dfq_tuner_cost cost = {.struct_size = sizeof cost};
    dfq_tuner *t;
    double *const seconds[2] = {&out->idle, &out->step};
    int32_t finished = 0;
    o.steps = 2;
    o.warmup_steps = o.range_steps = o.kappa_capped_steps = 1;
    dfq_status status = dfq_tuner_create_with_generator(q->net, student, &l, &o, &t);
    if (status != DFQ_OK) return status;
    for (int i = 0; i < 2 && status == DFQ_OK && !session_interrupted(); i++) {
        double start = text_now();
        status = dfq_tuner_step(t, &finished);
        *seconds[i] = text_now() - start;
    }
    if (status == DFQ_OK) status = dfq_tuner_estimate(t, &cost);
    out->bytes = (double)cost.bytes;
    dfq_tuner_release(t);
    return status;
}

static void say_plan(const struct quantize *q, const dfq_tuner_options *t)
{
    const struct options *o = &q->full;
    const double *sec = q->plan.seconds;
    char first_last[TEXT_SHORT] = "", steps[2 * TEXT_SHORT], total[TEXT_SHORT], tune[TEXT_SHORT],
         eval[TEXT_SHORT], look[TEXT_SHORT], bytes[TEXT_SHORT];
    if (o->first_last_bits)
        snprintf(first_last, sizeof first_last, " (first and last w%d)", (int)o->first_last_bits);
    if (o->no_tune)
        snprintf(steps, sizeof steps, "no tuning");
    else
        snprintf(steps, sizeof steps, "%lld steps of tuning by %s",
                 (long long)(t->steps - t->warmup_steps),
                 o->loss == LOSS_KL_CE ? "its own loss" : "ait");
    session_say(q->s,
                "%s to w%da%d%s, mode %s; generator %s, %lld images a step: %lld steps alone, %s",
                dfq_graph_get_name(q->net), (int)o->weight_bits, (int)o->act_bits, first_last,
                option_mode_name(o->mode), option_generator_name(o->generator), (long long)o->batch,
                (long long)t->warmup_steps, steps);
    session_say(q->s, "%s %s (tuning %s, evaluation %s%s%s) and %s of memory with %s",
                q->job.resumed ? "at most" : "about", text_seconds(plan_total(&q->plan), total),
                text_seconds(sec[PLAN_TUNE], tune),
                text_seconds(sec[PLAN_FLOAT] + sec[PLAN_LOW], eval),
                o->diagnose > 0 ? ", diagnosis " : "",
                o->diagnose > 0 ? text_seconds(sec[PLAN_DIAGNOSE], look) : "",
                text_bytes(q->plan.bytes, bytes),
                text_threads((int)dfq_context_get_threads(q->s->ctx), (char[TEXT_SHORT]){0}));
}

/* The published average of ranges overshoots 3945 times and settles after some 150 steps. */
static void warn_of_ranges(const struct quantize *q, const dfq_tuner_options *t)
{
    enum { SETTLED = 150 };
    if (q->full.mode == DFQ_MODE_PARITY && t->range_steps < SETTLED)
        session_error(q->s, 0,
                      "warning: the averaged ranges of mode parity need a warm-up of %d steps, "
                      "this one has %lld; raise --steps",
                      (int)SETTLED, (long long)t->range_steps);
}

int ait_job_plan(struct quantize *q)
{
    struct session *s = q->s;
    struct probe p = {0, 0, 0};
    dfq_tuner_options t = recipe_tuner(&q->full, q->net);
    dfq_quantize_options o = recipe_quantize(&q->full);
    dfq_graph *student = NULL;
    dfq_tensor *noise = NULL;
    double base = session_peak(), forward = 0;
    int64_t few = q->full.diagnose > 0 ? q->full.batch : 1;
    dfq_status status = recipe_noise(s->ctx, &q->info, few, &noise);
    if (status == DFQ_OK) status = recipe_time_forward(q->net, noise, &forward);
    dfq_tensor_release(noise);
    s->mute = 1; /* warnings of quantization come again, that of threads has come above */
    if (status == DFQ_OK) status = dfq_graph_quantize(q->net, NULL, &o, &student);
    if (status == DFQ_OK) status = time_steps(q, student, &p);
    s->mute = 0;
    dfq_graph_release(student);
    if (session_interrupted()) return CODE_INTERRUPTED;
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    q->plan.seconds[PLAN_TUNE] =
        p.idle * (double)t.warmup_steps + p.step * (double)(t.steps - t.warmup_steps);
    q->plan.seconds[PLAN_DIAGNOSE] = diagnose_seconds(&q->full, forward);
    q->plan.bytes = base + p.bytes + 4 * (double)q->info.parameters;
    if (session_peak() > q->plan.bytes) q->plan.bytes = session_peak();
    say_plan(q, &t);
    warn_of_ranges(q, &t);
    return CODE_DONE;
}

/* -- results ----------------------------------------------------------------------------------- */

/* The share of steps and weights, behind the capped steps, whose codes changed as intended: within
 * a factor of two of the target, or at most one code where the target is less than one. */
static double count_on_target(const struct quantize *q, const float *codes)
{
    dfq_tuner_options o = recipe_tuner(&q->full, q->net);
    const int64_t *dims = dfq_tensor_get_dims(q->crossed);
    const float *share = dfq_tensor_get_data(q->crossed);
    const float *targets = dfq_tensor_get_data(q->crossing_targets);
    double n = 0, good = 0;
    for (int64_t i = o.warmup_steps + o.kappa_capped_steps; i < dims[0]; i++)
        for (int64_t w = 0; w < dims[1]; w++) {
            double v = (double)share[i * dims[1] + w], target = (double)targets[i];
            double one = 1 / (double)codes[3 * w + 2];
            if (isnan(v)) continue;
            n++;
            good += target < one ? v <= 1.5 * one : v >= target / 2 && v <= 2 * target;
        }
    return n > 0 ? good / n : (double)NAN;
}

static dfq_status take_crossings(struct quantize *q, const dfq_tuner *t)
{
    dfq_tensor *codes = NULL;
    dfq_status status = dfq_tuner_get_crossed(t, &q->crossed);
    if (status == DFQ_OK) status = dfq_tuner_get_crossing_targets(t, &q->crossing_targets);
    if (status == DFQ_OK) status = dfq_tuner_get_crossings(t, &codes);
    if (status == DFQ_OK) q->on_target = count_on_target(q, dfq_tensor_get_data(codes));
    dfq_tensor_release(codes);
    return status;
}

/* Saved for the report, in case the evaluation of the result is interrupted. */
static void keep_images(struct quantize *q)
{
    int late = q->data || q->full.diagnose > 0; /* there is something left to interrupt */
    if (!late || q->job.saved || !q->job.enabled || job_note(q->s, &q->job) != 0) return;
    if (dfq_image_set_save_tensors(q->net, q->images, q->labels, q->job.samples, 1) != DFQ_OK)
        folder_remove(q->job.samples);
}

static dfq_status take_images(struct quantize *q, const dfq_tuner *t)
{
    dfq_status status = dfq_tuner_get_generator_images(t, &q->images, &q->labels);
    if (status == DFQ_OK) {
        keep_images(q);
        return DFQ_OK;
    }
    if (status != DFQ_E_INVALID) return status;
    return file_kind(q->job.samples) == FILE_FOLDER
               ? dfq_image_set_load_tensors(q->net, q->job.samples, &q->images, &q->labels)
               : DFQ_OK; /* the job had ended: there are none any more */
}

int ait_job_take(struct quantize *q, dfq_tuner *t)
{
    dfq_status status = q->with_generator ? take_images(q, t) : DFQ_OK;
    if (status == DFQ_OK && q->with_generator)
        status = dfq_tuner_get_generator_curves(t, &q->generator_losses);
    if (status == DFQ_OK && recipe_tuner(&q->full, q->net).crossing_target > 0)
        status = take_crossings(q, t);
    return status == DFQ_OK ? CODE_DONE : session_fail(q->s, status, PHASE_WORK);
}
