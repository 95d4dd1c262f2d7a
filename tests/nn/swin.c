/* Swin transformers under the names of four libraries compute what theirs do, and what tensors do
 * not tell is found, assumed or refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/exec.h"
#include "graph/ops.h"
#include "nn/cases.h"
#include "nn/load.h"
#include "nn/rotate.h"
#include "nn/support.h"
#include "nn/swin.h"
#include "support/path.h"

enum { IMAGE = 40, CLASSES = 5, IMAGES = 2, BLOCKS = 5, TENSORS = 160, EXTRA = 4, NAME = 128 };

/* A golden file: the tensors of a network under names that tests change, images and logits. */
typedef struct scene {
    dfq_context *ctx;
    dfqi_size image;
    int64_t image_size;       /* 0: as it is */
    dfqi_safetensors all, st; /* st: the network's, borrowed from `all`, and room for more */
    dfqi_st_entry entries[TENSORS];
    char names[TENSORS][NAME];
} scene;

enum { TIMM, TORCHVISION, TRANSFORMERS, LIBRARIES, OBLONG = LIBRARIES }; /* OBLONG: of timm */
static const char *const libraries[] = {"timm", "torchvision", "transformers", "oblong"};

static void begin(scene *s, int which)
{
    char path[512], golden[64];
    memset(s, 0, sizeof *s);
    s->ctx = dfqt_context(2);
    s->image = which == OBLONG ? (dfqi_size){20, 36} : dfqi_square(IMAGE);
    snprintf(golden, sizeof golden, "swin_%s.safetensors", libraries[which]);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", golden, path, sizeof path));
    ck_assert_msg(dfqi_st_read(s->ctx, path, &s->all) == DFQ_OK, "%s", s->ctx->error);
    s->st = (dfqi_safetensors){.ctx = s->ctx, .entries = s->entries};
    for (int64_t i = 0; i < s->all.n_entries; i++) {
        const dfqi_st_entry *e = &s->all.entries[i];
        if (!strcmp(e->name, "x") || !strcmp(e->name, "logits") || !strcmp(e->name, "grad.x") ||
            !strncmp(e->name, "table.", 6))
            continue;
        char *name = s->names[s->st.n_entries];
        snprintf(name, NAME, "%s", e->name);
        s->entries[s->st.n_entries++] = (dfqi_st_entry){name, e->tensor};
    }
    ck_assert_int_lt(s->st.n_entries, TENSORS - EXTRA);
}

static void end(scene *s)
{
    dfqi_st_fini(&s->all);
    dfq_context_release(s->ctx);
}

/* Another tensor of that name. */
static void add(scene *s, const char *name, dfq_tensor *t)
{
    char *own = s->names[s->st.n_entries];
    snprintf(own, NAME, "%s", name);
    s->entries[s->st.n_entries++] = (dfqi_st_entry){own, t};
}

static dfq_status load(scene *s, dfqi_arch *a, dfqi_network *net)
{
    const dfq_load_options o = {.struct_size = sizeof o,
                                .image = s->image.height,
                                .image_width = s->image.width,
                                .image_size = s->image_size};
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

static double farthest(const float *have, const dfq_tensor *want)
{
    double worst = 0, top = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        worst = fmax(worst, fabs((double)have[i] - (double)dfqi_tensor_f32(want)[i]));
        top = fmax(top, fabs((double)dfqi_tensor_f32(want)[i]));
    }
    return worst / top;
}

/* The logits, and the gradient of the sum of their squares to the images where the file has it,
 * against those of the other library. */
static void check_numbers(const scene *s, const dfqi_network *net, double limit)
{
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id ids[TENSORS], dx;
    ck_assert_int_eq(dfqi_graph_new(s->ctx, IMAGES, &g), DFQ_OK);
    dfqi_id x = dfqi_arch_input(&net->arch, g);
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_id twice = dfqi_add(g, taps.logits, taps.logits);
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &taps.logits, &twice, 1, &x, &dx), DFQ_OK);
    dfqi_graph_keep(g, taps.logits);
    dfqi_graph_keep(g, dx);
    ck_assert_msg(dfqi_exec_new(g, &e) == DFQ_OK, "%s", s->ctx->error);
    dfqi_exec_bind(e, x, dfqi_tensor_f32(dfqi_st_find(&s->all, "x")));
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    double worst = farthest(dfqi_exec_data(e, taps.logits), dfqi_st_find(&s->all, "logits"));
    ck_assert_msg(worst < limit, "logits differ by %g", worst);
    const dfq_tensor *grad = dfqi_st_find(&s->all, "grad.x");
    worst = grad ? farthest(dfqi_exec_data(e, dx), grad) : 0;
    ck_assert_msg(worst < 2 * limit, "gradients differ by %g", worst);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
}

START_TEST(test_libraries)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    begin(&s, _i);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    check_numbers(&s, &net, 5e-6);
    const dfqi_swin_arch *w = &a.of.swin;
    ck_assert(a.family == DFQI_FAMILY_SWIN && a.classes == CLASSES && a.image.height == IMAGE);
    ck_assert(w->patch == 4 && w->width == 8 && w->hidden == 16 && w->stages == 3);
    ck_assert(w->depth[0] == 2 && w->depth[2] == 1 && w->heads[2] == 4 && w->window[1].height == 3);
    ck_assert(a.eps == 1e-5f && a.mean[0] == 0.485f && a.filter == DFQI_BICUBIC);
    ck_assert_int_eq(a.resize.height, _i == TIMM ? 40 : _i == TORCHVISION ? 41 : 40);
    ck_assert_int_eq(dfqi_arch_blocks(&a), BLOCKS);
    ck_assert_ptr_nonnull(dfqi_network_find(&net, "layers.2.downsample.reduction.weight"));
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* What losses see of a block: windows of its stage, the last ones whole maps. */
START_TEST(test_attention)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_id ids[TENSORS], raw[BLOCKS], head[BLOCKS];
    dfqi_taps taps = {.raw = raw, .head = head};
    static const int64_t windows[BLOCKS] = {16, 16, 4, 4, 1};
    begin(&s, TIMM);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_int_eq(dfqi_graph_new(s.ctx, IMAGES, &g), DFQ_OK);
    dfqi_network_params(&net, g, 1, ids);
    dfqi_id x = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, IMAGE, IMAGE});
    dfqi_network_forward(&net, g, ids, x, &taps);
    for (int i = 0; i < BLOCKS; i++) {
        dfqi_attention t;
        dfqi_arch_attention(&a, i, &t);
        const int64_t *r = dfqi_graph_value(g, raw[i])->dims;
        const int64_t *h = dfqi_graph_value(g, head[i])->dims;
        ck_assert_int_eq(t.windows, windows[i]);
        ck_assert(t.drop == 0 && t.tokens == 9 && r[2] == 9 && r[3] == 9 && h[2] == 9);
        ck_assert(r[1] == t.windows * t.heads && h[1] == r[1] && h[3] == t.width);
    }
    dfqi_graph_free(g);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* Files of timm before 0.9: merging in the stage in front, a bare head, tables and masks. */
START_TEST(test_older_names)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    const int64_t dims[3] = {16, 9, 9};
    dfq_tensor *mask;
    begin(&s, TIMM);
    for (int64_t i = 0; i < s.st.n_entries; i++) {
        char *at = strstr(s.names[i], ".downsample.");
        if (at) at[-1]--;
        if (strncmp(s.names[i], "head.fc.", 8) == 0)
            memmove(s.names[i] + 5, s.names[i] + 8, strlen(s.names[i] + 8) + 1);
    }
    ck_assert_int_eq(dfqi_tensor_new(s.ctx, DFQI_F32, 3, dims, &mask), DFQ_OK);
    add(&s, "layers.0.blocks.1.attn_mask", mask);
    add(&s, "layers.2.blocks.0.attn.relative_position_index", mask);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    check_numbers(&s, &net, 5e-6);
    dfqi_network_fini(&net);
    /* the masks tell the image, with its padding */
    ck_assert_msg(dfqt_take(&s.st, "f", NULL, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert(a.image.height == 48 && a.source[DFQI_PROP_IMAGE] == DFQ_SOURCE_TENSOR);
    dfqi_network_fini(&net);
    dfqi_tensor_release(mask);
    end(&s);
}
END_TEST

/* The image by the network's name, by the file's, and by the windows of the last stage. */
START_TEST(test_image)
{
    static const struct {
        const char *path, *arch;
        int64_t image;
        int32_t source;
    } cases[] = {
        {"f", NULL, 48, DFQ_SOURCE_ASSUMED},
        {"f", "swin_tiny_patch4_window3_60.x_in1k", 60, DFQ_SOURCE_NAME},
        {"swin-large-patch4-window3-64.safetensors", NULL, 64, DFQ_SOURCE_FILE_NAME},
        {"f", "swin_t", 48, DFQ_SOURCE_NAME},
        {"f", "swin_mine", 48, DFQ_SOURCE_ASSUMED},
        {"f", "swin_tiny_patch4_window7_224", 48, DFQ_SOURCE_ASSUMED},
    };
    scene s;
    begin(&s, TIMM);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dfqi_st_meta named = {(char *)(uintptr_t) "architecture", (char *)(uintptr_t)cases[i].arch};
        dfqi_arch a;
        dfqi_network net;
        s.st.meta = &named;
        s.st.n_meta = cases[i].arch != NULL;
        ck_assert_msg(dfqt_take(&s.st, cases[i].path, NULL, &a, &net) == DFQ_OK, "%s",
                      s.ctx->error);
        ck_assert_int_eq(a.image.height, cases[i].image);
        ck_assert_int_eq(a.source[DFQI_PROP_IMAGE], cases[i].source);
        dfqi_network_fini(&net);
    }
    end(&s);
}
END_TEST

START_TEST(test_refused)
{
    scene s;
    dfq_tensor *t = NULL;
    const int64_t even[2] = {36, 2}, heads[2] = {25, 3};
    begin(&s, TIMM);
    add(&s, "layers.0.blocks.0.attn.cpb_mlp.0.weight", s.entries[0].tensor);
    refused(&s, DFQ_E_UNSUPPORTED, "layers.0.blocks.0.attn.cpb_mlp.0.weight belongs to Swin V2");
    end(&s);
    begin(&s, TIMM);
    for (int64_t i = 0; i < s.st.n_entries; i++)
        if (strcmp(s.names[i], "layers.1.blocks.0.attn.relative_position_bias_table") == 0) {
            ck_assert_int_eq(dfqi_tensor_new(s.ctx, DFQI_F32, 2, _i ? heads : even, &t), DFQ_OK);
            s.entries[i].tensor = t;
        }
    refused(&s, DFQ_E_SHAPE, "rows must be a product of odd numbers");
    dfqi_tensor_release(t);
    end(&s);
    begin(&s, TIMM);
    add(&s, "layers.1.blocks.0.attn.gate", s.entries[0].tensor);
    refused(&s, DFQ_E_CORRUPT, "does not belong to a 5-block Swin transformer");
    const dfq_load_options o = {.struct_size = sizeof o, .image = 30};
    dfqi_arch a;
    dfqi_network net;
    ck_assert_int_eq(dfqt_take(&s.st, "f", &o, &a, &net), DFQ_E_INVALID);
    ck_assert_msg(strstr(s.ctx->error, "image is 30, must be a multiple of the patch, 4"), "%s",
                  s.ctx->error);
    end(&s);
}
END_TEST

/* All streams but that of stage 0 are turned, and the network computes what it did. */
START_TEST(test_rotation)
{
    scene s;
    dfqi_arch a;
    dfqi_network net, turned;
    begin(&s, TIMM);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_int_eq(dfqi_network_clone(&net, &turned), DFQ_OK);
    ck_assert_msg(dfqi_network_rotate(&turned, 3) == DFQ_OK, "%s", s.ctx->error);
    check_numbers(&s, &turned, 2e-5);
    for (int32_t p = 0; p < net.n_params; p++) {
        const char *name = net.params[p].name;
        const float *before = dfqi_tensor_f32(net.params[p].tensor);
        const float *after = dfqi_tensor_f32(turned.params[p].tensor);
        int first = strstr(name, "layers.") == NULL || strstr(name, "layers.0.") ||
                    strstr(name, "layers.1.downsample.norm") || strstr(name, "table");
        int head = strstr(name, "norm.") == name || strstr(name, "head.fc.") ||
                   strstr(name, "attn.qkv") || strstr(name, "attn.proj.weight");
        ck_assert_msg((before[0] == after[0]) == (first && !head), "%s", name);
    }
    dfqi_tensor_f32(dfqi_network_find(&net, "layers.2.downsample.norm.weight"))[5] = 0;
    ck_assert_int_eq(dfqi_network_rotate(&net, 3), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(s.ctx->error, "layers.2.downsample.norm.weight holds 0 at element 5"),
                  "%s", s.ctx->error);
    dfqi_network_fini(&net);
    dfqi_network_fini(&turned);
    end(&s);
}
END_TEST

/* Tables for larger and smaller windows, which keep their share of the map, against timm's. */
START_TEST(test_image_size)
{
    static const struct {
        int64_t size;
        int32_t window;
    } cases[] = {{20, 1}, {28, 2}, {72, 5}};
    scene s;
    dfqi_arch a;
    dfqi_network net;
    char want[16];
    begin(&s, TIMM);
    const dfq_load_options o = {
        .struct_size = sizeof o, .image = IMAGE, .image_size = cases[_i].size};
    ck_assert_msg(dfqt_take(&s.st, "f", &o, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    ck_assert(a.image.height == cases[_i].size && a.of.swin.window[0].height == cases[_i].window);
    const dfq_tensor *have =
        dfqi_network_find(&net, "layers.0.blocks.0.attn.relative_position_bias_table");
    snprintf(want, sizeof want, "table.%d", (int)cases[_i].window);
    if (cases[_i].window > 1)
        ck_assert(farthest(dfqi_tensor_f32(have), dfqi_st_find(&s.all, want)) < 1e-5);
    dfqi_network_fini(&net);
    end(&s);
}
END_TEST

/* Maps of 5 x 9, 3 x 5 and 2 x 3 tokens in windows of 3: shifted along both axes, along one, and
 * cut down to 2 x 3, which the image alone tells. */
START_TEST(test_oblong)
{
    scene s;
    dfqi_arch a;
    dfqi_network net;
    begin(&s, OBLONG);
    ck_assert_msg(load(&s, &a, &net) == DFQ_OK, "%s", s.ctx->error);
    const dfqi_windowing w = dfqi_swin_windows(&a, 1, 1);
    ck_assert(w.shift.height == 0 && w.shift.width == 1);
    ck_assert(a.of.swin.window[2].height == 2 && a.of.swin.window[2].width == 3);
    check_numbers(&s, &net, 5e-6);
    ck_assert_int_eq(dfqi_network_rotate(&net, 3), DFQ_OK);
    check_numbers(&s, &net, 5e-5);
    dfqi_network_fini(&net);
    s.image = dfqi_square(20);
    refused(&s, DFQ_E_SHAPE, "the tables of stage 2 have 15 rows");
    s.image = (dfqi_size){20, 38};
    refused(&s, DFQ_E_INVALID, "image is 20x38, must be a multiple of the patch, 4");
    end(&s);
}
END_TEST

START_TEST(test_refused_allocations)
{
    scene s;
    const dfq_load_options o = {.struct_size = sizeof o, .image = IMAGE, .image_size = _i ? 28 : 0};
    begin(&s, _i ? TIMM : TRANSFORMERS);
    dfqt_sweep_take(&s.st, &o);
    end(&s);
}
END_TEST

TCase *dfqt_swin_case(void)
{
    TCase *c = tcase_create("swin");
    tcase_add_loop_test(c, test_libraries, 0, LIBRARIES);
    tcase_add_test(c, test_attention);
    tcase_add_test(c, test_older_names);
    tcase_add_test(c, test_image);
    tcase_add_loop_test(c, test_refused, 0, 2);
    tcase_add_test(c, test_rotation);
    tcase_add_loop_test(c, test_image_size, 0, 3);
    tcase_add_test(c, test_oblong);
    tcase_add_loop_test(c, test_refused_allocations, 0, 2);
    return c;
}
