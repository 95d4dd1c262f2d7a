/* Sets of images on disk, and pictures of what a network sees in them.
 *
 * A set is a folder: 00000.png, 00001.png, ... with labels.csv (a data set that any tool can read),
 * images.safetensors (images F32 [n,3,S,S] normalised, labels I32 [n]: exact), contact.png. */
#ifndef DFQI_SYNTH_IMAGESET_H
#define DFQI_SYNTH_IMAGESET_H

#include "io/image.h"
#include "quant/model.h"

/* images F32 [n,3,S,S] of the model's size, labels I32 [n] in 0..classes - 1, or NULL. */
DFQI_CHECKED dfq_status dfqi_imageset_check(const dfqi_model *m, const dfq_tensor *images,
                                            const dfq_tensor *labels);
/* DFQ_E_EXISTS if the folder holds a set already, unless `replace`. Reports stage "save". */
DFQI_CHECKED dfq_status dfqi_imageset_save(const dfqi_model *m, const dfq_tensor *images,
                                           const dfq_tensor *labels, const char *folder,
                                           int replace);
/* From images.safetensors if there, else from the pictures by the network's preprocessing. */
DFQI_CHECKED dfq_status dfqi_imageset_load(const dfqi_model *m, const char *folder,
                                           dfq_tensor **out_images, dfq_tensor **out_labels);

/* -- pictures (sheet.c) ------------------------------------------------------------------------ */

/* The first images (256 at most) in a square of tiles no wider than 112 pixels. */
DFQI_CHECKED dfq_status dfqi_contact_sheet(const dfqi_model *m, const dfq_tensor *images,
                                           const char *path);
/* Last block, image `index`: above, the image and the class token's attention map of each head;
 * below, the mean raw query-key product over patch queries, of all heads and of each head. Maps
 * are stretched to their own range; patches are enlarged without smoothing. */
DFQI_CHECKED dfq_status dfqi_attention_sheet(const dfqi_model *m, const dfq_tensor *images,
                                             int64_t index, const char *path);

#endif
