/* Reports, the estimate of the time left, and the two ways to cancel. */
#include <math.h>
#include <string.h>

#include "base/cases.h"
#include "base/compiler.h"
#include "base/progress.h"

typedef struct host {
    dfq_progress last;
    int32_t answer;
    int calls;
} host;

static int32_t on_progress(const dfq_progress *p, void *user)
{
    host *h = user;
    h->last = *p;
    h->calls++;
    return h->answer;
}

static dfq_context *make(host *h)
{
    dfq_context_options o = {0};
    dfq_context *ctx = NULL;
    memset(h, 0, sizeof *h);
    o.progress = on_progress;
    o.progress_user = h;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

START_TEST(test_report)
{
    host h;
    dfq_context *ctx = make(&h);
    dfqi_stage s = dfqi_stage_begin(ctx, "tune", 40, 100);
    s.start -= 10.0; /* as if ten seconds had passed */
    ck_assert_int_eq(dfqi_stage_report(&s, 60, 0.5), DFQ_OK);
    ck_assert_int_eq(h.calls, 1);
    ck_assert_uint_eq(h.last.struct_size, sizeof(dfq_progress));
    ck_assert_str_eq(h.last.stage, "tune");
    ck_assert_double_eq_tol(h.last.fraction, 0.6, 1e-12);
    ck_assert_double_eq(h.last.loss, 0.5);
    ck_assert_double_ge(h.last.elapsed_s, 10.0); /* and what a busy machine adds */
    /* 20 units in 10 s here, 40 to go; the 40 of an earlier process do not count. */
    ck_assert_double_eq_tol(h.last.left_s, 2.0 * h.last.elapsed_s, 1e-6);
    ck_assert_int_eq(dfqi_stage_report(&s, 100, (double)NAN), DFQ_OK);
    ck_assert_double_eq(h.last.left_s, 0.0);
    ck_assert(isnan(h.last.loss));
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_unknown_time)
{
    host h;
    dfq_context *ctx = make(&h);
    dfqi_stage s = dfqi_stage_begin(ctx, "eval", 3, 9);
    ck_assert_int_eq(dfqi_stage_report(&s, 3, 0.0), DFQ_OK);
    ck_assert(isnan(h.last.left_s));
    s = dfqi_stage_begin(ctx, "eval", 0, 0);
    ck_assert_int_eq(dfqi_stage_report(&s, 3, 0.0), DFQ_OK);
    ck_assert(isnan(h.last.left_s));
    ck_assert_double_eq(h.last.fraction, 0.0);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_cancel)
{
    host h;
    dfq_context *ctx = make(&h);
    dfqi_stage s = dfqi_stage_begin(ctx, "synth", 0, 10);
    h.answer = 1;
    ck_assert_int_eq(dfqi_stage_report(&s, 4, 0.0), DFQ_E_CANCELLED);
    ck_assert_str_eq(ctx->error, "cancelled: synth stopped after 4 of 10");
    h.answer = 0;
    ck_assert_int_eq(dfqi_stage_report(&s, 5, 0.0), DFQ_OK);
    dfqi_flag_raise(&ctx->cancel);
    ck_assert_int_eq(dfqi_stage_report(&s, 6, 0.0), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_stage_report(&s, 7, 0.0), DFQ_OK); /* one request stops one call */
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_clock)
{
    double a = dfqi_now();
    ck_assert_double_ge(dfqi_now(), a);
}
END_TEST

START_TEST(test_seconds_left)
{
    ck_assert_double_eq(dfqi_seconds_left(6, 3, 5), 10);
    ck_assert_double_eq(dfqi_seconds_left(6, 3, 0), 0);
    ck_assert_double_eq(dfqi_seconds_left(0, 0, 0), 0);
    ck_assert(isnan(dfqi_seconds_left(0, 0, 5)));
}
END_TEST

TCase *dfqt_progress_case(void)
{
    TCase *t = tcase_create("progress");
    tcase_add_test(t, test_seconds_left);
    tcase_add_test(t, test_report);
    tcase_add_test(t, test_unknown_time);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_clock);
    return t;
}
