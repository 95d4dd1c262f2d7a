/* Networks of inverted residuals against PyTorch (tests/golden/make_inverted.py), and what their
 * files tell. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/inverted.h"
#include "nn/support.h"
#include "support/suite.h"

enum { SIDE = 40, CLASSES = 5, IMAGES = 2 };

static const struct kind {
    const char *name;
    dfqi_inverted_form form;
    dfqi_inverted_keys keys;
    int32_t same, stages;
    float eps;
} kinds[] = {{"lite", DFQI_INVERTED_LITE, DFQI_INVERTED_LUKEMELAS, 1, 7, 1e-3f},
             {"b", DFQI_INVERTED_EFFICIENTNET, DFQI_INVERTED_TIMM, 0, 7, 1e-5f},
             {"v2", DFQI_INVERTED_MOBILENETV2, DFQI_INVERTED_TIMM, 0, 7, 1e-5f},
             {"v3", DFQI_INVERTED_MOBILENETV3_SMALL, DFQI_INVERTED_TORCHVISION, 0, 5, 1e-3f}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* As make_inverted.py's: channels are 8 (stage + 2), stages 1 and 2 have two blocks. */
static dfqi_arch arch_of(const struct kind *k)
{
    dfqi_arch a = {.family = DFQI_FAMILY_EFFICIENTNET,
                   .image = {SIDE, SIDE},
                   .channels = 3,
                   .classes = CLASSES,
                   .eps = k->eps,
                   .std = {1, 1, 1}};
    dfqi_inverted_arch *c = &a.of.inverted;
    *c = (dfqi_inverted_arch){
        .keys = k->keys, .form = k->form, .same = k->same, .stem = 12, .features = 24};
    c->staged = k->keys == DFQI_INVERTED_TIMM;
    c->hidden = k->form == DFQI_INVERTED_MOBILENETV3_SMALL ? 20 : 0;
    const dfqi_inverted_row *form = dfqi_inverted_form_of(&a);
    int16_t channels = 12;
    for (int8_t s = 0; s < k->stages; s++)
        for (int8_t u = 0; u < (s == 1 || s == 2 ? 2 : 1); u++) {
            dfqi_inverted_block *b = &c->blocks[c->n_blocks++];
            *b = (dfqi_inverted_block){.in = channels, .expands = s > 0, .stage = s, .unit = u};
            b->mid = (int16_t)(channels << b->expands);
            b->out = channels = (int16_t)(8 * (s + 2));
            b->squeeze = form->squeeze[s] == '1' ? 4 : 0;
            b->kernel = (int8_t)(form->kernels[s] - '0');
            b->stride = (int8_t)(u ? 1 : form->strides[s] - '0');
            b->curved = form->relu[s] == '0';
        }
    return a;
}

/* -- against PyTorch --------------------------------------------------------------------------- */

static void check_names(const dfqi_network *net, const char *names)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        const size_t n = strcspn(names, " ");
        ck_assert_msg(n == strlen(net->params[i].name) &&
                          memcmp(names, net->params[i].name, n) == 0,
                      "parameter %d is %s, expected %.60s", i, net->params[i].name, names);
        names += n + (names[n] == ' ');
    }
    ck_assert_str_eq(names, "");
}

static void check_logits(const dfqi_network *net, const dfq_tensor *want)
{
    enum { VALUES = IMAGES * 3 * SIDE * SIDE };
    static float images[VALUES];
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id *ids = calloc((size_t)net->n_params, sizeof *ids);
    ck_assert_int_eq(dfqi_graph_new(net->ctx, IMAGES, &g), DFQ_OK);
    dfqi_id x = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, SIDE, SIDE});
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_graph_keep(g, taps.logits);
    ck_assert_msg(dfqi_exec_new(g, &e) == DFQ_OK, "%s", net->ctx->error);
    for (int i = 0; i < VALUES; i++) images[i] = (float)sin(0.01 * i);
    dfqi_exec_bind(e, x, images);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    const float *have = dfqi_exec_data(e, taps.logits), *w = dfqi_tensor_f32(want);
    float most = 0;
    for (int i = 0; i < IMAGES * CLASSES; i++) most = fmaxf(most, fabsf(w[i]));
    for (int i = 0; i < IMAGES * CLASSES; i++)
        ck_assert_msg(fabsf(have[i] - w[i]) < 1e-5f * most, "logit %d is %g, must be %g", i,
                      (double)have[i], (double)w[i]);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    free(ids);
}

START_TEST(test_golden)
{
    const struct kind *k = &kinds[_i];
    const dfqi_arch a = arch_of(k);
    dfq_context *ctx = dfqt_context(2);
    dfqi_network net;
    dfqi_safetensors want;
    char path[512], name[64];
    ck_assert(dfqt_path("DFQ_TEST_GOLDEN", "inverted.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &want), DFQ_OK);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfqt_fill(&net);
    snprintf(name, sizeof name, "names.%s", k->name);
    check_names(&net, dfqi_st_meta_find(&want, name));
    snprintf(name, sizeof name, "%s.logits", k->name);
    check_logits(&net, dfqi_st_find(&want, name));
    dfqi_network_fini(&net);
    dfqi_st_fini(&want);
    dfq_context_release(ctx);
}
END_TEST

/* -- files ------------------------------------------------------------------------------------- */

static void begin(loading *l, const dfqi_arch *a)
{
    dfqt_loading_begin(l, a);
    dfqt_fill(&l->source);
    dfqt_file(&l->source, &l->f);
}

static dfq_status load(loading *l, const char *name, dfqi_arch *out)
{
    const dfq_load_options o = {.struct_size = sizeof o, .arch = name};
    dfqi_network net;
    DFQI_TRY(dfqt_take(&l->f.st, "some.file", &o, out, &net));
    dfqi_network_fini(&net);
    return DFQ_OK;
}

static void refused(loading *l, const char *name, dfq_status code, const char *part)
{
    dfqi_arch a;
    ck_assert_int_eq(load(l, name, &a), code);
    ck_assert_msg(strstr(l->ctx->error, "some.file") && strstr(l->ctx->error, part) &&
                      !strchr(l->ctx->error, '\n'),
                  "expected %s in: %s", part, l->ctx->error);
}

/* All of it comes back from the tensors; of timm's names a name must tell the padding. */
START_TEST(test_found)
{
    static const char *const names[] = {"efficientnet_lite", "efficientnet", "mobilenetv2",
                                        "mobilenetv3_small"};
    const struct kind *k = &kinds[_i];
    const dfqi_arch want = arch_of(k);
    dfqi_arch a;
    loading l;
    begin(&l, &want);
    const bool tells = k->form != DFQI_INVERTED_EFFICIENTNET;
    if (!tells) refused(&l, NULL, DFQ_E_UNSUPPORTED, "give --arch tf_efficientnet_b0");
    ck_assert_msg(load(&l, tells ? NULL : "efficientnet", &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert_str_eq(a.name, names[_i]);
    ck_assert_mem_eq(&a.of.inverted, &want.of.inverted, sizeof a.of.inverted);
    ck_assert(a.classes == CLASSES && a.eps == k->eps && a.image.height == 224);
    dfqt_loading_end(&l);
}
END_TEST

/* TensorFlow's padding by the name, by metadata; a name of another size is not the network's. */
START_TEST(test_padding)
{
    const dfqi_arch efficient = arch_of(&kinds[1]);
    dfqi_arch a;
    loading l;
    begin(&l, &efficient);
    refused(&l, "tf_efficientnet_b3", DFQ_E_INVALID, "(network: efficientnet_b?)");
    refused(&l, "mine", DFQ_E_UNSUPPORTED, "architecture \"mine\" is not known");
    dfqt_file_meta(&l.f, "conv_padding", "same");
    ck_assert_msg(load(&l, NULL, &a) == DFQ_OK, "%s", l.ctx->error);
    ck_assert(a.of.inverted.same == 1 && a.source[DFQI_PROP_CONV_PADDING] == DFQ_SOURCE_METADATA);
    dfqt_loading_end(&l);
    const dfqi_arch mobile = arch_of(&kinds[2]);
    begin(&l, &mobile);
    ck_assert_int_eq(load(&l, "mobilenetv2", &a), DFQ_OK);
    ck_assert(a.of.inverted.same == 0 && a.eps == 1e-5f);
    dfqt_loading_end(&l);
}
END_TEST

/* What makes it no network that is known. */
START_TEST(test_unknown)
{
    dfqi_arch a = arch_of(&kinds[_i]), b;
    loading l;
    a.of.inverted.blocks[1].kernel = 7;
    begin(&l, &a);
    refused(&l, NULL, DFQ_E_UNSUPPORTED, "export it to ONNX");
    dfqt_loading_end(&l);
    b = arch_of(&kinds[_i]);
    begin(&l, &b);
    for (int64_t i = 0; i < l.f.st.n_entries; i++) {
        const dfqi_st_entry kept = l.f.entries[i];
        if (!strstr(kept.name, "weight")) continue;
        l.f.entries[i] = l.f.entries[--l.f.st.n_entries];
        ck_assert_int_ne(load(&l, "mobilenetv2", &b), DFQ_OK);
        ck_assert_msg(strstr(l.ctx->error, "some.file"), "%s", l.ctx->error);
        l.f.entries[l.f.st.n_entries++] = l.f.entries[i];
        l.f.entries[i] = kept;
    }
    dfqt_loading_end(&l);
}
END_TEST

/* Sizes are those of the published widths and depths. */
START_TEST(test_sizes)
{
    static const int16_t units[] = {2, 4, 4, 6, 6, 8, 2}, out[] = {24, 32, 56, 112, 160, 272, 448};
    dfqi_arch a = {.family = DFQI_FAMILY_EFFICIENTNET};
    dfqi_inverted_arch *c = &a.of.inverted;
    double crop;
    c->stem = 48;
    for (int8_t s = 0; s < DFQI_INVERTED_STAGES; s++)
        for (int8_t u = 0; u < units[s]; u++)
            c->blocks[c->n_blocks++] = (dfqi_inverted_block){.out = out[s], .stage = s, .unit = u};
    ck_assert_int_eq(dfqi_inverted_size(&a), 4);
    ck_assert(dfqi_inverted_image(4, &crop) == 380 && crop == 0.922);
    c->blocks[7].out += 8;
    ck_assert_int_eq(dfqi_inverted_size(&a), -1);
}
END_TEST

TCase *dfqt_inverted_case(void)
{
    TCase *c = tcase_create("inverted");
    tcase_add_loop_test(c, test_golden, 0, KINDS);
    tcase_add_loop_test(c, test_found, 0, KINDS);
    tcase_add_test(c, test_padding);
    tcase_add_loop_test(c, test_unknown, 0, KINDS);
    tcase_add_test(c, test_sizes);
    return c;
}
