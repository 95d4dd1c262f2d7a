/* Finds the known names nearest to an unknown one, for error texts. */
#ifndef DFQI_BASE_NEAREST_H
#define DFQI_BASE_NEAREST_H

#include <stddef.h>
#include <stdint.h>

enum { DFQI_NEAREST = 3 };

typedef struct dfqi_nearest {
    const char *name; /* the unknown name */
    int32_t n;
    int32_t distance[DFQI_NEAREST];
    char names[DFQI_NEAREST][96];
} dfqi_nearest;

/* Characters to insert, delete or replace until a is b; only their first 95 characters count. */
int32_t dfqi_edit_distance(const char *a, const char *b);

dfqi_nearest dfqi_nearest_to(const char *name);
/* Keeps `candidate` if it is among the nearest: by edit distance, those that contain the name
 * first. */
void dfqi_nearest_add(dfqi_nearest *n, const char *candidate);
/* "a, b, c" into out, nearest first; "" if nothing was added. Returns out. */
char *dfqi_nearest_text(const dfqi_nearest *n, char *out, size_t cap);

#endif
