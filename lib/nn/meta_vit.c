/* Reads what tensors of vision transformers do not tell: activation and pooling. */
#include <string.h>

#include "nn/family.h"
#include "nn/meta_priv.h"

/* Other libraries' words beside ours. */
dfq_status dfqi_meta_activation(const dfqi_safetensors *st, const char *path, const char *key,
                                dfqi_arch *a)
{
    static const struct {
        const char *word;
        dfqi_vit_activation is;
    } others[] = {{"gelu_new", DFQI_VIT_GELU_TANH},
                  {"gelu_pytorch_tanh", DFQI_VIT_GELU_TANH},
                  {"swish", DFQI_VIT_SILU}};
    const char *text = dfqi_st_meta_find(st, key);
    int32_t word = (int32_t)a->of.vit.activation;
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        if (strcmp(text, others[k].word) != 0) continue;
        a->of.vit.activation = others[k].is;
        return DFQ_OK;
    }
    DFQI_TRY(dfqi_meta_word(st, path, key, dfqi_vit_activation_words, &word));
    a->of.vit.activation = (dfqi_vit_activation)word;
    return DFQ_OK;
}

/* What two heads read is told by tensors: other libraries call it "token". */
dfq_status dfqi_meta_pooling(const dfqi_safetensors *st, const char *path, const char *key,
                             dfqi_arch *a)
{
    int32_t word = a->of.vit.pooling;
    DFQI_TRY(dfqi_meta_word(st, path, key, dfqi_vit_pooling_words, &word));
    const bool two = a->of.vit.pooling > DFQI_VIT_AVG;
    if (two && word == DFQI_VIT_TOKEN) return DFQ_OK;
    if (word != (int32_t)a->of.vit.pooling && (two || word > DFQI_VIT_AVG))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: metadata %s is %s, must be %s by its heads",
                         path, key, dfqi_vit_pooling_words[word],
                         two ? dfqi_pooling_word(a) : "token or avg");
    a->of.vit.pooling = (dfqi_vit_pooling)word;
    return DFQ_OK;
}

/* What tensors of vision transformers do not tell. */
dfq_status dfqi_vit_take_told(dfq_context *ctx, const char *path, const dfq_load_options *o,
                              dfqi_arch *a)
{
    if ((o->activation || o->pooling) && !dfqi_family_get(a->family)->told_activation)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: %s is for ViT and DeiT, not for %.63s", path,
                         o->activation ? "activation" : "pooling", a->name);
    if (o->activation) {
        DFQI_TRY(dfqi_prop_need(ctx, path, a, DFQI_PROP_ACTIVATION,
                                o->activation > 0 && o->activation <= DFQI_VIT_ACTIVATIONS,
                                "1 to 5, DFQ_ACTIVATION_*"));
        a->of.vit.activation = (dfqi_vit_activation)(o->activation - 1);
        a->source[DFQI_PROP_ACTIVATION] = DFQ_SOURCE_OPTION;
    }
    if (o->pooling) {
        DFQI_TRY(
            dfqi_prop_need(ctx, path, a, DFQI_PROP_POOLING,
                           (o->pooling == DFQ_POOLING_TOKEN || o->pooling == DFQ_POOLING_AVG) &&
                               a->of.vit.pooling <= DFQI_VIT_AVG,
                           "1 (token) or 2 (avg), and not said where tensors have two heads"));
        a->of.vit.pooling = (dfqi_vit_pooling)(o->pooling - 1);
        a->source[DFQI_PROP_POOLING] = DFQ_SOURCE_OPTION;
    }
    return DFQ_OK;
}
