/* Greedy placement of values in memory (place.h). */
#include "graph/place.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const dfqi_life *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

void dfqi_lives_sort(dfqi_life *lives, int32_t n)
{
    qsort(lives, (size_t)n, sizeof *lives, by_size);
}

/* placed[] is kept sorted by offset. */
size_t dfqi_lives_place(dfqi_life *lives, int32_t n, int32_t pool, size_t most, int32_t *placed)
{
    size_t end = 0;
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        dfqi_life *l = &lives[i];
        size_t offset = 0;
        if (l->pool != pool) continue;
        for (int32_t k = 0; k < count; k++) {
            const dfqi_life *o = &lives[placed[k]];
            if (o->first > l->last || l->first > o->last) continue;
            if (offset + l->size <= o->offset) break;
            if (o->offset + o->size > offset) offset = o->offset + o->size;
        }
        if (offset + l->size >= most) return most;
        l->offset = offset;
        if (offset + l->size > end) end = offset + l->size;
        int32_t k = count++;
        for (; k > 0 && lives[placed[k - 1]].offset > offset; k--) placed[k] = placed[k - 1];
        placed[k] = i;
    }
    return end;
}
