/* Draws the figures: every thing in a picture is a polygon (figures_shape.c) with a paint. Colours
 * and opacities are in 1/256. Polygons are filled from eight sample lines a pixel row with the
 * exact horizontal share, hence smooth edges. Order of painting: background, clutter, shadow,
 * figure, cover, light, grain. */
#include "figures.h"

#include <stdlib.h>
#include <string.h>

#include "figures_shape.h"

#define SIDE    FIGURES_SIDE
#define LATTICE 9 /* nodes a side of the cloud texture */

/* ---- paint ---- */

struct colour {
    int32_t c[3];
};

enum texture { FLAT, GRADIENT, STRIPES, CHECKS, DOTS, CLOUDS, TEXTURES };

struct paint {
    enum texture texture;
    struct colour a, b;    /* the texture mixes these two */
    int32_t opacity;       /* of 256 */
    int32_t ux, uy, shift; /* texture axis in 1/256 period a pixel, and its offset */
    uint8_t cloud[LATTICE + 1][LATTICE + 1];
};

static struct colour random_colour(struct random *r)
{
    int32_t hue = between(r, 0, 6 * 256 - 1), value = between(r, 40, 255);
    int32_t grey = value * (255 - between(r, 20, 235)) / 255; /* the weakest channel */
    int32_t f = hue % 256, sector = hue / 256;
    int32_t mid = sector % 2 ? value - (value - grey) * f / 256 : grey + (value - grey) * f / 256;
    static const uint8_t order[6][3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1},
                                        {2, 1, 0}, {1, 2, 0}, {0, 2, 1}}; /* 0: strongest */
    const int32_t v[3] = {value, mid, grey};
    struct colour out;
    for (int32_t k = 0; k < 3; k++) out.c[k] = v[order[sector][k]];
    return out;
}

static struct colour near_colour(struct random *r, struct colour from, int32_t reach)
{
    for (int32_t k = 0; k < 3; k++) {
        int32_t v = from.c[k] + between(r, -reach, reach);
        from.c[k] = v < 0 ? 0 : v > 255 ? 255 : v;
    }
    return from;
}

/* Seven times the luma of 0 to 255. */
static int32_t brightness(struct colour a)
{
    return 2 * a.c[0] + 4 * a.c[1] + a.c[2];
}

static void random_texture(struct random *r, struct paint *p, int32_t min_period)
{
    p->texture = (enum texture)between(r, 0, TEXTURES - 1);
    p->opacity = 256;
    int32_t angle = between(r, 0, TURN - 1), period = between(r, min_period, 3 * min_period);
    if (p->texture == GRADIENT) period = 3 * SIDE * PX / 2;
    p->ux = cosine(angle) * 16 / (period / 16) * PX / ONE; /* 1/256 period a pixel */
    p->uy = sine(angle) * 16 / (period / 16) * PX / ONE;
    p->shift = between(r, 0, PX - 1);
    if (p->texture != CLOUDS) return;
    for (int32_t i = 0; i <= LATTICE; i++)
        for (int32_t j = 0; j <= LATTICE; j++) p->cloud[i][j] = (uint8_t)between(r, 0, 255);
}

/* 0..256..0 once a period of 256. */
static int32_t triangle_wave(int32_t u)
{
    u &= 255;
    return u < 128 ? 2 * u : 512 - 2 * u;
}

/* The triangle wave with its flanks made steep. */
static int32_t square_wave(int32_t u)
{
    int32_t t = (triangle_wave(u) - 128) * 4 + 128;
    return t < 0 ? 0 : t > 256 ? 256 : t;
}

static int32_t cloud_at(const struct paint *p, int32_t x, int32_t y)
{
    int32_t gx = x / 4, gy = y / 4, fx = x % 4 * 64, fy = y % 4 * 64;
    int32_t top = p->cloud[gy][gx] * (256 - fx) + p->cloud[gy][gx + 1] * fx;
    int32_t low = p->cloud[gy + 1][gx] * (256 - fx) + p->cloud[gy + 1][gx + 1] * fx;
    return (top / 256 * (256 - fy) + low / 256 * fy) / 256;
}

/* The share of colour b at a pixel, 0 to 256. */
static int32_t texture_at(const struct paint *p, int32_t x, int32_t y)
{
    int32_t u = x * p->ux + y * p->uy + p->shift;
    int32_t v = y * p->ux - x * p->uy + p->shift;
    switch (p->texture) {
    case GRADIENT:
        return triangle_wave(u);
    case STRIPES:
        return square_wave(u);
    case CHECKS: {
        int32_t a = square_wave(u), b = square_wave(v);
        return (a * (256 - b) + b * (256 - a)) / 256;
    }
    case DOTS: {
        int32_t t = (triangle_wave(u) + triangle_wave(v) - 290) * 4;
        return t < 0 ? 0 : t > 256 ? 256 : t;
    }
    case CLOUDS:
        return cloud_at(p, x, y);
    default:
        return 0;
    }
}

/* ---- filling ---- */

struct picture {
    int32_t c[SIDE][SIDE][3];
};

/* What one edge adds: right of it the winding number changes by its direction. cover[y][x] collects
 * differences along the row, in 1/256 pixel times eight sample lines. */
static void trace_edge(int32_t cover[SIDE][SIDE + 1], int32_t x0, int32_t y0, int32_t x1,
                       int32_t y1)
{
    int32_t sign = 1;
    if (y0 == y1) return;
    if (y0 > y1) {
        int32_t t = x0;
        x0 = x1, x1 = t;
        t = y0;
        y0 = y1, y1 = t;
        sign = -1;
    }
    const int32_t step = PX / 8;
    int32_t first = y0 < 0 ? 0 : (y0 + step / 2 - 1) / step; /* lines lie at step / 2 + k * step */
    int64_t slope = (int64_t)(x1 - x0) * 65536 / (y1 - y0);
    int64_t x = (int64_t)x0 * 65536 + slope * (first * step + step / 2 - y0);
    for (int32_t k = first; k < SIDE * 8 && k * step + step / 2 < y1; k++, x += slope * step) {
        if (x >= (int64_t)SIDE * PX * 65536) continue;
        int32_t at = x < 0 ? 0 : (int32_t)(x / 65536);
        cover[k / 8][at / PX] += sign * (PX - at % PX);
        cover[k / 8][at / PX + 1] += sign * (at % PX);
    }
}

static void fill(struct picture *pic, const struct polygon *p, const struct paint *paint)
{
    int32_t cover[SIDE][SIDE + 1];
    memset(cover, 0, sizeof cover);
    for (int32_t i = 0; i < p->n; i++) {
        int32_t next = i + 1 == p->hole ? 0 : i + 1 == p->n ? p->hole : i + 1;
        if (next == p->n) next = 0;
        trace_edge(cover, p->x[i], p->y[i], p->x[next], p->y[next]);
    }
    for (int32_t y = 0; y < SIDE; y++)
        for (int32_t x = 0, sum = 0; x < SIDE; x++) {
            sum += cover[y][x];
            int32_t share = abs(sum) / 8;
            if (share == 0) continue;
            share = (share > 256 ? 256 : share) * paint->opacity / 256;
            int32_t t = texture_at(paint, x, y);
            for (int32_t k = 0; k < 3; k++) {
                int32_t c = paint->a.c[k] + (paint->b.c[k] - paint->a.c[k]) * t / 256;
                pic->c[y][x][k] += (c - pic->c[y][x][k]) * share / 256;
            }
        }
}

/* ---- the picture ---- */

/* Colours of figure and background: the figure is the brighter one at every point, whatever the
 * textures do; hue and saturation are free. */
static void choose_colours(struct random *r, struct paint *back, struct paint *front)
{
    int32_t best = INT32_MIN;
    for (int32_t tries = 0; tries < 12 && best < 420; tries++) {
        struct colour ba = random_colour(r), fa = random_colour(r);
        if (brightness(ba) > brightness(fa)) {
            struct colour t = ba;
            ba = fa;
            fa = t;
        }
        struct colour bb = near_colour(r, ba, 60), fb = near_colour(r, fa, 60);
        int32_t front_least = brightness(fa), back_most = brightness(ba);
        if (brightness(fb) < front_least) front_least = brightness(fb);
        if (brightness(bb) > back_most) back_most = brightness(bb);
        if (front_least - back_most <= best) continue;
        best = front_least - back_most;
        back->a = ba, back->b = bb, front->a = fa, front->b = fb;
    }
}

static void scatter(struct random *r, struct picture *pic, int32_t pieces, int32_t length,
                    int32_t width)
{
    for (int32_t i = 0; i < pieces; i++) {
        struct polygon p;
        struct paint paint;
        memset(&paint, 0, sizeof paint);
        int32_t l = between(r, length / 2, length), w = between(r, width / 2, width);
        draw_shard(r, &p, l, w); /* arguments are evaluated in any order, declarations are not */
        paint.a = random_colour(r);
        paint.opacity = between(r, 150, 256);
        fill(pic, &p, &paint);
    }
}

static void draw_figure(struct random *r, struct picture *pic, int32_t label,
                        const struct paint *front)
{
    struct polygon p;
    draw_shape(r, label, &p);
    int32_t radius = between(r, 15 * PX / 2, 13 * PX), margin = radius * 7 / 8;
    int32_t cx = between(r, margin, SIDE * PX - margin),
            cy = between(r, margin, SIDE * PX - margin);
    place(r, &p, radius, cx, cy);
    if (between(r, 0, 2) == 0) {
        struct polygon shadow = p;
        struct paint dark;
        int32_t dx = between(r, -2 * PX, 2 * PX), dy = between(r, PX / 2, 2 * PX);
        for (int32_t i = 0; i < p.n; i++) shadow.x[i] += dx, shadow.y[i] += dy;
        memset(&dark, 0, sizeof dark);
        dark.opacity = between(r, 50, 120);
        fill(pic, &shadow, &dark);
    }
    fill(pic, &p, front);
}

/* Light falling from one side, and grain; the sum of two bytes is a triangle distribution. */
static void develop(struct random *r, const struct picture *pic, uint8_t rgb[FIGURES_BYTES])
{
    int32_t grain = between(r, 0, 32), base = between(r, 215, 256);
    int32_t lx = between(r, -3, 3), ly = between(r, -3, 3);
    for (int32_t y = 0; y < SIDE; y++)
        for (int32_t x = 0; x < SIDE; x++) {
            int32_t light = base + lx * (x - SIDE / 2) + ly * (y - SIDE / 2);
            uint64_t bits = random_bits(r);
            for (int32_t k = 0; k < 3; k++, bits >>= 16) {
                int32_t noise = (int32_t)(bits & 255) + (int32_t)(bits >> 8 & 255) - 255;
                int32_t v = (pic->c[y][x][k] * light + noise * grain) / 256;
                rgb[(y * SIDE + x) * 3 + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
}

static int32_t label_of(uint64_t seed, uint64_t index)
{
    struct random r = random_stream(seed, 1, index / FIGURES_CLASSES);
    int32_t order[FIGURES_CLASSES];
    for (int32_t i = 0; i < FIGURES_CLASSES; i++) {
        int32_t j = between(&r, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    return order[index % FIGURES_CLASSES];
}

void figures_draw(uint64_t seed, uint64_t index, uint8_t rgb[FIGURES_BYTES], int32_t *label)
{
    static const struct polygon everything = {
        4, 4, {0, SIDE * PX, SIDE * PX, 0}, {0, 0, SIDE * PX, SIDE * PX}};
    struct random r = random_stream(seed, 0, index);
    struct picture pic;
    struct paint back, front;
    int32_t chosen = label_of(seed, index);
    memset(&pic, 0, sizeof pic);
    choose_colours(&r, &back, &front);
    random_texture(&r, &back, 5 * PX);
    random_texture(&r, &front, 4 * PX);
    fill(&pic, &everything, &back);
    scatter(&r, &pic, between(&r, 0, 2), 6 * PX, 3 * PX);
    draw_figure(&r, &pic, chosen, &front);
    scatter(&r, &pic, between(&r, 0, 2), 9 * PX, 2 * PX);
    develop(&r, &pic, rgb);
    *label = chosen;
}

static const char *const class_names[FIGURES_CLASSES] = {
    "disc", "ring", "square", "triangle", "star", "cross", "crescent", "heart", "arrow", "spiral"};

const char *figures_class_name(int32_t label)
{
    return label >= 0 && label < FIGURES_CLASSES ? class_names[label] : NULL;
}
