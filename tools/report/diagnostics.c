/* Diagnostics on the report page: loss surfaces, curvature and gradients, codes that changed, and
 * every weight. */
#include "report/diagnostics.h"

#include <math.h>

#include "report/html.h"

static void heading(FILE *f, const char *title, const char *note)
{
    fprintf(f, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, note);
}

static void cell(FILE *f, double v)
{
    fputs("<td class=\"num\">", f);
    html_general(f, v);
    fputs("</td>", f);
}

static void percent_cell(FILE *f, double share)
{
    fputs("<td class=\"num\">", f);
    html_general(f, share * 100);
    fputs(isfinite(share) ? "\xe2\x80\x89%</td>" : "</td>", f);
}

/* -- surfaces ---------------------------------------------------------------------------------- */

static void write_surfaces(FILE *f, const struct report_diagnostics *d)
{
    if (!d->n_surfaces) return;
    heading(f, "Loss surface",
            "The losses where the quantized weights (the ring) are moved along two random "
            "directions, each output channel by up to its own norm. A flat valley forgives changes "
            "of the weights. Each map has a scale of its own.");
    fputs("<div class=\"grid\">\n", f);
    for (size_t i = 0; i < d->n_surfaces; i++) html_heat_map(f, &d->surfaces[i]);
    for (size_t i = 0; i < d->n_lines; i++) html_line_chart(f, &d->lines[i]);
    fputs("</div>\n", f);
}

/* -- curvature --------------------------------------------------------------------------------- */

/* Three digits, and no exponent where it can be helped. */
static void three_digits(FILE *f, double v)
{
    double size = fabs(v);
    if (!isfinite(v) || size < 1e-3 || size >= 1e6)
        html_number(f, isnan(v) ? "\xe2\x80\x93" : "%.3g", v);
    else
        html_number(f, size >= 99.95 ? "%.0f" : size >= 9.995 ? "%.1f" : "%.3g", v);
}

static void write_loss(FILE *f, const struct report_loss *l, double values)
{
    fputs("<tr><td>", f);
    html_text(f, l->name);
    fputs("</td>", f);
    cell(f, l->loss);
    cell(f, l->norm);
    fputs("<td class=\"num\">", f);
    three_digits(f, l->trace);
    if (isfinite(l->trace_error)) {
        fputs(" \xc2\xb1 ", f);
        three_digits(f, l->trace_error);
        if (report_within_error(l->trace, l->trace_error)) fputs(" (within its error)", f);
    }
    fputs("</td>", f);
    cell(f, l->trace / values);
    fputs("<td class=\"num\">", f);
    three_digits(f, l->eigenvalue);
    if (isfinite(l->eigenvalue) && !l->settled) fputs(" (not settled)", f);
    fputs("</td></tr>\n", f);
}

static void write_agreement(FILE *f, const struct report_view *v)
{
    fputs("<p class=\"sub\">Cosine of the gradients of KL and cross-entropy: <b>", f);
    html_number(f, isnan(v->cosine) ? "\xe2\x80\x93" : "%.3f", v->cosine);
    fprintf(f, "</b>. Float and quantized network agree on <b>%llu</b> of %llu images; ",
            (unsigned long long)v->agree, (unsigned long long)v->images);
    if (v->labelled)
        fprintf(f,
                "the label is found on <b>%llu</b> by the float, on <b>%llu</b> by the quantized "
                "one.</p>",
                (unsigned long long)v->teacher_correct, (unsigned long long)v->student_correct);
    else
        fputs("labels are what the float network finds.</p>", f);
}

static void write_view(FILE *f, const struct report_view *v, double values)
{
    fputs("<div class=\"card\"><h3>", f);
    html_text(f, v->name);
    fputs(
        "</h3><div class=\"scroll\"><table>\n<thead><tr><th>Loss</th><th class=\"num\">Value</th>"
        "<th class=\"num\">Gradient norm</th><th class=\"num\">Hessian trace</th>"
        "<th class=\"num\">per weight</th><th class=\"num\">Largest eigenvalue</th></tr></thead>\n"
        "<tbody>\n",
        f);
    for (size_t i = 0; i < v->n_losses; i++) write_loss(f, &v->losses[i], values);
    fputs("</tbody></table></div>\n", f);
    write_agreement(f, v);
    fputs("</div>\n", f);
}

static void write_views(FILE *f, const struct report_diagnostics *d)
{
    if (!d->n_views) return;
    heading(f, "Gradients and curvature",
            "Of the losses over the quantized weights. Where the cosine is near or below zero, the "
            "two losses pull apart. Trace: estimated with random vectors, with its standard error; "
            "Hessians are those of float activations.");
    fputs("<div class=\"stack\">\n", f);
    for (size_t i = 0; i < d->n_views; i++) write_view(f, &d->views[i], d->values);
    fputs("</div>\n", f);
}

/* -- codes ------------------------------------------------------------------------------------- */

static void write_bars(FILE *f, const struct report_diagnostics *d)
{
    double top = 0;
    for (size_t i = 0; i < d->n_weights; i++)
        if (isfinite(d->weights[i].step)) top = fmax(top, d->weights[i].step);
    if (!(top > 0)) return;
    fputs("<div class=\"card\"><h3>Codes of each weight that a step changes, mean of the steps</h3>"
          "<ol class=\"bars share\">\n",
          f);
    for (size_t i = 0; i < d->n_weights; i++) {
        double v = d->weights[i].step;
        fputs("<li><span>", f);
        html_text(f, d->weights[i].name);
        fputs("</span><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
              "<rect class=\"rest\" width=\"100\" height=\"1\"/><rect class=\"bar\" width=\"",
              f);
        html_number(f, "%.1f", isfinite(v) ? 100 * v / top : 0);
        fputs("\" height=\"1\"/></svg><b>", f);
        html_number(f, isnan(v) ? "\xe2\x80\x93" : "%.2g\xe2\x80\x89%%", v * 100);
        fputs("</b></li>\n", f);
    }
    fputs("</ol></div>\n", f);
}

static void write_codes(FILE *f, const struct report_diagnostics *d)
{
    size_t good = 0;
    for (size_t i = 0; i < d->n_codes; i++) good += html_has_points(&d->codes[i]) != 0;
    if (!good) return;
    heading(
        f, "Codes that changed",
        "Small steps of tuning hardly ever move a weight from one code to the next; what changes "
        "no code changes nothing.");
    fputs("<div class=\"stack\"><div class=\"grid\">\n", f);
    for (size_t i = 0; i < d->n_codes; i++) html_line_chart(f, &d->codes[i]);
    fputs("</div>\n", f);
    write_bars(f, d);
    fputs("</div>\n", f);
}

/* -- weights ----------------------------------------------------------------------------------- */

static void write_weight(FILE *f, const struct report_weight *w, int kappa)
{
    fputs("<tr><td>", f);
    html_text(f, w->name);
    fputs("</td><td class=\"num\">", f);
    html_number(f, "%.0f", w->values);
    fputs("</td>", f);
    cell(f, w->cosine);
    percent_cell(f, w->step);
    percent_cell(f, w->ever);
    cell(f, w->distance);
    if (kappa) cell(f, w->kappa);
    cell(f, w->trace[0] / w->values);
    cell(f, w->trace[1] / w->values);
    fputs("</tr>\n", f);
}

static void write_weights(FILE *f, const struct report_diagnostics *d)
{
    int kappa = 0;
    for (size_t i = 0; i < d->n_weights; i++) kappa |= isfinite(d->weights[i].kappa) != 0;
    if (!d->n_weights) return;
    heading(
        f, "Quantized weights",
        "Distance: from the nearest value at which the code changes, in codes; 0.25 where "
        "weights are evenly spread, 0.5 where they sit on the grid. Curvature: Hessian trace of "
        "the weight's block, per value.");
    fprintf(f, "<div class=\"card\"><details%s><summary>%zu weights</summary>",
            d->n_weights > 24 ? "" : " open", d->n_weights);
    fputs("<div class=\"scroll\"><table>\n<thead><tr><th>Weight</th><th class=\"num\">Values</th>"
          "<th class=\"num\">cos(KL, CE)</th><th class=\"num\">Changed a step</th>"
          "<th class=\"num\">in the end</th><th class=\"num\">Distance</th>",
          f);
    if (kappa) fputs("<th class=\"num\">Kappa</th>", f);
    fputs("<th class=\"num\">Curvature KL</th><th class=\"num\">CE</th></tr></thead>\n<tbody>\n",
          f);
    for (size_t i = 0; i < d->n_weights; i++) write_weight(f, &d->weights[i], kappa);
    fputs("</tbody></table></div></details></div>\n", f);
}

void html_diagnostics(FILE *f, const struct report_diagnostics *d)
{
    write_surfaces(f, d);
    write_views(f, d);
    write_codes(f, d);
    write_weights(f, d);
}
