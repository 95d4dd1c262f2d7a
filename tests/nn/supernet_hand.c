/* What supernets hand on: to other choices of a cell, to a derived network, to a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "nn/cases.h"
#include "nn/supernet_file.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

enum { BATCH = 3, CELLS = 4, PIXELS = 3 * 8 * 8, CLASSES = 3, LOGITS = BATCH * CLASSES };

static const dfqi_supernet_space spaces[2] = {{.name = "tiny",
                                               .image = 8,
                                               .classes = CLASSES,
                                               .stem = 4,
                                               .first = 4,
                                               .head = 8,
                                               .n_stages = 2,
                                               .n_choices = 3,
                                               .stages = {{4, 2, 1}, {6, 2, 2}},
                                               .choices = {{3, 2}, {5, 4}, {3, 4}}},
                                              {.name = "tiny transformer",
                                               .family = DFQI_SUPER_VIT,
                                               .n_stages = CELLS,
                                               .n_choices = 4,
                                               .image = 8,
                                               .classes = CLASSES,
                                               .vit = {.patch = 4,
                                                       .tokens = 6,
                                                       .head = 3,
                                                       .optional = 1,
                                                       .width = {2, {4, 7}},
                                                       .depth = {1, {1}},
                                                       .heads = {1, {1}},
                                                       .ratio = {2, {1, 2}}}}};

/* Norms and biases that count. */
static dfqi_supernet make(dfq_context *ctx, const dfqi_supernet_space *s, uint64_t seed)
{
    dfqi_supernet net;
    dfqi_rng r = dfqi_rng_make(seed, 99);
    ck_assert_int_eq(dfqi_supernet_new(ctx, s, NULL, seed, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 1; k < DFQI_SUPER_TENSORS && net.layers[i].t[k]; k++)
            for (int64_t c = 0; c < net.layers[i].out; c++)
                dfqi_tensor_f32(net.layers[i].t[k])[c] += dfqi_rng_range(&r, -0.3f, 0.3f);
    return net;
}

static void logits_of(const dfqi_supernet *net, const int32_t *path, float out[LOGITS])
{
    float x[BATCH * PIXELS];
    dfqi_super_pass p;
    dfqi_rng r = dfqi_rng_make(5, 0);
    dfqi_rng_fill_normal(&r, x, BATCH * PIXELS);
    ck_assert_int_eq(dfqi_super_pass_new(net, path, BATCH, DFQI_SUPER_EVAL, &p), DFQ_OK);
    dfqi_exec_bind(p.e, p.x, x);
    ck_assert_int_eq(dfqi_exec_run(p.e), DFQ_OK);
    memcpy(out, dfqi_exec_data(p.e, p.logits), LOGITS * sizeof *out);
    dfqi_super_pass_fini(&p);
}

static double far(const float *a, const float *b)
{
    double most = 0;
    for (int i = 0; i < LOGITS; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* Of the choices 5x5 by 4, makes all but what 3x3 by 2 has room for do nothing: the rims of
 * kernels, and every other inner channel. */
static void shrink(dfqi_supernet *net)
{
    for (int32_t i = 0; i < net->n_layers; i++) {
        dfqi_super_layer *l = &net->layers[i];
        float *w = dfqi_tensor_f32(l->t[0]);
        if (l->cell < 0 || l->choice != 1) continue;
        for (int64_t j = 0; j < l->out * 25 && l->depthwise; j++) {
            int64_t y = j / 5 % 5, x = j % 5;
            if (y < 1 || y > 3 || x < 1 || x > 3) w[j] = 0;
        }
        for (int64_t j = 0; j < l->out * l->in && l->closes; j++)
            if (j % l->in % 2) w[j] = 0;
    }
}

START_TEST(choices_take_over_what_matters)
{
    static const int32_t small[CELLS] = {0, 0, 0, 0}, wide[CELLS] = {2, 2, 2, 2};
    int32_t path[CELLS];
    float want[LOGITS], before[LOGITS], have[LOGITS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = make(ctx, &spaces[0], 3);
    dfqi_supernet_largest(&net, path);
    for (int c = 0; c < CELLS; c++) ck_assert_int_eq(path[c], 1);
    shrink(&net);
    logits_of(&net, path, want);
    logits_of(&net, small, before);
    ck_assert_int_eq(dfqi_supernet_inherit(&net, path), DFQ_OK);
    ck_assert_double_gt(far(before, want), 1e-2);
    logits_of(&net, path, have);
    ck_assert_double_eq(far(have, want), 0);
    logits_of(&net, small, have);
    ck_assert_double_le(far(have, want), 1e-5);
    logits_of(&net, wide, have);
    ck_assert_double_le(far(have, want), 1e-5);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* A smaller choice has nothing to give to a larger one but the middle of its kernel. */
START_TEST(what_there_is_no_room_for_stays)
{
    static const int32_t small[CELLS] = {0, 0, 0, 0}, large[CELLS] = {1, 1, 1, 1};
    float before[LOGITS], have[LOGITS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = make(ctx, &spaces[0], 3);
    logits_of(&net, large, before);
    ck_assert_int_eq(dfqi_supernet_inherit(&net, small), DFQ_OK);
    logits_of(&net, large, have);
    ck_assert_double_eq(far(have, before), 0);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(derived_networks_get_the_weights_of_their_path)
{
    static const int32_t paths[2][CELLS] = {{1, 3, 0, 2}, {0, 3, 4, 2}};
    float want[LOGITS], have[LOGITS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = make(ctx, &spaces[_i], 3), derived;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &spaces[_i], paths[_i], 8, &derived), DFQ_OK);
    logits_of(&net, paths[_i], want);
    logits_of(&derived, paths[_i], have);
    ck_assert_double_gt(far(have, want), 1e-3);
    ck_assert_int_eq(dfqi_supernet_hand_down(&net, &derived), DFQ_OK);
    logits_of(&derived, paths[_i], have);
    ck_assert_double_le(far(have, want), 1e-6);
    dfqi_supernet_fini(&derived);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static void name_file(char *out)
{
    strcpy(out, "/tmp/dfq-supernet-XXXXXX");
    int fd = mkstemp(out);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(files_hold_all_weights)
{
    static const int32_t path[CELLS] = {1, 0, 0, 1};
    float want[LOGITS], have[LOGITS];
    char disk[64];
    dfqi_safetensors st;
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = make(ctx, &spaces[_i], 3), other = make(ctx, &spaces[_i], 4), derived;
    name_file(disk);
    logits_of(&net, path, want);
    ck_assert_int_eq(dfqi_supernet_save(&net, disk, 0, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_supernet_load(&other, disk), DFQ_OK);
    logits_of(&other, path, have);
    ck_assert_double_eq(far(have, want), 0);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &spaces[_i], path, 8, &derived), DFQ_OK);
    ck_assert_int_eq(
        dfqi_supernet_save(&derived, disk, 1, &(dfqi_st_meta){(char[]){"k"}, (char[]){"v"}}),
        DFQ_OK);
    ck_assert_int_eq(dfqi_st_read(ctx, disk, &st), DFQ_OK);
    ck_assert_ptr_null(dfqi_st_meta_find(&st, "dfq.supernet")); /* it is none */
    ck_assert_str_eq(dfqi_st_meta_find(&st, "k"), "v");
    ck_assert_ptr_nonnull(
        dfqi_st_find(&st, _i ? "cells.2.shared.0.weight" : "cells.2.0.0.norm.running_var"));
    ck_assert_ptr_nonnull(dfqi_st_find(&st, _i ? "head.1.bias" : "stem.0.norm.weight"));
    dfqi_st_fini(&st);
    ck_assert_int_eq(dfqi_supernet_load(&other, disk), DFQ_E_SHAPE); /* a part of it */
    logits_of(&other, path, have);
    ck_assert_double_eq(far(have, want), 0);
    remove(disk);
    ck_assert_int_eq(dfqi_supernet_load(&other, disk), DFQ_E_IO);
    dfqi_supernet_fini(&derived);
    dfqi_supernet_fini(&other);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(numbers_that_are_none_are_refused)
{
    char disk[64];
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = make(ctx, &spaces[0], 3);
    name_file(disk);
    dfqi_tensor_f32(net.layers[1].t[0])[2] = NAN;
    ck_assert_int_eq(dfqi_supernet_save(&net, disk, 0, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_supernet_load(&net, disk), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "stem.1.weight"));
    remove(disk);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    static const int32_t path[CELLS] = {1, 0, 0, 1};
    dfqi_supernet net, derived = {0};
    dfq_status status = dfqi_supernet_new(ctx, &spaces[0], NULL, 3, &net);
    if (status != DFQ_OK) return status;
    status = dfqi_supernet_new(ctx, &spaces[0], path, 3, &derived);
    if (status == DFQ_OK) status = dfqi_supernet_inherit(&net, path);
    if (status == DFQ_OK) status = dfqi_supernet_hand_down(&net, &derived);
    if (status == DFQ_OK) status = dfqi_supernet_save(&net, arg, 0, NULL);
    if (status == DFQ_OK) status = dfqi_supernet_load(&net, arg);
    dfqi_supernet_fini(&derived);
    dfqi_supernet_fini(&net);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    char disk[64];
    name_file(disk);
    fail_alloc_sweep(scenario, disk, 1);
    remove(disk);
}
END_TEST

TCase *dfqt_supernet_hand_case(void)
{
    TCase *c = tcase_create("supernet_hand");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, choices_take_over_what_matters);
    tcase_add_test(c, what_there_is_no_room_for_stays);
    tcase_add_loop_test(c, derived_networks_get_the_weights_of_their_path, 0, 2);
    tcase_add_loop_test(c, files_hold_all_weights, 0, 2);
    tcase_add_test(c, numbers_that_are_none_are_refused);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
