/* Writes the diagnostics section: loss surfaces, curvature and gradients, changed codes, a table of
 * weights. */
#include "report/diagnostics.h"

#include <math.h>

#include "report/html.h"
#include "report/table.h"

static void heading(FILE *f, const char *title, const char *note)
{
    fprintf(f, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, note);
}

static void number(struct table *t, double v)
{
    table_cell(t);
    html_general(t->f, v);
}

static void percent(struct table *t, double share)
{
    number(t, share * 100);
    if (isfinite(share)) fputs("\xe2\x80\x89%", t->f);
}

/* -- surfaces ---------------------------------------------------------------------------------- */

static void write_surfaces(FILE *f, const struct report_diagnostics *d)
{
    if (!d->n_surfaces) return;
    heading(f, "Loss surface",
            "Losses of the quantized network (ring) when its weights move along two random "
            "directions, each output channel by at most its own norm. In a flat region, small "
            "changes of the weights hardly change the loss. Each map has its own colour scale.");
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

static void write_loss(struct table *t, const struct report_loss *l, double values)
{
    FILE *f = t->f;
    table_row(t);
    table_cell(t);
    html_text(f, l->name);
    number(t, l->loss);
    number(t, l->norm);
    table_cell(t);
    three_digits(f, l->trace);
    if (isfinite(l->trace_error)) {
        fputs(" \xc2\xb1 ", f);
        three_digits(f, l->trace_error);
        if (report_within_error(l->trace, l->trace_error)) fputs(" (within its standard error)", f);
    }
    number(t, l->trace / values);
    table_cell(t);
    three_digits(f, l->eigenvalue);
    if (isfinite(l->eigenvalue) && !l->settled) fputs(" (not converged)", f);
}

static void write_agreement(FILE *f, const struct report_view *v)
{
    fputs("<p class=\"sub\">Cosine of the gradients of KL and cross-entropy: <b>", f);
    html_number(f, isnan(v->cosine) ? "\xe2\x80\x93" : "%.3f", v->cosine);
    fprintf(f, "</b>. Both networks predict the same class for <b>%llu</b> of %llu images; ",
            (unsigned long long)v->agree, (unsigned long long)v->images);
    if (v->labelled)
        fprintf(f,
                "the float network predicts the label of <b>%llu</b>, the quantized one of "
                "<b>%llu</b>.</p>",
                (unsigned long long)v->teacher_correct, (unsigned long long)v->student_correct);
    else
        fputs("the labels are the predictions of the float network.</p>", f);
}

static void write_view(FILE *f, const struct report_view *v, double values)
{
    static const struct table_column columns[] = {{"Loss", 0},          {"Value", 1},
                                                  {"Gradient norm", 1}, {"Hessian trace", 1},
                                                  {"per weight", 1},    {"Largest eigenvalue", 1}};
    fputs("<div class=\"card\"><h3>", f);
    html_text(f, v->name);
    fputs("</h3>", f);
    struct table t = table_open(f, columns, 6);
    for (size_t i = 0; i < v->n_losses; i++) write_loss(&t, &v->losses[i], values);
    table_close(&t);
    fputc('\n', f);
    write_agreement(f, v);
    fputs("</div>\n", f);
}

static void write_views(FILE *f, const struct report_diagnostics *d)
{
    if (!d->n_views) return;
    heading(f, "Gradients and curvature",
            "Derivatives of the losses with respect to the quantized weights. A cosine near or "
            "below 0 means that the two losses conflict. Traces are estimated with random vectors "
            "and have their standard error. Hessians are computed with float activations.");
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
    fputs("<div class=\"card\"><h3>Changed codes of each weight tensor per step, mean</h3>"
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
        f, "Changed codes",
        "A step of tuning changes a quantized weight only if it crosses the threshold between two "
        "codes. Small steps rarely do.");
    fputs("<div class=\"stack\"><div class=\"grid\">\n", f);
    for (size_t i = 0; i < d->n_codes; i++) html_line_chart(f, &d->codes[i]);
    fputs("</div>\n", f);
    write_bars(f, d);
    fputs("</div>\n", f);
}

/* -- weights ----------------------------------------------------------------------------------- */

static void write_weight(struct table *t, const struct report_weight *w, int kappa)
{
    table_row(t);
    table_cell(t);
    html_text(t->f, w->name);
    table_cell(t);
    html_number(t->f, "%.0f", w->values);
    number(t, w->cosine);
    percent(t, w->step);
    percent(t, w->ever);
    number(t, w->distance);
    number(t, w->trace[0] / w->values);
    number(t, w->trace[1] / w->values);
    if (kappa) number(t, w->kappa);
}

static void write_weights(FILE *f, const struct report_diagnostics *d)
{
    static const struct table_column columns[] = {{"Weight", 0},
                                                  {"Values", 1},
                                                  {"cos(KL, CE)", 1},
                                                  {"Changed per step", 1},
                                                  {"Changed at the end", 1},
                                                  {"Distance", 1},
                                                  {"Curvature KL", 1},
                                                  {"Curvature CE", 1},
                                                  {"Kappa", 1}};
    int kappa = 0;
    for (size_t i = 0; i < d->n_weights; i++) kappa |= isfinite(d->weights[i].kappa) != 0;
    if (!d->n_weights) return;
    heading(
        f, "Quantized weights",
        "Distance: mean distance of the weights from the nearest threshold between two codes, in "
        "scales; 0.25 for evenly spread weights, 0.5 for weights on the grid. Curvature: trace of "
        "the tensor's block of the Hessian, per value.");
    fprintf(f, "<div class=\"card\"><details%s><summary>%zu weights</summary>",
            d->n_weights > 24 ? "" : " open", d->n_weights);
    struct table t = table_open(f, columns, kappa ? 9 : 8);
    for (size_t i = 0; i < d->n_weights; i++) write_weight(&t, &d->weights[i], kappa);
    table_close(&t);
    fputs("</details></div>\n", f);
}

void html_diagnostics(FILE *f, const struct report_diagnostics *d)
{
    write_surfaces(f, d);
    write_views(f, d);
    write_codes(f, d);
    write_weights(f, d);
}
