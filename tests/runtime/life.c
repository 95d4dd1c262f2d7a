/* Memory: none is taken in a run, a failure leaks nothing, clones share the weights. */
#include <pthread.h>
#include <string.h>

#include "base/progress.h"
#include "runtime/cases.h"
#include "support/fail_alloc.h"
#include "support/nan_alloc.h"

enum { IMAGES = 5 };

/* A float transformer and CNN, and quantized ones. */
static const int networks[] = {DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET, DFQT_LOW_RESNET,
                               DFQT_LOW_STATIC, DFQT_LOW_ROW,       DFQT_LOW_ROW_GROUPS};
enum { SOME = sizeof networks / sizeof *networks };

START_TEST(test_run_allocates_nothing)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx;
    float logits[IMAGES * 5];
    const char *const probes[] = {"blocks.0", "blocks.0.attn.map"};
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 2;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    dfq_graph *g = dfqt_network(ctx, networks[_i]);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    int cnn = dfqi_arch_is_cnn(&g->net.arch);
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, cnn ? 0 : 2, probes);
    const int64_t calls = fa.calls;
    for (int64_t n = 1; n <= IMAGES; n++) dfqt_run_images(rt, x, 0, n, logits);
    ck_assert_int_eq(fa.calls, calls);
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
    ck_assert(fa.live_bytes == 0 && fa.live_blocks == 0);
}
END_TEST

/* -- failures ---------------------------------------------------------------------------------- */

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    const int *network = arg;
    const char *const probe[] = {*network == DFQI_FAMILY_VIT ? "blocks.0" : "layer1.0"};
    dfq_runtime_options o;
    dfq_runtime *rt = NULL, *clone = NULL;
    dfq_graph *g = NULL;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = 2;
    o.n_probes = 1;
    o.probes = probe;
    dfq_status status = dfqt_family_new(ctx, *network, &g);
    if (status == DFQ_OK) status = dfq_runtime_create(g, &o, &rt);
    if (status == DFQ_OK) status = dfq_runtime_clone(rt, ctx, &clone);
    dfqi_model_release(g);
    dfq_runtime_release(rt);
    dfq_runtime_release(clone);
    return status;
}

START_TEST(test_out_of_memory)
{
    int network = _i;
    fail_alloc_sweep(scenario, &network, 2);
}
END_TEST

/* Memory full of NaN changes nothing. */
START_TEST(test_unwritten)
{
    float logits[2][IMAGES * 5];
    for (int k = 0; k < 2; k++) {
        dfq_context *ctx = k ? nan_alloc_context(2) : dfqt_context(2);
        dfq_graph *g = dfqt_network(ctx, networks[_i]);
        dfq_tensor *x = dfqt_family_images(g, IMAGES);
        dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL);
        memset(logits[k], 0, sizeof logits[k]);
        dfqt_run_images(rt, x, 0, IMAGES, logits[k]);
        dfq_runtime_release(rt);
        dfqi_tensor_release(x);
        dfqi_model_release(g);
        dfqi_context_release(ctx);
    }
    ck_assert(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
}
END_TEST

/* -- clones ------------------------------------------------------------------------------------ */

/* A clone in a context and a thread of its own. */
typedef struct worker {
    dfq_context *ctx;
    dfq_runtime *rt;
    const dfq_tensor *x;
    float logits[IMAGES * 5];
    pthread_t thread;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    for (int k = 0; k < 20; k++) dfqt_run_images(w->rt, w->x, 0, IMAGES, w->logits);
    return NULL;
}

START_TEST(test_clones)
{
    enum { CLONES = 3 };
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_network(ctx, networks[_i]);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    float want[IMAGES * 5];
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 0, NULL);
    static worker w[CLONES];
    dfqt_run_images(rt, x, 0, IMAGES, want);
    for (int k = 0; k < CLONES; k++) {
        w[k] = (worker){.ctx = dfqt_context(k % 2 + 1), .x = x};
        OK(w[k].ctx, dfq_runtime_clone(rt, w[k].ctx, &w[k].rt));
    }
    const int64_t classes = g->net.arch.classes;
    dfq_runtime_release(rt); /* the clones have what they need */
    dfqi_model_release(g);
    for (int k = 0; k < CLONES; k++)
        ck_assert_int_eq(pthread_create(&w[k].thread, NULL, work, &w[k]), 0);
    for (int k = 0; k < CLONES; k++) {
        pthread_join(w[k].thread, NULL);
        ck_assert(memcmp(w[k].logits, want, (size_t)(IMAGES * classes) * sizeof *want) == 0);
        dfq_runtime_release(w[k].rt);
        dfqi_context_release(w[k].ctx);
    }
    dfqi_tensor_release(x);
    dfqi_context_release(ctx);
}
END_TEST

/* A clone takes the memory for values alone, which does not grow with the batch but for results. */
START_TEST(test_memory)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx, *other = dfqt_context(1);
    dfq_runtime *clone;
    dfq_runtime_info one = {.struct_size = sizeof one}, many = one;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    dfq_graph *g = dfqt_family(other, DFQI_FAMILY_MOBILENET);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL), *big = dfqt_runtime(g, 100, 0, NULL);
    const int64_t before = fa.live_bytes;
    OK(ctx, dfq_runtime_clone(rt, ctx, &clone));
    OK(other, dfq_runtime_get_info(rt, &one));
    OK(other, dfq_runtime_get_info(big, &many));
    ck_assert_int_gt(one.shared_bytes, 4 * dfqi_network_values(&g->net));
    ck_assert_int_lt(one.shared_bytes, 5 * dfqi_network_values(&g->net));
    ck_assert_int_ge(fa.live_bytes - before, one.private_bytes);
    ck_assert_int_lt(fa.live_bytes - before, one.private_bytes + 4096);
    ck_assert_int_lt(many.private_bytes, one.private_bytes * 8 + 100 * 4096);
    dfq_context *three = dfqt_context(3);
    dfq_runtime *wide, *narrow; /* as many threads as their contexts have */
    dfq_runtime_info of_three = {.struct_size = sizeof of_three}, again = of_three;
    OK(three, dfq_runtime_clone(rt, three, &wide));
    OK(other, dfq_runtime_clone(wide, other, &narrow));
    OK(three, dfq_runtime_get_info(wide, &of_three));
    OK(other, dfq_runtime_get_info(narrow, &again));
    ck_assert_int_gt(of_three.private_bytes, one.private_bytes);
    ck_assert_int_eq(again.private_bytes, one.private_bytes);
    dfq_runtime_release(wide);
    dfq_runtime_release(narrow);
    dfqi_context_release(three);
    dfq_runtime_release(rt);
    dfq_runtime_release(big);
    dfq_runtime_release(clone);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
    dfqi_context_release(other);
    ck_assert_int_eq(fa.live_bytes, 0);
}
END_TEST

/* Of all parts of a runtime that measures them. */
static double seconds_of(const dfq_runtime *rt)
{
    double sum = 0;
    ck_assert_int_gt(dfq_runtime_get_part_count(rt), 3);
    for (int32_t i = 0; i < dfq_runtime_get_part_count(rt); i++) {
        dfq_runtime_part part = {.struct_size = sizeof part};
        ck_assert_int_eq(dfq_runtime_get_part(rt, i, &part), DFQ_OK);
        sum += part.seconds;
    }
    return sum;
}

/* Runs are measured, and not the making of the runtime or of its clone. */
START_TEST(test_profile)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_network(ctx, networks[_i]);
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    float logits[IMAGES * 5];
    dfq_runtime_options o;
    dfq_runtime *rt, *clone;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = IMAGES;
    o.profile = 1;
    OK(ctx, dfq_runtime_create(g, &o, &rt));
    ck_assert(seconds_of(rt) == 0);
    double begin = dfqi_now();
    for (int k = 0; k < 3; k++) dfqt_run_images(rt, x, 0, IMAGES, logits);
    double took = dfqi_now() - begin, measured = seconds_of(rt);
    ck_assert_msg(measured > 0 && measured <= took, "%g s of %g", measured, took);
    OK(ctx, dfq_runtime_clone(rt, ctx, &clone));
    ck_assert(seconds_of(clone) == 0);
    dfq_runtime_release(rt);
    dfq_runtime_release(clone);
    dfqi_tensor_release(x);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_life_case(void)
{
    TCase *c = tcase_create("life");
    tcase_add_loop_test(c, test_run_allocates_nothing, 0, SOME);
    tcase_add_loop_test(c, test_out_of_memory, DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET + 1);
    tcase_add_loop_test(c, test_unwritten, 0, SOME);
    tcase_add_loop_test(c, test_clones, 0, SOME);
    tcase_add_test(c, test_memory);
    tcase_add_loop_test(c, test_profile, 0, SOME);
    return c;
}
