/* What a job is said to take: the sum over its steps by hand, and a measurement that leaves no
 * trace. */
#include "explore/coexplore/estimate_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/coexplore_scene.h"
#include "support/fail_alloc.h"

/* Powers of ten: each digit of a sum counts the steps of one kind. */
static const dfqi_coexplore_pace pace = {.large = 1,
                                         .path = 100,
                                         .derived = 100,
                                         .judge = 1e4,
                                         .move = 1e6,
                                         .start = 1e8,
                                         .finish = 7,
                                         .recalibrate = 8,
                                         .image = 9};

static dfq_explorer_needs left(const dfqi_coexplore *e)
{
    dfq_explorer_needs t;
    dfqi_coexplore_left(e, &pace, &t);
    ck_assert_double_eq(t.image, 9);
    return t;
}

/* 6 steps of warm-up, one of them along the largest; rounds of 2 steps of weights, judged paths and
 * 2 steps of the solver, of which the third has one; 4 steps of training. */
START_TEST(every_step_counts_once)
{
    /* Of exploring: start, solver steps, judged paths, weights, two digits each. */
    static const double explore[] = {105030600, 5030500, 5030400, 4020400, 3020400, 3020300,
                                     3020200,   2010200, 1010200, 1010100, 1010000};
    dfqt_scene s;
    int32_t finished = 0;
    dfqi_coexplore *e;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    for (int i = 0; i < UNITS; i++) {
        dfq_explorer_needs t = left(e);
        int at = i - (int)s.o.warmup_steps, train = at - 11;
        ck_assert_double_eq(t.warmup, i > 6 ? 0 : i == 0 ? 501 : 100 * (6 - i));
        if (at >= 0 && at < 11)
            ck_assert_msg(t.explore == explore[at], "step %d: %.0f", at, t.explore);
        else
            ck_assert_double_eq(t.explore, at < 0 ? explore[0] : 0);
        ck_assert_double_eq(t.derive, at < 11 ? 7 : 0);
        ck_assert_double_eq(t.train, train > 0 ? 100 * (4 - train) : 400);
        ck_assert_double_eq(t.recalibrate, 8);
        ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    }
    ck_assert_int_eq(finished, 1);
    dfq_explorer_needs t = left(e);
    ck_assert(t.warmup == 0 && t.explore == 0 && t.derive == 0 && t.train == 0);
    ck_assert_double_eq(t.recalibrate, 0);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* The rule that steps the accelerator alone begins with that, and every 100 steps. A result of more
 * work than a drawn path makes half of the difference while exploring. */
START_TEST(rules_and_sizes_count)
{
    dfqt_scene s;
    dfqi_coexplore *e;
    dfq_explorer_needs t;
    dfqi_coexplore_pace other = pace;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    s.solver.rule = DFQ_RULE_ALTERNATE;
    s.solver.steps = 201;
    s.solver.snapshot_every = 0;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    other.derived = 300;
    dfqi_coexplore_left(e, &other, &t);
    ck_assert_double_eq(t.explore, 3e8 + 201e6 + 2 * (101e4 + 202e2));
    ck_assert_double_eq(t.train, 1200);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Of both families, at the beginning of each stage and within: all is finite, what is over is 0,
 * and the job ends with the bits of one that nobody asked. */
START_TEST(measuring_leaves_no_trace)
{
    dfqt_scene s;
    uint64_t sum[2];
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(_i, &s);
    for (int asked = 0; asked < 2; asked++) {
        int32_t finished = 0;
        dfqi_coexplore *e;
        ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
        for (int i = 0; !finished; i++) {
            dfq_explorer_needs t;
            if (asked && i % 4 == 0) {
                ck_assert_msg(dfqi_coexplore_estimate(e, &t) == DFQ_OK, "%s",
                              dfq_context_get_error(ctx));
                ck_assert(i >= 6 || t.warmup > 0);
                ck_assert(i >= 17 || (t.explore > 0 && t.derive >= 0));
                ck_assert(i < 17 || (t.warmup == 0 && t.explore == 0 && t.derive == 0));
                ck_assert(t.train > 0 && t.recalibrate >= 0 && t.image > 0);
                ck_assert(t.warmup + t.explore + t.derive + t.train + t.recalibrate < 100);
            }
            ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
        }
        sum[asked] = dfqt_scene_bits(e, &s);
        dfqi_coexplore_release(e);
    }
    ck_assert_uint_eq(sum[0], sum[1]);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* A request to stop ends the measuring, and the job can go on. */
START_TEST(measuring_can_be_cancelled)
{
    dfqt_scene s;
    dfqi_coexplore *e;
    dfq_explorer_needs t;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(0, &s);
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    dfq_context_cancel(ctx);
    ck_assert_int_eq(dfqi_coexplore_estimate(e, &t), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_estimate(e, &t), DFQ_OK); /* nothing is left */
    ck_assert_double_eq(t.train + t.recalibrate, 0);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Creates a job and measures it, while allocation `refused` fails; tells how many each of both
 * made. */
static void measure_without(const dfqt_scene *s, int64_t refused, int64_t made[2])
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, refused);
    dfq_context_options o;
    dfq_context *ctx = NULL;
    dfqi_coexplore *e;
    dfq_explorer_needs t;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_scene_create(ctx, s, &e), DFQ_OK);
    made[0] = fa.calls;
    dfq_status status = dfqi_coexplore_estimate(e, &t);
    made[1] = fa.calls;
    ck_assert_int_eq(status, refused < made[1] ? DFQ_E_NOMEM : DFQ_OK);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    ck_assert_msg(fa.live_bytes == 0 && fa.live_blocks == 0,
                  "allocation %d refused: %d bytes leaked", (int)refused, (int)fa.live_bytes);
}

/* One of 37: the steps are those of a job, whose allocations are all refused in turn elsewhere. */
START_TEST(refused_allocations_leave_nothing)
{
    dfqt_scene s;
    int64_t made[2], again[2];
    dfqt_scene_make(0, &s);
    s.o.sampled_paths = 2;
    measure_without(&s, INT64_MAX, made);
    for (int64_t n = made[0]; n < made[1]; n += 37) measure_without(&s, n, again);
    dfqt_scene_done(&s);
}
END_TEST

TCase *dfqt_coexplore_estimate_case(void)
{
    TCase *c = tcase_create("coexplore estimate");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, every_step_counts_once);
    tcase_add_test(c, rules_and_sizes_count);
    tcase_add_loop_test(c, measuring_leaves_no_trace, 0, 2);
    tcase_add_test(c, measuring_can_be_cancelled);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
