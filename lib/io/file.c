/* Reads whole files, and replaces files atomically: content goes to a temporary file in the same
 * folder, which is synced and renamed. So a reader sees the old file or the new one, never a
 * part. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

dfq_status dfqi_fail_errno(dfq_context *ctx, const char *verb, const char *path, int error)
{
    char cause[DFQI_CAUSE_MAX];
    return dfqi_fail(ctx, DFQ_E_IO, "cannot %s %s: %s", verb, path, dfqi_cause(error, cause));
}

dfq_status dfqi_file_open(dfq_context *ctx, const char *path, FILE **out, uint64_t *out_size)
{
    struct stat st;
    /* A pipe without a writer would block here, so ask before opening. */
    if (stat(path, &st) != 0) return dfqi_fail_errno(ctx, "read", path, errno);
    if (!S_ISREG(st.st_mode))
        return dfqi_fail(ctx, DFQ_E_IO, "cannot read %s: it is %s, must be a regular file", path,
                         S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dfqi_fail_errno(ctx, "read", path, errno);
    FILE *f = fdopen(fd, "rb");
    if (!f || fstat(fd, &st) != 0) {
        int error = errno;
        if (f)
            fclose(f);
        else
            close(fd);
        return dfqi_fail_errno(ctx, "read", path, error);
    }
    *out = f;
    *out_size = (uint64_t)st.st_size;
    return DFQ_OK;
}

dfq_status dfqi_file_read(dfq_context *ctx, const char *path, size_t limit, unsigned char **out,
                          size_t *out_size)
{
    FILE *f;
    uint64_t size;
    unsigned char *bytes = NULL;
    dfq_status status = DFQ_OK;
    DFQI_TRY(dfqi_file_open(ctx, path, &f, &size));
    if (size > limit || size >= SIZE_MAX) {
        status =
            dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "%s: the file has %llu bytes, must be at most %zu",
                      path, (unsigned long long)size, limit);
        goto out;
    }
    bytes = dfqi_alloc(ctx, (size_t)size + 1);
    if (!bytes) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    errno = 0;
    if (fread(bytes, 1, (size_t)size, f) != size) {
        status = ferror(f) ? dfqi_fail_errno(ctx, "read", path, errno)
                           : dfqi_fail(ctx, DFQ_E_IO,
                                       "%s: the file became shorter while it was read; read it "
                                       "again when it is complete",
                                       path);
        goto out;
    }
    bytes[size] = 0;
    *out = bytes;
    *out_size = (size_t)size;
    bytes = NULL;
out:
    dfqi_free(ctx, bytes);
    fclose(f);
    return status;
}

/* Resolves a symbolic link, so that renaming replaces its target and not the link. */
static char *final_path(dfq_context *ctx, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode)) return dfqi_strdup(ctx, path);
    char *real = realpath(path, NULL);
    if (!real) return dfqi_strdup(ctx, path); /* dangling: becomes a file of its own */
    char *copy = dfqi_strdup(ctx, real);
    free(real);
    return copy;
}

/* `path.tmpPID-N`; `cut`: no longer than the path, whose name gives up its end. */
static char *temp_name(const dfqi_out *out, int i, bool cut)
{
    char end[48];
    const char *slash = strrchr(out->path, '/'), *base = slash ? slash + 1 : out->path;
    size_t keep = strlen(base), more;
    snprintf(end, sizeof end, ".tmp%ld-%d", (long)getpid(), i);
    more = strlen(end);
    if (cut) keep = keep > more ? keep - more : 0;
    while (cut && keep > 0 && ((unsigned char)base[keep] & 0xC0) == 0x80) keep--; /* UTF-8 */
    return dfqi_format(out->ctx, "%.*s%s", (int)((size_t)(base - out->path) + keep), out->path,
                       end);
}

/* Creates the first name that is free; plain open(), so that the umask decides the mode. */
static dfq_status create_temp(dfqi_out *out, int *out_fd)
{
    int error = 0;
    bool cut = false;
    for (int i = 0; i < 100; i++) {
        char *temp = temp_name(out, i, cut);
        if (!temp) return DFQ_E_NOMEM;
        int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            out->temp = temp;
            *out_fd = fd;
            return DFQ_OK;
        }
        error = errno;
        dfqi_free(out->ctx, temp);
        if (error == ENAMETOOLONG && !cut)
            cut = true;
        else if (error != EEXIST)
            break;
    }
    return dfqi_fail_errno(out->ctx, "write", out->path, error);
}

dfq_status dfqi_out_open(dfq_context *ctx, const char *path, dfqi_out *out)
{
    dfqi_out o = {.ctx = ctx, .path = final_path(ctx, path)};
    struct stat st;
    int fd = -1;
    dfq_status status = DFQ_OK;
    if (!o.path) return DFQ_E_NOMEM;
    bool exists = stat(o.path, &st) == 0;
    if (!exists && errno == ENAMETOOLONG) { /* the name that is cut would do, this one will not */
        status = dfqi_fail_errno(ctx, "write", path, errno);
    } else if (exists && S_ISDIR(st.st_mode)) {
        status = dfqi_fail(ctx, DFQ_E_IO, "cannot write %s: it is a folder", path);
    } else if (exists && !S_ISREG(st.st_mode)) {
        fd = open(o.path, O_WRONLY | O_CLOEXEC);
        if (fd < 0) status = dfqi_fail_errno(ctx, "write", path, errno);
    } else {
        status = create_temp(&o, &fd);
        /* Best effort: a failure to set the mode must not lose the content. */
        if (fd >= 0 && exists && fchmod(fd, st.st_mode & 07777) != 0) errno = 0;
    }
    if (status == DFQ_OK) {
        o.f = fdopen(fd, "wb");
        if (!o.f) {
            status = dfqi_fail_errno(ctx, "write", path, errno);
            close(fd);
        }
    }
    if (status == DFQ_OK)
        *out = o;
    else
        dfqi_out_abandon(&o);
    return status;
}

dfq_status dfqi_out_to(dfq_context *ctx, const dfq_writer *writer, dfqi_out *out)
{
    dfqi_out o = {.ctx = ctx, .writer = *writer};
    o.path = dfqi_strdup(ctx, writer->name ? writer->name : "memory");
    if (!o.path) return DFQ_E_NOMEM;
    *out = o;
    return DFQ_OK;
}

static dfq_status hand_over(dfqi_out *out, const void *bytes, size_t size)
{
    int32_t failed = size > 0 ? out->writer.write(bytes, size, out->writer.user) : 0;
    if (failed != 0)
        return dfqi_fail(out->ctx, DFQ_E_IO,
                         "cannot write %s: the writer's function returned %d after %llu bytes",
                         out->path, (int)failed, (unsigned long long)out->written);
    out->written += size;
    return DFQ_OK;
}

dfq_status dfqi_out_write(dfqi_out *out, const void *bytes, size_t size)
{
    if (out->writer.write) return hand_over(out, bytes, size);
    if (size == 0 || fwrite(bytes, 1, size, out->f) == size) return DFQ_OK;
    return dfqi_fail_errno(out->ctx, "write", out->path, errno);
}

dfq_status dfqi_out_commit(dfqi_out *out)
{
    FILE *f = out->f;
    int error = 0;
    if (out->writer.write) {
        dfqi_out_abandon(out);
        return DFQ_OK;
    }
    out->f = NULL;
    if (fflush(f) != 0) error = errno;
    /* Devices and pipes cannot be synced; that is not a lost write. */
    if (!error && out->temp && fsync(fileno(f)) != 0 && errno != EINVAL && errno != ENOTSUP)
        error = errno;
    if (fclose(f) != 0 && !error) error = errno;
    if (!error && out->temp && rename(out->temp, out->path) != 0) error = errno;
    if (!error) {
        dfqi_free(out->ctx, out->temp); /* nothing left for abandon to remove */
        out->temp = NULL;
    }
    dfq_status status = error ? dfqi_fail_errno(out->ctx, "write", out->path, error) : DFQ_OK;
    dfqi_out_abandon(out);
    return status;
}

void dfqi_out_abandon(dfqi_out *out)
{
    if (out->f) fclose(out->f);
    if (out->temp) unlink(out->temp);
    dfqi_free(out->ctx, out->temp);
    dfqi_free(out->ctx, out->path);
    out->f = NULL;
    out->temp = NULL;
    out->path = NULL;
}

dfq_status dfqi_file_write(dfq_context *ctx, const char *path, const void *bytes, size_t size)
{
    dfqi_out out;
    DFQI_TRY(dfqi_out_open(ctx, path, &out));
    dfq_status status = dfqi_out_write(&out, bytes, size);
    if (status == DFQ_OK) return dfqi_out_commit(&out);
    dfqi_out_abandon(&out);
    return status;
}
