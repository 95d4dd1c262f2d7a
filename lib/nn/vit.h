/* Vision transformers (ViT, DeiT) with timm's names and shapes (mimiq.md 7.1, 7.2). */
#ifndef DFQI_NN_VIT_H
#define DFQI_NN_VIT_H

#include "nn/family.h"

int32_t dfqi_vit_count(const dfqi_arch *a);
/* Parameter i = 0 .. dfqi_vit_count - 1, in the order of use. */
void dfqi_vit_expect(const dfqi_arch *a, int32_t i, dfqi_expect *out);
void dfqi_vit_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                      dfqi_taps *taps);

#endif
