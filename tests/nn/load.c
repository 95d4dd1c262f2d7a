/* Loading: what is right is taken with the architecture it tells, what is wrong is named. */
#include "nn/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/cases.h"
#include "nn/support.h"
#include "support/comma.h"
#include "support/fail_alloc.h"

static loading begin(void)
{
    loading l;
    dfqi_arch a = dfqt_arch(16, 4, 48, 2, 3);
    dfqt_loading_begin(&l, &a);
    return l;
}

/* Loads l->f, made from the source by the caller. */
static dfq_status load(loading *l, const char *name, dfqi_arch *arch)
{
    dfqi_network net;
    const dfq_load_options o = {.struct_size = sizeof o, .arch = name};
    DFQI_TRY(dfqt_take(&l->f.st, "some.file", &o, arch, &net));
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

START_TEST(test_good)
{
    loading l = begin();
    dfqi_arch a;
    dfqt_file(&l.source, &l.f);
    dfqt_file_meta(&l.f, "heads", "4");
    dfqt_file_meta(&l.f, "eps", "1e-5");
    dfqt_file_meta(&l.f, "mean", "0.1,0.2,0.3");
    dfqt_file_meta(&l.f, "resize", "248");
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert(a.image.height == 16 && a.of.vit.patch == 4 && a.of.vit.width == 48 &&
              a.of.vit.depth == 2 && a.of.vit.heads == 4 && a.of.vit.hidden == 96 &&
              a.classes == 10 && a.resize.height == 248);
    ck_assert(a.eps == 1e-5f && a.mean[1] == 0.2f && a.std[2] == 0.5f);
    /* DeiT brings ImageNet's statistics; the caller's name wins */
    dfqt_file(&l.source, &l.f);
    dfqt_file_meta(&l.f, "heads", "3");
    dfqt_file_meta(&l.f, "architecture", "vit_odd");
    ck_assert_int_eq(load(&l, "deit_mini", &a), DFQ_OK);
    ck_assert_str_eq(a.name, "deit_mini");
    ck_assert(a.mean[0] == 0.485f && a.std[2] == 0.225f && a.resize.height == 16);
    dfqt_loading_end(&l);
}
END_TEST

/* A name is what hosts print. */
START_TEST(test_name_steers_no_terminal)
{
    loading l = begin();
    dfqi_arch a;
    dfqt_file(&l.source, &l.f);
    dfqt_file_meta(&l.f, "heads", "3");
    dfqt_file_meta(&l.f, "architecture", "vit\n\x1B[31m \xC2\x9B\xFF");
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert_str_eq(a.name, "vit??[31m ??");
    dfqt_loading_end(&l);
}
END_TEST

/* What dfqi_arch_meta writes is read back to the same architecture, in any locale. */
START_TEST(test_metadata_round_trip)
{
    for (int k = 0; k < 2; k++) {
        if (k > 0) dfqt_use_commas();
        loading l = begin();
        dfqi_arena arena;
        dfqi_arch a;
        int64_t n;
        dfqi_st_meta meta[DFQI_ARCH_META];
        l.source.arch.eps = 1.2345678e-5f;
        l.source.arch.mean[1] = 1.0f / 3;
        l.source.arch.resize = dfqi_square(256);
        l.source.arch.filter = k == 1 ? DFQI_BILINEAR : DFQI_BICUBIC;
        dfqi_arena_init(&arena, l.ctx);
        ck_assert_int_eq(dfqi_arch_meta(&l.source.arch, &arena, meta, &n), DFQ_OK);
        dfqt_file(&l.source, &l.f);
        for (int64_t i = 0; i < n; i++) dfqt_file_meta(&l.f, meta[i].key, meta[i].value);
        memset(&a, 0x55, sizeof a);
        ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
        ck_assert_str_eq(a.name, l.source.arch.name);
        ck_assert(a.eps == l.source.arch.eps && a.mean[1] == l.source.arch.mean[1]);
        ck_assert(a.of.vit.heads == 3 && a.resize.height == 256 && a.image.height == 16);
        ck_assert(a.filter == l.source.arch.filter);
        for (int p = 0; p < DFQI_PROP_COUNT; p++) /* nothing is left to guess */
            ck_assert_msg(p == DFQI_PROP_PATCH || !dfqi_prop_applies(&a, (dfqi_prop)p) ||
                              a.source[p] == DFQ_SOURCE_METADATA,
                          "%s", dfqi_prop_name((dfqi_prop)p));
        dfqi_arena_fini(&arena);
        dfqt_loading_end(&l);
    }
}
END_TEST

START_TEST(test_missing)
{
    loading l = begin();
    for (int32_t i = 0; i < l.source.n_params; i++) {
        dfqt_file(&l.source, &l.f);
        dfqt_file_meta(&l.f, "heads", "3");
        l.f.entries[i] = l.f.entries[--l.f.st.n_entries];
        const char *name = l.source.params[i].name;
        /* without its first norm, block 1 is one too many */
        if (strcmp(name, "blocks.1.norm1.weight") == 0) name = "blocks.1.";
        if (strcmp(name, "cls_token") ==
            0) /* there are networks without one, with other positions */
            refused(&l, DFQ_E_SHAPE, "positions 17 with 0 tokens", "tensors");
        else
            refused(&l, DFQ_E_CORRUPT, name, "tensor");
    }
    dfqt_loading_end(&l);
}
END_TEST

static dfq_tensor *tensor(dfq_context *ctx, dfqi_dtype type, int32_t rank, const int64_t *dims)
{
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfqi_tensor_new(ctx, type, rank, dims, &t), DFQ_OK);
    return t;
}

static dfqi_st_entry *entry(loading *l, const char *name)
{
    dfqt_file(&l->source, &l->f);
    dfqt_file_meta(&l->f, "heads", "3");
    for (int32_t i = 0; i < l->source.n_params; i++)
        if (strcmp(l->f.entries[i].name, name) == 0) return &l->f.entries[i];
    ck_abort_msg("no %s", name);
    return NULL;
}

typedef struct wrong {
    const char *name;
    dfqi_dtype type;
    int32_t rank;
    int64_t dims[4];
    dfq_status code;
    const char *part;
} wrong;

static const wrong wrongs[] = {
    {"blocks.1.attn.qkv.weight", DFQI_F32, 2, {144, 47}, DFQ_E_SHAPE, "[144,47]"},
    {"blocks.1.attn.qkv.weight", DFQI_F32, 1, {144 * 48}, DFQ_E_SHAPE, "[144,48]"},
    {"blocks.1.attn.qkv.weight", DFQI_I32, 2, {144, 48}, DFQ_E_UNSUPPORTED, "I32"},
    {"pos_embed", DFQI_F32, 3, {1, 15, 48}, DFQ_E_SHAPE, "positions 15"},
    {"pos_embed", DFQI_F32, 3, {1, 3, 48}, DFQ_E_SHAPE, "positions 3"},
    {"pos_embed", DFQI_F32, 3, {0, INT64_C(1) << 40, 1}, DFQ_E_SHAPE, "positions"},
    {"pos_embed", DFQI_F32, 2, {17, 48}, DFQ_E_SHAPE, "rank 2"},
    {"patch_embed.proj.weight", DFQI_F32, 4, {48, 1, 4, 4}, DFQ_E_SHAPE, "channels 1"},
    {"patch_embed.proj.weight", DFQI_F32, 4, {48, 3, 4, 5}, DFQ_E_SHAPE, "[48,3,4,5]"},
    {"patch_embed.proj.weight", DFQI_F32, 4, {INT64_C(1) << 40, 3, 0, 1}, DFQ_E_SHAPE, "patch 0"},
    {"patch_embed.proj.weight", DFQI_F32, 4, {49, 3, 4, 4}, DFQ_E_CORRUPT, "heads"},
    {"head.weight", DFQI_F32, 2, {0, 48}, DFQ_E_SHAPE, "vision transformer"},
    {"blocks.0.mlp.fc1.weight", DFQI_F32, 2, {95, 48}, DFQ_E_SHAPE, "blocks.0.mlp"},
    {"blocks.0.norm1.weight", DFQI_F32, 2, {1, 48}, DFQ_E_SHAPE, "rank 2"},
};

START_TEST(test_wrong_tensor)
{
    const wrong *w = &wrongs[_i];
    loading l = begin();
    dfq_tensor *t = tensor(l.ctx, w->type, w->rank, w->dims);
    entry(&l, w->name)->tensor = t;
    refused(&l, w->code, w->part, "");
    dfqi_tensor_release(t);
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_not_a_number)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    loading l = begin();
    float *b = dfqi_tensor_f32(dfqi_network_find(&l.source, "blocks.1.mlp.fc1.bias"));
    entry(&l, "norm.bias");
    for (int i = 0; i < 3; i++) {
        b[17] = bad[i];
        refused(&l, DFQ_E_NUMERIC, "blocks.1.mlp.fc1.bias", "element 17");
    }
    dfqt_loading_end(&l);
}
END_TEST

START_TEST(test_left_over)
{
    loading l = begin();
    dfqi_arch a;
    int64_t one = 1;
    dfq_tensor *t = tensor(l.ctx, DFQI_F32, 1, &one);
    static char extra[] = "blocks.0.ls1.gamma", old[] = "pre_logits.fc.bias";
    entry(&l, "norm.bias");
    l.f.entries[l.f.st.n_entries++] = (dfqi_st_entry){extra, t};
    refused(&l, DFQ_E_CORRUPT, extra, "2-block");
    l.f.entries[l.f.st.n_entries - 1].name = old; /* known to be harmless */
    ck_assert_int_eq(load(&l, NULL, &a), DFQ_OK);
    dfqi_tensor_release(t);
    dfqt_loading_end(&l);
}
END_TEST

/* F16 weights are taken as they are. */
START_TEST(test_half)
{
    loading l = begin();
    dfqi_arch a;
    dfqi_network net;
    int64_t dims[1] = {48};
    dfq_tensor *t = tensor(l.ctx, DFQI_F16, 1, dims);
    ((uint16_t *)t->data)[3] = dfqi_float_to_half(0.25f);
    entry(&l, "norm.bias")->tensor = t;
    ck_assert_int_eq(dfqi_arch_find(&l.f.st, "f", NULL, NULL, &a), DFQ_OK);
    ck_assert_int_eq(dfqi_network_take(&l.f.st, "f", &a, &net), DFQ_OK);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&net, "norm.bias"))[3] == 0.25f);
    dfqi_network_fini(&net);
    dfqi_tensor_release(t);
    dfqt_loading_end(&l);
}
END_TEST

static const struct nonsense {
    const char *key, *value;
    dfq_status code;
} nonsenses[] = {
    {"heads", "5", DFQ_E_CORRUPT},
    {"heads", "0", DFQ_E_CORRUPT},
    {"heads", "-3", DFQ_E_CORRUPT},
    {"heads", "2.5", DFQ_E_CORRUPT},
    {"heads", "1e9", DFQ_E_CORRUPT},
    {"heads", "", DFQ_E_CORRUPT},
    {"heads", "three", DFQ_E_CORRUPT},
    {"heads", "3\n", DFQ_E_CORRUPT},
    {"eps", "-1", DFQ_E_CORRUPT},
    {"eps", "nan", DFQ_E_CORRUPT},
    {"mean", "0.5", DFQ_E_CORRUPT},
    {"mean", "0.5,0.5,0.5,0.5", DFQ_E_CORRUPT},
    {"mean", "0.5,0.5,inf", DFQ_E_CORRUPT},
    {"std", "0.5,0,0.5", DFQ_E_CORRUPT},
    {"std", "1e400,1,1", DFQ_E_CORRUPT},
    {"resize", "-1", DFQ_E_CORRUPT},
    {"resize", "100000", DFQ_E_CORRUPT},
    {"crop_pct", "0", DFQ_E_CORRUPT},
    {"crop_pct", "1.01", DFQ_E_CORRUPT},
    {"image", "24x6", DFQ_E_SHAPE},
    {"image", "8x", DFQ_E_CORRUPT},
    {"image", "8x32x1", DFQ_E_CORRUPT},
    {"image", "x32", DFQ_E_CORRUPT},
    {"image", "36", DFQ_E_SHAPE},
    {"interpolation", "lanczos", DFQ_E_UNSUPPORTED},
    {"activation", "mish", DFQ_E_UNSUPPORTED},
    {"pooling", "max", DFQ_E_UNSUPPORTED},
    {"pooling", "token+distilled", DFQ_E_CORRUPT},
    {"architecture", "alexnet", DFQ_E_UNSUPPORTED},
    {"architecture", "", DFQ_E_UNSUPPORTED},
};

START_TEST(test_nonsense)
{
    loading l = begin();
    dfqt_file(&l.source, &l.f);
    if (strcmp(nonsenses[_i].key, "heads") != 0) dfqt_file_meta(&l.f, "heads", "3");
    dfqt_file_meta(&l.f, nonsenses[_i].key, nonsenses[_i].value);
    refused(&l, nonsenses[_i].code, nonsenses[_i].key, "");
    dfqt_loading_end(&l);
}
END_TEST

/* 48 channels are no multiple of timm's 64: the number of heads must be told. */
START_TEST(test_heads_unknown)
{
    loading l = begin();
    dfqt_file(&l.source, &l.f);
    refused(&l, DFQ_E_CORRUPT, "heads", "48");
    dfqt_loading_end(&l);
}
END_TEST

typedef struct donor {
    dfqi_network *net;
} donor;

static dfq_status take(dfq_context *ctx, void *arg)
{
    const donor *d = arg;
    file f;
    dfqi_network net;
    dfqi_arch a;
    dfqt_file(d->net, &f);
    f.st.ctx = ctx;
    dfqt_file_meta(&f, "heads", "3");
    DFQI_TRY(dfqt_take(&f.st, "f", NULL, &a, &net));
    dfqi_network_fini(&net);
    return DFQ_OK;
}

START_TEST(test_refused_allocations)
{
    loading l = begin();
    donor d = {&l.source};
    fail_alloc_sweep(take, &d, 1);
    dfqt_loading_end(&l);
}
END_TEST

TCase *dfqt_load_case(void)
{
    TCase *c = tcase_create("load");
    tcase_add_test(c, test_good);
    tcase_add_test(c, test_name_steers_no_terminal);
    tcase_add_test(c, test_metadata_round_trip);
    tcase_add_test(c, test_missing);
    tcase_add_loop_test(c, test_wrong_tensor, 0, sizeof wrongs / sizeof wrongs[0]);
    tcase_add_test(c, test_not_a_number);
    tcase_add_test(c, test_left_over);
    tcase_add_test(c, test_half);
    tcase_add_loop_test(c, test_nonsense, 0, sizeof nonsenses / sizeof nonsenses[0]);
    tcase_add_test(c, test_heads_unknown);
    tcase_add_test(c, test_refused_allocations);
    return c;
}
