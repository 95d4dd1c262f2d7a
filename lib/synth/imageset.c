/* Image sets: creation from tensors, and writing to a folder. */
#include "synth/imageset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/text.h"
#include "io/file.h"
#include "io/folder.h"
#include "io/safetensors.h"

enum { CHUNK = 16, NAME = 32 };

static char images_key[] = "images", labels_key[] = "labels";

dfq_status dfqi_imageset_check(const dfqi_model *m, const dfq_tensor *images,
                               const dfq_tensor *labels)
{
    DFQI_TRY(dfqi_model_check_images(m, images, 0));
    return labels ? dfqi_model_check_labels(m, labels, images->dims[0]) : DFQ_OK;
}

/* -- saving ------------------------------------------------------------------------------------ */

typedef struct writer {
    const dfqi_model *m;
    const float *images; /* from `first` on */
    const char *folder;
    int64_t first;
    dfq_status status[CHUNK];
} writer;

static void picture_name(int64_t i, char name[NAME])
{
    snprintf(name, NAME, "%05lld.png", (long long)i);
}

/* Picture i behind the first. */
static dfq_status write_picture(const writer *w, int64_t i)
{
    const dfqi_arch *a = &w->m->net.arch;
    char name[NAME];
    dfqi_image im;
    picture_name(w->first + i, name);
    char *path = dfqi_format(w->m->ctx, "%s/%s", w->folder, name);
    if (!path) return DFQ_E_NOMEM;
    dfq_status status =
        dfqi_image_new(w->m->ctx, (int32_t)a->image.width, (int32_t)a->image.height, &im);
    if (status == DFQ_OK) {
        dfqi_image_denormalise(w->images + i * dfqi_arch_pixels(a), a->mean, a->std, &im);
        status = dfqi_image_write_png(w->m->ctx, path, &im, NULL);
        dfqi_image_fini(&im);
    }
    dfqi_free(w->m->ctx, path);
    return status;
}

static void write_body(void *arg, int64_t i, int32_t thread)
{
    writer *w = arg;
    (void)thread;
    w->status[i] = write_picture(w, i);
}

static dfq_status write_pictures(const dfqi_model *m, const dfqi_images *images, const char *folder)
{
    writer w = {.m = m, .folder = folder};
    int64_t n = images->n;
    dfqi_stage stage = dfqi_stage_begin(m->ctx, "save", 0, (uint64_t)n);
    for (; w.first < n; w.first += CHUNK) {
        int64_t count = n - w.first < CHUNK ? n - w.first : CHUNK;
        DFQI_TRY(dfqi_images_at(images, w.first, count, &w.images));
        dfqi_parallel_for(m->ctx, count, write_body, &w);
        for (int64_t i = 0; i < count; i++) DFQI_TRY(w.status[i]);
        DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)(w.first + count), NAN));
    }
    return DFQ_OK;
}

static dfq_status write_labels(const dfqi_model *m, const dfq_tensor *labels, const char *path)
{
    static const char header[] = "file,label\n";
    dfqi_out out;
    DFQI_TRY(dfqi_out_open(m->ctx, path, &out));
    dfq_status status = dfqi_out_write(&out, header, sizeof header - 1);
    for (int64_t i = 0; i < labels->dims[0] && status == DFQ_OK; i++) {
        char name[NAME], line[2 * NAME];
        picture_name(i, name);
        int n = snprintf(line, sizeof line, "%s,%d\n", name, (int)((int32_t *)labels->data)[i]);
        status = dfqi_out_write(&out, line, (size_t)n);
    }
    if (status == DFQ_OK) return dfqi_out_commit(&out);
    dfqi_out_abandon(&out);
    return status;
}

static dfq_status write_exact(const dfqi_model *m, const dfqi_images *images,
                              const dfq_tensor *shape, const dfq_tensor *labels, const char *path)
{
    dfq_tensor values = *shape;
    const dfqi_arch *a = &m->net.arch;
    char keys[3][16] = {"architecture", "mean", "std"}, mean[64], std[64], name[sizeof a->name];
    dfqi_st_meta meta[3] = {{keys[0], name}, {keys[1], mean}, {keys[2], std}};
    /* entries borrow; writing does not change what they name */
    dfqi_st_entry entries[2] = {{images_key, &values},
                                {labels_key, (dfq_tensor *)(uintptr_t)labels}};
    values.data = NULL;
    memcpy(name, a->name, sizeof name);
    dfqi_print(mean, sizeof mean, "%.9g,%.9g,%.9g", (double)a->mean[0], (double)a->mean[1],
               (double)a->mean[2]);
    dfqi_print(std, sizeof std, "%.9g,%.9g,%.9g", (double)a->std[0], (double)a->std[1],
               (double)a->std[2]);
    return dfqi_st_write_from(m->ctx, path, 2, entries, 3, meta, images);
}

/* The paths of a set's files inside its folder. */
typedef struct paths {
    char *labels, *exact, *contact;
} paths;

static void paths_fini(dfq_context *ctx, paths *p)
{
    dfqi_free(ctx, p->labels);
    dfqi_free(ctx, p->exact);
    dfqi_free(ctx, p->contact);
}

static dfq_status paths_init(dfq_context *ctx, const char *folder, paths *p)
{
    p->labels = dfqi_format(ctx, "%s/labels.csv", folder);
    p->exact = dfqi_format(ctx, "%s/images.safetensors", folder);
    p->contact = dfqi_format(ctx, "%s/contact.png", folder);
    if (p->labels && p->exact && p->contact) return DFQ_OK;
    paths_fini(ctx, p);
    return DFQ_E_NOMEM;
}

dfq_status dfqi_imageset_save_from(const dfqi_model *m, const dfqi_images *images,
                                   const dfq_tensor *shape, const dfq_tensor *labels,
                                   const char *folder, int replace)
{
    paths p;
    dfq_status status;
    DFQI_TRY(dfqi_imageset_check(m, shape, labels));
    DFQI_TRY(paths_init(m->ctx, folder, &p));
    const char *there = dfqi_path_exists(p.labels)  ? p.labels
                        : dfqi_path_exists(p.exact) ? p.exact
                                                    : NULL;
    if (there && !replace) {
        status =
            dfqi_fail(m->ctx, DFQ_E_EXISTS,
                      "%s exists already; choose another folder or allow to replace it", there);
        goto out;
    }
    DFQI_GOTO(dfqi_folder_make(m->ctx, folder), out);
    DFQI_GOTO(write_pictures(m, images, folder), out);
    DFQI_GOTO(dfqi_contact_sheet(m, images, p.contact), out);
    DFQI_GOTO(write_exact(m, images, shape, labels, p.exact), out);
    status = write_labels(m, labels, p.labels);
out:
    paths_fini(m->ctx, &p);
    return status;
}

dfq_status dfqi_imageset_save(const dfqi_model *m, const dfq_tensor *images,
                              const dfq_tensor *labels, const char *folder, int replace)
{
    DFQI_TRY(dfqi_imageset_check(m, images, labels));
    dfqi_images all = {.n = images->dims[0],
                       .pixels = dfqi_tensor_count(images) / images->dims[0],
                       .memory = dfqi_tensor_f32(images)};
    return dfqi_imageset_save_from(m, &all, images, labels, folder, replace);
}

/* -- what it costs ----------------------------------------------------------------------------- */

/* A chunk of images is read, and each thread has one of its pictures at work; the contact sheet is
 * made afterwards, when the chunk's memory is still there. */
void dfqi_imageset_save_cost(const dfqi_model *m, int64_t n, double *bytes, double *file_bytes)
{
    enum { HEADER = 1024, LINE = 32 };
    const dfqi_size size = m->net.arch.image;
    const double down = (double)size.height, across = (double)size.width;
    double picture = 3 * down * across, all = (double)n;
    int64_t columns, rows, threads = m->ctx->threads;
    if (threads > CHUNK) threads = CHUNK;
    if (threads > n) threads = n;
    dfqi_contact_sheet_size(m, n, &columns, &rows);
    double width = (double)columns, height = (double)rows;
    double pictures = (double)threads * (picture + dfqi_png_work_bytes(across, down));
    double write = dfqi_png_work_bytes(width, height), shrink = 2 * picture;
    double sheet = 3 * width * height + (write > shrink ? write : shrink);
    double read = (double)(n < CHUNK ? n : CHUNK) * picture * (double)sizeof(float);
    *bytes = read + (pictures > sheet ? pictures : sheet);
    *file_bytes = 2 * HEADER + all * (picture * (double)sizeof(float) + sizeof(int32_t) + LINE) +
                  all * dfqi_png_file_bytes(across, down) + dfqi_png_file_bytes(width, height);
}
