/* Writes the quantization report, section by section. */
#include "report/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "temp_file.h"
#include "report/html.h"
#include "report/style.h"
#include "report/table.h"
#include "report/width_bars.h"

void report_init(struct report *r)
{
    memset(r, 0, sizeof *r);
    r->float_accuracy = r->quantized_accuracy = r->seconds = NAN;
    r->mean_weight_bits = r->mean_activation_bits = NAN;
}

/* ---- head and cards ---- */

static void chip(FILE *f, const char *before, const char *text)
{
    fprintf(f, "<span>%s", before);
    html_text(f, text);
    fputs("</span>", f);
}

static void write_head(FILE *f, const struct report *r)
{
    const char *title = r->title ? r->title : "Quantization report";
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
          f);
    html_text(f, title);
    if (r->model) {
        fputs(" \xe2\x80\x93 ", f);
        html_text(f, r->model);
    }
    fputs("</title>\n<style>\n", f);
    for (size_t i = 0; i < sizeof report_style / sizeof *report_style; i++)
        fputs(report_style[i], f);
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>", f);
    html_text(f, title);
    fputs("</h1>\n", f);
    if (!r->model && !r->mode && r->weight_bits <= 0 && r->activation_bits <= 0) return;
    fputs("<p class=\"chips\">", f);
    if (r->model) chip(f, "", r->model);
    html_width_chips(f, r);
    if (r->mode) chip(f, "", r->mode);
    fputs("</p>\n", f);
}

static void meter(FILE *f, double share)
{
    share = isnan(share) || share < 0 ? 0 : share > 1 ? 1 : share;
    fputs("<svg class=\"meter\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" "
          "aria-hidden=\"true\"><rect class=\"rest\" width=\"100\" height=\"1\"/>"
          "<rect class=\"bar\" height=\"1\" width=\"",
          f);
    html_number(f, "%.1f", share * 100);
    fputs("\"/></svg>", f);
}

static void card_open(FILE *f, const char *title)
{
    fprintf(f, "<div class=\"card\"><h3>%s</h3><p class=\"big\">", title);
}

static void accuracy_card(FILE *f, const struct report *r)
{
    int both = isfinite(r->float_accuracy) && isfinite(r->quantized_accuracy);
    double v = isfinite(r->quantized_accuracy) ? r->quantized_accuracy : r->float_accuracy;
    if (!isfinite(v)) return;
    card_open(f, isfinite(r->quantized_accuracy) ? "Accuracy, quantized" : "Accuracy, float");
    html_number(f, "%.2f\xe2\x80\x89%%", v * 100);
    fputs("</p>", f);
    meter(f, v);
    fputs("<p class=\"sub\">", f);
    if (both) {
        double change = (r->quantized_accuracy - r->float_accuracy) * 100;
        if (fabs(change) < 0.005) change = 0;
        html_number(f, "float %.2f\xe2\x80\x89%%, change ", r->float_accuracy * 100);
        html_number(f, change == 0 ? "%.2f points" : "%+.2f points", change);
    }
    if (r->accuracy_images)
        fprintf(f, "%s%llu images", both ? "; " : "", (unsigned long long)r->accuracy_images);
    fputs("</p></div>\n", f);
}

static void size_card(FILE *f, const struct report *r)
{
    uint64_t shown = r->quantized_bytes ? r->quantized_bytes : r->float_bytes;
    if (!shown) return;
    card_open(f, r->quantized_bytes ? "File, quantized" : "File, float");
    html_bytes(f, shown);
    fputs("</p>", f);
    if (r->quantized_bytes && r->float_bytes) {
        meter(f, (double)r->quantized_bytes / (double)r->float_bytes);
        fputs("<p class=\"sub\">float ", f);
        html_bytes(f, r->float_bytes);
        double ratio = (double)r->float_bytes / (double)r->quantized_bytes;
        if (ratio > 1) html_number(f, ", %.1f\xc3\x97 smaller", ratio);
        fputs("</p>", f);
    }
    fputs("</div>\n", f);
}

static void write_cards(FILE *f, const struct report *r)
{
    if (!isfinite(r->float_accuracy) && !isfinite(r->quantized_accuracy) && !r->float_bytes &&
        !r->quantized_bytes && !isfinite(r->seconds) && !r->peak_bytes)
        return;
    fputs("<div class=\"cards\">\n", f);
    accuracy_card(f, r);
    size_card(f, r);
    if (isfinite(r->seconds)) {
        card_open(f, "Time");
        html_duration(f, r->seconds);
        fputs("</p><p class=\"sub\">from model file to quantized file</p></div>\n", f);
    }
    if (r->peak_bytes) {
        card_open(f, "Memory");
        html_bytes(f, r->peak_bytes);
        fputs("</p><p class=\"sub\">at the peak</p></div>\n", f);
    }
    fputs("</div>\n", f);
}

/* ---- sections ---- */

static void section(FILE *f, const char *title, const char *note)
{
    fprintf(f, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, note);
}

static void write_images(FILE *f, const struct report_image *im, size_t n, const char *title,
                         const char *note)
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) good += html_is_png(&im[i]) != 0;
    if (!good) return;
    section(f, title, note);
    fputs("<div class=\"grid\">\n", f);
    for (size_t i = 0; i < n; i++)
        if (html_is_png(&im[i])) html_image(f, &im[i]);
    fputs("</div>\n", f);
}

/* Mean of the finite values; NaN without any. */
static double mean_of(const double *v, size_t n)
{
    double sum = 0, count = 0;
    for (size_t i = 0; v && i < n; i++)
        if (isfinite(v[i])) sum += v[i], count++;
    return count > 0 ? sum / count : NAN;
}

static void similarity_card(FILE *f, const struct report *r)
{
    double before = mean_of(r->similarity_before, r->n_similarity);
    double after = mean_of(r->similarity_after, r->n_similarity);
    fputs("<div class=\"card top\"><h3>Mean over the blocks</h3><p class=\"big\">", f);
    html_number(f, "%.3f", isnan(before) ? after : before);
    if (!isnan(before) && !isnan(after)) {
        fputs(" \xe2\x86\x92 ", f);
        html_number(f, "%.3f", after);
    }
    fputs("</p><p class=\"sub\">Structural similarity (0 to 1) of the attention maps of a "
          "block's heads, averaged over pairs of heads and over the images. Real pictures have "
          "0.52 on ViT-Tiny.</p></div>\n",
          f);
}

/* One line before, one after, over the blocks. 0, or -1 without memory. */
static int write_similarity(FILE *f, const struct report *r)
{
    struct report_series s[2];
    size_t n = r->n_similarity, count = 0;
    if (n == 0 || n > SIZE_MAX / sizeof(double)) return n ? -1 : 0;
    double *block = malloc(n * sizeof *block);
    if (!block) return -1;
    for (size_t i = 0; i < n; i++) block[i] = (double)i;
    const double *const values[2] = {r->similarity_before, r->similarity_after};
    static const char *const names[2] = {"before", "after"};
    for (int k = 0; k < 2; k++) {
        if (!values[k]) continue;
        const struct report_series one = {names[k], block, values[k], n};
        s[count++] = one;
    }
    const struct report_chart c = {"Similarity of the heads' attention", "block", s, count, 0};
    if (html_has_points(&c)) {
        section(f, "Inter-head similarity",
                "Similarity in each block, for the images before and after synthesis.");
        fputs("<div class=\"grid\">\n", f);
        html_line_chart(f, &c);
        similarity_card(f, r);
        fputs("</div>\n", f);
    }
    free(block);
    return 0;
}

static void stream_card(FILE *f, const struct report *r)
{
    fputs("<div class=\"card top\"><h3>Largest channel relative to the mean</h3><p class=\"big\">",
          f);
    html_number(f, "%.1f", r->stream_before[0]);
    fputs(" \xe2\x86\x92 ", f);
    html_number(f, "%.1f", r->stream_after[0]);
    fputs("</p><p class=\"sub\">Of channels that share a grid, a large one leaves few "
          "codes for the others. Rotation mixes the channels and removes such outliers; the float "
          "network computes the same function.</p></div>\n",
          f);
}

/* Channels by size, before and after. 0, or -1 without memory. */
static int write_stream(FILE *f, const struct report *r)
{
    size_t n = r->n_stream;
    if (!r->stream_before || !r->stream_after || n == 0) return 0;
    if (!isfinite(r->stream_before[0]) || !isfinite(r->stream_after[0])) return 0;
    double *place = malloc(n * sizeof *place);
    char title[120];
    if (!place) return -1;
    for (size_t i = 0; i < n; i++) place[i] = (double)i + 1;
    const struct report_series s[2] = {{"rotated", place, r->stream_after, n},
                                       {"float", place, r->stream_before, n}};
    snprintf(title, sizeof title, "Channels after %.60s, relative to their mean", r->stream_block);
    const struct report_chart c = {title, "channels, largest first", s, 2, 1};
    section(f, "Residual stream",
            "Root mean square of each channel over the tokens of some images, before and after "
            "rotation, in the block with the largest outlier.");
    fputs("<div class=\"grid\">\n", f);
    html_line_chart(f, &c);
    stream_card(f, r);
    fputs("</div>\n", f);
    free(place);
    return 0;
}

static void write_charts(FILE *f, const struct report *r)
{
    size_t good = 0;
    for (size_t i = 0; i < r->n_charts; i++) good += html_has_points(&r->charts[i]) != 0;
    if (!good) return;
    section(f, "Curves", "The number beside a name is the last value.");
    fputs("<div class=\"grid\">\n", f);
    for (size_t i = 0; i < r->n_charts; i++) html_line_chart(f, &r->charts[i]);
    fputs("</div>\n", f);
}

static void write_layers(FILE *f, const struct report *r)
{
    if (!r->n_layers) return;
    section(f, "Error of each layer",
            "Signal-to-quantization-noise ratio at the layer's output in dB, in network order. "
            "Higher is better; the lowest layers are highlighted.");
    fputs("<div class=\"card\">", f);
    html_layer_bars(f, r->layers, r->n_layers);
    fputs("</div>\n", f);
}

static void write_parts(FILE *f, const struct report *r)
{
    static const struct table_column columns[] = {
        {"Part", 0}, {"Without", 1}, {"With it", 1}, {"Gain", 1}};
    if (!r->n_parts) return;
    section(f, "What each part gains",
            "The network quantized again on a few images, without one of the parts: "
            "signal-to-quantization-noise ratio of the logits in dB, on some other images.");
    fputs("<div class=\"card\">", f);
    struct table t = table_open(f, columns, 4);
    for (const struct report_part *p = r->parts; p < r->parts + r->n_parts; p++) {
        const double db[3] = {p->without_db, p->with_db, p->with_db - p->without_db};
        table_row(&t);
        table_cell(&t);
        html_text(f, p->name);
        for (int k = 0; k < 3; k++) {
            table_cell(&t);
            html_number(f, k < 2 ? "%.1f" : "%+.1f", db[k]);
        }
    }
    table_close(&t);
    fputs("</div>\n", f);
}

static void range_cell(struct table *t, double lo, double hi)
{
    table_cell(t);
    if (isnan(lo)) lo = hi;
    if (isnan(hi)) hi = lo;
    html_general(t->f, lo);
    if (lo < hi || lo > hi) {
        fputs(" \xe2\x80\xa6 ", t->f);
        html_general(t->f, hi);
    }
}

static void write_quantizers(FILE *f, const struct report *r)
{
    static const struct table_column columns[] = {
        {"Quantizer", 0}, {"Kind", 0}, {"Bits", 1}, {"Scale", 1}, {"Zero point", 1}};
    if (!r->n_quantizers) return;
    section(f, "Quantizers",
            "All quantizers of the network. The scale is the distance between neighbouring "
            "values of the grid; per-channel quantizers show the range of their scales.");
    fputs("<div class=\"card\">", f);
    if (r->n_quantizers > 24)
        fprintf(f, "<details><summary>%zu quantizers</summary>", r->n_quantizers);
    struct table t = table_open(f, columns, 5);
    for (size_t i = 0; i < r->n_quantizers; i++) {
        const struct report_quantizer *q = &r->quantizers[i];
        table_row(&t);
        table_cell(&t);
        html_text(f, q->site);
        table_cell(&t);
        html_text(f, q->kind);
        table_cell(&t);
        fprintf(f, "%d", (int)q->bits);
        range_cell(&t, q->scale_min, q->scale_max);
        range_cell(&t, q->zero_point_min, q->zero_point_max);
    }
    table_close(&t);
    fprintf(f, "%s</div>\n", r->n_quantizers > 24 ? "</details>" : "");
}

static void write_provenance(FILE *f, const struct report *r)
{
    if (!r->command && !r->n_provenance && !r->n_inputs) return;
    section(f, "Provenance", "The same command, inputs, seed and build give the same result.");
    fputs("<div class=\"card\">", f);
    if (r->command) {
        fputs("<pre><code>", f);
        html_text(f, r->command);
        fputs("</code></pre>", f);
    }
    fputs("<table class=\"key\">\n", f);
    for (size_t i = 0; i < r->n_provenance; i++) {
        fputs("<tr><td>", f);
        html_text(f, r->provenance[i].name);
        fputs("</td><td>", f);
        html_text(f, r->provenance[i].value);
        fputs("</td></tr>\n", f);
    }
    for (size_t i = 0; i < r->n_inputs; i++) {
        fputs("<tr><td>input</td><td>", f);
        html_text(f, r->inputs[i].name);
        fprintf(f, " (%llu bytes)</td></tr>\n", (unsigned long long)r->inputs[i].bytes);
    }
    fputs("</table></div>\n", f);
}

static void write_verdict(FILE *f, const struct report *r)
{
    if (!r->n_verdict) return;
    fputs("<div class=\"verdict\">", f);
    for (size_t i = 0; i < r->n_verdict; i++) {
        fputs("<p>", f);
        html_text(f, r->verdict[i]);
        fputs("</p>", f);
    }
    fputs("</div>\n", f);
}

static int write_page(FILE *f, const void *report)
{
    const struct report *r = report;
    write_head(f, r);
    write_verdict(f, r);
    write_cards(f, r);
    write_images(f, r->synthetic, r->n_synthetic, "Synthetic images",
                 "Made from the network alone; no training image was used.");
    write_images(f, r->attention, r->n_attention, "Attention maps",
                 "Attention of each head, one column per head.");
    if (write_similarity(f, r) || write_stream(f, r)) return -1;
    write_charts(f, r);
    report_write_widths(f, r);
    write_layers(f, r);
    write_parts(f, r);
    if (r->diagnostics) html_diagnostics(f, r->diagnostics);
    write_quantizers(f, r);
    write_provenance(f, r);
    fputs("</main>\n</body>\n</html>\n", f);
    return 0;
}

/* ---- the file ---- */

int report_write(const char *path, const struct report *r, char *err, size_t cap)
{
    struct temp_file b;
    if (temp_file_open(path, &b) == 0 &&
        temp_file_close(&b, html_page(b.f, write_page, r) ? ENOMEM : 0) == 0)
        return 0;
    if (cap) snprintf(err, cap, "cannot write the report %s: %s", path, strerror(errno));
    return -1;
}
