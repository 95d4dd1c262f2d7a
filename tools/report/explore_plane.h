/* The planes of a co-exploration's picture: what their axes show, and where values lie. */
#ifndef DFQ_TOOLS_REPORT_EXPLORE_PLANE_H
#define DFQ_TOOLS_REPORT_EXPLORE_PLANE_H

#include "report/explore_page.h"

enum {
    PLANE_WIDTH = 640,
    PLANE_HEIGHT = 400,
    PLANE_LEFT = 60,
    PLANE_RIGHT = PLANE_WIDTH - 14,
    PLANE_TOP = 12,
    PLANE_BOTTOM = PLANE_HEIGHT - 50,
    PLANE_LOSS = DFQ_EXPLORE_METRICS /* behind the metrics: what an axis shows */
};

/* Metrics are logarithmic. */
struct axis {
    int of;
    double lo, hi;
};

struct plane {
    const struct explore_page *p;
    struct axis x, y;
};

/* What texts call them. */
extern const char *const plane_titles[PLANE_LOSS + 1], *const plane_words[PLANE_LOSS + 1],
                                                           *const plane_units[PLANE_LOSS];

/* Fills lo and hi from all that is drawn. */
void plane_range(const struct explore_page *p, struct axis *a);
double plane_value(const struct explore_pair *q, int of);
int plane_drawable(const struct axis *a, double v);
/* Whether both values of a pair are. */
int plane_has(const struct plane *s, const struct explore_pair *q);
double plane_x(const struct plane *s, double v);
double plane_y(const struct plane *s, double v);
/* Begins a text; html_number makes a minus of every hyphen, so what is around numbers is written
 * apart. */
void plane_text(FILE *f, const char *style, double x, double y, const char *anchor);
/* The grid, with numbers and a title. */
void plane_axis(FILE *f, const struct plane *s, const struct axis *a);

#endif
