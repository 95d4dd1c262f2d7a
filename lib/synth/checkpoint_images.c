/* The file of finished images beside a checkpoint. It is append-only, so each image is written once
 * although there are many checkpoints. Its name is PATH.images-a or PATH.images-b; it has a header
 * of 64 bytes, then the images as floats. The checkpoint stores the file's name, the number of its
 * images and their hash; data behind them is left from a later checkpoint that was not completed.
 *
 * A job appends to the file that it created or was restored from. A new job takes the name that the
 * existing checkpoint does not use, and deletes the other file only after its own checkpoint has
 * replaced the old one. So a complete checkpoint exists at every moment. */
#define _XOPEN_SOURCE 700 /* pwrite, O_NOFOLLOW */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/folder.h"
#include "io/safetensors.h"
#include "synth/synth_priv.h"

enum { HEADER = 64 };

static const char key[] = "dfq.synth.images";
static const char head[HEADER] = "dfq: finished images of a synthesis checkpoint, version 1\n";

void dfqi_kept_fini(dfq_context *ctx, dfqi_kept *k)
{
    dfqi_free(ctx, k->path);
    dfqi_free(ctx, k->name[0]);
    dfqi_free(ctx, k->name[1]);
    *k = (dfqi_kept){0};
}

static dfq_status init(dfq_context *ctx, const char *path, dfqi_kept *k)
{
    dfqi_kept_fini(ctx, k);
    k->hash = DFQI_HASH_START;
    k->name[0] = dfqi_format(ctx, "%s.images-a", path);
    k->name[1] = dfqi_format(ctx, "%s.images-b", path);
    k->path = dfqi_strdup(ctx, path);
    if (k->name[0] && k->name[1] && k->path) return DFQ_OK;
    dfqi_kept_fini(ctx, k);
    return DFQ_E_NOMEM;
}

static bool is_ours(const char *path)
{
    char text[HEADER];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    bool same = read(fd, text, HEADER) == HEADER && memcmp(text, head, HEADER) == 0;
    close(fd);
    return same;
}

/* What a checkpoint says of its images; false if it says nothing. */
static bool parse(const dfqi_safetensors *st, int32_t *which, uint64_t *hash)
{
    static const char digits[] = "0123456789abcdef";
    const char *text = dfqi_st_meta_find(st, key), *at;
    if (!text || strlen(text) != DFQI_KEPT_TEXT - 1 || text[1] != ' ') return false;
    if (text[0] != 'a' && text[0] != 'b') return false;
    *which = text[0] == 'b';
    *hash = 0;
    for (text += 2; *text; text++) {
        at = strchr(digits, *text);
        if (!at) return false;
        *hash = *hash << 4 | (uint64_t)(at - digits);
    }
    return true;
}

void dfqi_kept_text(const dfqi_kept *k, char text[DFQI_KEPT_TEXT])
{
    snprintf(text, DFQI_KEPT_TEXT, "%c %016" PRIx64, k->which ? 'b' : 'a', k->hash);
}

/* -- writing ----------------------------------------------------------------------------------- */

static dfq_status write_all(dfq_context *ctx, int fd, const char *name, uint64_t at,
                            const void *bytes, size_t size)
{
    const char *from = bytes;
    while (size > 0) {
        ssize_t put = pwrite(fd, from, size, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return dfqi_fail_errno(ctx, "write", name, errno);
        from += put;
        at += (uint64_t)put;
        size -= (size_t)put;
    }
    return DFQ_OK;
}

/* Images that are not in the file yet. */
static dfq_status append(const dfqi_synth *s, int fd, const char *name, dfqi_kept *k)
{
    const float *x;
    size_t image = (size_t)s->pixels * sizeof *x;
    for (int64_t n = dfqi_synth_finished(s); k->n < n; k->n++) {
        DFQI_TRY(dfqi_images_at(&s->finished, k->n, 1, &x));
        DFQI_TRY(write_all(s->ctx, fd, name, HEADER + (uint64_t)k->n * image, x, image));
        k->hash = dfqi_hash(k->hash, x, image);
    }
    if (fsync(fd) != 0) return dfqi_fail_errno(s->ctx, "write", name, errno);
    return DFQ_OK;
}

/* A new file in place of one that no checkpoint counts on. */
static dfq_status begin(dfq_context *ctx, const char *name, int *out)
{
    if (is_ours(name)) (void)unlink(name);
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == EEXIST)
        return dfqi_fail(ctx, DFQ_E_EXISTS,
                         "%s exists and is not a file of a checkpoint; move it, or choose another "
                         "name for the checkpoint",
                         name);
    if (fd < 0) return dfqi_fail_errno(ctx, "write", name, errno);
    dfq_status status = write_all(ctx, fd, name, 0, head, HEADER);
    if (status == DFQ_OK)
        *out = fd;
    else
        close(fd);
    return status;
}

/* Opens the file if it holds what the job has put there; -1 if it does not. */
static int reopen(const dfqi_synth *s, const char *name, const dfqi_kept *k)
{
    struct stat st;
    uint64_t want = HEADER + (uint64_t)k->n * (uint64_t)s->pixels * sizeof(float);
    if (k->n == 0 || !is_ours(name)) return -1;
    int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || (fstat(fd, &st) == 0 && (uint64_t)st.st_size >= want)) return fd;
    close(fd);
    return -1;
}

/* The name that the checkpoint at `path` does not use. */
static dfq_status choose(dfq_context *ctx, const char *path, int32_t *out)
{
    dfqi_safetensors st;
    int32_t which;
    uint64_t hash;
    *out = 0;
    if (!dfqi_path_is_file(path)) return DFQ_OK;
    dfq_status status = dfqi_st_read_meta(ctx, path, &st);
    if (status == DFQ_E_NOMEM) return status;
    if (status != DFQ_OK) return DFQ_OK; /* no checkpoint: it is replaced */
    if (parse(&st, &which, &hash)) *out = !which;
    dfqi_st_fini(&st);
    return DFQ_OK;
}

dfq_status dfqi_kept_write(const dfqi_synth *s, const char *path, dfqi_kept *k)
{
    if (!k->path || strcmp(k->path, path) != 0) {
        int32_t which;
        DFQI_TRY(choose(s->ctx, path, &which));
        DFQI_TRY(init(s->ctx, path, k));
        k->which = which;
    }
    if (dfqi_synth_finished(s) == 0) return DFQ_OK;
    const char *name = k->name[k->which];
    dfqi_kept next = *k;
    int fd = reopen(s, name, k);
    if (fd < 0) {
        next.n = 0;
        next.hash = DFQI_HASH_START;
        DFQI_TRY(begin(s->ctx, name, &fd));
    }
    dfq_status status = append(s, fd, name, &next);
    close(fd);
    if (status == DFQ_OK) *k = next;
    return status;
}

void dfqi_kept_clean(const dfqi_kept *k)
{
    for (int32_t i = 0; i < 2; i++)
        if ((i != k->which || k->n == 0) && is_ours(k->name[i])) (void)unlink(k->name[i]);
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status check(const dfqi_synth *s, const char *name, const dfqi_images *images,
                        uint64_t *hash)
{
    const float *x;
    *hash = DFQI_HASH_START;
    for (int64_t i = 0; i < images->n; i++) {
        DFQI_TRY(dfqi_images_at(images, i, 1, &x));
        for (int64_t k = 0; k < images->pixels; k++)
            if (!isfinite(x[k]))
                return dfqi_fail(s->ctx, DFQ_E_NUMERIC, "%s: image %lld holds %g, must be finite",
                                 name, (long long)i, (double)x[k]);
        *hash = dfqi_hash(*hash, x, (size_t)images->pixels * sizeof *x);
    }
    return DFQ_OK;
}

dfq_status dfqi_kept_open(const dfqi_synth *s, const dfqi_safetensors *st, const char *path,
                          int64_t n, dfqi_images *out, dfqi_kept *out_kept)
{
    dfqi_kept k = {0};
    dfqi_images images = {0};
    uint64_t hash, want;
    int32_t which;
    dfq_status status;
    if (!parse(st, &which, &want))
        return dfqi_fail(
            s->ctx, DFQ_E_CORRUPT,
            "%s: the file of its images is missing in the checkpoint, which is damaged", path);
    DFQI_TRY(init(s->ctx, path, &k));
    const char *name = k.name[which];
    k.which = which;
    k.hash = want;
    k.n = n;
    DFQI_GOTO(dfqi_images_open_raw(s->ctx, name, HEADER, n, s->pixels, &images), out);
    DFQI_GOTO(check(s, name, &images, &hash), out);
    if (!is_ours(name) || hash != want)
        status =
            dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                      "%s: the file is damaged, or does not hold the images of %s", name, path);
out:
    if (status != DFQ_OK) {
        dfqi_images_close(&images);
        dfqi_kept_fini(s->ctx, &k);
        return status;
    }
    *out = images;
    *out_kept = k;
    return DFQ_OK;
}
