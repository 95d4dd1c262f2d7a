/* A very small transformer at 3-bit weights against PyTorch in double precision, which has its
 * whole Hessian. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/cases.h"
#include "io/safetensors.h"
#include "support/suite.h"
#include "tune/cases.h"
#include "tune/diagnose.h"
#include "support/small_vit.h"

enum { WEIGHTS = 6, PROBES = 300 };

static dfqi_network small_network(dfq_context *ctx, const dfqi_safetensors *st)
{
    dfqi_arch a = dfqt_vit(
        8, 4, (dfqi_vit_arch){.patch = 4, .width = 8, .depth = 1, .heads = 2, .hidden = 12});
    dfqi_network net;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_params; i++) {
        dfq_tensor *t = net.params[i].tensor;
        char name[96];
        snprintf(name, sizeof name, "weight.%s", net.params[i].name);
        const dfq_tensor *from = dfqi_st_find(st, name);
        ck_assert_msg(from && dfqi_tensor_count(from) == dfqi_tensor_count(t), "%s", name);
        memcpy(t->data, from->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    }
    return net;
}

static const float *data_of(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "%s", name);
    return t->data;
}

static void near(double have, double want, double limit, const char *what, int k)
{
    ck_assert_msg(fabs(have - want) <= limit, "%s %d: %.7g, expected %.7g", what, k, have, want);
}

static void compare(const dfqi_loss_curvature *s, const dfqi_safetensors *st)
{
    const float *loss = data_of(st, "loss"), *norm = data_of(st, "norm");
    const float *norms = data_of(st, "norms"), *cosines = data_of(st, "cosines");
    const float *trace = data_of(st, "trace"), *traces = data_of(st, "traces");
    const float *value = data_of(st, "eigenvalue"), *off = data_of(st, "frobenius");
    near(s->cosine, *data_of(st, "cosine"), 1e-5, "cosine", 0);
    for (int k = 0; k < DFQI_SLOPES; k++) {
        const dfqi_loss_curvature_loss *l = &s->loss[k];
        double error = sqrt(2.0 / PROBES) * off[k];
        near(l->loss, loss[k], 1e-5 * loss[k], "loss", k);
        near(l->norm, norm[k], 1e-5 * norm[k], "norm", k);
        near(l->trace_error, error, 0.25 * error, "error of the trace", k);
        near(l->trace, trace[k], 3 * error, "trace", k);
        ck_assert_msg(error < 0.15 * trace[k], "an error of %g of %g tells nothing", error,
                      (double)trace[k]);
        near(l->eigenvalue, value[k], 0.03 * value[k], "eigenvalue", k);
        ck_assert_int_eq(l->settled, 1);
        for (int i = 0; i < WEIGHTS; i++) {
            const float *row = s->table + i * DFQI_LOSS_CURVATURE_COLUMNS;
            near(row[DFQI_LOSS_CURVATURE_NORM + k], norms[k * WEIGHTS + i], 1e-5 * norm[k], "norms",
                 i);
            near(row[DFQI_LOSS_CURVATURE_TRACE + k], traces[k * WEIGHTS + i], 3 * error, "traces",
                 i);
        }
    }
    for (int i = 0; i < WEIGHTS; i++)
        near(s->table[i * DFQI_LOSS_CURVATURE_COLUMNS], cosines[i], 1e-5, "cosines", i);
}

START_TEST(test_torch)
{
    char path[400];
    dfqi_safetensors st;
    dfq_context *ctx = dfqt_context(1);
    dfqi_scheme scheme;
    dfqi_model *teacher, *student;
    dfqi_diagnosis *d;
    dfqi_diagnose_options o;
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "diagnose.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    dfqi_network net = small_network(ctx, &st), copy;
    const dfq_tensor *x = dfqi_st_find(&st, "x"), *labels = dfqi_st_find(&st, "labels");
    ck_assert_int_eq(dfqi_scheme_new(&net, DFQI_MODE_PARITY, (dfqi_widths){3, 8, 0}, &scheme),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_network_clone(&net, &copy), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_calibrate(&scheme, &net, &copy, x->data, x->dims[0]), DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &teacher), DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&copy, &scheme, &student), DFQ_OK);
    dfqi_diagnose_defaults(&o);
    o.round = 0;
    o.batch = 2;
    o.curvature = (dfqi_loss_curvature_options){.seed = 7, .probes = PROBES, .power = 200};
    ck_assert_msg(dfqi_diagnosis_new(teacher, student, x, labels, &o, &d) == DFQ_OK, "%s",
                  ctx->error);
    ck_assert_int_eq(dfqi_diagnosis_count(d), WEIGHTS);
    ck_assert_msg(dfqi_diagnosis_run(d) == DFQ_OK, "%s", ctx->error);
    compare(dfqi_diagnosis_curvature(d), &st);
    dfqi_diagnosis_release(d);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
    dfqi_st_fini(&st);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_diagnose_golden_case(void)
{
    TCase *t = tcase_create("golden");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_torch);
    return t;
}
