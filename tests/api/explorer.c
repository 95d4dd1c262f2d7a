/* dfq/explorer.h: a job with DANCE's networks to its end, options of other ages, snapshots, limits
 * that are impossible. The space is so small that networks learn it within seconds, and can be
 * enumerated. */
#include <dfq/dfq.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/cases.h"
#include "api/explorer_scene.h"
#include "support/fail_alloc.h"

enum { METRICS = 3, RECORD = 3073 };

static dfq_explorer_metric metric_of(const dfq_explorer *e, int32_t metric)
{
    dfq_explorer_metric m = {.struct_size = sizeof m};
    ck_assert_int_eq(dfq_explorer_get_metric(e, metric, &m), DFQ_OK);
    return m;
}

static dfq_explorer_stage stage_of(const dfq_explorer *e, int32_t stage)
{
    dfq_explorer_stage s = {.struct_size = sizeof s};
    ck_assert_int_eq(dfq_explorer_get_stage(e, stage, &s), DFQ_OK);
    return s;
}

START_TEST(test_a_job_with_networks)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL, *again = NULL;
    dfq_explorer_result r = {.struct_size = sizeof r}, s = {.struct_size = sizeof s};
    int32_t finished = 1;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    for (int i = 0; i < 10; i++) ck_assert_int_eq(dfq_explorer_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQ_EXPLORE_EVALUATOR);
    ck_assert_int_eq(stage_of(e, DFQ_EXPLORE_EVALUATOR).done, 10);
    ck_assert_int_eq(stage_of(e, DFQ_EXPLORE_HW_GENERATOR).done, 0);
    ck_assert_int_eq(stage_of(e, DFQ_EXPLORE_HW_GENERATOR).total, 100);
    ck_assert(isnan(metric_of(e, 0).evaluator_mean) && isnan(metric_of(e, 0).evaluator_gap) &&
              isnan(r.hw_generator_accuracy));
    ck_assert_int_eq(dfq_explorer_save_checkpoint(e, scene.files[CHECKPOINT]), DFQ_OK);
    ck_assert_msg(dfq_explorer_run(e) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
    ck_assert_int_eq(dfq_explorer_get_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    for (int m = 0; m < 2; m++) {
        dfq_explorer_metric v = metric_of(e, m);
        ck_assert(v.evaluator_mean > 0 && v.evaluator_mean <= 0.01);
        ck_assert(v.evaluator_p99 > v.evaluator_mean);
        ck_assert(v.evaluator_gap > 0 && v.evaluator_gap < 0.2);
    }
    ck_assert_double_eq(metric_of(e, DFQ_EXPLORE_AREA).evaluator_p99, 0);
    ck_assert_double_eq(metric_of(e, DFQ_EXPLORE_AREA).evaluator_gap, 0);
    ck_assert_int_eq(r.stage, DFQ_EXPLORE_DONE);
    for (int32_t k = DFQ_EXPLORE_WARMUP; k <= DFQ_EXPLORE_HW_GENERATOR; k++)
        ck_assert_int_eq(stage_of(e, k).done, stage_of(e, k).total);
    ck_assert(r.hw_generator_accuracy > 0 && r.hw_generator_regret >= 0);
    ck_assert_int_eq(dfqt_create_explorer(&o, &again), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_load_checkpoint(again, scene.files[CHECKPOINT]), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_run(again), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_result(again, &s), DFQ_OK);
    ck_assert_int_eq(memcmp(&r, &s, sizeof r), 0);
    for (int32_t m = 0; m < 3; m++) {
        dfq_explorer_metric x = metric_of(e, m), y = metric_of(again, m);
        ck_assert_int_eq(memcmp(&x, &y, sizeof x), 0);
    }
    dfq_explorer_release(e);
    dfq_explorer_release(again);
}
END_TEST

/* Pictures that a function of the caller gives are those of the file: so is what comes of them. */
static int32_t read_records(int64_t first, int64_t n, void *images, int32_t *labels, void *user)
{
    FILE *f = user;
    unsigned char record[RECORD], *to = images;
    if (fseek(f, (long)first * RECORD, SEEK_SET) != 0) return 1;
    for (int64_t i = 0; i < n; i++) {
        if (fread(record, 1, RECORD, f) != RECORD) return 1;
        if (labels != NULL) labels[i] = record[0];
        if (images != NULL) memcpy(to + i * (RECORD - 1), record + 1, RECORD - 1);
    }
    return 0;
}

START_TEST(test_pictures_of_the_caller)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer_result r[2] = {{.struct_size = sizeof r[0]}, {.struct_size = sizeof r[0]}};
    dfq_dataset_source s = {.struct_size = sizeof s,
                            .pixels = DFQ_PIXELS_U8_NCHW,
                            .count = dfq_dataset_get_count(scene.pictures),
                            .height = 32,
                            .width = 32,
                            .classes = 2,
                            .read = read_records,
                            .user = fopen(scene.files[PICTURES], "rb")};
    ck_assert_ptr_nonnull(s.user);
    o.evaluator = DFQ_EVALUATOR_TABLES;
    for (int k = 0; k < 2; k++) {
        dfq_explorer *e;
        ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
        dfq_dataset_release(scene.pictures);
        ck_assert_msg(dfq_explorer_run(e) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
        ck_assert_int_eq(dfq_explorer_get_result(e, &r[k]), DFQ_OK);
        dfq_explorer_release(e);
        ck_assert_msg(dfq_dataset_create(scene.context, &s, &scene.pictures) == DFQ_OK, "%s",
                      dfq_context_get_error(scene.context));
    }
    ck_assert_int_eq(memcmp(&r[0], &r[1], sizeof r[0]), 0);
    fclose(s.user);
}
END_TEST

/* Programs that were compiled before there was an evaluator. */
START_TEST(test_structs_of_other_ages)
{
    dfq_explorer_options o = dfqt_short_job();
    struct {
        dfq_explorer_options o;
        int64_t later;
    } newer = {.o = dfqt_short_job()};
    dfq_explorer_result r, full;
    dfq_explorer_metric m;
    dfq_explorer_stage g;
    dfq_explorer *e = NULL;
    memset(&full, 0x55, sizeof full);
    o.struct_size = (uint32_t)offsetof(dfq_explorer_options, evaluator);
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    memset(&r, 0x55, sizeof r);
    r.struct_size = (uint32_t)offsetof(dfq_explorer_result, loss);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQ_EXPLORE_WARMUP); /* tables */
    ck_assert_double_eq(r.loss, full.loss);
    memset(&m, 0x55, sizeof m);
    m.struct_size = (uint32_t)offsetof(dfq_explorer_metric, reference);
    ck_assert_int_eq(dfq_explorer_get_metric(e, DFQ_EXPLORE_AREA, &m), DFQ_OK);
    ck_assert_double_eq(m.limit, 0.6);
    ck_assert_double_eq(m.reference, full.loss);
    memset(&g, 0x55, sizeof g);
    g.struct_size = (uint32_t)offsetof(dfq_explorer_stage, total);
    ck_assert_int_eq(dfq_explorer_get_stage(e, DFQ_EXPLORE_TRAIN, &g), DFQ_OK);
    ck_assert(g.done == 0 && g.total == 0x5555555555555555);
    ck_assert_int_eq(stage_of(e, DFQ_EXPLORE_EVALUATOR).total, 0);
    ck_assert(isnan(metric_of(e, 0).evaluator_p99) && isnan(metric_of(e, 0).limit));
    ck_assert_int_eq(dfq_explorer_get_stage(e, DFQ_EXPLORE_DONE, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_stage(e, -1, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_metric(e, 3, &m), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(scene.context), "metric is 3, must be 0 to 2"));
    ck_assert_int_eq(dfq_explorer_get_metric(NULL, 0, &m), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_stage(NULL, 0, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_metrics(NULL), 0);
    dfq_explorer_release(e);
    newer.o.struct_size = sizeof newer;
    newer.later = 1;
    e = NULL;
    ck_assert_int_eq(dfqt_create_explorer(&newer.o, &e), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(e);
}
END_TEST

START_TEST(test_too_few_steps)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL;
    o.evaluator_steps = 3;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(scene.context), "relative error of latency_ms is"));
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(scene.context), "train longer than 3 steps"));
    dfq_explorer_release(e);
    o.evaluator_steps = 0;
    e = NULL;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_E_INVALID);
    ck_assert_ptr_null(e);
}
END_TEST

/* Before the space is read, and so before any work. */
START_TEST(test_rules_that_are_not_possible)
{
    static const int32_t rules[] = {DFQ_RULE_FRANK_WOLFE, DFQ_RULE_NETWORK_FIRST, DFQ_RULE_PRODUCT,
                                    DFQ_RULE_ALTERNATE, DFQ_RULE_EXACT};
    const dfq_constraint area = {sizeof(dfq_constraint), DFQ_EXPLORE_AREA, 0.6};
    dfq_explorer_options o = dfqt_short_job();
    dfq_solver_options s;
    dfq_explorer *e = NULL;
    dfq_solver_options_init(&s, sizeof s);
    for (int i = 0; i < 5; i++) {
        char said[64] = "rule exact needs losses";
        s.rule = rules[i];
        if (s.rule != DFQ_RULE_EXACT)
            snprintf(said, sizeof said, "rule %d needs exact costs", (int)s.rule);
        ck_assert_int_eq(dfq_explorer_create(scene.context, "./nowhere.json", scene.accel,
                                             scene.pictures, &area, 1, &o, &s, &e),
                         DFQ_E_INVALID);
        ck_assert_msg(strstr(dfq_context_get_error(scene.context), said) != NULL, "%s",
                      dfq_context_get_error(scene.context));
    }
    ck_assert_ptr_null(e);
}
END_TEST

/* Before the end nothing is known of the result; then each group has a step. */
START_TEST(test_chosen_by)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL;
    dfq_tensor *by;
    o.evaluator = DFQ_EVALUATOR_TABLES;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_chosen_by(NULL, &by), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_chosen_by(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_chosen_by(e, &by), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_chosen_by(e, &by), DFQ_OK);
    const int32_t *step = dfq_tensor_get_data(by);
    ck_assert_int_eq(dfq_tensor_get_dims(by)[0], dfq_explorer_get_groups(e));
    for (int32_t g = 0; g < dfq_explorer_get_groups(e); g++)
        ck_assert(step[g] >= DFQ_CHOSEN_LIKELIEST && step[g] <= DFQ_CHOSEN_CHEAPEST);
    dfq_tensor_release(by);
    dfq_explorer_release(e);
}
END_TEST

/* 5x5 cells with expansion 2 are next to 6, 12 elements next to 16, and weight-stationary comes
 * first. */
START_TEST(test_reference_design)
{
    static const int32_t choice[] = {1, 1, 1, 1, 0, 1, 0, 0, 0};
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL;
    double costs[METRICS];
    o.evaluator = DFQ_EVALUATOR_TABLES;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_groups(e), sizeof choice / sizeof *choice);
    ck_assert_int_eq(dfq_explorer_cost(e, choice, METRICS, costs), DFQ_OK);
    for (int m = 0; m < METRICS; m++)
        ck_assert_double_eq_tol(metric_of(e, m).reference, costs[m], 1e-12 * costs[m]);
    dfq_explorer_release(e);
}
END_TEST

/* With networks, before and after they are trained. */
START_TEST(test_estimate)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL;
    dfq_explorer_needs t = {.struct_size = 0};
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_estimate(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_estimate(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_estimate(e, &t), DFQ_E_INVALID);
    t.struct_size = sizeof t;
    ck_assert_int_eq(dfq_explorer_estimate(e, &t), DFQ_OK);
    ck_assert(t.warmup > 0 && t.explore > 0 && t.derive >= 0 && t.train > 0 && t.image > 0);
    for (int32_t i = 0, finished; i < 4000 + 100; i++)
        ck_assert_int_eq(dfq_explorer_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_estimate(e, &t), DFQ_OK);
    ck_assert(t.warmup > 0 && t.explore > 0 && t.train > 0);
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_OK);
    dfq_explorer_release(e);
}
END_TEST

/* What a job takes at its peak beside what its creation took, and what was said before. */
START_TEST(test_estimate_of_memory)
{
    const dfq_constraint area = {sizeof area, DFQ_EXPLORE_AREA, 0.6};
    dfq_explorer_options o = dfqt_short_job();
    dfq_solver_options s;
    dfq_explorer_needs n = {.struct_size = sizeof n};
    dfq_context_options co;
    dfq_context *ctx;
    dfq_dataset *d;
    dfq_explorer *e;
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options_init(&co, sizeof co);
    dfq_solver_options_init(&s, sizeof s);
    co.allocator = &a;
    co.threads = 1;
    o.evaluator = DFQ_EVALUATOR_TABLES;
    o.batch = 16;
    s.steps = 400;
    ck_assert_int_eq(dfq_context_create(&co, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_dataset_open(ctx, scene.files[PICTURES], 2, &d), DFQ_OK);
    ck_assert_int_eq(
        dfq_explorer_create(ctx, scene.files[SPACE], scene.accel, d, &area, 1, &o, &s, &e), DFQ_OK);
    int64_t created = fa.live_bytes;
    ck_assert_int_eq(dfq_explorer_estimate(e, &n), DFQ_OK);
    ck_assert_int_eq(fa.live_bytes, created);
    fa.peak_bytes = created;
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_OK);
    double taken = (double)(fa.peak_bytes - created);
    ck_assert_msg(n.bytes > 0.9 * taken && n.bytes < 1.5 * taken, "%g said, %g taken", n.bytes,
                  taken);
    ck_assert_int_eq(dfq_explorer_estimate(e, &n), DFQ_OK);
    ck_assert_double_eq(n.bytes, 0); /* nothing is left to do */
    dfq_explorer_release(e);
    dfq_dataset_release(d);
    dfq_context_release(ctx);
    ck_assert_int_eq(fa.live_bytes, 0);
}
END_TEST

/* One for every snapshot_every steps begun; the explorer can cost each. */
START_TEST(test_snapshots)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e = NULL;
    dfq_tensor *snapshots;
    double costs[METRICS];
    o.evaluator = DFQ_EVALUATOR_TABLES;
    ck_assert_int_eq(dfqt_create_explorer(&o, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_snapshots(NULL, &snapshots), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_snapshots(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_snapshots(e, &snapshots), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[0], 0);
    dfq_tensor_release(snapshots);
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_snapshots(e, &snapshots), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[0], 1);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[1], dfq_explorer_get_groups(e));
    ck_assert_int_eq(dfq_explorer_cost(e, dfq_tensor_get_data(snapshots), METRICS, costs), DFQ_OK);
    dfq_tensor_release(snapshots);
    dfq_explorer_release(e);
}
END_TEST

/* The least cost of each metric among all pairs. */
static void enumerate(const dfq_explorer *e, double least[METRICS])
{
    int32_t choice[16] = {0}, n = dfq_explorer_get_groups(e), g = 0;
    double costs[METRICS];
    ck_assert_int_le(n, 16);
    for (int m = 0; m < METRICS; m++) least[m] = INFINITY;
    while (g < n) {
        ck_assert_int_eq(dfq_explorer_cost(e, choice, METRICS, costs), DFQ_OK);
        for (int m = 0; m < METRICS; m++) least[m] = fmin(least[m], costs[m]);
        for (g = 0; g < n && ++choice[g] == dfq_explorer_get_choices(e, g); g++) choice[g] = 0;
    }
}

/* Each by itself: tightest knows none of them, least is exact. */
START_TEST(test_impossible_limits)
{
    const dfq_constraint limits[] = {{sizeof(dfq_constraint), DFQ_EXPLORE_LATENCY, 1e-6},
                                     {sizeof(dfq_constraint), DFQ_EXPLORE_ENERGY, 1e-9}};
    dfq_explorer *e = NULL;
    dfq_explorer_result r = {.struct_size = sizeof r};
    double least[METRICS];
    ck_assert_int_eq(dfq_explorer_create(scene.context, scene.files[SPACE], scene.accel,
                                         scene.pictures, limits, 2, NULL, NULL, &e),
                     DFQ_OK);
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_E_INFEASIBLE);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(scene.context), "no other value would do; least "));
    ck_assert_int_eq(dfq_explorer_get_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.proved, 1);
    enumerate(e, least);
    for (int m = 0; m < DFQ_EXPLORE_AREA; m++) {
        ck_assert(isinf(metric_of(e, m).tightest));
        ck_assert_double_eq_tol(metric_of(e, m).least, least[m], 1e-12);
    }
    ck_assert(isnan(metric_of(e, DFQ_EXPLORE_AREA).least));
    dfq_explorer_release(e);
}
END_TEST

TCase *dfqt_api_explorer_case(void)
{
    TCase *c = tcase_create("explorer");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, dfqt_scene_setup, dfqt_scene_teardown);
    tcase_add_test(c, test_a_job_with_networks);
    tcase_add_test(c, test_pictures_of_the_caller);
    tcase_add_test(c, test_structs_of_other_ages);
    tcase_add_test(c, test_too_few_steps);
    tcase_add_test(c, test_rules_that_are_not_possible);
    tcase_add_test(c, test_chosen_by);
    tcase_add_test(c, test_reference_design);
    tcase_add_test(c, test_estimate);
    tcase_add_test(c, test_estimate_of_memory);
    tcase_add_test(c, test_snapshots);
    tcase_add_test(c, test_impossible_limits);
    return c;
}
