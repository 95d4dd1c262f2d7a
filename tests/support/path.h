/* Where tests find their data. */
#ifndef DFQT_PATH_H
#define DFQT_PATH_H

#include <stdio.h>
#include <stdlib.h>

/* Path of a file in the folder that the environment variable names (DFQ_TEST_ASSETS: real models
 * and images, DFQ_TEST_GOLDEN: committed data), or NULL with a line on stderr when there is none:
 * the test then returns. */
static inline const char *dfqt_path(const char *variable, const char *name, char *buf, size_t cap)
{
    const char *folder = getenv(variable);
    FILE *f = NULL;
    int n = -1;
    if (folder != NULL) n = snprintf(buf, cap, "%s/%s", folder, name);
    if (n > 0 && (size_t)n < cap) f = fopen(buf, "rb");
    if (f == NULL) {
        fprintf(stderr, "skipped: no %s in %s=%s\n", name, variable, folder != NULL ? folder : "");
        return NULL;
    }
    fclose(f);
    return buf;
}

static inline const char *dfqt_asset(const char *name, char *buf, size_t cap)
{
    return dfqt_path("DFQ_TEST_ASSETS", name, buf, cap);
}

#endif
