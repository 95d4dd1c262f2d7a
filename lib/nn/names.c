/* Properties known from the name of an architecture: the number of heads, the stem, and the
 * transform with which accuracies were published. A name counts only if the tensors agree with
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/inverted.h"

/* Marks an assumed property as coming from `source`. */
static void settle(dfqi_arch *a, dfqi_prop p, int32_t source)
{
    if (a->source[p] == DFQ_SOURCE_ASSUMED) a->source[p] = (uint8_t)source;
}

static void settle_transform(dfqi_arch *a, int32_t source)
{
    for (int p = DFQI_PROP_MEAN; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
}

/* Moves *text past `begin`, if it begins with it. */
static bool skip(const char **text, const char *begin)
{
    size_t n = strlen(begin);
    if (strncmp(*text, begin, n) != 0) return false;
    *text += n;
    return true;
}

/* A number of at most five digits; -1: there is none. */
static int64_t number(const char **text)
{
    int64_t v = -1;
    for (int i = 0; i < 5 && **text >= '0' && **text <= '9'; i++, (*text)++)
        v = (v < 0 ? 0 : v * 10) + (**text - '0');
    return v;
}

/* -- vision transformers ----------------------------------------------------------------------- */

/* Sizes of timm's ViTs and DeiTs. "small" once was another network. */
static const struct size {
    const char *word;
    int64_t width, heads;
} sizes[] = {{"tiny_", 192, 3},       {"small_", 384, 6},    {"small_", 768, 8},
             {"medium_", 512, 8},     {"base_", 768, 12},    {"large_", 1024, 16},
             {"huge_", 1280, 16},     {"giant_", 1408, 16},  {"gigantic_", 1664, 16},
             {"so150m_", 896, 14},    {"so400m_", 1152, 16}, {"little_", 320, 5},
             {"betwixt_", 640, 10},   {"base_", 896, 14},    {"giant_", 1536, 24},
             {"giantopt_", 1536, 16}, {"mediumd_", 512, 8},  {"so150m2_", 832, 13}};

/* The name's ending after "_224", and the mean and std with which such weights were trained. */
enum { HALF, IMAGENET, RAW };
static const struct training {
    const char *tag;
    int statistics;
} trainings[] = {{"_in21k", HALF}, {".augreg", HALF},   {".orig", HALF},     {".sam", HALF},
                 {"_sam", HALF},   {".dino", IMAGENET}, {"_dino", IMAGENET}, {".mae", IMAGENET},
                 {"_miil", RAW},   {".fb", IMAGENET}};

void dfqi_vit_transform(dfqi_arch *a)
{
    enum { SMALL = 64, LARGE = 384 }; /* small ones are taken whole */
    a->crop = dfqi_longer(a->image) <= SMALL || dfqi_shorter(a->image) >= LARGE ? 1.0 : 0.9;
    a->filter = DFQI_BICUBIC;
}

static void set_statistics(dfqi_arch *a, int kind)
{
    if (kind == IMAGENET) dfqi_imagenet_statistics(a);
    for (int c = 0; c < 3 && kind != IMAGENET; c++) {
        a->mean[c] = kind == HALF ? 0.5f : 0.0f;
        a->std[c] = kind == HALF ? 0.5f : 1.0f;
    }
}

/* `tag`: the part of the name after patch and image. */
static void name_transform(dfqi_arch *a, bool deit, const char *tag, int32_t source)
{
    int kind = deit ? IMAGENET : HALF;
    bool known = *tag == '\0';
    for (size_t i = 0; i < sizeof trainings / sizeof *trainings && !known; i++) {
        known = strncmp(tag, trainings[i].tag, strlen(trainings[i].tag)) == 0;
        if (known && !deit) kind = trainings[i].statistics;
    }
    if (!known) return;
    set_statistics(a, kind);
    if (kind == RAW) {
        a->crop = 0.875;
        a->filter = DFQI_BILINEAR;
    }
    settle_transform(a, source);
}

/* What stands between patch and image in a name. */
enum { GAP = 1, CLIP = 2, QUICK = 4, SIGLIP = 8, DINOV2 = 16 };
static const struct infix {
    const char *word;
    uint32_t says;
} infixes[] = {{"_plus", 0},    {"_reg1", 0},          {"_reg4", 0},        {"_gap", GAP},
               {"_clip", CLIP}, {"_quickgelu", QUICK}, {"_siglip", SIGLIP}, {"_dinov2", DINOV2}};

static uint32_t skip_infixes(const char **text)
{
    uint32_t says = 0;
    for (size_t i = 0; i < sizeof infixes / sizeof *infixes; i++) {
        size_t n = strlen(infixes[i].word);
        if (strncmp(*text, infixes[i].word, n) != 0 || ((*text)[n] != '_' && (*text)[n] != '\0'))
            continue;
        says |= infixes[i].says;
        *text += n;
        i = (size_t)-1; /* from the first again: the order varies */
    }
    return says;
}

/* What a network of that name computes. The activation of SigLIP's varies with the size. */
static void name_parts(dfqi_arch *a, uint32_t says, int32_t source)
{
    static const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float std[] = {0.26862954f, 0.26130258f, 0.27577711f};
    dfqi_vit_arch *v = &a->of.vit;
    if (says & QUICK) v->activation = DFQI_VIT_QUICK_GELU;
    if (!(says & SIGLIP)) settle(a, DFQI_PROP_ACTIVATION, source);
    if (says & CLIP) {
        a->eps = 1e-5f;
        memcpy(a->mean, mean, sizeof mean);
        memcpy(a->std, std, sizeof std);
    }
    settle(a, DFQI_PROP_EPS, source);
    if ((says & GAP) && v->pooling == DFQI_VIT_TOKEN) v->pooling = DFQI_VIT_AVG;
    if ((says & GAP) || !(v->parts & DFQI_VIT_FC_NORM)) settle(a, DFQI_PROP_POOLING, source);
}

/* The size that a name begins with and that has the network's width; *at is then behind it. *sized:
 * it begins with some size. */
static const struct size *find_size(const char **at, int64_t width, bool *sized)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *behind = *at;
        if (!skip(&behind, sizes[i].word)) continue;
        *sized = true;
        if (sizes[i].width != width) continue;
        *at = behind;
        return &sizes[i];
    }
    return NULL;
}

bool dfqi_vit_name(dfqi_arch *a, const char *name, int32_t source)
{
    const char *at = name;
    bool deit = skip(&at, "vit_deit_") || skip(&at, "deit_") || skip(&at, "deit3_"), sized = false;
    if (!deit && !skip(&at, "vit_")) return true;
    const struct size *known = find_size(&at, a->of.vit.width, &sized);
    if (!known) return !sized;
    (void)skip(&at, "distilled_");
    if (!skip(&at, "patch")) return true;
    if (number(&at) != a->of.vit.patch) return false;
    const bool jepa = strncmp(at, "_gap_", 5) == 0 && known->width == 768; /* I-JEPA's */
    uint32_t says = skip_infixes(&at);
    a->of.vit.heads = jepa ? 16 : known->heads;
    settle(a, DFQI_PROP_HEADS, source);
    name_parts(a, says, source);
    const int64_t image = skip(&at, "_") ? number(&at) : 0;
    if (dfqi_same_size(dfqi_square(image), a->image)) settle(a, DFQI_PROP_IMAGE, source);
    if (!(says & CLIP)) name_transform(a, deit || (says & DINOV2) != 0, at, source);
    return true;
}

/* timm's "swin_tiny_patch4_window7_224", the same with hyphens in transformers, and torchvision's
 * "swin_t". */
bool dfqi_swin_name(dfqi_arch *a, const char *name, int32_t source)
{
    static const char *const words[] = {"tiny", "small", "base", "large"};
    const char *at = name;
    char begin[16];
    if (strcmp(name, "swin_t") == 0 || strcmp(name, "swin_s") == 0 || strcmp(name, "swin_b") == 0) {
        for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
        return true;
    }
    for (int i = 0; i < 4 && at == name; i++)
        for (int k = 0; k < 2 && at == name; k++) {
            snprintf(begin, sizeof begin, "swin%c%s%c", "_-"[k], words[i], "_-"[k]);
            (void)skip(&at, begin);
        }
    if (at == name || !skip(&at, "patch")) return true;
    int64_t patch = number(&at), window = -1, image = -1;
    if (*at++ && skip(&at, "window")) window = number(&at);
    if (window > 0 && *at++) image = number(&at);
    if (patch != a->of.swin.patch || !dfqi_same_size(dfqi_square(window), a->of.swin.window[0]))
        return false;
    if (image > 0 && image <= 4096 && a->source[DFQI_PROP_IMAGE] == DFQ_SOURCE_ASSUMED) {
        a->image = dfqi_square(image);
        dfqi_vit_transform(a);
    }
    for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
    return true;
}

/* -- convolutional networks -------------------------------------------------------------------- */

/* Convolutions on the residual paths, the first, and the classifier. */
static int64_t layers_of(const dfqi_arch *a)
{
    int64_t units = 0;
    for (int s = 0; s < DFQI_STAGES; s++) units += a->of.cnn.units[s];
    return 2 + units * (a->of.cnn.bottleneck ? 3 : 2);
}

/* The parameter names identify the repository that trained a network, and so its normalisation.
 * akamaster's names are used by others too, except for shortcuts without a projection. */
static bool knows_statistics(const dfqi_arch *a)
{
    return !a->of.cnn.small || a->of.cnn.keys == DFQI_KEYS_PYTORCHCV || a->of.cnn.padded;
}

bool dfqi_resnet_name(dfqi_arch *a, const char *name, int32_t source)
{
    const char *at = name;
    (void)(skip(&at, "tv_") || skip(&at, "wide_"));
    int64_t layers = skip(&at, "resnet") || skip(&at, "resnext") ? number(&at) : -1;
    if (layers != layers_of(a)) return layers < 0;
    bool b = a->of.cnn.bottleneck && skip(&at, "b"); /* pytorchcv's, with the stride in the 3x3 */
    bool cifar = skip(&at, "_cifar"), three = a->of.cnn.units[DFQI_STAGES - 1] == 0;
    if (a->of.cnn.small != (cifar || three)) return true;
    if (b) a->of.cnn.stride_first = 0;
    for (int p = 0; p < DFQI_PROP_MEAN; p++) settle(a, (dfqi_prop)p, source);
    if (knows_statistics(a) && (cifar || *at == '\0' || strncmp(at, ".tv_", 4) == 0))
        settle_transform(a, source);
    return true;
}

bool dfqi_mobilenet_name(dfqi_arch *a, const char *name, int32_t source)
{
    if (strcmp(name, "mobilenetv2") == 0 || strcmp(name, "mobilenet_v2") == 0 ||
        strcmp(name, "mobilenetv2_w1") == 0)
        for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
    return true;
}

/* The size in the name of an EfficientNet, or the form of a MobileNet; false if the tensors have
 * another. *at is moved past it. */
static bool is_inverted(const dfqi_arch *a, const char **at)
{
    const dfqi_inverted_form form = a->of.inverted.form;
    const bool efficient = form <= DFQI_INVERTED_LITE;
    const char *const kind = form == DFQI_INVERTED_LITE ? "lite" : "b";
    if (!efficient) return skip(at, dfqi_inverted_form_of(a)->name);
    if (!skip(at, "efficientnet_") && !skip(at, "efficientnet-")) return false;
    return skip(at, kind) && number(at) == dfqi_inverted_size(a);
}

/* mean and std of timm's weights, as far as their tag tells: half of those from TensorFlow and of
 * some recipes, none of Alibaba's. */
static void name_statistics(dfqi_arch *a, bool tf, const char *name, int32_t source)
{
    const bool half = strstr(name, ".ap_") || strstr(name, ".ra4_") || strstr(name, "_pruned") ||
                      (tf && a->of.inverted.form != DFQI_INVERTED_EFFICIENTNET);
    if (half) set_statistics(a, HALF);
    if (strstr(name, ".miil_")) set_statistics(a, RAW);
    settle_transform(a, source);
}

/* timm's names: those that begin with "tf_", and pruned ones, have TensorFlow's padding and eps;
 * the names of torchvision and of efficientnet-pytorch say nothing of it. */
bool dfqi_inverted_name(dfqi_arch *a, const char *name, int32_t source)
{
    dfqi_inverted_arch *c = &a->of.inverted;
    const char *at = name;
    const bool tf = skip(&at, "tf_"), pruned = strstr(at, "_pruned") != NULL;
    if (strcmp(at, "efficientnet") == 0 || strncmp(at, "tinynet_", 8) == 0) {
        ;
    } else if (!pruned && !is_inverted(a, &at)) {
        return strncmp(at, "efficientnet", 12) != 0 && strncmp(at, "mobilenetv", 10) != 0;
    }
    if (c->keys != DFQI_INVERTED_TIMM) {
        for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
        return true;
    }
    if (a->source[DFQI_PROP_CONV_PADDING] == DFQ_SOURCE_ASSUMED) {
        c->same = tf || pruned;
        a->eps = c->same ? 1e-3f : 1e-5f;
    }
    for (int p = 0; p < DFQI_PROP_MEAN; p++) settle(a, (dfqi_prop)p, source);
    name_statistics(a, tf, name, source);
    return true;
}
