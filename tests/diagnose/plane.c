/* Curvature of the loss of linear softmax models, whose Hessians have a closed form. The logits are
 * A x + B x, so that all four blocks of the Hessian of both weights are the same:
 *
 *   H = mean over images of (diag q - q q^T) x (x x^T)
 *
 * for cross-entropy with q = softmax(s), and for T^2 KL with q = softmax(s / T). */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "diagnose/cases.h"
#include "graph/ops.h"
#include "tune/cases.h"
#include "tune/loss_curvature.h"

enum { IMAGES = 7, INPUTS = 4, CLASSES = 3, BLOCK = INPUTS * CLASSES, VALUES = 2 * BLOCK };

static const double temperature = 4;

typedef struct toy {
    dfq_context *ctx;
    dfq_tensor *tensor[2]; /* [CLASSES, INPUTS] */
    dfqi_free_weight weights[2];
    float base[VALUES], x[IMAGES * INPUTS], labels[IMAGES], teacher[IMAGES * CLASSES];
    dfqi_loss_surface l;
} toy;

static dfq_status forward(void *user, dfqi_graph *g, dfqi_id x, dfqi_id *weights, dfqi_id *logits)
{
    const toy *t = user;
    for (int i = 0; i < 2; i++) weights[i] = dfqi_graph_param(g, i ? "b" : "a", t->tensor[i], 0);
    *logits = dfqi_add(g, dfqi_linear(g, "a", x, weights[0], DFQI_NONE),
                       dfqi_linear(g, "b", x, weights[1], DFQI_NONE));
    return dfqi_graph_status(g);
}

static void toy_init(toy *t, int32_t threads, int64_t batch)
{
    dfqi_rng r = dfqi_rng_make(5, 5);
    memset(t, 0, sizeof *t);
    t->ctx = dfqt_context(threads);
    dfqi_rng_fill_normal(&r, t->base, VALUES);
    dfqi_rng_fill_normal(&r, t->x, IMAGES * INPUTS);
    dfqi_rng_fill_normal(&r, t->teacher, IMAGES * CLASSES);
    for (int i = 0; i < IMAGES; i++) t->labels[i] = (float)dfqi_rng_below(&r, CLASSES);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            dfqi_tensor_new(t->ctx, DFQI_F32, 2, (int64_t[]){CLASSES, INPUTS}, &t->tensor[i]),
            DFQ_OK);
        memcpy(t->tensor[i]->data, t->base + i * BLOCK, BLOCK * sizeof(float));
        t->weights[i] = (dfqi_free_weight){
            .tensor = t->tensor[i], .rows = CLASSES, .count = BLOCK, .at = (int64_t)i * BLOCK};
    }
    t->l = (dfqi_loss_surface){.ctx = t->ctx,
                               .forward = forward,
                               .user = t,
                               .n_weights = 2,
                               .weights = t->weights,
                               .floats = VALUES,
                               .rank = 1,
                               .dims = {INPUTS},
                               .n = IMAGES,
                               .classes = CLASSES,
                               .images = t->x,
                               .labels = t->labels,
                               .teacher = t->teacher,
                               .temperature = (float)temperature,
                               .divide = 1,
                               .batch = batch};
}

static void toy_fini(toy *t)
{
    for (int i = 0; i < 2; i++) dfqi_tensor_release(t->tensor[i]);
    dfqi_context_release(t->ctx);
}

/* -- closed forms ------------------------------------------------------------------------------ */

static void softmax(const double *z, double scale, double *p)
{
    double sum = 0;
    for (int c = 0; c < CLASSES; c++) sum += p[c] = exp(scale * z[c]);
    for (int c = 0; c < CLASSES; c++) p[c] /= sum;
}

static double scale_of(int slope)
{
    return slope == DFQI_SLOPE_KL ? 1 / temperature : 1;
}

static double factor_of(int slope)
{
    return slope == DFQI_SLOPE_KL ? 1.0 / CLASSES : 1;
}

static void logits(const toy *t, const float *w, int i, double *s)
{
    for (int c = 0; c < CLASSES; c++) {
        s[c] = 0;
        for (int k = 0; k < INPUTS; k++)
            s[c] += ((double)w[c * INPUTS + k] + w[BLOCK + c * INPUTS + k]) * t->x[i * INPUTS + k];
    }
}

static double loss_at(const toy *t, const float *w, int slope)
{
    double sum = 0, a = scale_of(slope);
    for (int i = 0; i < IMAGES; i++) {
        double s[CLASSES], z[CLASSES], p[CLASSES], q[CLASSES];
        logits(t, w, i, s);
        softmax(s, a, q);
        for (int c = 0; c < CLASSES; c++) z[c] = t->teacher[i * CLASSES + c];
        softmax(z, a, p);
        for (int c = 0; c < CLASSES; c++)
            sum += slope == DFQI_SLOPE_CE ? (c == (int)t->labels[i] ? -log(q[c]) : 0)
                                          : p[c] * log(p[c] / q[c]) / (a * a);
    }
    return sum * factor_of(slope) / IMAGES;
}

/* Of either weight; the gradient of both is this twice. */
static void gradient_at(const toy *t, int slope, double g[BLOCK])
{
    double a = scale_of(slope);
    memset(g, 0, BLOCK * sizeof *g);
    for (int i = 0; i < IMAGES; i++) {
        double s[CLASSES], z[CLASSES], p[CLASSES], q[CLASSES];
        logits(t, t->base, i, s);
        softmax(s, a, q);
        for (int c = 0; c < CLASSES; c++) z[c] = t->teacher[i * CLASSES + c];
        softmax(z, a, p);
        for (int c = 0; c < CLASSES; c++) {
            double want = slope == DFQI_SLOPE_CE ? c == (int)t->labels[i] : p[c];
            for (int k = 0; k < INPUTS; k++)
                g[c * INPUTS + k] +=
                    (q[c] - want) / a * t->x[i * INPUTS + k] * factor_of(slope) / IMAGES;
        }
    }
}

static void hessian_at(const toy *t, int slope, double h[BLOCK][BLOCK])
{
    memset(h, 0, BLOCK * sizeof *h);
    for (int i = 0; i < IMAGES; i++) {
        double s[CLASSES], q[CLASSES];
        logits(t, t->base, i, s);
        softmax(s, scale_of(slope), q);
        for (int m = 0; m < BLOCK; m++)
            for (int n = 0; n < BLOCK; n++) {
                int c = m / INPUTS, d = n / INPUTS;
                double curve = (c == d ? q[c] : 0) - q[c] * q[d];
                h[m][n] += curve * t->x[i * INPUTS + m % INPUTS] * t->x[i * INPUTS + n % INPUTS] *
                           factor_of(slope) / IMAGES;
            }
    }
}

/* The largest eigenvalue of a matrix that has none below zero. */
static double largest(double h[BLOCK][BLOCK])
{
    double v[BLOCK], w[BLOCK], value = 0;
    for (int m = 0; m < BLOCK; m++) v[m] = 1 + 0.1 * m;
    for (int i = 0; i < 3000; i++) {
        double square = 0;
        for (int m = 0; m < BLOCK; m++) {
            w[m] = 0;
            for (int n = 0; n < BLOCK; n++) w[m] += h[m][n] * v[n];
            square += w[m] * w[m];
        }
        value = sqrt(square);
        for (int m = 0; m < BLOCK; m++) v[m] = w[m] / value;
    }
    return value;
}

/* -- tests ------------------------------------------------------------------------------------- */

static void run(dfqi_loss_curvature *s, toy *t, dfqi_loss_curvature_options o)
{
    int64_t steps = 0;
    ck_assert_int_eq(dfqi_loss_curvature_init(s, &t->l, &o), DFQ_OK);
    ck_assert(isnan(s->cosine) && isnan(s->loss[0].trace) && isnan(s->table[0]));
    for (; s->stage != DFQI_LOSS_CURVATURE_DONE; steps++)
        ck_assert_msg(dfqi_loss_curvature_step(s) == DFQ_OK, "%s", t->ctx->error);
    ck_assert_int_eq(s->done, s->total);
    ck_assert_int_le(steps, s->total);
    ck_assert_int_eq(dfqi_loss_curvature_step(s), DFQ_OK); /* nothing is left */
}

static void near(double have, double want, double limit, const char *what, int slope)
{
    ck_assert_msg(fabs(have - want) <= limit * fabs(want), "%s of loss %d: %.8g, expected %.8g",
                  what, slope, have, want);
}

/* All batch sizes: the last batch counts its own images alone. */
START_TEST(test_gradients)
{
    toy t;
    dfqi_loss_curvature s;
    double g[DFQI_SLOPES][BLOCK], product = 0, square[DFQI_SLOPES] = {0};
    toy_init(&t, 1 + _i % 2, _i);
    run(&s, &t, (dfqi_loss_curvature_options){0});
    for (int k = 0; k < DFQI_SLOPES; k++) {
        gradient_at(&t, k, g[k]);
        for (int m = 0; m < BLOCK; m++) square[k] += g[k][m] * g[k][m];
        near(s.loss[k].loss, loss_at(&t, t.base, k), 2e-6, "loss", k);
        near(s.loss[k].norm, sqrt(2 * square[k]), 2e-6, "norm", k);
        for (int i = 0; i < 2; i++)
            near(s.table[i * DFQI_LOSS_CURVATURE_COLUMNS + DFQI_LOSS_CURVATURE_NORM + k],
                 sqrt(square[k]), 2e-6, "norm of a weight", k);
        ck_assert(isnan(s.loss[k].trace) && isnan(s.loss[k].eigenvalue));
    }
    for (int m = 0; m < BLOCK; m++) product += g[DFQI_SLOPE_KL][m] * g[DFQI_SLOPE_CE][m];
    product /= sqrt(square[DFQI_SLOPE_KL] * square[DFQI_SLOPE_CE]);
    near(s.cosine, product, 2e-6, "cosine", 0);
    near(s.table[DFQI_LOSS_CURVATURE_COSINE], product, 2e-6, "cosine of a weight", 0);
    ck_assert_msg(fabs(product) < 0.99, "a cosine of %g tells nothing", product);
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

/* Hutchinson's estimate is within what its own standard error says, and that error is the one that
 * the Hessian predicts: variance 2 (|H|^2 - |diag H|^2). */
START_TEST(test_trace)
{
    enum { PROBES = 1500 };
    toy t;
    dfqi_loss_curvature s;
    double h[BLOCK][BLOCK];
    toy_init(&t, 1, 3);
    run(&s, &t, (dfqi_loss_curvature_options){.seed = 1, .probes = PROBES});
    for (int k = 0; k < DFQI_SLOPES; k++) {
        double trace = 0, off = 0;
        hessian_at(&t, k, h);
        for (int m = 0; m < BLOCK; m++) {
            trace += h[m][m];
            for (int n = 0; n < BLOCK; n++) off += (m == n ? 2 : 4) * h[m][n] * h[m][n];
        }
        double error = sqrt(2 * off / PROBES); /* four equal blocks, two of them on the diagonal */
        near(s.loss[k].trace_error, error, 0.1, "error of the trace", k);
        ck_assert_msg(error < 0.05 * 2 * trace, "an error of %g of %g tells nothing", error, trace);
        ck_assert_msg(fabs(s.loss[k].trace - 2 * trace) < 4 * error, "trace %d: %g, expected %g", k,
                      s.loss[k].trace, 2 * trace);
        for (int i = 0; i < 2; i++)
            near(s.table[i * DFQI_LOSS_CURVATURE_COLUMNS + DFQI_LOSS_CURVATURE_TRACE + k], trace,
                 0.05, "trace of a block", k);
    }
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

START_TEST(test_eigenvalues)
{
    toy t;
    dfqi_loss_curvature s;
    double h[BLOCK][BLOCK];
    toy_init(&t, 1, 7);
    run(&s, &t, (dfqi_loss_curvature_options){.seed = 2, .power = 100});
    for (int k = 0; k < DFQI_SLOPES; k++) {
        hessian_at(&t, k, h);
        near(s.loss[k].eigenvalue, 2 * largest(h), 0.03, "eigenvalue", k);
        ck_assert(s.loss[k].settled == 1 && s.loss[k].iterations > 1);
        ck_assert_int_lt(s.loss[k].iterations, 100);
    }
    dfqi_loss_curvature_fini(&s);
    run(&s, &t, (dfqi_loss_curvature_options){.seed = 2, .power = 1});
    ck_assert(s.loss[0].settled == 0 && s.loss[0].iterations == 1);
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

START_TEST(test_surface)
{
    enum { GRID = 5, POINTS = GRID * GRID };
    toy t;
    dfqi_loss_curvature s;
    toy_init(&t, 1, 2);
    run(&s, &t, (dfqi_loss_curvature_options){.seed = 3, .grid = GRID});
    for (int row = 0; row < 2 * CLASSES; row++) {
        double own = 0, u = 0, v = 0, both = 0;
        for (int c = row * INPUTS; c < (row + 1) * INPUTS; c++) {
            own += (double)t.base[c] * t.base[c];
            u += (double)s.dir[c] * s.dir[c];
            v += (double)s.sums[c] * s.sums[c];
            both += (double)s.dir[c] * s.sums[c];
        }
        near(u, own, 1e-5, "norm of a filter of u", row);
        near(v, own, 1e-5, "norm of a filter of v", row);
        ck_assert(fabs(both) < 0.999 * own);
    }
    for (int k = 0; k < DFQI_SLOPES; k++) {
        ck_assert(s.surface[k * POINTS + POINTS / 2] == (float)s.loss[k].loss);
        for (int i = 0; i < POINTS; i++) {
            float w[VALUES], a = -1 + 0.5f * (float)(i % GRID), b = -1 + 0.5f * (float)(i / GRID);
            for (int m = 0; m < VALUES; m++) w[m] = t.base[m] + a * s.dir[m] + b * s.sums[m];
            near(s.surface[k * POINTS + i], loss_at(&t, w, k), 1e-5, "surface", k);
        }
    }
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

/* Where nothing flows there is no angle, and the curvature is 0. */
START_TEST(test_flat)
{
    toy t;
    dfqi_loss_curvature s;
    toy_init(&t, 1, 3);
    memset(t.x, 0, sizeof t.x);
    run(&s, &t, (dfqi_loss_curvature_options){.probes = 2, .power = 5, .grid = 3});
    ck_assert(isnan(s.cosine) && s.loss[0].norm == 0);
    for (int k = 0; k < DFQI_SLOPES; k++) {
        ck_assert(s.loss[k].trace == 0 && s.loss[k].trace_error == 0);
        ck_assert(s.loss[k].eigenvalue == 0 && s.loss[k].settled == 1);
        ck_assert(s.surface[9 * k] == (float)s.loss[k].loss);
    }
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

START_TEST(test_not_finite)
{
    toy t;
    dfqi_loss_curvature s;
    toy_init(&t, 1, 3);
    t.x[4 * INPUTS] = NAN;
    ck_assert_int_eq(
        dfqi_loss_curvature_init(&s, &t.l, &(dfqi_loss_curvature_options){.probes = 2}), DFQ_OK);
    dfq_status status = DFQ_OK;
    for (int i = 0; i < 3 && status == DFQ_OK; i++) status = dfqi_loss_curvature_step(&s);
    ck_assert_int_eq(status, DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(t.ctx->error, "KL divergence is"));
    dfqi_loss_curvature_fini(&s);
    toy_fini(&t);
}
END_TEST

TCase *dfqt_plane_case(void)
{
    TCase *t = tcase_create("plane");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_gradients, 1, IMAGES + 1);
    tcase_add_test(t, test_trace);
    tcase_add_test(t, test_eigenvalues);
    tcase_add_test(t, test_surface);
    tcase_add_test(t, test_flat);
    tcase_add_test(t, test_not_finite);
    return t;
}
