/* Image sets: reading, from images.safetensors or from the pictures. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset.h"
#include "io/folder.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "quant/evaluate.h"
#include "synth/imageset.h"

enum { CHUNK = 16 };

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Images belong to one network: they were made from its statistics or attention. */
static dfq_status warn_of_another(const dfqi_model *m, const char *path)
{
    dfqi_safetensors st;
    char show[DFQI_SHOW_MAX];
    DFQI_TRY(dfqi_st_read_but(m->ctx, path, "images", &st));
    const char *of = dfqi_st_meta_find(&st, "architecture");
    if (of && strcmp(of, m->net.arch.name) != 0)
        dfqi_log(m->ctx, DFQ_LOG_WARNING,
                 "%s: these images were made from network %s, not from %s; make new ones by dfq "
                 "synth if that is not intended",
                 path, dfqi_show(of, show), m->net.arch.name);
    dfqi_st_fini(&st);
    return DFQ_OK;
}

static dfq_status open_exact(const dfqi_model *m, const char *path, dfqi_imageset *set)
{
    DFQI_TRY(dfqi_images_open(m->ctx, path, "images", &set->images, &set->shape));
    return dfqi_images_beside(&set->images, "labels", &set->labels);
}

/* Reads all images of `from`, and keeps them if there is a spool. */
static dfq_status go_through(const dfqi_images *from, const dfqi_images *spool)
{
    const float *x;
    for (int64_t i = 0; i < from->n; i += CHUNK) {
        int64_t n = at_most(from->n - i, CHUNK);
        DFQI_TRY(dfqi_images_at(from, i, n, &x));
        if (spool) DFQI_TRY(dfqi_images_put(spool, i, n, x));
    }
    return DFQ_OK;
}

/* The first n images of a data set and their labels; nothing is decoded yet. */
static dfq_status take_dataset(dfqi_dataset *d, const dfqi_preprocess *p, int64_t n,
                               dfqi_imageset *set)
{
    DFQI_TRY(dfqi_images_decode(d, p, n, &set->images));
    set->shape = (dfq_tensor){.ctx = set->ctx,
                              .refs = 1,
                              .dtype = DFQI_F32,
                              .rank = 4,
                              .dims = {n, 3, p->size.height, p->size.width}};
    DFQI_TRY(dfqi_tensor_new(set->ctx, DFQI_I32, 1, &n, &set->labels));
    for (int64_t i = 0; i < n; i++) ((int32_t *)set->labels->data)[i] = dfqi_dataset_label(d, i);
    return DFQ_OK;
}

static dfq_status move_to_spool(const char *folder, dfqi_imageset *set)
{
    dfqi_images spool;
    DFQI_TRY(dfqi_images_spool(set->ctx, folder, set->images.n, set->images.pixels, &spool));
    dfq_status status = go_through(&set->images, &spool);
    if (status != DFQ_OK) {
        dfqi_images_close(&spool);
        return status;
    }
    dfqi_images_close(&set->images);
    set->images = spool;
    return DFQ_OK;
}

/* The pictures of a folder without images.safetensors. */
static dfq_status open_folder(const dfqi_model *m, const char *folder, dfqi_dataset **out)
{
    char *labels = dfqi_format(m->ctx, "%s/labels.csv", folder);
    if (!labels) return DFQ_E_NOMEM;
    const bool bare = dfqi_path_exists(folder) && !dfqi_path_exists(labels);
    dfqi_free(m->ctx, labels);
    dfq_status status = dfqi_dataset_open(m->ctx, folder, (int32_t)m->net.arch.classes, out);
    if (status == DFQ_E_IO && bare)
        return dfqi_fail(m->ctx, status,
                         "%s: the folder has no images.safetensors of dfq synth, nor pictures in "
                         "class folders or by a labels.csv; make images by dfq synth -o %s",
                         folder, folder);
    return status;
}

/* Images or labels that do not fit the network are told with the file that has them. */
static dfq_status check_fit(const dfqi_model *m, const dfqi_imageset *set, const char *path)
{
    dfq_status status = dfqi_imageset_check(m, &set->shape, set->labels);
    if (status != DFQ_E_INVALID && status != DFQ_E_SHAPE) return status;
    char *text = dfqi_format(m->ctx, "%s", m->ctx->error);
    if (!text) return DFQ_E_NOMEM;
    status = dfqi_fail(m->ctx, status == DFQ_E_INVALID ? DFQ_E_CORRUPT : status,
                       "%s: %s; make images for this network by dfq synth", path, text);
    dfqi_free(m->ctx, text);
    return status;
}

static dfq_status open_pictures(const dfqi_model *m, const char *folder, int64_t most,
                                dfqi_imageset *set)
{
    dfqi_preprocess p = dfqi_model_preprocess(m);
    dfqi_dataset *d;
    DFQI_TRY(open_folder(m, folder, &d));
    dfqi_log(m->ctx, DFQ_LOG_WARNING,
             "%s: there is no images.safetensors of dfq synth; pictures are taken instead, and "
             "nothing tells whether they are synthetic; for real ones give --real",
             folder);
    int64_t n = dfqi_dataset_count(d);
    p.resize = dfqi_square(0); /* the pictures of a set have the network's size */
    dfq_status status = take_dataset(d, &p, most > 0 ? at_most(n, most) : n, set);
    dfqi_dataset_release(d);
    return status;
}

static dfq_status check_finite(const dfqi_imageset *set, const char *folder)
{
    const dfqi_images *all = &set->images;
    const float *x;
    for (int64_t i = 0; i < all->n; i += CHUNK) {
        int64_t n = at_most(all->n - i, CHUNK);
        DFQI_TRY(dfqi_images_at(all, i, n, &x));
        for (int64_t k = 0; k < n * all->pixels; k++)
            if (!isfinite(x[k]))
                return dfqi_fail(set->ctx, DFQ_E_NUMERIC,
                                 "%s: tensor images holds %g at element %lld, must be finite",
                                 folder, (double)x[k], (long long)(i * all->pixels + k));
    }
    return DFQ_OK;
}

/* check: reads every value or picture once, to find errors early; not needed by a caller that reads
 * the whole set at once. */
static dfq_status fill(const dfqi_model *m, const char *folder, int64_t most, bool check,
                       dfqi_imageset *set)
{
    char *exact = dfqi_format(m->ctx, "%s/images.safetensors", folder);
    if (!exact) return DFQ_E_NOMEM;
    bool there = dfqi_path_exists(exact);
    dfq_status status = there ? open_exact(m, exact, set) : open_pictures(m, folder, most, set);
    if (status == DFQ_OK) status = check_fit(m, set, there ? exact : folder);
    if (status == DFQ_OK && most > 0) { /* nobody else has a reference to the labels yet */
        set->images.n = at_most(set->images.n, most);
        set->shape.dims[0] = set->labels->dims[0] = set->images.n;
    }
    if (status == DFQ_OK && there) status = check_finite(set, exact);
    if (status == DFQ_OK && !there && check) status = go_through(&set->images, NULL);
    if (status == DFQ_OK && there) status = warn_of_another(m, exact);
    dfqi_free(m->ctx, exact);
    return status;
}

static dfqi_imageset *new_set(dfq_context *ctx)
{
    dfqi_imageset *set = dfqi_calloc(ctx, 1, sizeof *set);
    if (!set) return NULL;
    set->ctx = dfqi_context_retain(ctx);
    set->refs = 1;
    return set;
}

/* Returns the set on success, releases it on failure. */
static dfq_status hand_out(dfqi_imageset *set, dfq_status status, dfqi_imageset **out)
{
    if (status != DFQ_OK)
        dfqi_imageset_release(set);
    else
        *out = set;
    return status;
}

dfq_status dfqi_imageset_of(const dfqi_images *images, const dfq_tensor *shape,
                            const dfq_tensor *labels, dfqi_imageset **out)
{
    dfqi_imageset *set = new_set(shape->ctx);
    if (!set) return DFQ_E_NOMEM;
    set->shape = *shape;
    set->images = dfqi_images_share(images);
    dfq_status status = dfqi_tensor_new(set->ctx, DFQI_I32, 1, labels->dims, &set->labels);
    if (status == DFQ_OK)
        memcpy(set->labels->data, labels->data, (size_t)labels->dims[0] * sizeof(int32_t));
    return hand_out(set, status, out);
}

dfq_status dfqi_imageset_open(const dfqi_model *m, const char *folder, int64_t most,
                              dfqi_imageset **out)
{
    dfqi_imageset *set = new_set(m->ctx);
    return set ? hand_out(set, fill(m, folder, most, true, set), out) : DFQ_E_NOMEM;
}

dfq_status dfqi_imageset_of_dataset(const dfqi_model *m, dfqi_dataset *d, int64_t most,
                                    const char *spool, dfqi_imageset **out)
{
    dfqi_preprocess p = dfqi_model_preprocess(m);
    int64_t n = dfqi_dataset_count(d);
    dfqi_imageset *set = new_set(m->ctx);
    if (!set) return DFQ_E_NOMEM;
    dfq_status status = take_dataset(d, &p, most > 0 ? at_most(n, most) : n, set);
    if (status == DFQ_OK)
        status = spool ? move_to_spool(spool, set) : go_through(&set->images, NULL);
    return hand_out(set, status, out);
}

dfqi_imageset *dfqi_imageset_retain(dfqi_imageset *set)
{
    set->refs++;
    return set;
}

void dfqi_imageset_release(dfqi_imageset *set)
{
    if (!set || --set->refs > 0) return;
    dfq_context *ctx = set->ctx;
    dfqi_images_close(&set->images);
    dfqi_tensor_release(set->labels);
    dfqi_free(ctx, set);
    dfqi_context_release(ctx);
}

/* -- taking ------------------------------------------------------------------------------------ */

static dfq_status copy_images(const dfqi_imageset *set, int64_t first, int64_t n, float *to)
{
    const float *x;
    int64_t pixels = set->images.pixels;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t count = at_most(n - i, CHUNK);
        DFQI_TRY(dfqi_images_at(&set->images, first + i, count, &x));
        memcpy(to + i * pixels, x, (size_t)(count * pixels) * sizeof *to);
    }
    return DFQ_OK;
}

dfq_status dfqi_imageset_take(dfqi_imageset *set, int64_t first, int64_t n, dfq_tensor **out_images,
                              dfq_tensor **out_labels)
{
    dfq_tensor *images = NULL, *labels = NULL;
    dfq_status status;
    int64_t dims[DFQI_RANK_MAX];
    memcpy(dims, set->shape.dims, sizeof dims);
    dims[0] = n;
    DFQI_GOTO(dfqi_tensor_new(set->ctx, DFQI_F32, set->shape.rank, dims, &images), out);
    DFQI_GOTO(copy_images(set, first, n, dfqi_tensor_f32(images)), out);
    DFQI_GOTO(dfqi_tensor_new(set->ctx, DFQI_I32, 1, &n, &labels), out);
    memcpy(labels->data, (const int32_t *)set->labels->data + first, (size_t)n * sizeof(int32_t));
    *out_images = images;
    *out_labels = labels;
    images = labels = NULL;
out:
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
    return status;
}

dfq_status dfqi_imageset_load(const dfqi_model *m, const char *folder, dfq_tensor **out_images,
                              dfq_tensor **out_labels)
{
    dfqi_imageset *set = new_set(m->ctx);
    if (!set) return DFQ_E_NOMEM;
    dfq_status status = fill(m, folder, 0, false, set);
    if (status == DFQ_OK)
        status = dfqi_imageset_take(set, 0, set->images.n, out_images, out_labels);
    dfqi_imageset_release(set);
    return status;
}
