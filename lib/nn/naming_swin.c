/* The names that libraries give to the tensors of Swin transformers. Ours are those of timm 0.9 and
 * later. Files may have tables that follow from the size of a window; masks tell the image. */
#include "nn/naming_priv.h"

static const dfqi_naming_pattern newer_timm[] = {
    {"patch_embed.*", "patch_embed.*"},
    {"layers.#.blocks.#.attn.relative_position_index", NULL},
    {"layers.#.blocks.#.*", "layers.#.blocks.#.*"},
    {"layers.#.downsample.*", "layers.#.downsample.*"},
    {"norm.*", "norm.*"},
    {"head.fc.*", "head.fc.*"},
    {"head.*", "head.fc.*"},
    {NULL, NULL}};

/* Merging of tokens belongs to the stage in front. */
static const dfqi_naming_pattern older_timm[] = {
    {"patch_embed.*", "patch_embed.*"},
    {"layers.#.blocks.#.attn.relative_position_index", NULL},
    {"layers.#.blocks.#.*", "layers.#.blocks.#.*"},
    {"layers.#.downsample.*", "layers.#+.downsample.*"},
    {"norm.*", "norm.*"},
    {"head.fc.*", "head.fc.*"},
    {"head.*", "head.fc.*"},
    {NULL, NULL}};

/* Stages are 1, 3, 5, 7, and merging is 2, 4, 6. */
static const dfqi_naming_pattern of_torchvision[] = {
    {"features.0.0.*", "patch_embed.proj.*"},
    {"features.0.2.*", "patch_embed.norm.*"},
    {"features.#.#.attn.relative_position_index", NULL},
    {"features.#.#.attn.*", "layers.#/.blocks.#.attn.*"},
    {"features.#.#.norm1.*", "layers.#/.blocks.#.norm1.*"},
    {"features.#.#.norm2.*", "layers.#/.blocks.#.norm2.*"},
    {"features.#.#.mlp.0.*", "layers.#/.blocks.#.mlp.fc1.*"},
    {"features.#.#.mlp.3.*", "layers.#/.blocks.#.mlp.fc2.*"},
    {"features.#.norm.*", "layers.#/.downsample.norm.*"},
    {"features.#.reduction.*", "layers.#/.downsample.reduction.*"},
    {"norm.*", "norm.*"},
    {"head.*", "head.fc.*"},
    {NULL, NULL}};

#define LAYER "encoder.layers.#.blocks.#."
#define BLOCK "layers.#.blocks.#."
static const dfqi_naming_pattern of_transformers[] = {
    {"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"},
    {"embeddings.norm.*", "patch_embed.norm.*"},
    {"embeddings.mask_token", NULL},
    {LAYER "layernorm_before.*", BLOCK "norm1.*"},
    {LAYER "attention.self.relative_position_index", NULL},
    {LAYER "attention.relative_position_bias.relative_position_index", NULL},
    {LAYER "attention.self.relative_position_bias_table",
     BLOCK "attn.relative_position_bias_table"},
    {LAYER "attention.relative_position_bias.relative_position_bias_table",
     BLOCK "attn.relative_position_bias_table"},
    {LAYER "attention.self.query.*", BLOCK "attn.qkv.*@0"},
    {LAYER "attention.self.key.*", BLOCK "attn.qkv.*@1"},
    {LAYER "attention.self.value.*", BLOCK "attn.qkv.*@2"},
    {LAYER "attention.q_proj.*", BLOCK "attn.qkv.*@0"},
    {LAYER "attention.k_proj.*", BLOCK "attn.qkv.*@1"},
    {LAYER "attention.v_proj.*", BLOCK "attn.qkv.*@2"},
    {LAYER "attention.output.dense.*", BLOCK "attn.proj.*"},
    {LAYER "attention.o_proj.*", BLOCK "attn.proj.*"},
    {LAYER "layernorm_after.*", BLOCK "norm2.*"},
    {LAYER "intermediate.dense.*", BLOCK "mlp.fc1.*"},
    {LAYER "output.dense.*", BLOCK "mlp.fc2.*"},
    {LAYER "mlp.*", BLOCK "mlp.*"},
    {"encoder.layers.#.downsample.*", "layers.#+.downsample.*"},
    {"layernorm.*", "norm.*"},
    {"classifier.*", "head.fc.*"},
    {NULL, NULL}};

const dfqi_naming dfqi_namings_swin[DFQI_NAMINGS_SWIN] = {
    {.name = "transformers",
     .mark = "encoder.layers.0.blocks.0.layernorm_before.weight",
     .patterns = of_transformers,
     .eps = 1e-5f,
     .imagenet = 1,
     .crop = 1,
     .pad_first = 1,
     .joint_fit = 1},
    {.name = "torchvision",
     .mark = "features.1.0.attn.relative_position_bias_table",
     .patterns = of_torchvision,
     .eps = 1e-5f,
     .imagenet = 1,
     .crop = 224.0 / 232.5, /* swin_t: 232 pixels */
     .pad_first = 1},
    {.name = "timm",
     .mark = "layers.0.downsample.reduction.weight",
     .patterns = older_timm,
     .eps = 1e-5f,
     .imagenet = 1},
    {.name = "timm",
     .mark = "layers.0.blocks.0.attn.relative_position_bias_table",
     .patterns = newer_timm,
     .eps = 1e-5f,
     .imagenet = 1},
};
