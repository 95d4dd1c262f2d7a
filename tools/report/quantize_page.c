/* Fills the quantization report (report.h) from the results of a job. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "model.h"
#include "report/quantize_page.h"
#include "synthesis.h"
#include "text.h"

/* -- pictures ---------------------------------------------------------------------------------- */

static int take_picture(struct report_image *im, const char *path, const char *title,
                        const char *caption)
{
    im->title = title;
    im->caption = caption;
    im->png = file_read(path, &im->size);
    return im->png ? 0 : -1;
}

static dfq_status draw_contact(const struct quantize *q, const char *folder, struct page *p)
{
    dfq_context *ctx = q->s->ctx;
    dfq_tensor *head = NULL, *labels = NULL;
    int64_t n = dfq_tensor_get_dims(q->images)[0];
    if (n > SYNTHESIS_SHOWN) n = SYNTHESIS_SHOWN;
    char *set = text_format("%s/set", folder), *path = text_format("%s/set/contact.png", folder);
    dfq_status status = set && path ? quantize_slice(ctx, q->images, 0, n, &head) : DFQ_E_NOMEM;
    if (status == DFQ_OK) status = dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, &n, &labels);
    if (status == DFQ_OK) status = dfq_image_set_save_tensors(q->net, head, labels, set, 1);
    const char *caption = q->with_generator   ? "Images of the generator network for the last step."
                          : q->full.no_images ? "Dead leaves, drawn without the network."
                                              : "The first images.";
    if (status == DFQ_OK) (void)take_picture(&p->contact, path, NULL, caption);
    dfq_tensor_release(head);
    dfq_tensor_release(labels);
    free(set);
    free(path);
    return status;
}

/* The same images as the float and the quantized network see them. */
static dfq_status draw_attention(const struct quantize *q, const char *folder, struct page *p)
{
    static const char caption[] =
        "Last block. Top: the image, and the attention of the class token (without one, of all "
        "patches) in each head. Bottom: "
        "query-key products before softmax, mean of the heads and each head.";
    int64_t n = dfq_tensor_get_dims(q->images)[0];
    char *path = text_format("%s/sheet.png", folder);
    dfq_status status = path ? DFQ_OK : DFQ_E_NOMEM;
    for (int i = 0; i < PAGE_PICTURES && i / 2 < n && status == DFQ_OK; i++) {
        int64_t index = i / 2 * (n - 1) / (PAGE_SHEETS - 1);
        snprintf(p->titles[i], PAGE_TEXT, "Image %lld, %s", (long long)index,
                 i % 2 ? "quantized" : "float");
        status = dfq_graph_save_attention(i % 2 ? q->low : q->net, q->images, index, path);
        if (status == DFQ_E_UNSUPPORTED) { /* several windows */
            session_error(q->s, 0, "warning: the report shows no attention: %s",
                          dfq_context_get_error(q->s->ctx));
            p->r.n_attention = 0;
            status = DFQ_OK;
            break;
        }
        if (status == DFQ_OK)
            (void)take_picture(&p->attention[i], path, p->titles[i], i ? NULL : caption);
        p->r.n_attention = (size_t)i + 1;
    }
    free(path);
    return status;
}

static dfq_status draw(const struct quantize *q, struct page *p)
{
    const char *temp = getenv("TMPDIR");
    char *folder = text_format("%s/dfq-XXXXXX", temp && *temp ? temp : "/tmp");
    if (!folder) return DFQ_E_NOMEM;
    dfq_status status = DFQ_OK;
    int shown = q->images && !q->s->o->real, vit = q->info.heads > 0;
    if (mkdtemp(folder)) {
        /* the page says of these images that they come from the network alone */
        if (shown) status = draw_contact(q, folder, p);
        if (status == DFQ_OK && vit && q->images) status = draw_attention(q, folder, p);
        folder_remove(folder);
    }
    free(folder);
    p->r.synthetic = &p->contact;
    p->r.n_synthetic = shown ? 1 : 0;
    p->r.attention = p->attention;
    return status;
}

static const double *fill_similarity(struct page *p, const dfq_tensor *t)
{
    if (!t) return NULL;
    size_t n = (size_t)dfq_tensor_get_dims(t)[0];
    const float *v = dfq_tensor_get_data(t);
    double *out = page_numbers(p, n);
    for (size_t i = 0; out && i < n; i++) out[i] = (double)v[i];
    p->r.n_similarity = n;
    return out;
}

size_t page_count(const dfq_tensor *t)
{
    return t ? dfq_tensor_get_bytes(t) / sizeof(float) : 0;
}

/* -- tables ------------------------------------------------------------------------------------ */

/* "blocks.0.attn" of "blocks.0.attn.av.b", the i-th quantizer of values. */
static void name_attention(const dfq_graph *low, size_t i, char out[PAGE_TEXT])
{
    dfq_quantizer_info one = {.struct_size = sizeof one};
    for (int32_t k = 0; dfq_graph_get_quantizer(low, k, &one) == DFQ_OK; k++) {
        const char *end = strstr(one.name, ".av.b");
        if (end && i-- == 0) snprintf(out, PAGE_TEXT, "%.*s", (int)(end - one.name), one.name);
    }
}

/* Names what dfq_graph_get_layer_errors measures at i = 0 .. n - 1. */
static void name_layer(const struct quantize *q, size_t i, size_t n, char out[PAGE_TEXT])
{
    size_t relus = 0;
    snprintf(out, PAGE_TEXT, "logits");
    if (i + 1 < n && model_has_heads(&q->info)) name_attention(q->low, i, out);
    if (i + 1 == n || model_has_heads(&q->info)) return;
    for (int32_t k = 0;; k++) {
        dfq_quantizer_info one = {.struct_size = sizeof one};
        if (dfq_graph_get_quantizer(q->low, k, &one) != DFQ_OK) return;
        if (one.kind != DFQ_QUANTIZER_UNIFORM || relus++ < i) continue;
        const char *end = strstr(one.name, ".output");
        snprintf(out, PAGE_TEXT, "%.*s", end ? (int)(end - one.name) : (int)strlen(one.name),
                 one.name);
        return;
    }
}

static int fill_layers(const struct quantize *q, struct page *p)
{
    size_t n = page_count(q->errors);
    const float *v = n > 0 ? dfq_tensor_get_data(q->errors) : NULL;
    if (n == 0) return 0;
    p->layers = calloc(n, sizeof *p->layers);
    p->layer_names = calloc(n, sizeof *p->layer_names);
    if (!p->layers || !p->layer_names) return -1;
    for (size_t i = 0; i < n; i++) {
        name_layer(q, i, n, p->layer_names[i]);
        p->layers[i].name = p->layer_names[i];
        p->layers[i].sqnr_db = (double)v[i];
    }
    p->r.layers = p->layers;
    p->r.n_layers = n;
    return 0;
}

static void fill_parts(const struct quantize *q, struct page *p)
{
    for (int i = 0; i < q->parts.n; i++)
        p->parts[i] = (struct report_part){q->parts.name[i], q->parts.with[i], q->parts.without[i]};
    p->r.parts = p->parts;
    p->r.n_parts = (size_t)q->parts.n;
}

static int fill_quantizers(const struct quantize *q, struct page *p)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    if (dfq_graph_get_info(q->low, &info) != DFQ_OK || info.quantizers < 1) return 0;
    p->quantizers = calloc((size_t)info.quantizers, sizeof *p->quantizers);
    if (!p->quantizers) return -1;
    for (int32_t i = 0; i < info.quantizers; i++) {
        dfq_quantizer_info one = {.struct_size = sizeof one};
        struct report_quantizer *to = &p->quantizers[p->r.n_quantizers];
        if (dfq_graph_get_quantizer(q->low, i, &one) != DFQ_OK) continue;
        int has_zero_point = one.kind == DFQ_QUANTIZER_UNIFORM;
        to->site = one.name;
        to->kind = model_quantizer_kind(&one);
        to->bits = one.bits;
        /* no stored scales: computed from the current weight */
        to->scale_min = one.scales > 0 ? (double)one.scale_min : (double)NAN;
        to->scale_max = one.scales > 0 ? (double)one.scale_max : (double)NAN;
        to->zero_point_min = has_zero_point ? (double)one.zero_point_min : (double)NAN;
        to->zero_point_max = has_zero_point ? (double)one.zero_point_max : (double)NAN;
        p->r.n_quantizers++;
    }
    p->r.quantizers = p->quantizers;
    return 0;
}

static char *new_row(struct page *p, const char *name)
{
    struct report_row *r = &p->rows[p->r.n_provenance];
    char *value = p->values[p->r.n_provenance++];
    r->name = name;
    r->value = value;
    return value;
}

static void hash_row(struct page *p, const char *name, const char *path)
{
    uint64_t h;
    if (file_hash(path, &h) == 0)
        snprintf(new_row(p, name), PAGE_TEXT, "%016llx", (unsigned long long)h);
}

static void tell_images(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    if (q->with_generator) {
        snprintf(new_row(p, "images"), PAGE_TEXT, "%lld new images in each step, generator %s",
                 (long long)o->batch, option_generator_name(o->generator));
        return;
    }
    if (o->no_images) {
        snprintf(new_row(p, "images"), PAGE_TEXT, "none; weights rounded on %lld of dead leaves",
                 (long long)o->images);
        return;
    }
    snprintf(new_row(p, "images"), PAGE_TEXT, "%lld, %s %.60s", (long long)o->images,
             o->synth || o->real ? "read from" : "kind",
             o->synth  ? o->synth
             : o->real ? o->real
                       : option_kind_name(o->kind));
    if (q->losses)
        snprintf(new_row(p, "synthesis"), PAGE_TEXT, "%lld iterations, batches of %lld",
                 (long long)o->iters, (long long)o->batch);
}

static void tell_mimiq(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    snprintf(new_row(p, "tuning"), PAGE_TEXT,
             "%lld steps, batches of %lld, learning rate %g, gamma %g", (long long)o->steps,
             (long long)o->batch, o->lr, o->gamma);
    snprintf(new_row(p, "images of tuning"), PAGE_TEXT, "%lld to learn from, %lld held out",
             (long long)q->best.train, (long long)q->best.held_out);
    snprintf(new_row(p, "best step"), PAGE_TEXT, "%lld, held-out divergence %.4g",
             (long long)q->best.best_step, q->best.best_kl);
    if (q->best.clamped > 0)
        snprintf(new_row(p, "clamped scales"), PAGE_TEXT, "%lld", (long long)q->best.clamped);
}

static void tell_ait(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    dfq_tuner_options t = recipe_tuner(o, q->net);
    if (o->no_tune)
        snprintf(new_row(p, "tuning"), PAGE_TEXT, "none, calibration only");
    else
        snprintf(new_row(p, "tuning"), PAGE_TEXT,
                 "%lld steps, batches of %lld, learning rate %g; the last step is kept",
                 (long long)t.steps, (long long)o->batch, o->lr);
    if (q->with_generator)
        snprintf(new_row(p, "warm-up"), PAGE_TEXT, "%lld steps of the generator alone",
                 (long long)t.warmup_steps);
    if (!o->no_tune)
        snprintf(new_row(p, "loss"), PAGE_TEXT, "%s",
                 o->loss == LOSS_KL_CE   ? "KL divergence and cross-entropy"
                 : t.crossing_target > 0 ? "KL divergence, gradient inundation"
                                         : "KL divergence");
    if (q->crossed && isfinite(q->on_target))
        snprintf(
            new_row(p, "threshold crossings"), PAGE_TEXT,
            "within a factor of two, or one code, of the target in %.1f %% of weights and steps",
            100 * q->on_target);
}

/* Errors of units, in percent of the power of what they should give. */
static void tell_reconstruction(const struct quantize *q, struct page *p)
{
    const float *e = dfq_tensor_get_data(q->unit_errors);
    int64_t n = dfq_tensor_get_dims(q->unit_errors)[0];
    char text[PAGE_TEXT];
    int at = snprintf(text, sizeof text, "%lld steps a unit; error before and after, in %%:",
                      (long long)q->full.reconstruct);
    for (int64_t i = 0; i < n && at < PAGE_TEXT - 32; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " %.2g %.2g%s", 100 * (double)e[4 * i],
                       100 * (double)e[4 * i + 1], i + 1 < n ? "," : "");
    snprintf(new_row(p, "reconstruction"), PAGE_TEXT, "%s", text);
}

static void fill_provenance(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    if (q->unit_errors) tell_reconstruction(q, p);
    snprintf(new_row(p, "dfq"), PAGE_TEXT, "%s", dfq_version_text());
    snprintf(new_row(p, "kernels"), PAGE_TEXT, "%s", dfq_context_get_kernels(q->s->ctx));
    snprintf(new_row(p, "threads"), PAGE_TEXT, "%d", (int)dfq_context_get_threads(q->s->ctx));
    snprintf(new_row(p, "architecture"), PAGE_TEXT, "%s", dfq_graph_get_name(q->net));
    snprintf(new_row(p, "method"), PAGE_TEXT, "%s", option_method_name(o->method));
    dfq_graph_info low = {.struct_size = sizeof low};
    if (dfq_graph_get_info(q->low, &low) == DFQ_OK) {
        snprintf(new_row(p, "first and last weight"), PAGE_TEXT, "%d bits",
                 (int)low.first_last_bits);
        snprintf(new_row(p, "scales of activations"), PAGE_TEXT, "%s",
                 low.act_group > 0 ? "per group of channels of a row (token), at run time"
                 : low.act_scale == DFQ_ACT_SCALE_ROW ? "per row (token), at run time"
                                                      : "per tensor, static");
        if (low.weight_group > 0)
            snprintf(new_row(p, "scales of weights"), PAGE_TEXT,
                     "per row, with a multiplier and a zero point for %d columns each",
                     (int)low.weight_group);
    }
    if (q->n_fronts > 0) page_front_accelerator(q, new_row(p, "accelerator"), PAGE_TEXT);
    if (o->n_layers)
        snprintf(new_row(p, "bits of layers"), PAGE_TEXT, "%s", dfq_graph_get_layer_config(q->low));
    snprintf(new_row(p, "seed"), PAGE_TEXT, "%llu", (unsigned long long)o->seed);
    tell_images(q, p);
    if (!q->curves)
        snprintf(new_row(p, "tuning"), PAGE_TEXT, "none");
    else if (o->method == METHOD_AIT)
        tell_ait(q, p);
    else
        tell_mimiq(q, p);
    if (q->job.resumed) snprintf(new_row(p, "resumed"), PAGE_TEXT, "yes; time is of the last run");
    hash_row(p, "FNV-1a of the model", o->input);
    hash_row(p, "FNV-1a of the result", o->out);
    p->r.provenance = p->rows;
    p->input.name = o->input;
    p->input.bytes = (uint64_t)q->info.file_bytes;
    p->r.inputs = &p->input;
    p->r.n_inputs = 1;
}

/* -- the page ---------------------------------------------------------------------------------- */

static void fill_summary(const struct quantize *q, struct page *p)
{
    const struct tally *t = q->job.judged;
    if (q->s->o->real) p->r.title = "Quantization report: real images, not data-free";
    if (q->n_fronts > 0) p->r.title = "Bits of layers and accelerator";
    p->r.model = dfq_graph_get_name(q->net);
    p->r.mode = option_mode_name(q->full.mode);
    p->r.weight_bits = q->full.weight_bits;
    p->r.activation_bits = q->full.act_bits;
    p->r.float_bytes = (uint64_t)q->info.file_bytes;
    p->r.quantized_bytes = file_size(q->s->o->out);
    if (t[0].n > 0) p->r.float_accuracy = (double)t[0].correct / (double)t[0].n;
    if (t[1].n > 0) p->r.quantized_accuracy = (double)t[1].correct / (double)t[1].n;
    p->r.accuracy_images = (uint64_t)t[1].n;
    p->r.seconds = q->seconds;
    p->r.peak_bytes = (uint64_t)q->peak;
    p->r.command = p->command;
}

static void release(struct page *p)
{
    free((void *)(uintptr_t)p->contact.png);
    for (int i = 0; i < PAGE_PICTURES; i++) free((void *)(uintptr_t)p->attention[i].png);
    free(p->numbers);
    free(p->weights);
    free(p->layers);
    free(p->layer_names);
    free(p->widths);
    free(p->width_names);
    free(p->quantizers);
    free(p->stream);
    free(p->command);
    diagnose_page_free(p->diagnosis);
    free(p);
}

int page_write(const struct quantize *q)
{
    struct session *s = q->s;
    char err[512];
    struct page *p = calloc(1, sizeof *p);
    if (!p) return session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    report_init(&p->r);
    p->cap = page_curves_room(q) + page_count(q->similarity[0]) + page_count(q->similarity[1]);
    p->numbers = calloc(p->cap + 1, sizeof *p->numbers);
    p->command = text_command(s->o->argc, s->o->argv, NULL);
    int failed = !p->numbers || !p->command || fill_layers(q, p) || fill_quantizers(q, p) ||
                 page_curves_fill(q, p);
    if (!failed && q->diagnosis.n_views > 0) {
        p->diagnosis = diagnose_page_make(&q->diagnosis);
        failed = !p->diagnosis;
        if (p->diagnosis) p->r.diagnostics = diagnose_page_get(p->diagnosis);
    }
    dfq_status status = failed ? DFQ_E_NOMEM : draw(q, p);
    if (status == DFQ_OK) status = page_stream_fill(q, p);
    if (status == DFQ_OK) status = page_widths_fill(q, p);
    int code = status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WRITE);
    if (!code) {
        fill_summary(q, p);
        fill_parts(q, p);
        page_verdict_fill(q, p);
        p->r.similarity_before = fill_similarity(p, q->similarity[0]);
        p->r.similarity_after = fill_similarity(p, q->similarity[1]);
        fill_provenance(q, p);
        if (report_write(s->o->report, &p->r, err, sizeof err) != 0)
            code = session_error(s, CODE_OUTPUT, "%s; %s is complete", err, s->o->out);
    }
    release(p);
    return code;
}
