/* What tensors do not tell: where it comes from, what wins, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/cases.h"
#include "nn/load.h"
#include "nn/support.h"

static void begin(loading *l, const dfqi_arch *a)
{
    dfqt_loading_begin(l, a);
    dfqt_file(&l->source, &l->f);
}

static void works(loading *l, const char *path, const dfq_load_options *o, dfqi_arch *a)
{
    dfq_status status = dfqi_arch_find(&l->f.st, path, NULL, o, a);
    ck_assert_msg(status == DFQ_OK, "%s", l->ctx->error);
}

static void fails(loading *l, const dfq_load_options *o, dfq_status code, const char *part)
{
    dfqi_arch a;
    ck_assert_int_eq(dfqi_arch_find(&l->f.st, "some.file", NULL, o, &a), code);
    ck_assert_msg(strstr(l->ctx->error, "some.file: ") && strstr(l->ctx->error, part) &&
                      !strchr(l->ctx->error, '\n'),
                  "expected %s in: %s", part, l->ctx->error);
}

/* -- names ------------------------------------------------------------------------------------- */

enum { NAME = DFQ_SOURCE_NAME, GUESS = DFQ_SOURCE_ASSUMED, FILE_NAME = DFQ_SOURCE_FILE_NAME };
static const float imagenet = 0.485f;

/* `path` instead of a name: the file is called so. heads 0: refused. */
static const struct named {
    const char *name, *path;
    int64_t width, patch, image, heads;
    int32_t heads_from, image_from, mean_from;
    float mean;
    int32_t resize, filter;
} nameds[] = {
    {"vit_tiny_patch16_224", 0, 192, 16, 224, 3, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    {"vit_tiny_patch16_384.augreg_in21k_ft_in1k", 0, 192, 16, 384, 3, NAME, NAME, NAME, 0.5f, 384,
     DFQI_BICUBIC},
    {"deit_small_patch16_224", 0, 384, 16, 224, 6, NAME, NAME, NAME, imagenet, 248, DFQI_BICUBIC},
    {"vit_deit_tiny_patch16_224", 0, 192, 16, 224, 3, NAME, NAME, NAME, imagenet, 248,
     DFQI_BICUBIC},
    {"deit_tiny_patch16_224.fb_in1k", 0, 192, 16, 224, 3, NAME, NAME, NAME, imagenet, 248,
     DFQI_BICUBIC},
    {"vit_small_patch16_224", 0, 768, 16, 224, 8, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    {"vit_base_patch16_224_miil", 0, 768, 16, 224, 12, NAME, NAME, NAME, 0.0f, 256, DFQI_BILINEAR},
    {"vit_small_patch8_224.dino", 0, 384, 8, 224, 6, NAME, NAME, NAME, imagenet, 248, DFQI_BICUBIC},
    {"vit_huge_patch14_224", 0, 1280, 14, 224, 16, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    {"vit_giant_patch14_224", 0, 1408, 14, 224, 16, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    {"vit_gigantic_patch14_224", 0, 1664, 14, 224, 16, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    {"vit_so400m_patch14_224", 0, 1152, 14, 224, 16, NAME, NAME, NAME, 0.5f, 248, DFQI_BICUBIC},
    /* an unknown training: heads are the architecture's all the same */
    {"vit_tiny_patch16_224.mine", 0, 192, 16, 224, 3, NAME, NAME, GUESS, 0.5f, 248, DFQI_BICUBIC},
    /* what the tensors contradict tells nothing */
    {"vit_tiny_patch16_224", 0, 256, 16, 224, 4, GUESS, GUESS, GUESS, 0.5f, 248, DFQI_BICUBIC},
    {"vit_tiny_patch16_224", 0, 192, 8, 224, 3, GUESS, GUESS, GUESS, 0.5f, 248, DFQI_BICUBIC},
    {"vit_tiny_patch16_224", 0, 192, 16, 32, 3, NAME, GUESS, NAME, 0.5f, 32, DFQI_BICUBIC},
    {"vit_odd", 0, 128, 4, 32, 2, GUESS, GUESS, GUESS, 0.5f, 32, DFQI_BICUBIC},
    {0, "a/deit_tiny_patch16_224.safetensors", 192, 16, 224, 3, FILE_NAME, FILE_NAME, FILE_NAME,
     imagenet, 248, DFQI_BICUBIC},
    {0, "b/model.safetensors", 192, 16, 224, 3, GUESS, GUESS, GUESS, 0.5f, 248, DFQI_BICUBIC},
    {0, "b/deit_tiny_patch16_224/model.safetensors", 192, 16, 224, 3, GUESS, GUESS, GUESS, 0.5f,
     248, DFQI_BICUBIC},
    {0, "m.st", 1024, 16, 32, 16, GUESS, GUESS, GUESS, 0.5f, 32, DFQI_BICUBIC},
    {0, "m.st", 1088, 16, 32, 0, 0, 0, 0, 0, 0, 0},
    {0, "m.st", 1280, 16, 32, 0, 0, 0, 0, 0, 0, 0},
    {0, "m.st", 48, 16, 32, 0, 0, 0, 0, 0, 0, 0},
};

static char warned[1024];

static void on_log(int32_t level, const char *line, void *user)
{
    (void)user;
    if (level == DFQ_LOG_WARNING) snprintf(warned, sizeof warned, "%s", line);
}

/* A name that is another network's is not this one's, and a warning tells so. */
static void check_unfit(const dfqi_arch *a, const char *said, bool unfit)
{
    ck_assert_msg((strcmp(a->name, said) != 0) == unfit, "%s: called %s", said, a->name);
    ck_assert_msg((strstr(warned, "which does not fit the tensors") != NULL) == unfit, "%s: %s",
                  said, warned);
    if (unfit) ck_assert_ptr_nonnull(strstr(warned, said));
}

START_TEST(test_vit_names)
{
    const struct named *n = &nameds[_i];
    dfqi_arch want = dfqt_arch(n->image, n->patch, n->width, 1, 1), a;
    want.of.vit.hidden = 8;
    loading l;
    begin(&l, &want);
    if (n->name) dfqt_file_meta(&l.f, "architecture", n->name);
    l.ctx->log = on_log;
    warned[0] = '\0';
    if (n->heads == 0) {
        fails(&l, NULL, DFQ_E_CORRUPT, "--heads N, by the metadata key \"heads\"");
    } else {
        works(&l, n->path ? n->path : "some.file", NULL, &a);
        ck_assert_int_eq(a.of.vit.heads, n->heads);
        ck_assert_int_eq(a.source[DFQI_PROP_HEADS], n->heads_from);
        ck_assert_int_eq(a.source[DFQI_PROP_EPS], n->heads_from);
        ck_assert_int_eq(a.source[DFQI_PROP_IMAGE], n->image_from);
        ck_assert_int_eq(a.source[DFQI_PROP_GRID], n->image_from);
        for (int p = DFQI_PROP_MEAN; p < DFQI_PROP_COUNT; p++)
            if (p != DFQI_PROP_CROP) ck_assert_int_eq(a.source[p], n->mean_from);
        ck_assert(a.mean[0] == n->mean && a.resize.height == n->resize &&
                  (int)a.filter == n->filter);
        ck_assert_int_eq(a.source[DFQI_PROP_PATCH], DFQ_SOURCE_TENSOR);
        if (n->name)
            check_unfit(&a, n->name, n->heads_from == GUESS && strcmp(n->name, "vit_odd") != 0);
        if (n->path && n->heads_from == FILE_NAME)
            ck_assert_str_eq(a.name, "deit_tiny_patch16_224");
    }
    dfqt_loading_end(&l);
}
END_TEST

static const struct resnet {
    const char *name;
    dfqi_keys keys;
    int32_t small, bottleneck, padded, units[DFQI_STAGES];
    int32_t stem_from, mean_from, first;
} resnets[] = {
    {"resnet20_cifar", DFQI_KEYS_AKAMASTER, 1, 0, 1, {3, 3, 3}, NAME, NAME, 0},
    {"resnet20", DFQI_KEYS_AKAMASTER, 1, 0, 1, {3, 3, 3}, NAME, NAME, 0},
    {"resnet20_cifar10", DFQI_KEYS_PYTORCHCV, 1, 0, 0, {3, 3, 3}, NAME, NAME, 0},
    /* others' keys are akamaster's with projections, and their statistics differ */
    {"resnet18_cifar10", DFQI_KEYS_AKAMASTER, 1, 0, 0, {2, 2, 2, 2}, NAME, GUESS, 0},
    /* a ResNet-18 with a 3x3 stem and ImageNet's name: nobody knows */
    {"resnet18", DFQI_KEYS_TORCHVISION, 1, 0, 0, {2, 2, 2, 2}, GUESS, GUESS, 0},
    {"resnet18", DFQI_KEYS_TORCHVISION, 0, 0, 0, {2, 2, 2, 2}, NAME, NAME, 0},
    {"resnet34", DFQI_KEYS_TORCHVISION, 0, 0, 0, {2, 2, 2, 2}, GUESS, GUESS, 0},
    {"resnet50", DFQI_KEYS_TORCHVISION, 0, 1, 0, {3, 4, 6, 3}, NAME, NAME, 0},
    {"resnet50", DFQI_KEYS_PYTORCHCV, 0, 1, 0, {3, 4, 6, 3}, NAME, NAME, 1},
    {"resnet50b", DFQI_KEYS_PYTORCHCV, 0, 1, 0, {3, 4, 6, 3}, NAME, NAME, 0},
    {"resnet50.a1_in1k", DFQI_KEYS_TORCHVISION, 0, 1, 0, {3, 4, 6, 3}, NAME, GUESS, 0},
    {"resnet50.tv_in1k", DFQI_KEYS_TORCHVISION, 0, 1, 0, {3, 4, 6, 3}, NAME, NAME, 0},
};

START_TEST(test_resnet_names)
{
    const struct resnet *r = &resnets[_i];
    dfqi_arch want = dfqt_resnet(r->keys, 4, 0, 0), a;
    want.of.cnn.small = r->small;
    want.of.cnn.bottleneck = r->bottleneck;
    want.of.cnn.padded = r->padded;
    memcpy(want.of.cnn.units, r->units, sizeof want.of.cnn.units);
    loading l;
    begin(&l, &want);
    char path[64];
    snprintf(path, sizeof path, "x/%s.safetensors", r->name);
    works(&l, path, NULL, &a); /* as the file's name */
    int32_t weaker = r->stem_from == NAME ? FILE_NAME : GUESS;
    ck_assert_int_eq(a.source[DFQI_PROP_STEM], weaker);
    ck_assert_int_eq(a.of.cnn.stride_first, r->first);
    dfqt_file_meta(&l.f, "architecture", r->name);
    l.ctx->log = on_log;
    warned[0] = '\0';
    works(&l, "some.file", NULL, &a);
    check_unfit(&a, r->name, strcmp(r->name, "resnet34") == 0);
    ck_assert_int_eq(a.source[DFQI_PROP_STEM], r->stem_from);
    ck_assert_int_eq(a.source[DFQI_PROP_IMAGE], r->stem_from);
    ck_assert_int_eq(a.source[DFQI_PROP_BOTTLENECK], r->bottleneck ? r->stem_from : 0);
    ck_assert_int_eq(a.source[DFQI_PROP_MEAN], r->mean_from);
    ck_assert_int_eq(a.source[DFQI_PROP_RESIZE], r->mean_from);
    ck_assert_int_eq(a.of.cnn.stride_first, r->first);
    ck_assert_int_eq(a.resize.height, r->small ? 32 : 256);
    ck_assert_int_eq(a.filter, DFQI_BILINEAR);
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_mobilenet_names)
{
    dfqi_arch want = dfqt_mobilenet(DFQI_KEYS_TORCHVISION), a;
    loading l;
    begin(&l, &want);
    works(&l, "some.file", NULL, &a);
    ck_assert_int_eq(a.source[DFQI_PROP_MEAN], GUESS);
    dfqt_file_meta(&l.f, "architecture", "mobilenet_v2");
    works(&l, "some.file", NULL, &a);
    ck_assert_int_eq(a.source[DFQI_PROP_MEAN], NAME);
    ck_assert_int_eq(a.source[DFQI_PROP_STEM], 0); /* it has one stem */
    dfqt_loading_end(&l);
}
END_TEST

/* -- what wins --------------------------------------------------------------------------------- */

/* Keys of properties that such a network does not have, and keys that say the same. */
START_TEST(test_keys_that_do_not_fit)
{
    dfqi_arch want = dfqt_arch(224, 16, 192, 1, 3), a;
    loading l;
    begin(&l, &want);
    l.ctx->log = on_log;
    warned[0] = '\0';
    dfqt_file_meta(&l.f, "interpolation", "bicubic");
    works(&l, "some.file", NULL, &a);
    ck_assert_str_eq(warned, "");
    dfqt_file_meta(&l.f, "stem", "stride2");
    works(&l, "some.file", NULL, &a);
    ck_assert_str_eq(
        warned, "some.file: metadata stem is not for a 1-block vision transformer and is ignored");
    dfqt_file_meta(&l.f, "crop_pct", "0.9");
    works(&l, "some.file", NULL, &a);
    ck_assert_int_eq(a.resize.height, 248);
    dfqt_file_meta(&l.f, "resize", "256");
    fails(&l, NULL, DFQ_E_CORRUPT,
          "metadata resize and crop_pct exclude each other; leave one out");
    dfqt_loading_end(&l);
}
END_TEST

/* Options win over metadata, these over names. */
START_TEST(test_order)
{
    dfqi_arch want = dfqt_arch(224, 16, 192, 12, 3), a;
    const float mean[3] = {0.1f, 0.2f, 0.3f}, std[3] = {1, 2, 3};
    dfq_load_options o = {.struct_size = sizeof o};
    loading l;
    begin(&l, &want);
    dfqt_file_meta(&l.f, "architecture", "deit_tiny_patch16_224");
    dfqt_file_meta(&l.f, "heads", "6");
    dfqt_file_meta(&l.f, "mean", "0.4,0.4,0.4");
    dfqt_file_meta(&l.f, "crop_pct", "0.7");
    dfqt_file_meta(&l.f, "interpolation", "bilinear");
    dfqt_file_meta(&l.f, "activation", "gelu");
    works(&l, "some.file", &o, &a);
    ck_assert(a.of.vit.heads == 6 && a.mean[0] == 0.4f && a.std[0] == 0.229f &&
              a.resize.height == 320);
    ck_assert(a.filter == DFQI_BILINEAR && a.crop <= 0);
    for (int p = 0; p < DFQI_PROP_COUNT; p++) {
        static const int said[] = {DFQI_PROP_HEADS, DFQI_PROP_MEAN, DFQI_PROP_RESIZE,
                                   DFQI_PROP_INTERPOLATION, DFQI_PROP_ACTIVATION};
        int32_t from = p == DFQI_PROP_PATCH                  ? DFQ_SOURCE_TENSOR
                       : dfqi_prop_applies(&a, (dfqi_prop)p) ? NAME
                                                             : 0;
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
            if (said[i] == p) from = DFQ_SOURCE_METADATA;
        ck_assert_int_eq(a.source[p], from);
    }
    o.arch = "vit_tiny_patch16_224";
    fails(&l, &o, DFQ_E_INVALID, "(heads: 6)"); /* the option counts before the metadata */
    o.mean = mean;
    o.std = std;
    o.heads = 12;
    o.image = 224;
    o.resize = -1;
    o.interpolation = DFQ_INTERPOLATION_BICUBIC;
    works(&l, "some.file", &o, &a);
    ck_assert(a.of.vit.heads == 12 && a.mean[2] == 0.3f && a.std[2] == 3 && a.resize.height == 0);
    ck_assert(a.filter == DFQI_BICUBIC);
    ck_assert_int_eq(a.source[DFQI_PROP_HEADS], DFQ_SOURCE_OPTION);
    ck_assert_int_eq(a.source[DFQI_PROP_CROP], DFQ_SOURCE_OPTION);
    o.resize = 0;
    o.crop = 0.875;
    works(&l, "some.file", &o, &a);
    ck_assert_int_eq(a.resize.height, 256);
    dfqt_loading_end(&l);
}
END_TEST

/* A grid of 4 x 9 has as many positions as one of 6 x 6. */
START_TEST(test_grid)
{
    dfqi_arch want = dfqt_arch(24, 4, 48, 1, 3), a;
    dfq_load_options o = {.struct_size = sizeof o, .heads = 3, .image = 36};
    char text[DFQI_PROP_TEXT];
    loading l;
    begin(&l, &want);
    fails(&l, &o, DFQ_E_SHAPE, "image is 36, must be 24 or have as many patches of 4 pixels, 36");
    o.image_width = 16;
    works(&l, "some.file", &o, &a);
    ck_assert(a.image.height == 36 && a.image.width == 16 && a.of.vit.grid.width == 4);
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_IMAGE, text), "36x16");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_GRID, text), "9 x 4");
    o.image_width = 0;
    o.image = 24;
    works(&l, "some.file", &o, &a);
    ck_assert_int_eq(a.source[DFQI_PROP_GRID], DFQ_SOURCE_OPTION);
    o.image = 0;
    works(&l, "some.file", &o, &a);
    ck_assert_int_eq(a.source[DFQI_PROP_GRID], GUESS);
    dfqt_file_meta(&l.f, "image", "16");
    fails(&l, &o, DFQ_E_SHAPE, "image is 16");
    l.f.st.n_meta = 0;
    dfqt_file_meta(&l.f, "image", "24");
    works(&l, "some.file", &o, &a);
    ck_assert_int_eq(a.source[DFQI_PROP_GRID], DFQ_SOURCE_METADATA);
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_bad_options)
{
    dfqi_arch vit = dfqt_arch(16, 4, 48, 1, 3), cnn = dfqt_resnet(DFQI_KEYS_AKAMASTER, 4, 3, 1);
    const float nan3[3] = {NAN, 0, 0}, zero[3] = {0, 0, 0};
    const dfq_load_options vits[] = {{.heads = -1},
                                     {.heads = 4097},
                                     {.heads = 3, .mean = nan3},
                                     {.heads = 3, .std = zero},
                                     {.heads = 3, .resize = -2},
                                     {.heads = 3, .resize = 16385},
                                     {.heads = 3, .crop = 1.5},
                                     {.heads = 3, .crop = -0.5},
                                     {.heads = 3, .crop = 0.9, .resize = 20},
                                     {.heads = 3, .interpolation = 3},
                                     {.heads = 3, .stem = DFQ_STEM_STRIDE1}};
    const dfq_load_options cnns[] = {
        {.heads = 3}, {.image = 7}, {.image = 1025}, {.stem = 5}, {.stem = -1}};
    loading l;
    begin(&l, &vit);
    for (size_t i = 0; i < sizeof vits / sizeof *vits; i++) fails(&l, &vits[i], DFQ_E_INVALID, "");
    const dfq_load_options five = {.heads = 5};
    fails(&l, &five, DFQ_E_CORRUPT, "width is 48, must be a multiple of heads, 5");
    dfqt_loading_end(&l);
    begin(&l, &cnn);
    for (size_t i = 0; i < sizeof cnns / sizeof *cnns; i++) fails(&l, &cnns[i], DFQ_E_INVALID, "");
    dfqi_arch a;
    const dfq_load_options good = {.stem = DFQ_STEM_STRIDE2, .image = 64};
    works(&l, "some.file", &good, &a);
    ck_assert(a.of.cnn.stem == DFQ_STEM_STRIDE2 && a.image.height == 64 && a.resize.height == 64);
    dfqt_loading_end(&l);
}
END_TEST

/* In words, whatever the locale; as few digits as make the same float. */
START_TEST(test_text)
{
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_PYTORCHCV, 4, 4, 1);
    char text[DFQI_PROP_TEXT];
    a.of.cnn.bottleneck = a.of.cnn.stride_first = 1;
    a.mean[0] = 0.485f;
    a.mean[1] = 1.0f / 3;
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_MEAN, text), "0.485,0.33333334,0.5");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_EPS, text), "1e-05");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_STEM, text), "stride1");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_BOTTLENECK, text), "1x1");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_ACTIVATION, text), "relu");
    a.of.cnn.small = 0;
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_STEM, text), "stride2+pool");
    a = dfqt_arch(16, 4, 48, 1, 3);
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_GRID, text), "4 x 4");
    ck_assert_str_eq(dfqi_prop_text(&a, DFQI_PROP_POOLING, text), "token");
    ck_assert(!dfqi_prop_applies(&a, DFQI_PROP_STEM));
}
END_TEST

TCase *dfqt_sources_case(void)
{
    TCase *c = tcase_create("sources");
    tcase_add_loop_test(c, test_vit_names, 0, sizeof nameds / sizeof nameds[0]);
    tcase_add_loop_test(c, test_resnet_names, 0, sizeof resnets / sizeof resnets[0]);
    tcase_add_test(c, test_mobilenet_names);
    tcase_add_test(c, test_keys_that_do_not_fit);
    tcase_add_test(c, test_order);
    tcase_add_test(c, test_grid);
    tcase_add_test(c, test_bad_options);
    tcase_add_test(c, test_text);
    return c;
}
