/* Ten generation steps on the tiny network, draws included, against PyTorch in double precision: by
 * MimiQ's recipe, and by PSAQ-ViT's. */
#include <math.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/suite.h"
#include "synth/cases.h"
#include "synth/synth_priv.h"
#include "support/small_vit.h"

enum { STEPS = 10, BATCH = 4, COUNT = BATCH * 3 * 32 * 32 };

static dfqi_model *tiny_model(dfq_context *ctx, const char *path)
{
    dfqi_arch a = dfqt_vit(
        32, 10, (dfqi_vit_arch){.patch = 8, .width = 48, .depth = 2, .heads = 4, .hidden = 96});
    dfqi_safetensors st;
    dfqi_network net;
    dfqi_model *m;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_params; i++) {
        dfq_tensor *t = net.params[i].tensor;
        const dfq_tensor *from = dfqi_st_find(&st, net.params[i].name);
        ck_assert_msg(from != NULL, "%s", net.params[i].name);
        ck_assert_int_eq(dfqi_tensor_count(from), dfqi_tensor_count(t));
        memcpy(t->data, from->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    }
    dfqi_st_fini(&st);
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &m), DFQ_OK);
    dfqi_network_fini(&net);
    return m;
}

static const float *data_of(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "%s", name);
    return t->data;
}

static dfqi_draws draws_of(const dfqi_safetensors *st, int step, float *memory)
{
    const int32_t *roll = dfqi_st_find(st, "roll")->data;
    dfqi_draws d = {.roll = {(float)roll[2 * step], (float)roll[2 * step + 1]},
                    .offset = memory,
                    .mean = memory + 3 * BATCH,
                    .dev = memory + 6 * BATCH};
    memcpy(d.offset, data_of(st, "offset") + step * 3 * BATCH, 3 * BATCH * sizeof(float));
    memcpy(d.mean, data_of(st, "jitter_m") + step * 3 * BATCH, 3 * BATCH * sizeof(float));
    memcpy(d.dev, data_of(st, "jitter_s") + step * 3 * BATCH, 3 * BATCH * sizeof(float));
    return d;
}

/* The first step of Adam magnifies errors of gradients near zero, so a few pixels may be off. */
static void compare_images(const float *x, const float *want, float limit, const char *name)
{
    int far_ones = 0;
    for (int i = 0; i < COUNT; i++) {
        float off = fabsf(x[i] - want[i]);
        ck_assert_msg(off < 1e-2f, "%s[%d]: %g, expected %g", name, i, (double)x[i],
                      (double)want[i]);
        far_ones += off > limit;
    }
    ck_assert_msg(far_ones <= 12, "%s: %d pixels are far off", name, far_ones);
}

static void compare_loss(int step, int column, float have, float want, float limit)
{
    ck_assert_msg(fabsf(have - want) < limit * fabsf(want) + 1e-6f,
                  "step %d, loss %d: %.9g, expected %.9g", step, column, (double)have,
                  (double)want);
}

static void compare_gradient(dfqi_synth *s, const dfqi_safetensors *st, const dfqi_draws *d,
                             float limit)
{
    float losses[DFQI_SYNTH_LOSSES];
    const float *grad, *want = data_of(st, "grad1");
    ck_assert_int_eq(dfqi_objective_run(s, d, losses, &grad), DFQ_OK);
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(fabsf(grad[i] - want[i]) < limit, "gradient %d: %g, expected %g", i,
                      (double)grad[i], (double)want[i]);
    if (s->by_pixels.seed)
        compare_loss(0, DFQI_SYNTH_INTER_HEAD, losses[DFQI_SYNTH_INTER_HEAD],
                     *data_of(st, "entropy"), 1e-4f);
}

typedef struct scene {
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_safetensors st;
    float memory[9 * BATCH];
} scene;

static void begin(scene *c, const char *file)
{
    char path[400];
    c->ctx = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "tiny_vit.safetensors", path, sizeof path));
    c->m = tiny_model(c->ctx, path);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", file, path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(c->ctx, path, &c->st), DFQ_OK);
}

static void end(scene *c)
{
    dfqi_st_fini(&c->st);
    dfqi_model_release(c->m);
    dfqi_context_release(c->ctx);
}

/* A job whose first batch is that of the file. */
static dfqi_synth *job_of(const scene *c, dfqi_synth_options o)
{
    dfqi_synth *s;
    o.images = o.batch = BATCH;
    ck_assert_int_eq(dfqi_synth_new(c->m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_start(s), DFQ_OK);
    memcpy(s->x, data_of(&c->st, "x0"), COUNT * sizeof(float));
    for (int i = 0; i < BATCH; i++)
        s->labels_f[i] = (float)((const int32_t *)dfqi_st_find(&c->st, "labels")->data)[i];
    return s;
}

static void take_step(dfqi_synth *s, const scene *c, const dfqi_draws *d, int step, float limit)
{
    char name[16];
    int32_t ok = 0;
    ck_assert_float_eq_tol(dfqi_pixels_learning_rate(s), data_of(&c->st, "lr")[step], 1e-8f);
    ck_assert_int_eq(dfqi_pixels_iterate(s, d, &ok), DFQ_OK);
    ck_assert(ok);
    snprintf(name, sizeof name, "x%d", step + 1);
    if (dfqi_st_find(&c->st, name)) compare_images(s->x, data_of(&c->st, name), limit, name);
}

START_TEST(test_ten_steps)
{
    scene c;
    dfqi_synth_options o;
    begin(&c, "synth.safetensors");
    dfqi_synth_defaults(&o);
    o.iterations = 2000;
    o.multi_scale = 0; /* as published */
    dfqi_synth *s = job_of(&c, o);
    for (int step = 0; step < STEPS; step++) {
        dfqi_draws d = draws_of(&c.st, step, c.memory);
        if (step == 0) compare_gradient(s, &c.st, &d, 5e-7f);
        take_step(s, &c, &d, step, 3e-5f);
        for (int i = 0; i < 4; i++) /* total, inter-head, cross-entropy, TV: our order too */
            compare_loss(step, i, s->losses[4 * step + i], data_of(&c.st, "losses")[4 * step + i],
                         1e-5f);
    }
    dfqi_synth_release(s);
    end(&c);
}
END_TEST

/* Same roll on both axes, mirrored or not, no colours. */
static dfqi_draws psaq_draws_of(const dfqi_safetensors *st, int step, float *memory)
{
    const int32_t *roll = dfqi_st_find(st, "roll")->data;
    const int32_t *flip = dfqi_st_find(st, "flip")->data;
    dfqi_draws d = {.roll = {(float)roll[2 * step], (float)roll[2 * step + 1]},
                    .flip = flip[step],
                    .offset = memory,
                    .mean = memory,
                    .dev = memory + 3 * BATCH,
                    .tv_target = *data_of(st, "target")};
    for (int i = 0; i < 3 * BATCH; i++) {
        d.offset[i] = 0;
        d.dev[i] = 1;
    }
    return d;
}

/* The entropy is in the first gradient alone (tests/golden/make_psaq_steps.py). */
START_TEST(test_psaq_steps)
{
    scene c;
    dfqi_synth_options o;
    begin(&c, "psaq.safetensors");
    dfqi_synth_defaults(&o);
    o.kind = DFQI_SYNTH_PSE;
    o.iterations = STEPS;
    dfqi_draws d = psaq_draws_of(&c.st, 0, c.memory);
    dfqi_synth *s = job_of(&c, o);
    compare_gradient(s, &c.st, &d, 2e-4f);
    dfqi_synth_release(s);
    o.attention_weight = 0;
    s = job_of(&c, o);
    for (int step = 0; step < STEPS; step++) {
        static const int columns[] = {DFQI_SYNTH_TOTAL, DFQI_SYNTH_CLASS, DFQI_SYNTH_TV};
        d = psaq_draws_of(&c.st, step, c.memory);
        take_step(s, &c, &d, step, 2e-3f);
        for (int i = 0; i < 3; i++)
            compare_loss(step, columns[i], s->losses[DFQI_SYNTH_LOSSES * step + columns[i]],
                         data_of(&c.st, "losses")[3 * step + i], 1e-3f);
    }
    dfqi_synth_release(s);
    end(&c);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *t = tcase_create("golden");
    tcase_add_test(t, test_ten_steps);
    tcase_add_test(t, test_psaq_steps);
    return t;
}
