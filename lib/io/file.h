/* Reading and writing of whole files. */
#ifndef DFQI_IO_FILE_H
#define DFQI_IO_FILE_H

#include <dfq/stream.h>
#include <stdio.h>

#include "base/context.h"

/* Opens a regular file for reading. DFQ_E_IO naming path and cause. */
DFQI_CHECKED dfq_status dfqi_file_open(dfq_context *ctx, const char *path, FILE **out,
                                       uint64_t *out_size);

/* Reads a file into one block (dfqi_free it). DFQ_E_IO if it cannot be read, DFQ_E_UNSUPPORTED if
 * it is larger than `limit` bytes. One more zero byte follows the content. */
DFQI_CHECKED dfq_status dfqi_file_read(dfq_context *ctx, const char *path, size_t limit,
                                       unsigned char **out, size_t *out_size);

/* Writes to a temporary file and renames it: open, fwrite to `f`, then commit or abandon. A full
 * disk, a failed write or a failed rename is DFQ_E_IO naming path and cause, and leaves no file. A
 * symbolic link is followed, and the mode of a replaced file is kept. A device or pipe is written
 * directly. */
typedef struct dfqi_out {
    dfq_context *ctx;
    FILE *f;
    char *path, *temp;
    dfq_writer writer; /* its function, where there is no file */
    uint64_t written;  /* bytes it took */
} dfqi_out;
DFQI_CHECKED dfq_status dfqi_out_open(dfq_context *ctx, const char *path, dfqi_out *out);
/* The same interface over a caller's function; `writer` is of full size and copied. */
DFQI_CHECKED dfq_status dfqi_out_to(dfq_context *ctx, const dfq_writer *writer, dfqi_out *out);
DFQI_CHECKED dfq_status dfqi_out_write(dfqi_out *out, const void *bytes, size_t size);
DFQI_CHECKED dfq_status
dfqi_out_commit(dfqi_out *out);       /* flush, fsync, close, rename; abandons on failure */
void dfqi_out_abandon(dfqi_out *out); /* removes the temporary file; harmless after commit */
DFQI_CHECKED dfq_status dfqi_file_write(dfq_context *ctx, const char *path, const void *bytes,
                                        size_t size);

/* "cannot <verb> <path>: <cause>", cause from an errno value. Returns DFQ_E_IO. */
DFQI_CHECKED dfq_status dfqi_fail_errno(dfq_context *ctx, const char *verb, const char *path,
                                        int error);

#endif
