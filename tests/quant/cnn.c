/* Quantizers of convolutional networks: AIT's, whose ranges follow batches and whose weights are
 * cut from smallest to largest, and low-bit files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "quant/track.h"
#include "support/fail_alloc.h"

enum { SIDE = 8, CLASSES = 4, IMAGES = 40, PIXELS = 3 * SIDE * SIDE };

/* A ResNet with one unit in each of two stages. */
static dfq_status random_cnn(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_random",
        .image = {SIDE, SIDE},
        .channels = 3,
        .classes = CLASSES,
        .eps = 1e-5f,
        .mean = {0.5f, 0.5f, 0.5f},
        .std = {0.25f, 0.25f, 0.25f},
        .of.cnn = {
            .keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1}};
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    dfqi_network_init(&net, 5);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

static void make_images(float *x)
{
    dfqi_rng r = dfqi_rng_make(31, 1);
    for (int i = 0; i < IMAGES * PIXELS; i++) x[i] = dfqi_rng_range(&r, -2.0f, 2.0f);
}

static const dfqi_grids own = {.weight_grid = DFQI_WEIGHT_GRID_AUTO,
                               .act_grid = DFQI_ACT_GRID_AUTO},
                        following = {.weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM,
                                     .act_grid = DFQI_ACT_GRID_MINMAX};

static dfq_status quantize_with(const dfqi_model *teacher, dfqi_mode mode, dfqi_grids grids,
                                dfqi_widths widths, int64_t n, dfqi_model **out)
{
    static float x[IMAGES * PIXELS];
    dfqi_scheme scheme = {0};
    dfqi_network net = {0};
    dfq_status status;
    make_images(x);
    DFQI_GOTO(dfqi_scheme_new_with(&teacher->net, mode, widths, grids, &scheme), out);
    DFQI_GOTO(dfqi_network_clone(&teacher->net, &net), out);
    if (n > 0) DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &teacher->net, &net, x, n), out);
    status = dfqi_model_new(&net, &scheme, out);
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&net);
    return status;
}

static dfq_status quantize(const dfqi_model *teacher, dfqi_mode mode, dfqi_widths widths, int64_t n,
                           dfqi_model **out)
{
    return quantize_with(teacher, mode, own, widths, n, out);
}

static void logits(const dfqi_model *m, float *z)
{
    static float x[IMAGES * PIXELS];
    make_images(x);
    ck_assert_msg(dfqi_model_logits(m, x, IMAGES, z) == DFQ_OK, "%s", m->ctx->error);
}

/* -- sites ------------------------------------------------------------------------------------- */

/* Inverted residuals hand on values that no ReLU made: with static grids the convolution that reads
 * them has a quantizer of its own, those that read ReLU outputs or the image do not. Grids that
 * follow (_i 1) are as published. */
START_TEST(test_input_sites)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    dfqi_scheme s;
    int32_t inputs = 0;
    ck_assert_int_eq(dfqt_family_new(ctx, DFQI_FAMILY_MOBILENET, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_new_with(&t->net, DFQI_MODE_IMPROVED, (dfqi_widths){3, 5, 8},
                                          _i ? following : own, &s),
                     DFQ_OK);
    for (int32_t i = 0; i < s.n_sites; i++) inputs += strstr(s.sites[i].name, ".input") != NULL;
    ck_assert_int_eq(inputs, _i ? 0 : 17); /* 16 units that expand, and the last convolution */
    const dfqi_site *site = dfqi_scheme_find(&s, "features.2.conv.0.0.input");
    ck_assert_int_eq(site != NULL, !_i);
    ck_assert(_i || (site->kind == DFQI_SITE_UNIFORM && site->bits == 5 && site->qmin == -16 &&
                     site->qmax == 15 && dfqi_tensor_count(site->scale) == 1));
    dfqi_scheme_fini(&s);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* _i 1: grids that follow. */
START_TEST(test_sites)
{
    static const struct {
        const char *name;
        int weight;
        int32_t bits;
    } rows[] = {{"conv1.weight", 1, 8},          {"conv1.relu.output", 0, 5},
                {"layer1.0.conv1.weight", 1, 3}, {"layer1.0.conv1.relu.output", 0, 5},
                {"layer1.0.conv2.weight", 1, 3}, {"layer1.0.relu.output", 0, 5},
                {"layer2.0.conv1.weight", 1, 3}, {"layer2.0.conv1.relu.output", 0, 5},
                {"layer2.0.conv2.weight", 1, 3}, {"layer2.0.relu.output", 0, 5},
                {"linear.weight", 1, 8}};
    static const dfqi_site_kind kinds[2][2] = {{DFQI_SITE_UNIFORM, DFQI_SITE_WEIGHT},
                                               {DFQI_SITE_UNIFORM, DFQI_SITE_WEIGHT_MINMAX}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    dfqi_scheme s;
    ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_new_with(&t->net, DFQI_MODE_IMPROVED, (dfqi_widths){3, 5, 8},
                                          _i ? following : own, &s),
                     DFQ_OK);
    ck_assert_int_eq(s.n_sites, sizeof rows / sizeof *rows);
    for (int32_t i = 0; i < s.n_sites; i++) {
        int is_signed = rows[i].weight || _i;
        float codes = ldexpf(1, rows[i].bits), low = is_signed ? -codes / 2 : 0;
        ck_assert_str_eq(s.sites[i].name, rows[i].name);
        ck_assert_int_eq(s.sites[i].kind, kinds[_i][rows[i].weight]);
        ck_assert_int_eq(s.sites[i].bits, rows[i].bits);
        ck_assert(s.sites[i].qmin == low && s.sites[i].qmax == low + codes - 1);
        ck_assert_int_eq(s.sites[i].follows, rows[i].weight && _i);
        ck_assert_int_eq(s.sites[i].zero_point != NULL, !rows[i].weight && _i);
    }
    dfqi_scheme_fini(&s);
    ck_assert_int_eq(dfqi_scheme_new(&t->net, DFQI_MODE_IMPROVED, (dfqi_widths){3, 5, 9}, &s),
                     DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error,
                     "weights of the first and last layer have 9 bits, must have 2 to 8");
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* -- ranges ------------------------------------------------------------------------------------ */

typedef struct follower {
    dfq_context *ctx;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, scale;
    dfq_tensor *state;
} follower;

/* Batches of two images of two values. */
static follower follower_new(int32_t bits, int published)
{
    follower f = {.ctx = dfqt_context(2)};
    ck_assert_int_eq(dfqi_tensor_new(f.ctx, DFQI_F32, 1, (int64_t[]){3}, &f.state), DFQ_OK);
    ck_assert_int_eq(dfqi_graph_new(f.ctx, 2, &f.g), DFQ_OK);
    f.x = dfqi_graph_input(f.g, "x", 1, 1, (int64_t[]){2});
    f.scale =
        dfqi_track_range(f.g, f.x, dfqi_graph_param(f.g, "state", f.state, 0), bits, published);
    for (int i = 0; i < 3; i++) dfqi_graph_keep(f.g, dfqi_graph_output(f.g, f.scale, i));
    ck_assert_int_eq(dfqi_exec_new(f.g, &f.e), DFQ_OK);
    return f;
}

static void follow(follower *f, const float x[4])
{
    dfqi_exec_bind(f->e, f->x, x);
    ck_assert_int_eq(dfqi_exec_run(f->e), DFQ_OK);
    memcpy(f->state->data, dfqi_exec_data(f->e, dfqi_graph_output(f->g, f->scale, 2)), 12);
}

static void follower_free(follower *f)
{
    dfqi_exec_free(f->e);
    dfqi_graph_free(f->g);
    dfqi_tensor_release(f->state);
    dfqi_context_release(f->ctx);
}

/* AIT's published average of a constant 1 after so many batches. */
START_TEST(test_published)
{
    static const struct {
        int batches;
        double ratio;
    } rows[] = {{1, 1},          {2, 5.263158},   {3, 17.848126},  {4, 47.000039},
                {5, 103.538460}, {10, 1103.1833}, {21, 3945.1004}, {100, 3.63459},
                {120, 1.320437}, {200, 1.0000701}};
    static const float x[4] = {0.25f, 1.0f, -0.5f, 0};
    follower f = follower_new(4, 1);
    const float *state = dfqi_tensor_f32(f.state);
    int done = 0;
    float largest = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (; done < rows[i].batches; done++) {
            follow(&f, x);
            largest = fmaxf(largest, state[1]);
        }
        ck_assert_double_eq_tol((double)state[1], rows[i].ratio, 1e-5 * rows[i].ratio);
        ck_assert_double_eq_tol((double)state[0], -0.5 * rows[i].ratio, 1e-5 * rows[i].ratio);
    }
    ck_assert_double_eq_tol((double)largest, 3945.1004, 0.05);
    follower_free(&f);
}
END_TEST

START_TEST(test_mean)
{
    static const float x[4] = {-1, 0, 3, 0}, y[4] = {0, 2, 1, -3};
    follower f = follower_new(4, 0);
    const float *state = dfqi_tensor_f32(f.state);
    follow(&f, x);
    ck_assert(state[0] == -1 && state[1] == 3);
    follow(&f, y);
    ck_assert_float_eq_tol(state[0], -1.2f, 1e-6f);
    ck_assert_float_eq_tol(state[1], 2.9f, 1e-6f);
    for (int i = 0; i < 300; i++) follow(&f, y);
    ck_assert_float_eq_tol(state[0], -3, 1e-5f);
    ck_assert_float_eq_tol(state[1], 2, 1e-5f);
    follower_free(&f);
}
END_TEST

START_TEST(test_grid)
{
    static const struct {
        int32_t bits;
        float low, high, scale, zero_point;
    } rows[] = {{4, 0, 3, 3.0f / 15.0f, -8},    /* a grid of AIT's code */
                {8, -1, 3, 4.0f / 255.0f, -64}, /* z = rint(-63.75) + 128 */
                {2, -0.0f, 0, 1e-8f / 3.0f, -2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        follower f = follower_new(rows[i].bits, 0);
        follow(&f, (float[]){rows[i].high, rows[i].high, rows[i].low, rows[i].high});
        ck_assert(*dfqi_exec_data(f.e, f.scale) == rows[i].scale);
        ck_assert(*dfqi_exec_data(f.e, dfqi_graph_output(f.g, f.scale, 1)) == rows[i].zero_point);
        if (rows[i].low == 0) ck_assert(!signbit(dfqi_tensor_f32(f.state)[0]));
        follower_free(&f);
    }
}
END_TEST

/* The first range is that of what the first ReLU gives for quantized weights; two batches are
 * averaged. */
START_TEST(test_calibrate)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *one, *s;
    ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
    ck_assert_int_eq(
        quantize_with(t, DFQI_MODE_IMPROVED, following, (dfqi_widths){4, 4, 0}, 32, &one), DFQ_OK);
    ck_assert_int_eq(
        quantize_with(t, DFQI_MODE_IMPROVED, following, (dfqi_widths){4, 4, 0}, IMAGES, &s),
        DFQ_OK);
    for (int32_t i = 0; i < s->scheme.n_sites; i++) {
        const dfqi_site *a = &one->scheme.sites[i], *b = &s->scheme.sites[i];
        if (!a->range) continue;
        const float *ra = dfqi_tensor_f32(a->range), *rb = dfqi_tensor_f32(b->range);
        ck_assert(ra[0] == 0 && ra[1] > 0 && rb[0] == 0 && rb[1] > 0);
        ck_assert_float_eq_tol(ra[2], 0.1f, 1e-6f);
        ck_assert_float_eq_tol(rb[2], 0.19f, 1e-6f);
        ck_assert_float_eq_tol(*dfqi_tensor_f32(a->scale), ra[1] / 15, 1e-6f * ra[1]);
        ck_assert(*dfqi_tensor_f32(a->zero_point) == -8);
    }
    dfqi_model_release(t);
    dfqi_model_release(one);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

/* More bits are nearer to the float network. */
START_TEST(test_error_falls)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *s;
    float z[IMAGES * CLASSES], q[IMAGES * CLASSES];
    double before = INFINITY;
    ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
    logits(t, z);
    for (int bits = 2; bits <= 8; bits += 2) {
        double distance = 0;
        ck_assert_int_eq(quantize(t, DFQI_MODE_IMPROVED, (dfqi_widths){bits, bits, 0}, IMAGES, &s),
                         DFQ_OK);
        logits(s, q);
        for (int i = 0; i < IMAGES * CLASSES; i++) distance += fabs((double)q[i] - (double)z[i]);
        ck_assert_double_lt(distance, 0.7 * before);
        before = distance;
        dfqi_model_release(s);
    }
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_threads)
{
    float z[2][IMAGES * CLASSES];
    for (int k = 0; k < 2; k++) {
        dfq_context *ctx = dfqt_context(k + 1);
        dfqi_model *t, *s;
        ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
        ck_assert_int_eq(quantize(t, (dfqi_mode)_i, (dfqi_widths){4, 4, 0}, IMAGES, &s), DFQ_OK);
        logits(s, z[k]);
        dfqi_model_release(t);
        dfqi_model_release(s);
        dfqi_context_release(ctx);
    }
    ck_assert_mem_eq(z[0], z[1], sizeof z[0]);
}
END_TEST

/* -- files ------------------------------------------------------------------------------------- */

START_TEST(test_round_trip)
{
    char path[] = "/tmp/dfq-cnn-XXXXXX";
    int fd = mkstemp(path);
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r;
    float z[IMAGES * CLASSES], q[IMAGES * CLASSES];
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
    ck_assert_int_eq(quantize_with(t, DFQI_MODE_IMPROVED, _i % 2 ? own : following,
                                   (dfqi_widths){_i, 10 - _i, _i == 4 ? 8 : 0}, IMAGES, &s),
                     DFQ_OK);
    ck_assert_msg(dfqi_model_save(s, path, 0) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(r->scheme.n_sites, s->scheme.n_sites);
    for (int32_t i = 0; i < r->scheme.n_sites; i++)
        ck_assert_int_eq(r->scheme.sites[i].bits, s->scheme.sites[i].bits);
    logits(s, z);
    logits(r, q);
    ck_assert_mem_eq(z, q, sizeof z);
    remove(path);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

START_TEST(test_not_ready)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s;
    float z[CLASSES], x[PIXELS] = {0};
    ck_assert_int_eq(random_cnn(ctx, &t), DFQ_OK);
    ck_assert_int_eq(quantize_with(t, DFQI_MODE_IMPROVED, following, (dfqi_widths){4, 4, 0}, 0, &s),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(s, x, 1, z), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "resnet_random: the range of conv1.relu.output is not known yet; "
                                 "quantize with images, or tune with a generator first");
    ck_assert_int_eq(dfqi_model_save(s, "/tmp/dfq-never", 0), DFQ_E_INVALID);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *user)
{
    dfqi_model *t, *s = NULL;
    (void)user;
    DFQI_TRY(random_cnn(ctx, &t));
    dfq_status status = quantize(t, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 8}, 4, &s);
    dfqi_model_release(s);
    dfqi_model_release(t);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_cnn_case(void)
{
    TCase *c = tcase_create("cnn");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_input_sites, 0, 2);
    tcase_add_loop_test(c, test_sites, 0, 2);
    tcase_add_test(c, test_published);
    tcase_add_test(c, test_mean);
    tcase_add_test(c, test_grid);
    tcase_add_test(c, test_calibrate);
    tcase_add_test(c, test_error_falls);
    tcase_add_loop_test(c, test_threads, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_round_trip, 2, 9);
    tcase_add_test(c, test_not_ready);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
