/* Axes of charts: the range of the values, round numbers as ticks, and positions in the drawing. An
 * axis starts empty; axis_widen() extends it by a value, axis_pad() or axis_round() adds a
 * margin. */
#ifndef DFQ_TOOLS_REPORT_AXIS_H
#define DFQ_TOOLS_REPORT_AXIS_H

#include <stdio.h>

enum { AXIS_TICKS = 40 };

struct axis {
    double lo, hi;   /* of the values, or of their logarithms to base ten */
    double from, to; /* where lo and hi lie in the drawing, whose y grows downwards */
    double step;     /* of the ticks, where axis_round() has chosen it; 0: axis_ticks() does */
    int log, whole;  /* whole: ticks are whole numbers, as steps are */
};

/* Nothing is in its range yet. */
struct axis axis_make(double from, double to, int log);
int axis_empty(const struct axis *a);

/* Whether a value can be drawn. Values beyond 1e300 cannot, so that differences are finite. */
int axis_takes(const struct axis *a, double v);
/* Ignores what the axis does not take. */
void axis_widen(struct axis *a, double v);

/* Adds a share of the range at both ends, and more where there is next to no range. */
void axis_pad(struct axis *a, double share);
/* Widens the range to the next ticks, so that a line touches none of the ends but by a tick. A
 * logarithmic range of three decades or less gets 5 % at both ends instead, and one of whole
 * numbers stays as it is. */
void axis_round(struct axis *a, int parts);

/* Round values in the range, `parts` of them or somewhat fewer; on a logarithmic axis of one to
 * three decades 1, 2 and 5 of each. Returns their number. */
int axis_ticks(const struct axis *a, int parts, double out[AXIS_TICKS]);
double axis_at(const struct axis *a, double v);

/* Begins a text. html_number() makes a minus of every hyphen, so that what is around numbers is
 * written apart. */
void axis_text(FILE *f, const char *style, double x, double y, const char *anchor);
/* The ticks with their numbers, left of the y axis or below the x axis; `lines`: with a line over
 * the whole length of the other axis. */
void axis_draw_x(FILE *f, const struct axis *x, const struct axis *y, int lines);
void axis_draw_y(FILE *f, const struct axis *x, const struct axis *y, int lines);

#endif
