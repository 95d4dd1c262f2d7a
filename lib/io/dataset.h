/* Labelled images behind one interface. A data set is a folder with labels.csv (file,label), a
 * folder of class folders (labels in alphabetical order), a CIFAR-10 or CIFAR-100 binary file, or
 * images of the caller. */
#ifndef DFQI_IO_DATASET_H
#define DFQI_IO_DATASET_H

#include <dfq/dataset.h>

#include "io/class_names.h"
#include "io/image.h"

typedef struct dfqi_dataset dfqi_dataset;

/* `classes` > 0: labels are checked against it; a bad row is named with its line number. Nothing
 * but the index is read here, pictures are decoded when asked for. */
DFQI_CHECKED dfq_status dfqi_dataset_open(dfq_context *ctx, const char *path, int32_t classes,
                                          dfqi_dataset **out);
/* The same, with labels from a file (NULL: none): "file,label" rows in place of labels.csv,
 * "folder,label" rows, or the names of class folders, one a line, in the order of the classes.
 * Labels may be `names` of classes (NULL: none), and so may folders, if all are. */
DFQI_CHECKED dfq_status dfqi_dataset_open_with(dfq_context *ctx, const char *path, int32_t classes,
                                               const char *labels_from,
                                               const dfqi_class_names *names, dfqi_dataset **out);
/* A data set of the caller's images; the struct has its full size. */
DFQI_CHECKED dfq_status dfqi_dataset_create(dfq_context *ctx, const dfq_dataset_source *source,
                                            dfqi_dataset **out);
/* Counts of the items found and left out; warnings in the log report the same. */
typedef struct dfqi_dataset_counts {
    int32_t kind;     /* DFQ_DATASET_* */
    int64_t folders;  /* of classes */
    int64_t left_out; /* pictures in them that are neither PNG, JPEG nor WebP */
    int64_t cropped;  /* larger images that were centre-cropped and not resized */
    int64_t turned;   /* pictures whose EXIF orientation was not followed */
} dfqi_dataset_counts;
dfqi_dataset_counts dfqi_dataset_get_counts(const dfqi_dataset *d);
dfqi_dataset *dfqi_dataset_retain(dfqi_dataset *d);
void dfqi_dataset_release(dfqi_dataset *d); /* NULL ok */
dfq_context *dfqi_dataset_context(const dfqi_dataset *d);
int64_t dfqi_dataset_count(const dfqi_dataset *d);
int32_t dfqi_dataset_label(const dfqi_dataset *d, int64_t i);
const char *dfqi_dataset_name(const dfqi_dataset *d, int64_t i); /* file name, or "image 17" */
DFQI_CHECKED dfq_status dfqi_dataset_image(const dfqi_dataset *d, int64_t i, dfqi_image *out);

/* How pictures become network inputs. */
typedef struct dfqi_preprocess {
    dfqi_size size;   /* extents of the input */
    dfqi_size resize; /* what the picture covers before the centre crop; 0 x 0: no resampling */
    dfqi_filter filter;
    float mean[3], std[3];
} dfqi_preprocess;
/* Does only the middle of a picture count, which is not resized? */
bool dfqi_crops(const dfqi_preprocess *p, const dfqi_image *im);

/* Images first..first+n-1, decoded in parallel, as out[n][3][height][width]. The first failure by
 * index is reported, naming the file. */
DFQI_CHECKED dfq_status dfqi_dataset_batch(const dfqi_dataset *d, int64_t first, int64_t n,
                                           const dfqi_preprocess *p, float *out);

#endif
