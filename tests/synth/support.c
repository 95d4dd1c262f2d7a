/* A small network, small jobs, and folders for files. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "synth/cases.h"
#include "support/small_vit.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

dfq_status dfqt_random_model(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = dfqt_small_vit(6, 32);
    memcpy(a.mean, (float[]){0.5f, 0.4f, 0.6f}, sizeof a.mean);
    memcpy(a.std, (float[]){0.5f, 0.25f, 0.3f}, sizeof a.std);
    dfqi_network net;
    dfqi_rng r = dfqi_rng_make(11, 1);
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    for (int32_t i = 0; i < net.n_params; i++) {
        dfq_tensor *t = net.params[i].tensor;
        float *w = dfqi_tensor_f32(t);
        int64_t n = dfqi_tensor_count(t);
        int norm = strstr(net.params[i].name, "norm") && strstr(net.params[i].name, "weight");
        dfqi_rng_fill_normal(&r, w, (size_t)n);
        for (int64_t k = 0; k < n; k++) w[k] = norm ? 1.0f + 0.1f * w[k] : 0.3f * w[k];
    }
    dfq_status status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

dfq_status dfqt_random_cnn_of(dfq_context *ctx, int64_t classes, dfqi_model **out)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_random",
        .image = {8, 8},
        .channels = 3,
        .classes = classes,
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

dfq_status dfqt_random_cnn(dfq_context *ctx, dfqi_model **out)
{
    return dfqt_random_cnn_of(ctx, 4, out);
}

dfqi_synth_options dfqt_options(void)
{
    dfqi_synth_options o;
    dfqi_synth_defaults(&o);
    o.images = DFQT_IMAGES;
    o.batch = 2;
    o.iterations = 6;
    o.seed = 5;
    o.roll_first = 2;
    o.roll_second = 4;
    return o;
}

void dfqt_make(const dfqi_synth_options *o, int32_t threads, float *images, int32_t *labels)
{
    dfq_context *ctx = dfqt_context(threads);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *x, *y;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, o, &s), DFQ_OK);
    ck_assert_msg(dfqi_synth_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_int_eq(x->dims[0], o->images);
    memcpy(images, x->data, (size_t)(o->images * DFQT_PIXELS) * sizeof *images);
    memcpy(labels, y->data, (size_t)o->images * sizeof *labels);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}

void dfqt_folder(char path[64])
{
    strcpy(path, "synth_test_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

void dfqt_remove(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    char file[400];
    ck_assert_ptr_nonnull(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        snprintf(file, sizeof file, "%.64s/%.300s", path, e->d_name);
        (void)remove(file);
    }
    closedir(d);
    ck_assert_int_eq(rmdir(path), 0);
}
