/* Bits of layers in a report: the head's words, and a pair of bars for each layer. */
#include <math.h>

#include "report/html.h"
#include "report/width_bars.h"

enum { MOST = 8 };

/* "weights 4 bit", or "weights 4.24 bits in the mean". */
static void chip(FILE *f, const char *what, int32_t bits, double mean)
{
    if (isfinite(mean)) {
        fprintf(f, "<span>%s ", what);
        html_number(f, "%.2f", mean);
        fputs(" bits in the mean</span>", f);
    } else if (bits > 0) {
        fprintf(f, "<span>%s %d bit</span>", what, (int)bits);
    }
}

void html_width_chips(FILE *f, const struct report *r)
{
    chip(f, "weights", r->weight_bits, r->mean_weight_bits);
    chip(f, "activations", r->activation_bits, r->mean_activation_bits);
}

static void bar(FILE *f, const char *style, int row, int32_t bits)
{
    if (bits > 0)
        fprintf(f, "<rect class=\"%s\" y=\"%d\" width=\"%d\" height=\"4\"/>", style, 5 * row,
                (int)(bits < MOST ? bits : MOST));
}

/* "w5 a4", "a4", "float". */
static void words(FILE *f, const struct report_width *w)
{
    if (w->weight_bits > 0) fprintf(f, "w%d", (int)w->weight_bits);
    if (w->weight_bits > 0 && w->activation_bits > 0) fputc(' ', f);
    if (w->activation_bits > 0) fprintf(f, "a%d", (int)w->activation_bits);
    if (w->weight_bits <= 0 && w->activation_bits <= 0) fputs("float", f);
}

void html_width_bars(FILE *f, const struct report_width *widths, size_t n)
{
    fputs("<p class=\"legend\"><span><i class=\"b0\"></i>weights</span><span><i class=\"b1\"></i>"
          "activations, of attention both operands</span></p>\n<ol class=\"bars widths\">\n",
          f);
    for (size_t i = 0; i < n; i++) {
        fputs("<li><span>", f);
        html_text(f, widths[i].name);
        fprintf(
            f,
            "</span><svg viewBox=\"0 0 %d 9\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
            "<rect class=\"rest\" width=\"%d\" height=\"9\"/>",
            (int)MOST, (int)MOST);
        bar(f, "w", 0, widths[i].weight_bits);
        bar(f, "a", 1, widths[i].activation_bits);
        fputs("</svg><b>", f);
        words(f, &widths[i]);
        fputs("</b></li>\n", f);
    }
    fputs("</ol>", f);
}

void report_write_widths(FILE *f, const struct report *r)
{
    if (!r->n_widths) return;
    fputs("<h2>Bits of layers</h2>\n<p class=\"note\">In network order; a full bar is 8 bits.</p>\n"
          "<div class=\"card\">",
          f);
    html_width_bars(f, r->widths, r->n_widths);
    fputs("</div>\n", f);
}
