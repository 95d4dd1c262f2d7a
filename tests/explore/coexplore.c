/* A co-exploration of a tiny space on made-up pictures: it meets its limits, ends with the same
 * bits at any thread count, from a warm supernet, and after an interruption at any point. */
#include "explore/coexplore/coexplore.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/coexplore_scene.h"
#include "io/safetensors.h"
#include "support/fail_alloc.h"

static void make(dfqt_scene *s)
{
    dfqt_scene_make(0, s);
}

START_TEST(a_job_meets_its_limits_with_the_same_bits_at_any_thread_count)
{
    uint64_t sum[4];
    dfqt_scene s;
    make(&s);
    for (int i = 0; i < 4; i++) {
        dfq_context *ctx = dfqt_scene_context(i % 2 + 1);
        s.o.gradient = i / 2 ? DFQ_GRADIENT_GATES : DFQ_GRADIENT_PATHS;
        dfqi_coexplore *e;
        dfqi_coexplore_info r;
        int32_t finished = 0, steps = 0;
        ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
        for (; !finished; steps++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
        ck_assert_int_eq(steps, UNITS);
        ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
        ck_assert_double_le(r.costs[DFQ_EXPLORE_LATENCY], 4);
        ck_assert_double_le(r.costs[DFQ_EXPLORE_AREA], 4.5);
        ck_assert_double_eq(r.costs[DFQ_EXPLORE_AREA], 1 + r.accelerator);
        ck_assert_double_gt(r.macs, 0);
        ck_assert(isnan(r.limits[DFQ_EXPLORE_ENERGY]));
        ck_assert_int_eq(r.steps[DFQ_EXPLORE_SEARCH], 5);
        sum[i] = dfqt_scene_bits(e, &s);
        dfqi_coexplore_release(e);
        dfq_context_release(ctx);
    }
    ck_assert_uint_eq(sum[0], sum[1]);
    ck_assert_uint_eq(sum[2], sum[3]);
    ck_assert_uint_ne(sum[0], sum[2]);
    dfqt_scene_done(&s);
}
END_TEST

/* Checkpoints after each step in turn, of both families. */
START_TEST(interruptions_leave_no_trace)
{
    dfqt_scene s;
    int32_t finished;
    uint64_t whole = 0;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqt_scene_make(_i, &s);
    s.o.fine_tune = s.o.gradient = _i;
    for (int stop = 0; stop <= UNITS; stop++) {
        dfqi_coexplore *first, *second;
        ck_assert_int_eq(dfqt_scene_create(ctx, &s, &first), DFQ_OK);
        ck_assert_int_eq(dfqt_scene_create(ctx, &s, &second), DFQ_OK);
        for (int i = 0; i < stop; i++)
            ck_assert_int_eq(dfqi_coexplore_step(first, &finished), DFQ_OK);
        ck_assert_int_eq(dfqi_coexplore_save(first, s.file), DFQ_OK);
        ck_assert_msg(dfqi_coexplore_restore(second, s.file) == DFQ_OK, "%s",
                      dfq_context_get_error(ctx));
        ck_assert_int_eq(dfqi_coexplore_run(second), DFQ_OK);
        uint64_t sum = dfqt_scene_bits(second, &s);
        if (stop == 0) whole = sum;
        ck_assert_msg(sum == whole, "stopped after %d steps", stop);
        dfqi_coexplore_release(first);
        dfqi_coexplore_release(second);
    }
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* A warm supernet, saved and read, leads where the job itself would have gone. */
START_TEST(saved_supernets_are_as_good_as_a_warm_up)
{
    dfqt_scene s;
    int32_t finished;
    dfqi_coexplore *whole, *warm;
    dfqi_coexplore_info r[2];
    char file[64];
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    dfqt_scene_file(file);
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &whole), DFQ_OK);
    for (int i = 0; i < s.o.warmup_steps; i++)
        ck_assert_int_eq(dfqi_coexplore_step(whole, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_save_supernet(whole, file), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_run(whole), DFQ_OK);
    s.o.supernet_path = file;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &warm), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_run(warm), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_result(whole, &r[0]), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_result(warm, &r[1]), DFQ_OK);
    ck_assert_int_eq(r[1].total[DFQ_EXPLORE_WARMUP], 0);
    ck_assert_double_eq(r[0].loss, r[1].loss);
    ck_assert_int_eq(memcmp(r[0].costs, r[1].costs, sizeof r[0].costs), 0);
    dfqi_coexplore_release(whole);
    dfqi_coexplore_release(warm);
    dfq_context_release(ctx);
    remove(file);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(a_longer_job_learns_its_pictures)
{
    dfqt_scene s;
    dfqi_accuracy acc;
    dfqi_coexplore *e;
    dfqi_dataset *d;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.o.train_steps = 150;
    s.o.batch = 12;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    ck_assert_int_eq(dfqi_dataset_open(ctx, s.images, 3, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_evaluate(e, d, &acc), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_evaluate(e, d, &acc), DFQ_OK);
    ck_assert_int_eq(acc.n, N);
    ck_assert_msg(acc.correct > N * 9 / 10, "%d of %d right", (int)acc.correct, N);
    dfqi_dataset_release(d);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(impossible_limits_are_said)
{
    dfqt_scene s;
    dfqi_coexplore *e;
    dfqi_coexplore_info r;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.limits[0].limit = 0.1;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK); /* before anything was trained */
    ck_assert_int_eq(r.stage, DFQI_EXPLORE_STAGES);
    ck_assert_int_eq(r.proved, 1);
    ck_assert_int_eq(r.steps[DFQ_EXPLORE_WARMUP], 0);
    ck_assert_int_eq(r.steps[DFQ_EXPLORE_TRAIN], 0);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_INFEASIBLE);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "latency_ms"));
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQI_EXPLORE_STAGES);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_INFEASIBLE);
    ck_assert_double_gt(r.tightest[DFQ_EXPLORE_LATENCY], 0.1);
    ck_assert(isnan(r.tightest[DFQ_EXPLORE_ENERGY]) && isnan(r.least[DFQ_EXPLORE_ENERGY]));
    ck_assert_double_gt(r.least[DFQ_EXPLORE_LATENCY], 0.1);
    ck_assert_double_le(r.least[DFQ_EXPLORE_LATENCY], r.tightest[DFQ_EXPLORE_LATENCY]);
    ck_assert_int_eq(dfqi_coexplore_save_network(e, s.file), DFQ_E_INVALID);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* A weight that is NaN: the stage and the step are named, and the job is over. */
START_TEST(nan_ends_a_job)
{
    dfqt_scene s;
    int32_t finished;
    dfqi_coexplore *e;
    dfqi_coexplore_info r;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.limits[0].limit = 20;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    for (int i = 0; i < 12; i++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    const dfqi_supernet *net = dfqi_coexplore_net(e);
    dfqi_tensor_f32(net->layers[net->n_layers - 1].t[1])[0] = NAN;
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), "explore, step 6 of 11") != NULL, "%s",
                  dfq_context_get_error(ctx));
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.steps[DFQ_EXPLORE_SEARCH], 2);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED); /* what the first snapshot found */
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

typedef struct stop {
    dfq_context *ctx;
    int left;
} stop;

static int32_t cancel_after(const dfq_progress *p, void *user)
{
    stop *s = user;
    (void)p;
    return --s->left == 0;
}

START_TEST(cancelled_jobs_go_on)
{
    dfqt_scene s;
    dfqi_coexplore *e;
    stop at = {.left = 9};
    dfqi_coexplore_info r;
    dfq_context_options o = {.struct_size = sizeof o, .threads = 1};
    dfq_context *ctx = NULL;
    make(&s);
    o.progress = cancel_after;
    o.progress_user = &at;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQ_EXPLORE_SEARCH);
    ck_assert_int_eq(r.steps[DFQ_EXPLORE_WARMUP], 6);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

START_TEST(bad_input_is_named)
{
    dfqt_scene s;
    int32_t finished;
    dfqi_coexplore *e, *other;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    s.o.sampled_paths = 1;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "sampled_paths is 1"));
    s.o.sampled_paths = 3;
    s.o.supernet_path = s.images;
    ck_assert_int_ne(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    s.o.supernet_path = NULL;
    s.solver.rule = DFQ_RULE_EXACT;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_E_INVALID);
    s.solver.rule = DFQ_RULE_CONSTRAINT_GRADIENT;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    s.o.seed = 5;
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &other), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_restore(other, s.file), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "other options"));
    ck_assert_int_eq(dfqi_coexplore_save_supernet(e, s.file), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_restore(e, s.file), DFQ_E_CORRUPT);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK); /* as it was */
    dfqi_coexplore_release(e);
    dfqi_coexplore_release(other);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* Writes what a checkpoint calls its version anew. */
static void set_version(const char *file, char version)
{
    static const char key[] = "\"dfq.explorer\":\"";
    static char text[65536];
    FILE *f = fopen(file, "rb+");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(text, 1, sizeof text, f), at = 0;
    while (at + sizeof key < n && memcmp(text + at, key, sizeof key - 1) != 0) at++;
    ck_assert_uint_lt(at + sizeof key, n);
    ck_assert_int_eq(fseek(f, (long)(at + sizeof key - 1), SEEK_SET), 0);
    ck_assert_int_eq(fputc(version, f), version);
    fclose(f);
}

/* The first layout had no networks: its files are named for what they are, not read. */
START_TEST(checkpoints_of_another_layout_are_refused)
{
    dfqt_scene s;
    int32_t finished;
    dfqi_coexplore *e;
    dfq_context *ctx = dfqt_scene_context(1);
    make(&s);
    ck_assert_int_eq(dfqt_scene_create(ctx, &s, &e), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    for (char version = '1'; version <= '6'; version++) {
        ck_assert_int_eq(dfqi_coexplore_save(e, s.file), DFQ_OK);
        set_version(s.file, version);
        dfq_status status = dfqi_coexplore_restore(e, s.file);
        ck_assert_int_eq(status, version == '5' ? DFQ_OK : DFQ_E_UNSUPPORTED);
        if (status == DFQ_OK) continue;
        char said[64];
        snprintf(said, sizeof said, "version is %c, must be 5", version);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), said) != NULL, "%s",
                      dfq_context_get_error(ctx));
    }
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqt_scene *s = arg;
    dfqi_coexplore *e = NULL;
    dfq_status status = dfqt_scene_create(ctx, s, &e);
    if (status == DFQ_OK) status = dfqi_coexplore_run(e);
    if (status == DFQ_OK) status = dfqi_coexplore_save(e, s->file);
    if (status == DFQ_OK) status = dfqi_coexplore_restore(e, s->file);
    if (status == DFQ_OK) status = dfqi_coexplore_save_network(e, s->file);
    dfqi_coexplore_release(e);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    dfqt_scene s;
    make(&s);
    s.o.warmup_steps = s.o.train_steps = s.o.weight_steps = s.solver.steps = 1;
    s.solver.snapshot_every = 0;
    s.o.sampled_paths = 2;
    fail_alloc_sweep(scenario, &s, 1);
    dfqt_scene_done(&s);
}
END_TEST

TCase *dfqt_coexplore_case(void)
{
    TCase *c = tcase_create("coexplore");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_job_meets_its_limits_with_the_same_bits_at_any_thread_count);
    tcase_add_loop_test(c, interruptions_leave_no_trace, 0, 2);
    tcase_add_test(c, saved_supernets_are_as_good_as_a_warm_up);
    tcase_add_test(c, a_longer_job_learns_its_pictures);
    tcase_add_test(c, impossible_limits_are_said);
    tcase_add_test(c, nan_ends_a_job);
    tcase_add_test(c, cancelled_jobs_go_on);
    tcase_add_test(c, bad_input_is_named);
    tcase_add_test(c, checkpoints_of_another_layout_are_refused);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
