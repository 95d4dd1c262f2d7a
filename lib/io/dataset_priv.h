/* The struct of a data set, and the functions shared by the index readers and dataset.c. */
#ifndef DFQI_IO_DATASET_PRIV_H
#define DFQI_IO_DATASET_PRIV_H

#include "base/memory.h"
#include "io/dataset.h"

typedef struct dfqi_row {
    const char *name; /* in the arena; relative to `path` for folders */
    int32_t label;
    uint8_t cropped; /* 1: a batch used its centre crop only */
    uint8_t turned;  /* 1: its EXIF data say that it is turned or mirrored */
} dfqi_row;

struct dfqi_dataset {
    dfq_context *ctx; /* retained */
    int32_t refs;
    dfqi_arena arena;
    char *path;                    /* the folder, or the CIFAR file */
    int fd;                        /* of the CIFAR file, -1 otherwise */
    int32_t record;                /* its bytes for one image */
    int32_t classes;               /* 0: labels are not checked */
    const dfqi_class_names *names; /* while the index is made; NULL: not known */
    int64_t count;
    size_t cap;
    dfqi_row *rows;
    dfqi_dataset_counts counts;
    dfq_dataset_source *source; /* images of the caller; NULL: of files */
    void *copy;                 /* its images, if they are the data set's own */
};

enum { DFQI_IMAGE_NAME = 32 };

/* dataset_source.c */
size_t dfqi_dataset_image_bytes(const dfq_dataset_source *s);
/* Images first .. first + n - 1 as the caller has them, where they lie, or read into `room`. */
DFQI_CHECKED dfq_status dfqi_dataset_raw(const dfqi_dataset *d, int64_t first, int64_t n,
                                         void *room, const void **out);
/* One of them as a picture; `ctx` takes memory and error text. */
DFQI_CHECKED dfq_status dfqi_dataset_raw_picture(const dfqi_dataset *d, dfq_context *ctx,
                                                 const void *raw, dfqi_image *out);
/* Floats must have the size that the network takes. */
DFQI_CHECKED dfq_status dfqi_dataset_check_floats(const dfqi_dataset *d, const dfqi_preprocess *p);
void dfqi_dataset_release_source(dfqi_dataset *d);

enum { DFQI_CIFAR_SIDE = 32, DFQI_CIFAR_PIXELS = 1024 };
/* Labels come before the pixels: one, or of CIFAR-100 the coarse and the fine one. */
enum { DFQI_CIFAR10_RECORD = 3073, DFQI_CIFAR100_RECORD = 3074 };

/* The class that a label of rows says, its number or one of its names. DFQ_E_CORRUPT if it is none
 * or could be several. `where` names the row. */
DFQI_CHECKED dfq_status dfqi_dataset_read_label(const dfqi_dataset *d, const char *where,
                                                const char *label, int32_t *out);
/* DFQ_E_SHAPE if the network has fewer classes; `where` names the row. */
DFQI_CHECKED dfq_status dfqi_dataset_check_label(const dfqi_dataset *d, const char *where,
                                                 int64_t label);
DFQI_CHECKED dfq_status dfqi_dataset_add(dfqi_dataset *d, const char *name, int32_t label);

DFQI_CHECKED dfq_status dfqi_dataset_index_csv(dfqi_dataset *d, const char *csv);
/* Columns of rows of labels. */
typedef struct dfqi_csv {
    int32_t n, file, label; /* columns, and which they are */
} dfqi_csv;
/* From the first line, which ends with a line end or a zero byte: one column of files and one of
 * labels by the words for them; others are not read. False: there are not exactly these. */
bool dfqi_csv_columns(const char *line, dfqi_csv *out);
/* Cuts a row in place. False: it has quotes, or another number of columns, and stays as it is. */
bool dfqi_csv_cut(const dfqi_csv *c, char *line, char **out_file, char **out_label);
/* The same from memory, for tests; `check_files` false leaves the disk alone. */
DFQI_CHECKED dfq_status dfqi_dataset_parse_csv(dfqi_dataset *d, const char *csv, char *text,
                                               size_t size, bool check_files);
/* labels: NULL, or which folder is which class; borrowed */
DFQI_CHECKED dfq_status dfqi_dataset_index_folders(dfqi_dataset *d, const char *labels);
/* Reads the first line of a file of labels: does it have rows of files? */
DFQI_CHECKED dfq_status dfqi_dataset_labels_are_csv(dfq_context *ctx, const char *path, bool *out);
DFQI_CHECKED dfq_status dfqi_dataset_index_cifar(dfqi_dataset *d);

/* An empty data set; `path` is copied. */
DFQI_CHECKED dfq_status dfqi_dataset_new(dfq_context *ctx, const char *path, int32_t classes,
                                         dfqi_dataset **out);

#endif
