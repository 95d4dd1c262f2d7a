/* Names that other libraries give: their networks are read under ours and compute what theirs do;
 * files that mean two things are refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/load.h"
#include "nn/support.h"

#include "support/path.h"

enum { WIDTH = 24, CLASSES = 5, IMAGES = 3, IMAGE = 16 };

/* A golden file: the tensors of a network, images and its logits. */
typedef struct scene {
    dfq_context *ctx;
    dfqi_safetensors all, st; /* st: the network's, borrowed from `all`, and room for more */
    dfqi_st_entry entries[64];
    char names[64][112];
} scene;

static const char *const files[] = {"naming_transformers.safetensors",
                                    "naming_torchvision.safetensors"};
static const char *const libraries[] = {"transformers", "torchvision"};

static void begin(scene *s, int which)
{
    char path[512];
    memset(s, 0, sizeof *s);
    s->ctx = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", files[which], path, sizeof path));
    ck_assert_msg(dfqi_st_read(s->ctx, path, &s->all) == DFQ_OK, "%s", s->ctx->error);
    s->st = (dfqi_safetensors){.ctx = s->ctx, .entries = s->entries};
    for (int64_t i = 0; i < s->all.n_entries; i++) {
        const dfqi_st_entry *e = &s->all.entries[i];
        if (!strcmp(e->name, "x") || !strcmp(e->name, "logits")) continue;
        char *name = s->names[s->st.n_entries];
        snprintf(name, sizeof s->names[0], "%s", e->name);
        s->entries[s->st.n_entries++] = (dfqi_st_entry){name, e->tensor};
    }
}

static void end(scene *s)
{
    dfqi_st_fini(&s->all);
    dfq_context_release(s->ctx);
}

static dfqi_st_entry *entry(scene *s, const char *end)
{
    for (int64_t i = 0; i < s->st.n_entries; i++) {
        size_t n = strlen(s->entries[i].name), m = strlen(end);
        if (n >= m && strcmp(s->entries[i].name + n - m, end) == 0) return &s->entries[i];
    }
    ck_abort_msg("no %s", end);
    return NULL;
}

static void rename_to(scene *s, const char *old, const char *name)
{
    snprintf(entry(s, old)->name, sizeof s->names[0], "%s", name);
}

static dfq_status load(scene *s, dfqi_arch *a, dfqi_network *net)
{
    const dfq_load_options o = {.struct_size = sizeof o, .heads = 2};
    return dfqt_take(&s->st, "some.file", &o, a, net);
}

static void refused(scene *s, dfq_status code, const char *part)
{
    dfqi_arch a;
    dfqi_network net;
    ck_assert_int_eq(load(s, &a, &net), code);
    ck_assert_msg(strstr(s->ctx->error, part) && strstr(s->ctx->error, "some.file"), "%s",
                  s->ctx->error);
}

/* The largest difference from the other library's logits, relative to the largest of them. */
static double difference(const scene *s, const dfqi_network *net)
{
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id ids[64];
    const float *want = dfqi_tensor_f32(dfqi_st_find(&s->all, "logits"));
    double worst = 0, top = 0;
    ck_assert_int_eq(dfqi_graph_new(s->ctx, IMAGES, &g), DFQ_OK);
    dfqi_id x = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, IMAGE, IMAGE});
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_graph_keep(g, taps.logits);
    ck_assert_msg(dfqi_exec_new(g, &e) == DFQ_OK, "%s", s->ctx->error);
    dfqi_exec_bind(e, x, dfqi_tensor_f32(dfqi_st_find(&s->all, "x")));
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    const float *have = dfqi_exec_data(e, taps.logits);
    for (int i = 0; i < IMAGES * CLASSES; i++) {
        worst = fmax(worst, fabs((double)have[i] - (double)want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    return worst / top;
}

START_TEST(test_same_logits)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    begin(&s, _i);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    double worst = difference(&s, &net);
    ck_assert_msg(worst < 5e-6, "logits differ by %g", worst);
    ck_assert_ptr_nonnull(dfqi_network_find(&net, "blocks.1.attn.qkv.weight"));
    ck_assert(a.eps == (_i ? 1e-6f : 1e-12f) && a.filter == DFQI_BILINEAR);
    ck_assert(a.mean[0] == (_i ? 0.485f : 0.5f) && a.resize.height == (_i ? 18 : IMAGE));
    ck_assert_int_eq(a.source[DFQI_PROP_EPS], DFQ_SOURCE_ASSUMED);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* Prefixes of wrappers, several at once and not everywhere; what no network needs. */
START_TEST(test_prefixes)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    begin(&s, _i);
    for (int64_t i = 0; i < s.st.n_entries; i++) {
        char old[112];
        snprintf(old, sizeof old, "%s", s.names[i]);
        snprintf(s.names[i], sizeof s.names[i], "%s%.90s", i % 3 ? "module._orig_mod." : "model.",
                 old);
    }
    if (_i == 0) s.entries[s.st.n_entries++] = (dfqi_st_entry){s.names[60], s.entries[0].tensor};
    snprintf(s.names[60], sizeof s.names[60], "model.vit.pooler.dense.bias");
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert(difference(&s, &net) < 5e-6);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

START_TEST(test_two_of_one_name)
{
    scene s;
    begin(&s, 0);
    dfq_tensor *t = entry(&s, "classifier.bias")->tensor;
    s.entries[s.st.n_entries++] = (dfqi_st_entry){s.names[60], t};
    snprintf(s.names[60], sizeof s.names[60], "model.classifier.bias");
    refused(&s, DFQ_E_CORRUPT, "tensor model.classifier.bias is head.bias, which another");
    end(&s);
}
END_TEST

START_TEST(test_parts)
{
    scene s;
    begin(&s, 0);
    rename_to(&s, "layer.1.attention.attention.key.weight", "vit.encoder.layer.1.other");
    refused(&s, DFQ_E_CORRUPT, "the keys of blocks.1.attn.qkv.weight are missing");
    end(&s);
    begin(&s, 0);
    dfq_tensor *wide = entry(&s, "intermediate.dense.weight")->tensor;
    entry(&s, "layer.0.attention.attention.value.weight")->tensor = wide;
    refused(&s, DFQ_E_SHAPE, "blocks.0.attn.qkv.weight have different shapes");
    end(&s);
    begin(&s, 0);
    rename_to(&s, "layer.1.output.dense.bias", "vit.encoder.layer.1.gate");
    refused(&s, DFQ_E_CORRUPT, "tensor blocks.1.mlp.fc2.bias is missing");
    end(&s);
}
END_TEST

START_TEST(test_refused_allocations)
{
    const dfq_load_options o = {.struct_size = sizeof o, .heads = 2};
    scene s;
    begin(&s, 0);
    dfqt_sweep_take(&s.st, &o);
    end(&s);
}
END_TEST

START_TEST(test_words)
{
    scene s;
    dfqi_safetensors view;
    dfqi_arena names;
    const dfqi_naming *naming;
    dfqi_arch cnn = {.family = DFQI_FAMILY_RESNET, .of.cnn.keys = DFQI_KEYS_PYTORCHCV};
    begin(&s, _i);
    dfqi_arena_init(&names, s.ctx);
    ck_assert_int_eq(dfqi_naming_apply(&s.st, "f", &names, &view, &naming), DFQ_OK);
    ck_assert_str_eq(dfqi_naming_word(naming, &cnn), libraries[_i]);
    ck_assert_str_eq(dfqi_naming_word(NULL, &cnn), "pytorchcv");
    cnn.family = DFQI_FAMILY_VIT;
    ck_assert_str_eq(dfqi_naming_word(NULL, &cnn), "");
    dfqi_naming_view_fini(&view);
    dfqi_arena_fini(&names);
    end(&s);
}
END_TEST

TCase *dfqt_naming_case(void)
{
    TCase *c = tcase_create("naming");
    tcase_add_loop_test(c, test_same_logits, 0, 2);
    tcase_add_loop_test(c, test_prefixes, 0, 2);
    tcase_add_test(c, test_two_of_one_name);
    tcase_add_test(c, test_parts);
    tcase_add_test(c, test_refused_allocations);
    tcase_add_loop_test(c, test_words, 0, 2);
    return c;
}
