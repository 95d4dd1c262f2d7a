/* Image sets on disk, and attention maps as pictures. A set is a folder with
 *   00000.png, 00001.png, ...   pictures, and labels.csv, so that any tool can read the set
 *   images.safetensors          the exact values: images F32 [n,3,S,S] normalised, labels I32 [n]
 *   contact.png                 an overview */
#ifndef DFQI_SYNTH_IMAGESET_H
#define DFQI_SYNTH_IMAGESET_H

#include <dfq/image_set.h>

#include "io/dataset.h"
#include "io/images.h"
#include "quant/model.h"

/* The struct behind dfq_image_set: a set that is open. Exact values stay in their file and are read
 * when they are needed; where there are only pictures, these are decoded when they are needed, or
 * once into a spool. */
struct dfq_image_set {
    dfq_context *ctx; /* retained */
    int32_t refs;
    dfqi_images images;
    dfq_tensor shape;   /* of all images, without data */
    dfq_tensor *labels; /* [n] */
};
typedef struct dfq_image_set dfqi_imageset;

/* images F32 [n,3,S,S] of the model's size, labels I32 [n] in 0..classes - 1, or NULL. */
DFQI_CHECKED dfq_status dfqi_imageset_check(const dfqi_model *m, const dfq_tensor *images,
                                            const dfq_tensor *labels);
/* `images` have the shape of `shape` (its data is not used), which dfqi_imageset_check accepts
 * with the labels. DFQ_E_EXISTS if the folder holds a set already, unless `replace`. Reports stage
 * "save". */
DFQI_CHECKED dfq_status dfqi_imageset_save_from(const dfqi_model *m, const dfqi_images *images,
                                                const dfq_tensor *shape, const dfq_tensor *labels,
                                                const char *folder, int replace);
/* Writes images in memory as a set. */
DFQI_CHECKED dfq_status dfqi_imageset_save(const dfqi_model *m, const dfq_tensor *images,
                                           const dfq_tensor *labels, const char *folder,
                                           int replace);
/* Memory and files that saving n images of a file takes. */
void dfqi_imageset_save_cost(const dfqi_model *m, int64_t n, double *bytes, double *file_bytes);
/* A set of images and labels that were never a folder; shares the images. */
DFQI_CHECKED dfq_status dfqi_imageset_of(const dfqi_images *images, const dfq_tensor *shape,
                                         const dfq_tensor *labels, dfqi_imageset **out);

/* -- reading (imageset_read.c) ----------------------------------------------------------------- */

/* From images.safetensors if there, else from the pictures by the network's preprocessing. The
 * first `most` images (0: all) are checked, a few at a time: DFQ_E_NUMERIC if one is not finite. */
DFQI_CHECKED dfq_status dfqi_imageset_open(const dfqi_model *m, const char *folder, int64_t most,
                                           dfqi_imageset **out);
/* The first `most` images (0: all) of a data set, which is retained, by the network's
 * preprocessing; labels as it has them. `spool`: a folder for a file without a name into which they
 * are decoded once; NULL: they are decoded whenever they are needed. Each is decoded here: a broken
 * one shows before the work. */
DFQI_CHECKED dfq_status dfqi_imageset_of_dataset(const dfqi_model *m, dfqi_dataset *d, int64_t most,
                                                 const char *spool, dfqi_imageset **out);
dfqi_imageset *dfqi_imageset_retain(dfqi_imageset *set);
void dfqi_imageset_release(dfqi_imageset *set); /* NULL ok */
/* Images first .. first + n - 1 of the set and their labels, as new tensors. */
DFQI_CHECKED dfq_status dfqi_imageset_take(dfqi_imageset *set, int64_t first, int64_t n,
                                           dfq_tensor **out_images, dfq_tensor **out_labels);
/* All of a set. */
DFQI_CHECKED dfq_status dfqi_imageset_load(const dfqi_model *m, const char *folder,
                                           dfq_tensor **out_images, dfq_tensor **out_labels);

/* -- pictures (sheet.c) ------------------------------------------------------------------------ */

/* The first images (256 at most) in a square of tiles no wider than 112 pixels. */
DFQI_CHECKED dfq_status dfqi_contact_sheet(const dfqi_model *m, const dfqi_images *images,
                                           const char *path);
/* Width and height of that of n images. */
void dfqi_contact_sheet_size(const dfqi_model *m, int64_t n, int64_t *width, int64_t *height);
/* Last block, image `index`: above, the image and the class token's attention map of each head;
 * below, the mean raw query-key product over patch queries, of all heads and of each head. Maps
 * are stretched to their own range; patches are enlarged without smoothing. */
DFQI_CHECKED dfq_status dfqi_attention_sheet(const dfqi_model *m, const dfq_tensor *images,
                                             int64_t index, const char *path);

#endif
