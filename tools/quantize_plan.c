/* The plan of a job that quantizes with a set of images, or with none: opens what gives the images,
 * and tells what the job will take. */
#include <stdlib.h>

#include "files.h"
#include "quantize.h"
#include "synthesis.h"
#include "text.h"

/* -- images that need no synthesis ------------------------------------------------------------- */

dfq_status quantize_read_first(struct quantize *q)
{
    int64_t n = q->full.diagnose > SYNTHESIS_SHOWN ? q->full.diagnose : SYNTHESIS_SHOWN;
    if (q->full.images < n) n = q->full.images;
    return dfq_image_set_read(q->set, 0, n, &q->images, &q->labels);
}

/* Fewer images than were asked for are an error; the default number takes what there is. */
static int check_number(struct session *s, int64_t have)
{
    if (s->o->images <= have) return CODE_DONE;
    return session_error(s, CODE_USAGE, "--images is %lld, must be at most %lld, those of %s",
                         (long long)s->o->images, (long long)have,
                         s->o->synth ? s->o->synth : s->o->real);
}

/* Pictures are decoded once and wait on the disk that the output goes to; where it is a device,
 * they are decoded whenever they are needed. Their labels mean nothing here. */
static dfq_status read_real(struct quantize *q)
{
    struct session *s = q->s;
    dfq_dataset *d;
    char *folder = q->job.enabled ? synthesis_folder(s) : NULL;
    dfq_status status =
        q->job.enabled && !folder ? DFQ_E_NOMEM : dfq_dataset_open(s->ctx, s->o->real, 0, &d);
    if (status != DFQ_OK) goto out;
    status = dfq_image_set_create_from_dataset(q->net, d, q->full.images, folder, &q->set);
    if (status == DFQ_OK) {
        q->full.images = dfq_image_set_get_count(q->set);
        status = quantize_read_first(q);
        dfq_tensor_release(q->labels);
        q->labels = NULL;
    }
    if (status == DFQ_OK) model_say_pictures(s, d);
    dfq_dataset_release(d);
out:
    free(folder);
    return status;
}

static int read_images(struct quantize *q)
{
    struct session *s = q->s;
    dfq_status status;
    if (s->o->synth) {
        int64_t most = q->full.images < 0 ? 0 : q->full.images;
        status = dfq_image_set_open(q->net, s->o->synth, most, &q->set);
        if (status == DFQ_OK) q->full.images = dfq_image_set_get_count(q->set);
        if (status == DFQ_OK) status = quantize_read_first(q);
    } else {
        status = read_real(q);
    }
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    return check_number(s, q->full.images);
}

/* -- time and memory --------------------------------------------------------------------------- */

static void say_plan(const struct quantize *q)
{
    const struct options *o = &q->full;
    char t[8][TEXT_SHORT], bytes[TEXT_SHORT], bits[TEXT_SHORT];
    const double *sec = q->plan.seconds;
    char units[2 * TEXT_SHORT] = "";
    if (o->reconstruct > 0)
        snprintf(units, sizeof units, ", %lld steps of reconstruction a unit",
                 (long long)o->reconstruct);
    if (options_choose_bits(o))
        snprintf(bits, sizeof bits, "bits of layers");
    else
        snprintf(bits, sizeof bits, "w%da%d", (int)o->weight_bits, (int)o->act_bits);
    session_say(q->s, "%s to %s, mode %s; %lld images%s%s%s, %lld tuning steps",
                dfq_graph_get_name(q->net), bits, option_mode_name(o->mode), (long long)o->images,
                o->no_images          ? " of dead leaves"
                : o->synth || o->real ? " of "
                                      : " of kind ",
                o->no_images ? ""
                : o->synth   ? o->synth
                : o->real    ? o->real
                             : option_kind_name(o->kind),
                units, (long long)(o->no_tune ? 0 : o->steps));
    session_say(q->s,
                "%s %s (synthesis %s, calibration %s%s%s, tuning %s, evaluation %s%s%s%s%s) and %s "
                "of memory with %s",
                q->job.resumed ? "at most" : "about", text_seconds(plan_total(&q->plan), t[0]),
                text_seconds(sec[PLAN_SYNTH], t[1]), text_seconds(sec[PLAN_CALIBRATE], t[2]),
                o->reconstruct > 0 ? ", reconstruction " : "",
                o->reconstruct > 0 ? text_seconds(sec[PLAN_RECONSTRUCT], t[7]) : "",
                text_seconds(sec[PLAN_TUNE], t[3]),
                text_seconds(sec[PLAN_FLOAT] + sec[PLAN_LOW], t[4]),
                o->diagnose > 0 ? ", diagnosis " : "",
                o->diagnose > 0 ? text_seconds(sec[PLAN_DIAGNOSE], t[5]) : "",
                sec[PLAN_PARTS] > 0 ? ", report " : "",
                sec[PLAN_PARTS] > 0 ? text_seconds(sec[PLAN_PARTS], t[6]) : "",
                text_bytes(q->plan.bytes, bytes),
                text_threads((int)dfq_context_get_threads(q->s->ctx), (char[TEXT_SHORT]){0}));
}

int quantize_plan(struct quantize *q)
{
    struct session *s = q->s;
    double bytes = 0, base = session_peak();
    int code;
    q->plan.bytes = 0;
    if (s->o->synth || s->o->real) {
        code = read_images(q);
        base = session_peak(); /* what is held of them is held already */
        if (!code) code = recipe_check_images(s, &q->full, q->net);
    } else if (s->o->no_images) {
        code = CODE_DONE;
    } else {
        code = recipe_check_images(s, &q->full, q->net);
        if (!code) code = synthesis_open(s, &q->full, q->net, &q->job, &q->synthesizer);
        base = session_peak(); /* with the job's graphs */
        if (!code)
            code = synthesis_measure(s, q->synthesizer, &q->plan.seconds[PLAN_SYNTH], &bytes);
    }
    int spooled = q->synthesizer && q->job.enabled;
    int64_t held = (q->synthesizer || s->o->no_images) && !spooled ? q->full.images : 0;
    if (!code) code = plan_measure(s, q->net, &q->info, &q->full, held, &q->plan);
    if (code) return code;
    q->plan.bytes += base;
    if (base + bytes > q->plan.bytes) q->plan.bytes = base + bytes;
    if (session_peak() > q->plan.bytes) q->plan.bytes = session_peak();
    say_plan(q);
    return CODE_DONE;
}
