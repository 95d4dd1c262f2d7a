/* Loading MobileNetV2: finds the architecture from the tensors of a file. */
#include <stdio.h>

#include "nn/cnn.h"

static void find_keys(const dfqi_safetensors *st, dfqi_arch *a)
{
    a->of.cnn.keys = dfqi_cnn_has(st, "features.init_block.conv.weight") ? DFQI_KEYS_PYTORCHCV
                                                                         : DFQI_KEYS_TORCHVISION;
}

static bool fits(const dfqi_safetensors *st)
{
    dfqi_arch a = {.family = DFQI_FAMILY_MOBILENET};
    find_keys(st, &a);
    return (dfqi_cnn_has(st, "features.0.0.weight") && /* not torchvision's later networks */
            !dfqi_cnn_has(st, "features.1.block.0.0.weight") &&
            !dfqi_cnn_has(st, "features.1.0.block.0.0.weight")) ||
           dfqi_cnn_has(st, "features.stage1.unit1.conv2.conv.weight");
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    find_keys(st, a);
    if (a->name[0] == '\0') snprintf(a->name, sizeof a->name, "mobilenetv2");
    return dfqi_cnn_find(st, path, 224, a);
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    snprintf(text, size, "a MobileNetV2 of width 1 with names like features.%s",
             a->of.cnn.keys == DFQI_KEYS_PYTORCHCV ? "stage1" : "1");
}

static const char *activation(const dfqi_arch *a)
{
    (void)a;
    return "relu6";
}

static dfqi_units units(const dfqi_arch *a)
{
    (void)a;
    return DFQI_UNITS_INVERTED;
}

const dfqi_family_row dfqi_family_mobilenet = {.names = {"mobilenet"},
                                               .activation = activation,
                                               .keys = dfqi_cnn_keys,
                                               .fits = fits,
                                               .find = find,
                                               .name = dfqi_mobilenet_name,
                                               .contradicts = dfqi_mobilenet_contradicts,
                                               .describe = describe,
                                               .units = units,
                                               .hash = dfqi_cnn_hash,
                                               .alike = dfqi_cnn_alike,
                                               .norms = dfqi_mobilenet_norms,
                                               .layer = dfqi_mobilenet_layer,
                                               .head = dfqi_mobilenet_head,
                                               .count = dfqi_cnn_count,
                                               .expect = dfqi_cnn_expect,
                                               .forward = dfqi_mobilenet_forward};
