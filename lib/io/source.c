/* Sources of bytes. Readers of formats check sizes; a source only reads the bytes it is asked
 * for. */
#include "io/source.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"

dfq_status dfqi_source_open(dfq_context *ctx, const char *path, dfqi_source *out)
{
    dfqi_source s = {.ctx = ctx, .name = path};
    DFQI_TRY(dfqi_file_open(ctx, path, &s.f, &s.size));
    *out = s;
    return DFQ_OK;
}

dfqi_source dfqi_source_file(dfq_context *ctx, const char *path, FILE *f, uint64_t size)
{
    return (dfqi_source){.ctx = ctx, .name = path, .f = f, .size = size};
}

dfqi_source dfqi_source_memory(dfq_context *ctx, const char *name, const void *bytes, uint64_t size)
{
    return (dfqi_source){.ctx = ctx, .name = name, .size = size, .callback.data = bytes};
}

dfqi_source dfqi_source_reader(dfq_context *ctx, const dfq_reader *reader)
{
    return (dfqi_source){.ctx = ctx,
                         .name = reader->name ? reader->name : "memory",
                         .size = reader->size,
                         .callback = *reader};
}

void dfqi_source_close(dfqi_source *s)
{
    if (s->f) fclose(s->f);
    s->f = NULL;
}

static dfq_status read_file(const dfqi_source *s, void *to, size_t n)
{
    errno = 0;
    if (fread(to, 1, n, s->f) == n) return DFQ_OK;
    return ferror(s->f) ? dfqi_fail_errno(s->ctx, "read", s->name, errno)
                        : dfqi_fail(s->ctx, DFQ_E_IO,
                                    "%s: the file became shorter while it was read; read it again "
                                    "when it is complete",
                                    s->name);
}

static dfq_status read_callback(const dfqi_source *s, void *to, size_t n)
{
    int32_t failed = s->callback.read(s->at, to, n, s->callback.user);
    if (failed == 0) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_IO,
                     "cannot read %s: the reader's function returned %d for %zu bytes at %llu",
                     s->name, (int)failed, n, (unsigned long long)s->at);
}

dfq_status dfqi_source_read(dfqi_source *s, void *to, size_t n)
{
    if (n == 0) return DFQ_OK;
    if (s->f)
        DFQI_TRY(read_file(s, to, n));
    else if (s->callback.data)
        memcpy(to, (const unsigned char *)s->callback.data + s->at, n);
    else
        DFQI_TRY(read_callback(s, to, n));
    s->at += n;
    return DFQ_OK;
}

dfq_status dfqi_source_seek(dfqi_source *s, uint64_t at)
{
    if (s->f && fseeko(s->f, (off_t)at, SEEK_SET) != 0)
        return dfqi_fail_errno(s->ctx, "read", s->name, errno);
    s->at = at;
    return DFQ_OK;
}

dfq_status dfqi_source_read_all(dfqi_source *s, size_t limit, char **out)
{
    if (s->size > limit)
        return dfqi_fail(s->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the file has %llu bytes, must be at most %zu", s->name,
                         (unsigned long long)s->size, limit);
    char *text = dfqi_alloc(s->ctx, (size_t)s->size + 1);
    if (!text) return DFQ_E_NOMEM;
    dfq_status status = dfqi_source_seek(s, 0);
    if (status == DFQ_OK) status = dfqi_source_read(s, text, (size_t)s->size);
    if (status != DFQ_OK) {
        dfqi_free(s->ctx, text);
        return status;
    }
    text[s->size] = '\0';
    *out = text;
    return DFQ_OK;
}
