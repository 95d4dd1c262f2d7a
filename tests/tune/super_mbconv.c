/* Supernets of MBConv cells: passes and steps against PyTorch. */
#include <stdio.h>
#include <string.h>

#include "support/suite.h"
#include "tune/cases.h"
#include "tune/super_train.h"

enum { BATCH = 4, PIXELS = 3 * 8 * 8, CLASSES = 3, CELLS = 4, TEXT = 48 };

static const dfqi_supernet_space tiny = {.name = "tiny",
                                         .image = 8,
                                         .classes = CLASSES,
                                         .stem = 4,
                                         .first = 4,
                                         .head = 8,
                                         .n_stages = 2,
                                         .n_choices = 2,
                                         .stages = {{4, 2, 1}, {6, 2, 2}},
                                         .choices = {{3, 2}, {5, 3}}};
static const int32_t paths[2][CELLS] = {{1, 2, 0, 1}, {0, 1, 1, 0}};

typedef struct rig {
    dfq_context *ctx;
    dfqi_safetensors st;
    dfqi_supernet net;
} rig;

static const char *tensor_name(char text[TEXT], const char *prefix, int32_t layer, int32_t k)
{
    snprintf(text, TEXT, "%s%d.%d", prefix, (int)layer, (int)k);
    return text;
}

static rig begin(void)
{
    rig r = {.ctx = dfqt_context(1)};
    char name[TEXT];
    r.st = dfqt_golden_read(r.ctx, "super_mbconv.safetensors");
    ck_assert_int_eq(dfqi_supernet_new(r.ctx, &tiny, NULL, 3, &r.net), DFQ_OK);
    for (int32_t i = 0; i < r.net.n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS && r.net.layers[i].t[k]; k++) {
            dfq_tensor *t = r.net.layers[i].t[k];
            memcpy(t->data, dfqt_golden_data(&r.st, "w.", tensor_name(name, "", i, k)),
                   (size_t)dfqi_tensor_count(t) * sizeof(float));
        }
    return r;
}

static void end(rig *r)
{
    dfqi_supernet_fini(&r->net);
    dfqi_st_fini(&r->st);
    dfq_context_release(r->ctx);
}

static void compare_gradients(const rig *r, const dfqi_super_pass *p, const char *prefix)
{
    char name[TEXT];
    for (int32_t i = 0; i < r->net.n_layers; i++)
        for (int32_t k = 0; k < 3 && p->taps[i].grad[k] >= 0; k++) {
            const dfqi_super_layer *l = &r->net.layers[i];
            const float *have = dfqi_exec_data(p->e, p->taps[i].grad[k]);
            int64_t n = dfqi_tensor_count(l->t[k]);
            if (k < 2 || l->relu) {
                const float *want =
                    dfqt_golden_data(&r->st, prefix, tensor_name(name, "grad.", i, k));
                dfqt_golden_compare(have, want, n, 2e-5, prefix, name);
            } else { /* what the next norm takes away */
                for (int64_t j = 0; j < n; j++) ck_assert_float_le(have[j] * have[j], 1e-12f);
            }
        }
}

START_TEST(passes_agree_with_pytorch)
{
    rig r = begin();
    dfqi_super_pass p;
    double gates[CELLS];
    float single[CELLS];
    char prefix[8];
    snprintf(prefix, sizeof prefix, "%d.", _i);
    ck_assert_int_eq(dfqi_super_pass_new(&r.net, paths[_i], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    dfqi_exec_bind(p.e, p.x, dfqt_golden_data(&r.st, "", "x"));
    dfqi_exec_bind(p.e, p.targets, dfqt_golden_data(&r.st, "", "targets"));
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    dfqt_golden_compare(dfqi_exec_data(p.e, p.logits), dfqt_golden_data(&r.st, prefix, "logits"),
                        BATCH * CLASSES, 5e-6, prefix, "logits");
    dfqt_golden_compare(dfqi_exec_data(p.e, p.loss), dfqt_golden_data(&r.st, prefix, "loss"), 1,
                        1e-6, prefix, "loss");
    dfqi_super_pass_gates(&p, gates);
    for (int32_t c = 0; c < CELLS; c++) single[c] = (float)gates[c];
    dfqt_golden_compare(single, dfqt_golden_data(&r.st, prefix, "gates"), CELLS, 2e-5, prefix,
                        "gates");
    compare_gradients(&r, &p, prefix);
    dfqi_super_pass_fini(&p);
    end(&r);
}
END_TEST

/* Image 0 as class 0 is all there is, so that whatever is drawn is the same batch. */
START_TEST(steps_agree_with_pytorch)
{
    static const int along[3] = {1, 0, 1};
    static const int32_t label = 0;
    rig r = begin();
    dfqi_super_options o;
    dfqi_super_train *t;
    float loss;
    char name[TEXT];
    dfqi_super_data data = {1, dfqt_golden_data(&r.st, "", "x"), &label};
    dfqi_super_defaults(&o);
    o.batch = BATCH;
    o.steps = 10;
    o.learning_rate = 0.05f;
    o.weight_decay = 0.01f;
    o.crop = 0;
    ck_assert_int_eq(dfqi_super_train_new(&r.net, &o, &t), DFQ_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dfqi_super_train_step(t, &data, paths[along[i]], &loss), DFQ_OK);
        snprintf(name, sizeof name, "step%d.", i);
        dfqt_golden_compare(&loss, dfqt_golden_data(&r.st, name, "loss"), 1, 3e-6, name, "loss");
    }
    for (int32_t i = 0; i < r.net.n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS && r.net.layers[i].t[k]; k++) {
            const dfq_tensor *v = r.net.layers[i].t[k];
            const float *want = dfqt_golden_data(&r.st, "after.", tensor_name(name, "", i, k));
            dfqt_golden_compare(dfqi_tensor_f32(v), want, dfqi_tensor_count(v), 2e-5, "after.",
                                name);
        }
    dfqi_super_train_release(t);
    end(&r);
}
END_TEST

TCase *dfqt_super_mbconv_case(void)
{
    TCase *c = tcase_create("super_mbconv");
    tcase_add_loop_test(c, passes_agree_with_pytorch, 0, 2);
    tcase_add_test(c, steps_agree_with_pytorch);
    return c;
}
