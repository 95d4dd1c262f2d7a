/* DANCE's two networks on a space of 6 cells and 300 accelerators: gradients by differences, errors
 * on held-out samples, and searches in which they stand for the tables and for the hardware
 * parameters' logits. */
#include "explore/cost_networks/evaluator.h"

#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "explore/cases.h"
#include "explore/domain/domain.h"
#include "explore/solver/solver.h"
#include "explore/cost_networks/hw_generator.h"
#include "explore/cost_networks/mlp.h"
#include "support/fail_alloc.h"

enum {
    CELLS = 6,
    CHOICES = 4,
    HW_PARAMS = 4,
    GROUPS = CELLS + HW_PARAMS,
    ROWS = CELLS * CHOICES,
    CONFIGS = 5 * 5 * 4 * 3,
    TOTAL = ROWS + 5 + 5 + 4 + 3,
    METRICS = 3
};

static const int32_t choices[GROUPS] = {4, 4, 4, 4, 4, 4, 5, 5, 4, 3};

/* Work and traffic of choices on arrays of x columns, y rows, a memory and a dataflow. Area depends
 * on the accelerator alone. */
typedef struct world {
    double loss[TOTAL];
    double cost[METRICS * ROWS * CONFIGS];
    double base[METRICS * CONFIGS];
    dfq_problem problem;
} world;

static void make_world(world *w)
{
    dfqi_rng r = dfqi_rng_make(11, 2);
    memset(w, 0, sizeof *w);
    for (int i = 0; i < ROWS; i++) {
        double work = (0.4 + 0.6 * (double)dfqi_rng_uniform(&r)) * (1 + i % CHOICES);
        double taste = (double)dfqi_rng_uniform(&r);
        w->loss[i] = -sqrt(work) - 0.3 * (double)dfqi_rng_uniform(&r);
        for (int c = 0; c < CONFIGS; c++) {
            double x = 8 + 4 * (c / 60), y = 8 + 4 * (c / 12 % 5), memory = 1 << c / 3 % 4;
            double reuse = 1 + 0.2 * cos(3 * taste + 2 * (c % 3));
            w->cost[i * CONFIGS + c] = 64 * work * reuse / (x * y) + 0.3 * work / memory;
            w->cost[(ROWS + i) * CONFIGS + c] = work * (1 + 0.1 * memory) + 0.2 * reuse * x / y;
        }
    }
    for (int c = 0; c < CONFIGS; c++) {
        double x = 8 + 4 * (c / 60), y = 8 + 4 * (c / 12 % 5), memory = 1 << c / 3 % 4;
        w->base[c] = 0.5;
        w->base[2 * CONFIGS + c] = x * y * (1 + 0.1 * memory) / 64;
    }
    dfq_problem_init(&w->problem, sizeof w->problem);
    w->problem.n_groups = GROUPS;
    w->problem.n_hw_params = HW_PARAMS;
    w->problem.n_metrics = METRICS;
    w->problem.choices = choices;
    w->problem.loss_table = w->loss;
    w->problem.cost_table = w->cost;
    w->problem.base_table = w->base;
}

static dfqi_evaluator *make_evaluator(dfq_context *ctx, const world *w, int64_t steps)
{
    dfqi_mlp_options o;
    dfqi_evaluator *e;
    dfqi_mlp_defaults(&o);
    o.width = 64;
    o.blocks = 2;
    o.batch = 256;
    o.held_out = 2048;
    o.steps = steps;
    o.learning_rate = 3e-3f;
    ck_assert_int_eq(dfqi_evaluator_new(ctx, &w->problem, &o, &e), DFQ_OK);
    return e;
}

static dfqi_gen *make_gen(dfq_context *ctx, const world *w, int64_t steps)
{
    dfqi_mlp_options o;
    dfqi_gen *g;
    dfqi_mlp_defaults(&o);
    o.width = 48;
    o.blocks = 2;
    o.batch = 256;
    o.held_out = 2048;
    o.steps = steps;
    o.learning_rate = 3e-3f;
    ck_assert_int_eq(dfqi_gen_new(ctx, &w->problem, &o, &g), DFQ_OK);
    return g;
}

/* A mixture with every hardware parameter nearly decided. */
static void make_mixture(uint64_t seed, double *p)
{
    dfqi_rng r = dfqi_rng_make(seed, 8);
    int i = 0;
    for (int g = 0; g < GROUPS; g++) {
        double sum = 0;
        int likely = (int)dfqi_rng_below(&r, (uint32_t)choices[g]), first = i;
        for (; i < first + choices[g]; i++) {
            p[i] = (double)dfqi_rng_uniform(&r);
            if (g >= CELLS && i == first + likely) p[i] += 20;
            sum += p[i];
        }
        for (int k = first; k < i; k++) p[k] /= sum;
    }
}

/* -- gradients --------------------------------------------------------------------------------- */

/* Parameters of a network in training, through the statistics of the batch. */
START_TEST(gradients_through_the_batch)
{
    enum { BATCH = 12, IN = 5, OUT = 2 };
    const int32_t heads[2] = {OUT, 1};
    float x[BATCH * IN], seed[2][BATCH * OUT];
    dfq_context *ctx = dfqt_explore_context();
    dfqi_rng r = dfqi_rng_make(2, 2);
    dfqi_mlp m;
    dfqi_mlp_pass p;
    dfqi_id s[2];
    ck_assert_int_eq(dfqi_mlp_new(ctx, IN, 8, 2, 2, heads, 4, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_mlp_pass_begin(&m, BATCH, true, &p), DFQ_OK);
    for (int i = 0; i < 2; i++) s[i] = dfqi_graph_input(p.g, "s", 1, 1, (int64_t[]){heads[i]});
    ck_assert_int_eq(dfqi_mlp_pass_end(&p, 2, p.out, s, DFQI_MLP_DX | DFQI_MLP_DPARAMS), DFQ_OK);
    for (int i = 0; i < BATCH * IN; i++) x[i] = dfqi_rng_normal(&r);
    for (int i = 0; i < BATCH * OUT; i++) seed[0][i] = dfqi_rng_normal(&r), seed[1][i] = 0.5f;
    dfqi_exec_bind(p.e, p.x, x);
    for (int i = 0; i < 2; i++) dfqi_exec_bind(p.e, s[i], seed[i]);
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    double worst = 0, largest = 0;
    double *slopes = dfqi_calloc(ctx, (size_t)m.count + BATCH * IN, sizeof *slopes), *at = slopes;
    for (int i = 0; i < m.n_params; i++)
        for (int64_t k = 0; k < dfqi_tensor_count(m.params[i]); k++)
            *at++ = (double)dfqi_exec_data(p.e, p.grad[i])[k];
    for (int k = 0; k < BATCH * IN; k++) *at++ = (double)dfqi_exec_data(p.e, p.dx)[k];
    at = slopes;
    for (int i = 0; i <= m.n_params; i++) {
        int64_t n = i < m.n_params ? dfqi_tensor_count(m.params[i]) : BATCH * IN;
        float *v = i < m.n_params ? dfqi_tensor_f32(m.params[i]) : x;
        for (int64_t k = 0; k < n; k++, at++) {
            float keep = v[k];
            double change = 0;
            for (int side = 1; side >= -1; side -= 2) {
                v[k] = keep + (float)side * 2e-3f;
                ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
                for (int h = 0; h < 2; h++)
                    for (int64_t b = 0; b < BATCH * heads[h]; b++)
                        change += side / 4e-3 * (double)seed[h][b] *
                                  (double)dfqi_exec_data(p.e, p.out[h])[b];
            }
            v[k] = keep;
            worst = fmax(worst, fabs(change - *at));
            largest = fmax(largest, fabs(*at));
        }
    }
    ck_assert_double_gt(largest, 1);
    ck_assert_double_lt(worst, 0.02 * largest); /* ReLUs have kinks */
    dfqi_free(ctx, slopes);
    dfqi_mlp_pass_fini(&p);
    dfqi_mlp_fini(&m);
    dfq_context_release(ctx);
}
END_TEST

/* From the mixture of the cells to the costs. The accelerator is a single one, so that nothing
 * changes with small changes of its hardware parameters: their gradients pass straight through, and
 * those of what is read from the table are the differences to the accelerators next to it. */
START_TEST(gradients_of_estimates)
{
    static world w;
    double p[TOTAL], costs[METRICS], side[METRICS], g[METRICS * TOTAL];
    dfq_context *ctx = dfqt_explore_context();
    make_world(&w);
    dfqi_evaluator *e = make_evaluator(ctx, &w, 200);
    ck_assert_int_eq(dfqi_evaluator_train(e), DFQ_E_NUMERIC); /* too short, but no longer random */
    for (uint64_t seed = 0; seed < 4; seed++) {
        double worst = 0;
        make_mixture(seed, p);
        ck_assert_int_eq(dfqi_evaluator_costs(p, costs, g, e), DFQ_OK);
        ck_assert_int_eq(dfqi_evaluator_costs(p, side, NULL, e), DFQ_OK);
        ck_assert_int_eq(memcmp(costs, side, sizeof costs), 0);
        for (int i = 0; i < ROWS; i++) {
            double change[METRICS] = {0};
            for (int s = 1; s >= -1; s -= 2) {
                p[i] += s * 5e-3;
                ck_assert_int_eq(dfqi_evaluator_costs(p, side, NULL, e), DFQ_OK);
                p[i] -= s * 5e-3;
                for (int m = 0; m < METRICS; m++) change[m] += s * side[m] / 1e-2;
            }
            for (int m = 0; m < 2; m++)
                worst = fmax(worst, fabs(change[m] - g[m * TOTAL + i]) / costs[m]);
            ck_assert_double_eq(change[2], 0);
            ck_assert_double_eq(g[2 * TOTAL + i], 0);
        }
        ck_assert_double_lt(worst, 0.02);
        for (int f = 0, first = ROWS; f < HW_PARAMS; first += choices[CELLS + f++])
            for (int k = 0; k < choices[CELLS + f]; k++) {
                double q[TOTAL];
                memcpy(q, p, sizeof q);
                q[first + k] += 100;
                ck_assert_int_eq(dfqi_evaluator_costs(q, side, NULL, e), DFQ_OK);
                ck_assert_double_eq_tol(g[2 * TOTAL + first + k], side[2], 1e-12);
            }
    }
    dfqi_evaluator_release(e);
    dfq_context_release(ctx);
}
END_TEST

/* From mixture and parameters to the logits of the hardware parameters. */
START_TEST(gradients_of_generated_logits)
{
    static world w;
    double p[TOTAL], z[TOTAL - ROWS], seed[TOTAL - ROWS], dp[ROWS];
    dfq_context *ctx = dfqt_explore_context();
    dfqi_rng r = dfqi_rng_make(6, 6);
    make_world(&w);
    dfqi_gen *g = make_gen(ctx, &w, 50);
    ck_assert_int_eq(dfqi_gen_train(g), DFQ_OK);
    dfqi_hw_params f = dfqi_gen_hw_params(g);
    double *v = dfqi_calloc(ctx, (size_t)f.n, sizeof *v), *dv = dfqi_calloc(ctx, (size_t)f.n, 8);
    double worst = 0, largest = 0;
    memcpy(v, f.start, (size_t)f.n * sizeof *v);
    make_mixture(3, p);
    for (int i = 0; i < TOTAL - ROWS; i++) seed[i] = (double)dfqi_rng_normal(&r);
    ck_assert_int_eq(f.logits(f.user, p, v, z), DFQ_OK);
    ck_assert_int_eq(f.gradient(f.user, seed, dp, dv), DFQ_OK);
    for (int64_t i = 0; i < ROWS + 400; i++) {
        int64_t k = i < ROWS ? i : (int64_t)dfqi_rng_below(&r, (uint32_t)f.n);
        double *at = i < ROWS ? p + k : v + k, slope = i < ROWS ? dp[k] : dv[k], change = 0;
        for (int s = 1; s >= -1; s -= 2) {
            *at += s * 2e-3;
            ck_assert_int_eq(f.logits(f.user, p, v, z), DFQ_OK);
            *at -= s * 2e-3;
            for (int c = 0; c < TOTAL - ROWS; c++) change += s * seed[c] * z[c] / 4e-3;
        }
        worst = fmax(worst, fabs(change - slope));
        largest = fmax(largest, fabs(slope));
    }
    ck_assert_double_gt(largest, 0.5);
    ck_assert_double_lt(worst, 0.02 * largest);
    dfqi_free(ctx, v);
    dfqi_free(ctx, dv);
    dfqi_gen_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* -- what they learn --------------------------------------------------------------------------- */

START_TEST(estimates_within_a_percent)
{
    static world w;
    double costs[METRICS], exact[METRICS], p[TOTAL], worst = 0;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_rng r = dfqi_rng_make(9, 9);
    make_world(&w);
    dfqi_evaluator *e = make_evaluator(ctx, &w, 5000);
    ck_assert_msg(dfqi_evaluator_train(e) == DFQ_OK, "%s", dfq_context_get_error(ctx));
    dfqi_evaluator_quality q = dfqi_evaluator_judged(e);
    for (int m = 0; m < 2; m++) {
        ck_assert_double_gt(q.mean[m], 0);
        ck_assert_double_lt(q.mean[m], 0.01);
        ck_assert_double_lt(q.p99[m], 0.04);
        ck_assert_double_gt(q.tau[m], 0.97);
    }
    ck_assert_double_eq(q.mean[2], 0);
    for (int n = 0; n < 200; n++) { /* judged by the tables themselves as well */
        int32_t choice[GROUPS];
        memset(p, 0, sizeof p);
        for (int g = 0, first = 0; g < GROUPS; first += choices[g++]) {
            choice[g] = (int32_t)dfqi_rng_below(&r, (uint32_t)choices[g]);
            p[first + choice[g]] = 1;
        }
        ck_assert_int_eq(dfqi_evaluator_costs(p, costs, NULL, e), DFQ_OK);
        ck_assert_int_eq(dfqi_evaluator_exact(choice, exact, e), DFQ_OK);
        for (int m = 0; m < METRICS; m++) worst += fabs(costs[m] / exact[m] - 1) / (200 * METRICS);
    }
    ck_assert_double_lt(worst, 0.015);
    dfqi_evaluator_release(e);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(too_short_is_refused)
{
    static world w;
    char figure[32];
    dfq_context *ctx = dfqt_explore_context();
    make_world(&w);
    dfqi_evaluator *e = make_evaluator(ctx, &w, 5);
    ck_assert_int_eq(dfqi_evaluator_train(e), DFQ_E_NUMERIC);
    snprintf(figure, sizeof figure, "metric 0 is %.3g %% on 2048",
             100 * dfqi_evaluator_judged(e).mean[0]);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), figure));
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "must be at most 1 %"));
    dfqi_evaluator_release(e);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(generated_accelerators)
{
    static world w;
    dfq_context *ctx = dfqt_explore_context();
    make_world(&w);
    dfqi_gen *g = make_gen(ctx, &w, 1500);
    ck_assert_int_eq(dfqi_gen_train(g), DFQ_OK);
    dfqi_gen_quality q = dfqi_gen_judged(g);
    for (int f = 0; f < HW_PARAMS; f++) ck_assert_double_gt(q.accuracy[f], 0.9);
    ck_assert_double_gt(q.all, 0.85);
    ck_assert_double_le(q.all, 1);
    ck_assert_double_lt(q.regret, 0.002);
    ck_assert_double_ge(q.regret, 0);
    dfqi_gen_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* -- in searches ------------------------------------------------------------------------------- */

static dfq_solver_options search_options(void)
{
    dfq_solver_options o;
    dfq_solver_options_init(&o, sizeof o);
    o.steps = 600;
    o.learning_rate = 0.03;
    o.hw_learning_rate = 2e-3;
    return o;
}

/* Gain over the exact optimum's, which the public solver finds. */
static double optimum(dfq_context *ctx, const world *w, const dfq_constraint *limits, int32_t n)
{
    dfq_solver_options o = search_options();
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_solver *s;
    o.rule = DFQ_RULE_EXACT;
    ck_assert_int_eq(dfq_solver_create(ctx, &w->problem, limits, n, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_result(s, &r), DFQ_OK);
    dfq_solver_release(s);
    return r.loss;
}

/* With and without each of the networks: certified, and near the optimum. */
START_TEST(searches_with_both_networks)
{
    static world w;
    const dfq_constraint limits[3] = {{sizeof(dfq_constraint), 0, 9},
                                      {sizeof(dfq_constraint), 1, 20},
                                      {sizeof(dfq_constraint), 2, 5}};
    dfq_context *ctx = dfqt_explore_context();
    make_world(&w);
    double best = optimum(ctx, &w, limits, 3);
    dfqi_evaluator *e = make_evaluator(ctx, &w, 1500);
    dfqi_gen *g = make_gen(ctx, &w, 300);
    (void)!dfqi_evaluator_train(e);
    ck_assert_double_lt(dfqi_evaluator_judged(e).mean[0], 0.02);
    ck_assert_int_eq(dfqi_gen_train(g), DFQ_OK);
    for (int i = 0; i < 4; i++) {
        dfq_problem p = w.problem;
        dfqi_hw_params hw_params = dfqi_gen_hw_params(g);
        dfq_solver_options o = search_options();
        dfqi_solver_info r;
        dfqi_solver *s;
        if (i & 1) {
            p.cost_table = p.base_table = NULL;
            p.costs = dfqi_evaluator_costs;
            p.exact = dfqi_evaluator_exact;
            p.user = e;
            o.gumbel = 1;
        }
        if (!(i & 2)) o.hw_learning_rate = 0.03;
        ck_assert_int_eq(
            dfqi_solver_new_with(ctx, &p, limits, 3, &o, i & 2 ? &hw_params : NULL, &s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
        dfqi_solver_result(s, &r);
        ck_assert_int_eq(r.result.verdict, DFQ_VERDICT_CERTIFIED);
        for (int j = 0; j < 3; j++) ck_assert_double_le(r.costs[j], limits[j].limit);
        double of = r.result.loss / best;
        ck_assert_msg(of > 0.95 && of < 1 + 1e-9, "variant %d: %g", i, of);
        dfqi_solver_release(s);
    }
    dfqi_evaluator_release(e);
    dfqi_gen_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* The hardware generator's block has a constraint gradient of its own: with an area limit, which
 * the network's logits do not change, a mixture that begins above it comes down to it. */
START_TEST(hw_generator_is_constrained)
{
    static world w;
    const dfq_constraint area = {sizeof(dfq_constraint), 2, 2.5};
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o = search_options();
    dfqi_mlp_options go;
    dfqi_gen *g;
    dfqi_solver *s;
    dfq_tensor *rows;
    make_world(&w);
    dfqi_mlp_defaults(&go);
    go.width = 48;
    go.blocks = 2;
    go.batch = go.held_out = 256;
    go.steps = 400;
    go.learning_rate = 3e-3f;
    dfq_problem fastest = w.problem; /* the largest */
    fastest.n_metrics = 1;
    ck_assert_int_eq(dfqi_gen_new(ctx, &fastest, &go, &g), DFQ_OK);
    ck_assert_int_eq(dfqi_gen_train(g), DFQ_OK);
    dfqi_hw_params hw_params = dfqi_gen_hw_params(g);
    o.steps = 1500;
    ck_assert_int_eq(dfqi_solver_new_with(ctx, &w.problem, &area, 1, &o, &hw_params, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_solver_trajectory(s, &rows), DFQ_OK);
    const float *row = dfq_tensor_get_data(rows);
    ck_assert_double_gt((double)row[3], 8);
    ck_assert_double_lt((double)row[1499 * 5 + 3], 1.01 * 2.5);
    dfq_tensor_release(rows);
    dfqi_solver_release(s);
    dfqi_gen_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* A search begins from the trained generator, whatever an earlier search has made of it. */
START_TEST(hw_generator_begins_anew)
{
    static world w;
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 9};
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o = search_options();
    dfq_tensor *p[2];
    make_world(&w);
    o.steps = 40;
    dfqi_gen *g = make_gen(ctx, &w, 1);
    for (int i = 0; i < 2; i++) {
        dfqi_hw_params hw_params = dfqi_gen_hw_params(g);
        dfqi_solver *s;
        ck_assert_int_eq(dfqi_solver_new_with(ctx, &w.problem, &limit, 1, &o, &hw_params, &s),
                         DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_probabilities(s, &p[i]), DFQ_OK);
        dfqi_solver_release(s);
    }
    ck_assert_int_eq(memcmp(p[0]->data, p[1]->data, TOTAL * sizeof(float)), 0);
    for (int i = 0; i < 2; i++) dfq_tensor_release(p[i]);
    dfqi_gen_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* A search with a hardware generator goes on from a checkpoint to the same bits. */
START_TEST(hw_generator_checkpoint)
{
    static world w;
    const char *path = "dfq-explore-hw-generator.safetensors";
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 9};
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o = search_options();
    dfq_tensor *p[2];
    int32_t finished = 0;
    make_world(&w);
    o.steps = 40;
    for (int i = 0; i < 2; i++) {
        dfqi_gen *g = make_gen(ctx, &w, 1);
        dfqi_hw_params hw_params = dfqi_gen_hw_params(g);
        dfqi_solver *s;
        ck_assert_int_eq(dfqi_solver_new_with(ctx, &w.problem, &limit, 1, &o, &hw_params, &s),
                         DFQ_OK);
        if (i == 1) ck_assert_int_eq(dfqi_solver_restore(s, path), DFQ_OK);
        for (int k = 0; k < 17 && i == 0; k++)
            ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
        if (i == 0) ck_assert_int_eq(dfqi_solver_save(s, path), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_probabilities(s, &p[i]), DFQ_OK);
        dfqi_solver_release(s);
        dfqi_gen_release(g);
    }
    ck_assert_int_eq(memcmp(p[0]->data, p[1]->data, TOTAL * sizeof(float)), 0);
    for (int i = 0; i < 2; i++) dfq_tensor_release(p[i]);
    remove(path);
    dfq_context_release(ctx);
}
END_TEST

/* -- what is refused, and what fails ----------------------------------------------------------- */

START_TEST(bad_tables)
{
    static world w;
    dfqi_mlp_options o;
    dfqi_mlp_options go;
    dfqi_evaluator *e = NULL;
    dfqi_gen *g = NULL;
    dfqi_solver *s = NULL;
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 9};
    dfq_context *ctx = dfqt_explore_context();
    make_world(&w);
    dfqi_mlp_defaults(&o);
    dfqi_mlp_defaults(&go);
    for (int i = 0; i < 4; i++) w.cost[i * CONFIGS + 7] = -9;
    ck_assert_int_eq(dfqi_evaluator_new(ctx, &w.problem, &o, &e), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "on accelerator 7"));
    make_world(&w);
    o.held_out = 1000;
    ck_assert_int_eq(dfqi_evaluator_new(ctx, &w.problem, &o, &e), DFQ_E_INVALID);
    dfqi_mlp_defaults(&o);
    o.blocks = 99;
    ck_assert_int_eq(dfqi_evaluator_new(ctx, &w.problem, &o, &e), DFQ_E_INVALID);
    ck_assert_ptr_null(e);
    ck_assert_int_eq(dfqi_gen_new(ctx, &w.problem, &go, &g), DFQ_OK);
    dfqi_hw_params hw_params = dfqi_gen_hw_params(g);
    dfq_solver_options so = search_options();
    so.rule = DFQ_RULE_FRANK_WOLFE;
    ck_assert_int_eq(dfqi_solver_new_with(ctx, &w.problem, &limit, 1, &so, &hw_params, &s),
                     DFQ_E_INVALID);
    ck_assert_ptr_null(s);
    dfqi_gen_release(g);
    w.problem.cost_table = NULL;
    ck_assert_int_eq(dfqi_evaluator_new(ctx, &w.problem, &o, &e), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_gen_new(ctx, &w.problem, &go, &g), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status train_both(dfq_context *ctx, void *arg)
{
    const world *w = arg;
    dfqi_mlp_options o;
    dfqi_mlp_options go;
    dfqi_evaluator *e = NULL;
    dfqi_gen *g = NULL;
    dfqi_mlp_defaults(&o);
    o.width = 8;
    o.blocks = 1;
    o.batch = o.held_out = 8;
    o.steps = 1;
    dfqi_mlp_defaults(&go);
    go.width = 8;
    go.blocks = 1;
    go.batch = go.held_out = 8;
    go.steps = 1;
    dfq_status status = dfqi_evaluator_new(ctx, &w->problem, &o, &e);
    if (status == DFQ_OK) status = dfqi_evaluator_train(e);
    if (status == DFQ_E_NUMERIC) status = DFQ_OK; /* one step is not enough to be accepted */
    if (status == DFQ_OK) status = dfqi_gen_new(ctx, &w->problem, &go, &g);
    if (status == DFQ_OK) status = dfqi_gen_train(g);
    dfqi_evaluator_release(e);
    dfqi_gen_release(g);
    return status;
}

START_TEST(allocations_fail)
{
    static world w;
    make_world(&w);
    fail_alloc_sweep(train_both, &w, 1);
}
END_TEST

TCase *dfqt_evaluator_case(void)
{
    TCase *c = tcase_create("evaluator");
    tcase_add_test(c, gradients_through_the_batch);
    tcase_add_test(c, gradients_of_estimates);
    tcase_add_test(c, gradients_of_generated_logits);
    tcase_add_test(c, estimates_within_a_percent);
    tcase_add_test(c, too_short_is_refused);
    tcase_add_test(c, generated_accelerators);
    tcase_add_test(c, searches_with_both_networks);
    tcase_add_test(c, hw_generator_is_constrained);
    tcase_add_test(c, hw_generator_begins_anew);
    tcase_add_test(c, hw_generator_checkpoint);
    tcase_add_test(c, bad_tables);
    tcase_add_test(c, allocations_fail);
    return c;
}
