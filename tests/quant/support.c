/* A small network, its images and its students. */
#include <string.h>

#include "base/rng.h"
#include "quant/cases.h"
#include "quant/evaluate.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void fill(const dfqi_network *net)
{
    dfqi_rng r = dfqi_rng_make(21, 1);
    for (int32_t i = 0; i < net->n_params; i++) {
        dfq_tensor *t = net->params[i].tensor;
        float *w = dfqi_tensor_f32(t);
        int64_t n = dfqi_tensor_count(t);
        int norm = strstr(net->params[i].name, "norm") && strstr(net->params[i].name, "weight");
        dfqi_rng_fill_normal(&r, w, (size_t)n);
        for (int64_t k = 0; k < n; k++) w[k] = norm ? 1.0f + 0.1f * w[k] : 0.2f * w[k];
    }
}

dfq_status dfqt_teacher(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = {.image = 16,
                   .channels = 3,
                   .classes = DFQT_CLASSES,
                   .vit.patch = 4,
                   .vit.width = 24,
                   .vit.depth = 2,
                   .vit.heads = 3,
                   .vit.hidden = 40,
                   .eps = 1e-6f,
                   .name = "vit_random",
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.5f, 0.5f, 0.5f}};
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    fill(&net);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    if (status != DFQ_OK) dfqi_network_fini(&net);
    return status;
}

void dfqt_images(float *x)
{
    dfqi_rng r = dfqi_rng_make(22, 1);
    for (int i = 0; i < DFQT_IMAGES * DFQT_IMAGE; i++) x[i] = dfqi_rng_range(&r, -1.0f, 1.0f);
}

dfq_status dfqt_quantize(const dfqi_model *teacher, dfqi_mode mode, int32_t weight_bits,
                         int32_t act_bits, dfqi_model **out)
{
    dfqi_widths widths = {weight_bits, act_bits, 0};
    return dfqt_quantize_with(teacher, mode, widths,
                              (dfqi_grids){DFQI_WEIGHT_GRID_AUTO, DFQI_ACT_GRID_AUTO}, out);
}

dfq_status dfqt_quantize_with(const dfqi_model *teacher, dfqi_mode mode, dfqi_widths widths,
                              dfqi_grids grids, dfqi_model **out)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfqi_scheme scheme = {0};
    dfqi_network net = {0};
    dfq_status status;
    dfqt_images(x);
    DFQI_GOTO(dfqi_scheme_new_with(&teacher->net, mode, widths, grids, &scheme), out);
    DFQI_GOTO(dfqi_network_clone(&teacher->net, &net), out);
    DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &teacher->net, &net, x, DFQT_IMAGES), out);
    status = dfqi_model_new(&net, &scheme, out);
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&net);
    return status;
}

void dfqt_logits(const dfqi_model *m, float *z)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfqt_images(x);
    ck_assert_msg(dfqi_model_logits(m, x, DFQT_IMAGES, z) == DFQ_OK, "%s", m->ctx->error);
}
