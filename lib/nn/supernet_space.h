/* Search spaces of networks as plain data (supernet.h explains the fields), and their description
 * in JSON. */
#ifndef DFQI_NN_SUPERNET_SPACE_H
#define DFQI_NN_SUPERNET_SPACE_H

#include "base/context.h"

enum {
    DFQI_SUPER_STAGES = 8,
    DFQI_SUPER_CHOICES = 63, /* besides leaving the cell out */
    DFQI_SUPER_CELLS = 32,
    DFQI_SUPER_VALUES = 4,
    DFQI_SUPER_LAYERS = 8192, /* of a whole supernet */
    DFQI_SUPER_GIB = 4,       /* of all its weights; training takes two to four times as much */
    DFQI_SUPERNET_SPACE_NAME = 64,
    DFQI_SUPER_CHOICE_NAME = 24
};

typedef struct dfqi_super_stage {
    int64_t width, cells, stride; /* the first cell has the stride */
} dfqi_super_stage;

typedef struct dfqi_super_choice {
    int64_t kernel, expand;
} dfqi_super_choice;

/* One axis of choices: `n` ascending values. */
typedef struct dfqi_super_axis {
    int32_t n;
    int64_t value[DFQI_SUPER_VALUES];
} dfqi_super_axis;

typedef struct dfqi_super_vit {
    int64_t patch, tokens; /* tokens: channels of what stages add to, D */
    int64_t head;          /* channels of an attention head */
    int32_t optional;      /* 1: stages may be left out */
    dfqi_super_axis width, depth, heads, ratio;
} dfqi_super_vit;

/* A choice of a stage. In the numbering of choices, ratios vary fastest, then heads, depths,
 * widths. */
typedef struct dfqi_super_blocks {
    int64_t width, depth, heads, ratio;
} dfqi_super_blocks;

typedef enum dfqi_super_family {
    DFQI_SUPER_MBCONV = 0,
    DFQI_SUPER_VIT,
    DFQI_SUPER_FAMILIES
} dfqi_super_family;

/* Plain data. MBConv: a stem 3x3 -> `stem`, an MBConv 3x3 without expansion -> `first`, the stages,
 * 1x1 -> `head`, mean over the pixels, and a linear layer. ViT: patches with positions, n_stages
 * stages, LayerNorm, mean over the tokens, and a linear layer; n_choices is the product of the
 * axes. */
typedef struct dfqi_supernet_space {
    char name[DFQI_SUPERNET_SPACE_NAME];
    dfqi_super_family family;
    int32_t n_stages, n_choices;
    int64_t image, classes;
    int64_t stem, first, head; /* MBConv, as are stages and choices */
    dfqi_super_stage stages[DFQI_SUPER_STAGES];
    dfqi_super_choice choices[DFQI_SUPER_CHOICES];
    dfqi_super_vit vit;
} dfqi_supernet_space;

/* CIFAR-10 (docs/METHODS.md, Search spaces): ProxylessNAS's with 21 cells, and one of 9 cells for
 * two cores. */
extern const dfqi_supernet_space dfqi_super_cifar_full, dfqi_super_cifar_small;
/* Vision transformers: for CIFAR-10 on two cores, and around DeiT-Tiny for ImageNet. */
extern const dfqi_supernet_space dfqi_super_vit_small, dfqi_super_vit_tiny;

/* The product of a ViT space's axes. */
int32_t dfqi_super_vit_choices(const dfqi_super_vit *v);
dfqi_super_blocks dfqi_super_vit_choice(const dfqi_super_vit *v, int32_t choice);

/* "k5e6", "w192d2h3r4", "skip". */
void dfqi_super_choice_name(const dfqi_supernet_space *s, int32_t choice,
                            char out[DFQI_SUPER_CHOICE_NAME]);

/* The built-in space of that name; NULL: there is none. */
const dfqi_supernet_space *dfqi_supernet_space_known(const char *name);
/* A description in a file. DFQ_E_CORRUPT names the file and the key; DFQ_E_UNSUPPORTED: newer. */
DFQI_CHECKED dfq_status dfqi_supernet_space_read(dfq_context *ctx, const char *path,
                                                 dfqi_supernet_space *out);
/* The same in memory; `file` is what error texts call it. */
DFQI_CHECKED dfq_status dfqi_supernet_space_parse(dfq_context *ctx, const char *file,
                                                  const char *text, dfqi_supernet_space *out);
/* The description of a space in one line, which reads back the same; zero-ended, dfqi_free it. */
DFQI_CHECKED dfq_status dfqi_supernet_space_text(dfq_context *ctx, const dfqi_supernet_space *s,
                                                 char **out);

#endif
