/* Rotation of the stream: the matrices are orthogonal, keep the vector of ones and have the same
 * bits always; a rotated network computes the same, and its stream has no large channels. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/orthogonal.h"
#include "nn/rotate.h"
#include "nn/support.h"
#include "nn/vit.h"
#include "support/each.h"
#include "support/fail_alloc.h"
#include "support/path.h"

enum { IMAGES = 2, LOGITS_MAX = IMAGES * 1000 };

/* -- matrices ---------------------------------------------------------------------------------- */

/* 12 * 2^k, 2^k, 20 * 2^k, 224 * 2 and orders without a Hadamard matrix. */
static const struct order {
    int64_t n, base;
} orders[] = {{192, 12},  {384, 12}, {768, 12}, {96, 12}, {256, 1}, {1280, 20},
              {448, 224}, {100, 0},  {36, 0},   {5, 0},   {2, 1},   {1, 1}};

/* rows[n,n]: the matrix, as what it makes of the unit vectors. */
static double *matrix(const dfqi_orthogonal *q)
{
    int64_t n = q->n;
    double *rows = dfqi_calloc(q->ctx, (size_t)(n * (n + 1)), sizeof *rows);
    ck_assert_ptr_nonnull(rows);
    for (int64_t r = 0; r < n; r++) {
        rows[r * n + r] = 1;
        dfqi_orthogonal_apply(q, rows + r * n, rows + n * n);
    }
    return rows;
}

static void check_orthogonal(const double *q, int64_t n)
{
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b <= a; b++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) sum += q[a * n + i] * q[b * n + i];
            dfqt_each(fabs(sum - (a == b)) < 1e-10, "row %d by row %d: %g", (int)a, (int)b, sum);
        }
}

/* Rows and columns add up to one; no entry is near 1, or a channel would stay a channel. */
static void check_ones(const double *q, int64_t n)
{
    for (int64_t a = 0; a < n; a++) {
        double row = 0, col = 0, top = 0;
        for (int64_t i = 0; i < n; i++) {
            row += q[a * n + i];
            col += q[i * n + a];
            top = fmax(top, fabs(q[a * n + i]));
        }
        dfqt_each(fabs(row - 1) < 1e-10 && fabs(col - 1) < 1e-10, "row and column %d: %g, %g",
                  (int)a, row, col);
        dfqt_each(n < 96 || top < 0.6, "row %d: an entry of %g", (int)a, top);
    }
}

START_TEST(test_matrices)
{
    dfq_context *ctx = dfqt_context(1);
    int64_t n = orders[_i].n;
    dfqi_rng rng = dfqi_rng_make(1, 0);
    dfqi_orthogonal r, a;
    ck_assert_int_eq(dfqi_orthogonal_stream(ctx, n, &rng, &r), DFQ_OK);
    ck_assert_int_eq(dfqi_orthogonal_head(ctx, n, &rng, &a), DFQ_OK);
    ck_assert_int_eq(r.h.base, orders[_i].base);
    double *stream = matrix(&r), *head = matrix(&a);
    check_orthogonal(stream, n);
    check_ones(stream, n);
    check_orthogonal(head, n);
    if (a.h.n)
        for (int64_t i = 0; i < n * n; i++)
            dfqt_each(fabs(fabs(head[i]) * sqrt((double)n) - 1) < 1e-12, "entry %d: %g", (int)i,
                      head[i]);
    dfqi_free(ctx, stream);
    dfqi_free(ctx, head);
    dfqi_orthogonal_fini(&r);
    dfqi_orthogonal_fini(&a);
    dfq_context_release(ctx);
}
END_TEST

/* Files hold the seed alone, so a seed must give these very numbers in every build. */
START_TEST(test_same_bits)
{
    static const uint64_t expected[2] = {7699490171936664119u, 12812440928131953089u};
    dfq_context *ctx = dfqt_context(1);
    for (uint64_t seed = 1; seed < 3; seed++) {
        dfqi_rng rng = dfqi_rng_make(seed, 0);
        dfqi_orthogonal r;
        ck_assert_int_eq(dfqi_orthogonal_stream(ctx, 192, &rng, &r), DFQ_OK);
        double *m = matrix(&r);
        ck_assert_uint_eq(dfqi_hash(DFQI_HASH_START, m, 192 * 192 * sizeof *m), expected[seed - 1]);
        dfqi_free(ctx, m);
        dfqi_orthogonal_fini(&r);
    }
    dfq_context_release(ctx);
}
END_TEST

/* -- networks ---------------------------------------------------------------------------------- */

static void images(const dfqi_network *net, float *x)
{
    dfqi_rng rng = dfqi_rng_make(5, 0);
    int64_t side = net->arch.image.height;
    dfqi_rng_fill_normal(&rng, x, (size_t)(IMAGES * 3 * side * side));
}

static void forward(const dfqi_network *net, float *out)
{
    int64_t side = net->arch.image.height;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id *ids = dfqi_calloc(net->ctx, (size_t)net->n_params, sizeof *ids);
    float *x = dfqi_calloc(net->ctx, (size_t)(IMAGES * 3 * side * side), sizeof *x);
    ck_assert(ids && x);
    images(net, x);
    ck_assert_int_eq(dfqi_graph_new(net->ctx, IMAGES, &g), DFQ_OK);
    dfqi_id in = dfqi_graph_input(g, "image", 1, 3, (int64_t[]){3, side, side});
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, in, &taps);
    dfqi_graph_keep(g, taps.logits);
    ck_assert_int_eq(dfqi_exec_new(g, &e), DFQ_OK);
    dfqi_exec_bind(e, in, x);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    memcpy(out, dfqi_exec_data(e, taps.logits), (size_t)(IMAGES * net->arch.classes) * sizeof *out);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_free(net->ctx, ids);
    dfqi_free(net->ctx, x);
}

/* Largest difference of logits, and the largest logit in *top. */
static double difference(const dfqi_network *a, const dfqi_network *b, double *top)
{
    float x[LOGITS_MAX], y[LOGITS_MAX];
    double most = 0;
    *top = 0;
    forward(a, x);
    forward(b, y);
    for (int64_t i = 0; i < IMAGES * a->arch.classes; i++) {
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
        *top = fmax(*top, fabs((double)x[i]));
    }
    return most;
}

/* Every parameter but the LayerNorms' differs, and those are the identity. */
static void check_rewritten(const dfqi_network *from, const dfqi_network *to)
{
    for (int32_t p = 0; p < from->n_params; p++) {
        const float *a = dfqi_tensor_f32(from->params[p].tensor);
        const float *b = dfqi_tensor_f32(to->params[p].tensor);
        const char *name = from->params[p].name;
        int64_t n = dfqi_tensor_count(from->params[p].tensor), same = 0;
        int norm = strstr(name, "norm") != NULL, gamma = norm && strstr(name, "weight") != NULL;
        for (int64_t i = 0; i < n; i++) {
            if (norm) dfqt_each(b[i] == (gamma ? 1.0f : 0.0f), "%s: %g", name, (double)b[i]);
            same += a[i] == b[i];
        }
        if (!norm && n > 1) dfqt_each(same < n, "%s is as it was", name);
    }
}

/* Widths with and without a Hadamard matrix; heads of 8 and of 5. */
START_TEST(test_network)
{
    static const struct {
        int64_t width, heads;
    } of[] = {{24, 3}, {15, 3}, {32, 2}};
    dfq_context *ctx = dfqt_context(_i ? 1 : 3);
    dfqi_arch a = dfqt_arch(16, 4, of[_i].width, 2, of[_i].heads);
    dfqi_network net, turned;
    double top;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfqt_fill(&net);
    ck_assert_int_eq(dfqi_network_clone(&net, &turned), DFQ_OK);
    ck_assert_int_eq(dfqi_network_rotate(&turned, 1), DFQ_OK);
    check_rewritten(&net, &turned);
    double most = difference(&net, &turned, &top);
    ck_assert_msg(most < 1e-5 * (1 + top), "logits differ by %g, the largest is %g", most, top);
    dfqi_network_fini(&net);
    dfqi_network_fini(&turned);
    dfq_context_release(ctx);
}
END_TEST

static void load(dfq_context *ctx, const char *path, dfqi_network *out)
{
    dfqi_safetensors st;
    dfqi_arch a;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_int_eq(dfqt_take(&st, path, NULL, &a, out), DFQ_OK);
    dfqi_st_fini(&st);
}

/* The embedded network and, where it is there, ViT-Tiny: logits within 1e-4 for several seeds. */
START_TEST(test_trained)
{
    char path[400];
    if (_i)
        dfqt_asset("models/vit_tiny_patch16_224.safetensors", path, sizeof path);
    else
        ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "../../examples/figures_vit.safetensors",
                                        path, sizeof path));
    dfq_context *ctx = dfqt_context(2);
    dfqi_network net, turned;
    double top;
    load(ctx, path, &net);
    for (uint64_t seed = 1; seed < 4; seed++) {
        ck_assert_int_eq(dfqi_network_clone(&net, &turned), DFQ_OK);
        ck_assert_int_eq(dfqi_network_rotate(&turned, seed), DFQ_OK);
        double most = difference(&net, &turned, &top);
        ck_assert_msg(most < 1e-4, "seed %d: logits differ by %g, the largest is %g", (int)seed,
                      most, top);
        dfqi_network_fini(&turned);
    }
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* The weights of a rotated network do not depend on the number of threads. */
START_TEST(test_threads)
{
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        dfq_context *ctx = dfqt_context(i ? 3 : 1);
        dfqi_arch a = dfqt_arch(16, 4, 48, 2, 3);
        dfqi_network net;
        ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
        dfqt_fill(&net);
        ck_assert_int_eq(dfqi_network_rotate(&net, 7), DFQ_OK);
        hash[i] = dfqi_network_hash(&net);
        dfqi_network_fini(&net);
        dfq_context_release(ctx);
    }
    ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

/* A channel that is ten times the others in every token is spread. */
START_TEST(test_spread)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_rng rng = dfqi_rng_make(1, 0);
    dfqi_orthogonal r;
    double x[192], scratch[192], top = 0, power = 0;
    ck_assert_int_eq(dfqi_orthogonal_stream(ctx, 192, &rng, &r), DFQ_OK);
    for (int i = 0; i < 192; i++) x[i] = i == 17 ? 40 : sin(0.7 * i);
    dfqi_orthogonal_apply(&r, x, scratch);
    for (int i = 0; i < 192; i++) {
        top = fmax(top, fabs(x[i]));
        power += x[i] * x[i] / 192;
    }
    ck_assert_msg(top / sqrt(power) < 5, "largest / root mean square: %g", top / sqrt(power));
    dfqi_orthogonal_fini(&r);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_TORCHVISION, 4, 2, 1);
    dfqi_network net;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_network_rotate(&net, 1), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(ctx->error, "convolutional"));
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status make_and_rotate(dfq_context *ctx, void *arg)
{
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, arg, &net));
    dfq_status status = dfqi_network_rotate(&net, 1);
    dfqi_network_fini(&net);
    return status;
}

START_TEST(test_refused_allocations)
{
    dfqi_arch a = dfqt_arch(16, 4, _i ? 15 : 24, 2, 3);
    fail_alloc_sweep(make_and_rotate, &a, 1);
}
END_TEST

TCase *dfqt_rotate_case(void)
{
    TCase *c = tcase_create("rotate");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_matrices, 0, sizeof orders / sizeof orders[0]);
    tcase_add_test(c, test_same_bits);
    tcase_add_loop_test(c, test_network, 0, 3);
    tcase_add_loop_test(c, test_trained, 0, 2);
    tcase_add_test(c, test_threads);
    tcase_add_test(c, test_spread);
    tcase_add_test(c, test_refused);
    tcase_add_loop_test(c, test_refused_allocations, 0, 2);
    return c;
}
