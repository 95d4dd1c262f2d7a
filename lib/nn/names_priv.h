/* For the files that read names of architectures. */
#ifndef DFQI_NN_NAMES_PRIV_H
#define DFQI_NN_NAMES_PRIV_H

#include <string.h>

#include "nn/inverted.h"

/* Moves *text past `begin`, if it begins with it. */
static inline bool dfqi_name_skip(const char **text, const char *begin)
{
    size_t n = strlen(begin);
    if (strncmp(*text, begin, n) != 0) return false;
    *text += n;
    return true;
}

/* A number of at most five digits, behind which *text is then; -1: there is none. */
static inline int64_t dfqi_name_number(const char **text)
{
    int64_t v = -1;
    for (int i = 0; i < 5 && **text >= '0' && **text <= '9'; i++, (*text)++)
        v = (v < 0 ? 0 : v * 10) + (**text - '0');
    return v;
}

/* A size of timm's and torchvision's ViTs and DeiTs. */
typedef struct dfqi_vit_size {
    const char *word;
    int64_t width, depth, heads;
} dfqi_vit_size;

/* The size that a name has at *at, of the given width if there is one, else the first; *at is then
 * behind the word. NULL: it has none. */
const dfqi_vit_size *dfqi_vit_size_at(const char **at, int64_t width);

/* Convolutions on the residual paths of a ResNet, the first, and the classifier. */
int64_t dfqi_resnet_layers(const dfqi_arch *a);

#endif
