/* Generators: sizes of the published ones, and every form against PyTorch. */
#include "nn/generator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "io/safetensors.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/formula.h"
#include "support/suite.h"

enum { BATCH = 4, IMAGE = 8, CLASSES = 3, LATENT = 4, SLOTS = 2, REDUCED = 3, PARAMS = 160 };

static const struct {
    dfqi_generator_arch arch;
    int64_t values;
} published[] = {
    {{.kind = DFQI_GENERATOR_GDFQ, .image = {32, 32}, .classes = 10, .latent = 100}, 1052139},
    {{.kind = DFQI_GENERATOR_GDFQ, .image = {32, 32}, .classes = 100, .latent = 100}, 1061139},
    {{.kind = DFQI_GENERATOR_GDFQ,
      .image = {224, 224},
      .classes = 1000,
      .latent = 100,
      .conditional = 1},
     41405315},
    {{.kind = DFQI_GENERATOR_QIMERA, .image = {32, 32}, .classes = 10, .latent = 64, .slots = 2},
     756867},
    {{.kind = DFQI_GENERATOR_QIMERA, .image = {32, 32}, .classes = 100, .latent = 64, .slots = 25},
     762627},
    {{.kind = DFQI_GENERATOR_QIMERA,
      .image = {224, 224},
      .classes = 1000,
      .latent = 512,
      .conditional = 1,
      .slots = 250},
     207297411},
    {{.kind = DFQI_GENERATOR_QIMERA,
      .image = {224, 224},
      .classes = 1000,
      .latent = 2048,
      .conditional = 1,
      .slots = 100},
     825396099},
    {{.kind = DFQI_GENERATOR_QIMERA,
      .image = {224, 224},
      .classes = 1000,
      .latent = 1280,
      .conditional = 1,
      .slots = 250},
     516346755},
    {{.kind = DFQI_GENERATOR_QIMERA,
      .image = {224, 224},
      .classes = 1000,
      .latent = 2048,
      .conditional = 1,
      .slots = 100,
      .reduced = 100},
     43658215},
    {{.kind = DFQI_GENERATOR_ARC,
      .image = {32, 32},
      .classes = 10,
      .latent = 100,
      .conditional = 1,
      .cells = DFQI_ARC_CIFAR10},
     1918659},
    {{.kind = DFQI_GENERATOR_ARC,
      .image = {32, 32},
      .classes = 100,
      .latent = 100,
      .conditional = 1,
      .cells = DFQI_ARC_CIFAR100},
     2383811},
    {{.kind = DFQI_GENERATOR_ARC,
      .image = {224, 224},
      .classes = 1000,
      .latent = 100,
      .conditional = 1,
      .cells = DFQI_ARC_RESNET18},
     42397443},
    {{.kind = DFQI_GENERATOR_ARC,
      .image = {224, 224},
      .classes = 1000,
      .latent = 100,
      .conditional = 1,
      .cells = DFQI_ARC_RESNET50},
     42200835},
    {{.kind = DFQI_GENERATOR_ARC,
      .image = {224, 224},
      .classes = 1000,
      .latent = 100,
      .conditional = 1,
      .cells = DFQI_ARC_MOBILENET},
     42168067}};
enum { PUBLISHED = sizeof published / sizeof *published };

START_TEST(test_published_sizes)
{
    dfq_context *ctx = dfqt_context(1);
    int64_t values = 0;
    ck_assert_int_eq(dfqi_generator_count(ctx, &published[_i].arch, &values), DFQ_OK);
    ck_assert_int_eq(values, published[_i].values);
    if (values < 3000000) {
        dfqi_generator net;
        ck_assert_int_eq(dfqi_generator_new(ctx, &published[_i].arch, 1, &net), DFQ_OK);
        ck_assert_int_eq(dfqi_generator_values(&net), values);
        ck_assert_ptr_null(dfqi_generator_find(&net, "nothing"));
        dfqi_generator_fini(&net);
    }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    static const dfqi_generator_arch rows[] = {
        {.image = {30, 30}, .classes = 10, .latent = 100},
        {.image = {0, 0}, .classes = 10, .latent = 100},
        {.image = {32, 32}, .classes = 0, .latent = 100},
        {.image = {32, 32}, .classes = 10, .latent = 0, .conditional = 1},
        {.image = {2048, 2048}, .classes = 10, .latent = 100, .conditional = 1},
        {.kind = DFQI_GENERATOR_QIMERA, .image = {32, 32}, .classes = 10, .latent = 64},
        {.kind = DFQI_GENERATOR_ARC,
         .image = {32, 32},
         .classes = 10,
         .latent = 64,
         .conditional = 1},
        {.kind = DFQI_GENERATOR_ARC,
         .image = {36, 36},
         .classes = 10,
         .latent = 100,
         .conditional = 1}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_generator net;
    ck_assert_int_eq(dfqi_generator_new(ctx, &rows[_i], 1, &net), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(ctx->error, "multiple of"));
    dfq_context_release(ctx);
}
END_TEST

static const float *data_of(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "no %s", name);
    return dfqi_tensor_f32(t);
}

static void labels_of(const dfqi_safetensors *st, const char *name, int n, float *out)
{
    const int32_t *y = dfqi_st_find(st, name)->data;
    for (int i = 0; i < n; i++) out[i] = (float)y[i];
}

static void compare(const char *name, const float *have, const dfq_tensor *want)
{
    const float *w = dfqi_tensor_f32(want);
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        scale = fmax(scale, fabs((double)w[i]));
        worst = fmax(worst, fabs((double)have[i] - (double)w[i]));
        ck_assert(have[i] == have[i]);
    }
    ck_assert_msg(worst <= 1e-4 * scale, "%s is off by %g of %g", name, worst, scale);
}

/* What a pass is fed. */
typedef struct feed {
    float labels[BATCH * SLOTS], noise[BATCH * 100];
    float mix[BATCH * SLOTS], own[BATCH * SLOTS], norm_mix[BATCH * SLOTS];
} feed;

static void feed_plain(const dfqi_safetensors *st, feed *f)
{
    labels_of(st, "labels", BATCH, f->labels);
    memcpy(f->noise, data_of(st, "z"), BATCH * LATENT * sizeof *f->noise);
}

/* One class in the first of two slots; the second one has a part in nothing. */
static void feed_own(const dfqi_safetensors *st, feed *f)
{
    float labels[BATCH];
    labels_of(st, "labels", BATCH, labels);
    for (int b = 0; b < BATCH; b++) {
        f->labels[SLOTS * b] = labels[b];
        f->own[SLOTS * b] = f->norm_mix[SLOTS * b] = 1;
        memcpy(f->noise + SLOTS * LATENT * b, data_of(st, "z") + LATENT * b,
               LATENT * sizeof *f->noise);
    }
}

static void feed_mixed(const dfqi_safetensors *st, feed *f)
{
    labels_of(st, "slot_labels", BATCH * SLOTS, f->labels);
    memcpy(f->noise, data_of(st, "slot_z"), BATCH * SLOTS * LATENT * sizeof *f->noise);
    for (int i = 0; i < BATCH * SLOTS; i++) {
        f->mix[i] = data_of(st, "mix")[i];
        f->norm_mix[i] = f->mix[i] / SLOTS;
    }
}

/* The three inputs one behind the other. */
static void feed_wide(const dfqi_safetensors *st, feed *f)
{
    static const int first[3] = {0, 33, 66}, width[3] = {33, 33, 34};
    float *to = f->noise;
    labels_of(st, "labels", BATCH, f->labels);
    for (int i = 0; i < 3; i++)
        for (int b = 0; b < BATCH; b++, to += width[i])
            memcpy(to, data_of(st, "wide_z") + 100 * b + first[i], (size_t)width[i] * sizeof *to);
}

#define GDFQ                                                                                       \
    {                                                                                              \
        .kind = DFQI_GENERATOR_GDFQ, .image = {IMAGE, IMAGE}, .classes = CLASSES, .latent = LATENT \
    }
#define GDFQ_LARGE                                                                                 \
    {                                                                                              \
        .kind = DFQI_GENERATOR_GDFQ, .image = {IMAGE, IMAGE}, .classes = CLASSES,                  \
        .latent = LATENT, .conditional = 1                                                         \
    }
#define QIMERA                                                                                     \
    {                                                                                              \
        .kind = DFQI_GENERATOR_QIMERA, .image = {IMAGE, IMAGE}, .classes = CLASSES,                \
        .latent = LATENT, .slots = SLOTS                                                           \
    }
#define QIMERA_LARGE                                                                               \
    {                                                                                              \
        .kind = DFQI_GENERATOR_QIMERA, .image = {IMAGE, IMAGE}, .classes = CLASSES,                \
        .latent = LATENT, .slots = SLOTS, .conditional = 1, .reduced = REDUCED                     \
    }
#define ARC(which)                                                                                 \
    {                                                                                              \
        .kind = DFQI_GENERATOR_ARC, .image = {IMAGE, IMAGE}, .classes = CLASSES, .latent = 100,    \
        .conditional = 1, .cells = (which)                                                         \
    }

static const struct form {
    const char *name;
    dfqi_generator_arch arch;
    void (*feed)(const dfqi_safetensors *st, feed *f);
    int gradients; /* that the file has */
} forms[] = {{"gdfq.small", GDFQ, feed_plain, 6},
             {"gdfq.large", GDFQ_LARGE, feed_plain, 5},
             {"qimera.small.plain", QIMERA, feed_own, 6},
             {"qimera.small.mixed", QIMERA, feed_mixed, 6},
             {"qimera.large.plain", QIMERA_LARGE, feed_own, 6},
             {"qimera.large.mixed", QIMERA_LARGE, feed_mixed, 6},
             {"arc.cifar10", ARC(DFQI_ARC_CIFAR10), feed_wide, 5},
             {"arc.cifar100", ARC(DFQI_ARC_CIFAR100), feed_wide, 5},
             {"arc.resnet18", ARC(DFQI_ARC_RESNET18), feed_wide, 5},
             {"arc.resnet50", ARC(DFQI_ARC_RESNET50), feed_wide, 5},
             {"arc.mobilenet", ARC(DFQI_ARC_MOBILENET), feed_wide, 5}};
enum { FORMS = sizeof forms / sizeof *forms };

/* A generator with the gradients of sum(images * seed). */
typedef struct rig {
    dfqi_generator net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id images, params[PARAMS], grads[PARAMS];
} rig;

static void bind(const rig *r, const dfqi_generator_inputs *in, const feed *f)
{
    const float *noise = f->noise;
    for (int32_t i = 0; i < DFQI_GENERATOR_NOISES; i++) {
        int64_t width = dfqi_generator_noise(&r->net.arch, i);
        if (width > 0) dfqi_exec_bind(r->e, in->noise[i], noise);
        noise += BATCH * width;
    }
    dfqi_exec_bind(r->e, in->labels, f->labels);
    if (in->mix != DFQI_NONE) dfqi_exec_bind(r->e, in->mix, f->mix);
    if (in->own != DFQI_NONE) dfqi_exec_bind(r->e, in->own, f->own);
    if (in->norm_mix != DFQI_NONE) dfqi_exec_bind(r->e, in->norm_mix, f->norm_mix);
}

static void start(rig *r, dfq_context *ctx, const dfqi_generator_arch *a,
                  const dfqi_safetensors *st, const feed *f)
{
    dfqi_generator_inputs in;
    ck_assert_int_eq(dfqi_generator_new(ctx, a, 1, &r->net), DFQ_OK);
    ck_assert_int_le(r->net.n_params, PARAMS);
    dfqt_fill_generator(&r->net);
    ck_assert_int_eq(dfqi_graph_new(ctx, BATCH, &r->g), DFQ_OK);
    dfqi_generator_inputs_add(&r->net, r->g, &in);
    dfqi_id seed = dfqi_graph_input(r->g, "seed", 1, 3, (int64_t[]){3, IMAGE, IMAGE});
    dfqi_generator_params(&r->net, r->g, r->params);
    r->images = dfqi_generator_forward(&r->net, r->g, r->params, &in);
    dfqi_graph_keep(r->g, r->images);
    ck_assert_msg(
        dfqi_graph_grad(r->g, 1, &r->images, &seed, r->net.n_params, r->params, r->grads) == DFQ_OK,
        "%s", ctx->error);
    for (int32_t i = 0; i < r->net.n_params; i++) dfqi_graph_keep(r->g, r->grads[i]);
    ck_assert_msg(dfqi_exec_new(r->g, &r->e) == DFQ_OK, "%s", ctx->error);
    bind(r, &in, f);
    dfqi_exec_bind(r->e, seed, data_of(st, "seed"));
    ck_assert_int_eq(dfqi_exec_run(r->e), DFQ_OK);
}

static void stop(rig *r)
{
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    dfqi_generator_fini(&r->net);
}

START_TEST(test_as_torch)
{
    const struct form *form = &forms[_i];
    char path[512], name[96];
    dfqi_safetensors st;
    feed f = {.labels = {0}};
    rig r, two;
    int compared = 0;
    dfq_context *ctx = dfqt_context(1), *other = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "generator.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    form->feed(&st, &f);
    start(&r, ctx, &form->arch, &st, &f);
    start(&two, other, &form->arch, &st, &f);
    snprintf(name, sizeof name, "%s.images", form->name);
    compare(name, dfqi_exec_data(r.e, r.images), dfqi_st_find(&st, name));
    for (int32_t p = 0; p < r.net.n_params; p++) {
        const float *grad = dfqi_exec_data(r.e, r.grads[p]);
        size_t bytes = (size_t)dfqi_tensor_count(r.net.params[p].tensor) * sizeof(float);
        snprintf(name, sizeof name, "%s.%s", form->name, r.net.params[p].name);
        ck_assert_msg(memcmp(grad, dfqi_exec_data(two.e, two.grads[p]), bytes) == 0, "%s", name);
        if (!dfqi_st_find(&st, name)) continue;
        compare(name, grad, dfqi_st_find(&st, name));
        compared++;
    }
    ck_assert_int_eq(compared, form->gradients);
    stop(&two);
    stop(&r);
    dfqi_st_fini(&st);
    dfq_context_release(other);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_generator_case(void)
{
    TCase *t = tcase_create("generator");
    tcase_add_loop_test(t, test_published_sizes, 0, PUBLISHED);
    tcase_add_loop_test(t, test_refused, 0, 8);
    tcase_add_loop_test(t, test_as_torch, 0, FORMS);
    return t;
}
