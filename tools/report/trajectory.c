/* Writes the trajectory of a search as CSV, and as SVG with a panel for the loss, for each cost,
 * and for what the rule knows of each limit (delta of the constraint gradient, price). The
 * SVG has its own colours for both themes, because it is not part of a page. */
#include "report/trajectory.h"

#include <math.h>

#include "report/axis.h"
#include "report/html.h"

enum {
    WIDTH = 640,
    HEIGHT = 150,
    LEFT = 70,
    RIGHT = 14,
    TOP = 24,
    BOTTOM = 8,
    FOOT = 26,
    POINTS = 600
};

static int64_t width(const struct trajectory *t)
{
    return 1 + t->n_metrics + t->n_limits;
}

static double value(const struct trajectory *t, int64_t step, int64_t column)
{
    return (double)t->rows[step * width(t) + column];
}

/* A number with a point whatever the locale; nothing for NaN. */
static void number(FILE *f, const char *format, double v)
{
    char text[64];
    if (!isfinite(v)) return;
    snprintf(text, sizeof text, format, v);
    for (char *c = text; *c; c++) fputc(*c == ',' ? '.' : *c, f);
}

/* A field of a CSV file, quoted. */
static void quoted(FILE *f, const char *before, const char *name)
{
    fprintf(f, ",\"%s", before);
    for (; *name; name++) {
        if (*name == '"') fputc('"', f);
        fputc(*name, f);
    }
    fputc('"', f);
}

void trajectory_csv(FILE *f, const struct trajectory *t)
{
    fputs("step,loss", f);
    for (int32_t j = 0; j < t->n_metrics; j++) quoted(f, "", t->names[j]);
    for (int32_t j = 0; j < t->n_limits; j++) quoted(f, "limit of ", t->names[t->metric[j]]);
    for (int32_t j = 0; j < t->n_limits; j++) {
        char before[32];
        snprintf(before, sizeof before, "%s of ", t->by_limit);
        quoted(f, before, t->names[t->metric[j]]);
    }
    fputc('\n', f);
    for (int64_t i = 0; i < t->steps; i++) {
        fprintf(f, "%lld", (long long)i);
        for (int64_t c = 0; c < width(t); c++) {
            for (int32_t j = 0; c == 1 + t->n_metrics && j < t->n_limits; j++) {
                fputc(',', f);
                number(f, "%.9g", t->limit[j]);
            }
            fputc(',', f);
            number(f, "%.9g", value(t, i, c));
        }
        fputc('\n', f);
    }
}

/* -- drawing ----------------------------------------------------------------------------------- */

/* One panel: some columns over the steps, and a limit or NaN. */
struct panel {
    const char *name;
    int64_t first, count;
    double limit, top;
    int log;
    struct axis y;
};

static void find_range(const struct trajectory *t, struct panel *p)
{
    p->y = axis_make(p->top + HEIGHT - BOTTOM, p->top + TOP, p->log);
    for (int64_t c = p->first; c < p->first + p->count; c++)
        for (int64_t i = 0; i < t->steps; i++) axis_widen(&p->y, value(t, i, c));
    axis_widen(&p->y, p->limit);
    axis_pad(&p->y, 0.06);
}

static void ticks(FILE *f, const struct panel *p)
{
    double v[AXIS_TICKS];
    int n = axis_ticks(&p->y, 4, v);
    for (int i = 0; i < n; i++) {
        axis_text(f, "t", LEFT - 6, axis_at(&p->y, v[i]) + 4, "end");
        number(f, "%.6g", v[i]);
        fputs("</text>", f);
    }
}

static void curve(FILE *f, const struct trajectory *t, const struct panel *p, int64_t column)
{
    int64_t stride = 1 + (t->steps - 1) / POINTS;
    int down = 0;
    fprintf(f, "<path class=\"c%d\" d=\"", (int)(column - p->first) % 4);
    for (int64_t i = 0; i < t->steps; i += stride) {
        double v = value(t, i, column);
        if (!axis_takes(&p->y, v)) {
            down = 0;
            continue;
        }
        fputc(down ? 'L' : 'M', f);
        html_coordinate(f, LEFT + (double)i / fmax((double)(t->steps - 1), 1) *
                                      (WIDTH - LEFT - RIGHT));
        fputc(' ', f);
        html_coordinate(f, axis_at(&p->y, v));
        down = 1;
    }
    fputs("\"/>", f);
}

static void draw(FILE *f, const struct trajectory *t, struct panel *p)
{
    find_range(t, p);
    fprintf(f, "<text x=\"%d\" y=\"%d\">", LEFT, (int)p->top + TOP - 8);
    html_text(f, p->name);
    fprintf(f, "</text><rect class=\"f\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", LEFT,
            (int)p->top + TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    ticks(f, p);
    if (isfinite(p->limit)) {
        fprintf(f, "<path class=\"l\" d=\"M%d ", LEFT);
        html_coordinate(f, axis_at(&p->y, p->limit));
        fprintf(f, "H%d\"><title>limit ", WIDTH - RIGHT);
        number(f, "%.6g", p->limit);
        fputs("</title></path>", f);
    }
    for (int64_t c = p->first; c < p->first + p->count && t->steps > 0; c++) curve(f, t, p, c);
    fputc('\n', f);
}

void trajectory_svg(FILE *f, const struct trajectory *t)
{
    int panels = 1 + t->n_metrics + (t->n_limits > 0), height = panels * HEIGHT + FOOT;
    struct panel p = {.name = "task loss", .first = 0, .count = 1, .limit = NAN};
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" "
            "font-size=\"12\">\n<title>",
            WIDTH, height);
    html_text(f, t->title);
    fputs("</title>\n<style>.f,path{fill:none}.f{stroke:#8888}text{fill:#222}.t{font-size:11px}"
          ".l{stroke:#c22;stroke-dasharray:6 4}.c0{stroke:#27c}.c1{stroke:#d70}.c2{stroke:#296}"
          ".c3{stroke:#849}svg{background:#fff}@media(prefers-color-scheme:dark){svg{background:#"
          "181818}"
          "text{fill:#ddd}.l{stroke:#f66}.c0{stroke:#6af}}</style>\n",
          f);
    draw(f, t, &p);
    for (int32_t m = 0; m < t->n_metrics; m++) {
        p = (struct panel){
            .name = t->names[m], .first = 1 + m, .count = 1, .limit = NAN, .top = (1 + m) * HEIGHT};
        for (int32_t j = 0; j < t->n_limits; j++)
            if (t->metric[j] == m) p.limit = t->limit[j];
        draw(f, t, &p);
    }
    p = (struct panel){.name = t->by_limit,
                       .first = 1 + t->n_metrics,
                       .count = t->n_limits,
                       .limit = NAN,
                       .top = (panels - 1) * HEIGHT,
                       .log = 1};
    if (t->n_limits > 0) draw(f, t, &p);
    fprintf(f, "<text class=\"t\" text-anchor=\"end\" x=\"%d\" y=\"%d\">step %lld</text>\n</svg>\n",
            WIDTH - RIGHT, height - 10, (long long)t->steps);
}
