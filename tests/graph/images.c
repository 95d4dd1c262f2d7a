/* Ops of convolutional networks against PyTorch's numbers, one by one and as a small conditional
 * generator, which gives the same bits at any thread count. */
#include <math.h>

#include "graph/cases.h"
#include "graph/golden.h"

static const double tol = 1e-6;

/* Gradients of a case: dy comes in at v, those of the n inputs are compared. */
static void check_case(rig *r, const golden *f, const char *name, dfqi_id v, int32_t n,
                       const dfqi_id *in, const char *const *grads)
{
    dfqi_id d[8];
    ck_assert_msg(v >= 0, "%s", r->ctx->error);
    dfqi_id dy = dfqt_golden_input(r, f, name, "dy", dfqi_graph_value(r->g, v)->batched);
    ck_assert_int_eq(dfqi_graph_grad(r->g, 1, &v, &dy, n, in, d), DFQ_OK);
    dfqi_graph_keep(r->g, v);
    for (int32_t i = 0; i < n; i++) dfqi_graph_keep(r->g, d[i]);
    dfqt_start(r);
    dfqt_run(r);
    dfqt_golden_check(r, v, f, name, "y", tol);
    for (int32_t i = 0; i < n; i++) dfqt_golden_check(r, d[i], f, name, grads[i], tol);
}

/* -- batch normalisation ----------------------------------------------------------------------- */

static const char *const norm_grads[] = {"dx", "dgamma", "dbeta"};

/* With the statistics of the batch; gamma and beta for all images or for each. */
static void check_train(const char *name, int own, int stats)
{
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 3, 1);
    dfqi_id in[3] = {dfqt_golden_input(&r, &f, name, "x", 1),
                     dfqt_golden_input(&r, &f, name, "gamma", own),
                     dfqt_golden_input(&r, &f, name, "beta", own)};
    dfqi_id mean = dfqi_batch_stats(r.g, in[0]), var = dfqi_graph_output(r.g, mean, 1);
    dfqi_id y = dfqi_batchnorm(r.g, in[0], mean, var, in[1], in[2], 0.8f);
    dfqi_graph_keep(r.g, mean);
    dfqi_graph_keep(r.g, var);
    check_case(&r, &f, name, y, 3, in, norm_grads);
    if (stats) {
        dfqt_golden_check(&r, mean, &f, name, "mean", tol);
        dfqt_golden_check(&r, var, &f, name, "var", tol);
    }
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}

START_TEST(test_train)
{
    check_train("train", 0, 1);
}
END_TEST

START_TEST(test_conditional)
{
    check_train("conditional", 1, 0);
}
END_TEST

START_TEST(test_eval)
{
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 3, 1);
    dfqi_id in[3] = {dfqt_golden_input(&r, &f, "eval", "x", 1),
                     dfqt_golden_input(&r, &f, "eval", "gamma", 0),
                     dfqt_golden_input(&r, &f, "eval", "beta", 0)};
    dfqi_id mean = dfqt_golden_input(&r, &f, "eval", "mean", 0);
    dfqi_id var = dfqt_golden_input(&r, &f, "eval", "var", 0);
    dfqi_id y = dfqi_batchnorm(r.g, in[0], mean, var, in[1], in[2], 0.8f);
    check_case(&r, &f, "eval", y, 3, in, norm_grads);
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

START_TEST(test_bns)
{
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 3, 1);
    dfqi_id x = dfqt_golden_input(&r, &f, "bns", "x", 1), mean = dfqi_batch_stats(r.g, x);
    dfqi_id want_mean = dfqt_golden_input(&r, &f, "bns", "mean", 0);
    dfqi_id want_var = dfqt_golden_input(&r, &f, "bns", "var", 0);
    dfqi_id y = dfqi_bns(r.g, mean, dfqi_graph_output(r.g, mean, 1), want_mean, want_var);
    check_case(&r, &f, "bns", y, 1, &x, norm_grads);
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

/* -- resampling and losses --------------------------------------------------------------------- */

static const char *const one_operand[] = {"nearest", "bilinear", "max", "mean"};

START_TEST(test_resample)
{
    const char *name = one_operand[_i];
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqt_golden_input(&r, &f, name, "x", 1);
    dfqi_id y = _i < 2    ? dfqi_upsample(r.g, x, _i)
                : _i == 2 ? dfqi_max_pool(r.g, x, &(dfqi_pool_attr){3, 2, 1, 0, 0})
                          : dfqi_mean_pool(r.g, x);
    check_case(&r, &f, name, y, 1, &x, norm_grads);
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

/* What it is short for. */
START_TEST(test_upsample_conv)
{
    static const int64_t x_dims[] = {5, 3, 20}, w_dims[] = {7, 20, 3, 3}, b_dims[] = {7};
    const dfqi_conv_attr same = {1, 1, 1, 1, 0};
    rig r = dfqt_rig(1, 2, 3);
    dfqi_id x = dfqt_input(&r, 1, 3, x_dims, -1, 1), w = dfqt_input(&r, 0, 4, w_dims, -1, 1),
            b = dfqt_input(&r, 0, 1, b_dims, -1, 1);
    dfqi_id y = dfqi_upsample_conv(r.g, x, w, b);
    dfqi_id plain = dfqi_conv(r.g, "conv", dfqi_upsample(r.g, x, 0), w, b, &same);
    ck_assert_msg(y >= 0 && plain >= 0, "%s", r.ctx->error);
    dfqi_graph_keep(r.g, y);
    dfqi_graph_keep(r.g, plain);
    dfqt_start(&r);
    dfqt_run(&r);
    ck_assert_int_eq(dfqt_count(&r, y), 2 * 10 * 6 * 7);
    ck_assert_int_eq(dfqt_count(&r, plain), dfqt_count(&r, y));
    for (int64_t i = 0; i < dfqt_count(&r, y); i++)
        ck_assert_float_eq_tol(dfqi_exec_data(r.e, y)[i], dfqi_exec_data(r.e, plain)[i], 2e-5f);
    dfqt_rig_fini(&r);
}
END_TEST

START_TEST(test_soft_labels)
{
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 3, 1);
    dfqi_id z = dfqt_golden_input(&r, &f, "soft", "z", 1);
    dfqi_id y = dfqi_soft_cross_entropy(r.g, z, dfqt_golden_input(&r, &f, "soft", "targets", 1));
    check_case(&r, &f, "soft", y, 1, &z, (const char *const[]){"dz"});
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

/* A window with NaN has NaN as its largest, wherever it lies. */
START_TEST(test_max_pool_nan)
{
    rig r = dfqt_rig(1, 1, 1);
    dfqi_id x = dfqt_input(&r, 1, 3, (int64_t[]){2, 4, 1}, -1, 1);
    dfqi_id y = dfqi_max_pool(r.g, x, &(dfqi_pool_attr){2, 2, 0, 0, 0});
    dfqt_data(&r, x)[0] = NAN;
    dfqi_graph_keep(r.g, y);
    dfqt_start(&r);
    dfqt_run(&r);
    ck_assert_float_nan(dfqi_exec_data(r.e, y)[0]);
    ck_assert(dfqi_exec_data(r.e, y)[1] <= 1);
    dfqt_rig_fini(&r);
}
END_TEST

/* -- a generator ------------------------------------------------------------------------------- */

enum {
    GEN_INPUTS = 10,
    GEN_Z = 0,
    GEN_TABLE,
    GEN_W,
    GEN_B,
    GEN_GAMMA,
    GEN_BETA,
    GEN_W1,
    GEN_SCALES,
    GEN_SHIFTS,
    GEN_W2
};

static const struct operand {
    const char *name, *grad;
    int32_t batched, rank;
    int64_t dims[4];
} operands[GEN_INPUTS] = {
    {"z", "dz", 1, 1, {6}},
    {"table", "dtable", 0, 2, {3, 6}},
    {"w", "dw", 0, 2, {60, 6}},
    {"b", "db", 0, 1, {60}},
    {"gamma", "dgamma", 0, 1, {5}},
    {"beta", "dbeta", 0, 1, {5}},
    {"w1", "dw1", 0, 4, {4, 5, 3, 3}},
    {"scales", "dscales", 0, 2, {3, 4}},
    {"shifts", "dshifts", 0, 2, {3, 4}},
    {"w2", "dw2", 0, 4, {3, 4, 3, 3}},
};

static dfqi_id normalised(dfqi_graph *g, dfqi_id x, dfqi_id gamma, dfqi_id beta, float eps)
{
    dfqi_id mean = dfqi_batch_stats(g, x);
    return dfqi_batchnorm(g, x, mean, dfqi_graph_output(g, mean, 1), gamma, beta, eps);
}

static dfqi_id generator(dfqi_graph *g, const dfqi_id *in, dfqi_id index)
{
    const dfqi_conv_attr same = {1, 1, 1, 1, 0};
    dfqi_id x = dfqi_mul(g, dfqi_embed(g, in[GEN_TABLE], index), in[GEN_Z]);
    x = dfqi_linear(g, "project", x, in[GEN_W], in[GEN_B]);
    x = dfqi_channels_last(g, dfqi_reshape(g, x, 3, (int64_t[]){5, 3, 4}));
    x = normalised(g, x, in[GEN_GAMMA], in[GEN_BETA], 1e-5f);
    x = dfqi_upsample_conv(g, x, in[GEN_W1], DFQI_NONE);
    x = normalised(g, x, dfqi_embed(g, in[GEN_SCALES], index), dfqi_embed(g, in[GEN_SHIFTS], index),
                   0.8f);
    x = dfqi_leaky_relu(g, x, 0.2f);
    x = dfqi_tanh(g, dfqi_conv(g, "conv2", x, in[GEN_W2], DFQI_NONE, &same));
    return normalised(g, x, DFQI_NONE, DFQI_NONE, 1e-5f);
}

START_TEST(test_generator)
{
    golden f = dfqt_golden("images.safetensors");
    rig r = dfqt_rig(1, 4, 1);
    dfqi_id in[GEN_INPUTS], d[GEN_INPUTS];
    for (int i = 0; i < GEN_INPUTS; i++)
        in[i] = dfqt_golden_input(&r, &f, "generator", operands[i].name, operands[i].batched);
    dfqi_id y = generator(r.g, in, dfqt_golden_input(&r, &f, "generator", "index", 1));
    ck_assert_msg(y >= 0, "%s", r.ctx->error);
    dfqi_id dy = dfqt_golden_input(&r, &f, "generator", "dy", 1);
    ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &dy, GEN_INPUTS, in, d), DFQ_OK);
    dfqi_graph_keep(r.g, y);
    for (int i = 0; i < GEN_INPUTS; i++) dfqi_graph_keep(r.g, d[i]);
    dfqt_start(&r);
    dfqt_run(&r);
    dfqt_golden_check(&r, y, &f, "generator", "y", 1e-5);
    for (int i = 0; i < GEN_INPUTS; i++)
        dfqt_golden_check(&r, d[i], &f, "generator", operands[i].grad, 1e-5);
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

/* Three slices of some 546 images, the last one smaller. */
START_TEST(test_threads)
{
    enum { BATCH = 1201 };
    rig first = {0};
    for (int32_t threads = 1; threads <= 3; threads++) {
        rig r = dfqt_rig(threads, BATCH, 5);
        dfqi_id in[GEN_INPUTS], d[GEN_INPUTS + 1];
        for (int i = 0; i < GEN_INPUTS; i++)
            in[i] = dfqt_input(&r, operands[i].batched, operands[i].rank, operands[i].dims, -1, 1);
        dfqi_id index = dfqt_input(&r, 1, 0, NULL, 0, 3), y = generator(r.g, in, index);
        dfqi_id dy = dfqt_seed(&r, y);
        ck_assert_int_eq(dfqi_graph_grad(r.g, 1, &y, &dy, GEN_INPUTS, in, d), DFQ_OK);
        d[GEN_INPUTS] = y;
        for (int i = 0; i <= GEN_INPUTS; i++) dfqi_graph_keep(r.g, d[i]);
        dfqt_start(&r);
        dfqt_run(&r);
        dfqt_run(&r);
        if (threads == 1) {
            first = r;
            continue;
        }
        for (int i = 0; i <= GEN_INPUTS; i++)
            ck_assert_mem_eq(dfqi_exec_data(r.e, d[i]), dfqi_exec_data(first.e, d[i]),
                             (size_t)dfqt_count(&r, d[i]) * sizeof(float));
        dfqt_rig_fini(&r);
    }
    dfqt_rig_fini(&first);
}
END_TEST

/* -- rewrites ---------------------------------------------------------------------------------- */

static dfqi_id through_tanh(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                            dfqi_id value, void *user)
{
    ck_assert_int_eq(op, DFQI_OP_RELU);
    ck_assert_str_eq(name, "act");
    ck_assert_int_eq(slot, 0);
    ck_assert_int_eq(g->nodes[dfqi_graph_value(g, value)->node].op, DFQI_OP_RELU);
    ++*(int *)user;
    return dfqi_tanh(g, value);
}

/* What a named ReLU gives passes through the rewrite, that of an unnamed one does not. */
START_TEST(test_relu_rewrite)
{
    rig r = dfqt_rig(1, 2, 1);
    int calls = 0;
    dfqi_id x = dfqt_input(&r, 1, 1, (int64_t[]){4}, -1, 1);
    r.g->rewrite = through_tanh;
    r.g->rewrite_user = &calls;
    dfqi_id named = dfqi_relu(r.g, "act", x, 6), bare = dfqi_relu(r.g, NULL, x, 6);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(r.g->nodes[dfqi_graph_value(r.g, named)->node].op, DFQI_OP_TANH);
    ck_assert_int_eq(r.g->nodes[dfqi_graph_value(r.g, bare)->node].op, DFQI_OP_RELU);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_images_case(void)
{
    TCase *c = tcase_create("images");
    tcase_add_test(c, test_train);
    tcase_add_test(c, test_conditional);
    tcase_add_test(c, test_eval);
    tcase_add_test(c, test_bns);
    tcase_add_loop_test(c, test_resample, 0, 4);
    tcase_add_test(c, test_upsample_conv);
    tcase_add_test(c, test_soft_labels);
    tcase_add_test(c, test_max_pool_nan);
    tcase_add_test(c, test_generator);
    tcase_add_test(c, test_threads);
    tcase_add_test(c, test_relu_rewrite);
    return c;
}
