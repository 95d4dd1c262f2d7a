/* Two tuning steps of a W4A4 student in parity mode against PyTorch in double precision. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/suite.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"
#include "support/small_vit.h"

enum { BATCH = 4, SITES = 17, CLASSES = 10 };

/* The order of the golden file. */
static const char *const in_block[8] = {"attn.qkv.input", "attn.qk.a",    "attn.qk.b",
                                        "attn.av.a",      "attn.av.b",    "attn.proj.input",
                                        "mlp.fc1.input",  "mlp.fc2.input"};

static void site_name(int i, char name[64])
{
    if (i < 16)
        snprintf(name, 64, "blocks.%d.%s", i / 8, in_block[i % 8]);
    else
        snprintf(name, 64, "head.input");
}

static dfqi_network tiny_network(dfq_context *ctx)
{
    dfqi_arch a =
        dfqt_vit(32, CLASSES,
                 (dfqi_vit_arch){.patch = 8, .width = 48, .depth = 2, .heads = 4, .hidden = 96});
    dfqi_safetensors st = dfqt_golden_read(ctx, "tiny_vit.safetensors");
    dfqi_network net;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_params; i++) {
        dfq_tensor *t = net.params[i].tensor;
        memcpy(t->data, dfqt_golden_data(&st, "", net.params[i].name),
               (size_t)dfqi_tensor_count(t) * sizeof(float));
    }
    dfqi_st_fini(&st);
    return net;
}

static void compare_sites(const dfqi_scheme *s, const dfqi_safetensors *st, const char *prefix)
{
    for (int i = 0; i < SITES; i++) {
        char name[64];
        site_name(i, name);
        const dfqi_site *site = dfqi_scheme_find(s, name);
        ck_assert_msg(site != NULL, "%s", name);
        dfqt_golden_compare(dfqi_tensor_f32(site->scale), dfqt_golden_data(st, prefix, "scale") + i,
                            1, 2e-6, prefix, name);
        dfqt_golden_compare(dfqi_tensor_f32(site->zero_point),
                            dfqt_golden_data(st, prefix, "zero_point") + i, 1, 2e-6, prefix, name);
    }
}

static dfqi_id grad_of(const dfqi_tune *t, const char *name, const char *what)
{
    char text[96];
    snprintf(text, sizeof text, "%s%s", name, what);
    for (int32_t i = 0; i < t->n_items; i++)
        if (strcmp(t->items[i].name, text) == 0) return t->items[i].grad;
    ck_abort_msg("no gradient of %s", text);
    return DFQI_NONE;
}

/* A quantizer's gradient is a sum that may nearly cancel: measured by the largest of all. */
static void compare_sites_grads(const dfqi_tune *t, const char *what, const float *want)
{
    float top = 0;
    for (int i = 0; i < SITES; i++) top = fmaxf(top, fabsf(want[i]));
    for (int i = 0; i < SITES; i++) {
        char name[64];
        site_name(i, name);
        float have = *dfqi_exec_data(t->e, grad_of(t, name, what));
        ck_assert_msg(fabsf(have - want[i]) <= 2e-6f * top, "%s%s: %g, expected %g", name, what,
                      (double)have, (double)want[i]);
    }
}

static void compare_weight_grads(const dfqi_tune *t, const dfqi_safetensors *st)
{
    for (int32_t i = 0; i < t->n_items; i++)
        if (t->items[i].kind == DFQI_ITEM_WEIGHT)
            dfqt_golden_compare(dfqi_exec_data(t->e, t->items[i].grad),
                                dfqt_golden_data(st, "grad.", t->items[i].name), t->items[i].count,
                                2e-5, "gradient ", t->items[i].name);
}

static void compare_step(dfqi_tune *t, const dfqi_safetensors *st, int step)
{
    char prefix[16], file[40];
    dfq_context *ctx = t->ctx;
    snprintf(prefix, sizeof prefix, "step%d.", step);
    snprintf(file, sizeof file, "tune_step%d.safetensors", step);
    dfqt_golden_compare(dfqi_exec_data(t->e, t->student_logits), dfqt_golden_data(st, prefix, "zs"),
                        BATCH * CLASSES, 2e-6, prefix, "zs");
    dfqt_golden_compare(t->losses + (step - 1) * DFQI_TUNE_LOSSES,
                        dfqt_golden_data(st, prefix, "loss"), 3, 2e-6, prefix, "loss");
    dfqi_safetensors params = dfqt_golden_read(ctx, file),
                     grads = dfqt_golden_read(ctx, "tune_grad.safetensors");
    compare_sites_grads(t, ".scale", dfqt_golden_data(st, prefix, "dscale"));
    compare_sites_grads(t, ".zero_point", dfqt_golden_data(st, prefix, "dzero_point"));
    if (step == 1) compare_weight_grads(t, &grads);
    compare_sites(&t->student->scheme, st, prefix);
    for (int32_t i = 0; i < t->student->net.n_params; i++) {
        const dfqi_param *p = &t->student->net.params[i];
        dfqt_golden_compare(dfqi_tensor_f32(p->tensor),
                            dfqt_golden_data(&params, "param.", p->name),
                            dfqi_tensor_count(p->tensor), 1e-6, prefix, p->name);
    }
    dfqi_st_fini(&params);
    dfqi_st_fini(&grads);
}

START_TEST(test_two_steps)
{
    dfq_context *ctx = dfqt_context(1 + _i);
    dfqi_safetensors st = dfqt_golden_read(ctx, "tune.safetensors");
    dfqi_network net = tiny_network(ctx), copy;
    dfqi_scheme scheme;
    dfqi_model *teacher, *student;
    dfqi_tune *t;
    dfqi_tune_options o;
    const dfq_tensor *x = dfqi_st_find(&st, "x");
    ck_assert_int_eq(dfqi_scheme_new(&net, DFQI_MODE_PARITY, (dfqi_widths){4, 4, 0}, &scheme),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_network_clone(&net, &copy), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_calibrate(&scheme, &net, &copy, x->data, BATCH), DFQ_OK);
    compare_sites(&scheme, &st, "quant.");
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &teacher), DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&copy, &scheme, &student), DFQ_OK);
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
    o.steps = 100;
    o.batch = BATCH;
    o.eval_every = 0;
    ck_assert_msg(dfqi_tune_new(teacher, student, x, &o, &t) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_tune_start(t), DFQ_OK);
    memcpy(t->from_set.batch, x->data, BATCH * 3 * 32 * 32 * sizeof(float));
    for (int step = 1; step <= 2; step++) {
        ck_assert_msg(dfqi_tune_iterate(t) == DFQ_OK, "%s", ctx->error);
        compare_step(t, &st, step);
    }
    dfqi_tune_release(t);
    dfqi_st_fini(&st);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *t = tcase_create("golden");
    tcase_add_loop_test(t, test_two_steps, 0, 2);
    return t;
}
