/* The table of network properties, and their values as text. */
#include "nn/property.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "nn/cnn.h"
#include "nn/family.h"

enum {
    LOGITS = DFQ_DECIDES_LOGITS,
    INPUTS = DFQ_DECIDES_INPUTS,
    PICTURES = DFQ_DECIDES_PICTURES,
    COST = DFQ_DECIDES_COST
};

static const struct row {
    const char *name;
    int32_t decides;
} rows[DFQI_PROP_COUNT] = {
    [DFQI_PROP_IMAGE] = {"image", LOGITS | COST},
    [DFQI_PROP_PATCH] = {"patch", 0}, /* of the tensors; the grid is the image's */
    [DFQI_PROP_GRID] = {"grid", 0},
    [DFQI_PROP_HEADS] = {"heads", LOGITS | COST},
    [DFQI_PROP_STEM] = {"stem", LOGITS | COST},
    [DFQI_PROP_BOTTLENECK] = {"bottleneck_stride", LOGITS | COST},
    [DFQI_PROP_ACTIVATION] = {"activation", LOGITS},
    [DFQI_PROP_EPS] = {"eps", LOGITS},
    [DFQI_PROP_POOLING] = {"pooling", LOGITS},
    [DFQI_PROP_PADDING] = {"window_padding", LOGITS},
    [DFQI_PROP_CONV_PADDING] = {"conv_padding", LOGITS},
    [DFQI_PROP_MEAN] = {"mean", INPUTS},
    [DFQI_PROP_STD] = {"std", INPUTS},
    [DFQI_PROP_RESIZE] = {"resize", PICTURES},
    [DFQI_PROP_CROP] = {"crop", 0}, /* the image */
    [DFQI_PROP_INTERPOLATION] = {"interpolation", PICTURES},
};

const char *const dfqi_interpolation_words[] = {"bilinear", "bicubic", NULL};
const char *const dfqi_stem_words[] = {"stride1", "stride1+pool", "stride2", "stride2+pool", NULL};
const char *const dfqi_padding_words[] = {"after_shift", "before_shift", NULL};
const char *const dfqi_conv_padding_words[] = {"symmetric", "same", NULL};
const char *const dfqi_bottleneck_words[] = {"3x3", "1x1", NULL};

const char *const dfqi_vit_activation_words[] = {"gelu", "quick_gelu", "gelu_tanh",
                                                 "relu", "silu",       NULL};
const char *const dfqi_vit_pooling_words[] = {"token", "avg", "token+distilled", "token+avg", NULL};

const char *dfqi_prop_name(dfqi_prop p)
{
    return rows[p].name;
}

int32_t dfqi_prop_decides(dfqi_prop p)
{
    return rows[p].decides;
}

bool dfqi_prop_applies(const dfqi_arch *a, dfqi_prop p)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    const bool all = p == DFQI_PROP_IMAGE || p == DFQI_PROP_ACTIVATION || p == DFQI_PROP_EPS ||
                     p == DFQI_PROP_POOLING || p >= DFQI_PROP_MEAN;
    return (all || row->properties >> p & 1) && !(row->lacks && row->lacks(a, p));
}

void dfqi_prop_from(dfqi_arch *a, int32_t source)
{
    for (int p = 0; p < DFQI_PROP_COUNT; p++)
        if (dfqi_prop_applies(a, (dfqi_prop)p)) a->source[p] = (uint8_t)source;
    /* most families pool in one way, which is no guess */
    if (source == DFQ_SOURCE_ASSUMED && !dfqi_family_get(a->family)->pooling)
        a->source[DFQI_PROP_POOLING] = DFQ_SOURCE_TENSOR;
}

const char *dfqi_activation_word(const dfqi_arch *a)
{
    return dfqi_family_get(a->family)->activation(a);
}

const char *dfqi_pooling_word(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->pooling ? row->pooling(a) : "avg";
}

/* n numbers, each in the fewest digits from six on that are the same float again. */
static void put_numbers(char *text, int n, const float *v)
{
    for (int i = 0; i < n; i++) {
        char one[24];
        for (int digits = 6; digits <= 9; digits++) {
            dfqi_print(one, sizeof one, "%.*g", digits, (double)v[i]);
            if ((float)dfqi_parse_real(one, NULL) == v[i]) break;
        }
        size_t at = strlen(text);
        snprintf(text + at, DFQI_PROP_TEXT - at, "%s%s", i ? "," : "", one);
    }
}

static void put_map(char *text, dfqi_size map)
{
    snprintf(text, DFQI_PROP_TEXT, "%lld x %lld", (long long)map.height, (long long)map.width);
}

static void put_whole(char *text, int64_t v)
{
    snprintf(text, DFQI_PROP_TEXT, "%lld", (long long)v);
}

static void put_word(char *text, const char *word)
{
    snprintf(text, DFQI_PROP_TEXT, "%s", word);
}

const char *dfqi_prop_text(const dfqi_arch *a, dfqi_prop p, char text[DFQI_PROP_TEXT])
{
    int64_t patch = dfqi_arch_patch(a);
    text[0] = '\0';
    switch (p) {
    case DFQI_PROP_IMAGE:
    case DFQI_PROP_CROP:
        dfqi_size_text(a->image, text);
        break;
    case DFQI_PROP_PATCH:
        put_whole(text, patch);
        break;
    case DFQI_PROP_GRID:
        put_map(text, dfqi_size_over(a->image, patch));
        break;
    case DFQI_PROP_HEADS:
        put_whole(text, a->of.vit.heads);
        break;
    case DFQI_PROP_STEM:
        put_word(text, dfqi_stem_words[dfqi_resnet_stem(a) - 1]);
        break;
    case DFQI_PROP_BOTTLENECK:
        put_word(text, dfqi_bottleneck_words[a->of.cnn.stride_first != 0]);
        break;
    case DFQI_PROP_ACTIVATION:
        put_word(text, dfqi_activation_word(a));
        break;
    case DFQI_PROP_EPS:
        put_numbers(text, 1, &a->eps);
        break;
    case DFQI_PROP_POOLING:
        put_word(text, dfqi_pooling_word(a));
        break;
    case DFQI_PROP_PADDING:
        put_word(text, dfqi_padding_words[a->of.swin.pad_first != 0]);
        break;
    case DFQI_PROP_CONV_PADDING:
        put_word(text, dfqi_conv_padding_words[a->of.inverted.same != 0]);
        break;
    case DFQI_PROP_MEAN:
        put_numbers(text, 3, a->mean);
        break;
    case DFQI_PROP_STD:
        put_numbers(text, 3, a->std);
        break;
    case DFQI_PROP_RESIZE:
        dfqi_size_text(a->resize, text);
        break;
    case DFQI_PROP_INTERPOLATION:
        put_word(text, dfqi_interpolation_words[a->filter]);
        break;
    case DFQI_PROP_COUNT:
        break;
    }
    return text;
}
