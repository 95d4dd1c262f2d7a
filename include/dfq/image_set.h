/** @file dfq/image_set.h
 *  @ingroup stable
 *  A set of images that stays on disk: calibration and tuning read it a few images at a time, so
 *  that memory does not grow with their number. Results are the same bits as with the same images
 *  in a tensor.
 *
 *  Calls on a set must come from one thread at a time, and not beside other calls on its
 *  context. */
#ifndef DFQ_IMAGE_SET_H
#define DFQ_IMAGE_SET_H

#include <dfq/dataset.h>
#include <dfq/graph.h>
#include <dfq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An open set of images. */
typedef struct dfq_image_set dfq_image_set;

/** Opens a set as dfq_images_save() writes it. Its images.safetensors is looked at once (type,
 *  shape, labels, every value finite) and stays open. Without that file the pictures of the folder
 *  are taken as dfq_images_load() does: each is decoded once here, so that a broken one shows
 *  before the work, and again whenever it is needed.
 *  @param graph   whose image size and classes the set must have
 *  @param most    the first images only, at most this many; 0: all
 *  @param out_set to be given back with dfq_image_set_release(); keeps the context alive
 *  @return as dfq_images_load(); ::DFQ_E_INVALID (most below 0). */
DFQ_CHECKED dfq_status dfq_image_set_open(const dfq_graph *graph, const char *folder, int64_t most,
                                          dfq_image_set **out_set);

/** Makes a set of the pictures of a data set, as dfq_dataset_get_batch() gives them. Each is
 *  decoded once here, so that a broken one shows before the work.
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
 *  @return ::DFQ_E_INVALID (not all of them are in the set), ::DFQ_E_IO (the file became shorter or was
 *          changed since it was opened: so it is everywhere where a set is read), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_image_set_read(dfq_image_set *set, int64_t first, int64_t n,
                                          dfq_tensor **out_images, dfq_tensor **out_labels);

#ifdef __cplusplus
}
#endif
#endif
