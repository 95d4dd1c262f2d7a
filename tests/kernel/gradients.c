/* Backward slots against finite differences of the forward ones, along random directions. */
#include "kernel/support.h"

enum { DIRECTIONS = 6 };

/* A scalar function of x[n]. */
typedef double (*loss_fn)(const dfqi_kernels *t, const float *x, void *arg);

static void check_gradient(const dfqi_kernels *t, pool *p, loss_fn loss, void *arg, size_t n,
                           const float *x, const float *grad, float h, double tol, const char *what)
{
    float *d = pool_take(p, n, 0.0f, 1.0f), *moved = pool_take(p, n, 0.0f, 1.0f);
    for (int k = 0; k < DIRECTIONS; k++) {
        double slope = 0.0, size = 0.0;
        for (size_t i = 0; i < n; i++) {
            d[i] = dfqi_rng_normal(&p->rng);
            slope += (double)d[i] * (double)grad[i];
            size += (double)grad[i] * (double)grad[i];
        }
        for (size_t i = 0; i < n; i++) moved[i] = x[i] + h * d[i];
        double up = loss(t, moved, arg);
        for (size_t i = 0; i < n; i++) moved[i] = x[i] - h * d[i];
        double down = loss(t, moved, arg);
        double measured = (up - down) / (2.0 * (double)h);
        ck_assert_msg(fabs(measured - slope) <= tol * sqrt(size), "%s %s: %g, measured %g", t->name,
                      what, slope, measured);
    }
}

typedef struct problem {
    int64_t rows, cols, extra;
    const float *weight; /* of the outputs in the loss */
    const float *other;
    float *out, *scratch, *stats;
} problem;

static double weighted(size_t n, const float *y, const float *w)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)y[i] * (double)w[i];
    return sum;
}

static double gelu_loss(const dfqi_kernels *t, const float *x, void *arg)
{
    const problem *q = arg;
    t->gelu((size_t)q->cols, x, q->out);
    return weighted((size_t)q->cols, q->out, q->weight);
}

static double softmax_loss(const dfqi_kernels *t, const float *x, void *arg)
{
    const problem *q = arg;
    t->softmax(q->rows, q->cols, 0.5f, x, q->out);
    return weighted((size_t)(q->rows * q->cols), q->out, q->weight);
}

static double layernorm_loss(const dfqi_kernels *t, const float *x, void *arg)
{
    const problem *q = arg;
    t->layernorm(q->rows, q->cols, 1e-6f, x, q->other, q->other + q->cols, q->out, q->stats);
    return weighted((size_t)(q->rows * q->cols), q->out, q->weight);
}

/* The same, as a function of gamma and beta. */
static double affine_loss(const dfqi_kernels *t, const float *gamma_beta, void *arg)
{
    problem q = *(const problem *)arg;
    q.other = gamma_beta;
    return layernorm_loss(t, ((const problem *)arg)->scratch, &q);
}

static double inter_head_loss(const dfqi_kernels *t, const float *x, void *arg)
{
    const problem *q = arg;
    return 0.3 *
           t->inter_head(q->rows, q->cols, 1, (dfqi_distance)q->extra, x, 1.0f, NULL, q->scratch);
}

static double head_ssim_loss(const dfqi_kernels *t, const float *x, void *arg)
{
    const problem *q = arg;
    return 0.3 * t->head_ssim(q->rows, q->cols, q->extra, 1, q->other, x, 1.0f, NULL, q->scratch);
}

START_TEST(test_gelu_softmax)
{
    need_table(_i);
    const dfqi_kernels *t = table(_i);
    pool p = pool_begin(1);
    problem q = {.rows = 5, .cols = 37};
    size_t n = (size_t)(q.rows * q.cols);
    float *x = pool_take(&p, n, -2.0f, 2.0f), *grad = pool_take(&p, n, 0.0f, 1.0f);
    q.weight = pool_take(&p, n, -1.0f, 1.0f);
    q.out = pool_take(&p, n, 0.0f, 1.0f);
    t->gelu_bwd((size_t)q.cols, x, q.weight, grad);
    check_gradient(t, &p, gelu_loss, &q, (size_t)q.cols, x, grad, 1e-2f, 3e-3, "gelu");
    t->softmax(q.rows, q.cols, 0.5f, x, q.out);
    t->softmax_bwd(q.rows, q.cols, 0.5f, q.out, q.weight, grad);
    check_gradient(t, &p, softmax_loss, &q, n, x, grad, 1e-2f, 3e-3, "softmax");
    pool_end(&p);
}
END_TEST

START_TEST(test_layernorm)
{
    need_table(_i);
    const dfqi_kernels *t = table(_i);
    pool p = pool_begin(2);
    problem q = {.rows = 6, .cols = 37};
    size_t n = (size_t)(q.rows * q.cols), w = (size_t)(2 * q.cols);
    float *x = pool_take(&p, n, -2.0f, 2.0f), *grad = pool_take(&p, n, 0.0f, 1.0f);
    float *affine = pool_take(&p, w, 0.5f, 1.5f), *grad_w = pool_take(&p, w, 0.0f, 1.0f);
    q.weight = pool_take(&p, n, -1.0f, 1.0f);
    q.out = pool_take(&p, n, 0.0f, 1.0f);
    q.stats = pool_take(&p, (size_t)(2 * q.rows), 0.0f, 1.0f);
    q.other = affine;
    q.scratch = x;
    layernorm_loss(t, x, &q);
    t->layernorm_bwd(q.rows, q.cols, x, q.stats, affine, q.weight, grad, grad_w);
    check_gradient(t, &p, layernorm_loss, &q, n, x, grad, 1e-2f, 3e-3, "layernorm");
    check_gradient(t, &p, affine_loss, &q, w, affine, grad_w, 1e-2f, 3e-3, "layernorm affine");
    pool_end(&p);
}
END_TEST

START_TEST(test_attention_losses)
{
    need_table(_i);
    const dfqi_kernels *t = table(_i);
    pool p = pool_begin(3);
    problem q = {.rows = 3, .cols = 20};
    size_t n = (size_t)(q.rows * q.cols * q.cols);
    float *x = pool_take(&p, n, -9.0f, 9.0f), *grad = pool_take(&p, n, 0.0f, 1.0f);
    q.scratch = pool_take(&p, 1000, 0.0f, 1.0f);
    for (q.extra = DFQI_DISTANCE_SQUARE; q.extra <= DFQI_DISTANCE_ABSOLUTE; q.extra++) {
        t->inter_head(q.rows, q.cols, 1, (dfqi_distance)q.extra, x, 0.3f, grad, q.scratch);
        check_gradient(t, &p, inter_head_loss, &q, n, x, grad, 3e-3f, 1e-2, "inter_head");
    }

    q.extra = 21;
    n = (size_t)(q.rows * q.cols * q.extra);
    float *s = pool_take(&p, n, -1.0f, 1.0f), *ds = pool_take(&p, n, 0.0f, 1.0f);
    float *teacher = pool_take(&p, n, -1.0f, 1.0f);
    for (size_t i = 0; i < n; i++) teacher[i] += s[i];
    q.other = teacher;
    t->head_ssim(q.rows, q.cols, q.extra, 1, teacher, s, 0.3f, ds, q.scratch);
    check_gradient(t, &p, head_ssim_loss, &q, n, s, ds, 1e-2f, 3e-3, "head_ssim");
    pool_end(&p);
}
END_TEST

TCase *dfqt_gradients_case(void)
{
    TCase *c = tcase_create("gradients");
    tcase_add_loop_test(c, test_gelu_softmax, 0, DFQT_TABLES_MAX);
    tcase_add_loop_test(c, test_layernorm, 0, DFQT_TABLES_MAX);
    tcase_add_loop_test(c, test_attention_losses, 0, DFQT_TABLES_MAX);
    return c;
}
