/* Places of values in memory: values that never live at the same time share it. */
#ifndef DFQI_GRAPH_PLACE_H
#define DFQI_GRAPH_PLACE_H

#include <stddef.h>
#include <stdint.h>

/* A value, the first and the last moment at which it is needed, and its size and place in the
 * memory of its pool. Sizes and places have the caller's unit. */
typedef struct dfqi_life {
    int32_t value, pool;
    int32_t first, last;
    size_t size, offset;
} dfqi_life;

/* Sorts lives for dfqi_lives_place: the largest first. */
void dfqi_lives_sort(dfqi_life *lives, int32_t n);
/* Gives each of the sorted lives of a pool the lowest offset that is free while it lives. placed[n]
 * is scratch. Returns the size of the pool; `most` if it would be that large or larger. */
size_t dfqi_lives_place(dfqi_life *lives, int32_t n, int32_t pool, size_t most, int32_t *placed);

#endif
