/* The picture of a co-exploration: in each plane random pairs, what was looked at on the way, what was
 * found, the limits, and the front of all these points. */
#include <math.h>
#include <stdlib.h>

#include "explore_page.h"
#include "report_html.h"

enum {
    WIDTH = 640,
    HEIGHT = 400,
    LEFT = 60,
    RIGHT = 14,
    TOP = 12,
    BOTTOM = 50,
    TICKS = 32,
    LOSS = DFQ_EXPLORE_METRICS /* behind the metrics: what an axis shows */
};

static const char *const titles[] = {"Latency", "Energy", "Area", "Estimated loss"};
static const char *const words[] = {"latency", "energy", "area", "loss"};
static const char *const units[] = {"ms", "mJ", "mm\xc2\xb2"};

/* Metrics are logarithmic. */
struct axis {
    int of;
    double lo, hi;
};

struct plane {
    const struct explore_page *p;
    struct axis x, y;
};

static double value(const struct explore_pair *q, int of)
{
    return of == LOSS ? q->loss : q->costs[of];
}

static double scaled(const struct axis *a, double v)
{
    return a->of == LOSS ? v : log10(v);
}

static int drawable(const struct axis *a, double v)
{
    return isfinite(v) && (a->of == LOSS || v > 0);
}

static int has(const struct plane *s, const struct explore_pair *q)
{
    return drawable(&s->x, value(q, s->x.of)) && drawable(&s->y, value(q, s->y.of));
}

/* -- axes -------------------------------------------------------------------------------------- */

static void widen(struct axis *a, double v)
{
    if (!drawable(a, v)) return;
    a->lo = fmin(a->lo, scaled(a, v));
    a->hi = fmax(a->hi, scaled(a, v));
}

static void find_range(const struct explore_page *p, struct axis *a)
{
    a->lo = INFINITY, a->hi = -INFINITY;
    for (size_t i = 0; i < p->n_cloud; i++) widen(a, value(&p->cloud[i], a->of));
    for (size_t i = 0; i < p->n_looks; i++) widen(a, value(&p->looks[i], a->of));
    widen(a, value(&p->likeliest, a->of));
    widen(a, value(&p->found, a->of));
    if (a->of != LOSS) {
        widen(a, p->limits[a->of]);
        widen(a, p->tightest[a->of]);
        widen(a, p->least[a->of]);
    }
    if (!(a->hi > a->lo)) {
        double at = isfinite(a->lo) ? a->lo : 0;
        a->lo = at - 0.5, a->hi = at + 0.5;
    }
    double pad = 0.05 * (a->hi - a->lo);
    a->lo -= pad, a->hi += pad;
}

static double place_x(const struct plane *s, double v)
{
    double share = (scaled(&s->x, v) - s->x.lo) / (s->x.hi - s->x.lo);
    return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct plane *s, double v)
{
    double share = (s->y.hi - scaled(&s->y, v)) / (s->y.hi - s->y.lo);
    return TOP + share * (HEIGHT - TOP - BOTTOM);
}

/* Round values: 1, 2 and 5 of each power of ten over a wide logarithmic range, else even steps. */
static int find_ticks(const struct axis *a, double out[TICKS])
{
    static const double parts[] = {1, 2, 5};
    double range = a->hi - a->lo;
    int n = 0, wide = a->of != LOSS && range > 0.8;
    if (wide) {
        for (double e = floor(a->lo); e <= a->hi; e++)
            for (int k = 0; k < (range > 3 ? 1 : 3); k++) {
                double v = parts[k] * pow(10, e);
                if (n < TICKS && log10(v) >= a->lo && log10(v) <= a->hi) out[n++] = v;
            }
        return n;
    }
    double lo = a->of == LOSS ? a->lo : pow(10, a->lo), hi = a->of == LOSS ? a->hi : pow(10, a->hi);
    double rough = (hi - lo) / 5, unit = pow(10, floor(log10(rough)));
    double step = rough > 7 * unit     ? 10 * unit
                  : rough > 3 * unit   ? 5 * unit
                  : rough > 1.4 * unit ? 2 * unit
                                       : unit;
    for (double i = ceil(lo / step); i * step <= hi && n < TICKS; i++) out[n++] = i * step;
    return n;
}

/* html_number makes a minus of every hyphen: attributes around numbers are written apart. */
static void text_at(FILE *f, const char *style, double x, double y, const char *anchor)
{
    fprintf(f, "<text class=\"%s\" x=\"", style);
    html_number(f, "%.1f", x);
    fputs("\" y=\"", f);
    html_number(f, "%.1f", y);
    fprintf(f, "\" text-anchor=\"%s\">", anchor);
}

static void write_axis(FILE *f, const struct plane *s, const struct axis *a)
{
    double v[TICKS], right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    int n = find_ticks(a, v), x = a == &s->x;
    fputs("<path class=\"grid\" d=\"", f);
    for (int i = 0; i < n; i++) {
        html_number(f, "M%.1f ", x ? place_x(s, v[i]) : LEFT);
        html_number(f, "%.1f", x ? TOP : place_y(s, v[i]));
        html_number(f, x ? "V%.1f" : "H%.1f", x ? bottom : right);
    }
    fputs("\"/>", f);
    for (int i = 0; i < n; i++) {
        if (x)
            text_at(f, "tick", place_x(s, v[i]), bottom + 17, "middle");
        else
            text_at(f, "tick", LEFT - 7, place_y(s, v[i]) + 4, "end");
        html_number(f, "%.4g</text>", v[i]);
    }
    if (x)
        text_at(f, "tick", (LEFT + right) / 2, HEIGHT - 10, "middle");
    else
        fprintf(f,
                "<text class=\"tick\" transform=\"translate(14 %d)rotate(-90)\" "
                "text-anchor=\"middle\">",
                (TOP + HEIGHT - BOTTOM) / 2);
    fputs(titles[a->of], f);
    if (a->of != LOSS) fprintf(f, ", %s", units[a->of]);
    fputs("</text>\n", f);
}

/* -- limits ------------------------------------------------------------------------------------ */

/* The side of a limit where nothing may lie. */
static void shade(FILE *f, const struct plane *s, const struct axis *a)
{
    if (a->of == LOSS || isnan(s->p->limits[a->of])) return;
    double v = s->p->limits[a->of], right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    double from = a == &s->x ? place_x(s, v) : LEFT, to = a == &s->x ? bottom : place_y(s, v);
    fputs("<rect fill=\"var(--weak)\" opacity=\".08\"", f);
    html_number(f, " x=\"%.1f\"", from);
    html_number(f, " y=\"%.1f\"", TOP);
    html_number(f, " width=\"%.1f\"", right - from);
    html_number(f, " height=\"%.1f\"/>\n", to - TOP);
}

/* A value across the plane, with its name; `row` keeps names that are near each other apart. */
static void line(FILE *f, const struct plane *s, const struct axis *a, double v, int row,
                 const char *name, const char *style)
{
    double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    if (a->of == LOSS || !drawable(a, v)) return;
    int x = a == &s->x;
    double at = x ? place_x(s, v) : place_y(s, v);
    int before = x && at > (LEFT + right) / 2;
    fprintf(f, "<path fill=\"none\" stroke-width=\"1.5\" %s d=\"M", style);
    html_number(f, "%.1f ", x ? at : LEFT);
    html_number(f, "%.1f", x ? TOP : at);
    html_number(f, x ? "V%.1f\"/>" : "H%.1f\"/>", x ? bottom : right);
    if (x)
        text_at(f, "tick halo", before ? at - 5 : at + 5, TOP + 15 + 15 * row,
                before ? "end" : "start");
    else if (row == 0)
        text_at(f, "tick halo", right - 5, at - 5, "end");
    else
        text_at(f, "tick halo", LEFT + 5 + 140 * (row - 1), at - 5, "start");
    fprintf(f, "%s ", name);
    html_number(f, "%.4g", v);
    fprintf(f, " %s</text>\n", units[a->of]);
}

static void write_limits(FILE *f, const struct plane *s, const struct axis *a)
{
    const struct explore_page *p = s->p;
    if (a->of == LOSS) return;
    double tightest = p->tightest[a->of], least = p->least[a->of];
    line(f, s, a, p->limits[a->of], 0, "limit", EXPLORE_LIMIT);
    line(f, s, a, tightest, 1, "possible", EXPLORE_TIGHTEST);
    if (least != tightest) line(f, s, a, least, 2, "least", EXPLORE_LEAST);
}

/* -- points ------------------------------------------------------------------------------------ */

static void dot(FILE *f, const struct plane *s, const struct explore_pair *q, const char *rest)
{
    html_number(f, "<circle cx=\"%.1f\"", place_x(s, value(q, s->x.of)));
    html_number(f, " cy=\"%.1f\"", place_y(s, value(q, s->y.of)));
    fputs(rest, f);
}

static void tell(FILE *f, const struct plane *s, const struct explore_pair *q, const char *name)
{
    fprintf(f, "<title>%s: ", name);
    for (int k = 0; k < 2; k++) {
        const struct axis *a = k ? &s->y : &s->x;
        fprintf(f, "%s%s ", k ? ", " : "", words[a->of]);
        html_number(f, "%.4g", value(q, a->of));
        if (a->of != LOSS) fprintf(f, " %s", units[a->of]);
    }
    fputs("</title>", f);
}

static void write_cloud(FILE *f, const struct plane *s)
{
    fputs("<g fill=\"var(--soft)\" opacity=\".4\">", f);
    for (size_t i = 0; i < s->p->n_cloud; i++)
        if (has(s, &s->p->cloud[i])) dot(f, s, &s->p->cloud[i], " r=\"2\"/>");
    fputs("</g>\n", f);
}

/* In the order of the looks, from pale to full. */
static void write_looks(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    int down = 0;
    fputs("<path fill=\"none\" stroke=\"var(--c4)\" opacity=\".35\" d=\"", f);
    for (size_t i = 0; i < p->n_looks; i++) {
        if (!has(s, &p->looks[i])) continue;
        html_number(f, down ? "L%.1f " : "M%.1f ", place_x(s, value(&p->looks[i], s->x.of)));
        html_number(f, "%.1f", place_y(s, value(&p->looks[i], s->y.of)));
        down = 1;
    }
    fputs("\"/>\n", f);
    for (size_t i = 0; i < p->n_looks; i++) {
        if (!has(s, &p->looks[i])) continue;
        html_number(f, "<g opacity=\"%.2f\">", 0.35 + 0.65 * (double)(i + 1) / (double)p->n_looks);
        dot(f, s, &p->looks[i], " r=\"3.5\" fill=\"var(--c4)\">");
        tell(f, s, &p->looks[i], "on the way");
        fputs("</circle></g>\n", f);
    }
}

static void write_found(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    if (has(s, &p->found)) {
        dot(f, s, &p->found, " r=\"6.5\" fill=\"var(--accent)\" stroke=\"var(--card)\">");
        tell(f, s, &p->found, p->verdict == DFQ_VERDICT_CERTIFIED ? "certified result" : "nearest");
        fputs("</circle>\n", f);
    }
    if (!has(s, &p->likeliest)) return;
    fputs("<path class=\"s3\" fill=\"none\" stroke-width=\"2\" d=\"M", f);
    html_number(f, "%.1f ", place_x(s, value(&p->likeliest, s->x.of)));
    html_number(f, "%.1f", place_y(s, value(&p->likeliest, s->y.of)) - 10);
    fputs("l10 10l-10 10l-10-10z\">", f);
    tell(f, s, &p->likeliest, "likeliest, before repair");
    fputs("</path>\n", f);
}

/* -- the front --------------------------------------------------------------------------------- */

struct spot {
    double x, y; /* on the paper */
};

/* From left to right, the best first: y grows downwards. */
static int by_x(const void *a, const void *b)
{
    const struct spot *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->y < q->y) - (p->y > q->y);
}

static size_t add(const struct plane *s, const struct explore_pair *q, size_t n, struct spot *out)
{
    if (!has(s, q)) return n;
    out[n] = (struct spot){place_x(s, value(q, s->x.of)), place_y(s, value(q, s->y.of))};
    return n + 1;
}

/* A staircase through the points that no other one is below and left of. 0, or -1 without memory. */
static int write_front(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    struct spot *v = malloc((p->n_cloud + p->n_looks + 2) * sizeof *v);
    size_t n = 0;
    if (!v) return -1;
    for (size_t i = 0; i < p->n_cloud; i++) n = add(s, &p->cloud[i], n, v);
    for (size_t i = 0; i < p->n_looks; i++) n = add(s, &p->looks[i], n, v);
    n = add(s, &p->likeliest, n, v);
    n = add(s, &p->found, n, v);
    qsort(v, n, sizeof *v, by_x);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[i].y > v[kept - 1].y) v[kept++] = v[i];
    fputs("<path class=\"line s2\" d=\"", f);
    for (size_t i = 0; i < kept; i++) {
        html_number(f, i ? "H%.1f" : "M%.1f ", v[i].x);
        html_number(f, i ? "V%.1f" : "%.1f", v[i].y);
    }
    if (kept > 0) html_number(f, "H%.1f", WIDTH - RIGHT);
    fputs("\"/><g fill=\"var(--c2)\">", f);
    for (size_t i = 0; i < kept; i++) {
        html_number(f, "<circle cx=\"%.1f\"", v[i].x);
        html_number(f, " cy=\"%.1f\" r=\"3\"/>", v[i].y);
    }
    fputs("</g>\n", f);
    free(v);
    return 0;
}

/* -- the picture ------------------------------------------------------------------------------- */

static int write_plane(FILE *f, const struct explore_page *p, int x, int y)
{
    struct plane s = {.p = p, .x = {.of = x}, .y = {.of = y}};
    find_range(p, &s.x);
    find_range(p, &s.y);
    fprintf(f,
            "<figure class=\"card\"><h3>%s over %s</h3><svg role=\"img\" viewBox=\"0 0 %d %d\">"
            "<title>%s over %s</title>\n",
            titles[y], words[x], WIDTH, HEIGHT, titles[y], words[x]);
    shade(f, &s, &s.x);
    shade(f, &s, &s.y);
    write_axis(f, &s, &s.x);
    write_axis(f, &s, &s.y);
    write_cloud(f, &s);
    int failed = write_front(f, &s);
    write_limits(f, &s, &s.x);
    write_limits(f, &s, &s.y);
    write_looks(f, &s);
    write_found(f, &s);
    fputs("</svg></figure>\n", f);
    return failed;
}

static void entry(FILE *f, const char *mark, const char *name)
{
    fprintf(f, "<span><svg viewBox=\"0 0 18 14\">%s</svg>%s</span>\n", mark, name);
}

static void line_entry(FILE *f, const char *style, const char *name)
{
    fprintf(f,
            "<span><svg viewBox=\"0 0 18 14\"><path fill=\"none\" stroke-width=\"1.5\" %s "
            "d=\"M0 7H18\"/></svg>%s</span>\n",
            style, name);
}

/* Whether one of v is drawn: those that are as the other ones are not. */
static int any(const double *v, const double *other)
{
    int n = 0;
    for (int m = 0; m < DFQ_EXPLORE_METRICS; m++) n += isfinite(v[m]) && v[m] != other[m];
    return n;
}

static void write_legend(FILE *f, const struct explore_page *p)
{
    int certified = p->verdict == DFQ_VERDICT_CERTIFIED;
    fputs("<p class=\"legend\">", f);
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"6\" fill=\"var(--accent)\"/>",
          certified ? "certified result" : "nearest that was found");
    entry(f, "<path class=\"s3\" fill=\"none\" stroke-width=\"2\" d=\"M9 1l6 6l-6 6l-6-6z\"/>",
          "likeliest choices at the end, before repair");
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"3.5\" fill=\"var(--c4)\"/>",
          "likeliest choices on the way, from pale to full");
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"2\" fill=\"var(--soft)\"/>", "random pairs");
    line_entry(f, "class=\"s2\"", "front of all points");
    line_entry(f, EXPLORE_LIMIT, "limit, beyond it shaded");
    if (!certified && any(p->tightest, p->limits))
        line_entry(f, EXPLORE_TIGHTEST, "possible while the other limits hold");
    if (!certified && any(p->least, p->tightest)) line_entry(f, EXPLORE_LEAST, "least of any pair");
    fputs("</p>\n", f);
}

int explore_pareto_write(FILE *f, const struct explore_page *p)
{
    int learned = isfinite(p->found.loss), failed = 0;
    if (!p->n_cloud) return 0;
    fprintf(f, "<h2>Trade-offs</h2>\n<p class=\"note\">%s</p>\n",
            learned ? "Exact costs, and the losses in the supernet that exploring has taught to "
                      "expect. The front of one plane knows nothing of limits in another."
                    : "Exact costs; of losses nothing was learned.");
    write_legend(f, p);
    fputs("<div class=\"grid\">\n", f);
    for (int m = 0; m < DFQ_EXPLORE_METRICS && learned; m++)
        if (m == DFQ_EXPLORE_LATENCY || !isnan(p->limits[m])) failed |= write_plane(f, p, m, LOSS);
    for (int m = DFQ_EXPLORE_ENERGY; m < DFQ_EXPLORE_METRICS; m++)
        if (!isnan(p->limits[m]) || (!learned && m == DFQ_EXPLORE_ENERGY))
            failed |= write_plane(f, p, DFQ_EXPLORE_LATENCY, m);
    fputs("</div>\n", f);
    return failed;
}
