/* Vision transformers of the tests: callers say what matters to them and get the rest. */
#ifndef DFQT_SMALL_VIT_H
#define DFQT_SMALL_VIT_H

#include "nn/network.h"

static inline dfqi_arch dfqt_vit(int64_t image, int64_t classes, dfqi_vit_arch vit)
{
    return (dfqi_arch){.family = DFQI_FAMILY_VIT,
                       .name = "vit_test",
                       .image = {image, image},
                       .channels = 3,
                       .classes = classes,
                       .of.vit = vit,
                       .eps = 1e-6f,
                       .mean = {0.5f, 0.5f, 0.5f},
                       .std = {0.5f, 0.5f, 0.5f}};
}

/* 16 tokens of width 24, two blocks of three heads. */
static inline dfqi_arch dfqt_small_vit(int64_t classes, int64_t hidden)
{
    return dfqt_vit(
        16, classes,
        (dfqi_vit_arch){.patch = 4, .width = 24, .depth = 2, .heads = 3, .hidden = hidden});
}

#endif
