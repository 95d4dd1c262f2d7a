/* Forms and names of networks of inverted residuals. Strides and activations are not in tensors:
 * they follow from a form that is known, or the file is refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/inverted.h"

static const dfqi_inverted_row forms[DFQI_INVERTED_FORMS] = {
    [DFQI_INVERTED_EFFICIENTNET] = {"3353553", "1111111", "1222121", "0000000", "silu",
                                    "efficientnet_b"},
    [DFQI_INVERTED_LITE] = {"3353553", "0000000", "1222121", "0000000", "relu6",
                            "efficientnet_lite"},
    [DFQI_INVERTED_MOBILENETV2] = {"3333333", "0000000", "1222121", "0000000", "relu6",
                                   "mobilenetv2"},
    [DFQI_INVERTED_MOBILENETV3_LARGE] = {"335335", "001011", "122212", "111000", "hard_swish",
                                         "mobilenetv3_large"},
    [DFQI_INVERTED_MOBILENETV3_SMALL] = {"33555", "10111", "22212", "11000", "hard_swish",
                                         "mobilenetv3_small"},
};

const dfqi_inverted_row *dfqi_inverted_form_of(const dfqi_arch *a)
{
    return &forms[a->of.inverted.form];
}

dfqi_inverted_form dfqi_inverted_find_form(const char *kernels, const char *squeeze)
{
    int f = 0;
    while (f < DFQI_INVERTED_FORMS &&
           (strcmp(forms[f].kernels, kernels) != 0 || strcmp(forms[f].squeeze, squeeze) != 0))
        f++;
    return (dfqi_inverted_form)f;
}

/* -- sizes of EfficientNets -------------------------------------------------------------------- */

static const struct size {
    double width, depth;
    int16_t image;
    float crop; /* timm's crop_pct of TensorFlow's weights */
} sizes[] = {{1.0, 1.0, 224, 0.875f}, {1.0, 1.1, 240, 0.882f}, {1.1, 1.2, 260, 0.89f},
             {1.2, 1.4, 300, 0.904f}, {1.4, 1.8, 380, 0.922f}, {1.6, 2.2, 456, 0.934f},
             {1.8, 2.6, 528, 0.942f}, {2.0, 3.1, 600, 0.949f}, {2.2, 3.6, 672, 0.954f}};
enum { SIZES = sizeof sizes / sizeof *sizes, LITES = 5 };

int32_t dfqi_inverted_channels(int32_t channels, double width)
{
    const double want = channels * width;
    int32_t n = (int32_t)(want + 4) / 8 * 8;
    if (n < 8) n = 8;
    return n < 0.9 * want ? n + 8 : n;
}

static bool has_size(const dfqi_inverted_arch *c, const struct size *s, bool lite)
{
    static const int8_t units[DFQI_INVERTED_STAGES] = {1, 2, 2, 3, 3, 4, 1};
    static const int16_t out[DFQI_INVERTED_STAGES] = {16, 24, 40, 80, 112, 192, 320};
    int32_t count[DFQI_INVERTED_STAGES] = {0};
    bool same = c->stem == (lite ? 32 : dfqi_inverted_channels(32, s->width));
    for (int32_t i = 0; i < c->n_blocks; i++) {
        const dfqi_inverted_block *b = &c->blocks[i];
        count[b->stage]++;
        same = same && b->out == dfqi_inverted_channels(out[b->stage], s->width);
    }
    for (int32_t i = 0; i < DFQI_INVERTED_STAGES; i++) {
        bool fixed = lite && (i == 0 || i + 1 == DFQI_INVERTED_STAGES);
        same = same && count[i] == (fixed ? units[i] : (int32_t)ceil(units[i] * s->depth));
    }
    return same;
}

int32_t dfqi_inverted_size(const dfqi_arch *a)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    const bool lite = c->form == DFQI_INVERTED_LITE;
    if (!lite && c->form != DFQI_INVERTED_EFFICIENTNET) return -1;
    for (int32_t i = 0; i < (lite ? LITES : SIZES); i++)
        if (has_size(c, &sizes[i], lite)) return i;
    return -1;
}

int64_t dfqi_inverted_image(int32_t size, double *out_crop)
{
    const struct size *s = &sizes[size < 0 ? 0 : size];
    *out_crop = floor((double)s->crop * 1000 + 0.5) / 1000;
    return s->image;
}

/* -- names ------------------------------------------------------------------------------------- */

static void set(dfqi_inverted_names *out, const char *block, const char *conv, const char *norm)
{
    const char *dot = block[0] ? "." : "";
    snprintf(out->conv, sizeof out->conv, "%s%s%s", block, dot, conv);
    snprintf(out->norm, sizeof out->norm, "%s%s%s", block, dot, norm);
}

static void name_timm(const char *block, const dfqi_inverted_block *b, dfqi_inverted_layer layer,
                      dfqi_inverted_names *out)
{
    static const char *const names[2][5][2] = {{{"", ""},
                                                {"conv_dw", "bn1"},
                                                {"conv_pw", "bn2"},
                                                {"se.conv_reduce", ""},
                                                {"se.conv_expand", ""}},
                                               {{"conv_pw", "bn1"},
                                                {"conv_dw", "bn2"},
                                                {"conv_pwl", "bn3"},
                                                {"se.conv_reduce", ""},
                                                {"se.conv_expand", ""}}};
    set(out, block, names[b->expands][layer][0], names[b->expands][layer][1]);
}

static void name_lukemelas(const char *block, dfqi_inverted_layer layer, dfqi_inverted_names *out)
{
    static const char *const names[5][2] = {{"_expand_conv", "_bn0"},
                                            {"_depthwise_conv", "_bn1"},
                                            {"_project_conv", "_bn2"},
                                            {"_se_reduce", ""},
                                            {"_se_expand", ""}};
    set(out, block, names[layer][0], names[layer][1]);
}

/* Parts of a block have numbers. */
static void name_torchvision(const char *block, const dfqi_inverted_block *b,
                             dfqi_inverted_layer layer, dfqi_inverted_names *out)
{
    char conv[16], norm[16];
    const int32_t at = layer == DFQI_INVERTED_EXPAND      ? 0
                       : layer == DFQI_INVERTED_DEPTHWISE ? b->expands
                       : layer == DFQI_INVERTED_PROJECT   ? b->expands + 1 + (b->squeeze > 0)
                                                          : b->expands + 1;
    const char *ends[5][2] = {{"0", "1"}, {"0", "1"}, {"0", "1"}, {"fc1", ""}, {"fc2", ""}};
    snprintf(conv, sizeof conv, "%d.%s", (int)at, ends[layer][0]);
    snprintf(norm, sizeof norm, "%d.%s", (int)at, ends[layer][1]);
    set(out, block, conv, norm);
}

void dfqi_inverted_name_layer(const dfqi_inverted_arch *c, int32_t index,
                              const dfqi_inverted_block *b, dfqi_inverted_layer layer,
                              dfqi_inverted_names *out)
{
    char block[48];
    switch (c->keys) {
    case DFQI_INVERTED_TIMM:
        snprintf(block, sizeof block, "blocks.%d.%d", (int)b->stage, (int)b->unit);
        name_timm(block, b, layer, out);
        return;
    case DFQI_INVERTED_LUKEMELAS:
        snprintf(block, sizeof block, "_blocks.%d", (int)index);
        name_lukemelas(block, layer, out);
        return;
    case DFQI_INVERTED_TORCHVISION:
        if (c->staged)
            snprintf(block, sizeof block, "features.%d.%d.block", b->stage + 1, (int)b->unit);
        else
            snprintf(block, sizeof block, "features.%d.block", (int)index + 1);
        name_torchvision(block, b, layer, out);
        return;
    }
}

void dfqi_inverted_name_stem(const dfqi_inverted_arch *c, dfqi_inverted_names *out)
{
    static const char *const names[3][2] = {
        [DFQI_INVERTED_TIMM] = {"conv_stem", "bn1"},
        [DFQI_INVERTED_LUKEMELAS] = {"_conv_stem", "_bn0"},
        [DFQI_INVERTED_TORCHVISION] = {"features.0.0", "features.0.1"}};
    set(out, "", names[c->keys][0], names[c->keys][1]);
}

void dfqi_inverted_name_last(const dfqi_inverted_arch *c, dfqi_inverted_names *out)
{
    const int32_t stages = c->n_blocks ? c->blocks[c->n_blocks - 1].stage + 1 : 0;
    char block[48];
    if (c->keys == DFQI_INVERTED_LUKEMELAS) {
        set(out, "", "_conv_head", "_bn1");
    } else if (c->keys == DFQI_INVERTED_TORCHVISION) {
        snprintf(block, sizeof block, "features.%d", (int)(c->staged ? stages : c->n_blocks) + 1);
        set(out, block, "0", "1");
    } else if (c->form >= DFQI_INVERTED_MOBILENETV3_LARGE) { /* a stage of its own */
        snprintf(block, sizeof block, "blocks.%d.0", (int)stages);
        set(out, block, "conv", "bn1");
    } else {
        set(out, "", "conv_head", "bn2");
    }
}

const char *dfqi_inverted_hidden_name(const dfqi_inverted_arch *c)
{
    return c->keys == DFQI_INVERTED_TIMM ? "conv_head" : "classifier.0";
}

const char *dfqi_inverted_head_name(const dfqi_inverted_arch *c)
{
    if (c->keys == DFQI_INVERTED_LUKEMELAS) return "_fc";
    if (c->keys == DFQI_INVERTED_TIMM) return "classifier";
    return c->hidden ? "classifier.3" : "classifier.1";
}
