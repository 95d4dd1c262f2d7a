/* Vision transformers (ViT, DeiT, DINOv2) with timm's names and shapes, and the transformer block,
 * which other families use. Files hold them in several forms, of which nn/vit_forms.h makes one. */
#ifndef DFQI_NN_VIT_H
#define DFQI_NN_VIT_H

#include "nn/family.h"

/* Tokens in front of those of patches: class token, distillation token, registers. */
int64_t dfqi_vit_prefix(const dfqi_arch *a);
int32_t dfqi_vit_count(const dfqi_arch *a);
/* Parameter i = 0 .. dfqi_vit_count - 1, in the order of use. */
void dfqi_vit_expect(const dfqi_arch *a, dfqi_expect *out);
void dfqi_vit_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                      dfqi_taps *taps);
/* Where the architecture has another grid of patches than the tensor pos_embed of `view` has rows
 * behind those of the tokens in front of the patches: replaces the tensor by its interpolation to
 * that grid, bicubic with antialias, as timm's resample_abs_pos_embed (positions.c). */
DFQI_CHECKED dfq_status dfqi_vit_fit(dfqi_safetensors *view, const dfqi_arch *a);
/* As in dfqi_family_row. */
int32_t dfqi_vit_stream(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels);

/* A block: x += proj(attention(norm(x))), x += fc2(activation(fc1(norm(x)))). Parameters,
 * [out,in] and biases: norm1 2, qkv 2, proj 2, norm2 2, fc1 2, fc2 2; with qk_norm q_norm 2,
 * k_norm 2. */
enum { DFQI_VIT_BLOCK_PARAMS = 12, DFQI_VIT_BLOCK_MAX = 16 };

typedef struct dfqi_vit_block {
    const char *name; /* its products are called "<name>.attn.qkv", .qk, .av, "<name>.mlp.fc1" .. */
    int64_t heads, head; /* their number, channels of one */
    float eps;
    int32_t gated; /* 1: half of fc1's outputs are gates of the others, `hidden` */
    int64_t hidden;
    dfqi_vit_activation activation;
    int32_t qk_norm;                        /* 1: queries and keys of a head are normalised */
    int32_t class_only;                     /* 1: after the attention, token 0 alone */
    dfqi_id *raw_tap, *attn_tap, *head_tap; /* as in dfqi_taps; NULL: not wanted */
} dfqi_vit_block;

/* x [B,N,D] -> the same shape, or [B,D]. */
dfqi_id dfqi_vit_block_forward(dfqi_graph *g, const dfqi_vit_block *b, const dfqi_id *params,
                               dfqi_id x);

#endif
