/* What goes wrong: options, networks, images, labels, numbers, memory. */
#include <math.h>
#include <string.h>

#include "diagnose/cases.h"
#include "support/fail_alloc.h"
#include "tune/cases.h"
#include "tune/codes.h"
#include "tune/diagnose.h"

static void refuse(const dfqt_pair *p, const dfq_tensor *labels, dfqi_diagnose_options o,
                   dfq_status want, const char *word)
{
    dfqi_diagnosis *d = NULL;
    dfq_status status = dfqi_diagnosis_new(p->teacher, p->student, p->images, labels, &o, &d);
    ck_assert_msg(status == want && strstr(p->ctx->error, word), "%s: %d, %s", word, (int)status,
                  p->ctx->error);
    ck_assert_ptr_null(d);
}

START_TEST(test_options)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    dfqi_diagnose_options o;
#define REFUSE(field, value, word)                                                                 \
    do {                                                                                           \
        dfqi_diagnose_defaults(&o);                                                                \
        o.field = (value);                                                                         \
        refuse(&p, NULL, o, DFQ_E_INVALID, word);                                                  \
    } while (0)
    REFUSE(batch, 0, "batch is 0");
    REFUSE(batch, 5000, "batch");
    REFUSE(round, 2, "round_activations");
    REFUSE(divide, -1, "divide_by_classes");
    REFUSE(temperature, 0.0f, "temperature");
    REFUSE(temperature, NAN, "temperature");
    REFUSE(curvature.probes, -1, "probes");
    REFUSE(curvature.power, 10001, "power_iterations");
    REFUSE(curvature.grid, 1, "odd from 3 on");
    REFUSE(curvature.grid, 10, "odd from 3 on");
    REFUSE(curvature.grid, 103, "grid is 103");
#undef REFUSE
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_networks_and_images)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 2), q = p;
    dfqi_diagnose_options o;
    dfq_tensor *labels;
    dfqi_diagnose_defaults(&o);
    q.teacher = p.student;
    refuse(&q, NULL, o, DFQ_E_INVALID, "teacher is quantized");
    q = p;
    q.student = p.teacher;
    refuse(&q, NULL, o, DFQ_E_INVALID, "student is not quantized");
    q = p;
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, (int64_t[]){2, 3, 16, 20}, &q.images),
                     DFQ_OK);
    refuse(&q, NULL, o, DFQ_E_SHAPE, "[2,3,16,20]");
    dfqi_tensor_release(q.images);
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_I32, 1, (int64_t[]){3}, &labels), DFQ_OK);
    refuse(&p, labels, o, DFQ_E_SHAPE, "labels are I32 [3]");
    dfqi_tensor_release(labels);
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_I32, 1, (int64_t[]){2}, &labels), DFQ_OK);
    ((int32_t *)labels->data)[1] = 6;
    refuse(&p, labels, o, DFQ_E_INVALID, "label 1 is 6");
    ((int32_t *)labels->data)[1] = -1;
    refuse(&p, labels, o, DFQ_E_INVALID, "must be 0 to 5, a class of");
    dfqi_tensor_release(labels);
    p.teacher->net.arch.classes++;
    refuse(&p, NULL, o, DFQ_E_SHAPE, "different sizes");
    p.teacher->net.arch.classes--;
    dfqt_pair other = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    q = p;
    q.teacher = other.teacher;
    refuse(&q, NULL, o, DFQ_E_INVALID, "different contexts");
    dfqt_pair_end(&other);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_not_finite)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 3);
    dfqi_diagnosis *d;
    dfqi_diagnose_options o;
    dfqi_diagnose_defaults(&o);
    const dfqi_model *broken = _i ? p.teacher : p.student;
    dfqi_tensor_f32(dfqi_network_find(&broken->net, "blocks.1.mlp.fc1.bias"))[3] = NAN;
    ck_assert_int_eq(dfqi_diagnosis_new(p.teacher, p.student, p.images, NULL, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(
        strstr(p.ctx->error, _i ? "float network are not finite for image 0" : "must be finite"));
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_E_NUMERIC); /* and stays so */
    dfqi_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

/* Each allocation of a diagnosis and of a count is refused once. */
static dfq_status life(dfq_context *ctx, void *arg)
{
    dfqt_pair p;
    dfqi_diagnosis *d = NULL;
    dfqi_crossings *c = NULL;
    dfq_tensor *rows = NULL;
    dfqi_diagnose_options o;
    dfq_status status;
    (void)arg;
    dfqi_diagnose_defaults(&o);
    o.batch = 1;
    o.curvature = (dfqi_loss_curvature_options){.probes = 1, .power = 1, .grid = 3};
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 2, &p));
    DFQI_GOTO(dfqi_crossings_new(p.student, &c), out);
    DFQI_GOTO(dfqi_crossings_measure(c, &rows), out);
    DFQI_GOTO(dfqi_diagnosis_new(p.teacher, p.student, p.images, NULL, &o, &d), out);
    status = dfqi_diagnosis_run(d);
out:
    dfqi_tensor_release(rows);
    dfqi_crossings_release(c);
    dfqi_diagnosis_release(d);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_no_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

/* What failed for want of memory can go on when there is some. */
START_TEST(test_memory_comes_back)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options c = {.struct_size = sizeof c, .threads = 1, .allocator = &a};
    dfq_context *ctx = NULL;
    dfqt_pair p;
    dfqi_diagnosis *d;
    dfqi_diagnose_options o;
    int refused = 0;
    int32_t finished = 0;
    ck_assert_int_eq(dfqi_context_create(&c, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 3, &p), DFQ_OK);
    dfqi_diagnose_defaults(&o);
    o.batch = 2;
    o.curvature = (dfqi_loss_curvature_options){.probes = 1, .power = 2, .grid = 3};
    ck_assert_int_eq(dfqi_diagnosis_new(p.teacher, p.student, p.images, NULL, &o, &d), DFQ_OK);
    while (!finished) {
        fa.fail_at = fa.calls; /* the first request of this step */
        dfq_status status = dfqi_diagnosis_step(d, &finished);
        if (status == DFQ_OK) continue;
        ck_assert_int_eq(status, DFQ_E_NOMEM);
        refused++;
        fa.fail_at = -1;
        ck_assert_int_eq(dfqi_diagnosis_step(d, &finished), DFQ_OK);
    }
    ck_assert_int_ge(refused, 5); /* start, gradients, three eigenvalues, plane */
    ck_assert(isfinite(dfqi_diagnosis_curvature(d)->surface[0]));
    dfqi_diagnosis_release(d);
    dfqt_pair_fini(&p);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_diagnose_failure_case(void)
{
    TCase *t = tcase_create("failure");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_options);
    tcase_add_test(t, test_networks_and_images);
    tcase_add_loop_test(t, test_not_finite, 0, 2);
    tcase_add_test(t, test_no_memory);
    tcase_add_test(t, test_memory_comes_back);
    return t;
}
