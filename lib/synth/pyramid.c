/* Scales of images: bilinear interpolation by two, and its adjoint. */
#include "synth/pyramid.h"

#include <string.h>

#include "base/parallel.h"

enum { LEAST_SIDE = 4 };

dfqi_pyramid dfqi_pyramid_make(int64_t side, int32_t wanted)
{
    dfqi_pyramid p = {.side = side, .scales = 1, .floats = side * side};
    for (int64_t n = side; p.scales < wanted && n % 2 == 0 && n / 2 >= LEAST_SIDE; p.scales++) {
        n /= 2;
        p.floats += n * n;
    }
    return p;
}

/* Pixel i of the fine grid lies a quarter from pixel i / 2 of the coarse one, towards the other
 * neighbour that this returns; at the border it is the pixel itself. */
static int64_t neighbour(int64_t i, int64_t n)
{
    int64_t k = i % 2 ? i / 2 + 1 : i / 2 - 1;
    return k < 0 ? 0 : k < n ? k : n - 1;
}

/* fine[2n][2n] += interpolated coarse[n][n] */
static void add_up(const float *coarse, int64_t n, float *fine)
{
    for (int64_t y = 0; y < 2 * n; y++) {
        const float *a = coarse + y / 2 * n, *b = coarse + neighbour(y, n) * n;
        float *out = fine + y * 2 * n;
        for (int64_t x = 0; x < 2 * n; x++) {
            int64_t i = x / 2, k = neighbour(x, n);
            out[x] += 0.5625f * a[i] + 0.1875f * (a[k] + b[i]) + 0.0625f * b[k];
        }
    }
}

/* coarse[n][n] = the adjoint applied to fine[2n][2n] */
static void down(const float *fine, int64_t n, float *coarse)
{
    memset(coarse, 0, (size_t)(n * n) * sizeof *coarse);
    for (int64_t y = 0; y < 2 * n; y++) {
        float *a = coarse + y / 2 * n, *b = coarse + neighbour(y, n) * n;
        const float *in = fine + y * 2 * n;
        for (int64_t x = 0; x < 2 * n; x++) {
            int64_t i = x / 2, k = neighbour(x, n);
            a[i] += 0.5625f * in[x];
            a[k] += 0.1875f * in[x];
            b[i] += 0.1875f * in[x];
            b[k] += 0.0625f * in[x];
        }
    }
}

typedef struct job {
    const dfqi_pyramid *p;
    const float *g;
    float *scales, *x;
    float keep;
} job;

static void split_plane(void *arg, int64_t plane, int32_t thread)
{
    const job *j = arg;
    int64_t n = j->p->side;
    float *out = j->scales + plane * j->p->floats;
    (void)thread;
    memcpy(out, j->g + plane * n * n, (size_t)(n * n) * sizeof *out);
    for (int32_t k = 1; k < j->p->scales; k++, n /= 2, out += 4 * n * n)
        down(out, n / 2, out + n * n);
}

void dfqi_pyramid_split(dfq_context *ctx, const dfqi_pyramid *p, int64_t planes, const float *g,
                        float *out)
{
    job j = {.p = p, .g = g, .scales = out};
    dfqi_parallel_for(ctx, planes, split_plane, &j);
}

static void add_plane(void *arg, int64_t plane, int32_t thread)
{
    const job *j = arg;
    int64_t side = j->p->side, n = side >> (j->p->scales - 1), pixels = side * side;
    float *first = j->scales + plane * j->p->floats, *at = first + j->p->floats - n * n;
    float *x = j->x + plane * pixels;
    (void)thread;
    for (; at > first; n *= 2) { /* the coarsest into the next finer one, and so on */
        float *fine = at - 4 * n * n;
        add_up(at, n, fine);
        at = fine;
    }
    for (int64_t i = 0; i < pixels; i++) x[i] = j->keep * x[i] + first[i];
}

void dfqi_pyramid_add(dfq_context *ctx, const dfqi_pyramid *p, int64_t planes, float *d, float keep,
                      float *x)
{
    job j = {.p = p, .scales = d, .x = x, .keep = keep};
    dfqi_parallel_for(ctx, planes, add_plane, &j);
}
