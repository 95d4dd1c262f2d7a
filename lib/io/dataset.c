/* Labelled images: opens a data set, decodes one image, and decodes a batch in parallel. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/parallel.h"
#include "io/dataset_priv.h"
#include "io/file.h"
#include "io/folder.h"

dfq_status dfqi_dataset_new(dfq_context *ctx, const char *path, int32_t classes, dfqi_dataset **out)
{
    dfqi_dataset *d = dfqi_calloc(ctx, 1, sizeof *d);
    char *copy = d ? dfqi_strdup(ctx, path) : NULL;
    if (!copy) {
        dfqi_free(ctx, d);
        return DFQ_E_NOMEM;
    }
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/') copy[--n] = '\0';
    d->ctx = dfqi_context_retain(ctx);
    d->refs = 1;
    dfqi_arena_init(&d->arena, ctx);
    d->path = copy;
    d->fd = -1;
    d->classes = classes;
    *out = d;
    return DFQ_OK;
}

/* A folder without other labels: by its labels.csv, or by class folders. */
static dfq_status index_folder(dfqi_dataset *d)
{
    char *csv = dfqi_format(d->ctx, "%s/labels.csv", d->path);
    if (!csv) return DFQ_E_NOMEM;
    dfq_status status = dfqi_path_exists(csv) ? dfqi_dataset_index_csv(d, csv)
                                              : dfqi_dataset_index_folders(d, NULL);
    dfqi_free(d->ctx, csv);
    return status;
}

static dfq_status index_by(dfqi_dataset *d, const char *labels)
{
    bool csv;
    DFQI_TRY(dfqi_dataset_labels_are_csv(d->ctx, labels, &csv));
    return csv ? dfqi_dataset_index_csv(d, labels) : dfqi_dataset_index_folders(d, labels);
}

dfq_status dfqi_dataset_open_with(dfq_context *ctx, const char *path, int32_t classes,
                                  const char *labels_from, const dfqi_class_names *names,
                                  dfqi_dataset **out)
{
    dfqi_dataset *d;
    dfq_status status;
    DFQI_TRY(dfqi_dataset_new(ctx, path, classes, &d));
    d->names = names;
    if (!dfqi_path_is_file(d->path))
        status = labels_from ? index_by(d, labels_from) : index_folder(d);
    else if (labels_from)
        status = dfqi_fail(ctx, DFQ_E_INVALID, "%s: the file has labels of its own; leave %s out",
                           path, labels_from);
    else
        status = dfqi_dataset_index_cifar(d);
    d->names = NULL;
    if (status == DFQ_OK)
        *out = d;
    else
        dfqi_dataset_release(d);
    return status;
}

dfq_status dfqi_dataset_open(dfq_context *ctx, const char *path, int32_t classes,
                             dfqi_dataset **out)
{
    return dfqi_dataset_open_with(ctx, path, classes, NULL, NULL, out);
}

dfqi_dataset_counts dfqi_dataset_get_counts(const dfqi_dataset *d)
{
    dfqi_dataset_counts counts = d->counts;
    for (int64_t i = 0; i < d->count; i++) {
        counts.cropped += d->rows[i].cropped;
        counts.turned += d->rows[i].turned;
    }
    return counts;
}

dfqi_dataset *dfqi_dataset_retain(dfqi_dataset *d)
{
    d->refs++;
    return d;
}

void dfqi_dataset_release(dfqi_dataset *d)
{
    if (!d || --d->refs > 0) return;
    dfq_context *ctx = d->ctx;
    if (d->fd >= 0) close(d->fd);
    dfqi_dataset_release_source(d);
    dfqi_arena_fini(&d->arena);
    dfqi_free(ctx, d->rows);
    dfqi_free(ctx, d->path);
    dfqi_free(ctx, d);
    dfqi_context_release(ctx);
}

dfq_context *dfqi_dataset_context(const dfqi_dataset *d)
{
    return d->ctx;
}

int64_t dfqi_dataset_count(const dfqi_dataset *d)
{
    return d->count;
}

int32_t dfqi_dataset_label(const dfqi_dataset *d, int64_t i)
{
    return d->rows[i].label;
}

const char *dfqi_dataset_name(const dfqi_dataset *d, int64_t i)
{
    return d->rows[i].name;
}

/* A record: labels, then 1024 red, green, blue. pread, since threads share the file. */
static dfq_status read_cifar(const dfqi_dataset *d, dfq_context *ctx, int64_t i, dfqi_image *out)
{
    unsigned char record[DFQI_CIFAR100_RECORD];
    size_t have = 0, size = (size_t)d->record, labels = size - 3 * DFQI_CIFAR_PIXELS;
    while (have < size) {
        ssize_t got = pread(d->fd, record + have, size - have, (off_t)i * d->record + (off_t)have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return dfqi_fail_errno(ctx, "read", d->path, errno);
        if (got == 0)
            return dfqi_fail(ctx, DFQ_E_IO,
                             "%s: the file became shorter, and image %lld is gone; open it again "
                             "when it is complete",
                             d->path, (long long)i);
        have += (size_t)got;
    }
    dfqi_image im;
    DFQI_TRY(dfqi_image_new(ctx, DFQI_CIFAR_SIDE, DFQI_CIFAR_SIDE, &im));
    for (size_t p = 0; p < DFQI_CIFAR_PIXELS; p++)
        for (size_t c = 0; c < 3; c++)
            im.rgb[3 * p + c] = record[labels + c * DFQI_CIFAR_PIXELS + p];
    *out = im;
    return DFQ_OK;
}

/* `ctx` takes memory and error text: the data set's own, or the stand-in of one thread. */
static dfq_status read_image(const dfqi_dataset *d, dfq_context *ctx, int64_t i, dfqi_image *out)
{
    if (d->fd >= 0) return read_cifar(d, ctx, i, out);
    char *full = dfqi_format(ctx, "%s/%s", d->path, d->rows[i].name);
    if (!full) return DFQ_E_NOMEM;
    dfq_status status = dfqi_image_read(ctx, full, out);
    dfqi_free(ctx, full);
    return status;
}

static dfq_status check_range(const dfqi_dataset *d, int64_t first, int64_t n)
{
    return dfqi_check_span(d->ctx, "images of the data set", first, n, 0, d->count);
}

/* For n images of a source that is asked for them. */
static void *make_room(const dfqi_dataset *d, int64_t n)
{
    size_t one = d->source && d->source->read ? dfqi_dataset_image_bytes(d->source) : 0;
    return dfqi_alloc(d->ctx,
                      (size_t)n * one); /* of a part of all images, whose size was checked */
}

dfq_status dfqi_dataset_image(const dfqi_dataset *d, int64_t i, dfqi_image *out)
{
    const void *raw;
    DFQI_TRY(check_range(d, i, 1));
    if (!d->source) return read_image(d, d->ctx, i, out);
    void *room = make_room(d, 1);
    if (!room) return DFQ_E_NOMEM;
    dfq_status status = dfqi_dataset_raw(d, i, 1, room, &raw);
    if (status == DFQ_OK) status = dfqi_dataset_raw_picture(d, d->ctx, raw, out);
    dfqi_free(d->ctx, room);
    return status;
}

enum { ASKED = 64 }; /* images that a source is asked for at a time */

/* A context serves one thread at a time, so each worker has a stand-in with an error text of its
 * own: the allocator is shared (it must be thread safe), the rest is empty. */
typedef struct worker {
    dfq_context ctx;
    dfq_status status;
    int64_t failed; /* the lowest index this worker failed at */
} worker;

typedef struct batch {
    const dfqi_dataset *d;
    const dfqi_preprocess *p;
    int64_t first;
    const unsigned char *raw; /* of a source: from `first` on */
    float *out;
    worker *workers;
} batch;

bool dfqi_crops(const dfqi_preprocess *p, const dfqi_image *im)
{
    return p->resize.height == 0 && (im->width > p->size.width || im->height > p->size.height);
}

static dfq_status load(const batch *b, dfq_context *ctx, int64_t i)
{
    const dfqi_preprocess *p = b->p;
    dfqi_image im = {0}, fitted;
    char cause[DFQI_ERROR_MAX];
    if (b->raw) {
        size_t size = dfqi_dataset_image_bytes(b->d->source);
        const unsigned char *raw = b->raw + (size_t)i * size;
        if (b->d->source->pixels == DFQ_PIXELS_F32_NCHW) {
            memcpy(b->out + (size_t)i * 3 * (size_t)dfqi_area(p->size), raw, size);
            return DFQ_OK;
        }
        DFQI_TRY(dfqi_dataset_raw_picture(b->d, ctx, raw, &im));
    } else {
        DFQI_TRY(read_image(b->d, ctx, b->first + i, &im));
    }
    /* each row is of one thread */
    if (dfqi_crops(p, &im)) b->d->rows[b->first + i].cropped = 1;
    if (im.orientation > 1) b->d->rows[b->first + i].turned = 1;
    dfq_status status = dfqi_image_fit(&im, p->resize, p->size, p->filter, &fitted);
    dfqi_image_fini(&im);
    if (status != DFQ_OK) { /* fit does not know the file's name */
        memcpy(cause, ctx->error, sizeof cause);
        return dfqi_fail(ctx, status, "%s/%s: %.800s", b->d->path, b->d->rows[b->first + i].name,
                         cause);
    }
    size_t plane = (size_t)dfqi_area(p->size);
    dfqi_image_normalise(&fitted, p->mean, p->std, b->out + (size_t)i * 3 * plane);
    dfqi_image_fini(&fitted);
    return DFQ_OK;
}

static void load_body(void *arg, int64_t i, int32_t thread)
{
    const batch *b = arg;
    worker *w = &b->workers[thread];
    /* Only the failure with the lowest index is reported, so images behind it are not tried. */
    if (w->status != DFQ_OK && i > w->failed) return;
    dfq_status status = load(b, &w->ctx, i);
    if (status != DFQ_OK) {
        w->status = status;
        w->failed = i;
    }
}

static void set_up_workers(const batch *b, int32_t threads)
{
    for (int32_t t = 0; t < threads; t++) {
        b->workers[t].ctx.allocator = b->d->ctx->allocator;
        b->workers[t].ctx.threads = 1;
        b->workers[t].ctx.refs = 1;
    }
}

/* The lowest failure of all workers. */
static dfq_status tell(const batch *b, int32_t threads)
{
    const worker *worst = NULL;
    for (int32_t t = 0; t < threads; t++) {
        const worker *w = &b->workers[t];
        if (w->status != DFQ_OK && (!worst || w->failed < worst->failed)) worst = w;
    }
    return worst ? dfqi_fail(b->d->ctx, worst->status, "%s", worst->ctx.error) : DFQ_OK;
}

/* Images of a source that is asked for them: some at a time, in order, from this thread. */
static dfq_status load_asked(batch *b, int64_t n, void *room)
{
    const dfqi_dataset *d = b->d;
    for (int64_t done = 0; done < n; done += ASKED) {
        int64_t count = n - done < ASKED ? n - done : ASKED;
        const void *raw;
        DFQI_TRY(dfqi_dataset_raw(d, b->first, count, room, &raw));
        b->raw = raw;
        dfqi_parallel_for(d->ctx, count, load_body, b);
        DFQI_TRY(tell(b, d->ctx->threads));
        b->first += count;
        b->out += (size_t)count * 3 * (size_t)dfqi_area(b->p->size);
    }
    return DFQ_OK;
}

dfq_status dfqi_dataset_batch(const dfqi_dataset *d, int64_t first, int64_t n,
                              const dfqi_preprocess *p, float *out)
{
    DFQI_TRY(check_range(d, first, n));
    if (dfqi_shorter(p->size) < 1)
        return dfqi_fail(d->ctx, DFQ_E_INVALID, "input is %lld x %lld, both must be 1 or more",
                         (long long)p->size.height, (long long)p->size.width);
    if (d->source) DFQI_TRY(dfqi_dataset_check_floats(d, p));
    dfq_status status = DFQ_E_NOMEM;
    int32_t threads = d->ctx->threads;
    void *room = make_room(d, n < ASKED ? n : ASKED);
    batch b = {.d = d, .p = p, .first = first, .out = out};
    b.workers = dfqi_calloc(d->ctx, (size_t)threads, sizeof *b.workers);
    if (!room || !b.workers) goto out;
    set_up_workers(&b, threads);
    if (d->source) {
        status = load_asked(&b, n, room);
    } else {
        dfqi_parallel_for(d->ctx, n, load_body, &b);
        status = tell(&b, threads);
    }
out:
    dfqi_free(d->ctx, b.workers);
    dfqi_free(d->ctx, room);
    return status;
}
