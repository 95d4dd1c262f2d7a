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
static void draw_crop(dfqi_rng *r, dfqi_size size, float smallest, dfqi_draw *d)
{
    double area = (double)size.height * (double)size.width, log_ratio = log(4.0 / 3.0);
    for (int i = 0; i < CROP_TRIES; i++) {
        double target = area * dfqi_rng_range(r, smallest, 1.0f);
        double ratio = exp(log_ratio * (2.0 * dfqi_rng_uniform(r) - 1.0));
        int64_t width = round_even(sqrt(target * ratio));
        int64_t height = round_even(sqrt(target / ratio));
        if (width < 1 || width > size.width || height < 1 || height > size.height) continue;
        d->top = dfqi_rng_below(r, (uint32_t)(size.height - height + 1));
        d->left = dfqi_rng_below(r, (uint32_t)(size.width - width + 1));
        d->height = height;
        d->width = width;
        return;
    }
}

void dfqi_augment_draw(dfqi_augment_kind kind, uint64_t seed, int64_t step, dfqi_size size,
                       dfqi_draw *out)
{
    dfqi_draw d = {.height = size.height, .width = size.width};
    dfqi_rng r = dfqi_rng_make(seed, (uint64_t)AUGMENT_STREAM << 60 | (uint64_t)step);
    if (kind != DFQI_AUGMENT_NONE) {
        d.mirror = dfqi_rng_uniform(&r) < 0.5f;
        d.jitter = dfqi_rng_uniform(&r) < 0.8f;
        d.gray = dfqi_rng_uniform(&r) < 0.2f;
        d.sigma = dfqi_rng_range(&r, 0.1f, 2.0f);
        dfqi_rng_permute(&r, d.order, 4);
        for (int i = 0; i < 3; i++) d.color[i] = dfqi_rng_range(&r, 0.2f, 1.8f);
        d.color[DFQI_COLOR_HUE] = dfqi_rng_range(&r, -0.2f, 0.2f);
        draw_crop(&r, size, kind == DFQI_AUGMENT_FULL ? 0.08f : 0.5f, &d);
    }
    if (kind == DFQI_AUGMENT_MILD || kind == DFQI_AUGMENT_SYNTHETIC) {
        d.jitter = d.gray = 0;
        d.sigma = 0;
    }
    if (kind == DFQI_AUGMENT_SYNTHETIC) {
        d.each = 1;
        d.sigma = (float)dfqi_shorter(size) / 224 *
                  expf(dfqi_rng_range(&r, 0, 1.8f)); /* 1 to 6 of 224 pixels */
        d.own = dfqi_rng_make(seed, (uint64_t)OWN_STREAM << 60 | (uint64_t)step * MOST_IMAGES);
    }
    *out = d;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Kernel int(0.1 shorter side), made odd. */
static int64_t blur_radius(dfqi_size size)
{
    return (int64_t)(0.1 * (double)dfqi_shorter(size)) / 2;
}

/* A plane with margins above and below, a row with both of its own, and two planes. */
static int64_t scratch_floats(dfqi_size size)
{
    const int64_t margins = 2 * blur_radius(size);
    return (size.height + margins) * size.width + size.width + margins + 2 * dfqi_area(size);
}

/* Floats and 32-bit integers together. */
static int64_t words(const dfq_context *ctx, dfqi_size size)
{
    return ctx->threads * scratch_floats(size) + 3 * (size.height + size.width) +
           2 * blur_radius(size) + 1;
}

double dfqi_augment_bytes(const dfq_context *ctx, dfqi_size size)
{
    return (double)words(ctx, size) * (double)sizeof(float);
}

dfq_status dfqi_augment_new(dfq_context *ctx, dfqi_size size, const float mean[3],
                            const float std[3], dfqi_augment *out)
{
    dfqi_augment a = {.ctx = ctx, .size = size, .radius = blur_radius(size)};
    const int64_t axes = size.height + size.width;
    memcpy(a.mean, mean, sizeof a.mean);
    memcpy(a.std, std, sizeof a.std);
    a.scratch = dfqi_calloc(ctx, (size_t)(words(ctx, size) - 2 * axes), sizeof *a.scratch);
    a.from = dfqi_calloc(ctx, 2 * (size_t)axes, sizeof *a.from);
    if (!a.scratch || !a.from) {
        dfqi_augment_fini(&a);
        return DFQ_E_NOMEM;
    }
    a.blend = a.scratch + ctx->threads * scratch_floats(size);
    a.kernel = a.blend + axes;
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
    const int64_t height = a->size.height, width = a->size.width;
    const int32_t *top = a->from, *bottom = top + height, *left = bottom + height,
                  *right = left + width;
    const float *down = a->blend, *across = a->blend + height;
    for (int64_t y = 0; y < height; y++, out += width) {
        const float *p = in + top[y] * width, *q = in + bottom[y] * width;
        for (int64_t x = d->left; x < d->left + d->width; x++)
            row[x] = p[x] + down[y] * (q[x] - p[x]);
        for (int64_t x = 0; x < width; x++)
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
    const int64_t height = j->a->size.height, width = j->a->size.width;
    const int64_t radius = j->radius, taps = 2 * radius + 1;
    for (int64_t y = 0; y < height; y++) {
        for (int64_t i = -radius; i < width + radius; i++)
            row[i + radius] = x[y * width + reflect(i, width)];
        weigh(j->a->kernel, taps, row, 1, width, plane + (y + radius) * width);
    }
    for (int64_t y = -radius; y < height + radius; y++)
        if (y < 0 || y >= height)
            memcpy(plane + (y + radius) * width, plane + (reflect(y, height) + radius) * width,
                   (size_t)width * sizeof *plane);
    for (int64_t y = 0; y < height; y++)
        weigh(j->a->kernel, taps, plane + y * width, width, width, x + y * width);
}

/* -- colours and focus of each image ----------------------------------------------------------- */

void dfqi_augment_focus(dfqi_rng *r, dfqi_size size, float *share)
{
    enum { WAVES = 4 };
    float along[WAVES], across[WAVES], phase[WAVES], turn = 6.2831853f;
    for (int k = 0; k < WAVES; k++) {
        along[k] = turn / (float)size.height * dfqi_rng_range(r, -1.5f, 1.5f);
        across[k] = turn / (float)size.width * dfqi_rng_range(r, -1.5f, 1.5f);
        phase[k] = dfqi_rng_range(r, 0, 6.2831853f);
    }
    float deviation = sqrtf(0.5f * WAVES), cut = deviation * dfqi_rng_range(r, -1.3f, 0);
    for (int64_t y = 0; y < size.height; y++)
        for (int64_t x = 0; x < size.width; x++) {
            float wave = 0;
            for (int k = 0; k < WAVES; k++)
                wave += cosf(along[k] * (float)y + across[k] * (float)x + phase[k]);
            *share++ = 1 / (1 + expf(8 * (cut - wave) / deviation));
        }
}

/* Optimised images have colours far apart and detail everywhere, photographs have not. (ViT-Tiny,
 * W4A4, 96 images: the cosine between the gradient of the KL loss on them and on 256 photographs is
 * 0.35 for images of kind attention, 0.41 at half the saturation, 0.45 at a random one, 0.48 with
 * parts out of focus too, 0.55 for other photographs.) */
static void vary_image(const job *j, int64_t i, float *out, float *scratch)
{
    const dfqi_augment *a = j->a;
    const int64_t width = a->size.width, pixels = dfqi_area(a->size);
    float *row = scratch + pixels + 2 * a->radius * width, *share = row + width + 2 * a->radius;
    float *sharp = share + pixels;
    dfqi_rng r = dfqi_rng_make(j->d->own.seed, j->d->own.stream + (uint64_t)i);
    dfqi_draw colors = {.order = {DFQI_COLOR_SATURATION, DFQI_COLOR_CONTRAST, DFQI_COLOR_BRIGHTNESS,
                                  DFQI_COLOR_HUE}};
    colors.color[DFQI_COLOR_SATURATION] = dfqi_rng_uniform(&r);
    colors.color[DFQI_COLOR_CONTRAST] = dfqi_rng_range(&r, 0.6f, 1.1f);
    colors.color[DFQI_COLOR_BRIGHTNESS] = dfqi_rng_range(&r, 0.6f, 1.4f);
    dfqi_color_jitter(&colors, a->mean, a->std, pixels, out);
    if (dfqi_rng_below(&r, 2) == 0) return;
    dfqi_augment_focus(&r, a->size, share);
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
    const int64_t pixels = dfqi_area(a->size), height = a->size.height, width = a->size.width;
    const float *in = j->images + i * 3 * pixels;
    float *out = j->out + i * 3 * pixels;
    float *plane = a->scratch + thread * scratch_floats(a->size);
    float *row = plane + (height + 2 * a->radius) * width;
    if (d->height == height && d->width == width && !d->mirror)
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
    const int64_t height = a->size.height, width = a->size.width;
    job j = {.a = a, .d = d, .images = images, .out = out};
    int32_t *left = a->from + 2 * height;
    axis(height, d->top, d->height, 0, a->from, a->from + height, a->blend);
    axis(width, d->left, d->width, d->mirror, left, left + width, a->blend + height);
    if (d->sigma > 0) { /* beyond 7 sigma weights vanish, into slow denormal numbers first */
        int64_t reach = (int64_t)ceilf(7.0f * d->sigma);
        j.radius = reach < a->radius ? reach : a->radius;
        make_kernel(a->kernel, j.radius, d->sigma);
    }
    dfqi_parallel_for(a->ctx, n, one_image, &j);
}
