/* A runtime has the bits of the graph, whatever is computed together and by however many
 * threads. */
#include <math.h>
#include <string.h>

#include "quant/evaluate.h"
#include "quant/image_grid.h"
#include "quant/probe.h"
#include "runtime/cases.h"

enum { IMAGES = 7 };

typedef void compare(const float *a, const float *b, int64_t n, const char *what, int64_t batch);

static void same(const float *a, const float *b, int64_t n, const char *what, int64_t batch)
{
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(memcmp(a + i, b + i, sizeof *a) == 0,
                      "%s, batch %d: element %d is %g, not %g", what, (int)batch, (int)i,
                      (double)a[i], (double)b[i]);
}

/* Sums of codes are exact, while those of a graph with static grids are rounded: logits agree to
 * some last bits of the largest one. */
static void within(float tolerance, const float *a, const float *b, int64_t n, const char *what,
                   int64_t batch)
{
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(b[i]));
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabsf(a[i] - b[i]) <= tolerance * most,
                      "%s, batch %d: element %d is %g, not %g", what, (int)batch, (int)i,
                      (double)a[i], (double)b[i]);
}

static void near(const float *a, const float *b, int64_t n, const char *what, int64_t batch)
{
    within(1e-5f, a, b, n, what, batch);
}

/* Batches of 1, 2, 5 and 7 of at most 7; one, two and three threads. */
START_TEST(test_logits)
{
    static const int64_t batches[] = {1, 2, 5, 7};
    const double share = dfqt_integer_share(_i / 3);
    dfq_context *ctx = dfqt_context(_i % 3 + 1);
    dfq_graph *g = dfqt_network(ctx, _i / 3);
    dfq_tensor *x = dfqt_family_images(g, IMAGES), *z = dfqt_forward(g, x);
    const int64_t classes = z->dims[1];
    static float logits[IMAGES * 1000];
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL);
    dfq_runtime_info info = {.struct_size = sizeof info};
    OK(ctx, dfq_runtime_get_info(rt, &info));
    ck_assert(info.macs > 0 && (double)info.integer_macs >= share * (double)info.macs);
    for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
        memset(logits, 0, sizeof logits);
        for (int64_t i = 0; i < IMAGES; i += batches[k])
            dfqt_run_images(rt, x, i, i + batches[k] < IMAGES ? batches[k] : IMAGES - i,
                            logits + i * classes);
        if (k == 0 && !dfqt_is_exact(_i / 3)) { /* further batches must have these bits */
            near(logits, dfqi_tensor_f32(z), IMAGES * classes, g->net.arch.name, batches[k]);
            memcpy(dfqi_tensor_f32(z), logits, (size_t)(IMAGES * classes) * sizeof *logits);
        }
        same(logits, dfqi_tensor_f32(z), IMAGES * classes, g->net.arch.name, batches[k]);
    }
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* One to three threads, one after the other in one context. */
START_TEST(test_threads)
{
    dfq_context *ctx = dfqt_context(3);
    dfq_graph *g = dfqt_network(ctx, _i);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    const int64_t classes = g->net.arch.classes;
    static float logits[2][IMAGES * 1000];
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL);
    for (int32_t t = 1; t <= 3; t++)
        for (int64_t n = 1; n <= IMAGES; n += 3) {
            OK(ctx, dfq_context_set_threads(ctx, t));
            dfqt_run_images(rt, x, 0, n, logits[t > 1 || n > 1]);
            same(logits[t > 1 || n > 1], logits[0], classes, "first image", t);
        }
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Every probe of every network, all together; of small networks each alone, too. */
START_TEST(test_probes)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = dfqt_network(ctx, _i);
    compare *check = dfqt_is_exact(_i) ? same : near;
    dfq_tensor *x = dfqt_family_images(g, 3), *want[256];
    const dfqi_probe *probes;
    const char *names[256];
    int32_t n;
    OK(ctx, dfqi_probes_of(g, &n, &probes));
    ck_assert(n > 2 && n < 256);
    for (int32_t i = 0; i < n; i++) names[i] = probes[i].name;
    OK(ctx, dfqi_probe_forward(g, dfqi_tensor_f32(x), 3, n, names, NULL, want));
    dfq_tensor *z = dfqt_forward(g, x);
    static float logits[3 * 1000];
    for (int32_t one = -1; one < (n < 64 ? n : 0); one++) {
        dfq_runtime *rt = dfqt_runtime(g, 3, one < 0 ? n : 1, one < 0 ? names : names + one);
        dfqt_run_images(rt, x, 0, 3, logits);
        check(logits, dfqi_tensor_f32(z), 3 * z->dims[1], "logits", one);
        for (int32_t i = one < 0 ? 0 : one; i < (one < 0 ? n : one + 1); i++) {
            dfq_runtime_output out = {.struct_size = sizeof out};
            OK(ctx, dfq_runtime_get_output(rt, one < 0 ? i + 1 : 1, &out));
            ck_assert_str_eq(out.name, names[i]);
            ck_assert_int_eq(out.rank, want[i]->rank);
            for (int32_t k = 0; k < out.rank; k++) ck_assert_int_eq(out.dims[k], want[i]->dims[k]);
            check(out.data, dfqi_tensor_f32(want[i]), dfqi_tensor_count(want[i]), names[i], one);
        }
        dfq_runtime_release(rt);
    }
    for (int32_t i = 0; i < n; i++) dfqi_tensor_release(want[i]);
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Codes of 0 that no byte holds, as of grids whose ranges begin above 0: such grids stay floats. */
START_TEST(test_zero_points)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = dfqt_network(ctx, DFQT_LOW_RANGES);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    static float logits[IMAGES * 1000];
    int changed = 0;
    for (int32_t i = 0; i < g->scheme.n_sites; i++) {
        const dfqi_site *site = &g->scheme.sites[i];
        if (dfqi_site_is_weight(site) || !site->zero_point) continue;
        dfqi_tensor_f32(site->zero_point)[0] = _i ? site->qmax + 250.0f : site->qmin - 2.0f;
        changed++;
    }
    ck_assert_int_gt(changed, 3);
    dfq_tensor *z = dfqt_forward(g, x);
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL);
    dfqt_run_images(rt, x, 0, IMAGES, logits);
    near(logits, dfqi_tensor_f32(z), IMAGES * z->dims[1], "zero points", IMAGES);
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_runtime *integer_runtime(const dfq_graph *g)
{
    dfq_runtime_options o;
    dfq_runtime *rt;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = IMAGES;
    o.integer = 1;
    OK(g->ctx, dfq_runtime_create(g, &o, &rt));
    return rt;
}

static double integer_macs(const dfq_runtime *rt)
{
    dfq_runtime_info info = {.struct_size = sizeof info};
    ck_assert_int_eq(dfq_runtime_get_info(rt, &info), DFQ_OK);
    return (double)info.integer_macs;
}

/* Images that lie on the grid give what a first layer in floats makes of them, but for the rounded
 * means of a convolutional network; others what their rounded selves give. */
START_TEST(test_integer)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = dfqt_network(ctx, DFQI_FAMILY_COUNT + _i);
    dfq_tensor *x = dfqt_family_images(g, IMAGES), *on_grid = dfqt_family_images(g, IMAGES);
    const dfqi_preprocess p = dfqi_model_preprocess(g);
    const dfqi_image_grid grid = dfqi_image_grid_of(&p);
    static float logits[4][IMAGES * 1000];
    float *v = dfqi_tensor_f32(on_grid);
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++) {
        const float q = rintf(v[i] / grid.scale + grid.zero_point);
        v[i] = (fminf(fmaxf(q, 0.0f), grid.qmax) - grid.zero_point) * grid.scale;
    }
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL), *integer = integer_runtime(g);
    ck_assert(integer_macs(integer) > integer_macs(rt));
    dfqt_run_images(rt, on_grid, 0, IMAGES, logits[0]);
    dfqt_run_images(integer, on_grid, 0, IMAGES, logits[1]);
    dfqt_run_images(integer, x, 0, IMAGES, logits[2]);
    dfqt_run_images(integer, x, 0, 1, logits[3]);
    const int64_t classes = g->net.arch.classes;
    within(dfqi_arch_is_cnn(&g->net.arch) ? 0.02f : 1e-5f, logits[1], logits[0], IMAGES * classes,
           g->net.arch.name, IMAGES);
    same(logits[2], logits[1], IMAGES * classes, g->net.arch.name, IMAGES);
    same(logits[3], logits[2], classes, g->net.arch.name, 1);
    dfq_runtime_release(rt);
    dfq_runtime_release(integer);
    dfqi_tensor_release(x);
    dfqi_tensor_release(on_grid);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_integer_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_network(ctx, DFQI_FAMILY_VIT);
    dfq_runtime_options o;
    dfq_runtime *rt;
    dfq_runtime_options_init(&o, sizeof o);
    o.integer = 1;
    ck_assert_int_eq(dfq_runtime_create(g, &o, &rt), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "integer is for quantized networks"));
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_bits_case(void)
{
    TCase *c = tcase_create("bits");
    tcase_add_loop_test(c, test_logits, 0, 3 * DFQT_NETWORKS);
    tcase_add_loop_test(c, test_threads, 0, DFQT_NETWORKS);
    tcase_add_loop_test(c, test_probes, 0, DFQT_NETWORKS);
    tcase_add_loop_test(c, test_zero_points, 0, 2);
    tcase_add_test(c, test_integer_refused);
    tcase_add_loop_test(c, test_integer, 0, DFQT_LOW_END - DFQI_FAMILY_COUNT);
    return c;
}
