/* Images of dead leaves (leaves.h). Values are between -1 and 1 until the end. The numbers in here
 * are choices: by the accuracy of ViT-Tiny that was rounded on such images, differences between
 * neighbouring ones are within what seeds differ (studies/quantizers.md). */
#include "synth/leaves.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

enum { COLORS = 3, TEXTURES = 2, FEWEST = 60, MOST = 400 };
static const double least_radius = 4.0 / 224,
                    largest_radius = 100.0 / 224; /* of the side of a square */
static const float saturation = 0.5f, shade = 0.8f, most_texture = 0.5f, same_color = 0.9f;

typedef enum shape { DISC, RECTANGLE, RHOMBUS, SHAPES } shape;

typedef struct painter {
    dfqi_rng r;
    dfqi_size size;
    float side;                 /* root of the area, by which leaves are large */
    float *x;                   /* [3,Y,X] */
    float *texture[TEXTURES];   /* [3,Y,X], of standard deviation 1 */
    float *grid;                /* [3,(Y+2) (X+2)] */
    float base[COLORS], spread; /* the mean of all leaves' colours, and how far they are from it */
} painter;

typedef struct leaf {
    shape shape;
    float y, x, radius, cosine, sine;
    float flat;               /* the shorter axis by the longer one */
    float along, across;      /* how much brighter at the end of each axis */
    const float *texture;     /* [3,Y,X] */
    float amount;             /* of the texture */
    int64_t shift_y, shift_x; /* of the texture */
    float color[COLORS];
} leaf;

int64_t dfqi_leaves_scratch(dfqi_size size)
{
    return COLORS * (TEXTURES * dfqi_area(size) + (size.height + 2) * (size.width + 2));
}

static float clamp(float v, float most)
{
    return v < -most ? -most : v > most ? most : v;
}

/* -- textures ---------------------------------------------------------------------------------- */

/* Adds noise of one scale: N(0,1) at every `step`-th pixel, interpolated bilinearly. Colours share
 * most of it, as those of surfaces do. */
static void add_octave(painter *p, int64_t step, float weight, float *y)
{
    const dfqi_size size = p->size;
    const int64_t g = size.width / step + 2, n = (size.height / step + 2) * g;
    dfqi_rng_fill_normal(&p->r, p->grid, (size_t)(COLORS * n));
    for (int64_t i = 0; i < n; i++) {
        float common = same_color * p->grid[i], own = sqrtf(1 - same_color * same_color);
        for (int64_t c = 0; c < COLORS; c++)
            p->grid[c * n + i] = weight * (common + own * p->grid[c * n + i]);
    }
    for (int64_t c = 0; c < COLORS; c++)
        for (int64_t i = 0; i < size.height; i++) {
            const float *row = p->grid + c * n + i / step * g;
            float down = (float)(i % step) / (float)step;
            for (int64_t j = 0; j < size.width; j++, y++) {
                const float *at = row + j / step;
                float right = (float)(j % step) / (float)step;
                float top = at[0] + right * (at[1] - at[0]);
                float low = at[g] + right * (at[g + 1] - at[g]);
                *y += top + down * (low - top);
            }
        }
}

/* Noise whose amplitude falls with the frequency to the power of 1/2 to 2. An octave has the
 * amplitudes of all its frequencies, f^2 in number, so its own falls with one power less. */
static void make_texture(painter *p, float *y)
{
    const int64_t count = COLORS * dfqi_area(p->size), longer = dfqi_longer(p->size);
    float power = dfqi_rng_range(&p->r, 0.5f, 2.0f);
    double sum = 0, squares = 0;
    memset(y, 0, (size_t)count * sizeof *y);
    for (int64_t step = 1; step <= longer; step *= 2)
        add_octave(p, step, powf((float)step, power - 1), y);
    for (int64_t i = 0; i < count; i++) {
        sum += (double)y[i];
        squares += (double)y[i] * (double)y[i];
    }
    double mean = sum / (double)count, variance = squares / (double)count - mean * mean;
    float scale = variance > 0 ? (float)(1 / sqrt(variance)) : 0.0f;
    for (int64_t i = 0; i < count; i++) y[i] = (y[i] - (float)mean) * scale;
}

/* -- leaves ------------------------------------------------------------------------------------ */

static leaf draw_leaf(painter *p, float radius)
{
    dfqi_rng *r = &p->r;
    float edge = p->side / 11, angle = dfqi_rng_range(r, 0, 3.14159265f);
    leaf l = {.radius = radius, .cosine = cosf(angle), .sine = sinf(angle)};
    l.shape = (shape)dfqi_rng_below(r, SHAPES);
    l.y = dfqi_rng_range(r, -edge, (float)p->size.height + edge);
    l.x = dfqi_rng_range(r, -edge, (float)p->size.width + edge);
    l.flat = dfqi_rng_range(r, 0.3f, 1.0f);
    l.along = shade * dfqi_rng_normal(r);
    l.across = shade * dfqi_rng_normal(r);
    l.texture = p->texture[dfqi_rng_below(r, TEXTURES)];
    l.amount = dfqi_rng_range(r, 0, most_texture);
    l.shift_y = dfqi_rng_below(r, (uint32_t)p->size.height);
    l.shift_x = dfqi_rng_below(r, (uint32_t)p->size.width);
    float light = dfqi_rng_normal(r);
    for (int c = 0; c < COLORS; c++) {
        float off = 0.7f * (light + saturation * dfqi_rng_normal(r));
        l.color[c] = clamp(p->base[c] + p->spread * off, 1.2f);
    }
    return l;
}

/* u along and v across the leaf, in units of its half axes. */
static int covers(shape s, float u, float v)
{
    switch (s) {
    case DISC:
        return u * u + v * v < 1;
    case RECTANGLE:
        return fmaxf(fabsf(u), fabsf(v)) < 1;
    default:
        return fabsf(u) + fabsf(v) < 1.2f;
    }
}

static void paint(painter *p, const leaf *l)
{
    const int64_t height = p->size.height, width = p->size.width, plane = height * width;
    float reach = 1.5f * l->radius; /* over the half diagonal of a square */
    int64_t top = (int64_t)fmaxf(0, l->y - reach), left = (int64_t)fmaxf(0, l->x - reach);
    int64_t bottom = (int64_t)fminf((float)height, l->y + reach + 1);
    int64_t right = (int64_t)fminf((float)width, l->x + reach + 1);
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++) {
            float dy = (float)i - l->y, dx = (float)j - l->x;
            float u = (l->cosine * dx + l->sine * dy) / l->radius;
            float v = (l->cosine * dy - l->sine * dx) / (l->radius * l->flat);
            if (!covers(l->shape, u, v)) continue;
            int64_t from = (i + l->shift_y) % height * width + (j + l->shift_x) % width;
            float light = l->along * u + l->across * v;
            for (int64_t c = 0; c < COLORS; c++)
                p->x[c * plane + i * width + j] =
                    l->color[c] + l->amount * l->texture[c * plane + from] + light;
        }
}

/* Radii with a density that falls as r^-(power + 1). In half of the images the largest leaf is
 * painted first, so that no leaf is hidden as a whole. */
static void paint_leaves(painter *p)
{
    dfqi_rng *r = &p->r;
    int64_t count = FEWEST + dfqi_rng_below(r, MOST - FEWEST);
    int sorted = dfqi_rng_below(r, 2) == 1;
    double power = (double)dfqi_rng_range(r, 0.5f, 2.5f);
    double least = pow(least_radius, -power), largest = pow(largest_radius, -power);
    for (int64_t k = 0; k < count; k++) {
        double share = (double)dfqi_rng_uniform(r);
        if (sorted) share = ((double)(count - 1 - k) + share) / (double)count;
        double radius = pow(least + (largest - least) * share, -1 / power);
        leaf l = draw_leaf(p, (float)(radius * (double)p->side));
        paint(p, &l);
    }
}

/* -- images ------------------------------------------------------------------------------------ */

static void paint_ground(painter *p)
{
    const int64_t plane = dfqi_area(p->size);
    float light = 0.4f * dfqi_rng_normal(&p->r);
    for (int c = 0; c < COLORS; c++)
        p->base[c] = light + 0.5f * saturation * dfqi_rng_normal(&p->r);
    p->spread = dfqi_rng_range(&p->r, 0.2f, 1.0f);
    float amount = dfqi_rng_below(&p->r, 2) == 1 ? most_texture : 0.0f;
    for (int64_t c = 0; c < COLORS; c++)
        for (int64_t i = 0; i < plane; i++)
            p->x[c * plane + i] = p->base[c] + amount * p->texture[0][c * plane + i];
}

typedef struct job {
    const dfqi_arch *a;
    dfqi_rng first;
    float *scratch, *x;
} job;

static void draw_image(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const dfqi_size size = j->a->image;
    const int64_t plane = dfqi_area(size);
    float *scratch = j->scratch + thread * dfqi_leaves_scratch(size);
    painter p = {.size = size, .side = sqrtf((float)plane), .x = j->x + i * COLORS * plane};
    p.r = dfqi_rng_make(j->first.seed, j->first.stream + (uint64_t)i);
    for (int t = 0; t < TEXTURES; t++) {
        p.texture[t] = scratch + t * COLORS * plane;
        p.grid = scratch + TEXTURES * COLORS * plane;
        make_texture(&p, p.texture[t]);
    }
    paint_ground(&p);
    paint_leaves(&p);
    for (int64_t c = 0; c < COLORS; c++)
        for (int64_t k = c * plane; k < (c + 1) * plane; k++)
            p.x[k] = (0.5f * (clamp(p.x[k], 1) + 1) - j->a->mean[c]) / j->a->std[c];
}

void dfqi_leaves_draw(dfq_context *ctx, const dfqi_arch *a, dfqi_rng first, int64_t n,
                      float *scratch, float *x)
{
    job j = {.a = a, .first = first, .scratch = scratch, .x = x};
    dfqi_parallel_for(ctx, n, draw_image, &j);
}
