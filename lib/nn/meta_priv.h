/* For the files that read metadata. */
#ifndef DFQI_NN_META_PRIV_H
#define DFQI_NN_META_PRIV_H

#include "io/safetensors.h"
#include "nn/network.h"

/* One of `words`; *out is its number, and stays where there is no such key. */
DFQI_CHECKED dfq_status dfqi_meta_word(const dfqi_safetensors *st, const char *path,
                                       const char *key, const char *const *words, int32_t *out);
/* DFQ_E_INVALID for an option that the network does not have, or that is not `good`. */
DFQI_CHECKED dfq_status dfqi_prop_need(dfq_context *ctx, const char *path, const dfqi_arch *a,
                                       dfqi_prop p, bool good, const char *range);

/* Of a vision transformer, where the metadata have that key. */
DFQI_CHECKED dfq_status dfqi_meta_activation(const dfqi_safetensors *st, const char *path,
                                             const char *key, dfqi_arch *a);
DFQI_CHECKED dfq_status dfqi_meta_pooling(const dfqi_safetensors *st, const char *path,
                                          const char *key, dfqi_arch *a);
/* Where the metadata have that key: the size of the input, and what pictures cover before the crop,
 * as dfqi_resize_settle() reads it. */
DFQI_CHECKED dfq_status dfqi_meta_image(const dfqi_safetensors *st, const char *path,
                                        const char *key, dfqi_arch *a);
DFQI_CHECKED dfq_status dfqi_meta_resize(const dfqi_safetensors *st, const char *path,
                                         const char *key, dfqi_arch *a);
/* The options image and image_size, and resize and crop. */
DFQI_CHECKED dfq_status dfqi_image_take_told(dfq_context *ctx, const char *path,
                                             const dfq_load_options *o, dfqi_arch *a);
DFQI_CHECKED dfq_status dfqi_resize_take_told(dfq_context *ctx, const char *path,
                                              const dfq_load_options *o, dfqi_arch *a);
/* The options activation and pooling. */
DFQI_CHECKED dfq_status dfqi_vit_take_told(dfq_context *ctx, const char *path,
                                           const dfq_load_options *o, dfqi_arch *a);

#endif
