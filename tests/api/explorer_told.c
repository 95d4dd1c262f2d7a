/* dfq/explorer.h: what a job tells of its search, and a supernet that another job reads. */
#include <dfq/dfq.h>

#include <math.h>
#include <string.h>

#include "api/cases.h"
#include "api/explorer_scene.h"

/* The job and its search are of rounds with one step of weights and up to eight of the solver. */
static dfq_explorer *job(const char *supernet)
{
    dfq_explorer_options o = dfqt_short_job();
    dfq_explorer *e;
    o.evaluator = DFQ_EVALUATOR_TABLES;
    o.supernet_path = supernet;
    ck_assert_msg(dfqt_create_explorer(&o, &e) == DFQ_OK, "%s",
                  dfq_context_get_error(scene.context));
    return e;
}

static void run(dfq_explorer *e)
{
    ck_assert_msg(dfq_explorer_run(e) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
}

/* Groups one behind the other, each of which adds up to 1; effects of a cell add up to 0. */
START_TEST(test_probabilities_and_effects)
{
    dfq_explorer *e = job(NULL);
    dfq_tensor *p, *effects;
    for (int finished = 0; finished < 2; finished++) {
        ck_assert_int_eq(dfq_explorer_get_probabilities(e, &p), DFQ_OK);
        ck_assert_int_eq(dfq_explorer_get_effects(e, &effects), DFQ_OK);
        const float *of = dfq_tensor_get_data(p), *adds = dfq_tensor_get_data(effects);
        int64_t at = 0, cells = 0;
        float largest = 0;
        for (int32_t k = 0; k < dfq_explorer_get_groups(e); k++) {
            float all = 0, sum = 0;
            for (int32_t c = 0; c < dfq_explorer_get_choices(e, k); c++, at++) {
                all += of[at];
                if (k >= dfq_explorer_get_cells(e)) continue;
                sum += adds[cells];
                largest = fmaxf(largest, fabsf(adds[cells++]));
            }
            ck_assert_float_eq_tol(all, 1, 1e-6f);
            ck_assert_float_eq_tol(sum, 0, 1e-5f);
        }
        ck_assert_int_eq(dfq_tensor_get_dims(p)[0], at);
        ck_assert_int_eq(dfq_tensor_get_dims(effects)[0], cells);
        ck_assert_int_eq(largest > 0, finished);
        dfq_tensor_release(p);
        dfq_tensor_release(effects);
        if (!finished) run(e);
    }
    dfq_explorer_release(e);
}
END_TEST

/* One row for each step of the solver, one loss for each step of weights. */
START_TEST(test_trajectory_and_losses)
{
    static const int32_t stages[] = {DFQ_EXPLORE_WARMUP, DFQ_EXPLORE_SEARCH, DFQ_EXPLORE_TRAIN};
    dfq_explorer *e = job(NULL);
    dfq_explorer_stage search = {.struct_size = sizeof search};
    dfq_tensor *t;
    ck_assert_int_eq(dfq_explorer_get_trajectory(e, &t), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(t)[0], 0);
    dfq_tensor_release(t);
    run(e);
    ck_assert_int_eq(dfq_explorer_get_stage(e, DFQ_EXPLORE_SEARCH, &search), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_trajectory(e, &t), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(t)[0], search.done);
    ck_assert_int_eq(dfq_tensor_get_dims(t)[1], 1 + 3 + 1); /* loss, costs, one limit */
    const float *row = dfq_tensor_get_data(t);
    for (int64_t i = 0; i < 4 * search.done; i++) ck_assert(row[i / 4 * 5 + i % 4] > 0);
    dfq_tensor_release(t);
    for (int k = 0; k < 3; k++) {
        ck_assert_int_eq(dfq_explorer_get_losses(e, stages[k], &t), DFQ_OK);
        const float *loss = dfq_tensor_get_data(t);
        int64_t n = dfq_tensor_get_dims(t)[0];
        ck_assert_int_eq(n, k == 1 ? 1 : 2); /* as many as dfqt_short_job() says */
        for (int64_t i = 0; i < n; i++) ck_assert(loss[i] > 0 && isfinite(loss[i]));
        dfq_tensor_release(t);
    }
    dfq_explorer_release(e);
}
END_TEST

/* A job that reads the supernet of another one's warm-up ends as that one does. */
START_TEST(test_supernet_of_another_job)
{
    dfq_explorer *e = job(NULL);
    dfq_explorer_result r[2] = {{.struct_size = sizeof *r}, {.struct_size = sizeof *r}};
    dfq_explorer_stage warmup = {.struct_size = sizeof warmup};
    int32_t finished;
    for (int i = 0; i < 2; i++) ck_assert_int_eq(dfq_explorer_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r[0]), DFQ_OK);
    ck_assert_int_eq(r[0].stage, DFQ_EXPLORE_SEARCH);
    ck_assert_int_eq(dfq_explorer_save_supernet(e, scene.files[CHECKPOINT]), DFQ_OK);
    run(e);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r[0]), DFQ_OK);
    dfq_explorer_release(e);
    e = job(scene.files[CHECKPOINT]);
    ck_assert_int_eq(dfq_explorer_get_stage(e, DFQ_EXPLORE_WARMUP, &warmup), DFQ_OK);
    ck_assert_int_eq(warmup.total, 0);
    run(e);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r[1]), DFQ_OK);
    ck_assert_mem_eq(&r[0], &r[1], sizeof r[0]);
    dfq_explorer_release(e);
}
END_TEST

START_TEST(test_refused)
{
    dfq_explorer *e = job(NULL);
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfq_explorer_get_probabilities(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_probabilities(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_effects(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_effects(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_trajectory(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_trajectory(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_losses(NULL, DFQ_EXPLORE_TRAIN, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_losses(e, DFQ_EXPLORE_TRAIN, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_losses(e, DFQ_EXPLORE_EVALUATOR, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_save_supernet(NULL, scene.files[CHECKPOINT]), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_save_supernet(e, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_save_supernet(e, "no/such/folder/file"), DFQ_E_IO);
    ck_assert_ptr_null(t);
    dfq_explorer_release(e);
}
END_TEST

TCase *dfqt_api_explorer_told_case(void)
{
    TCase *c = tcase_create("explorer_told");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, dfqt_scene_setup, dfqt_scene_teardown);
    tcase_add_test(c, test_probabilities_and_effects);
    tcase_add_test(c, test_trajectory_and_losses);
    tcase_add_test(c, test_supernet_of_another_job);
    tcase_add_test(c, test_refused);
    return c;
}
