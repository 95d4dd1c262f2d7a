/* Augmentation: random draws, crop, mirror and blur. */
#include "tune/augment.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"

enum { AUGMENT_STREAM = 9, OWN_STREAM = 10, CROP_TRIES = 10, BLOCK = 16 };
enum { MOST_IMAGES = 1 << 16 /* of a batch: streams of their own */ };

typedef struct job {
    const dfqi_augment *a;
    const dfqi_draw *d;
    const float *images;
    float *out;
    int64_t radius; /* of the blur, 0: none */
} job;

/* -- draws ------------------------------------------------------------------------------------- */

/* Half to even, as Python rounds. */
static int64_t round_even(double v)
{
    return (int64_t)rint(v);
}

/* torchvision's RandomResizedCrop: an area and an aspect ratio that fit, else the whole image. */
static void draw_crop(dfqi_rng *r, int64_t side, float smallest, dfqi_draw *d)
{
    double area = (double)side * (double)side, log_ratio = log(4.0 / 3.0);
    for (int i = 0; i < CROP_TRIES; i++) {
        double target = area * dfqi_rng_range(r, smallest, 1.0f);
        double ratio = exp(log_ratio * (2.0 * dfqi_rng_uniform(r) - 1.0));
        int64_t width = round_even(sqrt(target * ratio));
        int64_t height = round_even(sqrt(target / ratio));
        if (width < 1 || width > side || height < 1 || height > side) continue;
        d->top = dfqi_rng_below(r, (uint32_t)(side - height + 1));
        d->left = dfqi_rng_below(r, (uint32_t)(side - width + 1));
        d->height = height;
        d->width = width;
        return;
    }
}

void dfqi_augment_draw(dfqi_augment_kind kind, uint64_t seed, int64_t step, int64_t side,
                       dfqi_draw *out)
{
    dfqi_draw d = {.height = side, .width = side};
    dfqi_rng r = dfqi_rng_make(seed, (uint64_t)AUGMENT_STREAM << 60 | (uint64_t)step);
    if (kind != DFQI_AUGMENT_NONE) {
        d.mirror = dfqi_rng_uniform(&r) < 0.5f;
        d.jitter = dfqi_rng_uniform(&r) < 0.8f;
        d.gray = dfqi_rng_uniform(&r) < 0.2f;
        d.sigma = dfqi_rng_range(&r, 0.1f, 2.0f);
        dfqi_rng_permute(&r, d.order, 4);
        for (int i = 0; i < 3; i++) d.color[i] = dfqi_rng_range(&r, 0.2f, 1.8f);
        d.color[DFQI_COLOR_HUE] = dfqi_rng_range(&r, -0.2f, 0.2f);
        draw_crop(&r, side, kind == DFQI_AUGMENT_FULL ? 0.08f : 0.5f, &d);
    }
    if (kind == DFQI_AUGMENT_MILD || kind == DFQI_AUGMENT_SYNTHETIC) {
        d.jitter = d.gray = 0;
        d.sigma = 0;
    }
    if (kind == DFQI_AUGMENT_SYNTHETIC) {
        d.each = 1;
        d.sigma = (float)side / 224 * expf(dfqi_rng_range(&r, 0, 1.8f)); /* 1 to 6 of 224 pixels */
        d.own = dfqi_rng_make(seed, (uint64_t)OWN_STREAM << 60 | (uint64_t)step * MOST_IMAGES);
    }
    *out = d;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Kernel int(0.1 side), made odd. */
static int64_t blur_radius(int64_t side)
{
    return (int64_t)(0.1 * (double)side) / 2;
}

/* A plane with margins above and below, a row with both of its own, and two planes. */
static int64_t scratch_floats(int64_t side)
{
    int64_t padded = side + 2 * blur_radius(side);
    return padded * side + padded + 2 * side * side;
}

/* Floats and 32-bit integers together. */
static int64_t words(const dfq_context *ctx, int64_t side)
{
    return ctx->threads * scratch_floats(side) + 6 * side + 2 * blur_radius(side) + 1;
}

double dfqi_augment_bytes(const dfq_context *ctx, int64_t side)
{
    return (double)words(ctx, side) * (double)sizeof(float);
}

dfq_status dfqi_augment_new(dfq_context *ctx, int64_t side, const float mean[3], const float std[3],
                            dfqi_augment *out)
{
    dfqi_augment a = {.ctx = ctx, .side = side, .radius = blur_radius(side)};
    memcpy(a.mean, mean, sizeof a.mean);
    memcpy(a.std, std, sizeof a.std);
    a.scratch = dfqi_calloc(ctx, (size_t)(words(ctx, side) - 4 * side), sizeof *a.scratch);
    a.from = dfqi_calloc(ctx, 4 * (size_t)side, sizeof *a.from);
    if (!a.scratch || !a.from) {
        dfqi_augment_fini(&a);
        return DFQ_E_NOMEM;
    }
    a.blend = a.scratch + ctx->threads * scratch_floats(side);
    a.kernel = a.blend + 2 * side;
    *out = a;
    return DFQ_OK;
}

void dfqi_augment_fini(dfqi_augment *a)
{
    if (a->ctx) {
        dfqi_free(a->ctx, a->scratch);
        dfqi_free(a->ctx, a->from);
    }
    *a = (dfqi_augment){0};
}

/* -- crop and mirror --------------------------------------------------------------------------- */

/* Source neighbours of `side` outputs over `count` pixels from `first`: centres aligned, clamped to
 * the crop, not antialiased. */
static void axis(int64_t side, int64_t first, int64_t count, int mirror, int32_t *one, int32_t *two,
                 float *blend)
{
    double scale = (double)count / (double)side;
    for (int64_t i = 0; i < side; i++) {
        int64_t o = mirror ? side - 1 - i : i;
        double at = scale * ((double)i + 0.5) - 0.5;
        if (at < 0) at = 0;
        int64_t k = (int64_t)at;
        if (k > count - 1) k = count - 1;
        one[o] = (int32_t)(first + k);
        two[o] = (int32_t)(first + (k + 1 < count ? k + 1 : k));
        blend[o] = (float)(at - (double)k);
    }
}

/* `row`: scratch of one source row. */
static void crop_plane(const dfqi_augment *a, const dfqi_draw *d, const float *in, float *out,
                       float *row)
{
    int64_t side = a->side;
    const int32_t *top = a->from, *bottom = top + side, *left = top + 2 * side,
                  *right = top + 3 * side;
    const float *down = a->blend, *across = a->blend + side;
    for (int64_t y = 0; y < side; y++, out += side) {
        const float *p = in + top[y] * side, *q = in + bottom[y] * side;
        for (int64_t x = d->left; x < d->left + d->width; x++)
            row[x] = p[x] + down[y] * (q[x] - p[x]);
        for (int64_t x = 0; x < side; x++)
            out[x] = row[left[x]] + across[x] * (row[right[x]] - row[left[x]]);
    }
}

/* -- blur -------------------------------------------------------------------------------------- */

static void make_kernel(float *kernel, int64_t radius, float sigma)
{
    double sum = 0;
    for (int64_t k = -radius; k <= radius; k++)
        sum += exp(-0.5 * (double)(k * k) / ((double)sigma * sigma));
    for (int64_t k = -radius; k <= radius; k++)
        kernel[k + radius] = (float)(exp(-0.5 * (double)(k * k) / ((double)sigma * sigma)) / sum);
}

/* Index of a border that mirrors without repeating its edge. */
static int64_t reflect(int64_t i, int64_t n)
{
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

/* out[i] = sum_k kernel[k] from[k stride + i], i < n: blocks stay in registers. */
static void weigh(const float *kernel, int64_t taps, const float *from, int64_t stride, int64_t n,
                  float *out)
{
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        float sum[BLOCK] = {0};
        for (int64_t k = 0; k < taps; k++)
            for (int64_t b = 0; b < BLOCK; b++) sum[b] += kernel[k] * from[k * stride + i + b];
        memcpy(out + i, sum, sizeof sum);
    }
    for (; i < n; i++) {
        float sum = 0;
        for (int64_t k = 0; k < taps; k++) sum += kernel[k] * from[k * stride + i];
        out[i] = sum;
    }
}

/* Along rows into `plane`, which has the mirrored rows too; then along columns. Both are
 * scratch. */
static void blur_plane(const job *j, float *x, float *plane, float *row)
{
    int64_t side = j->a->side, radius = j->radius, taps = 2 * radius + 1;
    for (int64_t y = 0; y < side; y++) {
        for (int64_t i = -radius; i < side + radius; i++)
            row[i + radius] = x[y * side + reflect(i, side)];
        weigh(j->a->kernel, taps, row, 1, side, plane + (y + radius) * side);
    }
    for (int64_t y = -radius; y < side + radius; y++)
        if (y < 0 || y >= side)
            memcpy(plane + (y + radius) * side, plane + (reflect(y, side) + radius) * side,
                   (size_t)side * sizeof *plane);
    for (int64_t y = 0; y < side; y++)
        weigh(j->a->kernel, taps, plane + y * side, side, side, x + y * side);
}

/* -- colours and focus of each image ----------------------------------------------------------- */

void dfqi_augment_focus(dfqi_rng *r, int64_t side, float *share)
{
    enum { WAVES = 4 };
    float along[WAVES], across[WAVES], phase[WAVES], turn = 6.2831853f / (float)side;
    for (int k = 0; k < WAVES; k++) {
        along[k] = turn * dfqi_rng_range(r, -1.5f, 1.5f);
        across[k] = turn * dfqi_rng_range(r, -1.5f, 1.5f);
        phase[k] = dfqi_rng_range(r, 0, 6.2831853f);
    }
    float deviation = sqrtf(0.5f * WAVES), cut = deviation * dfqi_rng_range(r, -1.3f, 0);
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++) {
            float wave = 0;
            for (int k = 0; k < WAVES; k++)
                wave += cosf(along[k] * (float)y + across[k] * (float)x + phase[k]);
            share[y * side + x] = 1 / (1 + expf(8 * (cut - wave) / deviation));
        }
}

/* Optimised images have colours far apart and detail everywhere, photographs have not. (ViT-Tiny,
 * W4A4, 96 images: the cosine between the gradient of the KL loss on them and on 256 photographs is
 * 0.35 for images of kind attention, 0.41 at half the saturation, 0.45 at a random one, 0.48 with
 * parts out of focus too, 0.55 for other photographs.) */
static void vary_image(const job *j, int64_t i, float *out, float *scratch)
{
    const dfqi_augment *a = j->a;
    int64_t side = a->side, pixels = side * side;
    float *row = scratch + pixels + 2 * a->radius * side, *share = row + side + 2 * a->radius;
    float *sharp = share + pixels;
    dfqi_rng r = dfqi_rng_make(j->d->own.seed, j->d->own.stream + (uint64_t)i);
    dfqi_draw colors = {.order = {DFQI_COLOR_SATURATION, DFQI_COLOR_CONTRAST, DFQI_COLOR_BRIGHTNESS,
                                  DFQI_COLOR_HUE}};
    colors.color[DFQI_COLOR_SATURATION] = dfqi_rng_uniform(&r);
    colors.color[DFQI_COLOR_CONTRAST] = dfqi_rng_range(&r, 0.6f, 1.1f);
    colors.color[DFQI_COLOR_BRIGHTNESS] = dfqi_rng_range(&r, 0.6f, 1.4f);
    dfqi_color_jitter(&colors, a->mean, a->std, pixels, out);
    if (dfqi_rng_below(&r, 2) == 0) return;
    dfqi_augment_focus(&r, side, share);
    for (int64_t c = 0; c < 3; c++, out += pixels) {
        memcpy(sharp, out, (size_t)pixels * sizeof *out);
        blur_plane(j, out, scratch, row);
        for (int64_t k = 0; k < pixels; k++) out[k] += share[k] * (sharp[k] - out[k]);
    }
}

/* -- images ------------------------------------------------------------------------------------ */

static void one_image(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const dfqi_augment *a = j->a;
    const dfqi_draw *d = j->d;
    int64_t pixels = a->side * a->side;
    const float *in = j->images + i * 3 * pixels;
    float *out = j->out + i * 3 * pixels;
    float *plane = a->scratch + thread * scratch_floats(a->side);
    float *row = plane + (a->side + 2 * a->radius) * a->side;
    if (d->height == a->side && d->width == a->side && !d->mirror)
        memcpy(out, in, 3 * (size_t)pixels * sizeof *out);
    else
        for (int c = 0; c < 3; c++) crop_plane(a, d, in + c * pixels, out + c * pixels, row);
    if (d->jitter) dfqi_color_jitter(d, a->mean, a->std, pixels, out);
    if (d->gray) dfqi_color_gray(pixels, out);
    if (d->each) {
        vary_image(j, i, out, plane);
        return;
    }
    for (int c = 0; j->radius > 0 && c < 3; c++) blur_plane(j, out + c * pixels, plane, row);
}

void dfqi_augment_apply(dfqi_augment *a, const dfqi_draw *d, int64_t n, const float *images,
                        float *out)
{
    int64_t side = a->side;
    job j = {.a = a, .d = d, .images = images, .out = out};
    axis(side, d->top, d->height, 0, a->from, a->from + side, a->blend);
    axis(side, d->left, d->width, d->mirror, a->from + 2 * side, a->from + 3 * side,
         a->blend + side);
    if (d->sigma > 0) { /* beyond 7 sigma weights vanish, into slow denormal numbers first */
        int64_t reach = (int64_t)ceilf(7.0f * d->sigma);
        j.radius = reach < a->radius ? reach : a->radius;
        make_kernel(a->kernel, j.radius, d->sigma);
    }
    dfqi_parallel_for(a->ctx, n, one_image, &j);
}
