/** @file dfq/dataset.h
 *  @ingroup stable
 *  Labelled images. A data set is one of: images of the caller (in memory, or from a callback); a
 *  folder with labels.csv (`file,label`); a folder with one folder per class, whose labels are
 *  their positions in alphabetical order (numeric order if all names are whole numbers); a CIFAR-10
 *  or CIFAR-100 binary file. Likely mistakes are logged at DFQ_LOG_WARNING: fewer class folders
 *  than classes, pictures of unknown formats (left out), numeric order. */
#ifndef DFQ_DATASET_H
#define DFQ_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of data sets. */
enum {
    DFQ_DATASET_CSV = 0,     /**< rows of files and labels */
    DFQ_DATASET_FOLDERS = 1, /**< class folders */
    DFQ_DATASET_CIFAR10 = 2,
    DFQ_DATASET_CIFAR100 = 3, /**< its fine labels; with a network of 20 classes the coarse ones */
    DFQ_DATASET_MEMORY = 4,   /**< images in memory */
    DFQ_DATASET_CALLBACK = 5  /**< images that a function of the caller gives */
};

/** Pixel layouts of the caller's images. */
enum {
    /** uint8_t [n][height][width][3], red, green, blue: pictures, which are resized, cropped and
     *  normalised as those of files are. */
    DFQ_PIXELS_U8_NHWC = 0,
    /** Pictures as ::DFQ_PIXELS_U8_NHWC, laid out as uint8_t [n][3][height][width]. */
    DFQ_PIXELS_U8_NCHW = 1,
    /** float [n][3][height][width], normalised, of the size that the network takes: used as they
     *  are. */
    DFQ_PIXELS_F32_NCHW = 2,
    /** float [n][height][width][3], normalised; for dfq_runtime_run() alone. */
    DFQ_PIXELS_F32_NHWC = 3
};

/** Labelled images that the caller has: in memory (`images` and `labels`), or behind a function
 *  (`read`). Filled by hand: set everything to 0, then struct_size and what is wanted. */
typedef struct dfq_dataset_source {
    uint32_t struct_size; /**< sizeof(dfq_dataset_source) of the caller */
    int32_t pixels;       /**< DFQ_PIXELS_* */
    int64_t count;        /**< images, 1 to 2^31 - 1 */
    int32_t height;       /**< of each image, 1 to 16384; at most 100 million pixels */
    int32_t width;        /**< the same */
    int32_t classes;      /**< labels must be below it; 0: not checked */
    /** 0: `images` are copied; 1: they are used where they lie, and must stay until `release` is
     *  called. Labels are copied always. */
    int32_t borrow;
    const void *images;    /**< `count` images; NULL: `read` is asked for them */
    const int32_t *labels; /**< `count` labels of `images`, 0 or more */
    /** Gives images first .. first + n - 1 and their labels, which must be the same whenever they
     *  are asked for. What is NULL is not wanted. Called on the thread that is inside libdfq: when
     *  the data set is created for all labels, later for 64 images at a time at most. It must not
     *  call libdfq with handles of the same context.
     *  @param out_images n images, laid out as `pixels` says
     *  @param out_labels n labels, 0 or more
     *  @return 0; any other value ends the call that needed them with ::DFQ_E_IO. */
    int32_t (*read)(int64_t first, int64_t n, void *out_images, int32_t *out_labels, void *user);
    /** Called once when nothing uses the images any more: the data set has been given back, and so
     *  have image sets made of it. May be NULL. Not used if images
     *  are copied. */
    void (*release)(void *user);
    void *user;       /**< passed to both */
    const char *name; /**< what error texts call the data set; NULL: "memory". Copied */
} dfq_dataset_source;

/** How a data set is read. */
typedef struct dfq_dataset_options {
    uint32_t struct_size; /**< set by dfq_dataset_options_init() */
    int32_t classes;      /**< labels must be below it; 0: not checked */
    /** A file of labels; NULL: none. With the heading `file,label` it replaces labels.csv. With the
     *  heading `folder,label` it gives the class of each folder. Without a heading, the first word
     *  of line i is the folder of class i, as in lists of synsets. */
    const char *labels_from;
    /** A network: labels in rows may be names of its classes, and folders that are all called so
     *  are these classes in any order. It is used while the data set is opened. NULL: labels are
     *  numbers, and the order of folders counts. */
    const dfq_graph *graph;
} dfq_dataset_options;

/** Kind and counts of a data set. Filled by dfq_dataset_get_info(). */
typedef struct dfq_dataset_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t kind;         /**< DFQ_DATASET_* */
    int64_t count;        /**< images */
    int64_t folders;      /**< class folders */
    int64_t left_out;     /**< pictures in class folders that are neither PNG nor JPEG */
    int64_t cropped;      /**< images so far that were cropped to their middle: they are larger
                               than the network's input, and its metadata forbids resizing */
    int64_t turned;       /**< JPEG pictures so far whose EXIF data say that they are turned or
                               mirrored; pixels are taken as they lie, as PyTorch takes them */
} dfq_dataset_info;

/** Fills `options` with the defaults. @param size sizeof *options */
DFQ_API void dfq_dataset_options_init(dfq_dataset_options *options, size_t size);

/** Opens a data set; pictures are decoded only when they are needed.
 *  @param options     NULL: the defaults
 *  @param out_dataset to be given back with dfq_dataset_release()
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (names file and line), ::DFQ_E_SHAPE (a label that the
 *          network does not know), ::DFQ_E_INVALID, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_dataset_open_with(dfq_context *context, const char *path,
                                             const dfq_dataset_options *options,
                                             dfq_dataset **out_dataset);

/** Fills `out_info` as far as its struct_size allows. @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_dataset_get_info(const dfq_dataset *dataset, dfq_dataset_info *out_info);

/** dfq_dataset_open_with() without a file of labels.
 *  @param classes     labels must be below it; 0: not checked
 *  @param out_dataset to be given back with dfq_dataset_release()
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (names file and line), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_dataset_open(dfq_context *context, const char *path, int32_t classes,
                                        dfq_dataset **out_dataset);

/** Makes a data set of images that the caller has, for evaluation, calibration
 *  (dfq_image_set_create_from_dataset()), training and exploring. Labels are read and checked here.
 *  @param out_dataset to be given back with dfq_dataset_release()
 *  @return ::DFQ_E_INVALID (counts, sizes, neither or both of `images` and `read`, a negative
 *          label), ::DFQ_E_SHAPE (a label that is not below `classes`), ::DFQ_E_IO (`read` fails),
 *          ::DFQ_E_UNSUPPORTED (a field this library does not know), ::DFQ_E_NOMEM. `release` is
 *          not called on failure. Calls that use the images may return ::DFQ_E_IO, and
 *          ::DFQ_E_SHAPE for floats of another size than the network's. */
DFQ_CHECKED dfq_status dfq_dataset_create(dfq_context *context, const dfq_dataset_source *source,
                                          dfq_dataset **out_dataset);
/** Gives the data set back. NULL is fine. */
DFQ_API void dfq_dataset_release(dfq_dataset *dataset);
/** Number of images. */
DFQ_API int64_t dfq_dataset_get_count(const dfq_dataset *dataset);
/** Label of image i; -1 if i is out of range. */
DFQ_API int32_t dfq_dataset_get_label(const dfq_dataset *dataset, int64_t i);
/** Images first .. first + n - 1 as `graph` wants them: resized and cropped as its metadata says,
 *  normalised.
 *  @param out_images F32 [n,3,S,S], a new reference
 *  @return ::DFQ_E_INVALID (range), ::DFQ_E_IO or ::DFQ_E_CORRUPT naming the file,
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_dataset_get_batch(const dfq_dataset *dataset, const dfq_graph *graph,
                                             int64_t first, int64_t n, dfq_tensor **out_images);

#ifdef __cplusplus
}
#endif
#endif
