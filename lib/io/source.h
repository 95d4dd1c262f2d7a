/* A source of bytes: a file, a block of memory, or callbacks of the caller. So a format needs one
 * reader for all three. */
#ifndef DFQI_IO_SOURCE_H
#define DFQI_IO_SOURCE_H

#include <dfq/stream.h>
#include <stdio.h>

#include "base/context.h"

typedef struct dfqi_source {
    dfq_context *ctx;
    const char *name; /* what error texts call it; borrowed */
    uint64_t size;
    uint64_t at;         /* where reading goes on */
    FILE *f;             /* a file; NULL: */
    dfq_reader callback; /* `data` or `read` */
} dfqi_source;

/* Opens a regular file. DFQ_E_IO naming path and cause. */
DFQI_CHECKED dfq_status dfqi_source_open(dfq_context *ctx, const char *path, dfqi_source *out);
/* A file that is open; it stays the caller's. */
dfqi_source dfqi_source_file(dfq_context *ctx, const char *path, FILE *f, uint64_t size);
dfqi_source dfqi_source_memory(dfq_context *ctx, const char *name, const void *bytes,
                               uint64_t size);
/* A checked reader of the caller, of full size. */
dfqi_source dfqi_source_reader(dfq_context *ctx, const dfq_reader *reader);
void dfqi_source_close(dfqi_source *s); /* of dfqi_source_open; the others need none */

/* The next n bytes, which must be within the size. */
DFQI_CHECKED dfq_status dfqi_source_read(dfqi_source *s, void *to, size_t n);
/* Reading goes on at byte `at`, at most the size. */
DFQI_CHECKED dfq_status dfqi_source_seek(dfqi_source *s, uint64_t at);
/* All bytes from the first on, in one block with one more zero byte (dfqi_free it).
 * DFQ_E_UNSUPPORTED for more than `limit`. */
DFQI_CHECKED dfq_status dfqi_source_read_all(dfqi_source *s, size_t limit, char **out);

#endif
