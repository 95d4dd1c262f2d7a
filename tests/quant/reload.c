/* What is read from a file computes the bits of what was written: every family, mode and width, as
 * quantized and after weights and grids have moved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "tune/tune.h"

enum { FAMILIES = 5, IMAGES = 4, PIXELS_MAX = 3 * 32 * 32, CLASSES_MAX = 8 };

typedef struct scene {
    dfq_context *ctx;
    char path[32];
    dfqi_model *teacher, *student;
    dfq_tensor *images;
} scene;

/* -- networks ---------------------------------------------------------------------------------- */

static dfqi_arch cnn_arch(dfqi_family family, const char *name, dfqi_keys keys, int64_t image)
{
    dfqi_arch a = {.family = family,
                   .image = {image, image},
                   .channels = 3,
                   .classes = 4,
                   .eps = 1e-5f,
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.25f, 0.25f, 0.25f},
                   .of.cnn = {.keys = keys}};
    if (family == DFQI_FAMILY_RESNET) {
        a.of.cnn.width = 8;
        a.of.cnn.units[0] = a.of.cnn.units[1] = 1;
        a.of.cnn.small = 1;
    }
    snprintf(a.name, sizeof a.name, "%s", name);
    a.of.cnn.padded = keys == DFQI_KEYS_AKAMASTER;
    return a;
}

static dfqi_arch mbconv_arch(void)
{
    static const dfqi_supernet_space space = {.name = "tiny",
                                              .image = 8,
                                              .classes = 3,
                                              .stem = 4,
                                              .first = 4,
                                              .head = 8,
                                              .n_stages = 2,
                                              .n_choices = 3,
                                              .stages = {{4, 2, 1}, {6, 1, 2}},
                                              .choices = {{3, 1}, {5, 4}, {3, 4}}};
    dfqi_arch a;
    dfqi_arch_derive(&space, (int32_t[]){1, 3, 0}, &a);
    for (int c = 0; c < 3; c++) a.std[c] = 0.5f;
    return a;
}

static void make_teacher(scene *s, int family)
{
    dfqi_network net;
    dfqi_arch a;
    if (family == 0) {
        ck_assert_int_eq(dfqt_teacher(s->ctx, &s->teacher), DFQ_OK);
        return;
    }
    if (family == 1) a = cnn_arch(DFQI_FAMILY_RESNET, "resnet_a", DFQI_KEYS_AKAMASTER, 8);
    if (family == 2) a = cnn_arch(DFQI_FAMILY_RESNET, "resnet_b", DFQI_KEYS_TORCHVISION, 8);
    if (family == 3) a = cnn_arch(DFQI_FAMILY_MOBILENET, "mobilenet", DFQI_KEYS_TORCHVISION, 32);
    if (family == 4) a = mbconv_arch();
    ck_assert_msg(dfqi_network_new(s->ctx, &a, &net) == DFQ_OK, "%s", s->ctx->error);
    dfqi_network_init(&net, 5);
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &s->teacher), DFQ_OK);
}

static scene begin(int family)
{
    scene s = {.ctx = dfqt_context(1), .path = "/tmp/dfq-reload-XXXXXX"};
    int fd = mkstemp(s.path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    make_teacher(&s, family);
    const dfqi_arch *a = &s.teacher->net.arch;
    dfqi_rng r = dfqi_rng_make(31, 1);
    ck_assert_int_eq(dfqi_tensor_new(s.ctx, DFQI_F32, 4,
                                     (int64_t[]){IMAGES, 3, a->image.height, a->image.width},
                                     &s.images),
                     DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(s.images); i++)
        dfqi_tensor_f32(s.images)[i] = dfqi_rng_range(&r, -1.0f, 1.0f);
    return s;
}

static void end(scene *s)
{
    remove(s->path);
    dfqi_tensor_release(s->images);
    dfqi_model_release(s->student);
    dfqi_model_release(s->teacher);
    dfqi_context_release(s->ctx);
}

/* -- students ---------------------------------------------------------------------------------- */

static void quantize(scene *s, dfqi_mode mode, dfqi_widths widths, int calibrate)
{
    dfqi_scheme scheme;
    dfqi_network net;
    dfqi_grids grids = {.weight_grid = DFQI_WEIGHT_GRID_AUTO, .act_grid = DFQI_ACT_GRID_AUTO};
    if (mode == DFQI_MODE_IMPROVED && !calibrate)
        grids = (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM,
                             .act_grid = DFQI_ACT_GRID_MINMAX};
    dfqi_model_release(s->student);
    ck_assert_msg(dfqi_scheme_new_with(&s->teacher->net, mode, widths, grids, &scheme) == DFQ_OK,
                  "%s", s->ctx->error);
    ck_assert_int_eq(dfqi_network_clone(&s->teacher->net, &net), DFQ_OK);
    if (calibrate)
        ck_assert_msg(dfqi_scheme_calibrate(&scheme, &s->teacher->net, &net,
                                            dfqi_tensor_f32(s->images), IMAGES) == DFQ_OK,
                      "%s", s->ctx->error);
    ck_assert_int_eq(dfqi_model_new(&net, &scheme, &s->student), DFQ_OK);
}

static void jitter(dfq_tensor *t, dfqi_rng *r)
{
    for (int64_t i = 0; t && i < dfqi_tensor_count(t); i++)
        dfqi_tensor_f32(t)[i] *= dfqi_rng_range(r, 0.9f, 1.1f);
}

/* Off their grids, as tuning leaves weights; learned scales too. */
static void move(scene *s)
{
    dfqi_rng r = dfqi_rng_make(32, 1);
    dfqi_model *m = s->student;
    for (int32_t i = 0; i < m->net.n_params; i++)
        if (!m->net.params[i].fixed) jitter(m->net.params[i].tensor, &r);
    for (int32_t i = 0; i < m->scheme.n_sites; i++) jitter(m->scheme.sites[i].scale, &r);
}

static void logits(const scene *s, const dfqi_model *m, float *z)
{
    ck_assert_msg(dfqi_model_logits(m, dfqi_tensor_f32(s->images), IMAGES, z) == DFQ_OK, "%s",
                  s->ctx->error);
}

/* Once more from what was read: the same file, and the same bits. */
static void check(const scene *s, const char *what)
{
    float want[IMAGES * CLASSES_MAX] = {0}, have[IMAGES * CLASSES_MAX] = {0};
    const dfqi_model *from = s->student;
    dfqi_model *read[2];
    logits(s, from, want);
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(dfqi_model_save(from, s->path, 0) == DFQ_OK, "%s", s->ctx->error);
        ck_assert_msg(dfqi_model_load(s->ctx, s->path, NULL, &read[i]) == DFQ_OK, "%s",
                      s->ctx->error);
        logits(s, read[i], have);
        ck_assert_msg(memcmp(want, have, sizeof want) == 0, "%s, read %d: %.9g, expected %.9g",
                      what, i, (double)have[0], (double)want[0]);
        from = read[i];
    }
    dfqi_model_release(read[0]);
    dfqi_model_release(read[1]);
}

START_TEST(test_widths)
{
    static const int32_t bits[] = {2, 3, 4, 6, 8}, acts[] = {2, 4, 8};
    const int big = _i == 3; /* MobileNet has two million weights */
    scene s = begin(_i);
    char what[64];
    for (int k = 0; k < 5 * 3 * 2 * 2; k += big ? 29 : 1) {
        dfqi_widths w = {bits[k % 5], acts[k / 5 % 3], k / 15 % 2 ? 8 : 0};
        snprintf(what, sizeof what, "w%da%d, first and last %d, mode %d", w.weight, w.act,
                 w.first_last, k / 30);
        quantize(&s, (dfqi_mode)(k / 30), w, 1);
        check(&s, what);
        move(&s);
        check(&s, what);
    }
    end(&s);
}
END_TEST

/* -- tuned ------------------------------------------------------------------------------------- */

static void run(scene *s, dfqi_tune *t, const char *what)
{
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", s->ctx->error);
    dfqi_tune_release(t);
    check(s, what);
}

/* Beside each generator: AIT's loss and the generator's own. */
START_TEST(test_generators)
{
    scene s = begin(1 + _i % 2);
    dfqi_generator_options h;
    dfqi_tune_options o;
    dfqi_tune *t;
    dfqi_generator_trainer_defaults(&h);
    h.batch = 8;
    h.kind = (dfqi_generator_kind)(_i / 2 % 3);
    dfqi_tune_recipe(DFQ_RECIPE_AIT, &(dfqi_recipe_case){.classes = 4, .steps = 8}, &o);
    o.warmup_steps = o.range_steps = 3;
    o.crossing_target = _i / 6 ? 0 : 0.05f;
    o.label_weight = _i / 6 ? 1 : 0;
    quantize(&s, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, 0);
    ck_assert_msg(dfqi_tune_new_with_generator(s.teacher, s.student, &h, &o, &t) == DFQ_OK, "%s",
                  s.ctx->error);
    run(&s, t, "generator");
    end(&s);
}
END_TEST

/* On images; then once more what was read from the file: its grids follow the weights again. */
START_TEST(test_images)
{
    static const int family[] = {0, 1, 2, 4};
    scene s = begin(family[_i % 4]);
    dfqi_tune_options o;
    dfqi_tune *t;
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            quantize(&s, (dfqi_mode)(_i / 4), (dfqi_widths){4, 4, 0}, 1);
        else
            ck_assert_int_eq(dfqi_model_load(s.ctx, s.path, NULL, &s.student), DFQ_OK);
        dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
        o.steps = 3;
        o.batch = 2;
        o.augment = DFQI_AUGMENT_NONE;
        if (_i % 4) o.head_weight = 0;
        ck_assert_msg(dfqi_tune_new(s.teacher, s.student, s.images, &o, &t) == DFQ_OK, "%s",
                      s.ctx->error);
        run(&s, t, "images");
        if (round == 0) {
            dfqi_model_release(s.student);
            s.student = NULL;
        }
    }
    end(&s);
}
END_TEST

TCase *dfqt_reload_case(void)
{
    TCase *c = tcase_create("reload");
    tcase_set_tags(c, "slow");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, test_widths, 0, FAMILIES);
    tcase_add_loop_test(c, test_generators, 0, 12);
    tcase_add_loop_test(c, test_images, 0, 8);
    return c;
}
