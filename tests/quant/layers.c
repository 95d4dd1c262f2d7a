/* Layers with widths of their own: names with stars, the text of files, what is left when layers
 * stay float, and files that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quant/cases.h"
#include "quant/evaluate.h"
#include "quant/layers.h"
#include "quant/scheme_priv.h"
#include "support/fail_alloc.h"

START_TEST(test_names)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {{"head", "head", true},
                {"head", "heads", false},
                {"head", "hea", false},
                {"*", "anything", true},
                {"*", "", true},
                {"", "", true},
                {"", "x", false},
                {"blocks.*.fc1", "blocks.0.mlp.fc1", true},
                {"blocks.*.fc1", "blocks.0.mlp.fc2", false},
                {"*.qk*", "blocks.0.attn.qkv", true},
                {"*.qk", "blocks.0.attn.qkv", false},
                {"a*b*c", "abbbc", true},
                {"a*b*c", "abbb", false},
                {"*ab", "aaab", true},
                {"a**b", "ab", true},
                {"*a*", "bbb", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(dfqi_name_matches(rows[i].pattern, rows[i].name) == rows[i].matches, "%s %s",
                      rows[i].pattern, rows[i].name);
}
END_TEST

/* A calibrated student with this text, or the status why there is none. */
static dfq_status student(dfq_context *ctx, dfqi_mode mode, const char *text, dfqi_model **out)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfqi_model *t = NULL;
    dfqi_scheme scheme = {0};
    dfqi_network net = {0};
    dfq_status status;
    dfqt_images(x);
    DFQI_GOTO(dfqt_teacher(ctx, &t), out);
    DFQI_GOTO(dfqi_scheme_new(&t->net, mode, (dfqi_widths){4, 5, 0}, &scheme), out);
    DFQI_GOTO(dfqi_scheme_configure_text(&scheme, text), out);
    DFQI_GOTO(dfqi_network_clone(&t->net, &net), out);
    DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &t->net, &net, x, DFQT_IMAGES), out);
    status = dfqi_model_new(&net, &scheme, out);
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&net);
    dfqi_model_release(t);
    return status;
}

static int32_t bits_of(const dfqi_model *m, const char *name)
{
    const dfqi_site *site = dfqi_scheme_find(&m->scheme, name);
    return site ? site->bits : 0;
}

/* In both modes: widths, what is float, inputs of weights that have moved; the file has them
 * all. */
START_TEST(test_scheme)
{
    static const char text[] = "blocks.*.mlp.fc1=w8a7,blocks.0.attn.qkv=float,blocks.1.attn.av=a3,"
                               "head=w6,patch_embed.proj=float,blocks.1.mlp.fc1=w2";
    char path[] = "/tmp/dfq-layers-XXXXXX";
    static float want[DFQT_IMAGES * DFQT_CLASSES], have[DFQT_IMAGES * DFQT_CLASSES];
    int fd = mkstemp(path);
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m, *r;
    close(fd);
    ck_assert_msg(student(ctx, (dfqi_mode)_i, text, &m) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_save(m, path, 0), DFQ_OK);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    for (int k = 0; k < 2; k++) {
        const dfqi_model *at = k ? r : m;
        ck_assert_str_eq(at->scheme.layers, text);
        ck_assert_int_eq(bits_of(at, "blocks.0.mlp.fc1.weight"), 8);
        ck_assert_int_eq(bits_of(at, "blocks.0.mlp.fc1.input"), 7);
        ck_assert_int_eq(bits_of(at, "blocks.1.mlp.fc1.weight"), 2);
        ck_assert_int_eq(bits_of(at, "blocks.1.mlp.fc1.input"), 7);
        ck_assert_int_eq(bits_of(at, "blocks.0.attn.qkv.weight"), 0);
        ck_assert_int_eq(bits_of(at, "blocks.0.attn.qkv.input"), 0);
        ck_assert_int_eq(bits_of(at, "blocks.1.attn.qkv.weight"), 4);
        ck_assert_int_eq(bits_of(at, "blocks.1.attn.av.a"), 3);
        ck_assert_int_eq(bits_of(at, "head.weight"), 6);
        ck_assert_int_eq(bits_of(at, "head.input"), 5);
        ck_assert_int_eq(bits_of(at, "patch_embed.proj.weight"), 0);
        for (int32_t i = 0; i < at->scheme.n_sites; i++) {
            const dfqi_site *site = &at->scheme.sites[i];
            ck_assert_int_le((int)(site->qmax - site->qmin) + 1, 1 << site->bits);
            if (site->input < 0) continue;
            size_t stem = strlen(site->name) - strlen("weight");
            ck_assert_msg(strncmp(at->scheme.sites[site->input].name, site->name, stem) == 0,
                          "%s reads %s", site->name, at->scheme.sites[site->input].name);
        }
    }
    dfqt_logits(m, want);
    dfqt_logits(r, have);
    ck_assert_mem_eq(want, have, sizeof want);
    /* what is float is so in the file, bit by bit */
    ck_assert_mem_eq(dfqi_network_find(&m->net, "blocks.0.attn.qkv.weight")->data,
                     dfqi_network_find(&r->net, "blocks.0.attn.qkv.weight")->data,
                     72 * 24 * sizeof(float));
    remove(path);
    dfqi_model_release(m);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* With nothing but a width as the others have, the network is the same. */
START_TEST(test_no_change)
{
    static float want[DFQT_IMAGES * DFQT_CLASSES], have[DFQT_IMAGES * DFQT_CLASSES];
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *a, *b, *t;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 5, &a), DFQ_OK);
    ck_assert_int_eq(student(ctx, (dfqi_mode)_i, "*=w4a5", &b), DFQ_OK);
    dfqt_logits(a, want);
    dfqt_logits(b, have);
    ck_assert_mem_eq(want, have, sizeof want);
    dfqi_model_release(a);
    dfqi_model_release(b);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* The first and the last weight of a transformer, and a layer that says otherwise. */
START_TEST(test_first_last)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    for (int own = 0; own < 2; own++) {
        dfqi_scheme s;
        ck_assert_int_eq(dfqi_scheme_new(&t->net, (dfqi_mode)_i, (dfqi_widths){3, 4, 8}, &s),
                         DFQ_OK);
        if (own) ck_assert_int_eq(dfqi_scheme_configure_text(&s, "head=w5"), DFQ_OK);
        for (int32_t i = 0; i < s.n_sites; i++) {
            const dfqi_site *site = &s.sites[i];
            int first = strcmp(site->name, "patch_embed.proj.weight") == 0;
            int last = strcmp(site->name, "head.weight") == 0;
            int want = !dfqi_site_is_weight(site) ? 4 : first ? 8 : last ? own ? 5 : 8 : 3;
            ck_assert_msg(site->bits == want, "%s: %d bits", site->name, (int)site->bits);
        }
        dfqi_scheme_fini(&s);
    }
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* Weights of every width are rounded to follow the float network, all but those of a layer that
 * stays float. */
START_TEST(test_rounded)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *m;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_msg(student(ctx, DFQI_MODE_IMPROVED, "head=float,blocks.0.mlp.fc1=w8", &m) == DFQ_OK,
                  "%s", ctx->error);
    static const char *const names[3] = {"head.weight", "blocks.0.mlp.fc1.weight",
                                         "blocks.1.mlp.fc2.weight"};
    for (int i = 0; i < 3; i++) {
        const dfq_tensor *a = dfqi_network_find(&t->net, names[i]);
        const dfq_tensor *b = dfqi_network_find(&m->net, names[i]);
        int same = memcmp(a->data, b->data, (size_t)dfqi_tensor_count(a) * sizeof(float)) == 0;
        ck_assert_msg(same == (i == 0), "%s", names[i]);
    }
    dfqi_model_release(m);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    static const char *const texts[][2] = {
        {"", "must be NAME="},
        {"head", "must be NAME="},
        {"head=", "must be NAME="},
        {"head=w", "must be NAME="},
        {"head=w4a", "must be NAME="},
        {"head=a4w4", "must be NAME="},
        {"head=w4a4x", "must be NAME="},
        {"head=w4,", "must be NAME="},
        {"head=floats", "must be NAME="},
        {"=w4", "1 to 79"},
        {"head=w9", "weight_bits is 9"},
        {"head=a1", "act_bits is 1"},
        {"heat=w4", "layer \"heat\" has no quantizers, or does not exist; similar names: head,"},
        {"blocks.0.mlp.f1=w4", "similar names: blocks.0.mlp.fc1,"},
        {"blocks.7.*=w4", "has no quantizers"},
        {"blocks.0.attn.qk=w4", "takes act_bits alone"},
        {"patch_embed.proj=w4a4", "takes weight_bits alone"},
        {"*=float", "nothing is left to quantize"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890=w4",
         "must be NAME="}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_int_eq(student(ctx, DFQI_MODE_IMPROVED, texts[i][0], &m), DFQ_E_INVALID);
        ck_assert_msg(strstr(ctx->error, texts[i][1]) != NULL, "%s: %s", texts[i][0], ctx->error);
    }
    ck_assert_ptr_null(m);
    dfqi_context_release(ctx);
}
END_TEST

/* A file whose text does not fit its tensors, or its network. */
START_TEST(test_file_lies)
{
    static const char *const texts[] = {"head=w8a8", "head=float", "nothing=w4", "x",
                                        "head=w6,*=a3"};
    char path[] = "/tmp/dfq-layers-XXXXXX";
    int fd = mkstemp(path);
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m, *r = NULL;
    close(fd);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_int_eq(student(ctx, DFQI_MODE_IMPROVED, "head=w6", &m), DFQ_OK);
        dfqi_free(ctx, m->scheme.layers);
        m->scheme.layers = dfqi_strdup(ctx, texts[i]);
        ck_assert_int_eq(dfqi_model_save(m, path, 0), DFQ_OK);
        dfq_status status = dfqi_model_load(ctx, path, NULL, &r);
        ck_assert_msg(status == DFQ_E_CORRUPT, "%s: %d, %s", texts[i], (int)status, ctx->error);
        ck_assert_msg(strstr(ctx->error, path) != NULL, "%s", ctx->error);
        dfqi_model_release(m);
    }
    remove(path);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_model *t = NULL;
    dfqi_scheme s = {0};
    dfq_status status = dfqt_teacher(ctx, &t);
    (void)arg;
    if (status == DFQ_OK)
        status = dfqi_scheme_new(&t->net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, &s);
    if (status == DFQ_OK) status = dfqi_scheme_configure_text(&s, "head=w8a8,*.qkv=float");
    dfqi_scheme_fini(&s);
    dfqi_model_release(t);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_layers_case(void)
{
    TCase *c = tcase_create("layers");
    tcase_add_test(c, test_names);
    tcase_add_loop_test(c, test_scheme, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_no_change, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_first_last, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_rounded);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_file_lies);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
