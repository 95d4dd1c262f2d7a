/* What each part of a quantization is worth: the network is quantized without it, on some of the
 * images, and the error of its logits is measured on others. With --no-images the former are drawn
 * by the library, and the latter are all that the report has. */
#include "model.h"
#include "parts.h"

#include <math.h>
#include <string.h>

#include "quantize.h"

/* Few images are enough to compare: rounding on 48 loses little against 128. */
enum { ROUNDED = 48, JUDGED = 16 };

struct variant {
    const char *name;
    int32_t rotate, rounding;
};

static int applies(const struct options *full)
{
    return full->report && full->mode == DFQ_MODE_IMPROVED && !recipe_with_generator(full);
}

/* The parts of rounding that the job has; AUTO as the library documents it. */
static int32_t rounding_parts(const struct options *full, const dfq_graph_info *info)
{
    int32_t vit = DFQ_ROUNDING_SEARCH | DFQ_ROUNDING_RIDGE | DFQ_ROUNDING_GPTQ;
    if (full->rounding == DFQ_ROUNDING_NEAREST) return 0;
    if (full->rounding != DFQ_ROUNDING_AUTO) return full->rounding;
    return model_has_heads(info) ? vit : vit | DFQ_ROUNDING_BIAS;
}

/* The whole, and without each part in the order in which the library applies them. */
static int list(const struct options *full, const dfq_graph_info *info, int rotated,
                struct variant out[PARTS_MAX])
{
    static const struct variant each[] = {{"ridge correction", 0, DFQ_ROUNDING_RIDGE},
                                          {"search of scales", 0, DFQ_ROUNDING_SEARCH},
                                          {"GPTQ", 0, DFQ_ROUNDING_GPTQ},
                                          {"bias correction", 0, DFQ_ROUNDING_BIAS}};
    int32_t have = rounding_parts(full, info);
    int n = 0;
    out[n++] = (struct variant){"", full->rotate, have};
    if (rotated) out[n++] = (struct variant){"rotation", DFQ_ROTATE_OFF, have};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        int32_t left = have & ~each[i].rounding;
        if (left != have) out[n++] = (struct variant){each[i].name, full->rotate, left};
    }
    return n;
}

dfq_status parts_estimate(const dfq_graph *net, const dfq_graph_info *info,
                          const struct options *full, double *out)
{
    struct variant all[PARTS_MAX];
    dfq_quantize_options o = recipe_quantize(full);
    dfq_job_cost cost = {.struct_size = sizeof cost};
    o.drawn_images = full->no_images ? 0 : ROUNDED;
    *out = 0;
    if (!applies(full)) return DFQ_OK;
    dfq_status status = dfq_graph_quantize_estimate(net, ROUNDED, &o, &cost);
    if (status == DFQ_OK) *out = cost.seconds_left * list(full, info, 1, all);
    return status;
}

static dfq_status judge(const struct quantize *q, const dfq_graph *low, const dfq_tensor *images,
                        double *out_db)
{
    dfq_tensor *errors;
    dfq_status status = dfq_graph_get_layer_errors(q->net, low, images, &errors);
    if (status != DFQ_OK) return status;
    const float *db = dfq_tensor_get_data(errors);
    *out_db = (double)db[dfq_tensor_get_dims(errors)[0] - 1]; /* the logits */
    dfq_tensor_release(errors);
    return DFQ_OK;
}

static dfq_status try_variant(const struct quantize *q, const struct variant *v,
                              const dfq_tensor *rounded, const dfq_tensor *judged, double *out_db)
{
    dfq_quantize_options o = recipe_quantize(&q->full);
    dfq_graph *low;
    o.rotate = v->rotate;
    o.rounding = v->rounding ? v->rounding : DFQ_ROUNDING_NEAREST;
    o.drawn_images = ROUNDED;
    dfq_status status = dfq_graph_quantize(q->net, q->full.no_images ? NULL : rounded, &o, &low);
    if (status != DFQ_OK) return status;
    status = judge(q, low, judged, out_db);
    dfq_graph_release(low);
    return status;
}

static void add(struct parts *p, const char *name, double with, double without)
{
    p->name[p->n] = name;
    p->with[p->n] = with;
    p->without[p->n++] = without;
}

static dfq_status measure(struct quantize *q, const dfq_tensor *rounded, const dfq_tensor *judged)
{
    struct variant all[PARTS_MAX];
    dfq_graph_info low = {.struct_size = sizeof low};
    double whole = 0, db = 0;
    dfq_status status = dfq_graph_get_info(q->low, &low);
    int n = status == DFQ_OK ? list(&q->full, &q->info, low.rotation != 0, all) : 0;
    if (status == DFQ_OK) status = try_variant(q, &all[0], rounded, judged, &whole);
    for (int i = 1; i < n && status == DFQ_OK; i++) {
        status = try_variant(q, &all[i], rounded, judged, &db);
        if (status == DFQ_OK) add(&q->parts, all[i].name, whole, db);
    }
    if (status != DFQ_OK || !q->curves) return status;
    status = judge(q, q->low, judged, &db);
    if (status == DFQ_OK) add(&q->parts, "tuning", db, whole);
    return status;
}

/* The first images round, the last ones judge; both, if there are too few. */
static dfq_status split(struct quantize *q, dfq_tensor **rounded, dfq_tensor **judged)
{
    int64_t n = dfq_tensor_get_dims(q->images)[0], most = n < JUDGED ? n : JUDGED;
    dfq_status status = quantize_slice(q->s->ctx, q->images, n - most, most, judged);
    if (status != DFQ_OK) return status;
    int64_t left = n > most ? n - most : n;
    return quantize_slice(q->s->ctx, q->images, 0, left < ROUNDED ? left : ROUNDED, rounded);
}

int parts_run(struct quantize *q)
{
    struct session *s = q->s;
    dfq_tensor *rounded = NULL, *judged = NULL;
    if (!applies(&q->full) || !q->images) return CODE_DONE;
    progress_begin(&s->progress, NULL, 0, plan_after(&q->plan, PLAN_PARTS));
    s->mute = 1; /* what the library has to say of these networks was said of the result */
    dfq_status status = split(q, &rounded, &judged);
    if (status == DFQ_OK) status = measure(q, rounded, judged);
    s->mute = 0;
    progress_end(&s->progress);
    dfq_tensor_release(rounded);
    dfq_tensor_release(judged);
    if (status == DFQ_E_CANCELLED) {
        (void)job_note(s, &q->job);
        return CODE_INTERRUPTED;
    }
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}
