/* The public face: dfq/diagnosis.h. */
#include <dfq/dfq.h>
#include <math.h>
#include <string.h>

#include "diagnose/cases.h"
#include "tune/cases.h"

static dfq_diagnosis_options small_options(void)
{
    dfq_diagnosis_options o;
    dfq_diagnosis_options_init(&o, sizeof o);
    o.batch = 2;
    o.probes = 2;
    o.power_iterations = 2;
    o.grid = 3;
    return o;
}

static dfq_diagnosis_loss loss_of(const dfq_diagnosis *d, int32_t loss)
{
    dfq_diagnosis_loss l = {.struct_size = sizeof l};
    ck_assert_int_eq(dfq_diagnosis_get_loss(d, loss, &l), DFQ_OK);
    return l;
}

START_TEST(test_whole_life)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, 5);
    dfq_crossings *crossings;
    dfq_diagnosis *d;
    dfq_diagnosis_options o = small_options();
    dfq_diagnosis_result r = {.struct_size = sizeof r};
    dfq_tensor *rows, *weights, *surface;
    int32_t finished = -1;
    ck_assert_int_eq(dfq_crossings_create(p.student, &crossings), DFQ_OK);
    ck_assert_int_eq(dfq_crossings_measure(crossings, &rows), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(rows)[0], dfq_crossings_get_count(crossings));
    ck_assert_int_eq(dfq_tensor_get_dims(rows)[1], DFQ_CROSSED_COUNT);
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfq_diagnosis_get_result(d, &r), DFQ_OK);
    ck_assert(isnan(r.cosine) && isnan(loss_of(d, 0).loss) && r.agree == 0 && r.images == 5);
    ck_assert_int_eq(dfq_diagnosis_get_surface(d, &surface), DFQ_OK);
    ck_assert(isnan(*(float *)dfq_tensor_get_data(surface)));
    dfq_tensor_release(surface);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(dfq_diagnosis_step(d, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    ck_assert_int_eq(dfq_diagnosis_run(d), DFQ_OK);
    ck_assert_int_eq(dfq_diagnosis_step(d, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 1);
    ck_assert_int_eq(dfq_diagnosis_get_result(d, &r), DFQ_OK);
    ck_assert(fabs(r.cosine) <= 1 && r.teacher_correct == 5 && r.weights == 10);
    ck_assert(loss_of(d, DFQ_DIAGNOSIS_KL).loss > 0);
    const dfq_diagnosis_loss ce = loss_of(d, DFQ_DIAGNOSIS_CE);
    ck_assert(isfinite(ce.trace) && ce.trace_error > 0);
    ck_assert(isfinite(ce.eigenvalue) && ce.iterations > 0 && ce.iterations <= 2);
    ck_assert_int_eq(dfq_diagnosis_get_weights(d, &weights), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(weights)[0], r.weights);
    ck_assert_int_eq(dfq_tensor_get_dims(weights)[1], DFQ_DIAGNOSIS_COUNT);
    /* the weights' gradients and blocks make up the whole */
    const float *w = dfq_tensor_get_data(weights);
    double square = 0, trace = 0;
    for (int i = 0; i < r.weights; i++, w += DFQ_DIAGNOSIS_COUNT) {
        double norm = (double)w[DFQ_DIAGNOSIS_NORM + DFQ_DIAGNOSIS_CE];
        square += norm * norm;
        trace += (double)w[DFQ_DIAGNOSIS_TRACE + DFQ_DIAGNOSIS_CE];
        ck_assert_str_eq(dfq_diagnosis_get_name(d, i), dfq_crossings_get_name(crossings, i));
    }
    ck_assert(fabs(sqrt(square) - ce.gradient_norm) < 1e-5 * ce.gradient_norm);
    ck_assert(fabs(trace - ce.trace) < 1e-4 * (fabs(trace) + 1));
    ck_assert_int_eq(dfq_diagnosis_get_surface(d, &surface), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(surface)[0], DFQ_DIAGNOSIS_LOSSES);
    ck_assert_int_eq(dfq_tensor_get_dims(surface)[2], 3);
    dfq_tensor_release(rows);
    dfq_tensor_release(weights);
    dfq_tensor_release(surface);
    dfqt_pair_end(&p);
    dfq_crossings_release(crossings);
    dfq_diagnosis_release(d); /* the last handle: it kept networks, images and context */
}
END_TEST

START_TEST(test_bad_arguments)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    dfq_crossings *c = NULL;
    dfq_diagnosis *d = NULL;
    dfq_tensor *t = NULL;
    dfq_diagnosis_result r = {.struct_size = 0};
    dfq_diagnosis_loss loss = {.struct_size = sizeof loss}, unset = {.struct_size = 0};
    dfq_diagnosis_options o = small_options();
    int32_t finished;
    struct {
        dfq_diagnosis_options o;
        uint64_t more;
    } newer;
    ck_assert_int_eq(dfq_crossings_create(NULL, &c), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_crossings_create(p.student, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_crossings_create(p.teacher, &c), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_crossings_measure(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_crossings_get_count(NULL), 0);
    ck_assert_ptr_null(dfq_crossings_get_name(NULL, 0));
    ck_assert_int_eq(dfq_crossings_create(p.student, &c), DFQ_OK);
    ck_assert_int_eq(dfq_crossings_measure(c, NULL), DFQ_E_INVALID);
    ck_assert_ptr_null(dfq_crossings_get_name(c, -1));
    ck_assert_ptr_null(dfq_crossings_get_name(c, dfq_crossings_get_count(c)));
    dfq_crossings_release(c);
    dfq_crossings_release(NULL);
    ck_assert_int_eq(dfq_diagnosis_create(NULL, p.student, p.images, NULL, &o, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, NULL, p.images, NULL, &o, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, NULL, NULL, &o, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, NULL),
                     DFQ_E_INVALID);
    o.grid = 4;
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d),
                     DFQ_E_INVALID);
    o.grid = 0;
    o.reserved = 1;
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d),
                     DFQ_E_UNSUPPORTED);
    dfq_diagnosis_options_init(&newer.o, sizeof newer);
    newer.more = 1;
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &newer.o, &d),
                     DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(d);
    o.reserved = 0;
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfq_diagnosis_step(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_step(NULL, &finished), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_run(NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_result(d, &r), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_result(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_loss(d, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_loss(NULL, 0, &loss), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_loss(d, 0, &unset), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_loss(d, -1, &loss), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_loss(d, DFQ_DIAGNOSIS_LOSSES, &loss), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(p.ctx->error, "loss is 3, must be 0 to 2"));
    ck_assert_int_eq(dfq_diagnosis_get_weights(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_get_surface(d, &t), DFQ_E_INVALID); /* there is no grid */
    ck_assert_ptr_nonnull(strstr(p.ctx->error, "loss surface was not computed"));
    ck_assert_ptr_null(dfq_diagnosis_get_name(d, 10));
    ck_assert_ptr_null(dfq_diagnosis_get_name(NULL, 0));
    ck_assert_ptr_null(t);
    dfq_diagnosis_release(NULL);
    dfq_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_diagnose_api_case(void)
{
    TCase *t = tcase_create("api");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_whole_life);
    tcase_add_test(t, test_bad_arguments);
    return t;
}
