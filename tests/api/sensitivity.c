/* Damages of bit widths, and the choice of widths by them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dfq/dfq.h>

#include "api/cases.h"
#include "support/path.h"
#include "support/suite.h"

#define OK(call) ck_assert_int_eq(call, DFQ_OK)

enum { W = DFQ_SENSITIVITY_WIDTHS, IMAGES = 4 };

static dfq_context *ctx;
static dfq_graph *net;
static char file[] = "/tmp/dfq_sensitivity_XXXXXX";

static void setup(void)
{
    char path[512];
    OK(dfq_context_create(NULL, &ctx));
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "../../examples/figures_vit.safetensors", path, sizeof path));
    OK(dfq_graph_load(ctx, path, NULL, &net));
    int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    dfq_graph_release(net);
    dfq_context_release(ctx);
    unlink(file);
}

static dfq_quantize_options rows(int32_t bits)
{
    dfq_quantize_options q;
    dfq_quantize_options_init(&q, sizeof q);
    q.drawn_images = 8;
    q.weight_group = 0; /* quicker */
    q.weight_bits = q.act_bits = q.first_last_bits = bits;
    return q;
}

static dfq_sensitivity *create(const dfq_quantize_options *q, const dfq_tensor *images)
{
    dfq_sensitivity_options o;
    dfq_sensitivity *s;
    dfq_sensitivity_options_init(&o, sizeof o);
    ck_assert_int_eq(o.images, 32);
    o.images = IMAGES;
    OK(dfq_sensitivity_create(net, images, q, &o, &s));
    return s;
}

static dfq_tensor *shapes(int64_t n)
{
    dfq_synthesizer_options o;
    dfq_synthesizer *y;
    dfq_tensor *t;
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_LEAVES, DFQ_MODE_IMPROVED, NULL);
    o.images = n;
    o.seed = 3;
    OK(dfq_synthesizer_create(net, &o, &y));
    OK(dfq_synthesizer_run(y));
    OK(dfq_synthesizer_get_images(y, &t));
    dfq_synthesizer_release(y);
    return t;
}

/* Mean KL of the float network and another one on images, from their logits. */
static double divergence(const dfq_graph *of, const dfq_graph *low, const dfq_tensor *images)
{
    dfq_tensor *z[2];
    double sum = 0;
    OK(dfq_graph_forward(of, images, &z[0]));
    OK(dfq_graph_forward(low, images, &z[1]));
    int64_t n = dfq_tensor_get_dims(z[0])[0], classes = dfq_tensor_get_dims(z[0])[1];
    for (int64_t i = 0; i < n; i++) {
        const float *t = (const float *)dfq_tensor_get_data(z[0]) + i * classes;
        const float *s = (const float *)dfq_tensor_get_data(z[1]) + i * classes;
        double norm[2] = {0, 0};
        for (int64_t c = 0; c < classes; c++) {
            norm[0] += exp((double)t[c]);
            norm[1] += exp((double)s[c]);
        }
        for (int64_t c = 0; c < classes; c++)
            sum += exp((double)t[c]) / norm[0] *
                   ((double)t[c] - log(norm[0]) - (double)s[c] + log(norm[1]));
    }
    dfq_tensor_release(z[0]);
    dfq_tensor_release(z[1]);
    return sum / (double)n;
}

/* What is measured of all layers at one width is what the quantized network has: its weights and
 * its grids are used. */
static void check_uniform(const dfq_graph *of, const dfq_quantize_options *q,
                          const dfq_tensor *images)
{
    dfq_sensitivity_options o;
    dfq_sensitivity *s;
    dfq_bits *b;
    dfq_graph *low;
    double measured;
    dfq_sensitivity_options_init(&o, sizeof o);
    o.images = IMAGES;
    OK(dfq_sensitivity_create(of, images, q, &o, &s));
    OK(dfq_graph_quantize(of, images, q, &low));
    OK(dfq_bits_create(low, NULL, &b));
    OK(dfq_sensitivity_evaluate(s, b, NULL, &measured));
    double real = divergence(of, low, images);
    ck_assert_msg(measured <= 1.01 * real && measured >= 0.99 * real, "%g, is %g", measured, real);
    dfq_bits_release(b);
    dfq_graph_release(low);
    dfq_sensitivity_release(s);
}

/* With scales of rows and groups of weights; test_cnn has static ones. */
START_TEST(test_uniform)
{
    dfq_tensor *images = shapes(IMAGES);
    dfq_quantize_options q = rows(3);
    q.weight_group = DFQ_WEIGHT_GROUP_AUTO;
    check_uniform(net, &q, images);
    dfq_tensor_release(images);
}
END_TEST

/* Of a convolutional network BatchNorms are folded, and rounding corrects their betas. */
START_TEST(test_cnn)
{
    char path[512];
    dfq_graph *cnn;
    dfq_sensitivity *s = NULL;
    dfq_quantize_options q = rows(3);
    dfqt_asset("models/resnet20_cifar10.safetensors", path, sizeof path);
    OK(dfq_graph_load(ctx, path, NULL, &cnn));
    ck_assert_int_eq(dfq_sensitivity_create(cnn, NULL, &q, NULL, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "images is NULL"));
    dfq_tensor *images = shapes(IMAGES);
    check_uniform(cnn, &q, images);
    dfq_bits *b;
    dfq_bits_means means = {.struct_size = sizeof means};
    OK(dfq_bits_create(cnn, &q, &b)); /* of ReLUs too */
    OK(dfq_bits_get_means(b, &means));
    ck_assert_double_eq_tol(means.act_bits, 3, 1e-12);
    dfq_bits_release(b);
    dfq_tensor_release(images);
    dfq_graph_release(cnn);
}
END_TEST

/* Limits are read before anything is solved. */
static void check_limits(dfq_sensitivity *s)
{
    static const struct {
        double weight, act;
        dfq_status status;
        const char *text;
    } cases[] = {{-1, 4, DFQ_E_INVALID, "mean_weight_bits is -1"},
                 {4, (double)NAN, DFQ_E_INVALID, "mean_act_bits is nan"},
                 {(double)INFINITY, 4, DFQ_E_INVALID, "mean_weight_bits is inf"},
                 {1.5, 4, DFQ_E_INFEASIBLE, "1.5 bits at most, must be 2 or more"},
                 {4, 1, DFQ_E_INFEASIBLE, "of activations is to be 1 bits"}};
    dfq_bits *b = NULL;
    dfq_bits_limits limits;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dfq_bits_limits_init(&limits, sizeof limits);
        limits.mean_weight_bits = cases[i].weight;
        limits.mean_act_bits = cases[i].act;
        ck_assert_int_eq(dfq_sensitivity_choose(s, &limits, &b, NULL), cases[i].status);
        ck_assert_ptr_null(b);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), cases[i].text) != NULL, "%s",
                      dfq_context_get_error(ctx));
    }
    OK(dfq_sensitivity_choose(s, NULL, &b, NULL)); /* no limit: the best everywhere */
    dfq_bits_release(b);
}

static dfq_accelerator *accelerator(int word_bits)
{
    char text[512];
    dfq_accelerator *a;
    snprintf(
        text, sizeof text,
        "{\"pe_x\": [4, 32], \"pe_y\": 8, \"rf_words\": 64, \"dataflow\": \"ws\", \"pe_type\": "
        "\"fusion\", \"glb_kb\": 64, \"word_bits\": %d, \"psum_bits\": 24, \"clock_mhz\": 200, "
        "\"dram_gb_per_s\": 4, \"glb_gb_per_s\": 16}",
        word_bits);
    OK(dfq_accelerator_parse(ctx, text, strlen(text), &a));
    return a;
}

/* What is told of the choice is what the quantized network costs on that accelerator. */
static void check_cost(const dfq_accelerator *a, const dfq_bits *b, const dfq_bits_choice *choice)
{
    dfq_quantize_options q = rows(4);
    dfq_cost_options o;
    dfq_graph *low;
    dfq_cost *c;
    dfq_cost_info total = {.struct_size = sizeof total};
    q.layers = dfq_bits_get_configs(b);
    q.n_layers = dfq_bits_get_count(b);
    dfq_cost_options_init(&o, sizeof o);
    o.config = choice->config;
    OK(dfq_graph_quantize(net, NULL, &q, &low));
    OK(dfq_cost_create(a, low, &o, &c));
    OK(dfq_cost_get_total(c, &total));
    ck_assert_double_eq_tol(choice->latency_ms, total.ms, 1e-9 * total.ms);
    ck_assert_double_eq_tol(choice->energy_mj, total.total_pj * 1e-9, 1e-9 * total.total_pj * 1e-9);
    ck_assert_double_eq_tol(choice->area_mm2, total.area_mm2, 1e-9);
    dfq_cost_release(c);
    dfq_graph_release(low);
}

/* Limits hold by the exact model, and bind: less energy, more damage. */
static void check_costs(dfq_sensitivity *s)
{
    dfq_bits_limits limits;
    dfq_bits_choice wide = {.struct_size = sizeof wide}, tight = {.struct_size = sizeof tight};
    dfq_bits *b = NULL;
    dfq_accelerator *a = accelerator(8);
    dfq_accelerator_config small = {.struct_size = sizeof small};
    dfq_bits_limits_init(&limits, sizeof limits);
    limits.latency_ms = 1e6;
    ck_assert_int_eq(dfq_sensitivity_choose(s, &limits, &b, NULL), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "latency_ms is 1e+06 without"));
    limits.accelerator = a;
    OK(dfq_sensitivity_choose(s, &limits, &b, &wide));
    check_cost(a, b, &wide);
    dfq_bits_release(b);
    OK(dfq_accelerator_get_config(a, 0, &small)); /* the area leaves one of the two */
    limits.energy_mj = 0.8 * wide.energy_mj;
    limits.area_mm2 = small.area_mm2;
    limits.size_bytes = 0.6 * wide.size_bytes;
    OK(dfq_sensitivity_choose(s, &limits, &b, &tight));
    ck_assert(tight.config == 0 && tight.energy_mj <= limits.energy_mj);
    ck_assert(tight.size_bytes <= limits.size_bytes && tight.predicted > wide.predicted);
    check_cost(a, b, &tight);
    dfq_bits_release(b);
    b = NULL;
    limits.energy_mj = 1e-3 * wide.energy_mj;
    ck_assert_int_eq(dfq_sensitivity_choose(s, &limits, &b, NULL), DFQ_E_INFEASIBLE);
    ck_assert_ptr_null(b);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "energy_mj"));
    dfq_accelerator_release(a);
    limits.accelerator = a = accelerator(4); /* operands of at most 4 bits */
    limits.energy_mj = limits.area_mm2 = limits.size_bytes = 0;
    OK(dfq_sensitivity_choose(s, &limits, &b, NULL));
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++)
        ck_assert(dfq_bits_get_configs(b)[i].weight_bits <= 4 &&
                  dfq_bits_get_configs(b)[i].act_bits <= 4);
    dfq_bits_release(b);
    dfq_accelerator_release(a);
}

/* Moves measure less, stay within the limits and on the accelerator, and are what is told. */
static void check_refine(dfq_sensitivity *s)
{
    dfq_bits_limits limits;
    dfq_bits_choice choice = {.struct_size = sizeof choice}, before;
    dfq_bits_means means = {.struct_size = sizeof means};
    dfq_bits *b;
    double kl[2], measured, predicted;
    dfq_accelerator *a = accelerator(8);
    dfq_bits_limits_init(&limits, sizeof limits);
    limits.mean_weight_bits = limits.mean_act_bits = 3;
    OK(dfq_sensitivity_choose(s, &limits, &b, &choice));
    ck_assert_int_eq(dfq_sensitivity_refine(s, &limits, 0, b, &choice, kl), DFQ_E_INVALID);
    limits.accelerator = a;
    ck_assert_int_eq(dfq_sensitivity_refine(s, &limits, 9, b, &choice, kl), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "config of the choice is -1"));
    dfq_bits_release(b);
    for (int with = 0; with < 2; with++) {
        limits.accelerator = with ? a : NULL;
        limits.latency_ms = with ? 1e3 : 0;
        OK(dfq_sensitivity_choose(s, &limits, &b, &choice));
        if (with) limits.energy_mj = choice.energy_mj * 1.001;
        before = choice;
        OK(dfq_sensitivity_refine(s, &limits, 20, b, &choice, kl));
        OK(dfq_sensitivity_evaluate(s, b, &predicted, &measured));
        OK(dfq_bits_get_means(b, &means));
        ck_assert(kl[1] < kl[0] && kl[1] == measured && choice.predicted == predicted);
        ck_assert(means.weight_bits <= 3 + 1e-9 && means.act_bits <= 3 + 1e-9);
        ck_assert(choice.config == before.config && choice.proved == 0);
        if (with) ck_assert(choice.energy_mj <= limits.energy_mj);
        if (with) check_cost(a, b, &choice);
        dfq_bits_release(b);
    }
    dfq_accelerator_release(a);
}

/* A job that stops and goes on from a checkpoint measures the same; damages are those of networks
 * with one layer changed; the choice is within its limits and none of many others is better. */
START_TEST(test_job)
{
    const dfq_quantize_options q = rows(4);
    dfq_sensitivity *s = create(&q, NULL), *again = create(&q, NULL);
    dfq_tensor *d[2];
    dfq_bits *b, *chosen;
    dfq_bits_limits limits;
    dfq_bits_means m = {.struct_size = sizeof m};
    double predicted, least, measured;
    int32_t finished = 0;
    dfq_bits_choice choice = {.struct_size = sizeof choice};
    dfq_bits_limits_init(&limits, sizeof limits);
    limits.mean_weight_bits = 3.5;
    limits.mean_act_bits = 4;
    ck_assert_int_eq(dfq_sensitivity_choose(s, &limits, &chosen, NULL), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "are not measured yet"));
    for (int i = 0; i < W + 5; i++) OK(dfq_sensitivity_step(s, &finished));
    OK(dfq_sensitivity_save_checkpoint(s, file));
    OK(dfq_sensitivity_load_checkpoint(again, file));
    OK(dfq_sensitivity_run(s));
    OK(dfq_sensitivity_run(again));
    OK(dfq_sensitivity_get_damages(s, &d[0]));
    OK(dfq_sensitivity_get_damages(again, &d[1]));
    ck_assert_mem_eq(dfq_tensor_get_data(d[0]), dfq_tensor_get_data(d[1]),
                     dfq_tensor_get_bytes(d[0]));
    OK(dfq_sensitivity_choose(s, &limits, &chosen, &choice));
    OK(dfq_bits_get_means(chosen, &m));
    ck_assert(choice.proved == 1 && choice.gap == 0 && choice.config == -1 &&
              m.weight_bits <= 3.5 + 1e-9 && m.act_bits <= 4 + 1e-9);
    OK(dfq_sensitivity_evaluate(s, chosen, &least, &measured));
    ck_assert(measured > 0 && isfinite(least));
    /* one layer alone: the damage is the divergence; the sum is the prediction */
    OK(dfq_bits_create(net, &q, &b));
    const int32_t n = dfq_bits_get_count(b);
    const float *damage = dfq_tensor_get_data(d[0]);
    for (int32_t i = 0; i < n; i++)
        OK(dfq_bits_set_layer(b, dfq_bits_get_configs(b)[i].name, 0, 0));
    for (int32_t i = 0; i < n; i += 3) {
        dfq_bits_layer l = {.struct_size = sizeof l};
        OK(dfq_bits_get_layer(chosen, i, &l));
        OK(dfq_bits_set_layer(b, l.name, l.weight_bits, l.act_bits));
        OK(dfq_sensitivity_evaluate(s, b, &predicted, &measured));
        double w = l.weight_bits ? (double)damage[2 * W * i + l.weight_bits - 2] : 0;
        double a = l.act_bits ? (double)damage[2 * W * i + W + l.act_bits - 2] : 0;
        ck_assert_double_eq_tol(predicted, w + a, 1e-6 + 1e-6 * (w + a));
        if (l.act_bits == 0 || l.weight_bits == 0)
            ck_assert_double_eq_tol(measured, w + a, 1e-6 + 1e-4 * (w + a));
        OK(dfq_bits_set_layer(b, l.name, 0, 0));
    }
    check_limits(s);
    check_costs(s);
    check_refine(s);
    uint32_t state = 7;
    int within = 0;
    for (int k = 0; k < 3000; k++) {
        for (int32_t i = 0; i < n; i++) {
            dfq_bits_layer l = {.struct_size = sizeof l};
            OK(dfq_bits_get_layer(chosen, i, &l));
            int32_t pair[2] = {l.weight_bits, l.act_bits};
            for (int side = 0; side < 2; side++) {
                state = state * 1664525u + 1013904223u;
                int32_t move = (int32_t)(state >> 24) % 12 == 0 ? ((state >> 16) & 1 ? 1 : -1) : 0;
                if (pair[side] && pair[side] + move >= 2 && pair[side] + move <= 8)
                    pair[side] += move;
            }
            OK(dfq_bits_set_layer(b, l.name, pair[0], pair[1]));
        }
        OK(dfq_bits_get_means(b, &m));
        if (m.weight_bits > 3.5 || m.act_bits > 4) continue;
        within++;
        OK(dfq_sensitivity_evaluate(s, b, &predicted, NULL));
        ck_assert_msg(predicted >= least - 1e-9, "%g under %g", predicted, least);
    }
    ck_assert_int_gt(within, 50);
    dfq_bits_release(b);
    dfq_bits_release(chosen);
    dfq_tensor_release(d[0]);
    dfq_tensor_release(d[1]);
    dfq_sensitivity_release(again);
    dfq_sensitivity_release(s);
}
END_TEST

/* Static scales of a transformer need images. Damages are those of the grids that the network gets,
 * and the network quantized by the choice is better than one of as many bits everywhere. */
START_TEST(test_static)
{
    dfq_quantize_options q = rows(4);
    dfq_sensitivity *s = NULL;
    dfq_tensor *images = shapes(IMAGES);
    dfq_bits *uniform, *chosen;
    dfq_bits_limits limits;
    dfq_bits_means m = {.struct_size = sizeof m};
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_graph *low;
    double all[2], best[2];
    q.act_scale = DFQ_ACT_SCALE_TENSOR;
    ck_assert_int_eq(dfq_sensitivity_create(net, NULL, &q, NULL, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "images is NULL"));
    check_uniform(net, &q, images);
    s = create(&q, images);
    OK(dfq_sensitivity_run(s));
    OK(dfq_bits_create(net, &q, &uniform));
    OK(dfq_bits_get_means(uniform, &m));
    dfq_bits_limits_init(&limits, sizeof limits);
    limits.mean_weight_bits = m.weight_bits;
    limits.mean_act_bits = m.act_bits;
    OK(dfq_sensitivity_choose(s, &limits, &chosen, NULL));
    OK(dfq_bits_get_means(chosen, &m));
    ck_assert(m.weight_bits <= limits.mean_weight_bits + 1e-9);
    ck_assert(m.act_bits <= limits.mean_act_bits + 1e-9);
    OK(dfq_sensitivity_evaluate(s, uniform, &all[0], &all[1]));
    OK(dfq_sensitivity_evaluate(s, chosen, &best[0], &best[1]));
    ck_assert_double_lt(best[0], all[0]);
    ck_assert_double_lt(best[1], all[1]);
    q.layers = dfq_bits_get_configs(chosen);
    q.n_layers = dfq_bits_get_count(chosen);
    OK(dfq_graph_quantize(net, images, &q, &low));
    OK(dfq_graph_get_info(low, &info));
    ck_assert_int_eq(info.act_scale, DFQ_ACT_SCALE_TENSOR);
    const double real = divergence(net, low, images);
    ck_assert_msg(real < all[1], "%g, with one width %g", real, all[1]);
    dfq_graph_release(low);
    dfq_bits_release(chosen);
    dfq_bits_release(uniform);
    dfq_tensor_release(images);
    dfq_sensitivity_release(s);
}
END_TEST

static void refused(const dfq_quantize_options *q, int32_t images, const char *text)
{
    dfq_sensitivity_options o;
    dfq_sensitivity *s = NULL;
    dfq_sensitivity_options_init(&o, sizeof o);
    o.images = images;
    ck_assert_int_eq(dfq_sensitivity_create(net, NULL, q, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), text) != NULL, "%s",
                  dfq_context_get_error(ctx));
}

START_TEST(test_wrong)
{
    dfq_quantize_options q = rows(4);
    dfq_sensitivity *s = create(&q, NULL), *other;
    const dfq_layer_config layer = {.struct_size = sizeof layer, .skip = 1, .name = "head"};
    refused(&q, -1, "images is -1");
    q.mode = DFQ_MODE_PARITY;
    refused(&q, 8, "mode is 0");
    q = rows(4);
    q.layers = &layer;
    q.n_layers = 1;
    refused(&q, 8, "n_layers is 1");
    q = rows(4);
    q.seed = 5;
    other = create(&q, NULL);
    OK(dfq_sensitivity_save_checkpoint(other, file));
    ck_assert_int_eq(dfq_sensitivity_load_checkpoint(s, file), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_sensitivity_load_checkpoint(s, "/nothing"), DFQ_E_IO);
    dfq_sensitivity_release(other);
    dfq_sensitivity_release(NULL);
    dfq_sensitivity_release(s);
}
END_TEST

TCase *dfqt_api_sensitivity_case(void)
{
    TCase *t = tcase_create("sensitivity");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_uniform);
    tcase_add_test(t, test_cnn);
    tcase_add_test(t, test_static);
    tcase_add_test(t, test_job);
    tcase_add_test(t, test_wrong);
    return t;
}
