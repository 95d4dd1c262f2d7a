/* Which step chose what a result holds: problems of two groups, solved by hand. */
#include <dfq/dfq.h>
#include <math.h>
#include <string.h>

#include "explore/cases.h"

static const int32_t choices[] = {2, 2};

/* Two cells, or a cell and an accelerator's hardware parameter, with one metric. */
static dfq_problem two_groups(int32_t n_hw_params, const double *loss, const double *cost)
{
    dfq_problem p;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = 2;
    p.n_hw_params = n_hw_params;
    p.n_metrics = 1;
    p.choices = choices;
    p.loss_table = loss;
    p.cost_table = cost;
    return p;
}

/* A few steps that know no limit: the likeliest choices are those of least loss, or of least
 * cost. */
static dfq_solver_options blind(double cost_weight)
{
    dfq_solver_options o;
    dfq_solver_options_init(&o, sizeof o);
    o.rule = DFQ_RULE_NONE;
    o.steps = 3;
    o.snapshot_every = 0;
    o.cost_weight = cost_weight;
    return o;
}

static void check(const dfq_problem *p, double limit, const dfq_solver_options *o, dfq_status ends,
                  const int32_t choice[2], const int32_t by[2])
{
    dfq_context *ctx = dfqt_explore_context();
    const dfq_constraint most = {sizeof(dfq_constraint), 0, limit};
    dfq_tensor *t[2];
    dfq_solver *s;
    ck_assert_int_eq(dfq_solver_create(ctx, p, &most, 1, o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_chosen_by(s, &t[0]), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_get_chosen_by(s, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_run(s), ends);
    ck_assert_int_eq(dfq_solver_get_choice(s, 0, &t[0]), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_chosen_by(s, &t[1]), DFQ_OK);
    const int32_t *have = dfq_tensor_get_data(t[0]), *step = dfq_tensor_get_data(t[1]);
    for (int g = 0; g < 2; g++) {
        ck_assert_msg(have[g] == choice[g], "group %d: choice %d", g, (int)have[g]);
        ck_assert_msg(step[g] == by[g], "group %d: step %d", g, (int)step[g]);
    }
    for (int i = 0; i < 2; i++) dfq_tensor_release(t[i]);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}

START_TEST(the_likeliest_stand)
{
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(0);
    check(&p, 12, &o, DFQ_OK, (int32_t[]){0, 0},
          (int32_t[]){DFQ_CHOSEN_LIKELIEST, DFQ_CHOSEN_LIKELIEST});
    o.snapshot_every = 1; /* also if a snapshot had them */
    check(&p, 12, &o, DFQ_OK, (int32_t[]){0, 0},
          (int32_t[]){DFQ_CHOSEN_LIKELIEST, DFQ_CHOSEN_LIKELIEST});
}
END_TEST

START_TEST(repair_changes_one)
{
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(0);
    check(&p, 11, &o, DFQ_OK, (int32_t[]){0, 1},
          (int32_t[]){DFQ_CHOSEN_LIKELIEST, DFQ_CHOSEN_REPAIR});
}
END_TEST

/* The likeliest are the cheapest, and the limit leaves room for the better choice of one cell. */
START_TEST(local_search_changes_one)
{
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(1e6);
    check(&p, 11, &o, DFQ_OK, (int32_t[]){0, 1},
          (int32_t[]){DFQ_CHOSEN_LOCAL_SEARCH, DFQ_CHOSEN_LIKELIEST});
}
END_TEST

/* One more swap by each: repair takes both to the cheap side, the room is worth the first cell. */
START_TEST(repair_and_local_search_each_change_one)
{
    static const double loss[] = {-4, -3.9, -4, -1}, cost[] = {7, 5, 7, 1};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(0);
    check(&p, 8, &o, DFQ_OK, (int32_t[]){0, 1},
          (int32_t[]){DFQ_CHOSEN_LOCAL_SEARCH, DFQ_CHOSEN_REPAIR});
}
END_TEST

START_TEST(the_accelerator_is_a_choice_as_well)
{
    static const double loss[] = {0, -1, 0, 0}, cost[] = {1, 0.9, 3, 1};
    dfq_problem p = two_groups(1, loss, cost);
    dfq_solver_options o = blind(0);
    check(&p, 2, &o, DFQ_OK, (int32_t[]){1, 1},
          (int32_t[]){DFQ_CHOSEN_LIKELIEST, DFQ_CHOSEN_REPAIR});
}
END_TEST

START_TEST(the_exact_rule_chooses_all)
{
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(0);
    o.rule = DFQ_RULE_EXACT;
    check(&p, 11, &o, DFQ_OK, (int32_t[]){0, 1}, (int32_t[]){DFQ_CHOSEN_EXACT, DFQ_CHOSEN_EXACT});
}
END_TEST

/* The nearest to limits that nothing meets is the repair's. */
START_TEST(the_nearest)
{
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    dfq_problem p = two_groups(0, loss, cost);
    dfq_solver_options o = blind(0);
    check(&p, 5, &o, DFQ_E_INFEASIBLE, (int32_t[]){1, 1},
          (int32_t[]){DFQ_CHOSEN_REPAIR, DFQ_CHOSEN_REPAIR});
}
END_TEST

/* The steps go towards second choices, which are a local optimum, away from first ones, which are
 * better. */
static dfq_status misleading_loss(const double *p, uint64_t step, double *loss, double *gradient,
                                  void *user)
{
    (void)user;
    *loss = -3 * p[0] * p[2] - 2 * p[1] * p[3];
    const double slope[4] = {-3 * p[2], -2 * p[3], -3 * p[0], -2 * p[1]};
    for (int i = 0; i < 4 && gradient; i++) gradient[i] = step > 0 ? -(i % 2) : slope[i];
    return DFQ_OK;
}

START_TEST(a_snapshot_was_better)
{
    static const double cost[] = {1, 1, 1, 1};
    dfq_problem p = two_groups(0, NULL, cost);
    dfq_solver_options o = blind(0);
    p.loss = misleading_loss;
    o.steps = 20;
    o.snapshot_every = 10;
    o.optimizer = DFQ_OPTIMIZER_SGD;
    o.learning_rate = 1;
    check(&p, 3, &o, DFQ_OK, (int32_t[]){0, 0},
          (int32_t[]){DFQ_CHOSEN_SNAPSHOT, DFQ_CHOSEN_SNAPSHOT});
}
END_TEST

/* A loss that is learned beside the search turns: what was best is judged again before it is
 * compared. */
static dfq_status turning_loss(const double *p, uint64_t step, double *loss, double *gradient,
                               void *user)
{
    double first = *(const int *)user ? 5 : -5;
    (void)step;
    *loss = first * p[0] - p[1];
    for (int i = 0; i < 4 && gradient; i++) gradient[i] = i == 1 ? -1 : i == 0 ? 1 : 0;
    return DFQ_OK;
}

START_TEST(snapshots_are_judged_again)
{
    static const double cost[] = {1, 1, 1, 1};
    dfq_context *ctx = dfqt_explore_context();
    const dfq_constraint most = {sizeof(dfq_constraint), 0, 3};
    dfq_problem p = two_groups(0, NULL, cost);
    dfq_solver_options o = blind(0);
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_solver *s;
    int turned = 0;
    int32_t finished;
    p.loss = turning_loss;
    p.user = &turned;
    o.steps = 20;
    o.snapshot_every = 5;
    ck_assert_int_eq(dfq_solver_create(ctx, &p, &most, 1, &o, &s), DFQ_OK);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_OK);
        ck_assert_int_eq(dfq_solver_get_result(s, &r), DFQ_OK);
        if (i == 0) ck_assert_double_eq(r.loss, -5); /* the first choice, as it seems */
        turned = 1;
    }
    ck_assert_double_eq(r.loss, -1);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_chosen_case(void)
{
    TCase *c = tcase_create("chosen");
    tcase_add_test(c, the_likeliest_stand);
    tcase_add_test(c, repair_changes_one);
    tcase_add_test(c, local_search_changes_one);
    tcase_add_test(c, repair_and_local_search_each_change_one);
    tcase_add_test(c, the_accelerator_is_a_choice_as_well);
    tcase_add_test(c, the_exact_rule_chooses_all);
    tcase_add_test(c, the_nearest);
    tcase_add_test(c, a_snapshot_was_better);
    tcase_add_test(c, snapshots_are_judged_again);
    return c;
}
