/* Ten generation steps on the tiny network, draws included, against PyTorch in double precision. */
#include <math.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/suite.h"
#include "synth/cases.h"
#include "synth/synth_priv.h"

enum { STEPS = 10, BATCH = 4, COUNT = BATCH * 3 * 32 * 32 };

static dfqi_model *tiny_model(dfq_context *ctx, const char *path)
{
    dfqi_arch a = {.image = 32,
                   .channels = 3,
                   .classes = 10,
                   .vit.patch = 8,
                   .vit.width = 48,
                   .vit.depth = 2,
                   .vit.heads = 4,
                   .vit.hidden = 96,
                   .eps = 1e-6f,
                   .name = "vit_tiny",
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.5f, 0.5f, 0.5f}};
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

/* The first step of AdamW magnifies errors of gradients near zero, so a few pixels may be off. */
static void compare_images(const float *x, const float *want, const char *name)
{
    int far_ones = 0;
    for (int i = 0; i < COUNT; i++) {
        float off = fabsf(x[i] - want[i]);
        ck_assert_msg(off < 1e-2f, "%s[%d]: %g, expected %g", name, i, (double)x[i],
                      (double)want[i]);
        far_ones += off > 3e-5f;
    }
    ck_assert_msg(far_ones <= 12, "%s: %d pixels are far off", name, far_ones);
}

static void compare_losses(const float *have, const float *want, int step)
{
    for (int i = 0; i < 4; i++) /* total, inter-head, cross-entropy, TV: our order too */
        ck_assert_msg(fabsf(have[i] - want[i]) < 1e-5f * fabsf(want[i]) + 1e-6f,
                      "step %d, loss %d: %.9g, expected %.9g", step, i, (double)have[i],
                      (double)want[i]);
}

static void compare_gradient(dfqi_synth *s, const dfqi_safetensors *st, const dfqi_draws *d)
{
    float losses[DFQI_SYNTH_LOSSES];
    const float *grad, *want = data_of(st, "grad1");
    ck_assert_int_eq(dfqi_objective_run(s, d, losses, &grad), DFQ_OK);
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(fabsf(grad[i] - want[i]) < 5e-7f, "gradient %d: %g, expected %g", i,
                      (double)grad[i], (double)want[i]);
}

START_TEST(test_ten_steps)
{
    char path[400], name[8];
    float memory[9 * BATCH];
    dfqi_safetensors st;
    dfqi_synth *s;
    dfqi_synth_options o;
    dfq_context *ctx = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "tiny_vit.safetensors", path, sizeof path));
    dfqi_model *m = tiny_model(ctx, path);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "synth.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    dfqi_synth_defaults(&o);
    o.images = o.batch = BATCH;
    o.iterations = 2000;
    o.natural = 0; /* as published */
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_start(s), DFQ_OK);
    memcpy(s->x, data_of(&st, "x0"), COUNT * sizeof(float));
    for (int i = 0; i < BATCH; i++)
        s->labels_f[i] = (float)((const int32_t *)dfqi_st_find(&st, "labels")->data)[i];
    for (int step = 0; step < STEPS; step++) {
        int32_t ok = 0;
        dfqi_draws d = draws_of(&st, step, memory);
        if (step == 0) compare_gradient(s, &st, &d);
        float rate = dfqi_cosine(step, 2000, 0, o.rate, o.end_rate);
        ck_assert_float_eq_tol(rate, data_of(&st, "lr")[step], 1e-8f);
        ck_assert_int_eq(dfqi_synth_iterate(s, &d, &ok), DFQ_OK);
        ck_assert(ok);
        compare_losses(s->losses + 4 * step, data_of(&st, "losses") + 4 * step, step);
        snprintf(name, sizeof name, "x%d", step + 1);
        if (dfqi_st_find(&st, name)) compare_images(s->x, data_of(&st, name), name);
    }
    dfqi_st_fini(&st);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *t = tcase_create("golden");
    tcase_add_test(t, test_ten_steps);
    return t;
}
