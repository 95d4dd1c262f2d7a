/* The quantizers of a network as handles: what they compute is what its graph and its file have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "quant/cases.h"
#include "quant/quantizer.h"
#include "quant/scheme_priv.h"
#include "support/fail_alloc.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", ctx->error)

static dfq_context *ctx;
static dfqi_model *teacher;
static char path[32];

static void setup(void)
{
    strcpy(path, "/tmp/dfq-quantizer-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    ctx = dfqt_context(1);
    OK(dfqt_teacher(ctx, &teacher));
}

static void teardown(void)
{
    dfqi_model_release(teacher);
    dfqi_context_release(ctx);
    remove(path);
}

typedef struct setting {
    dfqi_mode mode;
    dfqi_grids grids;
} setting;

static const setting settings[] = {
    {DFQI_MODE_IMPROVED, {.weight_grid = DFQI_WEIGHT_GRID_AUTO}},
    {DFQI_MODE_PARITY, {.weight_grid = DFQI_WEIGHT_GRID_AUTO}},
    {DFQI_MODE_PARITY, {.weight_grid = DFQI_WEIGHT_GRID_LSQ, .act_grid = DFQI_ACT_GRID_LSQ}},
    {DFQI_MODE_PARITY,
     {.weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM, .act_grid = DFQI_ACT_GRID_MINMAX}}};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The weight is what the file decodes to, bit by bit; so are its codes. */
static void check_weight(const dfqi_model *m, const dfqi_model *loaded, int32_t i)
{
    const char *name = m->scheme.sites[i].name;
    const dfq_tensor *own = dfqi_network_find(&loaded->net, name);
    dfq_tensor *codes, *weight, *back, *again;
    dfqi_quantizer *q;
    OK(dfqi_model_get_codes(m, i, &codes, &weight));
    OK(dfqi_model_get_codes(loaded, i, &again, NULL));
    ck_assert_int_eq(codes->dtype, DFQI_I8);
    ck_assert_int_eq(weight->rank, own->rank);
    size_t n = (size_t)dfqi_tensor_count(weight);
    ck_assert_mem_eq(again->data, codes->data, n);
    OK(dfqi_model_get_quantizer(m, i, &q));
    OK(dfqi_quantizer_dequantize(q, codes, &back));
    for (size_t k = 0; k < n; k++) {
        ck_assert(dfqi_tensor_f32(weight)[k] == dfqi_tensor_f32(own)[k]);
        ck_assert(dfqi_tensor_f32(back)[k] == dfqi_tensor_f32(own)[k]);
    }
    dfqi_tensor_release(codes);
    dfqi_tensor_release(weight);
    dfqi_tensor_release(back);
    dfqi_tensor_release(again);
    dfqi_quantizer_release(q);
}

/* Of an activation, as pass.c puts the op there. */
static void check_activation(const dfqi_model *m, int32_t i)
{
    const dfqi_site *site = &m->scheme.sites[i];
    int heads = site->name[strlen(site->name) - 2] == '.';
    const int64_t dims[2][4] = {{2, 5, 24}, {2, 3, 5, 8}};
    int64_t n = dfqi_tensor_count(site->scale), count = 240;
    int32_t rank = heads ? 4 : 3;
    dfqi_rng rng = dfqi_rng_make(5, (uint64_t)i);
    dfq_tensor *x, *y;
    dfqi_quantizer *q;
    dfqi_graph *g;
    dfqi_exec *e;
    if (n == 40 || strstr(site->name, "fc2")) return; /* the MLP's: 40 channels */
    OK(dfqi_tensor_new(ctx, DFQI_F32, rank, dims[heads], &x));
    for (int64_t k = 0; k < count; k++)
        dfqi_tensor_f32(x)[k] = dfqi_rng_range(&rng, site->kind == DFQI_SITE_LOG ? 0 : -2, 2);
    OK(dfqi_graph_new(ctx, 2, &g));
    dfqi_id in = dfqi_graph_input(g, "x", 1, rank - 1, dims[heads] + 1);
    dfqi_id step = dfqi_graph_param(g, "s", site->scale, 1), out;
    dfqi_id zero = site->zero_point ? dfqi_graph_param(g, "z", site->zero_point, 1) : DFQI_NONE;
    out = site->kind == DFQI_SITE_LOG ? dfqi_fq_log(g, in, step, site->qmax)
                                      : dfqi_fq(g, in, step, zero, site->qmin, site->qmax, 1, 1);
    dfqi_graph_keep(g, out);
    OK(dfqi_exec_new(g, &e));
    dfqi_exec_bind(e, in, dfqi_tensor_f32(x));
    OK(dfqi_exec_run(e));
    OK(dfqi_model_get_quantizer(m, i, &q));
    OK(dfqi_quantizer_apply(q, x, &y));
    ck_assert_msg(memcmp(y->data, dfqi_exec_data(e, out), 240 * sizeof(float)) == 0, "%s",
                  site->name);
    ck_assert_mem_eq(q->scales->data, site->scale->data, (size_t)n * sizeof(float));
    ck_assert(q->scales->data != site->scale->data); /* a copy */
    ck_assert_int_eq(q->granularity == DFQ_GRANULARITY_HEAD_CHANNEL, heads && n == 24);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_quantizer_release(q);
}

START_TEST(test_sites)
{
    const setting *s = &settings[_i];
    dfqi_model *m, *loaded;
    int checked[2] = {0, 0};
    OK(dfqt_quantize_with(teacher, s->mode, (dfqi_widths){3, 4, 0}, s->grids, &m));
    OK(dfqi_model_save(m, path, 0));
    OK(dfqi_model_load(ctx, path, NULL, &loaded));
    for (int32_t i = 0; i < m->scheme.n_sites; i++) {
        int weight = dfqi_site_is_weight(&m->scheme.sites[i]);
        if (weight)
            check_weight(m, loaded, i);
        else
            check_activation(m, i);
        checked[weight]++;
    }
    ck_assert_int_eq(checked[1], 10);
    ck_assert_int_gt(checked[0], 8);
    dfqi_model_release(m);
    dfqi_model_release(loaded);
}
END_TEST

/* What tuning has for a gradient, the handle has. */
START_TEST(test_gradients)
{
    static const char *const names[2] = {"blocks.1.mlp.fc1.weight", "blocks.1.mlp.fc1.input"};
    for (int i = 0; i < SETTINGS; i++)
        for (int k = 0; k < 2; k++) {
            int lsq = settings[i].grids.weight_grid == DFQI_WEIGHT_GRID_LSQ;
            int minmax = settings[i].grids.act_grid == DFQI_ACT_GRID_MINMAX;
            int32_t at;
            dfqi_model *m;
            dfqi_quantizer *q;
            OK(dfqt_quantize_with(teacher, settings[i].mode, (dfqi_widths){4, 4, 0},
                                  settings[i].grids, &m));
            OK(dfqi_model_find_site(m, names[k], &at));
            OK(dfqi_model_get_quantizer(m, at, &q));
            ck_assert_str_eq(q->name, names[k]);
            ck_assert_int_eq(q->input_gradient == DFQ_INPUT_GRADIENT_CLIPPED, k ? !minmax : lsq);
            if (k == 0 && lsq) ck_assert(q->scale_grad_factor > 0 && q->scale_grad_factor < 0.02f);
            ck_assert_int_eq(q->column_factors != NULL,
                             k == 0 && settings[i].mode == DFQI_MODE_IMPROVED);
            dfqi_quantizer_release(q);
            dfqi_model_release(m);
        }
}
END_TEST

START_TEST(test_names)
{
    dfqi_model *m;
    dfqi_quantizer *q = NULL;
    dfq_tensor *t = NULL;
    int32_t i = -7;
    OK(dfqt_quantize(teacher, DFQI_MODE_IMPROVED, 4, 4, &m));
    ck_assert_int_eq(dfqi_model_find_site(m, "blocks.0.atn.qkv.weight", &i), DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, "similar names: blocks.0.attn.qkv.weight,") != NULL, "%s",
                  ctx->error);
    ck_assert_int_eq(dfqi_model_find_site(m, "fc2", &i), DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, "blocks.0.mlp.fc2.") != NULL, "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_find_site(teacher, "head.weight", &i), DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, "not quantized") != NULL, "%s", ctx->error);
    ck_assert_int_eq(i, -7);
    OK(dfqi_model_find_site(m, "head.input", &i));
    ck_assert_int_eq(dfqi_model_get_codes(m, i, &t, NULL), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    ck_assert_ptr_null(q);
    dfqi_model_release(m);
}
END_TEST

START_TEST(test_nearest)
{
    char text[64];
    dfqi_nearest n = dfqi_nearest_to("kitten");
    ck_assert_int_eq(dfqi_edit_distance("kitten", "sitting"), 3);
    ck_assert_int_eq(dfqi_edit_distance("", "abc"), 3);
    ck_assert_int_eq(dfqi_edit_distance("abc", ""), 3);
    ck_assert_int_eq(dfqi_edit_distance("same", "same"), 0);
    ck_assert_str_eq(dfqi_nearest_text(&n, text, sizeof text), "");
    static const char *const names[] = {"sitting", "mitten", "a", "kitchen", "mitten", "my kitten"};
    for (int i = 0; i < 6; i++) dfqi_nearest_add(&n, names[i]);
    ck_assert_str_eq(dfqi_nearest_text(&n, text, sizeof text), "my kitten, mitten, kitchen");
}
END_TEST

static dfq_status scenario(dfq_context *own, void *arg)
{
    dfqi_model *t = NULL, *m = NULL;
    dfq_tensor *codes = NULL, *values = NULL;
    dfqi_quantizer *q = NULL;
    int32_t i;
    (void)arg;
    dfq_status status = dfqt_teacher(own, &t);
    if (status == DFQ_OK) status = dfqt_quantize(t, DFQI_MODE_PARITY, 4, 4, &m);
    if (status == DFQ_OK) status = dfqi_model_find_site(m, "head.weight", &i);
    if (status == DFQ_OK) status = dfqi_model_get_codes(m, i, &codes, &values);
    if (status == DFQ_OK) status = dfqi_model_find_site(m, "head.input", &i);
    if (status == DFQ_OK) status = dfqi_model_get_quantizer(m, i, &q);
    dfqi_tensor_release(codes);
    dfqi_tensor_release(values);
    dfqi_quantizer_release(q);
    dfqi_model_release(m);
    dfqi_model_release(t);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_quantizer_model_case(void)
{
    TCase *c = tcase_create("quantizer_model");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_sites, 0, SETTINGS);
    tcase_add_test(c, test_gradients);
    tcase_add_test(c, test_names);
    tcase_add_test(c, test_nearest);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
