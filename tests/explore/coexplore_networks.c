/* A co-exploration with DANCE's networks in place of the tables: trained before all else, judged,
 * in the checkpoint, and no part of the verdict. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/coexplore/coexplore_priv.h"
#include "explore/coexplore_scene.h"
#include "explore/solver/solver_priv.h"
#include "io/safetensors.h"
#include "support/fail_alloc.h"

enum { EST_STEPS = 4000, GEN_STEPS = 150 };

static void make(dfqt_scene *s)
{
    dfqt_scene_make(0, s);
    s->o.evaluator = DFQ_EVALUATOR_NETWORKS;
    s->o.evaluator_steps = EST_STEPS;
    s->o.hw_generator_steps = GEN_STEPS;
}

static dfqi_coexplore *create(dfq_context *ctx, const dfqt_scene *s)
{
    dfqi_coexplore *e = NULL;
    ck_assert_msg(dfqt_scene_create(ctx, s, &e) == DFQ_OK, "%s", dfq_context_get_error(ctx));
    return e;
}

static void step(dfqi_coexplore *e, int n)
{
    int32_t finished;
    for (int i = 0; i < n; i++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
}

/* Everything that the networks have a part in. */
static void check_result(const dfqi_coexplore_info *r)
{
    for (int m = 0; m < 2; m++) {
        ck_assert_double_gt(r->evaluator_mean[m], 0);
        ck_assert_double_le(r->evaluator_mean[m], 0.01);
        ck_assert_double_gt(r->evaluator_p99[m], r->evaluator_mean[m]);
        ck_assert_double_gt(r->evaluator_gap[m], 0);
        ck_assert_double_lt(r->evaluator_gap[m], 0.1);
    }
    ck_assert_double_eq(r->evaluator_mean[DFQ_EXPLORE_AREA], 0); /* read from the table */
    ck_assert_double_eq(r->evaluator_gap[DFQ_EXPLORE_AREA], 0);
    ck_assert_double_gt(r->hw_generator_accuracy, 0.5);
    ck_assert_double_ge(r->hw_generator_regret, 0);
    ck_assert_double_lt(r->hw_generator_regret, 0.05);
    ck_assert_int_eq(r->evaluator_steps[DFQI_EXPLORE_EST], EST_STEPS);
    ck_assert_int_eq(r->evaluator_total[DFQI_EXPLORE_GEN], GEN_STEPS);
}

static uint64_t file_bits(const char *path)
{
    uint64_t sum = 1469598103934665603U;
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) sum = (sum ^ (uint64_t)c) * 1099511628211U;
    fclose(f);
    return sum;
}

/* Steps of tiny networks at two threads are slow beside other work, so these take few of them: they
 * begin either training, and end the job behind both. */
START_TEST(networks_lead_to_the_same_bits_at_any_thread_count)
{
    enum { STOPS = 4, SOME = 100 };
    static const int stops[STOPS] = {0, SOME, EST_STEPS, EST_STEPS + 20};
    uint64_t at[STOPS + 1];
    char file[STOPS + 1][64], other[64];
    dfqi_coexplore_info r;
    dfqt_scene s;
    dfq_context *ctx = dfqt_scene_context(1), *two = dfqt_scene_context(2);
    make(&s);
    dfqt_scene_file(other);
    dfqi_coexplore *e = create(ctx, &s), *f = create(two, &s);
    for (int i = 0, done = 0; i <= STOPS; i++) {
        int stop = i < STOPS ? stops[i] : EST_STEPS + GEN_STEPS;
        step(e, stop - done);
        done = stop;
        dfqt_scene_file(file[i]);
        ck_assert_int_eq(dfqi_coexplore_save(e, file[i]), DFQ_OK);
        at[i] = file_bits(file[i]);
    }
    for (int i = 0; i + 1 < STOPS; i += 2) {
        ck_assert_int_eq(dfqi_coexplore_restore(f, file[i]), DFQ_OK);
        step(f, stops[i + 1] - stops[i]);
        ck_assert_int_eq(dfqi_coexplore_save(f, other), DFQ_OK);
        ck_assert_uint_eq(file_bits(other), at[i + 1]);
    }
    ck_assert_int_eq(dfqi_coexplore_restore(f, file[STOPS]), DFQ_OK);
    ck_assert_msg(dfqi_coexplore_run(e) == DFQ_OK, "%s", dfq_context_get_error(ctx));
    ck_assert_msg(dfqi_coexplore_run(f) == DFQ_OK, "%s", dfq_context_get_error(two));
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    check_result(&r);
    ck_assert_double_le(r.costs[DFQ_EXPLORE_LATENCY], 4);
    ck_assert_double_le(r.costs[DFQ_EXPLORE_AREA], 4.5);
    ck_assert_double_eq(r.costs[DFQ_EXPLORE_AREA], 1 + r.accelerator);
    ck_assert_uint_eq(dfqt_scene_bits(e, &s), dfqt_scene_bits(f, &s));
    for (int i = 0; i <= STOPS; i++) remove(file[i]);
    remove(other);
    dfqi_coexplore_release(e);
    dfqi_coexplore_release(f);
    dfq_context_release(ctx);
    dfq_context_release(two);
    dfqt_scene_done(&s);
}
END_TEST

/* At the first step, in either training, between them, while exploring, training, and at the
 * end. */
START_TEST(interruptions_leave_no_trace)
{
    static const int stops[] = {0,
                                700,
                                EST_STEPS,
                                EST_STEPS + 70,
                                EST_STEPS + GEN_STEPS,
                                EST_STEPS + GEN_STEPS + 10,
                                EST_STEPS + GEN_STEPS + 19,
                                EST_STEPS + GEN_STEPS + UNITS};
    enum { STOPS = sizeof stops / sizeof *stops };
    dfqt_scene s;
    dfqi_coexplore_info r[2];
    uint64_t whole = 0;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    dfqi_coexplore *first = create(ctx, &s);
    for (int i = 0, at = 0; i < STOPS; at = stops[i++]) {
        char file[64];
        step(first, stops[i] - at);
        dfqt_scene_file(file);
        ck_assert_int_eq(dfqi_coexplore_save(first, file), DFQ_OK);
        dfqi_coexplore *second = create(ctx, &s);
        ck_assert_msg(dfqi_coexplore_restore(second, file) == DFQ_OK, "%s",
                      dfq_context_get_error(ctx));
        ck_assert_int_eq(dfqi_coexplore_run(second), DFQ_OK);
        uint64_t sum = dfqt_scene_bits(second, &s);
        ck_assert_int_eq(dfqi_coexplore_result(second, &r[i > 0]), DFQ_OK);
        if (i == 0) whole = sum;
        ck_assert_msg(sum == whole, "stopped after %d steps", stops[i]);
        ck_assert_int_eq(memcmp(&r[0], &r[i > 0], sizeof r[0]), 0);
        dfqi_coexplore_release(second);
        remove(file);
    }
    dfqi_coexplore_release(first);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* By what 99 % of EST's errors stay below, metric by metric. */
START_TEST(steps_keep_away_from_the_limits)
{
    dfqt_scene s;
    dfqi_coexplore_info r;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.solver.margin = 0.25;
    dfqi_coexplore *e = create(ctx, &s);
    const dfqi_solver *solver = dfqi_coexplore_solver(e);
    ck_assert_double_eq_tol(dfqi_solver_limit(solver, 0), 3, 1e-12);
    step(e, EST_STEPS + GEN_STEPS);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    solver = dfqi_coexplore_solver(e);
    ck_assert_double_gt(r.evaluator_p99[DFQ_EXPLORE_LATENCY], 0.005);
    ck_assert_double_eq_tol(dfqi_solver_limit(solver, 0), 3 * (1 - r.evaluator_p99[0]), 1e-12);
    ck_assert_double_eq_tol(dfqi_solver_limit(solver, 1), 0.75 * 4.5, 1e-12); /* area is exact */
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(too_few_steps_are_refused)
{
    dfqt_scene s;
    dfqi_coexplore_info r;
    char figure[64];
    int32_t finished;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.o.evaluator_steps = 5;
    dfqi_coexplore *e = create(ctx, &s), *other = create(ctx, &s);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_double_gt(r.evaluator_mean[DFQ_EXPLORE_LATENCY], 0.01);
    snprintf(figure, sizeof figure, "latency_ms is %.3g %% on 8192",
             100 * r.evaluator_mean[DFQ_EXPLORE_LATENCY]);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), figure) != NULL, "%s",
                  dfq_context_get_error(ctx));
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "must be at most 1 %; train longer"));
    ck_assert_int_eq(r.stage, DFQ_EXPLORE_WARMUP);
    ck_assert_int_eq(r.steps[DFQ_EXPLORE_WARMUP], 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_E_NUMERIC);
        ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), figure));
    }
    ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_restore(other, s.file), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_run(other), DFQ_E_NUMERIC);
    dfqi_coexplore_release(e);
    dfqi_coexplore_release(other);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* So far off that its error is no number: the job says so, also from its checkpoint. */
START_TEST(what_was_not_accepted_can_be_read_again)
{
    dfqt_scene s;
    dfqi_coexplore_info r;
    int32_t finished;
    dfqi_mlp_array arrays[DFQI_MLP_ARRAYS];
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.o.evaluator_steps = 2;
    dfqi_coexplore *e = create(ctx, &s), *other = create(ctx, &s);
    step(e, 1);
    int32_t n = dfqi_evaluator_arrays(e->s->est, arrays), bias = 0;
    while (bias < n && arrays[bias].count != 2) bias++;
    ck_assert_int_lt(bias, n); /* of log2 latency and energy: the only array of two */
    for (int i = 0; i < 2; i++) arrays[bias].v[i] = 1e6F;
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_double_infinite(r.evaluator_mean[DFQ_EXPLORE_LATENCY]);
    ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
    ck_assert_msg(dfqi_coexplore_restore(other, s.file) == DFQ_OK, "%s",
                  dfq_context_get_error(ctx));
    ck_assert_int_eq(dfqi_coexplore_step(other, &finished), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), "must be at most") != NULL, "%s",
                  dfq_context_get_error(ctx));
    dfqi_coexplore_release(e);
    dfqi_coexplore_release(other);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(impossible_limits_cost_no_training)
{
    dfqt_scene s;
    dfqi_coexplore_info r;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.limits[0].limit = 0.1;
    dfqi_coexplore *e = create(ctx, &s);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_INFEASIBLE);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.proved, 1);
    ck_assert_int_eq(r.evaluator_total[DFQI_EXPLORE_EST], 0);
    ck_assert(isnan(r.evaluator_mean[0]) && isnan(r.evaluator_gap[0]) &&
              isnan(r.hw_generator_accuracy));
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

typedef struct watch {
    int left;
    char stage[16];
    uint64_t done, total;
} watch;

static int32_t look(const dfq_progress *p, void *user)
{
    watch *w = user;
    snprintf(w->stage, sizeof w->stage, "%.15s", p->stage);
    w->done = p->done;
    w->total = p->total;
    return --w->left == 0;
}

START_TEST(cancelled_trainings_go_on)
{
    dfqt_scene s;
    watch w = {.left = 40};
    dfq_context_options o = {.struct_size = sizeof o, .threads = 1};
    dfq_context *ctx = NULL;
    make(&s);
    o.progress = look;
    o.progress_user = &w;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    dfqi_coexplore *e = create(ctx, &s);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_CANCELLED);
    ck_assert_str_eq(w.stage, "evaluator");
    ck_assert_uint_eq(w.done, 40);
    ck_assert_uint_eq(w.total, EST_STEPS);
    w.left = EST_STEPS - 40 + 30;
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_CANCELLED);
    ck_assert_str_eq(w.stage, "hw-generator");
    ck_assert_uint_eq(w.done, 30);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(bad_input_is_named)
{
    static const char *const named[] = {
        "evaluator is 2",           "evaluator_steps is 0",
        "hw_generator_steps is -1", "hw_generator_learning_rate is -1",
        "rule 4 needs exact costs", "gradient is 2"};
    dfqt_scene s;
    dfqi_coexplore *e = NULL;
    dfq_context *ctx = dfqt_scene_context(1);
    for (int i = 0; i < 6; i++) {
        make(&s);
        s.o.evaluator = i == 0 ? 2 : 1;
        s.o.evaluator_steps = i != 1;
        s.o.hw_generator_steps = i == 2 ? -1 : 1;
        s.o.hw_generator_learning_rate = i == 3 ? -1 : 1;
        s.solver.rule = i == 4 ? DFQ_RULE_FRANK_WOLFE : DFQ_RULE_CONSTRAINT_GRADIENT;
        s.o.gradient = i == 5 ? 2 : DFQ_GRADIENT_PATHS;
        ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_E_INVALID);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), named[i]) != NULL, "%s",
                      dfq_context_get_error(ctx));
        ck_assert_ptr_null(e);
        dfqt_scene_done(&s);
    }
    dfq_context_release(ctx);
}
END_TEST

/* Every tensor of the networks in a checkpoint is looked at: cut off, or not a number, it is
 * refused and the job stays as it was. */
START_TEST(damaged_checkpoints_are_refused)
{
    dfqt_scene s;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqi_safetensors st;
    make(&s);
    dfqi_coexplore *e = create(ctx, &s);
    step(e, 3);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"networks", "evaluator.0", "evaluator.39"};
        ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
        ck_assert_int_eq(dfqi_st_read(ctx, s.file, &st), DFQ_OK);
        const dfq_tensor *t = dfqi_st_find(&st, names[i]);
        ck_assert_msg(t != NULL, "%s", names[i]);
        size_t n = dfq_tensor_get_bytes(t);
        FILE *f = fopen(s.file, "rb+");
        ck_assert_ptr_nonnull(f);
        /* the tensor's bytes, found by their content, become NaNs or nonsense */
        ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
        long size = ftell(f);
        char *all = malloc((size_t)size);
        ck_assert_ptr_nonnull(all);
        rewind(f);
        ck_assert_uint_eq(fread(all, 1, (size_t)size, f), (size_t)size);
        long at = 0;
        while (at + (long)n <= size && memcmp(all + at, t->data, n) != 0) at++;
        ck_assert_int_le(at + (long)n, size);
        memset(all + at, 0xFF, 8);
        rewind(f);
        ck_assert_uint_eq(fwrite(all, 1, (size_t)size, f), (size_t)size);
        fclose(f);
        free(all);
        dfqi_st_fini(&st);
        ck_assert_int_eq(dfqi_coexplore_restore(e, s.file), DFQ_E_CORRUPT);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), names[i]) != NULL, "%s",
                      dfq_context_get_error(ctx));
    }
    step(e, 1);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Goes on in the middle of a training. */
static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqt_scene *s = arg;
    dfqi_coexplore *e = NULL;
    dfq_status status = dfqt_scene_create(ctx, s, &e);
    if (status == DFQ_OK) status = dfqi_coexplore_restore(e, s->file);
    dfqi_coexplore_release(e);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    dfqt_scene s;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.o.evaluator_steps = 2;
    dfqi_coexplore *e = create(ctx, &s);
    step(e, 1);
    ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    fail_alloc_sweep(scenario, &s, 1);
    dfqt_scene_done(&s);
}
END_TEST

TCase *dfqt_coexplore_networks_case(void)
{
    TCase *c = tcase_create("coexplore_networks");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, networks_lead_to_the_same_bits_at_any_thread_count);
    tcase_add_test(c, interruptions_leave_no_trace);
    tcase_add_test(c, steps_keep_away_from_the_limits);
    tcase_add_test(c, too_few_steps_are_refused);
    tcase_add_test(c, what_was_not_accepted_can_be_read_again);
    tcase_add_test(c, impossible_limits_cost_no_training);
    tcase_add_test(c, cancelled_trainings_go_on);
    tcase_add_test(c, bad_input_is_named);
    tcase_add_test(c, damaged_checkpoints_are_refused);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
