/* Bit widths of layers in `dfq quantize`. */
#include "bits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "front.h"
#include "model.h"
#include "text.h"

/* The rows of the table, then those of the command line, which win. */
static int merge(struct quantize *q)
{
    int32_t n = dfq_bits_get_count(q->bits), own = q->full.n_layers;
    q->layers = calloc((size_t)n + (size_t)own, sizeof *q->layers);
    if (!q->layers) return session_error(q->s, CODE_FAILED, "out of memory: the bits of layers");
    memcpy(q->layers, dfq_bits_get_configs(q->bits), (size_t)n * sizeof *q->layers);
    if (own > 0) memcpy(q->layers + n, q->full.layers, (size_t)own * sizeof *q->layers);
    q->full.layers = q->layers;
    q->full.n_layers = n + own;
    return CODE_DONE;
}

int bits_open(struct quantize *q)
{
    const struct options *o = q->s->o;
    dfq_status status = DFQ_OK;
    if (o->accel) status = dfq_accelerator_load(q->s->ctx, o->accel, &q->accel);
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_READ);
    if (!isnan(o->mean_bits)) q->full.weight_bits = q->full.act_bits = (int32_t)o->mean_bits;
    if (!o->bits_file) return CODE_DONE;
    status = dfq_bits_load(q->net, o->bits_file, &q->bits);
    if (status == DFQ_E_INVALID) /* the file's fault, not the command line's */
        return session_error(q->s, CODE_INPUT, "%s", dfq_context_get_error(q->s->ctx));
    return status == DFQ_OK ? merge(q) : session_fail(q->s, status, PHASE_READ);
}

int bits_need_no_images(const struct options *o, const dfq_graph_info *info)
{
    static const enum option_id asking[] = {OPT_KIND, OPT_ITERS, OPT_SYNTH, OPT_BATCH};
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (option_given(o, asking[i])) return 0;
    return model_has_heads(info) && o->act_scale != DFQ_ACT_SCALE_TENSOR;
}

/* -- choosing ---------------------------------------------------------------------------------- */

enum { MEASURED = 32 }; /* images */

static dfq_status run(void *handle)
{
    return dfq_sensitivity_run(handle);
}

static dfq_status save(void *handle, const char *path)
{
    return dfq_sensitivity_save_checkpoint(handle, path);
}

/* Static scales need images to calibrate on, scales of rows draw their own. */
static dfq_status take_images(struct quantize *q, const dfq_quantize_options *o, dfq_tensor **out)
{
    *out = NULL;
    if (o->act_scale != DFQ_ACT_SCALE_TENSOR && model_has_heads(&q->info)) return DFQ_OK;
    if (!q->set) return quantize_slice(q->s->ctx, q->images, 0, MEASURED, out);
    int64_t n = q->full.images < MEASURED ? q->full.images : MEASURED;
    dfq_tensor *labels = NULL;
    dfq_status status = dfq_image_set_read(q->set, 0, n, out, &labels);
    dfq_tensor_release(labels);
    return status;
}

/* Has an earlier run left the damages? */
static int has_damages(const struct quantize *q)
{
    return q->s->o->damages && file_kind(q->s->o->damages) == FILE_REGULAR;
}

static dfq_status open_job(struct quantize *q, dfq_sensitivity **out)
{
    dfq_quantize_options o = recipe_quantize(&q->full);
    dfq_sensitivity_options so;
    dfq_tensor *images;
    dfq_sensitivity_options_init(&so, sizeof so);
    so.images = MEASURED;
    so.seed = q->full.seed;
    dfq_status status = take_images(q, &o, &images);
    if (status == DFQ_OK) status = dfq_sensitivity_create(q->net, images, &o, &so, out);
    dfq_tensor_release(images);
    if (status != DFQ_OK) return status;
    if (has_damages(q)) return dfq_sensitivity_load_checkpoint(*out, q->s->o->damages);
    if (q->job.resumed && file_kind(q->job.sensitivity) == FILE_REGULAR)
        status = dfq_sensitivity_load_checkpoint(*out, q->job.sensitivity);
    return status;
}

/* Mean widths of the network that --bits wXaX would make, whose first and last layer may be
 * wider. */
static dfq_status uniform(struct quantize *q, int32_t bits, dfq_bits_means *out)
{
    dfq_quantize_options o = recipe_quantize(&q->full);
    dfq_bits *b;
    o.weight_bits = o.act_bits = bits;
    dfq_status status = dfq_bits_create(q->net, &o, &b);
    if (status != DFQ_OK) return status;
    *out = (dfq_bits_means){.struct_size = sizeof *out};
    status = dfq_bits_get_means(b, out);
    dfq_bits_release(b);
    return status;
}

/* For a fraction of a bit, between the two uniform networks. */
static dfq_status set_means(struct quantize *q, dfq_bits_limits *limits)
{
    const double x = q->full.mean_bits, part = x - floor(x);
    dfq_bits_means low, high;
    dfq_status status = uniform(q, (int32_t)floor(x), &low);
    if (status == DFQ_OK) status = uniform(q, (int32_t)ceil(x), &high);
    if (status != DFQ_OK) return status;
    limits->mean_weight_bits = low.weight_bits + part * (high.weight_bits - low.weight_bits);
    limits->mean_act_bits = low.act_bits + part * (high.act_bits - low.act_bits);
    return DFQ_OK;
}

static double or_none(double limit)
{
    return isnan(limit) ? 0 : limit;
}

dfq_status bits_limits(struct quantize *q, dfq_bits_limits *limits)
{
    const struct options *o = &q->full;
    dfq_bits_limits_init(limits, sizeof *limits);
    limits->latency_ms = or_none(o->limit_latency);
    limits->energy_mj = or_none(o->limit_energy);
    limits->area_mm2 = or_none(o->limit_area);
    limits->size_bytes = 1e6 * or_none(o->limit_size);
    limits->power_mw = or_none(o->limit_power);
    limits->accelerator = q->accel;
    return isnan(o->mean_bits) ? DFQ_OK : set_means(q, limits);
}

const char *bits_proof(const dfq_bits_choice *choice, char out[80])
{
    if (choice->proved)
        snprintf(out, 80, "proved to be the least");
    else
        snprintf(out, 80, "other bits could take off %.2g %% of it at most", 100 * choice->gap);
    return out;
}

static int tell(struct quantize *q, dfq_sensitivity *s)
{
    double predicted, measured = 0;
    dfq_bits_means means = {.struct_size = sizeof means};
    int here = !has_damages(q); /* else the networks to measure with would have to be made */
    char text[TEXT_SHORT] = "", proof[80];
    dfq_status status = dfq_bits_get_means(q->bits, &means);
    if (status == DFQ_OK)
        status = dfq_sensitivity_evaluate(s, q->bits, &predicted, here ? &measured : NULL);
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_WORK);
    if (here) snprintf(text, sizeof text, "%.3g, ", measured);
    session_say(q->s,
                "bits of layers: weights %.3f and activations %.3f in the mean; divergence "
                "%spredicted %.3g, %s",
                means.weight_bits, means.act_bits, text, predicted, bits_proof(&q->choice, proof));
    if (q->choice.config >= 0)
        session_say(q->s, "accelerator %lld: %.4g ms, %.4g mJ, %.4g mW, %.4g mm2",
                    (long long)q->choice.config, q->choice.latency_ms, q->choice.energy_mj,
                    q->choice.power_mw, q->choice.area_mm2);
    return CODE_DONE;
}

static int choose(struct quantize *q, dfq_sensitivity *s)
{
    dfq_bits_limits limits;
    double measured[2];
    dfq_status status = bits_limits(q, &limits);
    q->choice.struct_size = sizeof q->choice;
    progress_begin(&q->s->progress, NULL, 0, plan_after(&q->plan, PLAN_CALIBRATE));
    if (status == DFQ_OK) status = dfq_sensitivity_choose(s, &limits, &q->bits, &q->choice);
    if (status == DFQ_OK && q->full.refine > 0)
        status = dfq_sensitivity_refine(s, &limits, (int32_t)q->full.refine, q->bits, &q->choice,
                                        measured);
    progress_end(&q->s->progress);
    if (status == DFQ_E_CANCELLED) return CODE_INTERRUPTED;
    if (status != DFQ_OK) return session_fail(q->s, status, PHASE_WORK);
    if (q->full.refine > 0)
        session_say(q->s, "moves of bits: divergence %.3g, before %.3g", measured[1], measured[0]);
    int code = tell(q, s);
    return code ? code : merge(q);
}

/* Networks of one width first, which no checkpoint may stop half made. */
static int measure(struct quantize *q, dfq_sensitivity *s)
{
    const struct job_stage stage = {run, save, s, q->job.sensitivity};
    dfq_status status = DFQ_OK;
    int32_t finished = 0;
    progress_begin(&q->s->progress, NULL, 0, plan_after(&q->plan, PLAN_CALIBRATE));
    for (int i = 0; i < DFQ_SENSITIVITY_WIDTHS && status == DFQ_OK && !finished; i++)
        status = dfq_sensitivity_step(s, &finished);
    int code = status == DFQ_OK            ? job_run(q->s, &q->job, &stage)
               : status == DFQ_E_CANCELLED ? CODE_INTERRUPTED
                                           : session_fail(q->s, status, PHASE_WORK);
    progress_end(&q->s->progress);
    if (code || !q->s->o->damages || has_damages(q)) return code;
    status = dfq_sensitivity_save_checkpoint(s, q->s->o->damages);
    return status == DFQ_OK ? CODE_DONE : session_fail(q->s, status, PHASE_WRITE);
}

int bits_choose(struct quantize *q)
{
    dfq_sensitivity *s = NULL;
    if (!options_choose_bits(&q->full)) return CODE_DONE;
    dfq_status status = open_job(q, &s);
    int code = status == DFQ_OK ? measure(q, s) : session_fail(q->s, status, PHASE_WORK);
    if (!code) code = choose(q, s);
    if (!code && q->s->o->verb == VERB_JOINT) code = front_find(q, s);
    dfq_sensitivity_release(s);
    return code;
}

/* -- results ----------------------------------------------------------------------------------- */

int bits_write(struct quantize *q)
{
    const struct options *o = q->s->o;
    dfq_bits *bits = NULL;
    if (!o->bits_file_out) return CODE_DONE;
    int code = places_appeared(q->s, OPT_BITS_FILE_OUT);
    if (code) return code;
    dfq_status status = dfq_bits_create(q->low, NULL, &bits);
    if (status == DFQ_OK) status = dfq_bits_save(bits, o->bits_file_out);
    dfq_bits_release(bits);
    return status == DFQ_OK ? CODE_DONE : session_fail(q->s, status, PHASE_WRITE);
}

void bits_close(struct quantize *q)
{
    dfq_bits_release(q->bits);
    dfq_accelerator_release(q->accel);
    free(q->layers);
}
