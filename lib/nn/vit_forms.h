/* The forms in which files hold vision transformers, brought to the one that nn/vit.c computes. */
#ifndef DFQI_NN_VIT_FORMS_H
#define DFQI_NN_VIT_FORMS_H

#include "base/memory.h"
#include "base/size.h"
#include "io/safetensors.h"

/* Rewrites the tensors of a view (nn/naming.h) that holds a vision transformer with timm's names;
 * other views stay as they are. The network computes the same:
 *
 * - class token, distillation token and registers become one tensor, cls_token [1,R,D];
 * - positions that only patches have, or only the class token and patches, get rows of zeros;
 * - biases that no block has become zeros;
 * - LayerScale goes into the weights and biases of proj and fc2, whose rows it multiplies;
 * - two heads whose mean are the logits become heads whose sum they are, both halved; a head that
 *   reads class token and mean side by side (transformers' DINOv2) becomes two.
 *
 * `image` is what the file or the caller tells of the input, 0 x 0 where neither does: then patches
 * are taken for a square. `names` owns new names. DFQ_E_UNSUPPORTED, with the reason, for
 * transformers that compute something else with such tensors. */
DFQI_CHECKED dfq_status dfqi_vit_unify(dfqi_safetensors *view, dfqi_arena *names, const char *path,
                                       dfqi_size image);

#endif
