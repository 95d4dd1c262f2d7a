/* Line and bar charts as SVG. Colours come from the page's style sheet, so they follow the light or
 * dark theme. */
#include <math.h>

#include "report/axis.h"
#include "report/html.h"

/* ---- line charts ---- */

#define COLOURS 6
enum { WIDTH = 480, HEIGHT = 270, LEFT = 60, RIGHT = 14, TOP = 12, BOTTOM = 38, BUCKETS = 300 };

/* A chart with its axes. */
struct view {
    const struct report_chart *c;
    struct axis x, y;
};

static int can_draw(const struct view *w, const struct report_series *s, size_t i)
{
    return axis_takes(&w->x, s->step[i]) && axis_takes(&w->y, s->value[i]);
}

/* Steps are whole numbers, costs are not. */
static int is_whole(const struct report_chart *c)
{
    for (size_t k = 0; k < c->n_series; k++)
        for (size_t i = 0; i < c->series[k].n; i++) {
            double x = c->series[k].step[i];
            if (isfinite(x) && x != floor(x)) return 0;
        }
    return 1;
}

/* Ranges over all points that can be drawn. */
static struct view view_of(const struct report_chart *c)
{
    struct view w = {.c = c,
                     .x = axis_make(LEFT, WIDTH - RIGHT, 0),
                     .y = axis_make(HEIGHT - BOTTOM, TOP, c->log_y)};
    w.x.whole = is_whole(c);
    for (size_t k = 0; k < c->n_series; k++) {
        const struct report_series *s = &c->series[k];
        for (size_t i = 0; i < s->n; i++) {
            if (!can_draw(&w, s, i)) continue;
            axis_widen(&w.x, s->step[i]);
            axis_widen(&w.y, s->value[i]);
        }
    }
    return w;
}

static void draw_axes(FILE *f, struct view *w)
{
    axis_round(&w->x, 6);
    axis_round(&w->y, 5);
    axis_draw_y(f, &w->x, &w->y, 1);
    axis_draw_x(f, &w->x, &w->y, 0);
    fprintf(f, "<path class=\"axis\" d=\"M%d %dH%d\"/>", (int)LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    axis_text(f, "tick", WIDTH - RIGHT, HEIGHT - 5, "end");
    html_text(f, w->c->x_label);
    fputs("</text>", f);
    if (!w->y.log) return;
    axis_text(f, "tick", 4, HEIGHT - 5, "start");
    fputs("log scale</text>", f);
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
    html_coordinate(p->f, p->x);
    fputc(' ', p->f);
    html_coordinate(p->f, p->y);
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
        html_coordinate(p->f, p->x);
        fputc(' ', p->f);
        html_coordinate(p->f, p->y);
        p->alone = 0;
    }
    fputc('L', p->f);
    html_coordinate(p->f, x);
    fputc(' ', p->f);
    html_coordinate(p->f, y);
}

/* Long series keep the lowest and the highest point of each bucket, in their order: the outline of
 * the curve stays, the file does not grow. */
static void draw_series(FILE *f, const struct view *w, const struct report_series *s)
{
    struct pen pen = {f, 0, 0, 0, 0};
    size_t stride = s->n > 2 * BUCKETS ? s->n / BUCKETS + 1 : 1;
    for (size_t i = 0; i < s->n; i += stride) {
        size_t end = s->n - i < stride ? s->n : i + stride, low = end, high = end;
        for (size_t j = i; j < end; j++) {
            if (!can_draw(w, s, j)) continue;
            if (low == end || s->value[j] < s->value[low]) low = j;
            if (high == end || s->value[j] > s->value[high]) high = j;
        }
        if (low == end) {
            pen_lift(&pen);
            continue;
        }
        size_t a = low < high ? low : high, b = low < high ? high : low;
        pen_to(&pen, axis_at(&w->x, s->step[a]), axis_at(&w->y, s->value[a]));
        if (b != a) pen_to(&pen, axis_at(&w->x, s->step[b]), axis_at(&w->y, s->value[b]));
    }
    pen_lift(&pen);
}

static double last_value(const struct view *w, const struct report_series *s)
{
    for (size_t i = s->n; i-- > 0;)
        if (can_draw(w, s, i)) return s->value[i];
    return NAN;
}

int html_has_points(const struct report_chart *c)
{
    struct view w = view_of(c);
    return !axis_empty(&w.x);
}

void html_line_chart(FILE *f, const struct report_chart *c)
{
    struct view w = view_of(c);
    size_t unnamed = 0; /* they come first */
    if (axis_empty(&w.x)) return;
    fputs("<figure class=\"card\"><h3>", f);
    html_text(f, c->title);
    fputs("</h3><p class=\"legend\">", f);
    for (size_t s = 0; s < c->n_series; s++) {
        double v = last_value(&w, &c->series[s]);
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
    draw_axes(f, &w);
    for (size_t s = 0; s < c->n_series; s++) {
        if (isnan(last_value(&w, &c->series[s]))) continue;
        if (!c->series[s].name) {
            fputs("<path class=\"line faint\" d=\"", f);
            draw_series(f, &w, &c->series[s]);
            fputs("\"/>", f);
            continue;
        }
        fprintf(f, "<path class=\"line s%d\" d=\"", (int)((s - unnamed) % COLOURS));
        draw_series(f, &w, &c->series[s]);
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
        html_coordinate(f, share * 100);
        fputs("\" height=\"1\"/></svg><b>", f);
        if (isfinite(v))
            html_number(f, "%.1f", v);
        else
            html_general(f, v);
        fputs("</b></li>\n", f);
    }
    fputs("</ol>", f);
}
