/* Images in memory or in a file. Files are read by pread and not mapped, because access to a mapped
 * file that another process truncates would end this process. */
#define _XOPEN_SOURCE 700 /* pread, st_mtim */
#include "io/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"

struct dfqi_images_file {
    dfq_context *ctx; /* not retained: who holds the images holds the context */
    int32_t refs;
    int32_t spool; /* unnamed file: no other process can change it */
    FILE *f;
    char *path;
    uint64_t begin; /* of the images in the file */
    off_t size;     /* of the file, and when it was written, as it was opened */
    struct timespec written;
    float *buffer; /* [room][pixels] */
    int64_t room;
    dfqi_dataset *data; /* instead of a file: pictures to be decoded */
    dfqi_preprocess preprocess;
};

static dfq_status open_file(dfqi_images_file *file, const char *path)
{
    struct stat st;
    uint64_t size;
    DFQI_TRY(dfqi_file_open(file->ctx, path, &file->f, &size));
    if (fstat(fileno(file->f), &st) != 0) return dfqi_fail_errno(file->ctx, "read", path, errno);
    file->size = st.st_size;
    file->written = st.st_mtim;
    file->path = dfqi_strdup(file->ctx, path);
    return file->path ? DFQ_OK : DFQ_E_NOMEM;
}

static dfq_status make_file(dfq_context *ctx, dfqi_images *images)
{
    images->file = dfqi_calloc(ctx, 1, sizeof *images->file);
    if (!images->file) return DFQ_E_NOMEM;
    images->file->ctx = ctx;
    images->file->refs = 1;
    return DFQ_OK;
}

dfq_status dfqi_images_open(dfq_context *ctx, const char *path, const char *name, dfqi_images *out,
                            dfq_tensor *out_shape)
{
    dfq_tensor shape;
    dfqi_images images = {0};
    DFQI_TRY(make_file(ctx, &images));
    dfqi_images_file *file = images.file;
    dfq_status status = open_file(file, path);
    if (status == DFQ_OK)
        status =
            dfqi_st_locate(ctx, path, file->f, (uint64_t)file->size, name, &shape, &file->begin);
    if (status != DFQ_OK) {
        dfqi_images_close(&images);
        return status;
    }
    int64_t values = dfqi_tensor_count(&shape);
    images.n = shape.rank > 0 ? shape.dims[0] : 0;
    images.pixels = images.n > 0 ? values / images.n : 0;
    *out = images;
    *out_shape = shape;
    return DFQ_OK;
}

dfq_status dfqi_images_open_raw(dfq_context *ctx, const char *path, uint64_t begin, int64_t n,
                                int64_t pixels, dfqi_images *out)
{
    dfqi_images images = {.n = n, .pixels = pixels};
    DFQI_TRY(make_file(ctx, &images));
    dfq_status status = open_file(images.file, path);
    uint64_t want = begin + (uint64_t)n * (uint64_t)pixels * sizeof(float);
    if (status == DFQ_OK && (uint64_t)images.file->size < want)
        status = dfqi_fail(ctx, DFQ_E_CORRUPT,
                           "%s: the file has %lld bytes, must have %llu for %lld images", path,
                           (long long)images.file->size, (unsigned long long)want, (long long)n);
    images.file->begin = begin;
    if (status != DFQ_OK)
        dfqi_images_close(&images);
    else
        *out = images;
    return status;
}

dfq_status dfqi_images_decode(dfqi_dataset *d, const dfqi_preprocess *p, int64_t n,
                              dfqi_images *out)
{
    dfqi_images images = {.n = n, .pixels = 3 * dfqi_area(p->size)};
    DFQI_TRY(make_file(dfqi_dataset_context(d), &images));
    images.file->data = dfqi_dataset_retain(d);
    images.file->preprocess = *p;
    *out = images;
    return DFQ_OK;
}

dfqi_images dfqi_images_share(const dfqi_images *images)
{
    if (images->file) images->file->refs++;
    return *images;
}

void dfqi_images_close(dfqi_images *images)
{
    dfqi_images_file *file = images->file;
    images->file = NULL;
    if (!file || --file->refs > 0) return;
    if (file->f) fclose(file->f);
    dfqi_dataset_release(file->data);
    dfqi_free(file->ctx, file->path);
    dfqi_free(file->ctx, file->buffer);
    dfqi_free(file->ctx, file);
}

/* Checked after reading, so that the bytes read are those of the file as opened. */
static dfq_status check_unchanged(const dfqi_images_file *file)
{
    struct stat st;
    if (file->spool) return DFQ_OK;
    if (fstat(fileno(file->f), &st) != 0)
        return dfqi_fail_errno(file->ctx, "read", file->path, errno);
    if (st.st_size == file->size && st.st_mtim.tv_sec == file->written.tv_sec &&
        st.st_mtim.tv_nsec == file->written.tv_nsec)
        return DFQ_OK;
    return dfqi_fail(
        file->ctx, DFQ_E_IO,
        "%s: the file was changed while it was in use; start again with a file that stays as it is",
        file->path);
}

static dfq_status read_at(const dfqi_images_file *file, uint64_t at, char *to, size_t left)
{
    while (left > 0) {
        ssize_t got = pread(fileno(file->f), to, left, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return dfqi_fail_errno(file->ctx, "read", file->path, errno);
        if (got == 0)
            return dfqi_fail(
                file->ctx, DFQ_E_IO,
                "%s: the file became shorter while it was read; read it again when it is complete",
                file->path);
        to += got;
        at += (uint64_t)got;
        left -= (size_t)got;
    }
    return check_unchanged(file);
}

static dfq_status make_room(dfqi_images_file *file, int64_t n, int64_t pixels)
{
    if (n <= file->room) return DFQ_OK;
    dfqi_free(file->ctx, file->buffer);
    file->room = 0;
    /* n images are a part of a tensor whose size was checked */
    file->buffer = dfqi_alloc(file->ctx, (size_t)(n * pixels) * sizeof *file->buffer);
    if (!file->buffer) return DFQ_E_NOMEM;
    file->room = n;
    return DFQ_OK;
}

dfq_status dfqi_images_at(const dfqi_images *images, int64_t first, int64_t n, const float **out)
{
    dfqi_images_file *file = images->file;
    if (images->memory) {
        *out = images->memory + first * images->pixels;
        return DFQ_OK;
    }
    size_t image = (size_t)images->pixels * sizeof *file->buffer;
    DFQI_TRY(make_room(file, n, images->pixels));
    if (file->data) {
        DFQI_TRY(dfqi_dataset_batch(file->data, first, n, &file->preprocess, file->buffer));
        *out = file->buffer;
        return DFQ_OK;
    }
    DFQI_TRY(read_at(file, file->begin + (uint64_t)first * image, (char *)file->buffer,
                     (size_t)n * image));
    *out = file->buffer;
    return DFQ_OK;
}

dfq_status dfqi_images_beside(const dfqi_images *images, const char *name, dfq_tensor **out)
{
    dfqi_images_file *file = images->file;
    dfq_tensor shape, *t;
    uint64_t begin;
    rewind(file->f);
    DFQI_TRY(
        dfqi_st_locate(file->ctx, file->path, file->f, (uint64_t)file->size, name, &shape, &begin));
    DFQI_TRY(dfqi_tensor_new(file->ctx, shape.dtype, shape.rank, shape.dims, &t));
    dfq_status status =
        read_at(file, begin, t->data, (size_t)dfqi_tensor_count(t) * dfqi_dtype_bytes(t->dtype));
    if (status != DFQ_OK)
        dfqi_tensor_release(t);
    else
        *out = t;
    return status;
}

/* -- spools ------------------------------------------------------------------------------------ */

/* The file is unlinked at once, so that nothing remains however the process ends. Its space is
 * reserved at once, so that a full disk is an error before the work begins. */
static dfq_status make_spool(dfqi_images_file *file, const char *folder, uint64_t bytes)
{
    file->path = dfqi_format(file->ctx, "%s/.dfq-images-XXXXXX", folder);
    if (!file->path) return DFQ_E_NOMEM;
    int fd = mkstemp(file->path);
    if (fd < 0) return dfqi_fail_errno(file->ctx, "write", file->path, errno);
    (void)unlink(file->path);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    file->f = fdopen(fd, "r+b");
    if (!file->f) {
        int error = errno;
        close(fd);
        return dfqi_fail_errno(file->ctx, "write", file->path, error);
    }
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    if (!error || error == EINVAL || error == EOPNOTSUPP) return DFQ_OK;
    return dfqi_fail_errno(file->ctx, "write", file->path, error);
}

dfq_status dfqi_images_spool(dfq_context *ctx, const char *folder, int64_t n, int64_t pixels,
                             dfqi_images *out)
{
    dfqi_images images = {.n = n, .pixels = pixels};
    DFQI_TRY(make_file(ctx, &images));
    images.file->spool = 1;
    dfq_status status =
        make_spool(images.file, folder, (uint64_t)n * (uint64_t)pixels * sizeof(float));
    if (status != DFQ_OK)
        dfqi_images_close(&images);
    else
        *out = images;
    return status;
}

dfq_status dfqi_images_put(const dfqi_images *images, int64_t first, int64_t n, const float *x)
{
    const dfqi_images_file *file = images->file;
    size_t image = (size_t)images->pixels * sizeof *x, left = (size_t)n * image;
    uint64_t at = (uint64_t)first * image;
    const char *from = (const char *)x;
    while (left > 0) {
        ssize_t put = pwrite(fileno(file->f), from, left, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return dfqi_fail_errno(file->ctx, "write", file->path, errno);
        from += put;
        at += (uint64_t)put;
        left -= (size_t)put;
    }
    return DFQ_OK;
}
