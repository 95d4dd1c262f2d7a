/* Diagnoses of a random pair: what they agree with, determinism, stopping and going on. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "diagnose/cases.h"
#include "quant/evaluate.h"
#include "tune/cases.h"
#include "tune/diagnose.h"

static dfqi_diagnose_options small(void)
{
    dfqi_diagnose_options o;
    dfqi_diagnose_defaults(&o);
    o.batch = 3;
    o.temperature = 5;
    o.curvature = (dfqi_loss_curvature_options){.seed = 4, .probes = 2, .power = 3, .grid = 3};
    return o;
}

static dfqi_diagnosis *start(const dfqt_pair *p, const dfq_tensor *labels,
                             const dfqi_diagnose_options *o)
{
    dfqi_diagnosis *d;
    ck_assert_msg(dfqi_diagnosis_new(p->teacher, p->student, p->images, labels, o, &d) == DFQ_OK,
                  "%s", p->ctx->error);
    return d;
}

static uint64_t bits_of(const dfqi_diagnosis *d)
{
    const dfqi_loss_curvature *s = dfqi_diagnosis_curvature(d);
    uint64_t hash = dfqi_hash(DFQI_HASH_START, s->loss, sizeof s->loss);
    hash = dfqi_hash(hash, &s->cosine, sizeof s->cosine);
    hash = dfqi_hash(hash, s->table,
                     (size_t)s->l->n_weights * DFQI_LOSS_CURVATURE_COLUMNS * sizeof *s->table);
    return dfqi_hash(hash, s->surface,
                     (size_t)(DFQI_SLOPES * s->o.grid * s->o.grid) * sizeof *s->surface);
}

static double cross_entropy(const float *z, int64_t n, int label)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++) sum += exp((double)z[c]);
    return log(sum) - (double)z[label];
}

/* The copy is the student: the loss is that of the student's logits, with and without rounding. */
START_TEST(test_is_the_student)
{
    enum { N = 7, CLASSES = 6 };
    dfqt_pair p = dfqt_pair_new(2, _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY, N);
    dfqi_diagnose_options o = small();
    float t[N * CLASSES], s[N * CLASSES];
    double ce = 0;
    int agree = 0;
    uint64_t before = dfqt_bits(p.student);
    dfqi_diagnosis *d = start(&p, NULL, &o);
    ck_assert_ptr_null(dfqi_diagnosis_curvature(d));
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(p.teacher, dfqi_tensor_f32(p.images), N, t), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(p.student, dfqi_tensor_f32(p.images), N, s), DFQ_OK);
    for (int i = 0; i < N; i++) {
        int top[2] = {0, 0};
        for (int c = 1; c < CLASSES; c++) {
            if (t[i * CLASSES + c] > t[i * CLASSES + top[0]]) top[0] = c;
            if (s[i * CLASSES + c] > s[i * CLASSES + top[1]]) top[1] = c;
        }
        agree += top[0] == top[1];
        ce += cross_entropy(s + i * CLASSES, CLASSES, top[0]) / N;
    }
    const dfqi_loss_curvature *r = dfqi_diagnosis_curvature(d);
    dfqi_agreement a = dfqi_diagnosis_agreement(d);
    ck_assert_int_eq(a.agree, agree);
    ck_assert_int_eq(a.teacher, N); /* without labels the teacher is right */
    ck_assert_int_eq(a.student, agree);
    ck_assert_msg(fabs(r->loss[DFQI_SLOPE_CE].loss - ce) < 1e-5 * ce, "%g, expected %g",
                  r->loss[DFQI_SLOPE_CE].loss, ce);
    for (int k = 0; k < DFQI_SLOPES; k++)
        ck_assert(r->surface[9 * k + 4] == (float)r->loss[k].loss);
    ck_assert_uint_eq(before, dfqt_bits(p.student));
    dfqi_diagnosis_release(d);
    o.round = 0;
    d = start(&p, NULL, &o);
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
    ck_assert(fabs(dfqi_diagnosis_curvature(d)->loss[DFQI_SLOPE_CE].loss - ce) > 1e-4 * ce);
    ck_assert_int_eq(dfqi_diagnosis_agreement(d).agree, agree);
    dfqi_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_labels)
{
    enum { N = 5 };
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, N);
    dfqi_diagnose_options o = small();
    float z[N * 6];
    dfq_tensor *labels;
    o.curvature = (dfqi_loss_curvature_options){0};
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_I32, 1, (int64_t[]){N}, &labels), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(p.student, dfqi_tensor_f32(p.images), N, z), DFQ_OK);
    double ce = 0;
    for (int i = 0; i < N; i++) {
        ((int32_t *)labels->data)[i] = i;
        ce += cross_entropy(z + 6 * i, 6, i) / N;
    }
    dfqi_diagnosis *d = start(&p, labels, &o);
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
    ck_assert(fabs(dfqi_diagnosis_curvature(d)->loss[DFQI_SLOPE_CE].loss - ce) < 1e-5 * ce);
    ck_assert(dfqi_diagnosis_agreement(d).teacher < N);
    ck_assert(isnan(dfqi_diagnosis_curvature(d)->loss[0].trace));
    dfqi_diagnosis_release(d);
    dfqi_tensor_release(labels);
    dfqt_pair_end(&p);
}
END_TEST

/* T = 1 without the division is the plain divergence; with it, a part of it. */
START_TEST(test_factors)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 4);
    dfqi_diagnose_options o = small();
    o.curvature = (dfqi_loss_curvature_options){0};
    o.temperature = 1;
    for (int divide = 0; divide < 2; divide++) {
        o.divide = divide;
        dfqi_diagnosis *d = start(&p, NULL, &o);
        ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
        const dfqi_loss_curvature_loss *l = dfqi_diagnosis_curvature(d)->loss;
        double have = l[DFQI_SLOPE_KL].loss * (divide ? 6 : 1), want = l[DFQI_SLOPE_PLAIN].loss;
        ck_assert_msg(fabs(have - want) < 1e-6 * want, "%g, expected %g", have, want);
        dfqi_diagnosis_release(d);
    }
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_threads)
{
    uint64_t bits[2];
    for (int i = 0; i < 2; i++) {
        dfqt_pair p = dfqt_pair_new(i ? 3 : 1, DFQI_MODE_IMPROVED, 7);
        dfqi_diagnose_options o = small();
        dfqi_diagnosis *d = start(&p, NULL, &o);
        ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
        bits[i] = bits_of(d);
        dfqi_diagnosis_release(d);
        dfqt_pair_end(&p);
    }
    ck_assert_uint_eq(bits[0], bits[1]);
}
END_TEST

static int32_t stop_often(const dfq_progress *progress, void *user)
{
    int *calls = user;
    ck_assert_str_eq(progress->stage, "diagnose");
    ck_assert_uint_le(progress->done, progress->total);
    return ++*calls % 7 == 0;
}

/* Stopped in the middle of passes of every stage, it finds the same bits; and the last report is
 * the whole. */
START_TEST(test_cancel)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_PARITY, 7);
    dfqi_diagnose_options o = small();
    int calls = 0, stops = 0;
    dfqi_diagnosis *d = start(&p, NULL, &o), *whole = start(&p, NULL, &o);
    ck_assert_int_eq(dfqi_diagnosis_run(whole), DFQ_OK);
    p.ctx->progress = stop_often;
    p.ctx->progress_user = &calls;
    dfq_status status;
    while ((status = dfqi_diagnosis_run(d)) == DFQ_E_CANCELLED) stops++;
    ck_assert_int_eq(status, DFQ_OK);
    ck_assert_int_gt(stops, 5);
    ck_assert_uint_eq(bits_of(d), bits_of(whole));
    dfqi_diagnosis_release(d);
    dfqi_diagnosis_release(whole);
    dfqt_pair_end(&p);
}
END_TEST

/* A convolutional network: weights from the smallest to the largest of a row, ReLUs rounded; not
 * before its ranges are known. */
START_TEST(test_cnn)
{
    enum { N = 5, CLASSES = 4 };
    dfqt_pair p = dfqt_cnn_pair_new(2);
    dfqi_diagnose_options o = small();
    dfqi_diagnosis *d = NULL;
    dfqi_rng r = dfqi_rng_make(8, 8);
    float t[N * CLASSES], s[N * CLASSES];
    double ce = 0;
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, (int64_t[]){N, 3, 8, 8}, &p.images),
                     DFQ_OK);
    dfqi_rng_fill_normal(&r, dfqi_tensor_f32(p.images), N * 3 * 8 * 8);
    ck_assert_int_eq(dfqi_diagnosis_new(p.teacher, p.student, p.images, NULL, &o, &d),
                     DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(p.ctx->error, "range"));
    ck_assert_int_eq(dfqi_scheme_calibrate(&p.student->scheme, &p.teacher->net, &p.student->net,
                                           dfqi_tensor_f32(p.images), N),
                     DFQ_OK);
    d = start(&p, NULL, &o);
    ck_assert_msg(dfqi_diagnosis_run(d) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_model_logits(p.teacher, dfqi_tensor_f32(p.images), N, t), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(p.student, dfqi_tensor_f32(p.images), N, s), DFQ_OK);
    for (int i = 0; i < N; i++) {
        int top = 0;
        for (int c = 1; c < CLASSES; c++)
            if (t[i * CLASSES + c] > t[i * CLASSES + top]) top = c;
        ce += cross_entropy(s + i * CLASSES, CLASSES, top) / N;
    }
    const dfqi_loss_curvature *v = dfqi_diagnosis_curvature(d);
    ck_assert_msg(fabs(v->loss[DFQI_SLOPE_CE].loss - ce) < 1e-5 * ce, "%g, expected %g",
                  v->loss[DFQI_SLOPE_CE].loss, ce);
    ck_assert(isfinite(v->cosine) && v->loss[0].eigenvalue > 0);
    ck_assert(v->surface[4] == (float)v->loss[0].loss);
    dfqi_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_diagnose_job_case(void)
{
    TCase *t = tcase_create("job");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_is_the_student, 0, 2);
    tcase_add_test(t, test_labels);
    tcase_add_test(t, test_factors);
    tcase_add_test(t, test_threads);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_cnn);
    return t;
}
