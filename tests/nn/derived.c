/* Derived networks in files: the metadata alone say what the network is, it computes the bits of
 * the path of its supernet, and files that are wrong are refused with a line. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/supernet_file.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

enum { BATCH = 3, CELLS = 3, PIXELS = 3 * 8 * 8, CLASSES = 3, LOGITS = BATCH * CLASSES };

/* The stem is as wide as the first MBConv behind it, which has no shortcut all the same. */
static const dfqi_supernet_space spaces[2] = {{.name = "tiny \"one\"",
                                               .image = 8,
                                               .classes = CLASSES,
                                               .stem = 4,
                                               .first = 4,
                                               .head = 8,
                                               .n_stages = 2,
                                               .n_choices = 3,
                                               .stages = {{4, 2, 1}, {6, 1, 2}},
                                               .choices = {{3, 1}, {5, 4}, {3, 4}}},
                                              {.name = "tiny transformer",
                                               .family = DFQI_SUPER_VIT,
                                               .n_stages = CELLS,
                                               .n_choices = 8,
                                               .image = 8,
                                               .classes = CLASSES,
                                               .vit = {.patch = 4,
                                                       .tokens = 6,
                                                       .head = 3,
                                                       .optional = 1,
                                                       .width = {2, {4, 7}},
                                                       .depth = {2, {1, 2}},
                                                       .heads = {1, {2}},
                                                       .ratio = {2, {1, 2}}}}};
/* Choice 3 of the first space and 8 of the second leave a cell out. */
static const int32_t paths[2][2][CELLS] = {{{1, 3, 0}, {0, 2, 1}}, {{3, 8, 5}, {6, 0, 2}}};

static dfqi_arch arch_of(int family, int which)
{
    dfqi_arch a;
    dfqi_arch_derive(&spaces[family], paths[family][which], &a);
    for (int c = 0; c < 3; c++) {
        a.mean[c] = 0.1f * (float)c;
        a.std[c] = 1.0f / 3;
    }
    return a;
}

/* A network in a file that has been read. */
typedef struct scene {
    dfq_context *ctx;
    dfqi_arena arena;
    dfqi_network source;
    file f;
    dfqi_st_meta meta[DFQI_ARCH_META];
} scene;

static void begin(scene *s, int family, int which)
{
    dfqi_arch a = arch_of(family, which);
    s->ctx = dfqt_context(1);
    dfqi_arena_init(&s->arena, s->ctx);
    ck_assert_int_eq(dfqi_network_new(s->ctx, &a, &s->source), DFQ_OK);
    dfqt_fill(&s->source);
    dfqt_file(&s->source, &s->f);
    s->f.st.meta = s->meta;
    ck_assert_int_eq(dfqi_arch_meta(&a, &s->arena, s->meta, &s->f.st.n_meta), DFQ_OK);
}

static void end(scene *s)
{
    dfqi_network_fini(&s->source);
    dfqi_arena_fini(&s->arena);
    dfq_context_release(s->ctx);
}

static dfq_status load(const dfqi_safetensors *st, dfqi_network *out)
{
    dfqi_arch a;
    DFQI_TRY(dfqi_arch_find(st, "the file", NULL, NULL, &a));
    return dfqi_network_take(st, "the file", &a, out);
}

static void images(float x[BATCH * PIXELS])
{
    for (uint32_t i = 0; i < BATCH * PIXELS; i++) x[i] = sinf(0.37f * (float)i);
}

static dfq_status forward(const dfqi_network *net, dfqi_graph **g, dfqi_id *x, dfqi_taps *taps)
{
    dfqi_id ids[300];
    DFQI_TRY(dfqi_graph_new(net->ctx, BATCH, g));
    *x = dfqi_arch_input(&net->arch, *g);
    dfqi_network_params(net, *g, 1, ids);
    dfqi_network_forward(net, *g, ids, *x, taps);
    dfqi_graph_keep(*g, taps->logits);
    return dfqi_graph_status(*g);
}

static void logits_of_network(const dfqi_network *net, float out[LOGITS])
{
    float in[BATCH * PIXELS];
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x;
    dfqi_taps taps = {0};
    images(in);
    ck_assert_int_eq(forward(net, &g, &x, &taps), DFQ_OK);
    ck_assert_int_eq(dfqi_exec_new(g, &e), DFQ_OK);
    dfqi_exec_bind(e, x, in);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    memcpy(out, dfqi_exec_data(e, taps.logits), LOGITS * sizeof *out);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
}

/* The supernet's pass along the path, with the network's weights. */
static void logits_of_supernet(const dfqi_network *net, float out[LOGITS])
{
    float in[BATCH * PIXELS];
    char name[DFQI_SUPER_NAME];
    dfqi_supernet super;
    dfqi_super_pass p;
    images(in);
    ck_assert_int_eq(dfqi_supernet_new(net->ctx, &net->arch.of.derived.space,
                                       net->arch.of.derived.path, 1, &super),
                     DFQ_OK);
    for (int32_t i = 0; i < super.n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) {
            dfq_tensor *t = super.layers[i].t[k];
            if (!t) continue;
            dfqi_super_tensor_name(&super.layers[i], k, name);
            const dfq_tensor *from = dfqi_network_find(net, name);
            ck_assert_msg(from != NULL, "%s", name);
            memcpy(t->data, from->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
        }
    ck_assert_int_eq(
        dfqi_super_pass_new(&super, net->arch.of.derived.path, BATCH, DFQI_SUPER_EVAL, &p), DFQ_OK);
    dfqi_exec_bind(p.e, p.x, in);
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    memcpy(out, dfqi_exec_data(p.e, p.logits), LOGITS * sizeof *out);
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&super);
}

START_TEST(a_file_alone_makes_the_network)
{
    static const char *const words[] = {"k5e4 skip k3e1", "k3e1 k3e4 k5e4",
                                        "w4d2h2r2 skip w7d1h2r2", "w7d2h2r1 w4d1h2r1 w4d2h2r1"};
    int family = _i / 2;
    float want[LOGITS], have[LOGITS];
    scene s;
    dfqi_network net;
    begin(&s, family, _i % 2);
    ck_assert_msg(load(&s.f.st, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_str_eq(net.arch.name, spaces[family].name);
    ck_assert_int_eq(net.arch.family, family ? DFQI_FAMILY_STAGES : DFQI_FAMILY_MBCONV);
    ck_assert_mem_eq(net.arch.of.derived.path, s.source.arch.of.derived.path,
                     sizeof net.arch.of.derived.path);
    ck_assert_str_eq(net.arch.of.derived.choices, words[_i]);
    ck_assert(net.arch.mean[2] == s.source.arch.mean[2] && net.arch.std[1] == 1.0f / 3);
    ck_assert(net.arch.resize.height == 8 && net.arch.eps == s.source.arch.eps);
    ck_assert(dfqi_network_hash(&net) == dfqi_network_hash(&s.source));
    logits_of_supernet(&s.source, want);
    logits_of_network(&net, have);
    ck_assert_mem_eq(have, want, sizeof want);
    ck_assert(want[0] != want[1] && isfinite(want[0]));
    net.arch.eps *= 100; /* metadata that say another one are heard */
    logits_of_network(&net, have);
    ck_assert_mem_ne(have, want, sizeof want);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* What quantizers and generators go by: named products, BatchNorms, the classifier. */
START_TEST(layers_have_names_and_norms)
{
    scene s;
    dfqi_graph *g;
    dfqi_id x;
    dfqi_norm_tap norms[12];
    dfqi_taps taps = {.norms = norms};
    int32_t products = 0, relus = 0, n;
    begin(&s, 0, 0);
    n = dfqi_arch_norms(&s.source.arch);
    ck_assert_int_eq(n, 1 + 2 + 3 + 2 + 1); /* stem, MBConvs 1, 4, 1 times as wide, head */
    ck_assert_int_eq(s.source.n_params, 5 * n + 2);
    ck_assert_int_eq(forward(&s.source, &g, &x, &taps), DFQ_OK);
    for (int32_t i = 0; i < g->n_nodes; i++) {
        char weight[80];
        const dfqi_node *node = &g->nodes[i];
        size_t size = strlen(node->name);
        if (size > 5 && strcmp(node->name + size - 5, ".relu") == 0) relus++;
        if (node->op != DFQI_OP_CONV && node->op != DFQI_OP_LINEAR) continue;
        snprintf(weight, sizeof weight, "%s.weight", node->name);
        ck_assert_msg(dfqi_network_find(&s.source, weight) != NULL, "%s", weight);
        products++;
    }
    ck_assert_int_eq(products, n + 1);
    ck_assert_int_eq(relus, n - 3); /* no MBConv ends in one */
    for (int32_t i = 0; i < n; i++) {
        const dfqi_value *v = dfqi_graph_value(g, norms[i].x);
        ck_assert_int_eq(v->dims[3], dfqi_graph_value(g, norms[i].gamma)->dims[0]);
        ck_assert_int_eq(v->dims[3], dfqi_graph_value(g, norms[i].var)->dims[0]);
    }
    dfqi_graph_free(g);
    end(&s);
}
END_TEST

START_TEST(descriptions_read_back_the_same)
{
    const dfqi_supernet_space *const all[] = {&dfqi_super_cifar_small,
                                              &dfqi_super_cifar_full,
                                              &dfqi_super_vit_small,
                                              &dfqi_super_vit_tiny,
                                              &spaces[0],
                                              &spaces[1]};
    char *text, *again;
    dfqi_supernet_space read;
    dfq_context *ctx = dfqt_context(1);
    ck_assert_int_eq(dfqi_supernet_space_text(ctx, all[_i], &text), DFQ_OK);
    ck_assert_msg(dfqi_supernet_space_parse(ctx, "text", text, &read) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_supernet_space_text(ctx, &read, &again), DFQ_OK);
    ck_assert_str_eq(again, text);
    if (_i == 4)
        ck_assert_str_eq(text,
                         "{\"dfq_space\":1,\"name\":\"tiny \\\"one\\\"\",\"network\":\"mbconv\","
                         "\"image_px\":8,\"classes\":3,\"stem\":4,\"first\":4,\"head\":8,"
                         "\"stages\":[{\"width\":4,\"cells\":2,\"stride\":1},"
                         "{\"width\":6,\"cells\":1,\"stride\":2}],"
                         "\"choices\":[{\"kernel\":3,\"expand\":1},{\"kernel\":5,\"expand\":4},"
                         "{\"kernel\":3,\"expand\":4}]}");
    if (_i == 5)
        ck_assert_str_eq(text,
                         "{\"dfq_space\":1,\"name\":\"tiny transformer\",\"network\":\"vit\","
                         "\"image_px\":8,\"classes\":3,\"patch_px\":4,\"tokens\":6,\"head\":3,"
                         "\"stages\":3,\"optional\":true,\"width\":[4,7],\"depth\":[1,2],"
                         "\"heads\":[2],\"ratio\":[1,2]}");
    dfqi_free(ctx, text);
    dfqi_free(ctx, again);
    dfq_context_release(ctx);
}
END_TEST

/* -- what is wrong ----------------------------------------------------------------------------- */

/* `value` NULL: without the key. */
static const struct wrong {
    const char *key, *value;
    dfq_status status;
    const char *text;
} wrongs[] = {
    {"dfq.derived", "2", DFQ_E_UNSUPPORTED, "dfq.derived is \"2\", must be 1;"},
    {"dfq.derived", "1\n", DFQ_E_UNSUPPORTED, "must be 1;"},
    {"dfq.derived.space", NULL, DFQ_E_CORRUPT, "metadata dfq.derived.space is missing"},
    {"dfq.derived.path", NULL, DFQ_E_CORRUPT, "metadata dfq.derived.path is missing"},
    {"mean", NULL, DFQ_E_CORRUPT, "metadata mean or std is missing"},
    {"std", "0,1,1", DFQ_E_CORRUPT, "metadata std"},
    {"dfq.derived.path", "", DFQ_E_CORRUPT, "that of cell 0 must be 0 to 3"},
    {"dfq.derived.path", "1 3", DFQ_E_CORRUPT, "each of 3 cells"},
    {"dfq.derived.path", "1 3 0 0", DFQ_E_CORRUPT, "each of 3 cells"},
    {"dfq.derived.path", "1 3 0 ", DFQ_E_CORRUPT, "each of 3 cells"},
    {"dfq.derived.path", "1 3 3", DFQ_E_CORRUPT, "that of cell 2 must be 0 to 2"},
    {"dfq.derived.path", "1 -3 0", DFQ_E_CORRUPT, "that of cell 1 must be 0 to 3"},
    {"dfq.derived.path", "1 99999999999999999999 0", DFQ_E_CORRUPT, "that of cell 1"},
    {"dfq.derived.path", "0 3 0", DFQ_E_CORRUPT, "cells.0.0.0.weight is missing"},
    {"dfq.derived.path", "1 1 0", DFQ_E_CORRUPT, "cells.1.1.0.weight is missing"},
    {"dfq.derived.space", "", DFQ_E_CORRUPT, "the file"},
    {"dfq.derived.space", "{\"dfq_space\":2}", DFQ_E_UNSUPPORTED, "\"dfq_space\" is 2, must be 1"},
    {"dfq.derived.space",
     "{\"dfq_space\":1,\"name\":\"x\",\"network\":\"mbconv\",\"image_px\":8,\"classes\":3,\"stem\":"
     "99999999,\"first\":4,\"head\":8,\"stages\":[{\"width\":4,\"cells\":2,\"stride\":1}],"
     "\"choices\":[{\"kernel\":3,\"expand\":1}]}",
     DFQ_E_CORRUPT, "\"stem\" is 99999999"},
    {"dfq.derived.space",
     "{\"dfq_space\":1,\"name\":\"x\",\"network\":\"mbconv\",\"image_px\":8,\"classes\":3,\"stem\":"
     "9,\"first\":4,\"head\":8,\"stages\":[{\"width\":4,\"cells\":2,\"stride\":1},{\"width\":6,"
     "\"cells\":1,\"stride\":2}],\"choices\":[{\"kernel\":3,\"expand\":1},{\"kernel\":5,"
     "\"expand\":4}]}",
     DFQ_E_CORRUPT, "that of cell 1 must be 0 to 2"},
    {"dfq.derived.space",
     "{\"dfq_space\":1,\"name\":\"deep\",\"network\":\"vit\",\"image_px\":8,\"classes\":3,"
     "\"patch_px\":4,\"tokens\":1,\"head\":1,\"stages\":32,\"optional\":false,\"width\":[1],"
     "\"depth\":[43],\"heads\":[1],\"ratio\":[1]}",
     DFQ_E_CORRUPT, "supernet of space deep has 8356 layers, must have at most 8192"},
};

static void set_meta(scene *s, const char *key, const char *value)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->f.st.n_meta; i++)
        if (strcmp(s->meta[i].key, key) != 0) s->meta[n++] = s->meta[i];
    ck_assert_int_eq(n, s->f.st.n_meta - 1);
    s->f.st.n_meta = n;
    if (value)
        s->meta[s->f.st.n_meta++] =
            (dfqi_st_meta){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}

START_TEST(metadata_that_are_wrong)
{
    const struct wrong *w = &wrongs[_i];
    scene s;
    dfqi_network net;
    begin(&s, 0, 0);
    set_meta(&s, w->key, w->value);
    ck_assert_int_eq(load(&s.f.st, &net), w->status);
    ck_assert_msg(strstr(s.ctx->error, w->text) != NULL, "%s", s.ctx->error);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "the file"));
    ck_assert_ptr_null(strchr(s.ctx->error, '\n'));
    end(&s);
}
END_TEST

/* Files of before, of whole supernets, and those that are called something else. */
START_TEST(files_of_another_kind)
{
    static char keys[2][24] = {"dfq.supernet.space", "dfq.supernet.path"}, tiny[] = "tiny",
                path[] = "1 3 0";
    scene s;
    dfqi_network net;
    dfqi_arch a;
    begin(&s, 0, 0);
    dfq_load_options o = {.struct_size = sizeof o, .arch = "mbconv"};
    ck_assert_int_eq(dfqi_arch_find(&s.f.st, "the file", NULL, &o, &a), DFQ_E_UNSUPPORTED);
    o.arch = "resnet20";
    ck_assert_int_ne(dfqi_arch_find(&s.f.st, "the file", NULL, &o, &a), DFQ_OK);
    s.f.st.n_meta = 2;
    s.meta[0] = (dfqi_st_meta){keys[0], tiny};
    s.meta[1] = (dfqi_st_meta){keys[1], path};
    ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "of a version without a description"));
    s.f.st.n_meta = 1;
    ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "holds the supernet of space tiny"));
    end(&s);
}
END_TEST

START_TEST(tensors_that_are_wrong)
{
    static char extra[] = "cells.0.0.0.weight";
    scene s;
    dfqi_network net;
    begin(&s, _i, 0);
    dfqi_st_entry *last = &s.f.entries[s.f.st.n_entries - 1];
    dfqi_tensor_f32(last->tensor)[1] = NAN;
    ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "head.1.bias holds nan at element 1"));
    dfqi_tensor_f32(last->tensor)[1] = 0;
    if (_i == 0) {
        ck_assert_str_eq(s.f.entries[4].name, "stem.0.norm.running_var");
        dfqi_tensor_f32(s.f.entries[4].tensor)[0] = -1;
        ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_NUMERIC);
        dfqi_tensor_f32(s.f.entries[4].tensor)[0] = 1;
    }
    dfq_tensor *own = last->tensor;
    last->tensor = s.f.entries[0].tensor;
    ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_SHAPE);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "head.1.bias"));
    last->tensor = own;
    s.f.entries[s.f.st.n_entries++] = (dfqi_st_entry){extra, own};
    ck_assert_int_eq(load(&s.f.st, &net), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "does not belong to a network of the search space"));
    s.f.st.n_entries--;
    ck_assert_msg(load(&s.f.st, &net) == DFQ_OK, "%s", s.ctx->error);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

static dfq_status describe_load_count(dfq_context *ctx, void *arg)
{
    const dfqi_arch *a = arg;
    double macs;
    file f;
    dfqi_network source, net = {0};
    dfqi_st_meta meta[DFQI_ARCH_META];
    dfqi_arena arena;
    dfqi_arena_init(&arena, ctx);
    dfq_status status = dfqi_network_new(ctx, a, &source);
    if (status != DFQ_OK) return status;
    dfqt_fill(&source);
    dfqt_file(&source, &f);
    f.st.meta = meta;
    status = dfqi_arch_meta(a, &arena, meta, &f.st.n_meta);
    if (status == DFQ_OK) status = load(&f.st, &net);
    if (status == DFQ_OK) status = dfqi_network_macs(&net, &macs);
    dfqi_network_fini(&net);
    dfqi_network_fini(&source);
    dfqi_arena_fini(&arena);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    dfqi_arch a = arch_of(_i, 0);
    fail_alloc_sweep(describe_load_count, &a, 1);
}
END_TEST

TCase *dfqt_derived_case(void)
{
    TCase *c = tcase_create("derived");
    tcase_add_loop_test(c, a_file_alone_makes_the_network, 0, 4);
    tcase_add_test(c, layers_have_names_and_norms);
    tcase_add_loop_test(c, descriptions_read_back_the_same, 0, 6);
    tcase_add_loop_test(c, metadata_that_are_wrong, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_test(c, files_of_another_kind);
    tcase_add_loop_test(c, tensors_that_are_wrong, 0, 2);
    tcase_add_loop_test(c, refused_allocations_leave_nothing, 0, 2);
    return c;
}
