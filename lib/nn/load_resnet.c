/* Loading ResNets: finds the naming scheme, the number of units and their kind. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "nn/cnn.h"

static const char expected[] =
    "a ResNet with the names of torchvision, pytorchcv or akamaster is expected";

/* Either of two tensors shows that a unit exists, so that a later check can name the other one if
 * it is missing. */
static bool has_unit(const dfqi_safetensors *st, const dfqi_arch *a, int32_t stage, int32_t index)
{
    static const char *const parts[2][2] = {{"conv1", "bn1"}, {"conv1.conv", "conv1.bn"}};
    int cv = a->of.cnn.keys == DFQI_KEYS_PYTORCHCV;
    for (int i = 0; i < 2; i++)
        if (dfqi_cnn_has(st, cv ? "features.stage%d.unit%d.body.%s.weight" : "layer%d.%d.%s.weight",
                         stage + 1, index + cv, parts[cv][i]))
            return true;
    return false;
}

static void find_units(const dfqi_safetensors *st, dfqi_arch *a)
{
    enum { UNITS_MAX = 256 };
    dfqi_cnn_arch *c = &a->of.cnn;
    for (int32_t s = 0; s < DFQI_STAGES && (s == 0 || c->units[s - 1] > 0); s++)
        while (c->units[s] < UNITS_MAX && has_unit(st, a, s, c->units[s])) c->units[s]++;
    c->bottleneck = c->keys == DFQI_KEYS_PYTORCHCV
                        ? dfqi_cnn_has(st, "features.stage1.unit1.body.conv3.conv.weight")
                        : dfqi_cnn_has(st, "layer1.0.conv3.weight");
    c->averaged = dfqi_cnn_has(st, "layer2.0.downsample.2.running_var");
    c->padded = c->keys == DFQI_KEYS_AKAMASTER && !dfqi_cnn_has(st, "layer2.0.shortcut.0.weight");
}

static void find_keys(const dfqi_safetensors *st, dfqi_arch *a)
{
    if (dfqi_cnn_has(st, "features.init_block.conv.weight") ||
        dfqi_cnn_has(st, "features.init_block.conv.conv.weight"))
        a->of.cnn.keys = DFQI_KEYS_PYTORCHCV;
    else if (dfqi_cnn_has(st, "linear.weight"))
        a->of.cnn.keys = DFQI_KEYS_AKAMASTER;
    else
        a->of.cnn.keys = DFQI_KEYS_TORCHVISION;
}

/* The stem of three convolutions, whose first two have channels of their own. */
static dfq_status find_deep_stem(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    static const char *const names[3] = {"conv1.0.weight", "conv1.3.weight", "conv1.6.weight"};
    const dfq_tensor *w;
    for (int i = 0; i < 3; i++) {
        DFQI_TRY(dfqi_need_tensor(st, path, names[i], 4, expected, &w));
        if (w->dims[0] < 1 || w->dims[0] > 65536)
            return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                             "%s: tensor %s has %lld filters, must have 1 to "
                             "65536",
                             path, names[i], (long long)w->dims[0]);
        if (i < 2)
            a->of.cnn.deep[i] = (int32_t)w->dims[0];
        else
            a->of.cnn.width = w->dims[0];
    }
    return DFQ_OK;
}

/* Channels and groups of the first unit, where they are not those that follow from the stem. */
static dfq_status find_widths(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    dfqi_cnn_arch *c = &a->of.cnn;
    const bool cv = c->keys == DFQI_KEYS_PYTORCHCV;
    const char *const format =
        cv ? "features.stage1.unit1.body.conv%d.conv.weight" : "layer1.0.conv%d.weight";
    const dfq_tensor *w[3] = {NULL};
    char name[DFQI_NAME_MAX];
    for (int k = 0; k < (c->bottleneck ? 3 : 2); k++) {
        dfqi_print(name, sizeof name, format, k + 1);
        DFQI_TRY(dfqi_need_tensor(st, path, name, 4, expected, &w[k]));
    }
    const int64_t out = w[c->bottleneck ? 2 : 1]->dims[0], inner = w[0]->dims[0];
    const int64_t planes = c->bottleneck ? out / 4 : out;
    if (inner < 1 || inner > 65536 || planes < 1 || planes > 65536) return DFQ_OK; /* of shape */
    c->planes = planes == c->width ? 0 : (int32_t)planes;
    if (!c->bottleneck) return DFQ_OK;
    c->inner = inner == planes ? 0 : (int32_t)inner;
    const int64_t of_group = w[1]->dims[1];
    if (of_group >= 1 && of_group < inner && inner % of_group == 0)
        c->groups = (int32_t)(inner / of_group);
    return DFQ_OK;
}

/* The first convolution tells the kind of images: 3x3 for small images, 7x7 for ImageNet. */
static dfq_status find_stem(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const dfq_tensor *w;
    char name[DFQI_NAME_MAX], shape[96];
    if (dfqi_cnn_has(st, "conv1.0.weight")) return find_deep_stem(st, path, a);
    const char *conv = a->of.cnn.keys != DFQI_KEYS_PYTORCHCV ? "conv1.weight"
                       : dfqi_cnn_has(st, "features.init_block.conv.weight")
                           ? "features.init_block.conv.weight"
                           : "features.init_block.conv.conv.weight";
    snprintf(name, sizeof name, "%s", conv);
    DFQI_TRY(dfqi_need_tensor(st, path, name, 4, expected, &w));
    a->of.cnn.width = w->dims[0];
    a->of.cnn.small = w->dims[2] == 3;
    if (w->dims[0] < 1 || w->dims[0] > 65536 || w->dims[1] != 3 ||
        (w->dims[2] != 3 && w->dims[2] != 7))
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s is %s, must be [C,3,3,3] or [C,3,7,7]", path, name,
                         dfqi_shape_text(4, w->dims, shape, sizeof shape));
    return DFQ_OK;
}

static void name_it(dfqi_arch *a)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    const int64_t planes = c->planes ? c->planes : c->width;
    int32_t units = 0;
    for (int32_t s = 0; s < DFQI_STAGES; s++) units += c->units[s];
    const int32_t layers = 2 + units * (c->bottleneck ? 3 : 2);
    const char *end = c->small ? "_cifar" : c->averaged ? "d" : c->deep[0] ? "c" : "";
    if (c->groups)
        snprintf(a->name, sizeof a->name, "resnext%d%s_%dx%dd", (int)layers, end, (int)c->groups,
                 (int)((c->inner ? c->inner : planes) / c->groups));
    else if (c->inner > planes)
        snprintf(a->name, sizeof a->name, "wide_resnet%d%s_%d", (int)layers, end,
                 (int)(c->inner / planes));
    else
        snprintf(a->name, sizeof a->name, "resnet%d%s", (int)layers, end);
}

/* Networks of timm that compute something else with the same tensors. */
static dfq_status check(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    if (strncmp(a->name, "resnetaa", 8) != 0 && strncmp(a->name, "resnetblur", 10) != 0)
        return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "%s: architecture %s filters images before it drops pixels, which this family "
                     "does not; export it to ONNX",
                     path, a->name);
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    find_keys(st, a);
    DFQI_TRY(find_stem(st, path, a));
    find_units(st, a);
    if (a->of.cnn.units[0] == 0)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s is missing, the first of the first unit; %s", path,
                         a->of.cnn.keys == DFQI_KEYS_PYTORCHCV
                             ? "features.stage1.unit1.body.conv1.conv.weight"
                             : "layer1.0.conv1.weight",
                         expected);
    DFQI_TRY(find_widths(st, path, a));
    if (a->name[0] == '\0') name_it(a);
    /* pytorchcv's resnet50 has the stride in the first 1x1, its resnet50b and torchvision's in the
     * 3x3; the tensors are the same */
    a->of.cnn.stride_first = a->of.cnn.keys == DFQI_KEYS_PYTORCHCV && a->of.cnn.bottleneck &&
                             a->name[strlen(a->name) - 1] != 'b' && a->of.cnn.groups == 0;
    return dfqi_cnn_find(st, path, a->of.cnn.small ? 32 : 224, a);
}

static bool fits(const dfqi_safetensors *st)
{
    dfqi_arch a = {.family = DFQI_FAMILY_RESNET};
    find_keys(st, &a);
    return dfqi_cnn_has(st, "conv1.weight") || dfqi_cnn_has(st, "conv1.0.weight") ||
           has_unit(st, &a, 0, 0);
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    const int32_t *n = a->of.cnn.units;
    snprintf(text, size, "a ResNet with %d + %d + %d + %d units and names like %s", n[0], n[1],
             n[2], n[3], a->of.cnn.keys == DFQI_KEYS_PYTORCHCV ? "features.stage1" : "layer1");
}

static const char *activation(const dfqi_arch *a)
{
    (void)a;
    return "relu";
}

static bool lacks(const dfqi_arch *a, dfqi_prop p)
{
    return p == DFQI_PROP_BOTTLENECK && !a->of.cnn.bottleneck;
}

static dfqi_units units(const dfqi_arch *a)
{
    return a->of.cnn.bottleneck ? DFQI_UNITS_BOTTLENECK : DFQI_UNITS_PLAIN;
}

const dfqi_family_row dfqi_family_resnet = {.names = {"resnet", "resnext", "wide_resnet", "tv_res"},
                                            .properties =
                                                DFQI_PROP_BIT(STEM) | DFQI_PROP_BIT(BOTTLENECK),
                                            .lacks = lacks,
                                            .activation = activation,
                                            .keys = dfqi_cnn_keys,
                                            .fits = fits,
                                            .find = find,
                                            .name = dfqi_resnet_name,
                                            .contradicts = dfqi_resnet_contradicts,
                                            .check = check,
                                            .describe = describe,
                                            .units = units,
                                            .hash = dfqi_cnn_hash,
                                            .alike = dfqi_cnn_alike,
                                            .norms = dfqi_resnet_norms,
                                            .layer = dfqi_resnet_layer,
                                            .head = dfqi_resnet_head,
                                            .count = dfqi_cnn_count,
                                            .expect = dfqi_cnn_expect,
                                            .forward = dfqi_resnet_forward};
