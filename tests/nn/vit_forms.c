/* Forms of vision transformers: each is read as one network that computes what the original does,
 * also when it is rotated; what computes something else is refused. */
#include "nn/vit_forms.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/load.h"
#include "nn/rotate.h"
#include "nn/support.h"

#include "support/path.h"

enum { IMAGES = 3, IMAGE = 12, ENTRIES = 80 };

static const struct form {
    const char *name;
    dfqi_vit_pooling pooling;
    int64_t registers;
    uint32_t parts;
    int32_t source;                 /* of the pooling */
    const char *said, *eps, *curve; /* metadata of pooling, eps and activation */
    dfqi_vit_activation activation;
    const char *image; /* metadata, where it is no square */
} forms[] = {
    {"distilled", DFQI_VIT_TOKEN_DISTILLED, 1, 0, DFQ_SOURCE_TENSOR, NULL, NULL, NULL, 0, NULL},
    {"scaled", DFQI_VIT_TOKEN, 0, 0, DFQ_SOURCE_ASSUMED, NULL, NULL, NULL, 0, NULL},
    {"registers", DFQI_VIT_TOKEN, 3, 0, DFQ_SOURCE_METADATA, "token", NULL, NULL, 0, NULL},
    {"mean", DFQI_VIT_AVG, 2, DFQI_VIT_NO_CLASS | DFQI_VIT_FC_NORM, DFQ_SOURCE_TENSOR, NULL, NULL,
     NULL, 0, NULL},
    {"avg", DFQI_VIT_AVG, 0, 0, DFQ_SOURCE_METADATA, "avg", NULL, NULL, 0, NULL},
    {"prenorm", DFQI_VIT_TOKEN, 0, DFQI_VIT_NORM_PRE | DFQI_VIT_QK_NORM, DFQ_SOURCE_ASSUMED, NULL,
     "1e-6", NULL, 0, NULL},
    {"gated", DFQI_VIT_TOKEN, 0, DFQI_VIT_GATED, DFQ_SOURCE_ASSUMED, NULL, NULL, NULL,
     DFQI_VIT_SILU, NULL},
    {"quick", DFQI_VIT_TOKEN, 0, 0, DFQ_SOURCE_ASSUMED, NULL, NULL, "quick_gelu",
     DFQI_VIT_QUICK_GELU, NULL},
    {"backbone", DFQI_VIT_TOKEN, 0, DFQI_VIT_NO_HEAD, DFQ_SOURCE_ASSUMED, NULL, NULL, NULL, 0,
     NULL},
    {"dinov2", DFQI_VIT_TOKEN_AVG, 0, 0, DFQ_SOURCE_TENSOR, NULL, "1e-6", NULL, 0, NULL},
    {"oblong", DFQI_VIT_TOKEN, 0, 0, DFQ_SOURCE_ASSUMED, NULL, NULL, NULL, 0, "8x12"},
};
enum { FORMS = sizeof forms / sizeof *forms };

typedef struct scene {
    dfq_context *ctx;
    const struct form *form;
    dfqi_safetensors all, st; /* st: the form's tensors, borrowed from `all`, and room for more */
    dfqi_st_entry entries[ENTRIES];
    char names[ENTRIES][112];
    dfqi_st_meta meta[5];
} scene;

static void add_meta(scene *s, const char *key, const char *value)
{
    if (value)
        s->meta[s->st.n_meta++] = (dfqi_st_meta){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}

static void begin(scene *s, const char *form)
{
    char path[512];
    memset(s, 0, sizeof *s);
    for (int k = 0; k < FORMS; k++)
        if (strcmp(forms[k].name, form) == 0) s->form = &forms[k];
    s->ctx = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "vit_forms.safetensors", path, sizeof path));
    ck_assert_msg(dfqi_st_read(s->ctx, path, &s->all) == DFQ_OK, "%s", s->ctx->error);
    s->st = (dfqi_safetensors){.ctx = s->ctx, .entries = s->entries, .meta = s->meta};
    for (int64_t i = 0; i < s->all.n_entries; i++) {
        const dfqi_st_entry *e = &s->all.entries[i];
        size_t n = strlen(form);
        if (strncmp(e->name, form, n) != 0 || e->name[n] != ':') continue;
        const char *name = e->name + n + 1;
        if (!strcmp(name, "x") || !strcmp(name, "logits")) continue;
        char *own = s->names[s->st.n_entries];
        snprintf(own, sizeof s->names[0], "%s", name);
        s->entries[s->st.n_entries++] = (dfqi_st_entry){own, e->tensor};
    }
    add_meta(s, "heads", "3");
    add_meta(s, "pooling", s->form->said);
    add_meta(s, "eps", s->form->eps);
    add_meta(s, "activation", s->form->curve);
    add_meta(s, "image", s->form->image);
}

static void end(scene *s)
{
    dfqi_st_fini(&s->all);
    dfq_context_release(s->ctx);
}

static const dfq_tensor *golden(const scene *s, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s:%s", s->form->name, what);
    return dfqi_st_find(&s->all, name);
}

/* The largest difference from the original's logits, relative to the largest of them. */
static double difference(const scene *s, const dfqi_network *net)
{
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id ids[ENTRIES];
    const float *want = dfqi_tensor_f32(golden(s, "logits"));
    double worst = 0, top = 0;
    ck_assert_int_eq(dfqi_graph_new(s->ctx, IMAGES, &g), DFQ_OK);
    dfqi_id x = dfqi_arch_input(&net->arch, g);
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_graph_keep(g, taps.logits);
    ck_assert_msg(dfqi_exec_new(g, &e) == DFQ_OK, "%s", s->ctx->error);
    dfqi_exec_bind(e, x, dfqi_tensor_f32(golden(s, "x")));
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(golden(s, "logits")); i++) {
        worst = fmax(worst, fabs((double)dfqi_exec_data(e, taps.logits)[i] - (double)want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    return worst / top;
}

START_TEST(test_same_logits)
{
    const struct form *f = &forms[_i];
    scene s;
    dfqi_arch a;
    dfqi_network net;
    begin(&s, f->name);
    ck_assert_msg(dfqt_take(&s.st, "some.file", NULL, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_int_eq(a.of.vit.pooling, f->pooling);
    ck_assert_int_eq(a.of.vit.registers, f->registers);
    ck_assert_int_eq(a.of.vit.activation, f->activation);
    ck_assert_uint_eq(a.of.vit.parts, f->parts);
    ck_assert_int_eq(a.source[DFQI_PROP_POOLING], f->source);
    ck_assert_int_eq(a.source[DFQI_PROP_HEADS], DFQ_SOURCE_METADATA);
    double worst = difference(&s, &net);
    ck_assert_msg(worst < 5e-6, "logits differ by %g", worst);
    if (a.of.vit.parts & (DFQI_VIT_NORM_PRE | DFQI_VIT_NO_HEAD)) {
        bool backbone = dfqi_arch_is_backbone(&a);
        ck_assert_int_eq(dfqi_network_rotate(&net, 3), DFQ_E_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(s.ctx->error, backbone ? "features" : "first norm"));
        ck_assert_int_eq(dfqi_arch_need_classes(s.ctx, &a, "this"),
                         backbone ? DFQ_E_UNSUPPORTED : DFQ_OK);
    } else {
        ck_assert_int_eq(dfqi_network_rotate(&net, 3), DFQ_OK);
        worst = difference(&s, &net);
        ck_assert_msg(worst < 2e-5, "rotated, logits differ by %g", worst);
    }
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* What is written has the one form, and is read as it is. */
START_TEST(test_written)
{
    scene s;
    dfqi_arch a, b;
    dfqi_network net, again;
    dfqi_arena arena;
    dfqi_st_entry entries[ENTRIES];
    dfqi_st_meta meta[DFQI_ARCH_META];
    begin(&s, forms[_i].name);
    ck_assert_int_eq(dfqt_take(&s.st, "some.file", NULL, &a, &net), DFQ_OK);
    dfqi_safetensors st = {.ctx = s.ctx, .entries = entries, .meta = meta};
    dfqi_arena_init(&arena, s.ctx);
    ck_assert_int_eq(dfqi_arch_meta(&a, &arena, meta, &st.n_meta), DFQ_OK);
    for (; st.n_entries < net.n_params; st.n_entries++)
        entries[st.n_entries] =
            (dfqi_st_entry){net.params[st.n_entries].name, net.params[st.n_entries].tensor};
    ck_assert_msg(dfqt_take(&st, "own.file", NULL, &b, &again) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_int_eq(memcmp(&a.of.vit, &b.of.vit, sizeof a.of.vit), 0);
    ck_assert(difference(&s, &again) < 5e-6);
    dfqi_arena_fini(&arena);
    dfqi_network_fini(&again);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* The form, a tensor that it gets (a name that none has) or loses (one that it has), and what is
 * said of that. */
static const struct wrong {
    const char *form, *tensor;
    dfq_status code;
    const char *part;
} wrongs[] = {
    {"avg", "attn_pool.latent", DFQ_E_UNSUPPORTED, "MAP"},
    {"avg", "blocks.0.attn.relative_position_bias_table", DFQ_E_UNSUPPORTED, "relative positions"},
    {"avg", "blocks.1.gamma_1", DFQ_E_UNSUPPORTED, "EVA"},
    {"avg", "blocks.0.attn.q_bias", DFQ_E_UNSUPPORTED, "bias of keys"},
    {"avg", "rope.freqs", DFQ_E_UNSUPPORTED, "RoPE"},
    {"avg", "blocks.0.attn.norm.weight", DFQ_E_CORRUPT, "does not belong"},
    {"avg", "blocks.0.norm1.bias", DFQ_E_CORRUPT, "blocks.0.norm1.bias is missing"},
    {"mean", "reg_token", DFQ_E_UNSUPPORTED, "rpn"},
    {"mean", "blocks.0.attn.proj.bias", DFQ_E_CORRUPT, "blocks.0.attn.proj.bias is missing"},
    {"distilled", "dist_token", DFQ_E_SHAPE, "positions 11 with 1 tokens"},
    {"distilled", "head_dist.bias", DFQ_E_CORRUPT, "head_dist.bias is missing"},
    {"scaled", "blocks.1.ls1.gamma", DFQ_OK, ""}, /* a network without it is one as well */
    {"prenorm", "norm_pre.bias", DFQ_E_CORRUPT, "norm_pre.bias is missing"},
    {"registers", "pos_embed", DFQ_E_CORRUPT, "pos_embed is missing"},
};

START_TEST(test_refused)
{
    const struct wrong *w = &wrongs[_i];
    scene s;
    dfqi_arch a;
    dfqi_network net;
    int64_t i = 0;
    begin(&s, w->form);
    while (i < s.st.n_entries && strcmp(s.entries[i].name, w->tensor) != 0) i++;
    if (i < s.st.n_entries) {
        s.entries[i] = s.entries[--s.st.n_entries];
    } else {
        snprintf(s.names[i], sizeof s.names[i], "%s", w->tensor);
        s.entries[s.st.n_entries++] = (dfqi_st_entry){s.names[i], s.entries[0].tensor};
    }
    dfq_status status = dfqt_take(&s.st, "some.file", NULL, &a, &net);
    ck_assert_msg(status == w->code, "%d: %s", status, s.ctx->error);
    if (status == DFQ_OK)
        dfqi_network_fini(&net);
    else
        ck_assert_msg(strstr(s.ctx->error, w->part) && strstr(s.ctx->error, "some.file"), "%s",
                      s.ctx->error);
    end(&s);
}
END_TEST

START_TEST(test_refused_allocations)
{
    scene s;
    begin(&s, forms[_i].name);
    dfqt_sweep_take(&s.st, NULL);
    end(&s);
}
END_TEST

TCase *dfqt_vit_forms_case(void)
{
    TCase *c = tcase_create("vit_forms");
    tcase_add_loop_test(c, test_same_logits, 0, FORMS);
    tcase_add_loop_test(c, test_written, 0, FORMS);
    tcase_add_loop_test(c, test_refused, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_loop_test(c, test_refused_allocations, 0, FORMS);
    return c;
}
