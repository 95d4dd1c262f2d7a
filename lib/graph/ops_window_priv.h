/* Windows of pooling, for ops_pool.c and ops_part.c. attr i of such nodes: as of dfqi_pool_attr. */
#ifndef DFQI_GRAPH_OPS_WINDOW_PRIV_H
#define DFQI_GRAPH_OPS_WINDOW_PRIV_H

#include "graph/ops_priv.h"

enum { POOL_SIZE, POOL_STRIDE, POOL_PAD, POOL_MORE, POOL_COUNT_PAD, POOL_ATTRS };

/* The part of a window that lies inside of an image. */
typedef struct dfqi_window {
    int64_t y, x, end_y, end_x;
} dfqi_window;

static inline void dfqi_window_clip(const int64_t *a, int64_t at, int64_t extent, int64_t *first,
                                    int64_t *end)
{
    int64_t from = at * a[POOL_STRIDE] - a[POOL_PAD];
    *first = from < 0 ? 0 : from;
    *end = from + a[POOL_SIZE] < extent ? from + a[POOL_SIZE] : extent;
}

/* a: attr i; x: extents of the image [.,Y,X,C]. */
static inline dfqi_window dfqi_window_at(const int64_t *a, const int64_t *x, int64_t oy, int64_t ox)
{
    dfqi_window w;
    dfqi_window_clip(a, oy, x[1], &w.y, &w.end_y);
    dfqi_window_clip(a, ox, x[2], &w.x, &w.end_x);
    return w;
}

/* shape rule: [B,Y,X,C] -> [B,Y',X',C]; refuses windows without a pixel. */
DFQI_CHECKED dfq_status dfqi_window_shape(dfqi_graph *g, dfqi_node *n);
dfqi_attr dfqi_window_attr(const dfqi_pool_attr *a);

#endif
