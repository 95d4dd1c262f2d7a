/* Axes of charts: ranges, ticks, positions. */
#include "report/axis.h"

#include <math.h>

#include "report/html.h"

enum { PARTS_X = 6, PARTS_Y = 5 };

static const double decades_of_125 = 3, decades_of_values = 0.8; /* how far which ticks go */

/* -- ranges ------------------------------------------------------------------------------------ */

struct axis axis_make(double from, double to, int log)
{
    return (struct axis){.lo = INFINITY, .hi = -INFINITY, .from = from, .to = to, .log = log};
}

int axis_empty(const struct axis *a)
{
    return !(a->lo <= a->hi);
}

int axis_takes(const struct axis *a, double v)
{
    return fabs(v) < 1e300 && (!a->log || v > 0);
}

void axis_widen(struct axis *a, double v)
{
    if (!axis_takes(a, v)) return;
    if (a->log) v = log10(v);
    a->lo = fmin(a->lo, v), a->hi = fmax(a->hi, v);
}

void axis_pad(struct axis *a, double share)
{
    if (axis_empty(a)) a->lo = a->hi = 0;
    double range = a->hi - a->lo, pad = share * range;
    if (a->log)
        pad = fmax(pad, 0.05 - range / 2);
    else if (range <= fabs(a->hi) * 1e-12 + 1e-300)
        pad = a->whole || a->hi == 0 ? 1 : fabs(a->hi) * 0.1;
    a->lo -= pad, a->hi += pad;
}

/* A step of 1, 2 or 5 times a power of ten that cuts `range` into `parts` or somewhat fewer. */
static double nice_step(double range, int parts)
{
    double raw = range / parts, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1.0001 ? 1 : m <= 2.0001 ? 2 : m <= 5.0001 ? 5 : 10);
}

/* The distance of ticks on paper: of values, or of decades. */
static double step_of(const struct axis *a, int parts)
{
    if (a->step > 0) return a->step;
    double step = nice_step(a->hi - a->lo, parts);
    return a->log || a->whole ? fmax(1, ceil(step)) : step;
}

void axis_round(struct axis *a, int parts)
{
    if (a->log && a->hi - a->lo <= decades_of_125) {
        axis_pad(a, 0.05);
        return;
    }
    axis_pad(a, 0);
    if (a->whole) return;
    a->step = step_of(a, parts);
    a->lo = floor(a->lo / a->step + 1e-9) * a->step;
    a->hi = ceil(a->hi / a->step - 1e-9) * a->step;
}

/* -- ticks ------------------------------------------------------------------------------------- */

static int multiples(double lo, double hi, double step, double out[AXIS_TICKS])
{
    double first = ceil(lo / step - 1e-9), last = floor(hi / step + 1e-9);
    int n = 0;
    for (; n < AXIS_TICKS && first + n <= last; n++) {
        out[n] = (first + n) * step;
        if (fabs(out[n]) < step * 1e-6) out[n] = 0; /* not 1.3e-17 */
    }
    return n;
}

static int parts_of_decades(const struct axis *a, double out[AXIS_TICKS])
{
    static const double parts[] = {1, 2, 5};
    int n = 0;
    for (double e = floor(a->lo); e <= a->hi; e++)
        for (int k = 0; k < 3; k++) {
            double v = parts[k] * pow(10, e);
            if (n < AXIS_TICKS && log10(v) >= a->lo && log10(v) <= a->hi) out[n++] = v;
        }
    return n;
}

int axis_ticks(const struct axis *a, int parts, double out[AXIS_TICKS])
{
    if (!a->log) return multiples(a->lo, a->hi, step_of(a, parts), out);
    double range = a->hi - a->lo;
    if (range <= decades_of_values) {
        double lo = pow(10, a->lo), hi = pow(10, a->hi);
        return hi > lo ? multiples(lo, hi, nice_step(hi - lo, parts), out) : 0;
    }
    if (range <= decades_of_125) return parts_of_decades(a, out);
    int n = multiples(a->lo, a->hi, step_of(a, parts), out), kept = 0;
    for (int i = 0; i < n; i++)
        if (isnormal(pow(10, out[i]))) out[kept++] = pow(10, out[i]);
    return kept;
}

double axis_at(const struct axis *a, double v)
{
    return a->from + ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

/* -- drawing ----------------------------------------------------------------------------------- */

void axis_text(FILE *f, const char *style, double x, double y, const char *anchor)
{
    fprintf(f, "<text class=\"%s\" text-anchor=\"%s\" x=\"", style, anchor);
    html_coordinate(f, x);
    fputs("\" y=\"", f);
    html_coordinate(f, y);
    fputs("\">", f);
}

/* A line from (x, y) to the end of the other axis, by V or H. */
static void grid_line(FILE *f, double x, double y, char command, double end)
{
    fputs("<path class=\"grid\" d=\"M", f);
    html_coordinate(f, x);
    fputc(' ', f);
    html_coordinate(f, y);
    fputc(command, f);
    html_coordinate(f, end);
    fputs("\"/>", f);
}

void axis_draw_x(FILE *f, const struct axis *x, const struct axis *y, int lines)
{
    double v[AXIS_TICKS];
    int n = axis_ticks(x, PARTS_X, v);
    for (int i = 0; i < n; i++) {
        if (lines) grid_line(f, axis_at(x, v[i]), y->to, 'V', y->from);
        axis_text(f, "tick", axis_at(x, v[i]), y->from + 17, "middle");
        html_number(f, "%.6g</text>", v[i]);
    }
}

void axis_draw_y(FILE *f, const struct axis *x, const struct axis *y, int lines)
{
    double v[AXIS_TICKS];
    int n = axis_ticks(y, PARTS_Y, v);
    for (int i = 0; i < n; i++) {
        if (lines) grid_line(f, x->from, axis_at(y, v[i]), 'H', x->to);
        axis_text(f, "tick", x->from - 7, axis_at(y, v[i]) + 4, "end");
        html_number(f, "%.6g</text>", v[i]);
    }
}
