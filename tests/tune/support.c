/* A small pair of networks, and small jobs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "support/suite.h"
#include "tune/cases.h"
#include "support/small_vit.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void fill(dfqi_network *net)
{
    dfqi_rng r = dfqi_rng_make(11, 1);
    for (int32_t i = 0; i < net->n_params; i++) {
        dfq_tensor *t = net->params[i].tensor;
        float *w = dfqi_tensor_f32(t);
        int64_t n = dfqi_tensor_count(t);
        int norm = strstr(net->params[i].name, "norm") && strstr(net->params[i].name, "weight");
        dfqi_rng_fill_normal(&r, w, (size_t)n);
        for (int64_t k = 0; k < n; k++) w[k] = norm ? 1.0f + 0.1f * w[k] : 0.3f * w[k];
    }
}

dfq_status dfqt_pair_make(dfq_context *ctx, dfqi_mode mode, int64_t n, dfqt_pair *out)
{
    dfqi_arch a = dfqt_small_vit(6, 32);
    memcpy(a.mean, (float[]){0.5f, 0.4f, 0.6f}, sizeof a.mean);
    memcpy(a.std, (float[]){0.5f, 0.25f, 0.3f}, sizeof a.std);
    dfqt_pair p = {.ctx = ctx};
    dfqi_network net = {0}, copy = {0};
    dfqi_scheme scheme = {0};
    dfqi_rng r = dfqi_rng_make(12, 1);
    dfq_status status;
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){n, 3, 16, 16}, &p.images), out);
    float *x = dfqi_tensor_f32(p.images);
    for (int64_t i = 0; i < n * 768; i++) {
        int64_t c = i / 256 % 3;
        x[i] = (dfqi_rng_uniform(&r) - a.mean[c]) / a.std[c];
    }
    DFQI_GOTO(dfqi_network_new(ctx, &a, &net), out);
    fill(&net);
    DFQI_GOTO(dfqi_scheme_new(&net, mode, (dfqi_widths){4, 4, 0}, &scheme), out);
    DFQI_GOTO(dfqi_network_clone(&net, &copy), out);
    DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &net, &copy, x, n < 4 ? n : 4), out);
    DFQI_GOTO(dfqi_model_new(&net, NULL, &p.teacher), out);
    DFQI_GOTO(dfqi_model_new(&copy, &scheme, &p.student), out);
    *out = p;
    p = (dfqt_pair){0};
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&copy);
    dfqi_network_fini(&net);
    dfqt_pair_fini(&p);
    return status;
}

dfq_status dfqt_cnn_pair_make(dfq_context *ctx, dfqt_pair *out)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_random",
        .image = {8, 8},
        .channels = 3,
        .classes = 4,
        .eps = 1e-5f,
        .mean = {0.5f, 0.5f, 0.5f},
        .std = {0.25f, 0.25f, 0.25f},
        .of.cnn = {
            .keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1}};
    dfqt_pair p = {.ctx = ctx};
    dfqi_network net = {0}, copy = {0};
    dfqi_scheme scheme = {0};
    dfq_status status;
    DFQI_GOTO(dfqi_network_new(ctx, &a, &net), out);
    dfqi_network_init(&net, 5);
    DFQI_GOTO(dfqi_scheme_new_with(&net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0},
                                   (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM,
                                                .act_grid = DFQI_ACT_GRID_MINMAX},
                                   &scheme),
              out);
    DFQI_GOTO(dfqi_network_clone(&net, &copy), out);
    DFQI_GOTO(dfqi_model_new(&net, NULL, &p.teacher), out);
    DFQI_GOTO(dfqi_model_new(&copy, &scheme, &p.student), out);
    *out = p;
    p = (dfqt_pair){0};
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&copy);
    dfqi_network_fini(&net);
    dfqt_pair_fini(&p);
    return status;
}

dfqt_pair dfqt_cnn_pair_new(int32_t threads)
{
    dfqt_pair p = {0};
    dfq_context *ctx = dfqt_context(threads);
    ck_assert_msg(dfqt_cnn_pair_make(ctx, &p) == DFQ_OK, "%s", ctx->error);
    return p;
}

void dfqt_pair_fini(dfqt_pair *p)
{
    dfqi_tensor_release(p->images);
    dfqi_model_release(p->teacher);
    dfqi_model_release(p->student);
}

dfqt_pair dfqt_pair_new(int32_t threads, dfqi_mode mode, int64_t n)
{
    dfqt_pair p = {0};
    dfq_context *ctx = dfqt_context(threads);
    ck_assert_msg(dfqt_pair_make(ctx, mode, n, &p) == DFQ_OK, "%s", ctx->error);
    return p;
}

void dfqt_pair_end(dfqt_pair *p)
{
    dfq_context *ctx = p->ctx;
    dfqt_pair_fini(p);
    dfqi_context_release(ctx);
}

dfqi_tune_options dfqt_options(dfqi_mode mode)
{
    dfqi_tune_options o;
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ, &(dfqi_recipe_case){.steps = 0}, &o);
    o.scale_lr_mult = 10;
    o.zero_point_lr_mult = 100;
    if (mode == DFQI_MODE_PARITY)
        dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
    o.steps = 12;
    o.batch = 3;
    o.seed = 5;
    o.eval_every = 5;
    o.augment = DFQI_AUGMENT_FULL;
    o.learning_rate = 1e-3f;
    return o;
}

static uint64_t mix(uint64_t hash, const dfq_tensor *t)
{
    return t ? dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float)) : hash;
}

uint64_t dfqt_bits(const dfqi_model *m)
{
    uint64_t hash = dfqi_network_hash(&m->net);
    for (int32_t i = 0; i < m->scheme.n_sites; i++)
        hash = mix(mix(hash, m->scheme.sites[i].scale), m->scheme.sites[i].zero_point);
    return hash;
}

/* -- golden files ------------------------------------------------------------------------------ */

dfqi_safetensors dfqt_golden_read(dfq_context *ctx, const char *name)
{
    char path[400];
    dfqi_safetensors st;
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", name, path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    return st;
}

const float *dfqt_golden_data(const dfqi_safetensors *st, const char *prefix, const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "%s%s", prefix, name);
    const dfq_tensor *t = dfqi_st_find(st, text);
    ck_assert_msg(t != NULL, "%s", text);
    return t->data;
}

void dfqt_golden_compare(const float *have, const float *want, int64_t n, double limit,
                         const char *what, const char *name)
{
    double off = 0, top = 0;
    for (int64_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)have[i] - want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    ck_assert_msg(off <= limit * fmax(top, 1e-30), "%s%s: off by %g of %g", what, name, off, top);
}
