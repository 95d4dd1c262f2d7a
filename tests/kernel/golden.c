/* The attention losses and the fake quantizers of every table against PyTorch in double
 * precision (tests/golden). */
#include "io/safetensors.h"
#include "kernel/support.h"
#include "support/suite.h"

typedef struct golden {
    dfq_context *ctx;
    dfqi_safetensors st;
    pool p;
} golden;

static golden golden_begin(const char *name)
{
    char path[512];
    golden s = {.p = pool_begin(4)};
    dfq_context_options o;
    dfq_context_options_init(&o, sizeof o);
    ck_assert_int_eq(dfq_context_create(&o, &s.ctx), DFQ_OK);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", name, path, sizeof path));
    ck_assert_msg(dfqi_st_read(s.ctx, path, &s.st) == DFQ_OK, "%s", s.ctx->error);
    return s;
}

static void golden_end(golden *s)
{
    pool_end(&s->p);
    dfqi_st_fini(&s->st);
    dfq_context_release(s->ctx);
}

static const dfq_tensor *find(const golden *s, const char *name, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", name, what);
    const dfq_tensor *t = dfqi_st_find(&s->st, text);
    ck_assert_msg(t != NULL, "no %s", text);
    return t;
}

/* Gradients are small here: they are compared relative to the largest one. */
static void check_scaled(size_t n, const float *got, const float *want, double tol,
                         const char *what)
{
    double scale = 0.0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)got[i] - (double)want[i]) <= tol * scale,
                      "%s[%d] is %g, expected %g", what, (int)i, (double)got[i], (double)want[i]);
}

/* Raw products [L,B,H,N,N]: layers are means over images, the loss is their mean. */
static void inter_head(const dfqi_kernels *t, golden *s, const char *name, int64_t drop,
                       dfqi_distance kind)
{
    const char *suffix = kind == DFQI_DISTANCE_ABSOLUTE ? "_abs" : "";
    char layers[16], grad[16];
    snprintf(layers, sizeof layers, ".layers%s", suffix);
    snprintf(grad, sizeof grad, ".grad%s", suffix);
    const dfq_tensor *r = find(s, name, ".r");
    const int64_t *d = r->dims;
    int64_t image = d[2] * d[3] * d[4], count = d[0] * d[1];
    float *dr = pool_take(&s->p, (size_t)(count * image), 0.0f, 1.0f);
    float *scratch = pool_take(&s->p, (size_t)(3 * d[2] * d[3]), 0.0f, 1.0f);
    double norm = 1.0 / (double)((d[3] - drop) * d[2] * d[2]);
    for (int64_t l = 0; l < d[0]; l++) {
        double sum = 0.0;
        for (int64_t b = l * d[1]; b < (l + 1) * d[1]; b++)
            sum += t->inter_head(d[2], d[3], drop, kind, (const float *)r->data + b * image,
                                 (float)(norm / (double)count), dr + b * image, scratch);
        check_number(norm * sum / (double)d[1],
                     (double)((const float *)find(s, name, layers)->data)[l], 2e-6, layers);
    }
    check_scaled((size_t)(count * image), dr, find(s, name, grad)->data, 1e-5, grad);
}

START_TEST(test_inter_head)
{
    need_table(_i);
    golden s = golden_begin("inter_head.safetensors");
    inter_head(table(_i), &s, "cls", 1, DFQI_DISTANCE_SQUARE);
    inter_head(table(_i), &s, "cls", 1, DFQI_DISTANCE_ABSOLUTE);
    inter_head(table(_i), &s, "window", 0, DFQI_DISTANCE_SQUARE);
    golden_end(&s);
}
END_TEST

/* Head outputs [L,B,H,N,d]. */
static void head_ssim(const dfqi_kernels *k, golden *s, const char *suffix, int64_t drop)
{
    const dfq_tensor *t = find(s, "t", ""), *u = find(s, "s", "");
    const int64_t *d = t->dims;
    int64_t layer = d[1] * d[2] * d[3] * d[4], rows = d[1] * d[2];
    float *ds = pool_take(&s->p, (size_t)(d[0] * layer), 0.0f, 1.0f);
    float *scratch = pool_take(&s->p, (size_t)(8 * d[4]), 0.0f, 1.0f);
    double norm = 1.0 / (double)(rows * d[4]);
    for (int64_t l = 0; l < d[0]; l++) {
        double sum = k->head_ssim(rows, d[3], d[4], drop, (const float *)t->data + l * layer,
                                  (const float *)u->data + l * layer, (float)(-norm / (double)d[0]),
                                  ds + l * layer, scratch);
        check_number(1.0 - norm * sum, (double)((const float *)find(s, "layers", suffix)->data)[l],
                     2e-6, "layers");
    }
    check_scaled((size_t)(d[0] * layer), ds, find(s, "grad_s", suffix)->data, 1e-5, "grad_s");
}

START_TEST(test_head_ssim)
{
    need_table(_i);
    golden s = golden_begin("head_ssim.safetensors");
    head_ssim(table(_i), &s, "", 1);
    head_ssim(table(_i), &s, "_drop0", 0);
    golden_end(&s);
}
END_TEST

/* -- fake quantizers --------------------------------------------------------------------------- */

static const float *data(const golden *s, const char *name, const char *what)
{
    return find(s, name, what)->data;
}

static void weight_golden(const dfqi_kernels *k, golden *s, const char *name, int bits)
{
    const dfq_tensor *w = find(s, name, ".w");
    int64_t rows = w->dims[0], n = rows * w->dims[1];
    float *y = pool_take(&s->p, (size_t)n, 0, 1), *scale = pool_take(&s->p, (size_t)rows, 0, 1);
    k->fq_weight(rows, w->dims[1], bits, w->data, NULL, NULL, y, scale);
    check_scaled((size_t)rows, scale, data(s, name, ".scale"), 1e-7, name);
    check_scaled((size_t)n, y, data(s, name, ".y"), 2e-7, name);
}

static void lsq_golden(const dfqi_kernels *k, golden *s, const char *name)
{
    const dfq_tensor *x = find(s, name, ".x"), *scale = find(s, name, ".scale");
    const int32_t *range = find(s, name, ".range")->data;
    int64_t rows = x->dims[0], cols = x->dims[1], scales = dfqi_tensor_count(scale);
    size_t n = (size_t)(rows * cols);
    dfqi_grid grid = {scale->data, data(s, name, ".zero_point"), scales, (float)range[0],
                      (float)range[1]};
    float *y = pool_take(&s->p, n, 0, 1), *dx = pool_take(&s->p, n, 0, 1);
    float *dscale = pool_take(&s->p, (size_t)scales, 0, 1);
    float *dzero_point = pool_take(&s->p, (size_t)scales, 0, 1);
    k->fq(rows, cols, &grid, x->data, y);
    k->fq_bwd(rows, cols, &grid, x->data, data(s, name, ".dy"), dx, dscale, dzero_point);
    check_scaled(n, y, data(s, name, ".y"), 1e-6, name);
    check_scaled(n, dx, data(s, name, ".dx"), 0, name);
    check_scaled((size_t)scales, dscale, data(s, name, ".dscale"), 1e-5, name);
    check_scaled((size_t)scales, dzero_point, data(s, name, ".dzero_point"), 1e-5, name);
}

static void log_golden(const dfqi_kernels *k, golden *s, const char *name, int bits)
{
    const dfq_tensor *x = find(s, name, ".x");
    size_t n = (size_t)x->dims[0];
    float *y = pool_take(&s->p, n, 0, 1), most = ldexpf(1, bits) - 2;
    k->fq_log(n, *data(s, name, ".top"), most, x->data, y);
    check_scaled(n, y, data(s, name, ".y"), 2e-7, name);
}

static void row_golden(const dfqi_kernels *k, golden *s, const char *name, int bits, int is_signed)
{
    const dfq_tensor *x = find(s, name, ".x");
    int64_t rows = x->dims[0], cols = x->dims[1];
    size_t n = (size_t)(rows * cols);
    const int32_t *codes = find(s, name, ".codes")->data;
    float *y = pool_take(&s->p, n, 0, 1), *dx = pool_take(&s->p, n, 0, 1);
    float *scale = pool_take(&s->p, (size_t)rows, 0, 1),
          *zero_point = pool_take(&s->p, (size_t)rows, 0, 1);
    k->fq_row(rows, cols, bits, is_signed, x->data, y, scale, zero_point);
    k->fq_row_bwd(rows, cols, bits, is_signed, x->data, data(s, name, ".dy"), dx);
    check_scaled((size_t)rows, scale, data(s, name, ".scale"), 0, name);
    check_scaled((size_t)rows, zero_point, data(s, name, ".zero_point"), 0, name);
    for (size_t i = 0; i < n; i++)
        ck_assert_float_eq(rintf(y[i] / scale[i / (size_t)cols]) + zero_point[i / (size_t)cols],
                           (float)codes[i]);
    check_scaled(n, y, data(s, name, ".y"), 1e-6, name);
    check_scaled(n, dx, data(s, name, ".dx"), 1e-5, name);
}

START_TEST(test_fake_quant)
{
    static const int bits[] = {2, 3, 4, 8};
    static const char *const lsq[] = {"edge", "random", "unsigned", "columns"};
    char name[32];
    if (_i >= n_tables()) return;
    golden s = golden_begin("fake_quant.safetensors");
    for (int b = 0; b < 4; b++) {
        snprintf(name, sizeof name, "weight%d", bits[b]);
        weight_golden(table(_i), &s, name, bits[b]);
        snprintf(name, sizeof name, "weight%d.neg", bits[b]);
        weight_golden(table(_i), &s, name, bits[b]);
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "lsq%d.%s", bits[b], lsq[i]);
            lsq_golden(table(_i), &s, name);
        }
        snprintf(name, sizeof name, "log%d", bits[b]);
        log_golden(table(_i), &s, name, bits[b]);
        snprintf(name, sizeof name, "row%d", bits[b]);
        row_golden(table(_i), &s, name, bits[b], 0);
        snprintf(name, sizeof name, "row.signed%d", bits[b]);
        row_golden(table(_i), &s, name, bits[b], 1);
        pool_end(&s.p);
    }
    golden_end(&s);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *c = tcase_create("golden");
    tcase_add_loop_test(c, test_inter_head, 0, DFQT_TABLES_MAX);
    tcase_add_loop_test(c, test_head_ssim, 0, DFQT_TABLES_MAX);
    tcase_add_loop_test(c, test_fake_quant, 0, DFQT_TABLES_MAX);
    return c;
}
