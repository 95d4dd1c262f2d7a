/* AIT on a small ResNet against PyTorch in double precision: ranges after two batches, then two
 * steps of the student. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "quant/track.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

enum { BATCH = 8, CLASSES = 4, PIXELS = 3 * 8 * 8, WEIGHTS = 6 };

static const char *const outputs[5] = {"conv1.relu.output", "layer1.0.conv1.relu.output",
                                       "layer1.0.relu.output", "layer2.0.conv1.relu.output",
                                       "layer2.0.relu.output"};

static dfqt_pair golden_pair(int32_t threads, const dfqi_safetensors *st)
{
    dfqt_pair p = dfqt_cnn_pair_new(threads);
    for (int32_t i = 0; i < p.teacher->net.n_params; i++) {
        const dfqi_param *a = &p.teacher->net.params[i], *b = &p.student->net.params[i];
        size_t size = (size_t)dfqi_tensor_count(a->tensor) * sizeof(float);
        const float *from = dfqt_golden_data(st, "before.", a->name);
        memcpy(a->tensor->data, from, size);
        memcpy(b->tensor->data, from, size);
    }
    return p;
}

static void follow(dfqi_model *m, const dfqi_safetensors *st)
{
    const float *x = dfqt_golden_data(st, "", "x"), *want = dfqt_golden_data(st, "", "ranges");
    dfqi_tracker *t;
    ck_assert_int_eq(dfqi_tracker_new(&m->scheme, &m->net, BATCH, &t), DFQ_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(dfqi_tracker_add(t, x + i * BATCH * PIXELS), DFQ_OK);
    dfqi_tracker_free(t);
    for (int i = 0; i < 5; i++)
        dfqt_golden_compare(dfqi_tensor_f32(dfqi_scheme_find(&m->scheme, outputs[i])->range),
                            want + 2 * i, 2, 1e-5, "range of ", outputs[i]);
}

static void compare_step(const dfqi_tune *t, const dfqi_safetensors *st, int step)
{
    char prefix[24];
    snprintf(prefix, sizeof prefix, "step%d.", step);
    const float *rows = dfqt_golden_data(st, prefix, "kappa");
    dfqt_golden_compare(dfqi_exec_data(t->e, t->student_logits), dfqt_golden_data(st, prefix, "z"),
                        BATCH * CLASSES, 2e-5, prefix, "z");
    dfqt_golden_compare(t->losses + (step - 1) * DFQI_TUNE_LOSSES,
                        dfqt_golden_data(st, prefix, "loss"), 1, 2e-5, prefix, "loss");
    for (int32_t i = 0; i < t->n_items; i++) {
        const dfqi_item *item = &t->items[i];
        char name[48];
        snprintf(name, sizeof name, "%sgrad.", prefix);
        dfqt_golden_compare(dfqi_exec_data(t->e, item->grad),
                            dfqt_golden_data(st, name, item->name), item->count, 1e-4, name,
                            item->name);
        snprintf(name, sizeof name, "%sparam.", prefix);
        dfqt_golden_compare(dfqi_tensor_f32(item->tensor), dfqt_golden_data(st, name, item->name),
                            item->count, 1e-5, name, item->name);
    }
    for (int i = 0; i < WEIGHTS; i++) {
        ck_assert_float_eq(t->inundated[i].kappa, rows[2 * i]);
        ck_assert_int_eq(t->inundated[i].changed, (int64_t)rows[2 * i + 1]);
    }
}

START_TEST(test_two_steps)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_safetensors st = dfqt_golden_read(ctx, "ait.safetensors");
    dfqt_pair p = golden_pair(1 + _i, &st);
    dfqi_tune_options o;
    dfqi_tune *t;
    follow(p.student, &st);
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, (int64_t[]){BATCH, 3, 8, 8}, &p.images),
                     DFQ_OK);
    memcpy(p.images->data, dfqt_golden_data(&st, "", "x") + 2 * BATCH * PIXELS,
           BATCH * PIXELS * sizeof(float));
    dfqi_tune_recipe(DFQ_RECIPE_AIT_PARITY, &(dfqi_recipe_case){.classes = CLASSES, .steps = 100},
                     &o);
    o.batch = BATCH;
    o.warmup_steps = o.range_steps = 0;
    o.learning_rate = 1e-2f;
    o.crossing_target = 0.02f;
    ck_assert_msg(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t) == DFQ_OK, "%s",
                  p.ctx->error);
    ck_assert_int_eq(dfqi_tune_start(t), DFQ_OK);
    memcpy(t->from_set.batch, p.images->data, BATCH * PIXELS * sizeof(float));
    for (int step = 1; step <= 2; step++) {
        ck_assert_msg(dfqi_tune_iterate(t) == DFQ_OK, "%s", p.ctx->error);
        compare_step(t, &st, step);
    }
    dfqi_tune_release(t);
    dfqi_st_fini(&st);
    dfqt_pair_end(&p);
    dfqi_context_release(ctx);
}
END_TEST

/* Numbers of AIT's released loss: the divergence is divided by batch and classes. */
START_TEST(test_kl)
{
    static const float want[6] = {-0.120609865f, -0.005163496f, 0.125773758f,
                                  0.064505629f,  0.019118231f,  -0.083623953f};
    dfq_context *ctx = dfqt_context(1);
    dfqi_graph *g;
    dfqi_exec *e;
    float s[6], t[6];
    for (int i = 0; i < 6; i++) {
        s[i] = sinf(1.1f * (float)i);
        t[i] = 3 * cosf(0.9f * (float)i);
    }
    ck_assert_int_eq(dfqi_graph_new(ctx, 2, &g), DFQ_OK);
    dfqi_id student = dfqi_graph_input(g, "student", 1, 1, (int64_t[]){3});
    dfqi_id teacher = dfqi_graph_input(g, "teacher", 1, 1, (int64_t[]){3});
    dfqi_id kl = dfqi_kl(g, student, teacher, 20), grad;
    dfqi_id total = dfqi_total(g, 1, &kl, (float[]){1.0f / 3});
    dfqi_id one = dfqi_fill(g, total, 1);
    dfqi_graph_keep(g, total);
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &total, &one, 1, &student, &grad), DFQ_OK);
    dfqi_graph_keep(g, grad);
    ck_assert_int_eq(dfqi_exec_new(g, &e), DFQ_OK);
    dfqi_exec_bind(e, student, s);
    dfqi_exec_bind(e, teacher, t);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    ck_assert_float_eq_tol(*dfqi_exec_data(e, total), 0.37886697f, 1e-5f); /* T^2 enlarges ulps */
    for (int i = 0; i < 6; i++) ck_assert_float_eq_tol(dfqi_exec_data(e, grad)[i], want[i], 1e-6f);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_golden_ait_case(void)
{
    TCase *c = tcase_create("golden_ait");
    tcase_add_test(c, test_kl);
    tcase_add_loop_test(c, test_two_steps, 0, 2);
    return c;
}
