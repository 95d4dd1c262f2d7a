/* Where tests find their data. */
#ifndef DFQT_PATH_H
#define DFQT_PATH_H

#include <stdio.h>
#include <stdlib.h>

#include "support/skip.h"

/* Path of a file in the folder that the environment variable names (DFQ_TEST_ASSETS: real models
 * and images, DFQ_TEST_GOLDEN: committed data), or NULL when there is none. */
static inline const char *dfqt_path(const char *variable, const char *name, char *buf, size_t cap)
{
    const char *folder = getenv(variable);
    FILE *f = NULL;
    int n = -1;
    if (folder != NULL) n = snprintf(buf, cap, "%s/%s", folder, name);
    if (n > 0 && (size_t)n < cap) f = fopen(buf, "rb");
    if (f == NULL) return NULL;
    fclose(f);
    return buf;
}

/* A real model or picture. The test is skipped where it is absent, so ask before anything is
 * held. */
static inline const char *dfqt_asset(const char *name, char *buf, size_t cap)
{
    const char *folder = getenv("DFQ_TEST_ASSETS");
    const char *path = dfqt_path("DFQ_TEST_ASSETS", name, buf, cap);
    if (path == NULL) dfqt_skip("no %s in DFQ_TEST_ASSETS=%s", name, folder != NULL ? folder : "");
    return path;
}

#endif
