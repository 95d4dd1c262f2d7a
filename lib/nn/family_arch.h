/* The architecture parameters of each family, as plain data. The fields of other families are
 * zero. */
#ifndef DFQI_NN_FAMILY_ARCH_H
#define DFQI_NN_FAMILY_ARCH_H

#include "base/size.h"
#include "nn/supernet_space.h"

/* What the heads read. Logits are the sum of two heads. */
typedef enum dfqi_vit_pooling {
    DFQI_VIT_TOKEN = 0,       /* the class token */
    DFQI_VIT_AVG,             /* the mean of the patches' tokens */
    DFQI_VIT_TOKEN_DISTILLED, /* two heads: the class token, the token behind it */
    DFQI_VIT_TOKEN_AVG,       /* two heads: the class token, the mean */
    DFQI_VIT_POOLINGS
} dfqi_vit_pooling;

/* Of the MLP; of a gated one, that of the gates. */
typedef enum dfqi_vit_activation {
    DFQI_VIT_GELU = 0,
    DFQI_VIT_QUICK_GELU,
    DFQI_VIT_GELU_TANH,
    DFQI_VIT_RELU,
    DFQI_VIT_SILU,
    DFQI_VIT_ACTIVATIONS
} dfqi_vit_activation;

/* What some vision transformers have and others do not. */
enum {
    DFQI_VIT_NO_CLASS = 1, /* no class token */
    DFQI_VIT_NORM_PRE = 2, /* a norm in front of the blocks, as CLIP's */
    DFQI_VIT_QK_NORM = 4,  /* norms of queries and of keys, one for all heads */
    DFQI_VIT_GATED = 8,    /* SwiGLU: fc1 makes gates and values, whose products fc2 reads */
    DFQI_VIT_FC_NORM = 16, /* the last norm is called fc_norm: behind a mean, if there is one */
    DFQI_VIT_NO_HEAD = 32  /* a backbone: in place of logits features, what a head would read */
};

typedef struct dfqi_vit_arch {
    int64_t patch, width, depth, heads, hidden; /* hidden: inner width of the MLP */
    int64_t registers; /* tokens between class token and patches: distillation, registers */
    dfqi_vit_pooling pooling;
    dfqi_vit_activation activation;
    uint32_t parts;  /* DFQI_VIT_*, or'ed */
    dfqi_size grid;  /* while a file is read: of its positions; 0 x 0: not known yet */
    int64_t patches; /* while a file is read: their number */
} dfqi_vit_arch;

enum { DFQI_SWIN_STAGES = 8, DFQI_SWIN_DEPTH = 256, DFQI_SWIN_WINDOW = 64 };

/* Channels and hidden channels double in each further stage, and tokens become a quarter. */
typedef struct dfqi_swin_arch {
    int64_t patch, width, hidden; /* of stage 0; hidden: inner width of the MLP */
    int32_t stages;
    int32_t depth[DFQI_SWIN_STAGES], heads[DFQI_SWIN_STAGES];
    dfqi_size window[DFQI_SWIN_STAGES]; /* tokens */
    int32_t pad_first;                  /* 1: a map is padded before it is rolled, not after */
    /* While a file is read: rows of its tables of biases, the windows that have these, 0 x 0 where
     * they are not known yet, and whether a map that is one window along one axis is shifted along
     * none (transformers). */
    int64_t rows[DFQI_SWIN_STAGES];
    dfqi_size table[DFQI_SWIN_STAGES];
    int32_t joint_fit;
} dfqi_swin_arch;

/* The code base whose parameter names a convolutional network has. */
typedef enum dfqi_keys {
    DFQI_KEYS_TORCHVISION = 0,
    DFQI_KEYS_PYTORCHCV,
    DFQI_KEYS_AKAMASTER
} dfqi_keys;

enum { DFQI_STAGES = 4 };

typedef struct dfqi_cnn_arch {
    /* ResNet; zero for MobileNetV2, which has one shape */
    int64_t width; /* output channels of the stem; they double in each further stage */
    dfqi_keys keys;
    int32_t units[DFQI_STAGES]; /* of each stage; 0: there is no such stage */
    int32_t small;              /* 1: the stem is 3x3, for small images; 0: 7x7 */
    int32_t stem;               /* DFQ_STEM_*; 0: as usual, 3x3 with stride 1, 7x7 with stride 2 and
                                 * pooling. Tensors do not tell */
    int32_t bottleneck;         /* 1: units 1x1, 3x3, 1x1; 0: 3x3, 3x3 */
    int32_t stride_first;       /* bottlenecks: the stride is in the first 1x1, not in the 3x3 */
    int32_t planes;   /* channels of the first stage before bottlenecks widen; 0: as `width` */
    int32_t inner;    /* channels inside of its bottlenecks (wide ResNet, ResNeXt); 0: as planes */
    int32_t groups;   /* of bottlenecks' 3x3 (ResNeXt); 0: 1 */
    int32_t deep[2];  /* the stem is three 3x3 in place of 7x7: channels of the first two; 0: not */
    int32_t averaged; /* 1: shortcuts into a new stage average 2x2 pixels and have no stride */
    int32_t padded;   /* shortcuts into a new stage drop pixels and pad channels with
                                 * zeros (option A) instead of being projected (option B) */
} dfqi_cnn_arch;

/* Code bases of networks of inverted residuals. */
typedef enum dfqi_inverted_keys {
    DFQI_INVERTED_TIMM = 0,   /* conv_stem, blocks.1.0.conv_pw */
    DFQI_INVERTED_LUKEMELAS,  /* _conv_stem, _blocks.3._expand_conv: efficientnet-pytorch */
    DFQI_INVERTED_TORCHVISION /* features.1.0.block.0.0, or features.3.block.0.0 without stages */
} dfqi_inverted_keys;

/* What is known of a family of such networks by the kernels of its stages (inverted_form.c). */
typedef enum dfqi_inverted_form {
    DFQI_INVERTED_EFFICIENTNET = 0,
    DFQI_INVERTED_LITE,
    DFQI_INVERTED_MOBILENETV2,
    DFQI_INVERTED_MOBILENETV3_LARGE,
    DFQI_INVERTED_MOBILENETV3_SMALL,
    DFQI_INVERTED_FORMS
} dfqi_inverted_form;

enum { DFQI_INVERTED_BLOCKS = 96, DFQI_INVERTED_STAGES = 7 };

/* 1x1 convolution that expands, depthwise convolution, squeeze-and-excite, 1x1 that projects. */
typedef struct dfqi_inverted_block {
    int16_t in, mid, out, squeeze; /* channels; squeeze 0: no squeeze-and-excite */
    int8_t kernel, stride, expands, stage;
    int8_t unit;   /* in its stage, from 0 */
    int8_t curved; /* 1: the form's activation; 0: ReLU */
} dfqi_inverted_block;

typedef struct dfqi_inverted_arch {
    dfqi_inverted_keys keys;
    dfqi_inverted_form form;
    int32_t staged;                 /* names have numbers of stages */
    int32_t same;                   /* 1: padded as TensorFlow's SAME; 0: by half the kernel */
    int32_t stem, features, hidden; /* channels: of the first and last convolution, of the
                                           linear layer before the classifier (0: none) */
    int32_t n_blocks;
    dfqi_inverted_block blocks[DFQI_INVERTED_BLOCKS];
} dfqi_inverted_arch;

/* A derived network: its search space and its path. */
typedef struct dfqi_derived_arch {
    dfqi_supernet_space space;
    int32_t path[DFQI_SUPER_CELLS];                          /* each cell's choice */
    char choices[DFQI_SUPER_CELLS * DFQI_SUPER_CHOICE_NAME]; /* "k3e6 skip": the path in words */
} dfqi_derived_arch;

/* An imported network, which holds a reference to the structure. */
typedef struct dfqi_imported_arch {
    struct dfqi_structure *structure; /* structure.h */
} dfqi_imported_arch;

typedef struct dfqi_family_arch {
    dfqi_vit_arch vit;
    dfqi_swin_arch swin;
    dfqi_cnn_arch cnn; /* ResNet, MobileNetV2 of width 1 */
    dfqi_inverted_arch inverted;
    dfqi_derived_arch derived;
    dfqi_imported_arch imported;
} dfqi_family_arch;

#endif
