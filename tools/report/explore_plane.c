/* Axes of the picture of a co-exploration. */
#include "report/explore_plane.h"

#include <math.h>

#include "report/html.h"

enum { TICKS = 32 };

const char *const plane_titles[PLANE_LOSS + 1] = {"Latency", "Energy", "Area", "Estimated loss"};
const char *const plane_words[PLANE_LOSS + 1] = {"latency", "energy", "area", "loss"};
const char *const plane_units[PLANE_LOSS] = {"ms", "mJ", "mm\xc2\xb2"};

double plane_value(const struct explore_pair *q, int of)
{
    return of == PLANE_LOSS ? q->loss : q->costs[of];
}

static double scaled(const struct axis *a, double v)
{
    return a->of == PLANE_LOSS ? v : log10(v);
}

int plane_drawable(const struct axis *a, double v)
{
    return isfinite(v) && (a->of == PLANE_LOSS || v > 0);
}

int plane_has(const struct plane *s, const struct explore_pair *q)
{
    return plane_drawable(&s->x, plane_value(q, s->x.of)) &&
           plane_drawable(&s->y, plane_value(q, s->y.of));
}

/* -- axes -------------------------------------------------------------------------------------- */

static void widen(struct axis *a, double v)
{
    if (!plane_drawable(a, v)) return;
    a->lo = fmin(a->lo, scaled(a, v));
    a->hi = fmax(a->hi, scaled(a, v));
}

void plane_range(const struct explore_page *p, struct axis *a)
{
    a->lo = INFINITY, a->hi = -INFINITY;
    for (size_t i = 0; i < p->n_cloud; i++) widen(a, plane_value(&p->cloud[i], a->of));
    for (size_t i = 0; i < p->n_snapshots; i++) widen(a, plane_value(&p->snapshots[i], a->of));
    widen(a, plane_value(&p->likeliest, a->of));
    widen(a, plane_value(&p->result, a->of));
    if (a->of != PLANE_LOSS) {
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

double plane_x(const struct plane *s, double v)
{
    double share = (scaled(&s->x, v) - s->x.lo) / (s->x.hi - s->x.lo);
    return PLANE_LEFT + share * (PLANE_RIGHT - PLANE_LEFT);
}

double plane_y(const struct plane *s, double v)
{
    double share = (s->y.hi - scaled(&s->y, v)) / (s->y.hi - s->y.lo);
    return PLANE_TOP + share * (PLANE_BOTTOM - PLANE_TOP);
}

/* Round values: 1, 2 and 5 of each power of ten over a wide logarithmic range, else even steps. */
static int find_ticks(const struct axis *a, double out[TICKS])
{
    static const double parts[] = {1, 2, 5};
    double range = a->hi - a->lo;
    int n = 0, wide = a->of != PLANE_LOSS && range > 0.8;
    if (wide) {
        for (double e = floor(a->lo); e <= a->hi; e++)
            for (int k = 0; k < (range > 3 ? 1 : 3); k++) {
                double v = parts[k] * pow(10, e);
                if (n < TICKS && log10(v) >= a->lo && log10(v) <= a->hi) out[n++] = v;
            }
        return n;
    }
    double lo = a->of == PLANE_LOSS ? a->lo : pow(10, a->lo),
           hi = a->of == PLANE_LOSS ? a->hi : pow(10, a->hi);
    double rough = (hi - lo) / 5, unit = pow(10, floor(log10(rough)));
    double step = rough > 7 * unit     ? 10 * unit
                  : rough > 3 * unit   ? 5 * unit
                  : rough > 1.4 * unit ? 2 * unit
                                       : unit;
    for (double i = ceil(lo / step); i * step <= hi && n < TICKS; i++) out[n++] = i * step;
    return n;
}

void plane_text(FILE *f, const char *style, double x, double y, const char *anchor)
{
    fprintf(f, "<text class=\"%s\" x=\"", style);
    html_number(f, "%.1f", x);
    fputs("\" y=\"", f);
    html_number(f, "%.1f", y);
    fprintf(f, "\" text-anchor=\"%s\">", anchor);
}

void plane_axis(FILE *f, const struct plane *s, const struct axis *a)
{
    double v[TICKS], right = PLANE_RIGHT, bottom = PLANE_BOTTOM;
    int n = find_ticks(a, v), x = a == &s->x;
    fputs("<path class=\"grid\" d=\"", f);
    for (int i = 0; i < n; i++) {
        html_number(f, "M%.1f ", x ? plane_x(s, v[i]) : PLANE_LEFT);
        html_number(f, "%.1f", x ? PLANE_TOP : plane_y(s, v[i]));
        html_number(f, x ? "V%.1f" : "H%.1f", x ? bottom : right);
    }
    fputs("\"/>", f);
    for (int i = 0; i < n; i++) {
        if (x)
            plane_text(f, "tick", plane_x(s, v[i]), bottom + 17, "middle");
        else
            plane_text(f, "tick", PLANE_LEFT - 7, plane_y(s, v[i]) + 4, "end");
        html_number(f, "%.4g</text>", v[i]);
    }
    if (x)
        plane_text(f, "tick", (PLANE_LEFT + right) / 2, PLANE_HEIGHT - 10, "middle");
    else
        fprintf(f,
                "<text class=\"tick\" transform=\"translate(14 %d)rotate(-90)\" "
                "text-anchor=\"middle\">",
                (PLANE_TOP + PLANE_BOTTOM) / 2);
    fputs(plane_titles[a->of], f);
    if (a->of != PLANE_LOSS) fprintf(f, ", %s", plane_units[a->of]);
    fputs("</text>\n", f);
}
