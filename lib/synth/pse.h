/* Patch similarity entropy (PSAQ-ViT, Li et al., ECCV 2022), the attention term of a baseline. */
#ifndef DFQI_SYNTH_PSE_LOSS_H
#define DFQI_SYNTH_PSE_LOSS_H

#include "base/context.h"

/* Head outputs of one block are [batch, heads, tokens, d]; token 0, the class token, is left out.
 */
typedef struct dfqi_pse_shape {
    int64_t batch, heads, tokens, d;
    const float *range; /* [2]: ends of the density's grid; NULL: smallest and largest similarity */
} dfqi_pse_shape;

/* Floats of scratch memory. */
int64_t dfqi_pse_scratch(const dfqi_pse_shape *p);

/* Returns the loss of one block, minus the mean entropy of the images, and stores its gradient
 * times `weight`; the grid's ends count as constants. Uses the context's threads. */
double dfqi_pse(dfq_context *ctx, const dfqi_pse_shape *p, const float *head, float weight,
                float *dhead, float *scratch);

#endif
