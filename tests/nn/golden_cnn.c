/* Convolutional networks against PyTorch (tests/golden/cnn.py): names, logits, BatchNorm inputs;
 * and the real ResNet-20, where its weights are at hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "io/dataset.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/suite.h"

/* A network with a forward pass on `batch` images. */
typedef struct rig {
    dfq_context *ctx;
    dfqi_safetensors want;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, logits;
    dfqi_norm_tap *norms;
    float *images;
} rig;

static const dfq_tensor *want(const rig *r, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(&r->want, name);
    ck_assert_msg(t != NULL, "no %s", name);
    return t;
}

static void build(rig *r, int64_t batch)
{
    const dfqi_arch *a = &r->net.arch;
    dfqi_id *ids = calloc((size_t)r->net.n_params, sizeof *ids);
    int32_t norms = dfqi_arch_norms(a);
    dfqi_taps taps = {.norms = calloc((size_t)norms, sizeof *taps.norms)};
    ck_assert_int_eq(dfqi_graph_new(r->ctx, batch, &r->g), DFQ_OK);
    r->x = dfqi_arch_input(a, r->g);
    dfqi_network_params(&r->net, r->g, 1, ids);
    dfqi_network_forward(&r->net, r->g, ids, r->x, &taps);
    r->logits = taps.logits;
    r->norms = taps.norms;
    dfqi_graph_keep(r->g, r->logits);
    for (int32_t i = 0; i < norms; i++) dfqi_graph_keep(r->g, r->norms[i].x);
    ck_assert_msg(dfqi_exec_new(r->g, &r->e) == DFQ_OK, "%s", r->ctx->error);
    r->images = calloc((size_t)(batch * dfqi_arch_pixels(a)), sizeof *r->images);
    dfqi_exec_bind(r->e, r->x, r->images);
    free(ids);
}

static void read_want(rig *r, const char *name)
{
    char path[512];
    ck_assert(dfqt_path("DFQ_TEST_GOLDEN", name, path, sizeof path)); /* committed: never absent */
    ck_assert_msg(dfqi_st_read(r->ctx, path, &r->want) == DFQ_OK, "%s", r->ctx->error);
}

static void end(rig *r)
{
    free(r->images);
    free(r->norms);
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    dfqi_network_fini(&r->net);
    if (r->want.ctx) dfqi_st_fini(&r->want);
    dfq_context_release(r->ctx);
}

/* x[i] = sin(0.01 i), row-major */
static void wave(rig *r)
{
    int64_t n = dfqi_value_count(dfqi_graph_value(r->g, r->x));
    for (int64_t i = 0; i < n; i++) r->images[i] = (float)sin(0.01 * (double)i);
    ck_assert_msg(dfqi_exec_run(r->e) == DFQ_OK, "%s", r->ctx->error);
}

/* Largest difference, relative to the largest magnitude of `want`. */
static void compare(const char *name, const float *have, const dfq_tensor *t, double limit)
{
    const float *w = dfqi_tensor_f32(t);
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++) {
        scale = fmax(scale, fabs((double)w[i]));
        worst = fmax(worst, fabs((double)have[i] - (double)w[i]));
        if (have[i] != have[i]) worst = INFINITY;
    }
    ck_assert_msg(worst <= limit * scale, "%s is off by %g of %g", name, worst, scale);
}

/* The distance of the inputs of BatchNorms from their running statistics (L_BNS), from taps. */
static float bns(const rig *r)
{
    int32_t norms = dfqi_arch_norms(&r->net.arch);
    double total = 0;
    for (int32_t l = 0; l < norms; l++) {
        const dfqi_value *v = dfqi_graph_value(r->g, r->norms[l].x);
        const float *x = dfqi_exec_data(r->e, r->norms[l].x);
        const float *mean = dfqi_graph_value(r->g, r->norms[l].mean)->tensor->data;
        const float *var = dfqi_graph_value(r->g, r->norms[l].var)->tensor->data;
        int64_t channels = dfqi_value_last(v), n = dfqi_value_count(v) / channels;
        for (int64_t c = 0; c < channels; c++) {
            double s = 0, q = 0;
            for (int64_t i = 0; i < n; i++) s += (double)x[i * channels + c];
            s /= (double)n;
            for (int64_t i = 0; i < n; i++) q += pow((double)x[i * channels + c] - s, 2);
            total += (pow(s - (double)mean[c], 2) + pow(q / (double)n - (double)var[c], 2)) /
                     (double)channels;
        }
    }
    return (float)(total / norms);
}

/* -- networks with weights made by a formula --------------------------------------------------- */

static const struct made {
    const char *name;
    dfqi_keys keys;
    int32_t units[DFQI_STAGES]; /* none: MobileNetV2 */
    int64_t width;
    int32_t small, bottleneck, padded;
    int32_t inner, groups, deep[2], averaged;
} cases[] = {
    {"akamaster_a", DFQI_KEYS_AKAMASTER, {2, 2, 2}, 4, 1, 0, 1, 0, 0, {0}, 0},
    {"akamaster_b", DFQI_KEYS_AKAMASTER, {2, 2, 2}, 4, 1, 0, 0, 0, 0, {0}, 0},
    {"module", DFQI_KEYS_AKAMASTER, {1, 1, 1}, 4, 1, 0, 1, 0, 0, {0}, 0},
    {"cifar", DFQI_KEYS_PYTORCHCV, {2, 2, 2}, 4, 1, 0, 0, 0, 0, {0}, 0},
    {"basic_cv", DFQI_KEYS_PYTORCHCV, {1, 2, 1, 2}, 8, 0, 0, 0, 0, 0, {0}, 0},
    {"bottleneck_cv", DFQI_KEYS_PYTORCHCV, {1, 2, 1, 1}, 4, 0, 1, 0, 0, 0, {0}, 0},
    {"basic_tv", DFQI_KEYS_TORCHVISION, {1, 2, 1, 2}, 8, 0, 0, 0, 0, 0, {0}, 0},
    {"bottleneck_tv", DFQI_KEYS_TORCHVISION, {1, 2, 1, 1}, 4, 0, 1, 0, 0, 0, {0}, 0},
    {"grouped_tv", DFQI_KEYS_TORCHVISION, {1, 2, 1, 1}, 4, 0, 1, 0, 8, 4, {0}, 0},
    {"deep_d", DFQI_KEYS_TORCHVISION, {1, 2, 1, 1}, 8, 0, 1, 0, 0, 0, {4, 6}, 1},
    {"mobile_tv", DFQI_KEYS_TORCHVISION, {0}, 0, 0, 0, 0, 0, 0, {0}, 0},
    {"mobile_cv", DFQI_KEYS_PYTORCHCV, {0}, 0, 0, 0, 0, 0, 0, {0}, 0},
};

static dfqi_arch arch_of(const struct made *k)
{
    dfqi_arch a = k->width ? dfqt_resnet(k->keys, k->width, 0, 0) : dfqt_mobilenet(k->keys);
    a.of.cnn.small = k->small;
    a.of.cnn.bottleneck = k->bottleneck;
    a.of.cnn.stride_first = k->bottleneck && k->keys == DFQI_KEYS_PYTORCHCV;
    a.of.cnn.padded = k->padded;
    a.of.cnn.inner = k->inner;
    a.of.cnn.groups = k->groups;
    a.of.cnn.averaged = k->averaged;
    memcpy(a.of.cnn.deep, k->deep, sizeof a.of.cnn.deep);
    memcpy(a.of.cnn.units, k->units, sizeof a.of.cnn.units);
    a.image = dfqi_square(k->small ? 32 : 64);
    a.classes = 10;
    return a;
}

/* The names PyTorch's side asked for, in the order of use. */
static void compare_names(const rig *r, const char *names)
{
    const char *const prefix = "module."; /* of DataParallel, which loading leaves out */
    for (int32_t i = 0; i < r->net.n_params; i++) {
        if (strncmp(names, prefix, strlen(prefix)) == 0) names += strlen(prefix);
        size_t n = strcspn(names, " ");
        ck_assert_msg(n == strlen(r->net.params[i].name) &&
                          memcmp(names, r->net.params[i].name, n) == 0,
                      "parameter %d is %s, expected %.60s", i, r->net.params[i].name, names);
        names += n + (names[n] == ' ');
    }
    ck_assert_str_eq(names, "");
}

START_TEST(test_made)
{
    const struct made *k = &cases[_i];
    dfqi_arch a = arch_of(k);
    char name[64];
    rig r = {.ctx = dfqt_context(2)};
    read_want(&r, "cnn.safetensors");
    ck_assert_int_eq(dfqi_network_new(r.ctx, &a, &r.net), DFQ_OK);
    dfqt_fill(&r.net);
    snprintf(name, sizeof name, "names.%s", k->name);
    compare_names(&r, dfqi_st_meta_find(&r.want, name));
    build(&r, 2);
    wave(&r);
    snprintf(name, sizeof name, "%s.logits", k->name);
    compare(name, dfqi_exec_data(r.e, r.logits), want(&r, name), 2e-5); /* 53 layers deep */
    snprintf(name, sizeof name, "%s.bns", k->name);
    float distance = bns(&r);
    compare(name, &distance, want(&r, name), 5e-6);
    end(&r);
}
END_TEST

/* -- the real network -------------------------------------------------------------------------- */

/* Skips the test where the weights are not at hand. */
static void real_begin(rig *r, int64_t batch)
{
    char path[512];
    dfqi_safetensors st;
    dfqi_arch a;
    dfqt_asset("models/resnet20_cifar10.safetensors", path, sizeof path);
    *r = (rig){.ctx = dfqt_context(2)};
    read_want(r, "real_resnet20.safetensors");
    ck_assert_msg(dfqi_st_read(r->ctx, path, &st) == DFQ_OK, "%s", r->ctx->error);
    ck_assert_msg(dfqt_take(&st, "real", NULL, &a, &r->net) == DFQ_OK, "%s", r->ctx->error);
    dfqi_st_fini(&st);
    ck_assert_int_eq(dfqi_network_values(&r->net), 269722);
    build(r, batch);
}

/* What PyTorch made of akamaster's ResNet-20 on x[i] = sin(0.01 i). */
START_TEST(test_real_logits)
{
    rig r;
    real_begin(&r, 2);
    wave(&r);
    compare("logits", dfqi_exec_data(r.e, r.logits), want(&r, "logits"), 5e-6);
    float distance = bns(&r);
    compare("bns", &distance, want(&r, "bns"), 5e-6);
    ck_assert(fabsf(distance - 20.782915f) < 2e-4f);
    end(&r);
}
END_TEST

/* The predicted class of every test image; where PyTorch was unsure they may differ. */
START_TEST(test_real_classes)
{
    enum { BATCH = 50, COUNT = 1000 };
    char path[512];
    rig r;
    dfqi_dataset *d = NULL;
    dfqt_asset("data/cifar10/test_1000.bin", path, sizeof path);
    real_begin(&r, BATCH);
    dfqi_preprocess p = {.size = {32, 32}};
    memcpy(p.mean, r.net.arch.mean, sizeof p.mean);
    memcpy(p.std, r.net.arch.std, sizeof p.std);
    const int32_t *class = want(&r, "test.prediction")->data;
    const float *margin = want(&r, "test.margin")->data;
    int32_t correct = 0;
    ck_assert_msg(dfqi_dataset_open(r.ctx, path, 10, &d) == DFQ_OK, "%s", r.ctx->error);
    for (int k = 0; k < COUNT; k++) {
        if (k % BATCH == 0) {
            ck_assert_int_eq(dfqi_dataset_batch(d, k, BATCH, &p, r.images), DFQ_OK);
            ck_assert_int_eq(dfqi_exec_run(r.e), DFQ_OK);
        }
        const float *z = dfqi_exec_data(r.e, r.logits) + k % BATCH * 10;
        int best = 0;
        for (int c = 1; c < 10; c++) best = z[c] > z[best] ? c : best;
        correct += best == dfqi_dataset_label(d, k);
        ck_assert_msg(best == class[k] || margin[k] < 1e-4f, "image %d: class %d, expected %d", k,
                      best, class[k]);
    }
    ck_assert_int_eq(correct, ((int32_t *)want(&r, "test.correct")->data)[0]);
    ck_assert_int_eq(correct, 915);
    dfqi_dataset_release(d);
    end(&r);
}
END_TEST

TCase *dfqt_golden_cnn_case(void)
{
    TCase *c = tcase_create("golden_cnn");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_made, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(c, test_real_logits);
    tcase_add_test(c, test_real_classes);
    return c;
}
