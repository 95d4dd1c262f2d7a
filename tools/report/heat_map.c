/* Heat maps of the report: cells, axes, and a colour scale with numbers. Colours go from dark to
 * light, so their order is visible in both themes and without colour. */
#include <float.h>
#include <math.h>

#include "report/diagnostics.h"
#include "report/html.h"

enum {
    WIDTH = 480,
    HEIGHT = 390,
    LEFT = 44,
    TOP = 8,
    SIDE = 340, /* of the map */
    BAR = 408,  /* left edge of the scale */
    BAR_WIDTH = 14,
    STRIPS = 64,
    TICKS = 5,
    TITLES_UP_TO = 31 /* cells a side that tell their value under the pointer */
};

struct scale {
    double lo, hi; /* of the values, or of their logarithms */
    int log;
};

/* Logarithmic where values are positive and lie far apart. 0 where there is no value. */
static int find_scale(const struct report_surface *s, struct scale *c)
{
    double lo = DBL_MAX, hi = -DBL_MAX;
    for (size_t i = 0; i < s->side * s->side; i++) {
        double v = (double)s->value[i];
        if (!isfinite(v)) continue;
        lo = fmin(lo, v), hi = fmax(hi, v);
    }
    if (lo > hi) return 0;
    c->log = lo > 0 && hi / lo >= 20;
    c->lo = c->log ? log(lo) : lo;
    c->hi = c->log ? log(hi) : hi;
    return 1;
}

/* 0 to 1. */
static double along(const struct scale *c, double v)
{
    if (!(c->hi > c->lo)) return 0;
    return ((c->log ? log(v) : v) - c->lo) / (c->hi - c->lo);
}

/* Matplotlib's viridis at eight places, straight lines between them. */
static void put_colour(FILE *f, double t)
{
    static const unsigned char stops[8][3] = {{68, 1, 84},    {70, 50, 127},  {54, 92, 141},
                                              {39, 127, 142}, {31, 161, 135}, {74, 194, 109},
                                              {159, 218, 58}, {253, 231, 37}};
    double at = fmin(fmax(t, 0), 1) * 7;
    int i = at < 6 ? (int)at : 6;
    fputc('#', f);
    for (int k = 0; k < 3; k++) {
        double v = stops[i][k] + (at - i) * (stops[i + 1][k] - stops[i][k]);
        fprintf(f, "%02x", (unsigned)lround(v));
    }
}

/* Edge i of n pieces, in whole pixels: neighbours leave no gap. */
static int edge(size_t i, size_t n)
{
    return (int)(i * SIDE / n);
}

static void draw_cells(FILE *f, const struct report_surface *s, const struct scale *c)
{
    size_t n = s->side;
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < n; i++) {
            double v = (double)s->value[j * n + i];
            int x = LEFT + edge(i, n), y = TOP + SIDE - edge(j + 1, n);
            fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"", x, y,
                    edge(i + 1, n) - edge(i, n), edge(j + 1, n) - edge(j, n));
            if (isfinite(v)) {
                fputs(" fill=\"", f);
                put_colour(f, along(c, v));
                fputc('"', f);
            } else {
                fputs(" class=\"rest\"", f);
            }
            if (n > TITLES_UP_TO) {
                fputs("/>", f);
                continue;
            }
            fputs("><title>", f);
            html_general(f, v);
            fputs("</title></rect>", f);
        }
}

static void text_at(FILE *f, const char *anchor, int x, int y)
{
    fprintf(f, "<text class=\"tick\" text-anchor=\"%s\" x=\"%d\" y=\"%d\">", anchor, x, y);
}

/* The middles of the outermost cells are at -1 and 1. */
static void draw_axes(FILE *f, size_t n)
{
    static const char *const labels[TICKS] = {"\xe2\x88\x92"
                                              "1",
                                              "\xe2\x88\x92"
                                              "0.5",
                                              "0", "0.5", "1"};
    double cell = (double)SIDE / (double)n, first = cell / 2, span = SIDE - cell;
    for (int k = 0; k < TICKS; k++) {
        int at = (int)lround(first + span * k / (TICKS - 1));
        text_at(f, "middle", LEFT + at, TOP + SIDE + 17);
        fprintf(f, "%s</text>", labels[k]);
        text_at(f, "end", LEFT - 6, TOP + SIDE - at + 4);
        fprintf(f, "%s</text>", labels[k]);
        fprintf(f, "<path class=\"axis\" d=\"M%d %dv4M%d %dh-4\"/>", LEFT + at, TOP + SIDE,
                (int)LEFT, TOP + SIDE - at);
    }
    text_at(f, "middle", LEFT + SIDE / 2, TOP + SIDE + 36);
    fputs("along direction u</text>", f);
    fprintf(f,
            "<text class=\"tick\" text-anchor=\"middle\" transform=\"translate(12 %d) "
            "rotate(-90)\">along direction v</text>",
            TOP + SIDE / 2);
    /* the weights themselves */
    fprintf(f, "<circle class=\"here\" cx=\"%d\" cy=\"%d\" r=\"4\"/>", LEFT + SIDE / 2,
            TOP + SIDE / 2);
}

static void draw_strips(FILE *f)
{
    for (int k = 0; k < STRIPS; k++) {
        int top = SIDE - (k + 1) * SIDE / STRIPS, bottom = SIDE - k * SIDE / STRIPS;
        fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"", (int)BAR,
                TOP + top, (int)BAR_WIDTH, bottom - top);
        put_colour(f, (k + 0.5) / STRIPS);
        fputs("\"/>", f);
    }
}

static void label_scale(FILE *f, const struct scale *c)
{
    for (int k = 0; k < TICKS; k++) {
        double v = c->lo + (c->hi - c->lo) * k / (TICKS - 1);
        int shift = k == TICKS - 1 ? 10 : k > 0 ? 4 : 0; /* the ends stay inside */
        text_at(f, "start", BAR + BAR_WIDTH + 5, TOP + SIDE - SIDE * k / (TICKS - 1) + shift);
        html_number(f, "%.3g", c->log ? exp(v) : v);
        fputs("</text>", f);
    }
    text_at(f, "end", WIDTH - 2, TOP + SIDE + 36);
    fputs(c->log ? "loss, log scale</text>" : "loss</text>", f);
}

void html_heat_map(FILE *f, const struct report_surface *s)
{
    struct scale c;
    if (s->side < 2 || !find_scale(s, &c)) return;
    fputs("<figure class=\"card\"><h3>", f);
    html_text(f, s->title);
    fprintf(f, "</h3><svg class=\"heat\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
            (int)WIDTH, (int)HEIGHT);
    html_text(f, s->title);
    fputs("\"><g shape-rendering=\"crispEdges\">", f);
    draw_cells(f, s, &c);
    draw_strips(f);
    fputs("</g>", f);
    draw_axes(f, s->side);
    label_scale(f, &c);
    fputs("</svg></figure>\n", f);
}
