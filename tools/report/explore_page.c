/* Writes the report of a co-exploration: summary, network, accelerator, Pareto plots, curves. */
#include "report/explore_page.h"

#include <math.h>
#include <stdlib.h>

#include "report/explore_verdict.h"
#include "files.h"
#include "report/html.h"
#include "report/style.h"
#include "report/table.h"

static const char *const titles[EXPLORE_METRICS] = {"Latency", "Energy", "Area", "Size of weights",
                                                    "Power"};
static const char *const units[EXPLORE_METRICS] = {"ms", "mJ", "mm\xc2\xb2", "MB", "mW"};

int explore_tells(const struct explore_page *p, int m)
{
    return m <= DFQ_EXPLORE_AREA || !isnan(p->limits[m]);
}

int explore_count_metrics(const struct explore_page *p)
{
    if (!isnan(p->limits[DFQ_EXPLORE_POWER])) return DFQ_EXPLORE_POWER + 1;
    return isnan(p->limits[DFQ_EXPLORE_SIZE]) ? DFQ_EXPLORE_AREA + 1 : DFQ_EXPLORE_SIZE + 1;
}

/* -- head and cards ---------------------------------------------------------------------------- */

static void chip(FILE *f, const char *before, const char *text)
{
    fprintf(f, "<span>%s", before);
    html_text(f, text);
    fputs("</span>", f);
}

static void write_head(FILE *f, const struct explore_page *p)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<title>Co-exploration \xe2\x80\x93 ",
          f);
    html_text(f, p->space);
    fputs("</title>\n<style>\n", f);
    for (size_t i = 0; i < sizeof report_style / sizeof *report_style; i++)
        fputs(report_style[i], f);
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>Network and accelerator</h1>\n"
          "<p class=\"chips\">",
          f);
    chip(f, "", p->verdict == DFQ_VERDICT_CERTIFIED ? "certified" : "infeasible");
    if (p->accuracy_images > 0 && p->chance_level == EXPLORE_AT_CHANCE)
        chip(f, "", "accuracy at chance level");
    chip(f, "space ", p->space);
    chip(f, "accelerators ", p->accel);
    chip(f, "rule ", p->rule);
    chip(f, "evaluator ", p->evaluator);
    fputs("</p>\n", f);
}

static void card_open(FILE *f, const char *title)
{
    fprintf(f, "<div class=\"card\"><h3>%s</h3><p class=\"big\">", title);
}

static void cost_card(FILE *f, const struct explore_page *p, int m)
{
    card_open(f, titles[m]);
    html_general(f, p->costs[m]);
    fprintf(f, "\xe2\x80\x89%s</p><p class=\"sub\">", units[m]);
    if (m == DFQ_EXPLORE_LATENCY) html_number(f, "%.4g images/s; ", 1000 / p->costs[m]);
    if (isnan(p->limits[m])) {
        fputs("no limit", f);
    } else {
        html_number(f, "limit %.4g", p->limits[m]);
        html_number(f, ", %.1f\xe2\x80\x89%% of it", p->costs[m] / p->limits[m] * 100);
    }
    if (p->verdict == DFQ_VERDICT_INFEASIBLE && isfinite(p->tightest[m]))
        html_number(f, "; least within the other limits: %.4g", p->tightest[m]);
    if (p->verdict == DFQ_VERDICT_INFEASIBLE && isinf(p->tightest[m]))
        fputs("; no other value of this limit alone would do", f);
    if (p->verdict == DFQ_VERDICT_INFEASIBLE && isfinite(p->least[m]))
        html_number(f, "; least of all choices: %.4g", p->least[m]);
    fputs("</p></div>\n", f);
}

static void write_cards(FILE *f, const struct explore_page *p)
{
    fputs("<div class=\"cards\">\n", f);
    for (int m = 0; m < EXPLORE_METRICS; m++)
        if (explore_tells(p, m)) cost_card(f, p, m);
    if (isfinite(p->top1)) {
        card_open(f, "Accuracy");
        html_number(f, "%.2f\xe2\x80\x89%%", p->top1 * 100);
        fprintf(f, "</p><p class=\"sub\">of %llu images</p></div>\n",
                (unsigned long long)p->accuracy_images);
    }
    if (isfinite(p->macs)) {
        card_open(f, "Work");
        html_number(f, "%.4g million", p->macs * 1e-6);
        fputs("</p><p class=\"sub\">multiply-accumulates an image</p></div>\n", f);
    }
    if (isfinite(p->seconds)) {
        card_open(f, "Time");
        html_duration(f, p->seconds);
        fputs("</p>", f);
        if (p->peak_bytes) {
            fputs("<p class=\"sub\">", f);
            html_bytes(f, p->peak_bytes);
            fputs(" of memory at the peak</p>", f);
        }
        fputs("</div>\n", f);
    }
    fputs("</div>\n", f);
}

static void section(FILE *f, const char *title, const char *note)
{
    fprintf(f, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, note);
}

/* -- network and accelerator ------------------------------------------------------------------- */

static void write_group(struct table *t, const struct explore_group *g)
{
    FILE *f = t->f;
    table_row(t);
    table_cell(t);
    html_text(f, g->name);
    table_cell(t);
    html_text(f, g->names[g->chosen]);
    table_cell(t);
    if (g->effects) html_text(f, g->words);
    table_cell(t);
    if (g->raw >= 0) html_text(f, g->names[g->raw]);
    table_cell(t);
    html_text(f, explore_step_name(g->by));
    table_cell(t);
    html_number(f, "%.1f\xe2\x80\x89%%", (double)g->probabilities[g->chosen] * 100);
    table_cell(t);
    if (g->effects) html_number(f, "%+.3f", (double)g->effects[g->chosen]);
}

static void write_choices(FILE *f, const struct explore_page *p)
{
    static const struct table_column columns[] = {
        {"Group", 0},     {"Choice", 0},      {"Description", 0}, {"Likeliest", 0},
        {"Chosen by", 0}, {"Probability", 1}, {"Effect", 1}};
    section(
        f, "Network and accelerator",
        "The choice of each group, the likeliest choice before repair, the step of the search that "
        "made the choice, its probability at the end of the search, and its estimated effect on "
        "the loss, relative to the mean of its cell.");
    fputs("<div class=\"card\">", f);
    struct table t = table_open(f, columns, 7);
    for (int32_t g = 0; g < p->n_groups; g++) write_group(&t, &p->groups[g]);
    table_close(&t);
    fputs("</div>\n", f);
}

static void write_rows(FILE *f, const struct report_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputs("<tr><td>", f);
        html_text(f, rows[i].name);
        fputs("</td><td>", f);
        html_text(f, rows[i].value);
        fputs("</td></tr>\n", f);
    }
}

static void write_hardware(FILE *f, const struct explore_page *p)
{
    if (!p->n_hw_params) return;
    fputs("<h2>The accelerator</h2>\n<div class=\"card\"><table class=\"key\">\n", f);
    write_rows(f, p->hw_params, p->n_hw_params);
    fputs("</table></div>\n", f);
}

/* What the search went by, if that was not the tables. */
static void write_networks(FILE *f, const struct explore_page *p)
{
    if (!isfinite(p->evaluator_mean[0])) return;
    section(f, "The evaluator",
            "Neural networks estimated the costs for the search. The table has their relative "
            "errors on held-out samples and at the result. The search lowered each limit by the "
            "error that 99 % of the samples stay below. The verdict uses exact costs.");
    fputs(
        "<div class=\"card scroll\"><table>\n<thead><tr><th>Metric</th><th class=\"num\">Mean</th>"
        "<th class=\"num\">99\xe2\x80\x89% below</th><th class=\"num\">At the result</th></tr>"
        "</thead>\n<tbody>\n",
        f);
    for (int m = 0; m <= DFQ_EXPLORE_AREA; m++) {
        const double v[] = {p->evaluator_mean[m], p->evaluator_p99[m], p->evaluator_gap[m]};
        fprintf(f, "<tr><td>%s</td>", titles[m]);
        for (int i = 0; i < 3; i++) {
            fputs("<td class=\"num\">", f);
            html_number(f, "%.3f\xe2\x80\x89%%", 100 * v[i]);
            fputs("</td>", f);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table><p class=\"sub\">", f);
    html_number(
        f, "The hardware generator found the best accelerator for %.1f\xe2\x80\x89%% of networks",
        100 * p->hw_generator_accuracy);
    html_number(f, "; its accelerators cost %.3f\xe2\x80\x89%% more than the best.",
                100 * p->hw_generator_regret);
    fputs("</p></div>\n", f);
}

/* -- curves ------------------------------------------------------------------------------------ */

/* A column of numbers over their index as a chart, with the limit as a second line unless NaN. 0,
 * or
 * -1 without memory. */
static int chart(FILE *f, const char *title, const char *name, const float *v, int64_t n,
                 int64_t stride, double limit)
{
    double *x = malloc((n > 0 ? (size_t)n : 1) * 3 * sizeof *x);
    if (!x) return -1;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)i;
        x[n + i] = (double)v[i * stride];
        x[2 * n + i] = limit;
    }
    const struct report_series s[2] = {{name, x, x + n, (size_t)n},
                                       {"limit", x, x + 2 * n, (size_t)n}};
    const struct report_chart c = {title, "step", s, isnan(limit) ? 1 : 2, 0};
    if (html_has_points(&c)) html_line_chart(f, &c);
    free(x);
    return 0;
}

static int write_curves(FILE *f, const struct explore_page *p)
{
    static const char *const mixture[EXPLORE_METRICS] = {
        "Latency of the mixture, ms", "Energy of the mixture, mJ",
        "Area of the mixture, mm\xc2\xb2", "Size of the mixture, MB", "Power of the mixture, mW"};
    static const char *const stages[] = {"Training loss, warm-up", "Training loss, search",
                                         "Training loss, final network"};
    const int metrics = explore_count_metrics(p);
    int64_t width = 1 + metrics + p->n_limits, steps = p->trajectory_steps;
    int failed = 0;
    section(f, "Curves", "The number beside a name is the last value.");
    fputs("<div class=\"grid\">\n", f);
    if (p->trajectory) {
        failed |= chart(f, "Loss of the mixture", "loss", p->trajectory, steps, width, (double)NAN);
        for (int m = 0; m < metrics; m++)
            failed |=
                chart(f, mixture[m], "mixture", p->trajectory + 1 + m, steps, width, p->limits[m]);
    }
    for (int i = 0; i < EXPLORE_STAGES; i++)
        if (p->losses[i])
            failed |= chart(f, stages[i], "loss", p->losses[i], p->n_losses[i], 1, (double)NAN);
    fputs("</div>\n", f);
    return failed;
}

/* -- the page ---------------------------------------------------------------------------------- */

static void write_provenance(FILE *f, const struct explore_page *p)
{
    section(f, "Provenance", "The same command, inputs, seed and build give the same result.");
    fputs("<div class=\"card\">", f);
    if (p->command) {
        fputs("<pre><code>", f);
        html_text(f, p->command);
        fputs("</code></pre>", f);
    }
    fputs("<table class=\"key\">\n", f);
    write_rows(f, p->provenance, p->n_provenance);
    for (size_t i = 0; i < p->n_inputs; i++) {
        fputs("<tr><td>input</td><td>", f);
        html_text(f, p->inputs[i].name);
        fprintf(f, " (%llu bytes)</td></tr>\n", (unsigned long long)p->inputs[i].bytes);
    }
    fputs("</table></div>\n", f);
}

static int write_page(FILE *f, const void *page)
{
    const struct explore_page *p = page;
    write_head(f, p);
    write_cards(f, p);
    explore_write_verdict(f, p);
    write_choices(f, p);
    write_hardware(f, p);
    write_networks(f, p);
    int failed = explore_pareto_write(f, p);
    failed |= write_curves(f, p);
    write_provenance(f, p);
    fputs("</main>\n</body>\n</html>\n", f);
    return failed;
}

static int write_whole(FILE *f, const void *page)
{
    return html_page(f, write_page, page);
}

int explore_page_write(const struct explore_page *p, const char *path)
{
    return file_write_with(path, write_whole, p);
}
