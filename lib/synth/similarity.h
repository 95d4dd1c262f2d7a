/* Inter-head similarity: the mean SSIM of the attention of two heads (docs/METHODS.md, Synthetic
 * images). Synthesis raises it. */
#ifndef DFQI_SYNTH_SIMILARITY_H
#define DFQI_SYNTH_SIMILARITY_H

#include "quant/model.h"

/* Per block, the mean of S_ij over images, patch queries and pairs of different heads; F32 [depth].
 * images: [n][3][S][S] normalised, n >= 1. A network with one head has similarity 1. */
DFQI_CHECKED dfq_status dfqi_head_similarity(const dfqi_model *m, const float *images, int64_t n,
                                             dfq_tensor **out);
/* Memory of that at its peak, in bytes. */
DFQI_CHECKED dfq_status dfqi_head_similarity_cost(const dfqi_model *m, int64_t n, double *bytes);

#endif
