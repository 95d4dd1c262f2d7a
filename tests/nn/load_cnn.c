/* Loading convolutional networks: every dialect is recognised by its tensors alone and comes back
 * as it was; what is wrong with a file is named. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/cases.h"
#include "nn/load.h"
#include "nn/support.h"
#include "support/fail_alloc.h"

static void begin(loading *l, const dfqi_arch *a)
{
    dfqt_loading_begin(l, a);
    dfqt_fill(&l->source);
    dfqt_file(&l->source, &l->f);
}

/* As torch's DataParallel and torch.compile name the tensors of what they wrap. */
static void wrap(loading *l, const char *prefix)
{
    for (int64_t i = 0; i < l->f.st.n_entries; i++) {
        snprintf(l->names[i], sizeof l->names[i], "%s%s", prefix, l->f.entries[i].name);
        l->f.entries[i].name = l->names[i];
    }
}

static void begin_small(loading *l, dfqi_keys keys)
{
    dfqi_arch a = dfqt_resnet(keys, 4, 3, 2);
    begin(l, &a);
}

static dfq_status load(loading *l, const char *name, dfqi_arch *arch)
{
    dfqi_network net;
    const dfq_load_options o = {.struct_size = sizeof o, .arch = name};
    DFQI_TRY(dfqt_take(&l->f.st, "some.file", &o, arch, &net));
    ck_assert_int_eq(net.n_params, l->source.n_params);
    for (int32_t i = 0; i < net.n_params; i++) {
        ck_assert_str_eq(net.params[i].name, l->source.params[i].name);
        ck_assert_int_eq(net.params[i].fixed, l->source.params[i].fixed);
    }
    dfqi_network_fini(&net);
    return DFQ_OK;
}

static void refused(loading *l, dfq_status code, const char *part, const char *other)
{
    dfqi_arch a;
    ck_assert_int_eq(load(l, NULL, &a), code);
    const char *text = l->ctx->error;
    ck_assert_msg(strstr(text, "some.file") && strstr(text, part) && strstr(text, other) &&
                      !strchr(text, '\n'),
                  "expected %s and %s in: %s", part, other, text);
}

static dfqi_st_entry *entry(loading *l, const char *name)
{
    for (int64_t i = 0; i < l->f.st.n_entries; i++)
        if (strcmp(l->f.entries[i].name, name) == 0) return &l->f.entries[i];
    ck_abort_msg("no %s", name);
    return NULL;
}

static void add(loading *l, const char *name, dfq_tensor *t)
{
    l->f.entries[l->f.st.n_entries++] = (dfqi_st_entry){(char *)(uintptr_t)name, t};
}

/* -- what is right ----------------------------------------------------------------------------- */

/* A network, and what its tensors alone must tell. */
static const struct kind {
    dfqi_keys keys;
    int32_t mobile, module, small, bottleneck, units[DFQI_STAGES];
    const char *name;
    int64_t image;
    int32_t resize;
    float mean;
} kinds[] = {
    {DFQI_KEYS_AKAMASTER, 0, 0, 1, 0, {3, 3, 3}, "resnet20_cifar", 32, 32, 0.485f},
    {DFQI_KEYS_AKAMASTER, 0, 1, 1, 0, {3, 3, 3}, "resnet20_cifar", 32, 32, 0.485f},
    {DFQI_KEYS_PYTORCHCV, 0, 0, 1, 0, {3, 3, 3}, "resnet20_cifar", 32, 32, 0.49139968f},
    {DFQI_KEYS_PYTORCHCV, 0, 0, 0, 0, {2, 2, 2, 2}, "resnet18", 224, 256, 0.485f},
    {DFQI_KEYS_TORCHVISION, 0, 0, 0, 0, {3, 4, 6, 3}, "resnet34", 224, 256, 0.485f},
    {DFQI_KEYS_TORCHVISION, 0, 1, 0, 1, {3, 4, 6, 3}, "resnet50", 224, 256, 0.485f},
    {DFQI_KEYS_PYTORCHCV, 0, 0, 0, 1, {3, 4, 6, 3}, "resnet50", 224, 256, 0.485f},
    {DFQI_KEYS_PYTORCHCV, 1, 0, 0, 0, {0}, "mobilenetv2", 224, 256, 0.485f},
    {DFQI_KEYS_TORCHVISION, 1, 1, 0, 0, {0}, "mobilenetv2", 224, 256, 0.485f},
};

static dfqi_arch arch_of(const struct kind *k)
{
    dfqi_arch a = k->mobile ? dfqt_mobilenet(k->keys) : dfqt_resnet(k->keys, 4, 0, 0);
    a.of.cnn.small = k->small;
    a.of.cnn.bottleneck = k->bottleneck;
    memcpy(a.of.cnn.units, k->units, sizeof a.of.cnn.units);
    return a;
}

START_TEST(test_kinds)
{
    const struct kind *k = &kinds[_i];
    dfqi_arch want = arch_of(k), a;
    loading l;
    begin(&l, &want);
    if (k->module) wrap(&l, "module._orig_mod.");
    want.of.cnn.stride_first = k->bottleneck && k->keys == DFQI_KEYS_PYTORCHCV;
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert_str_eq(a.name, k->name);
    ck_assert_int_eq(a.family, want.family);
    ck_assert_mem_eq(&a.of.cnn, &want.of.cnn, sizeof a.of.cnn);
    ck_assert_int_eq(a.classes, want.classes);
    ck_assert_int_eq(a.image.height, k->image);
    ck_assert_int_eq(a.resize.height, k->resize);
    ck_assert(a.mean[0] == k->mean && a.eps == 1e-5f && a.channels == 3);
    dfqt_loading_end(&l);
}
END_TEST

/* ResNeXt, wide and D: widths and groups from shapes, averages from names. */
START_TEST(test_widths)
{
    static const struct {
        const char *name;
        int32_t inner, groups, deep[2], averaged, planes;
    } cases[] = {{"resnext50_4x2d", 8, 4, {0, 0}, 0, 0},
                 {"wide_resnet50_2", 8, 0, {0, 0}, 0, 0},
                 {"resnet50d", 0, 0, {3, 5}, 1, 0},
                 {"resnet50c", 0, 0, {3, 5}, 0, 2}};
    dfqi_arch a, b = arch_of(&kinds[5]);
    loading l;
    b.of.cnn.inner = cases[_i].inner;
    b.of.cnn.groups = cases[_i].groups;
    b.of.cnn.averaged = cases[_i].averaged;
    b.of.cnn.planes = cases[_i].planes;
    memcpy(b.of.cnn.deep, cases[_i].deep, sizeof b.of.cnn.deep);
    begin(&l, &b);
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert_str_eq(a.name, cases[_i].name);
    ck_assert_mem_eq(&a.of.cnn, &b.of.cnn, sizeof a.of.cnn);
    ck_assert_int_eq(load(&l, "resnetaa50", &a), DFQ_E_UNSUPPORTED);
    dfqt_loading_end(&l);
}
END_TEST

/* A network that has no family is named, with the cure. */
START_TEST(test_only_onnx)
{
    dfqi_arch b = dfqt_resnet(DFQI_KEYS_TORCHVISION, 4, 3, 2);
    loading l;
    begin(&l, &b);
    l.f.st.n_entries = 0;
    add(&l, "features.denseblock1.denselayer1.norm1.weight", l.source.params[0].tensor);
    refused(&l, DFQ_E_UNSUPPORTED, "those of a DenseNet", "give the .onnx file");
    dfqt_loading_end(&l);
}
END_TEST

/* akamaster's option B, ResNet-50 with the stride in the 3x3, CIFAR-100's statistics, counters */
START_TEST(test_variants)
{
    dfqi_arch a, b = dfqt_resnet(DFQI_KEYS_AKAMASTER, 4, 3, 2);
    b.of.cnn.padded = 0;
    loading l;
    begin(&l, &b);
    dfq_tensor *counter = NULL;
    ck_assert_int_eq(dfqi_tensor_new(l.ctx, DFQI_I64, 0, NULL, &counter), DFQ_OK);
    add(&l, "layer1.0.bn1.num_batches_tracked", counter);
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert_int_eq(a.of.cnn.padded, 0);
    dfqi_tensor_release(counter);
    dfqt_loading_end(&l);
    b = arch_of(&kinds[6]);
    begin(&l, &b);
    dfqt_file_meta(&l.f, "architecture", "resnet50b");
    ck_assert_int_eq(load(&l, NULL, &a), DFQ_OK);
    ck_assert_int_eq(a.of.cnn.stride_first, 0);
    dfqt_loading_end(&l);
    b = arch_of(&kinds[2]);
    b.classes = 100;
    begin(&l, &b);
    ck_assert_int_eq(load(&l, NULL, &a), DFQ_OK);
    ck_assert(a.mean[0] == 0.50705882f && a.std[2] == 0.27607843f);
    dfqt_loading_end(&l);
}
END_TEST

/* What dfqi_arch_meta writes is read back to the same architecture. */
START_TEST(test_metadata_round_trip)
{
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_TORCHVISION, 4, 4, 1), b;
    dfqi_st_meta meta[DFQI_ARCH_META];
    int64_t n;
    dfqi_arena arena;
    a.image = dfqi_square(40);
    a.resize = dfqi_square(46);
    a.mean[1] = 1.0f / 3;
    a.filter = DFQI_BICUBIC;
    a.of.cnn.stem = DFQ_STEM_STRIDE2;
    a.of.cnn.bottleneck = a.of.cnn.stride_first = 1;
    loading l;
    begin(&l, &a);
    dfqi_arena_init(&arena, l.ctx);
    ck_assert_int_eq(dfqi_arch_meta(&a, &arena, meta, &n), DFQ_OK);
    for (int64_t i = 0; i < n; i++) dfqt_file_meta(&l.f, meta[i].key, meta[i].value);
    ck_assert_msg(load(&l, NULL, &b) == DFQ_OK, "%s", l.ctx->error);
    for (int p = 0; p < DFQI_PROP_COUNT; p++)
        ck_assert_int_eq(b.source[p],
                         dfqi_prop_applies(&b, (dfqi_prop)p) ? DFQ_SOURCE_METADATA : 0);
    memset(b.source, 0, sizeof b.source);
    ck_assert_mem_eq(&a, &b, sizeof a);
    dfqi_arena_fini(&arena);
    dfqt_loading_end(&l);
}
END_TEST

/* -- what is wrong ----------------------------------------------------------------------------- */

/* Without any one of its tensors a network is not loaded, and the error names it. Those that tell
 * the architecture make another network of it: then something else does not fit. */
START_TEST(test_missing)
{
    static const char *const telling[] = {".shortcut.0.weight", "linear.weight",
                                          "init_block.conv.weight"};
    loading l;
    begin_small(&l, (dfqi_keys)_i);
    for (int32_t i = 0; i < l.source.n_params; i++) {
        const char *name = l.source.params[i].name;
        dfqt_file(&l.source, &l.f);
        l.f.entries[i] = l.f.entries[--l.f.st.n_entries];
        int tells = 0;
        for (size_t k = 0; k < sizeof telling / sizeof telling[0]; k++)
            tells |= strstr(name, telling[k]) != NULL;
        dfqi_arch a;
        dfq_status status = load(&l, NULL, &a);
        ck_assert_msg(status == DFQ_E_CORRUPT || status == DFQ_E_SHAPE ||
                          (tells && status == DFQ_E_UNSUPPORTED),
                      "%s: %s", name, l.ctx->error);
        ck_assert_msg(tells || strstr(l.ctx->error, name), "%s is not in: %s", name, l.ctx->error);
    }
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_unknown)
{
    loading l;
    begin_small(&l, DFQI_KEYS_TORCHVISION);
    dfq_tensor *t = l.source.params[0].tensor;
    add(&l, "layer1.0.se.fc.weight", t);
    refused(&l, DFQ_E_CORRUPT, "layer1.0.se.fc.weight", "2 + 2 + 2 + 0 units");
    l.f.st.n_entries--;
    add(&l, "layer1.0.conv1.bias", t);
    refused(&l, DFQ_E_CORRUPT, "layer1.0.conv1.bias", "does not belong");
    l.f.st.n_entries--;
    add(&l, "layer5.0.conv1.weight", t);
    refused(&l, DFQ_E_CORRUPT, "layer5.0.conv1.weight", "does not belong");
    dfqt_loading_end(&l);
}
END_TEST

/* The same key with and without "module." */
START_TEST(test_doubled)
{
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_AKAMASTER, 4, 3, 2);
    loading l;
    begin(&l, &a);
    wrap(&l, "module.");
    add(&l, "bn1.weight", l.source.params[1].tensor);
    refused(&l, DFQ_E_CORRUPT, "tensor bn1.weight is bn1.weight, which another tensor is already",
            "two networks");
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_no_batchnorm)
{
    loading l;
    begin_small(&l, (dfqi_keys)_i);
    int64_t n = 0;
    for (int64_t i = 0; i < l.f.st.n_entries; i++)
        if (l.f.entries[i].tensor->rank > 1) l.f.entries[n++] = l.f.entries[i];
    l.f.st.n_entries = n;
    refused(&l, DFQ_E_UNSUPPORTED, "BatchNorm", "before BatchNorm was folded");
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_variance)
{
    static const float bad[] = {-0.25f, NAN, INFINITY};
    static const char *const text[] = {"holds -0.25 at", "nan at", "holds inf at"};
    loading l;
    begin_small(&l, DFQI_KEYS_AKAMASTER);
    dfq_tensor *variance = dfqi_network_find(&l.source, "layer2.1.bn2.running_var");
    float *v = dfqi_tensor_f32(variance);
    for (int i = 0; i < 3; i++) {
        v[5] = bad[i];
        refused(&l, DFQ_E_NUMERIC, "layer2.1.bn2.running_var", text[i]);
        refused(&l, DFQ_E_NUMERIC, "element 5", "must be finite and not below 0");
    }
    v[5] = 0.0f; /* dead channels are fine */
    dfqi_tensor_f32(dfqi_network_find(&l.source, "layer2.1.bn2.running_mean"))[5] = -1;
    dfqi_arch a;
    ck_assert_int_eq(load(&l, NULL, &a), DFQ_OK);
    memset(v, 0, (size_t)dfqi_tensor_count(variance) * sizeof *v);
    refused(&l, DFQ_E_NUMERIC, "layer2.1.bn2.running_var", "holds 0 everywhere");
    dfqt_loading_end(&l);
}
END_TEST

typedef struct wrong {
    const char *name;
    int32_t rank;
    int64_t dims[4];
    const char *part;
} wrong;

static const wrong wrongs[] = {
    {"linear.bias", 1, {9}, "[9], must be [10]"}, /* classes do not match */
    {"linear.weight", 2, {11, 16}, "linear.bias is [10], must be [11]"},
    {"linear.weight", 2, {10, 15}, "[10,15], must be [10,16]"},
    {"linear.weight", 2, {0, 16}, "classes"},
    {"linear.weight", 1, {160}, "rank 1"},
    {"conv1.weight", 4, {4, 1, 3, 3}, "[4,1,3,3]"},
    {"conv1.weight", 4, {4, 3, 5, 5}, "[4,3,5,5]"},
    {"conv1.weight", 4, {0, 3, 3, 3}, "[0,3,3,3]"},
    {"conv1.weight", 4, {INT64_C(1) << 40, 3, 3, 0}, "conv1.weight"},
    {"conv1.weight", 2, {4, 27}, "rank 2"},
    {"layer2.0.conv1.weight", 4, {8, 8, 3, 3}, "must be [8,4,3,3]"},
    {"layer2.0.bn1.running_var", 1, {4}, "[4], must be [8]"},
};

START_TEST(test_wrong_tensor)
{
    const wrong *w = &wrongs[_i];
    loading l;
    begin_small(&l, DFQI_KEYS_AKAMASTER);
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfqi_tensor_new(l.ctx, DFQI_F32, w->rank, w->dims, &t), DFQ_OK);
    entry(&l, w->name)->tensor = t;
    refused(&l, DFQ_E_SHAPE, w->part, "");
    dfqi_tensor_release(t);
    dfqt_loading_end(&l);
}
END_TEST

/* A name of one family on a file of another, and files of none. */
START_TEST(test_wrong_family)
{
    loading l;
    begin_small(&l, DFQI_KEYS_AKAMASTER);
    dfqi_arch a;
    ck_assert_int_eq(load(&l, "vit_tiny_patch16_224", &a), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(l.ctx->error, "patch_embed.proj.weight"));
    ck_assert_int_eq(load(&l, "mobilenetv2", &a), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(l.ctx->error, "classifier.1.weight"));
    dfqt_file_meta(&l.f, "image", "7");
    refused(&l, DFQ_E_CORRUPT, "image", "from 8 to 1024");
    l.f.st.n_meta = 0;
    l.f.entries[0] = l.f.entries[5]; /* layer1.0.conv1.weight instead of conv1.weight */
    l.f.st.n_entries = 1;
    l.f.entries[0].name = (char *)(uintptr_t) "encoder.weight";
    refused(&l, DFQ_E_UNSUPPORTED, "no known architecture", "conv1.weight");
    dfqt_loading_end(&l);
}
END_TEST

static dfq_status take(dfq_context *ctx, void *arg)
{
    loading *l = arg;
    dfqi_network net;
    dfqi_arch a;
    l->f.st.ctx = ctx;
    DFQI_TRY(dfqt_take(&l->f.st, "f", NULL, &a, &net));
    dfqi_network_fini(&net);
    return DFQ_OK;
}

START_TEST(test_refused_allocations)
{
    loading l;
    begin_small(&l, DFQI_KEYS_PYTORCHCV);
    fail_alloc_sweep(take, &l, 1);
    dfqt_loading_end(&l);
}
END_TEST

TCase *dfqt_load_cnn_case(void)
{
    TCase *c = tcase_create("load_cnn");
    tcase_add_loop_test(c, test_kinds, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_loop_test(c, test_widths, 0, 4);
    tcase_add_test(c, test_only_onnx);
    tcase_add_test(c, test_variants);
    tcase_add_test(c, test_metadata_round_trip);
    tcase_add_loop_test(c, test_missing, 0, 3);
    tcase_add_test(c, test_unknown);
    tcase_add_test(c, test_doubled);
    tcase_add_loop_test(c, test_no_batchnorm, 0, 3);
    tcase_add_test(c, test_variance);
    tcase_add_loop_test(c, test_wrong_tensor, 0, sizeof wrongs / sizeof wrongs[0]);
    tcase_add_test(c, test_wrong_family);
    tcase_add_test(c, test_refused_allocations);
    return c;
}
