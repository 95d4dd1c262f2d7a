/** @file dfq/dataset.h
 *  Labelled images on disk, and accuracy. A data set is a folder with labels.csv (`file,label`), a
 *  folder of class folders (alphabetical order is the label), or a CIFAR-10 binary file. */
#ifndef DFQ_DATASET_H
#define DFQ_DATASET_H

#include <stdint.h>

#include <dfq/context.h>
#include <dfq/graph.h>
#include <dfq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Labelled images. Immutable; one thread at a time. */
typedef struct dfq_dataset dfq_dataset;

/** Counts of an evaluation. Divide by n for fractions. */
typedef struct dfq_accuracy {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t n;            /**< images judged */
    int64_t correct;      /**< the label has the largest logit */
    int64_t correct5;     /**< the label is among the five largest */
    int64_t not_finite;   /**< images with a logit that is NaN or infinite: counted as wrong */
} dfq_accuracy;

/** Opens a data set; pictures are decoded only when they are asked for.
 *  @param classes labels must be below it; 0: not checked
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (names file and line), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_dataset_open(dfq_context *context, const char *path, int32_t classes,
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
 *  @return ::DFQ_E_INVALID (range), ::DFQ_E_IO or ::DFQ_E_CORRUPT naming the file, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_dataset_get_batch(const dfq_dataset *dataset, const dfq_graph *graph,
                                             int64_t first, int64_t n, dfq_tensor **out_images);

/** Judges `graph` on images first .. first + n - 1. Long-running: reports progress ("eval"), can be
 *  cancelled. Of equal logits the lower class wins. An image with a logit that is NaN or infinite
 *  is wrong, whatever its label, and counted in not_finite.
 *  @param n            number of images; 0: all from `first` on
 *  @param out_accuracy struct_size must be set
 *  @return as dfq_dataset_get_batch(), ::DFQ_E_CANCELLED. */
DFQ_CHECKED dfq_status dfq_evaluate(const dfq_graph *graph, const dfq_dataset *dataset,
                                    int64_t first, int64_t n, dfq_accuracy *out_accuracy);

#ifdef __cplusplus
}
#endif
#endif
