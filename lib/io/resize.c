/* Pillow's Image.resize (src/libImaging/Resample.c), bit for bit. It makes two separable passes
 * with the filter stretched by the shrink factor. Coefficients are 22-bit fixed-point numbers; sums
 * are rounded and clipped to 8 bits after each pass. Equal bits matter because published accuracies
 * were measured with that resampler. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/image_priv.h"

enum { PRECISION_BITS = 22 };

/* For every output position: the first input, the number of inputs, and their weights. */
typedef struct taps {
    dfq_context *ctx;
    int32_t cap; /* weights per output position */
    int32_t *first;
    int32_t *count;
    int32_t *weight; /* [out][cap] */
} taps;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys' cubic with a = -0.5. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void taps_fini(taps *t)
{
    dfqi_free(t->ctx, t->first);
    dfqi_free(t->ctx, t->count);
    dfqi_free(t->ctx, t->weight);
}

/* Weights of output i of those computed, `at_full` in the full picture; `w` is scratch for cap
 * values. */
static void taps_fill(taps *t, int32_t i, int32_t at_full, int32_t n_in, double scale,
                      dfqi_filter filter, double *w)
{
    const double stretch = scale < 1.0 ? 1.0 : scale;
    const double support = (filter == DFQI_BICUBIC ? 2.0 : 1.0) * stretch;
    const double centre = (at_full + 0.5) * scale, step = 1.0 / stretch;
    double sum = 0.0;
    int32_t lo = (int32_t)(centre - support + 0.5), hi = (int32_t)(centre + support + 0.5);
    if (lo < 0) lo = 0;
    if (hi > n_in) hi = n_in;
    for (int32_t x = 0; x < hi - lo; x++) {
        double at = (x + lo - centre + 0.5) * step;
        w[x] = filter == DFQI_BICUBIC ? cubic(at) : triangle(at);
        sum += w[x];
    }
    int32_t *out = t->weight + (size_t)i * (size_t)t->cap;
    for (int32_t x = 0; x < hi - lo; x++) {
        double v = (sum != 0.0 ? w[x] / sum : w[x]) * (1 << PRECISION_BITS);
        out[x] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    t->first[i] = lo;
    t->count[i] = hi - lo;
}

static dfq_status taps_new(dfq_context *ctx, int32_t n_in, dfqi_span span, dfqi_filter filter,
                           taps *out)
{
    const double scale = (double)n_in / span.full;
    const double support = (filter == DFQI_BICUBIC ? 2.0 : 1.0) * (scale < 1.0 ? 1.0 : scale);
    taps t = {ctx, (int32_t)ceil(support) * 2 + 1, NULL, NULL, NULL};
    size_t n = (size_t)span.count;
    double *w = dfqi_calloc(ctx, (size_t)t.cap, sizeof *w);
    t.first = dfqi_calloc(ctx, n, sizeof *t.first);
    t.count = dfqi_calloc(ctx, n, sizeof *t.count);
    t.weight = dfqi_calloc(ctx, n * (size_t)t.cap, sizeof *t.weight);
    bool ok = w && t.first && t.count && t.weight;
    if (ok)
        for (int32_t i = 0; i < span.count; i++)
            taps_fill(&t, i, span.first + i, n_in, scale, filter, w);
    dfqi_free(ctx, w);
    if (!ok) {
        taps_fini(&t);
        return DFQ_E_NOMEM;
    }
    *out = t;
    return DFQ_OK;
}

static uint8_t clip8(int32_t v)
{
    return v < 0 ? 0 : (v >> PRECISION_BITS) > 255 ? 255 : (uint8_t)(v >> PRECISION_BITS);
}

static dfq_status pass_horizontal(const dfqi_image *in, dfqi_span across, dfqi_filter filter,
                                  dfqi_image *out)
{
    taps t;
    int32_t width = across.count;
    DFQI_TRY(taps_new(in->ctx, in->width, across, filter, &t));
    dfqi_image im;
    dfq_status status = dfqi_image_new(in->ctx, width, in->height, &im);
    for (size_t y = 0; status == DFQ_OK && y < (size_t)in->height; y++) {
        const uint8_t *row = in->rgb + y * (size_t)in->width * 3;
        uint8_t *dst = im.rgb + y * (size_t)width * 3;
        for (int32_t x = 0; x < width; x++, dst += 3) {
            const uint8_t *p = row + (size_t)t.first[x] * 3;
            const int32_t *w = t.weight + (size_t)x * (size_t)t.cap;
            int32_t r = 1 << (PRECISION_BITS - 1), g = r, b = r;
            for (int32_t k = 0; k < t.count[x]; k++, p += 3) {
                r += p[0] * w[k];
                g += p[1] * w[k];
                b += p[2] * w[k];
            }
            dst[0] = clip8(r);
            dst[1] = clip8(g);
            dst[2] = clip8(b);
        }
    }
    taps_fini(&t);
    if (status == DFQ_OK) *out = im;
    return status;
}

static dfq_status pass_vertical(const dfqi_image *in, dfqi_span down, dfqi_filter filter,
                                dfqi_image *out)
{
    taps t;
    int32_t height = down.count;
    size_t row = (size_t)in->width * 3;
    DFQI_TRY(taps_new(in->ctx, in->height, down, filter, &t));
    dfqi_image im = {.ctx = in->ctx};
    dfq_status status = DFQ_OK;
    /* One row of sums, so that the picture is walked along its rows. */
    int32_t *sum = dfqi_calloc(in->ctx, row, sizeof *sum);
    if (!sum) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    DFQI_GOTO(dfqi_image_new(in->ctx, in->width, height, &im), out);
    for (int32_t y = 0; y < height; y++) {
        const int32_t *w = t.weight + (size_t)y * (size_t)t.cap;
        for (size_t i = 0; i < row; i++) sum[i] = 1 << (PRECISION_BITS - 1);
        for (int32_t k = 0; k < t.count[y]; k++) {
            const uint8_t *p = in->rgb + (size_t)(t.first[y] + k) * row;
            for (size_t i = 0; i < row; i++) sum[i] += p[i] * w[k];
        }
        for (size_t i = 0; i < row; i++) im.rgb[(size_t)y * row + i] = clip8(sum[i]);
    }
    *out = im;
out:
    dfqi_free(in->ctx, sum);
    taps_fini(&t);
    return status;
}

/* Is the axis left as it is? */
static bool untouched(dfqi_span s, int32_t n)
{
    return s.full == n && s.count == n;
}

dfq_status dfqi_image_resize_part(const dfqi_image *in, dfqi_span across, dfqi_span down,
                                  dfqi_filter filter, dfqi_image *out)
{
    dfqi_image wide = *in;
    if (!untouched(across, in->width)) DFQI_TRY(pass_horizontal(in, across, filter, &wide));
    dfq_status status = DFQ_OK;
    if (!untouched(down, in->height)) {
        status = pass_vertical(&wide, down, filter, out);
        if (wide.rgb != in->rgb) dfqi_image_fini(&wide);
    } else if (wide.rgb != in->rgb) {
        *out = wide;
    } else {
        dfqi_image copy;
        DFQI_TRY(dfqi_image_new(in->ctx, in->width, in->height, &copy));
        memcpy(copy.rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
        *out = copy;
    }
    return status;
}

dfq_status dfqi_image_resize(const dfqi_image *in, int32_t width, int32_t height,
                             dfqi_filter filter, dfqi_image *out)
{
    DFQI_TRY(dfqi_image_check(in->ctx, "resized picture", width, height));
    return dfqi_image_resize_part(in, (dfqi_span){width, 0, width}, (dfqi_span){height, 0, height},
                                  filter, out);
}

/* -- grids of floats --------------------------------------------------------------------------- */

/* One axis: in[outer][n][inner] -> out[outer][t->n][inner]. */
static void pass_floats(const taps *t, size_t outer, size_t n_in, size_t n_out, size_t inner,
                        const float *in, float *out)
{
    const double unit = 1.0 / (1 << PRECISION_BITS);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < n_out; i++) {
            const int32_t *w = t->weight + i * (size_t)t->cap;
            const float *from = in + (o * n_in + (size_t)t->first[i]) * inner;
            float *to = out + (o * n_out + i) * inner;
            for (size_t c = 0; c < inner; c++) {
                double sum = 0;
                for (size_t k = 0; k < (size_t)t->count[i]; k++)
                    sum += (double)from[k * inner + c] * w[k] * unit;
                to[c] = (float)sum;
            }
        }
}

static dfq_status taps_of(dfq_context *ctx, int64_t from, int64_t to, dfqi_filter filter, taps *out)
{
    return taps_new(ctx, (int32_t)from, (dfqi_span){(int32_t)to, 0, (int32_t)to}, filter, out);
}

dfq_status dfqi_grid_resize(dfq_context *ctx, const float *in, dfqi_size from, size_t channels,
                            dfqi_size to, dfqi_filter filter, float *out)
{
    taps across, down;
    size_t height = (size_t)from.height, width = (size_t)to.width, row = width * channels;
    DFQI_TRY(taps_of(ctx, from.width, to.width, filter, &across));
    dfq_status status = taps_of(ctx, from.height, to.height, filter, &down);
    float *wide = status == DFQ_OK ? dfqi_calloc(ctx, height, row * sizeof *wide) : NULL;
    if (wide) {
        pass_floats(&across, height, (size_t)from.width, width, channels, in, wide);
        pass_floats(&down, 1, height, (size_t)to.height, row, wide, out);
    }
    dfqi_free(ctx, wide);
    taps_fini(&across);
    if (status == DFQ_OK) taps_fini(&down);
    return wide ? DFQ_OK : DFQ_E_NOMEM;
}
