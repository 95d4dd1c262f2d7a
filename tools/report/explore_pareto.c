/* Pareto plots of a co-exploration. Each plane shows random pairs, the snapshots of the search, its
 * result, the limits, and the Pareto front of all these points. */
#include <math.h>
#include <stdlib.h>

#include "report/explore_plane.h"
#include "report/html.h"

/* -- limits ------------------------------------------------------------------------------------ */

/* The side of a limit where nothing may lie. */
static void shade(FILE *f, const struct plane *s, const struct plane_axis *a)
{
    if (a->of == PLANE_LOSS || isnan(s->p->limits[a->of])) return;
    double v = s->p->limits[a->of], right = PLANE_RIGHT, bottom = PLANE_BOTTOM;
    double from = a == &s->x ? plane_x(s, v) : PLANE_LEFT, to = a == &s->x ? bottom : plane_y(s, v);
    fputs("<rect fill=\"var(--weak)\" opacity=\".08\"", f);
    html_number(f, " x=\"%.1f\"", from);
    html_number(f, " y=\"%.1f\"", PLANE_TOP);
    html_number(f, " width=\"%.1f\"", right - from);
    html_number(f, " height=\"%.1f\"/>\n", to - PLANE_TOP);
}

/* A value across the plane, with its name; `row` keeps names that are near each other apart. */
static void line(FILE *f, const struct plane *s, const struct plane_axis *a, double v, int row,
                 const char *name, const char *style)
{
    double right = PLANE_RIGHT, bottom = PLANE_BOTTOM;
    if (a->of == PLANE_LOSS || !axis_takes(&a->axis, v)) return;
    int x = a == &s->x;
    double at = x ? plane_x(s, v) : plane_y(s, v);
    int before = x && at > (PLANE_LEFT + right) / 2;
    fprintf(f, "<path fill=\"none\" stroke-width=\"1.5\" %s d=\"M", style);
    html_number(f, "%.1f ", x ? at : PLANE_LEFT);
    html_number(f, "%.1f", x ? PLANE_TOP : at);
    html_number(f, x ? "V%.1f\"/>" : "H%.1f\"/>", x ? bottom : right);
    if (x)
        axis_text(f, "tick halo", before ? at - 5 : at + 5, PLANE_TOP + 15 + 15 * row,
                  before ? "end" : "start");
    else if (row == 0)
        axis_text(f, "tick halo", right - 5, at - 5, "end");
    else
        axis_text(f, "tick halo", PLANE_LEFT + 5 + 140 * (row - 1), at - 5, "start");
    fprintf(f, "%s ", name);
    html_number(f, "%.4g", v);
    fprintf(f, " %s</text>\n", plane_units[a->of]);
}

static void write_limits(FILE *f, const struct plane *s, const struct plane_axis *a)
{
    const struct explore_page *p = s->p;
    if (a->of == PLANE_LOSS) return;
    double tightest = p->tightest[a->of], least = p->least[a->of];
    line(f, s, a, p->limits[a->of], 0, "limit", EXPLORE_LIMIT);
    line(f, s, a, tightest, 1, "possible", EXPLORE_TIGHTEST);
    if (least != tightest) line(f, s, a, least, 2, "least", EXPLORE_LEAST);
}

/* -- points ------------------------------------------------------------------------------------ */

static void dot(FILE *f, const struct plane *s, const struct explore_pair *q, const char *rest)
{
    html_number(f, "<circle cx=\"%.1f\"", plane_x(s, plane_value(q, s->x.of)));
    html_number(f, " cy=\"%.1f\"", plane_y(s, plane_value(q, s->y.of)));
    fputs(rest, f);
}

static void tell(FILE *f, const struct plane *s, const struct explore_pair *q, const char *name)
{
    fprintf(f, "<title>%s: ", name);
    for (int k = 0; k < 2; k++) {
        const struct plane_axis *a = k ? &s->y : &s->x;
        fprintf(f, "%s%s ", k ? ", " : "", plane_words[a->of]);
        html_number(f, "%.4g", plane_value(q, a->of));
        if (a->of != PLANE_LOSS) fprintf(f, " %s", plane_units[a->of]);
    }
    fputs("</title>", f);
}

static void write_cloud(FILE *f, const struct plane *s)
{
    fputs("<g fill=\"var(--soft)\" opacity=\".4\">", f);
    for (size_t i = 0; i < s->p->n_cloud; i++)
        if (plane_has(s, &s->p->cloud[i])) dot(f, s, &s->p->cloud[i], " r=\"2\"/>");
    fputs("</g>\n", f);
}

/* In the order of the snapshots, from pale to full. */
static void write_snapshots(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    int down = 0;
    fputs("<path fill=\"none\" stroke=\"var(--c4)\" opacity=\".35\" d=\"", f);
    for (size_t i = 0; i < p->n_snapshots; i++) {
        if (!plane_has(s, &p->snapshots[i])) continue;
        html_number(f, down ? "L%.1f " : "M%.1f ",
                    plane_x(s, plane_value(&p->snapshots[i], s->x.of)));
        html_number(f, "%.1f", plane_y(s, plane_value(&p->snapshots[i], s->y.of)));
        down = 1;
    }
    fputs("\"/>\n", f);
    for (size_t i = 0; i < p->n_snapshots; i++) {
        if (!plane_has(s, &p->snapshots[i])) continue;
        html_number(f, "<g opacity=\"%.2f\">",
                    0.35 + 0.65 * (double)(i + 1) / (double)p->n_snapshots);
        dot(f, s, &p->snapshots[i], " r=\"3.5\" fill=\"var(--c4)\">");
        tell(f, s, &p->snapshots[i], "during the search");
        fputs("</circle></g>\n", f);
    }
}

static void write_found(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    if (plane_has(s, &p->result)) {
        dot(f, s, &p->result, " r=\"6.5\" fill=\"var(--accent)\" stroke=\"var(--card)\">");
        tell(f, s, &p->result,
             p->verdict == DFQ_VERDICT_CERTIFIED ? "certified result" : "closest");
        fputs("</circle>\n", f);
    }
    if (!plane_has(s, &p->likeliest)) return;
    fputs("<path class=\"s3\" fill=\"none\" stroke-width=\"2\" d=\"M", f);
    html_number(f, "%.1f ", plane_x(s, plane_value(&p->likeliest, s->x.of)));
    html_number(f, "%.1f", plane_y(s, plane_value(&p->likeliest, s->y.of)) - 10);
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
    if (!plane_has(s, q)) return n;
    out[n] =
        (struct spot){plane_x(s, plane_value(q, s->x.of)), plane_y(s, plane_value(q, s->y.of))};
    return n + 1;
}

/* A staircase through the points that no other one is below and left of. 0, or -1 without
 * memory. */
static int write_front(FILE *f, const struct plane *s)
{
    const struct explore_page *p = s->p;
    struct spot *v = malloc((p->n_cloud + p->n_snapshots + 2) * sizeof *v);
    size_t n = 0;
    if (!v) return -1;
    for (size_t i = 0; i < p->n_cloud; i++) n = add(s, &p->cloud[i], n, v);
    for (size_t i = 0; i < p->n_snapshots; i++) n = add(s, &p->snapshots[i], n, v);
    n = add(s, &p->likeliest, n, v);
    n = add(s, &p->result, n, v);
    qsort(v, n, sizeof *v, by_x);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[i].y > v[kept - 1].y) v[kept++] = v[i];
    fputs("<path class=\"line s2\" d=\"", f);
    for (size_t i = 0; i < kept; i++) {
        html_number(f, i ? "H%.1f" : "M%.1f ", v[i].x);
        html_number(f, i ? "V%.1f" : "%.1f", v[i].y);
    }
    if (kept > 0) html_number(f, "H%.1f", PLANE_RIGHT);
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
    struct plane s = plane_make(p, x, y);
    fprintf(f,
            "<figure class=\"card\"><h3>%s over %s</h3><svg role=\"img\" viewBox=\"0 0 %d %d\">"
            "<title>%s over %s</title>\n",
            plane_titles[y], plane_words[x], PLANE_WIDTH, PLANE_HEIGHT, plane_titles[y],
            plane_words[x]);
    shade(f, &s, &s.x);
    shade(f, &s, &s.y);
    plane_axes(f, &s);
    write_cloud(f, &s);
    int failed = write_front(f, &s);
    write_limits(f, &s, &s.x);
    write_limits(f, &s, &s.y);
    write_snapshots(f, &s);
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
    for (int m = 0; m < EXPLORE_METRICS; m++) n += isfinite(v[m]) && v[m] != other[m];
    return n;
}

static void write_legend(FILE *f, const struct explore_page *p)
{
    int certified = p->verdict == DFQ_VERDICT_CERTIFIED;
    fputs("<p class=\"legend\">", f);
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"6\" fill=\"var(--accent)\"/>",
          certified ? "certified result" : "closest choices found");
    entry(f, "<path class=\"s3\" fill=\"none\" stroke-width=\"2\" d=\"M9 1l6 6l-6 6l-6-6z\"/>",
          "likeliest choices at the end, before repair");
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"3.5\" fill=\"var(--c4)\"/>",
          "likeliest choices during the search, later ones darker");
    entry(f, "<circle cx=\"9\" cy=\"7\" r=\"2\" fill=\"var(--soft)\"/>", "random choices");
    line_entry(f, "class=\"s2\"", "Pareto front of all points");
    line_entry(f, EXPLORE_LIMIT, "limit, violations shaded");
    if (!certified && any(p->tightest, p->limits))
        line_entry(f, EXPLORE_TIGHTEST, "least within the other limits");
    if (!certified && any(p->least, p->tightest))
        line_entry(f, EXPLORE_LEAST, "least of all choices");
    fputs("</p>\n", f);
}

int explore_pareto_write(FILE *f, const struct explore_page *p)
{
    int learned = isfinite(p->result.loss), failed = 0;
    if (!p->n_cloud) return 0;
    fprintf(f, "<h2>Trade-offs</h2>\n<p class=\"note\">%s</p>\n",
            learned ? "Costs are exact; losses are the search's estimates from the supernet. The "
                      "front of a chart ignores limits on metrics that the chart does not show."
                    : "Costs are exact; the search made no estimates of losses.");
    write_legend(f, p);
    fputs("<div class=\"grid\">\n", f);
    for (int m = 0; m < EXPLORE_METRICS && learned; m++)
        if (m == DFQ_EXPLORE_LATENCY || !isnan(p->limits[m]))
            failed |= write_plane(f, p, m, PLANE_LOSS);
    for (int m = DFQ_EXPLORE_ENERGY; m < EXPLORE_METRICS; m++)
        if (!isnan(p->limits[m]) || (!learned && m == DFQ_EXPLORE_ENERGY))
            failed |= write_plane(f, p, DFQ_EXPLORE_LATENCY, m);
    fputs("</div>\n", f);
    return failed;
}
