/* The planes of the Pareto plots: the quantities on their axes, and positions of values. */
#ifndef DFQ_TOOLS_REPORT_EXPLORE_PLANE_H
#define DFQ_TOOLS_REPORT_EXPLORE_PLANE_H

#include "report/axis.h"
#include "report/explore_page.h"

enum {
    PLANE_WIDTH = 640,
    PLANE_HEIGHT = 400,
    PLANE_LEFT = 60,
    PLANE_RIGHT = PLANE_WIDTH - 14,
    PLANE_TOP = 12,
    PLANE_BOTTOM = PLANE_HEIGHT - 50,
    PLANE_LOSS = EXPLORE_METRICS /* behind the metrics: what an axis shows */
};

/* Metrics are logarithmic. */
struct plane_axis {
    int of;
    struct axis axis;
};

struct plane {
    const struct explore_page *p;
    struct plane_axis x, y;
};

/* With the ranges of all that is drawn. */
struct plane plane_make(const struct explore_page *p, int x_of, int y_of);

/* What texts call them. */
extern const char *const plane_titles[PLANE_LOSS + 1], *const plane_words[PLANE_LOSS + 1],
                                                           *const plane_units[PLANE_LOSS];

double plane_value(const struct explore_pair *q, int of);
/* Whether both values of a pair can be drawn. */
int plane_has(const struct plane *s, const struct explore_pair *q);
double plane_x(const struct plane *s, double v);
double plane_y(const struct plane *s, double v);
/* The grid, with numbers and titles. */
void plane_axes(FILE *f, const struct plane *s);

#endif
