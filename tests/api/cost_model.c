/* dfq_cost_model: a model that says what the library's accelerators cost leads to the same job,
 * metrics of the caller's own, tables and callbacks alike, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/cases.h"
#include "api/explorer_scene.h"
#include "support/fail_alloc.h"

enum { CELLS = 3, GROUPS = 16, HW = 2 };

static dfq_explorer_options short_job(void)
{
    dfq_explorer_options o;
    dfq_explorer_options_init(&o, sizeof o);
    o.warmup_steps = o.train_steps = 2;
    o.weight_steps = 1;
    o.sampled_paths = 2;
    o.batch = 4;
    return o;
}

static dfq_solver_options short_search(void)
{
    dfq_solver_options s;
    dfq_solver_options_init(&s, sizeof s);
    s.steps = 4;
    return s;
}

static dfq_status create(const dfq_cost_model *m, const dfq_constraint *limit, dfq_explorer **out)
{
    dfq_explorer_options o = short_job();
    dfq_solver_options s = short_search();
    return dfq_explorer_create_with_costs(scene.context, scene.files[SPACE], m, scene.pictures,
                                          limit, 1, &o, &s, out);
}

/* -- what the library's accelerators cost, asked of another job
 * --------------------------------- */

static dfq_status as_accelerators(const dfq_cost_query *q, double *out, void *user)
{
    const dfq_explorer *e = user;
    int32_t groups = dfq_explorer_get_groups(e), cells = dfq_explorer_get_cells(e);
    int32_t choice[GROUPS] = {0};
    double shared[3];
    memcpy(choice + cells, q->hw_choices, (size_t)(groups - cells) * sizeof *choice);
    ck_assert_int_eq(dfq_explorer_cost(e, choice, 3, shared), DFQ_OK);
    if (q->cell < 0) {
        ck_assert_str_eq(q->choice_name, "");
        memcpy(out, shared, sizeof shared);
        return DFQ_OK;
    }
    ck_assert_str_eq(q->choice_name, dfq_explorer_get_name(e, q->cell, q->choice));
    choice[q->cell] = q->choice;
    ck_assert_int_eq(dfq_explorer_cost(e, choice, 3, out), DFQ_OK);
    for (int m = 0; m < 3; m++) out[m] -= shared[m];
    return DFQ_OK;
}

static void same_job(dfq_explorer *a, dfq_explorer *b)
{
    dfq_tensor *x, *y;
    ck_assert_int_eq(dfq_explorer_run(a), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_run(b), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_choice(a, 0, &x), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_choice(b, 0, &y), DFQ_OK);
    ck_assert_int_eq(
        memcmp(dfq_tensor_get_data(x), dfq_tensor_get_data(y), dfq_tensor_get_bytes(x)), 0);
    for (int32_t m = 0; m < 3; m++) {
        dfq_explorer_metric u = {.struct_size = sizeof u}, v = u;
        ck_assert_int_eq(dfq_explorer_get_metric(a, m, &u), DFQ_OK);
        ck_assert_int_eq(dfq_explorer_get_metric(b, m, &v), DFQ_OK);
        ck_assert_double_eq_tol(u.cost, v.cost, 1e-9 * u.cost);
    }
    dfq_tensor_release(x);
    dfq_tensor_release(y);
}

START_TEST(test_a_model_of_the_accelerators)
{
    const dfq_constraint area = {sizeof area, DFQ_EXPLORE_AREA, 0.6};
    const char *metrics[] = {"ms", "mj", "mm2"};
    int32_t alternatives[GROUPS], cells, n;
    dfq_explorer_options o = short_job();
    dfq_solver_options s = short_search();
    dfq_accelerator_config config = {.struct_size = sizeof config};
    dfq_explorer *a, *b;
    dfq_cost_model model;
    ck_assert_int_eq(dfq_explorer_create(scene.context, scene.files[SPACE], scene.accel,
                                         scene.pictures, &area, 1, &o, &s, &a),
                     DFQ_OK);
    cells = dfq_explorer_get_cells(a);
    n = dfq_explorer_get_groups(a) - cells;
    for (int32_t i = 0; i < n; i++) alternatives[i] = dfq_explorer_get_choices(a, cells + i);
    dfq_cost_model_init(&model, sizeof model);
    model.n_hw_params = n;
    model.n_metrics = 3;
    model.alternatives = alternatives;
    model.metrics = metrics;
    model.cost = as_accelerators;
    model.user = a;
    ck_assert_msg(create(&model, &area, &b) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
    ck_assert_str_eq(dfq_explorer_get_metric_name(b, 2), "mm2");
    ck_assert_str_eq(dfq_explorer_get_name(b, cells, -1), "hw 0");
    ck_assert_str_eq(dfq_explorer_get_name(b, cells, 1), "1");
    same_job(a, b);
    ck_assert_int_eq(dfq_explorer_get_accelerator(b, &config), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(scene.context), "caller's own"));
    dfq_explorer_release(b);
    dfq_explorer_release(a);
}
END_TEST

/* -- metrics of the caller's own
 * ---------------------------------------------------------------- */

/* Two hardware parameters, of which the second pays for what the first saves. */
typedef struct chip {
    int32_t calls;
    int32_t fail_at; /* this call fails; negative: none */
    double bad;      /* what the last accelerator costs where it is not 0 */
} chip;

static dfq_status power_and_size(const dfq_cost_query *q, double *out, void *user)
{
    chip *c = user;
    int last = q->hw_choices[0] == 2 && q->hw_choices[1] == 1;
    ck_assert_uint_ge(q->struct_size, sizeof *q);
    if (c->calls++ == c->fail_at) return DFQ_E_IO;
    if (q->cell < 0) {
        out[0] = 10 + 5 * q->hw_choices[1];
        out[1] = 1 + q->hw_choices[0];
        return DFQ_OK;
    }
    out[0] = (3 + q->choice) * (3 - q->hw_choices[0]);
    out[1] = 0.5 * q->choice;
    if (last && c->bad != 0) out[1] = c->bad;
    return DFQ_OK;
}

static dfq_cost_model own_metrics(chip *c)
{
    static const int32_t alternatives[HW] = {3, 2};
    static const char *const metrics[] = {"power_mw", "size_kb"};
    static const char *const hw[] = {"cores", "mode"};
    dfq_cost_model m;
    *c = (chip){.fail_at = -1};
    dfq_cost_model_init(&m, sizeof m);
    m.n_hw_params = HW;
    m.n_metrics = 2;
    m.alternatives = alternatives;
    m.hw_names = hw;
    m.metrics = metrics;
    m.cost = power_and_size;
    m.user = c;
    return m;
}

/* The same as tables: [metric][choices of all cells][accelerators]. */
static void tabulate(const dfq_explorer *e, double *cost, double *base)
{
    chip c = {.fail_at = -1};
    double v[2];
    int32_t total = 0, row = 0;
    for (int32_t g = 0; g < CELLS; g++) total += dfq_explorer_get_choices(e, g);
    for (int32_t g = 0; g < CELLS; g++)
        for (int32_t k = 0; k < dfq_explorer_get_choices(e, g); k++, row++)
            for (int32_t a = 0; a < 6; a++) {
                int32_t hw[HW] = {a / 2, a % 2};
                dfq_cost_query q = {
                    .struct_size = sizeof q, .cell = g, .choice = k, .hw_choices = hw};
                power_and_size(&q, v, &c);
                for (int m = 0; m < 2; m++) cost[(m * total + row) * 6 + a] = v[m];
                q.cell = -1;
                power_and_size(&q, v, &c);
                for (int m = 0; m < 2; m++) base[m * 6 + a] = v[m];
            }
}

static void check_saved(dfq_explorer *e)
{
    char text[4096];
    FILE *f;
    ck_assert_int_eq(dfq_explorer_save_network(e, scene.files[CHECKPOINT]), DFQ_OK);
    f = fopen(scene.files[CHECKPOINT], "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    for (size_t i = 0; i < n; i++)
        if (text[i] == 0) text[i] = ' ';
    text[n] = 0;
    ck_assert_ptr_nonnull(strstr(text, "dfq.cost.power_mw"));
    ck_assert_ptr_nonnull(strstr(text, "dfq.cost.size_kb"));
}

/* Names, costs and the saved network; tables lead to the same bits as the callback. */
START_TEST(test_own_metrics)
{
    const dfq_constraint power = {sizeof power, 0, 31};
    static double cost[2 * 16 * 6], base[2 * 6];
    dfq_explorer_metric m[2] = {{.struct_size = sizeof *m}, {.struct_size = sizeof *m}}, t = m[0];
    dfq_explorer *e, *again;
    chip c;
    dfq_cost_model model = own_metrics(&c);
    ck_assert_msg(create(&model, &power, &e) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
    int32_t total = 0;
    for (int32_t g = 0; g < CELLS; g++) total += dfq_explorer_get_choices(e, g);
    ck_assert_int_eq(c.calls, 6 * (total + 1)); /* each once */
    ck_assert_int_eq(dfq_explorer_get_metrics(e), 2);
    ck_assert_str_eq(dfq_explorer_get_metric_name(e, 0), "power_mw");
    ck_assert_str_eq(dfq_explorer_get_name(e, CELLS, -1), "cores");
    ck_assert_int_eq(dfq_explorer_get_choices(e, CELLS), 3);
    ck_assert_msg(dfq_explorer_run(e) == DFQ_OK, "%s", dfq_context_get_error(scene.context));
    for (int32_t k = 0; k < 2; k++) ck_assert_int_eq(dfq_explorer_get_metric(e, k, &m[k]), DFQ_OK);
    ck_assert_double_le(m[0].cost, 31);
    ck_assert(m[0].limit == 31 && isnan(m[1].limit) && isnan(m[0].reference));
    check_saved(e);
    tabulate(e, cost, base);
    model.cost = NULL;
    model.cost_table = cost;
    model.base_table = base;
    ck_assert_int_eq(create(&model, &power, &again), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_run(again), DFQ_OK);
    for (int32_t k = 0; k < 2; k++) {
        ck_assert_int_eq(dfq_explorer_get_metric(again, k, &t), DFQ_OK);
        ck_assert_int_eq(memcmp(&t, &m[k], sizeof t), 0);
    }
    dfq_explorer_release(again);
    dfq_explorer_release(e);
}
END_TEST

/* -- what is refused
 * ---------------------------------------------------------------------------- */

static void refused(const dfq_cost_model *m, const dfq_constraint *limit, dfq_status status,
                    const char *said)
{
    dfq_explorer *e = NULL;
    ck_assert_int_eq(create(m, limit, &e), status);
    ck_assert_ptr_null(e);
    ck_assert_msg(strstr(dfq_context_get_error(scene.context), said) != NULL, "%s",
                  dfq_context_get_error(scene.context));
}

START_TEST(test_bad_models)
{
    const dfq_constraint power = {sizeof power, 0, 31}, third = {sizeof power, 2, 31};
    const int32_t none[HW] = {3, 0};
    const double low[2] = {1, 0};
    const char *const unnamed[2] = {"power_mw", ""};
    chip c;
    dfq_cost_model good = own_metrics(&c), m = good;
    refused(NULL, &power, DFQ_E_INVALID, "costs is NULL");
    m.struct_size = 0;
    refused(&m, &power, DFQ_E_INVALID, "struct_size");
    m = good, m.n_hw_params = 0;
    refused(&m, &power, DFQ_E_INVALID, "n_hw_params is 0");
    m = good, m.n_metrics = DFQ_METRICS_MAX + 1;
    refused(&m, &power, DFQ_E_INVALID, "n_metrics is 9");
    m = good, m.reserved = 1;
    refused(&m, &power, DFQ_E_UNSUPPORTED, "reserved is 1");
    m = good, m.alternatives = NULL;
    refused(&m, &power, DFQ_E_INVALID, "alternatives is NULL");
    m = good, m.alternatives = none;
    refused(&m, &power, DFQ_E_INVALID, "is 0, must be 1 or more");
    m = good, m.cost = NULL;
    refused(&m, &power, DFQ_E_INVALID, "exactly one of cost and cost_table");
    m = good, m.metrics = unnamed;
    refused(&m, &power, DFQ_E_INVALID, "the name of metric 1 must have");
    m = good, m.reference = low;
    refused(&m, &power, DFQ_E_INVALID, "reference[1] is 0");
    refused(&good, &third, DFQ_E_INVALID, "the metric of limit 0 is 2, must be below 2");
    c.fail_at = 9;
    c.calls = 0;
    refused(&good, &power, DFQ_E_IO, "cost() returned DFQ_E_IO for choice");
    c.fail_at = -1;
    c.bad = (double)NAN;
    refused(&good, &power, DFQ_E_NUMERIC,
            "metric 1 is nan for choice 0 of cell 0 on accelerator 5");
    c.bad = -2; /* in each cell, and 3 for all */
    refused(&good, &power, DFQ_E_NUMERIC,
            "metric 1 of the cheapest network is -3 on accelerator 5, must not be below 0");
    static double table[2 * 16 * 6] = {[5] = -1};
    m = good, m.cost = NULL, m.cost_table = table;
    refused(&m, &power, DFQ_E_NUMERIC, "metric 0 of the cheapest network is -1 on accelerator 5");
}
END_TEST

/* A cost function in units of a reference needs one. */
START_TEST(test_reference)
{
    const dfq_constraint power = {sizeof power, 0, 31};
    const double reference[2] = {20, 3};
    dfq_explorer_options o = short_job();
    dfq_solver_options s = short_search();
    dfq_explorer_metric v = {.struct_size = sizeof v};
    dfq_explorer *e = NULL;
    chip c;
    dfq_cost_model m = own_metrics(&c);
    s.cost_function = DFQ_COST_REFERENCE;
    s.cost_weight = 1;
    for (int i = 0; i < 2; i++) {
        m.reference = i ? reference : NULL;
        ck_assert_int_eq(dfq_explorer_create_with_costs(scene.context, scene.files[SPACE], &m,
                                                        scene.pictures, &power, 1, &o, &s, &e),
                         i ? DFQ_OK : DFQ_E_INVALID);
    }
    ck_assert_int_eq(dfq_explorer_get_metric(e, 1, &v), DFQ_OK);
    ck_assert_double_eq(v.reference, 3);
    dfq_explorer_release(e);
}
END_TEST

static int32_t stop(const dfq_progress *p, void *user)
{
    (void)user;
    return strcmp(p->stage, "tabulate") == 0 && p->done == 3;
}

START_TEST(test_cancelled)
{
    const dfq_constraint power = {sizeof power, 0, 31};
    dfq_context_options co;
    dfq_explorer *e = NULL;
    chip c;
    dfq_cost_model m = own_metrics(&c);
    dfq_context *own = scene.context;
    dfq_context_options_init(&co, sizeof co);
    co.progress = stop;
    ck_assert_int_eq(dfq_context_create(&co, &scene.context), DFQ_OK);
    ck_assert_int_eq(create(&m, &power, &e), DFQ_E_CANCELLED);
    ck_assert_ptr_null(e);
    dfq_context_release(scene.context);
    scene.context = own;
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    const dfq_constraint power = {sizeof power, 0, 31};
    dfq_explorer_options o = short_job();
    dfq_solver_options s = short_search();
    dfq_explorer *e = NULL;
    dfq_dataset *d = NULL;
    dfq_status status = dfq_dataset_open(ctx, scene.files[PICTURES], 2, &d);
    if (status == DFQ_OK)
        status =
            dfq_explorer_create_with_costs(ctx, scene.files[SPACE], arg, d, &power, 1, &o, &s, &e);
    dfq_dataset_release(d);
    dfq_explorer_release(e);
    return status;
}

START_TEST(test_refused_allocations)
{
    chip c;
    dfq_cost_model m = own_metrics(&c);
    fail_alloc_sweep(scenario, &m, 1);
}
END_TEST

TCase *dfqt_api_cost_model_case(void)
{
    TCase *c = tcase_create("cost model");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, dfqt_scene_setup, dfqt_scene_teardown);
    tcase_add_test(c, test_a_model_of_the_accelerators);
    tcase_add_test(c, test_own_metrics);
    tcase_add_test(c, test_bad_models);
    tcase_add_test(c, test_reference);
    tcase_add_test(c, test_cancelled);
    tcase_add_test(c, test_refused_allocations);
    return c;
}
