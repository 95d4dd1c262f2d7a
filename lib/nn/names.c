/* Properties known from the name of an architecture: the number of heads, the stem, and the
 * transform with which accuracies were published. A name counts only if the tensors agree with
 * it. */
#include <stdio.h>
#include <string.h>

#include "nn/names_priv.h"

/* Marks an assumed property as coming from `source`. */
static void settle(dfqi_arch *a, dfqi_prop p, int32_t source)
{
    if (a->source[p] == DFQ_SOURCE_ASSUMED) a->source[p] = (uint8_t)source;
}

static void settle_transform(dfqi_arch *a, int32_t source)
{
    for (int p = DFQI_PROP_MEAN; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
}

/* -- vision transformers ----------------------------------------------------------------------- */

/* "small" once was another network. */
static const dfqi_vit_size sizes[] = {
    {"tiny", 192, 12, 3},     {"small", 384, 12, 6},        {"small", 768, 8, 8},
    {"medium", 512, 12, 8},   {"base", 768, 12, 12},        {"large", 1024, 24, 16},
    {"huge", 1280, 32, 16},   {"giant", 1408, 40, 16},      {"gigantic", 1664, 48, 16},
    {"so150m", 896, 18, 14},  {"so400m", 1152, 27, 16},     {"little", 320, 14, 5},
    {"dlittle", 320, 14, 5},  {"betwixt", 640, 12, 10},     {"base", 896, 12, 14},
    {"giant", 1536, 40, 24},  {"giantopt", 1536, 40, 16},   {"mediumd", 512, 20, 8},
    {"so150m2", 832, 21, 13}, {"xsmall", 256, 10, 4},       {"wee", 256, 14, 4},
    {"dwee", 256, 14, 4},     {"intern300m", 1024, 24, 16}, {"b", 768, 12, 12},
    {"l", 1024, 24, 16},      {"h", 1280, 32, 16}};

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

const dfqi_vit_size *dfqi_vit_size_at(const char **at, int64_t width)
{
    const dfqi_vit_size *found = NULL;
    const size_t n = strcspn(*at, "_");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strlen(sizes[i].word) == n && strncmp(*at, sizes[i].word, n) == 0 &&
            (!found || (found->width != width && sizes[i].width == width)))
            found = &sizes[i];
    if (found) *at += n + ((*at)[n] == '_');
    return found;
}

bool dfqi_vit_name(dfqi_arch *a, const char *name, int32_t source)
{
    const char *at = name;
    bool deit = dfqi_name_skip(&at, "vit_deit_") || dfqi_name_skip(&at, "deit_") ||
                dfqi_name_skip(&at, "deit3_");
    if (!deit && !dfqi_name_skip(&at, "vit_")) return true;
    const dfqi_vit_size *known = dfqi_vit_size_at(&at, a->of.vit.width);
    if (!known || known->width != a->of.vit.width) return !known;
    (void)dfqi_name_skip(&at, "distilled_");
    if (!dfqi_name_skip(&at, "patch")) return true;
    if (dfqi_name_number(&at) != a->of.vit.patch) return false;
    const bool jepa = strncmp(at, "_gap_", 5) == 0 && known->width == 768; /* I-JEPA's */
    uint32_t says = skip_infixes(&at);
    if (a->source[DFQI_PROP_HEADS] == DFQ_SOURCE_ASSUMED)
        a->of.vit.heads = jepa ? 16 : known->heads;
    settle(a, DFQI_PROP_HEADS, source);
    name_parts(a, says, source);
    const int64_t image = dfqi_name_skip(&at, "_") ? dfqi_name_number(&at) : 0;
    if (dfqi_same_size(dfqi_square(image), a->image)) settle(a, DFQI_PROP_IMAGE, source);
    if (!(says & CLIP)) name_transform(a, deit || (says & DINOV2) != 0, at, source);
    return true;
}

/* timm's and transformers' "swin_tiny_patch4_window7_224", and torchvision's "swin_t". */
bool dfqi_swin_name(dfqi_arch *a, const char *name, int32_t source)
{
    static const char *const words[] = {"tiny", "small", "base", "large"};
    const char *at = name;
    char begin[16];
    if (strcmp(name, "swin_t") == 0 || strcmp(name, "swin_s") == 0 || strcmp(name, "swin_b") == 0) {
        for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
        return true;
    }
    for (int i = 0; i < 4 && at == name; i++) {
        snprintf(begin, sizeof begin, "swin_%s_", words[i]);
        (void)dfqi_name_skip(&at, begin);
    }
    if (at == name || !dfqi_name_skip(&at, "patch")) return true;
    int64_t patch = dfqi_name_number(&at), window, image = -1;
    if (patch != a->of.swin.patch) return false;
    if (!dfqi_name_skip(&at, "_window")) return true;
    window = dfqi_name_number(&at);
    if (!dfqi_same_size(dfqi_square(window), a->of.swin.window[0])) return false;
    if (dfqi_name_skip(&at, "_")) image = dfqi_name_number(&at);
    if (image > 0 && image <= 4096 && a->source[DFQI_PROP_IMAGE] == DFQ_SOURCE_ASSUMED) {
        a->image = dfqi_square(image);
        dfqi_vit_transform(a);
    }
    for (int p = 0; p < DFQI_PROP_COUNT; p++) settle(a, (dfqi_prop)p, source);
    return true;
}

/* -- convolutional networks -------------------------------------------------------------------- */

int64_t dfqi_resnet_layers(const dfqi_arch *a)
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
    (void)(dfqi_name_skip(&at, "tv_") || dfqi_name_skip(&at, "wide_"));
    int64_t layers = dfqi_name_skip(&at, "resnet") || dfqi_name_skip(&at, "resnext")
                         ? dfqi_name_number(&at)
                         : -1;
    if (layers != dfqi_resnet_layers(a)) return layers < 0;
    bool b = a->of.cnn.bottleneck &&
             dfqi_name_skip(&at, "b"); /* pytorchcv's, with the stride in the 3x3 */
    bool cifar = dfqi_name_skip(&at, "_cifar"), three = a->of.cnn.units[DFQI_STAGES - 1] == 0;
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

/* Is `at`, a name without "tf_", that of such a network: of its form, and of its size if one is
 * said? Pruned EfficientNets and TinyNets have channels of no size. */
static bool is_inverted(const dfqi_arch *a, const char *at)
{
    static const char mobile[] = "mobilenet";
    const dfqi_inverted_form form = a->of.inverted.form;
    const int32_t size = dfqi_inverted_size(a);
    if (form > DFQI_INVERTED_LITE) {
        if (!dfqi_name_skip(&at, mobile)) return false;
        (void)dfqi_name_skip(&at, "_");
        return dfqi_name_skip(&at, dfqi_inverted_form_of(a)->name + strlen(mobile));
    }
    if (dfqi_name_skip(&at, "tinynet_")) return form == DFQI_INVERTED_EFFICIENTNET && size < 0;
    if (!dfqi_name_skip(&at, "efficientnet")) return false;
    if (*at == '\0') return true;
    if (strstr(at, "_pruned")) return form == DFQI_INVERTED_EFFICIENTNET && size < 0;
    return dfqi_name_skip(&at, form == DFQI_INVERTED_LITE ? "_lite" : "_b") && size >= 0 &&
           dfqi_name_number(&at) == size;
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
    const bool tf = dfqi_name_skip(&at, "tf_"), pruned = strstr(at, "_pruned") != NULL;
    if (!is_inverted(a, at))
        return strncmp(at, "efficientnet", 12) != 0 && strncmp(at, "mobilenet", 9) != 0 &&
               strncmp(at, "tinynet_", 8) != 0;
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
