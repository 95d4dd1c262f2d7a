/* What each part of improved calibration is for: each test fails if its part is left out. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "quant/scheme_priv.h"
#include "quant/search.h"

enum { IMAGES = 8, SIDE = 16, PATCH = 4, WIDTH = 24, COLUMNS = 3 * PATCH * PATCH };

typedef struct scene {
    dfq_context *ctx;
    dfqi_model *teacher, *student;
    float x[IMAGES * DFQT_IMAGE];
} scene;

/* Smooth pictures, brighter than grey: neighbours agree, and no mean is 0. */
static scene *begin(void)
{
    static scene s;
    s = (scene){.ctx = dfqt_context(1)};
    dfqi_rng r = dfqi_rng_make(41, 1);
    ck_assert_int_eq(dfqt_teacher(s.ctx, &s.teacher), DFQ_OK);
    for (int plane = 0; plane < 3 * IMAGES; plane++) {
        float base = dfqi_rng_range(&r, 0.2f, 0.9f), dx = dfqi_rng_range(&r, -0.05f, 0.05f);
        float dy = dfqi_rng_range(&r, -0.05f, 0.05f);
        for (int i = 0; i < SIDE * SIDE; i++) {
            float v = base + dx * (float)(i % SIDE) + dy * (float)(i / SIDE);
            s.x[plane * SIDE * SIDE + i] = v + dfqi_rng_range(&r, -0.02f, 0.02f);
        }
    }
    return &s;
}

static void end(scene *s)
{
    dfqi_model_release(s->student);
    dfqi_model_release(s->teacher);
    dfqi_context_release(s->ctx);
}

static void quantize_with(scene *s, int32_t weight_bits, int32_t act_bits, int32_t rounding)
{
    dfqi_scheme scheme;
    dfqi_network net;
    dfqi_widths widths = {weight_bits, act_bits, 0};
    dfqi_model_release(s->student);
    ck_assert_int_eq(dfqi_scheme_new(&s->teacher->net, DFQI_MODE_IMPROVED, widths, &scheme),
                     DFQ_OK);
    scheme.rounding = rounding;
    ck_assert_int_eq(dfqi_network_clone(&s->teacher->net, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_calibrate(&scheme, &s->teacher->net, &net, s->x, IMAGES), DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&net, &scheme, &s->student), DFQ_OK);
}

static void quantize(scene *s, int32_t weight_bits, int32_t act_bits)
{
    quantize_with(s, weight_bits, act_bits, DFQI_ROUND_ALL);
}

static float *weights(const dfqi_model *m, const char *name)
{
    return dfqi_tensor_f32(dfqi_network_find(&m->net, name));
}

/* Second moments of the patches, [COLUMNS, COLUMNS]. */
static void patch_moments(const scene *s, double *h)
{
    memset(h, 0, sizeof(double) * COLUMNS * COLUMNS);
    for (int p = 0; p < IMAGES * 16; p++) {
        double v[COLUMNS];
        for (int c = 0; c < COLUMNS; c++) {
            int row = p % 16 / 4 * PATCH + c % 16 / 4, col = p % 4 * PATCH + c % 4;
            v[c] = (double)s->x[((p / 16 * 3 + c / 16) * SIDE + row) * SIDE + col];
        }
        for (int i = 0; i < COLUMNS * COLUMNS; i++) h[i] += v[i / COLUMNS] * v[i % COLUMNS];
    }
}

static double output_error(const double *h, const float *w, const float *q)
{
    double sum = 0;
    for (int i = 0; i < COLUMNS * COLUMNS; i++)
        sum += (double)(w[i / COLUMNS] - q[i / COLUMNS]) * h[i] *
               (double)(w[i % COLUMNS] - q[i % COLUMNS]);
    return sum;
}

/* Rounding one column is repaired by the others: on inputs that agree with each other the output's
 * error is far below that of the nearest codes (rounding.c). */
START_TEST(test_compensation)
{
    static double h[COLUMNS * COLUMNS];
    scene *s = begin();
    double error = 0, nearest = 0;
    quantize(s, 3, 8);
    patch_moments(s, h);
    const dfqi_site *site = dfqi_scheme_find(&s->student->scheme, "patch_embed.proj.weight");
    for (int r = 0; r < WIDTH; r++) {
        const float *w = weights(s->teacher, site->name) + r * COLUMNS;
        float scale = dfqi_tensor_f32(site->scale)[r], q[COLUMNS];
        for (int c = 0; c < COLUMNS; c++)
            q[c] = fminf(fmaxf(rintf(w[c] / scale), site->qmin), site->qmax) * scale;
        nearest += output_error(h, w, q);
        error += output_error(h, w, weights(s->student, site->name) + r * COLUMNS);
    }
    ck_assert_msg(error < 0.3 * nearest, "error %g, of nearest codes %g", error, nearest);
    end(s);
}
END_TEST

/* Biases take up what rounding does on average: over the calibration images the mean logits are the
 * teacher's, though single logits are not (rounding.c). */
START_TEST(test_bias)
{
    scene *s = begin();
    float z[IMAGES * DFQT_CLASSES], q[IMAGES * DFQT_CLASSES];
    quantize(s, 3, 4);
    ck_assert_int_eq(dfqi_model_logits(s->teacher, s->x, IMAGES, z), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(s->student, s->x, IMAGES, q), DFQ_OK);
    for (int c = 0; c < DFQT_CLASSES; c++) {
        double mean = 0, spread = 0;
        for (int i = 0; i < IMAGES; i++) {
            double d = (double)q[i * DFQT_CLASSES + c] - (double)z[i * DFQT_CLASSES + c];
            mean += d / IMAGES;
            spread += fabs(d) / IMAGES;
        }
        ck_assert_msg(fabs(mean) < 1e-4 && spread > 1e-3, "class %d: off by %g, single ones by %g",
                      c, mean, spread);
    }
    end(s);
}
END_TEST

/* Channels of the first layer's input between 1/8 and 8 times as strong. */
static void spread_channels(const scene *s)
{
    float *gamma = weights(s->teacher, "blocks.0.norm1.weight");
    for (int c = 0; c < WIDTH; c++) gamma[c] = exp2f((float)(c % 7 - 3));
}

/* Largest scale of the first layer's input over the smallest. */
static float spread_of_scales(scene *s, int32_t weight_bits, int32_t act_bits)
{
    quantize(s, weight_bits, act_bits);
    const dfqi_site *site = dfqi_scheme_find(&s->student->scheme, "blocks.0.attn.qkv.input");
    float least = INFINITY, most = 0;
    for (int c = 0; c < WIDTH; c++) {
        least = fminf(least, dfqi_tensor_f32(site->scale)[c]);
        most = fmaxf(most, dfqi_tensor_f32(site->scale)[c]);
    }
    return most / least;
}

/* How much of the spread weights take over depends on who can afford it (fold.c). */
START_TEST(test_fold)
{
    scene *s = begin();
    spread_channels(s);
    float fine_weights = spread_of_scales(s, 8, 3), fine_acts = spread_of_scales(s, 2, 8);
    ck_assert_msg(fine_weights > 3 && fine_acts < 1.5f, "spread %g where weights are fine, %g",
                  (double)fine_weights, (double)fine_acts);
    end(s);
}
END_TEST

/* A channel that the images hardly drive has a range all the same: half the mean of all (widen). */
START_TEST(test_least_range)
{
    scene *s = begin();
    double mean = 0;
    weights(s->teacher, "blocks.0.norm1.weight")[5] = 1e-4f;
    quantize(s, 8, 3);
    const dfqi_site *site = dfqi_scheme_find(&s->student->scheme, "blocks.0.attn.qkv.input");
    const float *scale = dfqi_tensor_f32(site->scale);
    for (int c = 0; c < WIDTH; c++) mean += (double)scale[c] / WIDTH;
    ck_assert_msg((double)scale[5] > mean / 3 && (double)scale[5] < mean, "scale %g of %g",
                  (double)scale[5], mean);
    end(s);
}
END_TEST

/* The top of a logarithmic grid is searched: a single entry above the ladder on which all others
 * stand does not move the grid off it (search.c). */
START_TEST(test_top)
{
    enum { N = 16 };
    const float ladder = 0.85f;
    float x[N * N], v[N * N];
    dfq_context *ctx = dfqt_context(1);
    dfqi_rng r = dfqi_rng_make(42, 1);
    dfqi_stats stats;
    dfqi_site site = {
        .name = "blocks.0.attn.av.a", .kind = DFQI_SITE_UNIFORM, .bits = 4, .qmax = 15};
    dfqi_view view = {
        .x = x, .parts = 1, .heads = 1, .rows = N, .cols = N, .scales = 1, .values = v, .depth = N};
    for (int i = 0; i < N * N; i++) {
        x[i] = ladder * exp2f(-0.5f * (float)(i % 14));
        v[i] = dfqi_rng_range(&r, -1, 1);
    }
    x[3] = 1;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &site.scale), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &site.zero_point), DFQ_OK);
    ck_assert_int_eq(dfqi_stats_new(ctx, 1, dfqi_stats_tile(N, N), &stats), DFQ_OK);
    dfqi_stats_add(&stats, &view);
    dfqi_stats_shrink(&stats, &site);
    dfqi_stats_errors(&stats, &site, &view, dfqi_kernels_get(ctx));
    dfqi_stats_choose(&stats, &site);
    ck_assert_int_eq(site.kind, DFQI_SITE_LOG);
    ck_assert_float_eq_tol(*dfqi_tensor_f32(site.scale), ladder, 1e-6f);
    ck_assert(site.qmin == 0 && site.qmax == 14); /* the sixteenth code is 0 */
    dfqi_stats_fini(ctx, &stats);
    dfqi_tensor_release(site.scale);
    dfqi_tensor_release(site.zero_point);
    dfqi_context_release(ctx);
}
END_TEST

/* Mean squared distance of the logits from the teacher's. */
static double distance(scene *s, int32_t rounding)
{
    float z[IMAGES * DFQT_CLASSES], q[IMAGES * DFQT_CLASSES];
    double sum = 0;
    quantize_with(s, 3, 3, rounding);
    ck_assert_int_eq(dfqi_model_logits(s->teacher, s->x, IMAGES, z), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(s->student, s->x, IMAGES, q), DFQ_OK);
    for (int i = 0; i < IMAGES * DFQT_CLASSES; i++)
        sum += (double)(z[i] - q[i]) * (double)(z[i] - q[i]) / (IMAGES * DFQT_CLASSES);
    return sum;
}

/* The ridge correction and second-order codes bring the student nearer to the teacher, and so does
 * all of rounding (rounding.c). */
START_TEST(test_rounding)
{
    static const struct {
        int32_t part;
        double share;
    } parts[] = {{DFQI_ROUND_RIDGE, 0.97}, {DFQI_ROUND_GPTQ, 0.9}, {DFQI_ROUND_ALL, 0.7}};
    scene *s = begin();
    double all = distance(s, DFQI_ROUND_VIT);
    for (int i = 0; i < 3; i++) {
        double without = distance(s, DFQI_ROUND_VIT & ~parts[i].part);

        ck_assert_msg(all < parts[i].share * without, "distance %g, without part %d %g", all,
                      (int)parts[i].part, without);
    }
    end(s);
}
END_TEST

TCase *dfqt_parts_case(void)
{
    TCase *c = tcase_create("parts");
    tcase_add_test(c, test_compensation);
    tcase_add_test(c, test_bias);
    tcase_add_test(c, test_rounding);
    tcase_add_test(c, test_fold);
    tcase_add_test(c, test_least_range);
    tcase_add_test(c, test_top);
    return c;
}
