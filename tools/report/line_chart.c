/* The SVG charts of the report. They take their colours from the page's style sheet, so that they
 * follow light and dark. */
#include "report/html.h"

#include <float.h>
#include <math.h>

/* A length in the drawing; unlike in html_number the minus sign stays ASCII. */
static void coordinate(FILE *f, double v)
{
    char text[64];
    snprintf(text, sizeof text, "%.1f", v);
    for (char *c = text; *c; c++) fputc(*c == ',' ? '.' : *c, f);
}

/* ---- line charts ---- */

#define COLOURS 6
enum { WIDTH = 480, HEIGHT = 270, LEFT = 60, RIGHT = 14, TOP = 12, BOTTOM = 38, BUCKETS = 300 };

struct axis {
    double lo, hi; /* of the values, or of their logarithms to base ten */
    int log;
};

/* Also false for NaN. The limit keeps every difference of two values finite. */
static int usable(const struct report_chart *c, double x, double y)
{
    return fabs(x) < 1e300 && fabs(y) < 1e300 && (!c->log_y || y > 0);
}

static double along(const struct axis *a, double v)
{
    return ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo);
}

static double chart_x(const struct axis *a, double v)
{
    return LEFT + along(a, v) * (WIDTH - LEFT - RIGHT);
}

static double chart_y(const struct axis *a, double v)
{
    return HEIGHT - BOTTOM - along(a, v) * (HEIGHT - TOP - BOTTOM);
}

/* Ranges over every usable point; 0 where there is none. */
static int find_ranges(const struct report_chart *c, struct axis *x, struct axis *y)
{
    int any = 0;
    x->lo = y->lo = DBL_MAX;
    x->hi = y->hi = -DBL_MAX;
    x->log = 0;
    y->log = c->log_y;
    for (size_t s = 0; s < c->n_series; s++)
        for (size_t i = 0; i < c->series[s].n; i++) {
            double u = c->series[s].step[i], v = c->series[s].value[i];
            if (!usable(c, u, v)) continue;
            if (c->log_y) v = log10(v);
            any = 1;
            x->lo = fmin(x->lo, u), x->hi = fmax(x->hi, u);
            y->lo = fmin(y->lo, v), y->hi = fmax(y->hi, v);
        }
    return any;
}

/* A step of 1, 2 or 5 times a power of ten that cuts `span` into `parts` or somewhat fewer. */
static double nice_step(double span, int parts)
{
    double raw = span / parts, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1.0001 ? 1 : m <= 2.0001 ? 2 : m <= 5.0001 ? 5 : 10);
}

/* Widens a range to whole steps; returns the step. A logarithmic range of less than a decade and a
 * half keeps its ends and gets ticks at 1, 2 and 5 instead (step 0). */
static double settle(struct axis *a, int parts, int whole)
{
    if (a->log && a->hi - a->lo < 1.5) {
        /* Never under 0.4, the distance of 2 and 5: a tick is always in sight. */
        double pad = fmax((a->hi - a->lo) * 0.05, 0.2 - (a->hi - a->lo) / 2);
        a->lo -= pad, a->hi += pad;
        return 0;
    }
    if (a->hi - a->lo <= fabs(a->hi) * 1e-12 + 1e-300) {
        double pad = whole || a->hi == 0 ? 1 : fabs(a->hi) * 0.1;
        a->lo -= pad, a->hi += pad;
    }
    double step = nice_step(a->hi - a->lo, parts);
    if (a->log || (whole && step < 1)) step = fmax(1, ceil(step));
    if (!whole) {
        a->lo = floor(a->lo / step + 1e-9) * step;
        a->hi = ceil(a->hi / step - 1e-9) * step;
    }
    return step;
}

static void y_tick(FILE *f, const struct axis *a, double v)
{
    double y = chart_y(a, v);
    fprintf(f, "<path class=\"grid\" d=\"M%d ", (int)LEFT);
    coordinate(f, y);
    fprintf(f, "H%d\"/><text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"", WIDTH - RIGHT,
            LEFT - 7);
    coordinate(f, y + 4);
    fputs("\">", f);
    html_number(f, "%.6g", v);
    fputs("</text>", f);
}

static void x_tick(FILE *f, const struct axis *a, double v)
{
    fputs("<text class=\"tick\" text-anchor=\"middle\" x=\"", f);
    coordinate(f, chart_x(a, v));
    fprintf(f, "\" y=\"%d\">", HEIGHT - BOTTOM + 17);
    html_number(f, "%.6g", v);
    fputs("</text>", f);
}

static void draw_axes(FILE *f, const struct report_chart *c, struct axis *x, struct axis *y)
{
    double ystep = settle(y, 5, 0), xstep = settle(x, 6, 1);
    if (ystep == 0) {
        static const double marks[3] = {0, 0.30102999566398120, 0.69897000433601880};
        for (double d = floor(y->lo); d <= y->hi; d++)
            for (int k = 0; k < 3; k++)
                if (d + marks[k] >= y->lo && d + marks[k] <= y->hi)
                    y_tick(f, y, pow(10, d + marks[k]));
    } else {
        int count = (int)((y->hi - y->lo) / ystep + 1.5);
        for (int k = 0; k < count; k++) {
            double v = y->lo + k * ystep;
            if (fabs(v) < ystep * 1e-6) v = 0; /* not 1.3e-17 */
            if (!y->log)
                y_tick(f, y, v);
            else if (isnormal(pow(10, v)))
                y_tick(f, y, pow(10, v));
        }
    }
    double first = ceil(x->lo / xstep - 1e-9);
    int count = (int)(floor(x->hi / xstep + 1e-9) - first + 1.5);
    for (int k = 0; k < count; k++) x_tick(f, x, (first + k) * xstep);
    fprintf(f, "<path class=\"axis\" d=\"M%d %dH%d\"/>", (int)LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    fprintf(f, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%d\">", WIDTH - RIGHT,
            HEIGHT - 5);
    html_text(f, c->x_label);
    fputs(c->log_y ? "</text><text class=\"tick\" x=\"4\" y=\"265\">log scale</text>" : "</text>",
          f);
}

struct pen {
    FILE *f;
    int down;    /* the next point continues the line */
    double x, y; /* last point, and whether it stands alone so far */
    int alone;
};

static void pen_dot(struct pen *p)
{
    if (!p->alone) return;
    fputc('M', p->f); /* a line of no length: round caps make a dot of it */
    coordinate(p->f, p->x);
    fputc(' ', p->f);
    coordinate(p->f, p->y);
    fputs("h0", p->f);
    p->alone = 0;
}

static void pen_lift(struct pen *p)
{
    pen_dot(p);
    p->down = 0;
}

static void pen_to(struct pen *p, double x, double y)
{
    if (!p->down) {
        p->x = x, p->y = y;
        p->down = p->alone = 1;
        return;
    }
    if (p->alone) {
        fputc('M', p->f);
        coordinate(p->f, p->x);
        fputc(' ', p->f);
        coordinate(p->f, p->y);
        p->alone = 0;
    }
    fputc('L', p->f);
    coordinate(p->f, x);
    fputc(' ', p->f);
    coordinate(p->f, y);
}

/* Long series keep the lowest and the highest point of each bucket, in their order: the outline of
 * the curve stays, the file does not grow. */
static void draw_series(FILE *f, const struct report_chart *c, const struct report_series *s,
                        const struct axis *x, const struct axis *y)
{
    struct pen pen = {f, 0, 0, 0, 0};
    size_t stride = s->n > 2 * BUCKETS ? s->n / BUCKETS + 1 : 1;
    for (size_t i = 0; i < s->n; i += stride) {
        size_t end = s->n - i < stride ? s->n : i + stride, low = end, high = end;
        for (size_t j = i; j < end; j++) {
            if (!usable(c, s->step[j], s->value[j])) continue;
            if (low == end || s->value[j] < s->value[low]) low = j;
            if (high == end || s->value[j] > s->value[high]) high = j;
        }
        if (low == end) {
            pen_lift(&pen);
            continue;
        }
        size_t a = low < high ? low : high, b = low < high ? high : low;
        pen_to(&pen, chart_x(x, s->step[a]), chart_y(y, s->value[a]));
        if (b != a) pen_to(&pen, chart_x(x, s->step[b]), chart_y(y, s->value[b]));
    }
    pen_lift(&pen);
}

static double last_value(const struct report_chart *c, const struct report_series *s)
{
    for (size_t i = s->n; i-- > 0;)
        if (usable(c, s->step[i], s->value[i])) return s->value[i];
    return NAN;
}

int html_has_points(const struct report_chart *c)
{
    struct axis x, y;
    return find_ranges(c, &x, &y);
}

void html_line_chart(FILE *f, const struct report_chart *c)
{
    struct axis x, y;
    size_t unnamed = 0; /* they come first */
    if (!find_ranges(c, &x, &y)) return;
    fputs("<figure class=\"card\"><h3>", f);
    html_text(f, c->title);
    fputs("</h3><p class=\"legend\">", f);
    for (size_t s = 0; s < c->n_series; s++) {
        double v = last_value(c, &c->series[s]);
        if (!c->series[s].name) unnamed = s + 1;
        if (isnan(v) || !c->series[s].name) continue;
        fprintf(f, "<span><i class=\"b%d\"></i>", (int)((s - unnamed) % COLOURS));
        html_text(f, c->series[s].name);
        fputs(" <b>", f);
        html_general(f, v);
        fputs("</b></span>", f);
    }
    fprintf(f, "</p><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", (int)WIDTH,
            (int)HEIGHT);
    html_text(f, c->title);
    fputs("\">", f);
    draw_axes(f, c, &x, &y);
    for (size_t s = 0; s < c->n_series; s++) {
        if (isnan(last_value(c, &c->series[s]))) continue;
        if (!c->series[s].name) {
            fputs("<path class=\"line faint\" d=\"", f);
            draw_series(f, c, &c->series[s], &x, &y);
            fputs("\"/>", f);
            continue;
        }
        fprintf(f, "<path class=\"line s%d\" d=\"", (int)((s - unnamed) % COLOURS));
        draw_series(f, c, &c->series[s], &x, &y);
        fputs("\"><title>", f);
        html_text(f, c->series[s].name);
        fputs("</title></path>", f);
    }
    fputs("</svg></figure>\n", f);
}

/* ---- bars ---- */

#define WEAKEST 3

/* The value below or at which a layer counts among the weakest; nothing is marked in short lists.
 */
static double weak_limit(const struct report_layer *layers, size_t n)
{
    double low[WEAKEST] = {INFINITY, INFINITY, INFINITY};
    if (n < 3 * WEAKEST) return -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double v = layers[i].sqnr_db;
        for (int k = 0; k < WEAKEST; k++)
            if (v < low[k]) {
                double t = low[k];
                low[k] = v;
                v = t;
            }
    }
    return isfinite(low[WEAKEST - 1]) ? low[WEAKEST - 1] : -INFINITY;
}

void html_layer_bars(FILE *f, const struct report_layer *layers, size_t n)
{
    double top = 1, limit = weak_limit(layers, n);
    for (size_t i = 0; i < n; i++)
        if (isfinite(layers[i].sqnr_db)) top = fmax(top, layers[i].sqnr_db);
    fputs("<ol class=\"bars\">\n", f);
    for (size_t i = 0; i < n; i++) {
        double v = layers[i].sqnr_db;
        int weak = v <= limit || v < 0;
        double share = isnan(v) || v < 0 ? 0 : isinf(v) ? 1 : v / top;
        fprintf(f, "<li%s><span>", weak ? " class=\"weak\"" : "");
        html_text(f, layers[i].name);
        fputs("</span><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
              "<rect class=\"rest\" width=\"100\" height=\"1\"/><rect class=\"bar\" width=\"",
              f);
        coordinate(f, share * 100);
        fputs("\" height=\"1\"/></svg><b>", f);
        if (isfinite(v))
            html_number(f, "%.1f", v);
        else
            html_general(f, v);
        fputs("</b></li>\n", f);
    }
    fputs("</ol>", f);
}
