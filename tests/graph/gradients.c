/* Gradient rules against central differences, and the walk over the op table that keeps the list of
 * scenes complete. */
#include <math.h>
#include <string.h>

#include "graph/cases.h"
#include "graph/scenes.h"

/* <out, seed> in double. */
static double objective(rig *r, int32_t n, const dfqi_id *out, float *const *seed)
{
    double sum = 0;
    dfqt_run(r);
    for (int32_t i = 0; i < n; i++) {
        const float *y = dfqi_exec_data(r->e, out[i]);
        for (int64_t k = 0; k < dfqt_count(r, out[i]); k++)
            sum += (double)y[k] * (seed[i] ? (double)seed[i][k] : 1.0);
    }
    return sum;
}

/* Two central differences extrapolated to step 0: the error is of fourth order. */
static double slope(rig *r, int32_t n, const dfqi_id *out, float *const *seed, float *x)
{
    double d[2];
    float at = *x;
    for (int i = 0; i < 2; i++) {
        float up = at + (i ? 0.01f : 0.02f), down = at - (i ? 0.01f : 0.02f);
        *x = up;
        double y = objective(r, n, out, seed);
        *x = down;
        y -= objective(r, n, out, seed);
        d[i] = y / ((double)up - (double)down);
    }
    *x = at;
    return (4 * d[1] - d[0]) / 3;
}

static void check_input(rig *r, const scene *s, int32_t i, int32_t n, const dfqi_id *out,
                        float *const *seed)
{
    enum { PROBES = 48 };
    float *x = r->data[r->wrt[i]];
    int64_t count = dfqt_count(r, r->input[r->wrt[i]]);
    ck_assert_msg(r->dwrt[i] >= 0, "%s: no gradient of operand %d", s->name, i);
    ck_assert_int_eq(dfqt_count(r, r->dwrt[i]), count);
    float *dx = dfqi_alloc(r->ctx, (size_t)count * sizeof *dx);
    double scale = 0.02;
    memcpy(dx, dfqi_exec_data(r->e, r->dwrt[i]), (size_t)count * sizeof *dx);
    for (int64_t k = 0; k < count; k++) scale = fmax(scale, fabs((double)dx[k]));
    for (int64_t probe = 0; probe < count && probe < PROBES; probe++) {
        int64_t k = count <= PROBES ? probe : (int64_t)dfqi_rng_below(&r->rng, (uint32_t)count);
        double want = slope(r, n, out, seed, x + k);
        ck_assert_msg(fabs(want - (double)dx[k]) < 1e-3 * scale,
                      "%s: operand %d, element %d: gradient %g, difference quotient %g", s->name, i,
                      (int)k, (double)dx[k], want);
    }
    dfqi_free(r->ctx, dx);
}

/* Scene i of the lists checked against differences, NULL behind the last one. */
static const scene *smooth_scene(int i)
{
    const scene *const lists[] = {dfqt_smooth, dfqt_images, dfqt_windows};
    for (int k = 0; k < 3; k++) {
        int n = 0;
        while (lists[k][n].name) n++;
        if (i < n) return lists[k] + i;
        i -= n;
    }
    return NULL;
}

START_TEST(test_difference)
{
    const scene *s = smooth_scene(_i);
    rig r = dfqt_rig(1, SCENE_BATCH, 7);
    dfqi_id out[DFQI_OUT_MAX];
    float *seed[DFQI_OUT_MAX] = {NULL};
    int32_t n = dfqt_scene(s, &r, out);
    for (int32_t i = 0; i < s->outputs; i++) seed[i] = r.data[r.n - s->outputs + i];
    dfqt_start(&r);
    dfqt_run(&r);
    for (int32_t i = 0; i < r.n_wrt; i++) {
        dfqt_run(&r);
        check_input(&r, s, i, n, out, seed);
    }
    dfqt_rig_fini(&r);
}
END_TEST

/* Every op is built by some scene, every gradient rule is what some scene is about. */
START_TEST(test_every_op_has_a_scene)
{
    int seen[DFQI_OP_COUNT] = {0}, checked[DFQI_OP_COUNT] = {0};
    const scene *const lists[] = {dfqt_smooth, dfqt_images, dfqt_windows, dfqt_surrogate};
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++)
        for (const scene *s = lists[list]; s->name; s++) {
            rig r = dfqt_rig(1, SCENE_BATCH, 1);
            dfqi_id out[DFQI_OUT_MAX];
            dfqt_scene(s, &r, out);
            for (int k = 0; k < DFQI_OP_COUNT; k++) seen[k] += dfqt_has_op(r.g, (dfqi_op_kind)k);
            ck_assert_int_gt(dfqt_has_op(r.g, s->op), 0);
            checked[s->op]++;
            dfqt_rig_fini(&r);
        }
    for (int k = 0; k < DFQI_OP_COUNT; k++) {
        const dfqi_op *op = dfqi_op_get((dfqi_op_kind)k);
        ck_assert_msg(seen[k] > 0, "no scene uses %s", op->name);
        ck_assert_msg(!op->grad || checked[k], "no scene checks the gradient of %s", op->name);
    }
}
END_TEST

START_TEST(test_every_row_is_complete)
{
    for (int k = 0; k < DFQI_OP_COUNT; k++) {
        const dfqi_op *op = dfqi_op_get((dfqi_op_kind)k);
        ck_assert_ptr_nonnull(op->name);
        ck_assert_msg(op->shape && op->run, "%s lacks a shape rule or a kernel", op->name);
        ck_assert_msg(op->min_in >= 0 && op->max_in >= 1 && op->min_in <= op->max_in &&
                          op->max_in <= DFQI_IN_MAX && op->n_out >= 1 && op->n_out <= DFQI_OUT_MAX,
                      "%s: arity", op->name);
        for (int j = 0; j < k; j++) ck_assert_str_ne(op->name, dfqi_op_get((dfqi_op_kind)j)->name);
    }
}
END_TEST

/* Asking for the input's gradient alone computes no weight gradient, and the other way round. */
START_TEST(test_only_what_is_asked_for)
{
    for (int want_x = 0; want_x < 2; want_x++) {
        rig r = dfqt_rig(1, 2, 3);
        dfqi_id x = dfqt_input(&r, 1, 2, (int64_t[]){4, 6}, -1, 1);
        dfqi_id w = dfqt_input(&r, 0, 2, (int64_t[]){6, 6}, -1, 1);
        dfqi_id gamma = dfqt_input(&r, 0, 1, (int64_t[]){6}, -1, 1);
        dfqi_id y = dfqi_linear(r.g, "a", x, w, gamma), d;
        y = dfqi_linear(r.g, "b", dfqi_layernorm(r.g, y, gamma, gamma, 1e-6f), w, DFQI_NONE);
        dfqi_id seed = dfqt_seed(&r, y);
        ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &seed, 1, want_x ? &x : &w, &d), DFQ_OK);
        ck_assert_int_ge(d, 0);
        ck_assert_int_eq(dfqt_has_op(r.g, DFQI_OP_LINEAR_DW), want_x ? 0 : 2);
        ck_assert_int_eq(dfqt_has_op(r.g, DFQI_OP_LINEAR_DX), want_x ? 2 : 1);
        ck_assert_int_eq(dfqt_has_op(r.g, DFQI_OP_SUM_BATCH), 0);
        dfqt_rig_fini(&r);
    }
}
END_TEST

/* Nothing flows to what the seeded value does not depend on, nor back through its operands. */
START_TEST(test_nothing_flows)
{
    rig r = dfqt_rig(1, 2, 3);
    dfqi_id a = dfqt_input(&r, 1, 1, (int64_t[]){6}, -1, 1);
    dfqi_id b = dfqt_input(&r, 1, 1, (int64_t[]){6}, -1, 1);
    dfqi_id y = dfqi_gelu(r.g, a), z = dfqi_gelu(r.g, y), seed = dfqt_seed(&r, y), d[3];
    ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &seed, 3, (dfqi_id[]){b, z, y}, d), DFQ_OK);
    ck_assert_int_eq(d[0], DFQI_NONE);
    ck_assert_int_eq(d[1], DFQI_NONE);
    ck_assert_int_eq(d[2], seed);
    ck_assert_int_eq(dfqt_has_op(r.g, DFQI_OP_GELU_DX), 0);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_gradients_case(void)
{
    TCase *c = tcase_create("gradients");
    int n = 0;
    while (smooth_scene(n)) n++;
    tcase_add_test(c, test_every_op_has_a_scene);
    tcase_add_test(c, test_every_row_is_complete);
    tcase_add_test(c, test_only_what_is_asked_for);
    tcase_add_test(c, test_nothing_flows);
    tcase_add_loop_test(c, test_difference, 0, n);
    return c;
}
