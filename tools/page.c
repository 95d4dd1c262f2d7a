/* Fills the report of a quantization job (report.h) with what the library tells. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "quantize.h"
#include "report.h"
#include "synthesis.h"
#include "text.h"

enum { SHEETS = 3, PICTURES = 2 * SHEETS, CHARTS = 6, ROWS = 20, TEXT = 96 };

struct page {
    struct report r;
    struct report_image contact, attention[PICTURES];
    char titles[PICTURES][TEXT];
    double *numbers; /* one block for all series */
    size_t used, cap;
    struct report_chart charts[CHARTS];
    struct report_series series[CHARTS][4];
    struct report_layer *layers;
    char (*layer_names)[TEXT];
    struct report_quantizer *quantizers;
    struct report_row rows[ROWS];
    char values[ROWS][TEXT];
    struct report_file input;
    char *command;
    struct diagnose_page *diagnosis; /* NULL: none */
};

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
    dfq_status status = set && path ? quantize_head(ctx, q->images, n, &head) : DFQ_E_NOMEM;
    if (status == DFQ_OK) status = dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, &n, &labels);
    if (status == DFQ_OK) status = dfq_images_save(q->net, head, labels, set, 1);
    if (status == DFQ_OK) (void)take_picture(&p->contact, path, NULL, "First images, in order.");
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
        "Last block. Above: the image, and where the class token of each head looks. Below: raw "
        "query-key products, mean of the heads and each head.";
    int64_t n = dfq_tensor_get_dims(q->images)[0];
    char *path = text_format("%s/sheet.png", folder);
    dfq_status status = path ? DFQ_OK : DFQ_E_NOMEM;
    for (int i = 0; i < PICTURES && i / 2 < n && status == DFQ_OK; i++) {
        int64_t index = i / 2 * (n - 1) / (SHEETS - 1);
        snprintf(p->titles[i], TEXT, "Image %lld, %s", (long long)index,
                 i % 2 ? "quantized" : "float");
        status = dfq_images_save_attention(i % 2 ? q->low : q->net, q->images, index, path);
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
    if (mkdtemp(folder)) {
        /* the page says of these images that they come from the network alone */
        if (!q->s->o->real) status = draw_contact(q, folder, p);
        if (status == DFQ_OK) status = draw_attention(q, folder, p);
        folder_remove(folder);
    }
    free(folder);
    p->r.synthetic = &p->contact;
    p->r.n_synthetic = q->s->o->real ? 0 : 1;
    p->r.attention = p->attention;
    return status;
}

/* -- curves ------------------------------------------------------------------------------------ */

static double *take_numbers(struct page *p, size_t n)
{
    double *out = p->numbers + p->used;
    if (p->used + n > p->cap) return NULL;
    p->used += n;
    return out;
}

/* Adds column `column` of a table [rows, columns] to the chart; several batches one after the other
 * become their mean. x is the row, or column 0 if `x_column`. */
static void add_series(struct page *p, struct report_chart *c, const char *name,
                       const dfq_tensor *table, int column, int64_t batches, int x_column)
{
    const int64_t *dims = dfq_tensor_get_dims(table);
    const float *v = dfq_tensor_get_data(table);
    int64_t rows = dims[0] / batches, columns = dims[1], finite = 0;
    struct report_series *s = p->series[p->r.n_charts] + c->n_series;
    if (rows < 1) return;
    double *x = take_numbers(p, (size_t)rows), *y = take_numbers(p, (size_t)rows);
    if (!x || !y) return;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t b = 0; b < batches; b++) sum += (double)v[(b * rows + i) * columns + column];
        x[i] = x_column ? (double)v[i * columns] : (double)i;
        y[i] = sum / (double)batches;
        finite += isfinite(y[i]) != 0;
    }
    if (finite == 0) return;
    s->name = name;
    s->step = x;
    s->value = y;
    s->n = (size_t)rows;
    c->n_series++;
}

static struct report_chart *new_chart(struct page *p, const char *title, const char *x_label,
                                      int log_y)
{
    struct report_chart *c = &p->charts[p->r.n_charts];
    c->title = title;
    c->x_label = x_label;
    c->series = p->series[p->r.n_charts];
    c->n_series = 0;
    c->log_y = log_y;
    return c;
}

static void keep_chart(struct page *p, const struct report_chart *c)
{
    if (c->n_series > 0) p->r.n_charts++;
}

static void fill_charts(const struct quantize *q, struct page *p)
{
    struct report_chart *c;
    if (q->losses) {
        int64_t rows = dfq_tensor_get_dims(q->losses)[0], per = q->full.iters;
        int64_t batches = rows % per == 0 && rows > 0 ? rows / per : 1;
        int pse = q->full.kind == DFQ_GENERATOR_PSE;
        const char *axis = batches > 1 ? "iteration, mean over batches" : "iteration";
        c = new_chart(p, "Synthesis", axis, 1);
        add_series(p, c, "objective", q->losses, DFQ_LOSS_TOTAL, batches, 0);
        add_series(p, c, "class", q->losses, DFQ_LOSS_CLASS, batches, 0);
        if (q->full.kind == DFQ_GENERATOR_ATTENTION)
            add_series(p, c, "head distance", q->losses, DFQ_LOSS_ATTENTION, batches, 0);
        keep_chart(p, c);
        if (pse) {
            c = new_chart(p, "Synthesis: patch similarity entropy", axis, 0);
            add_series(p, c, "entropy term", q->losses, DFQ_LOSS_ATTENTION, batches, 0);
            keep_chart(p, c);
        }
        const char *tv = pse ? "total variation, distance from its target" : "total variation";
        c = new_chart(p, "Synthesis: total variation", axis, 1);
        add_series(p, c, tv, q->losses, DFQ_LOSS_TV, batches, 0);
        keep_chart(p, c);
    }
    if (q->curves) {
        c = new_chart(p, "Tuning", "step", 1);
        add_series(p, c, "loss", q->curves, DFQ_TUNE_TOTAL, 1, 0);
        add_series(p, c, "divergence", q->curves, DFQ_TUNE_KL, 1, 0);
        add_series(p, c, "attention distance", q->curves, DFQ_TUNE_HEAD, 1, 0);
        keep_chart(p, c);
    }
    if (q->evaluations) {
        c = new_chart(p, "Tuning: divergence on held-out images", "step", 0);
        add_series(p, c, "held out", q->evaluations, 1, 1, 1);
        keep_chart(p, c);
    }
    p->r.charts = p->charts;
}

static const double *fill_similarity(struct page *p, const dfq_tensor *t)
{
    if (!t) return NULL;
    size_t n = (size_t)dfq_tensor_get_dims(t)[0];
    const float *v = dfq_tensor_get_data(t);
    double *out = take_numbers(p, n);
    for (size_t i = 0; out && i < n; i++) out[i] = (double)v[i];
    p->r.n_similarity = n;
    return out;
}

static size_t count_of(const dfq_tensor *t)
{
    return t ? dfq_tensor_get_bytes(t) / sizeof(float) : 0;
}

/* -- tables ------------------------------------------------------------------------------------ */

static int fill_layers(const struct quantize *q, struct page *p)
{
    size_t n = count_of(q->errors);
    const float *v = n > 0 ? dfq_tensor_get_data(q->errors) : NULL;
    if (n == 0) return 0;
    p->layers = calloc(n, sizeof *p->layers);
    p->layer_names = calloc(n, sizeof *p->layer_names);
    if (!p->layers || !p->layer_names) return -1;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n)
            snprintf(p->layer_names[i], TEXT, "blocks.%zu.attn", i);
        else
            snprintf(p->layer_names[i], TEXT, "logits");
        p->layers[i].name = p->layer_names[i];
        p->layers[i].sqnr_db = (double)v[i];
    }
    p->r.layers = p->layers;
    p->r.n_layers = n;
    return 0;
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
        int zero = one.kind == DFQ_QUANTIZER_UNIFORM;
        to->site = one.name;
        to->kind = model_quantizer_kind(&one);
        to->bits = one.bits;
        to->step_min = (double)one.step_min;
        to->step_max = (double)one.step_max;
        to->zero_min = zero ? (double)one.zero_min : (double)NAN;
        to->zero_max = zero ? (double)one.zero_max : (double)NAN;
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
        snprintf(new_row(p, name), TEXT, "%016llx", (unsigned long long)h);
}

static void fill_provenance(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    snprintf(new_row(p, "dfq"), TEXT, "%s", dfq_version_text());
    snprintf(new_row(p, "kernels"), TEXT, "%s", dfq_context_get_kernels(q->s->ctx));
    snprintf(new_row(p, "threads"), TEXT, "%d", (int)dfq_context_get_threads(q->s->ctx));
    snprintf(new_row(p, "architecture"), TEXT, "%s", dfq_graph_get_name(q->net));
    snprintf(new_row(p, "seed"), TEXT, "%llu", (unsigned long long)o->seed);
    snprintf(new_row(p, "images"), TEXT, "%lld, %s %.60s", (long long)o->images,
             o->synth || o->real ? "read from" : "kind",
             o->synth  ? o->synth
             : o->real ? o->real
                       : option_kind_name(o->kind));
    if (q->losses)
        snprintf(new_row(p, "synthesis"), TEXT, "%lld iterations, batches of %lld",
                 (long long)o->iters, (long long)o->batch);
    if (q->curves) {
        snprintf(new_row(p, "tuning"), TEXT, "%lld steps, batches of %lld, rate %g, gamma %g",
                 (long long)o->steps, (long long)o->batch, o->lr, o->gamma);
        snprintf(new_row(p, "images of tuning"), TEXT, "%lld to learn from, %lld held out",
                 (long long)q->best.train, (long long)q->best.held_out);
        snprintf(new_row(p, "best step"), TEXT, "%lld, held-out divergence %.4g",
                 (long long)q->best.best_step, q->best.best_kl);
        if (q->best.clamped > 0)
            snprintf(new_row(p, "clamped steps"), TEXT, "%lld", (long long)q->best.clamped);
    } else {
        snprintf(new_row(p, "tuning"), TEXT, "none");
    }
    if (q->job.resumed) snprintf(new_row(p, "resumed"), TEXT, "yes; time is of the last run");
    hash_row(p, "FNV-1a of the model", o->input);
    hash_row(p, "FNV-1a of the result", o->out);
    p->r.provenance = p->rows;
    p->input.name = o->input;
    p->input.bytes = file_size(o->input);
    p->r.inputs = &p->input;
    p->r.n_inputs = 1;
}

/* -- the page ---------------------------------------------------------------------------------- */

static void fill_summary(const struct quantize *q, struct page *p)
{
    const struct tally *t = q->job.judged;
    if (q->s->o->real) p->r.title = "Quantization report: real images, not data-free";
    p->r.model = dfq_graph_get_name(q->net);
    p->r.mode = option_mode_name(q->full.mode);
    p->r.weight_bits = q->full.weight_bits;
    p->r.activation_bits = q->full.act_bits;
    p->r.float_bytes = file_size(q->s->o->input);
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
    for (int i = 0; i < PICTURES; i++) free((void *)(uintptr_t)p->attention[i].png);
    free(p->numbers);
    free(p->layers);
    free(p->layer_names);
    free(p->quantizers);
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
    /* each series takes x and y, of one column each */
    p->cap = 2 * (count_of(q->losses) + count_of(q->curves) + count_of(q->evaluations)) +
             count_of(q->similarity[0]) + count_of(q->similarity[1]);
    p->numbers = calloc(p->cap + 1, sizeof *p->numbers);
    p->command = text_command(s->o->argc, s->o->argv, NULL);
    int failed = !p->numbers || !p->command || fill_layers(q, p) || fill_quantizers(q, p);
    if (!failed && q->diagnosis.n_views > 0) {
        p->diagnosis = diagnose_page_make(&q->diagnosis);
        failed = !p->diagnosis;
        if (p->diagnosis) p->r.diagnostics = diagnose_page_get(p->diagnosis);
    }
    dfq_status status = failed ? DFQ_E_NOMEM : draw(q, p);
    int code = status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WRITE);
    if (!code) {
        fill_summary(q, p);
        fill_charts(q, p);
        p->r.similarity_before = fill_similarity(p, q->similarity[0]);
        p->r.similarity_after = fill_similarity(p, q->similarity[1]);
        fill_provenance(q, p);
        if (report_write(s->o->report, &p->r, err, sizeof err) != 0)
            code = session_error(s, CODE_OUTPUT, "%s; %s is complete", err, s->o->out);
    }
    release(p);
    return code;
}
