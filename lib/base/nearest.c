/* Levenshtein edit distance, computed with one row of the table at a time. */
#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 95 };

static size_t length(const char *text)
{
    size_t n = strlen(text);
    return n < LONGEST ? n : LONGEST;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

int32_t dfqi_edit_distance(const char *a, const char *b)
{
    int32_t row[LONGEST + 1];
    size_t n = length(a), m = length(b);
    for (size_t k = 0; k <= m; k++) row[k] = (int32_t)k;
    for (size_t i = 1; i <= n; i++) {
        int32_t corner = row[0]; /* of the row above, one to the left */
        row[0] = (int32_t)i;
        for (size_t k = 1; k <= m; k++) {
            int32_t replaced = corner + (a[i - 1] != b[k - 1]);
            corner = row[k];
            row[k] = least(replaced, least(row[k], row[k - 1]) + 1);
        }
    }
    return row[m];
}

dfqi_nearest dfqi_nearest_to(const char *name)
{
    return (dfqi_nearest){.name = name};
}

void dfqi_nearest_add(dfqi_nearest *n, const char *candidate)
{
    int32_t d = *n->name && strstr(candidate, n->name) ? 0 : dfqi_edit_distance(n->name, candidate);
    int32_t at = n->n;
    for (int32_t i = 0; i < n->n; i++)
        if (strcmp(n->names[i], candidate) == 0) return;
    while (at > 0 && d < n->distance[at - 1]) at--;
    if (at == DFQI_NEAREST) return;
    if (n->n < DFQI_NEAREST) n->n++;
    for (int32_t i = n->n - 1; i > at; i--) {
        n->distance[i] = n->distance[i - 1];
        memcpy(n->names[i], n->names[i - 1], sizeof n->names[i]);
    }
    n->distance[at] = d;
    snprintf(n->names[at], sizeof n->names[at], "%s", candidate);
}

char *dfqi_nearest_text(const dfqi_nearest *n, char *out, size_t cap)
{
    size_t at = 0;
    if (cap > 0) out[0] = '\0';
    for (int32_t i = 0; i < n->n && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? ", " : "", n->names[i]);
    return out;
}
