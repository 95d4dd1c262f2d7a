/* Images of one size, read a few at a time. They lie in memory, stay in a file, or are decoded from
 * a data set each time. So work on many images does not hold them all in memory. */
#ifndef DFQI_IO_IMAGES_H
#define DFQI_IO_IMAGES_H

#include "io/dataset.h"
#include "io/safetensors.h"

typedef struct dfqi_images_file dfqi_images_file;

/* The place of images. A caller that has them in memory fills the first three fields. */
typedef struct dfqi_images {
    int64_t n, pixels;   /* images, floats of one */
    const float *memory; /* [n][pixels], or NULL: `file` has them */
    dfqi_images_file *file;
} dfqi_images;

/* Tensor `name` of a safetensors file, which stays open; nothing of it is read. `out_shape` gets
 * type and extents, without data, for the caller to check. */
DFQI_CHECKED dfq_status dfqi_images_open(dfq_context *ctx, const char *path, const char *name,
                                         dfqi_images *out, dfq_tensor *out_shape);
/* Another, small tensor of the same file, read whole. */
DFQI_CHECKED dfq_status dfqi_images_beside(const dfqi_images *images, const char *name,
                                           dfq_tensor **out);
/* n images of `pixels` floats that follow each other in a file from byte `begin` on. DFQ_E_CORRUPT
 * if the file is shorter. */
DFQI_CHECKED dfq_status dfqi_images_open_raw(dfq_context *ctx, const char *path, uint64_t begin,
                                             int64_t n, int64_t pixels, dfqi_images *out);
/* The first n images of a data set, which is retained: each is decoded whenever it is asked for,
 * and may be broken (DFQ_E_IO, DFQ_E_CORRUPT naming the picture). */
DFQI_CHECKED dfq_status dfqi_images_decode(dfqi_dataset *d, const dfqi_preprocess *p, int64_t n,
                                           dfqi_images *out);
/* An empty spool: room for n images in an unnamed file in `folder`. Closing it deletes the file. */
DFQI_CHECKED dfq_status dfqi_images_spool(dfq_context *ctx, const char *folder, int64_t n,
                                          int64_t pixels, dfqi_images *out);
/* Images first .. first + n - 1 of a spool. */
DFQI_CHECKED dfq_status dfqi_images_put(const dfqi_images *images, int64_t first, int64_t n,
                                        const float *x);
/* Another handle of the same images; each handle is closed separately. */
dfqi_images dfqi_images_share(const dfqi_images *images);
void dfqi_images_close(dfqi_images *images); /* harmless for images in memory */

/* Images first .. first + n - 1, valid until the next call. Images that are not in memory are read
 * into a buffer that grows to the largest n. DFQ_E_IO if the file was shortened or changed since it
 * was opened. */
DFQI_CHECKED dfq_status dfqi_images_at(const dfqi_images *images, int64_t first, int64_t n,
                                       const float **out);

#endif
