/** @file dfq/image_set.h
 *  @ingroup stable
 *  Sets of images on disk. A set is a folder that libdfq writes and reads back exactly. A set that
 *  is opened as a handle stays on disk: calibration and tuning read it a few images at a time, so
 *  that memory does not grow with their number; rounding of weights alone keeps what its layers
 *  read, up to 1 GiB. Results are the same bits as with the same images in a tensor.
 *
 *  Calls on a set must come from one thread at a time, and not beside other calls on its
 *  context. */
#ifndef DFQ_IMAGE_SET_H
#define DFQ_IMAGE_SET_H

#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/job.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opens a set that dfq_image_set_save_tensors() wrote. Its images.safetensors is checked once
 *  (type, shape, labels, every value finite) and stays open. Without that file the set consists of
 *  the folder's pictures, as in dfq_image_set_load_tensors(). Each picture is decoded here once, so
 *  that a broken one is found before the work, and again whenever it is needed.
 *  @param graph   whose image size and classes the set must have
 *  @param most    the first images only, at most this many; 0: all
 *  @param out_set to be given back with dfq_image_set_release(); keeps the context alive
 *  @return as dfq_image_set_load_tensors(); ::DFQ_E_INVALID (most below 0). */
DFQ_CHECKED dfq_status dfq_image_set_open(const dfq_graph *graph, const char *folder, int64_t most,
                                          dfq_image_set **out_set);

/** Makes a set of the pictures of a data set, preprocessed as by dfq_dataset_get_batch(). Each is
 *  decoded here once, so that a broken one is found before the work.
 *  @param graph   whose preprocessing is used
 *  @param dataset of the same context; the set keeps it
 *  @param most    the first images only, at most this many; 0: all
 *  @param spool   a folder with room for 12 S^2 bytes an image: they are decoded into a file there
 *                 that has no name and is gone with the set, and read from it. NULL: they are
 *                 decoded whenever they are needed, and must stay as they are
 *  @param out_set to be given back with dfq_image_set_release(); its labels are those of the data
 *           set
 *  @return as dfq_dataset_get_batch(); ::DFQ_E_INVALID (most below 0, a data set of another
 *          context), ::DFQ_E_IO (the spool cannot be written). */
DFQ_CHECKED dfq_status dfq_image_set_create_from_dataset(const dfq_graph *graph,
                                                         const dfq_dataset *dataset, int64_t most,
                                                         const char *spool,
                                                         dfq_image_set **out_set);

/** Gives a set back; jobs that use it go on. NULL is fine. */
DFQ_API void dfq_image_set_release(dfq_image_set *set);

/** Number of images; 0 for NULL. */
DFQ_API int64_t dfq_image_set_get_count(const dfq_image_set *set);

/** Reads a part of a set.
 *  @param first      first image, from 0
 *  @param n          number of images, 1 or more
 *  @param out_images a new F32 [n,3,S,S], normalised
 *  @param out_labels a new I32 [n]
 *  @return ::DFQ_E_INVALID (not all of them are in the set), ::DFQ_E_IO (the file became shorter or
 *          was changed since it was opened: so it is everywhere where a set is read),
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_image_set_read(dfq_image_set *set, int64_t first, int64_t n,
                                          dfq_tensor **out_images, dfq_tensor **out_labels);

/** Writes images as a folder that opens as a data set: 00000.png, 00001.png, ..., labels.csv; with
 *  images.safetensors (the exact values) and contact.png (an overview of the first 256). Reports
 *  stage "save"; labels.csv is written last.
 *  @param graph   whose normalisation the images have
 *  @param images  F32 [n,3,S,S], normalised, n >= 1
 *  @param labels  I32 [n], 0..classes - 1
 *  @param folder  made if it is not there
 *  @param replace 0: a folder that holds a set already is left alone
 *  @return ::DFQ_E_EXISTS, ::DFQ_E_SHAPE, ::DFQ_E_INVALID (labels), ::DFQ_E_IO, ::DFQ_E_CANCELLED,
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_image_set_save_tensors(const dfq_graph *graph, const dfq_tensor *images,
                                                  const dfq_tensor *labels, const char *folder,
                                                  int32_t replace);

/** Memory and disk that it takes to save n_images images as a set: by dfq_image_set_save_tensors(),
 *  or by dfq_synthesizer_save(), where the images may lie in a file. Nothing is measured, so
 *  `seconds_left` is NaN; units are images.
 *  @param graph    whose image size they have
 *  @param n_images how many, 1 or more
 *  @param out_cost struct_size must be set
 *  @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_image_set_save_estimate(const dfq_graph *graph, int64_t n_images,
                                                   dfq_job_cost *out_cost);

/** Reads a whole set back into memory: exactly, from images.safetensors, or from the pictures of
 *  labels.csv or of class folders if that file is not there (values are then multiples of 1/255
 *  before the normalisation; larger pictures are cropped to the middle).
 *  @param out_images a new F32 [n,3,S,S], normalised
 *  @param out_labels a new I32 [n]
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT, ::DFQ_E_SHAPE (not the network's image size),
 *          ::DFQ_E_INVALID (labels), ::DFQ_E_NUMERIC, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_image_set_load_tensors(const dfq_graph *graph, const char *folder,
                                                  dfq_tensor **out_images, dfq_tensor **out_labels);

#ifdef __cplusplus
}
#endif
#endif
