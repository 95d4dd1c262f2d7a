/* Draws the figures: every thing in a picture is a polygon with a paint. Points are in 1/256 pixel,
 * unit shapes in 1/4096, angles in 1/65536 turn, colours and opacities in 1/256. Polygons are
 * filled from eight sample lines a pixel row with the exact horizontal share, hence smooth edges.
 * Order of painting: background, clutter, shadow, figure, cover, light, grain. */
#include "figures.h"

#include <stdlib.h>
#include <string.h>

#define SIDE       FIGURES_SIDE
#define ONE        4096  /* 1.0 of a unit shape */
#define TURN       65536 /* a full turn */
#define PX         256   /* one pixel */
#define MAX_POINTS 72
#define LATTICE    9 /* nodes a side of the cloud texture */

/* ---- random numbers: draw n of a stream is a hash of (key, n), there is no other state ---- */

struct random {
    uint64_t key, count;
};

static uint64_t scramble(uint64_t z) /* the finaliser of SplitMix64, a bijection */
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct random random_stream(uint64_t seed, uint64_t stream, uint64_t index)
{
    struct random r = {0, 0};
    r.key = scramble(scramble(scramble(seed + UINT64_C(0x9e3779b97f4a7c15)) + stream) ^
                     (index * UINT64_C(0xd1342543de82ef95)));
    return r;
}

static uint64_t random_bits(struct random *r)
{
    return scramble(r->key + ++r->count * UINT64_C(0x9e3779b97f4a7c15));
}

/* Uniform in lo..hi, both included. */
static int32_t between(struct random *r, int32_t lo, int32_t hi)
{
    uint64_t span = (uint64_t)((int64_t)hi - lo + 1);
    return (int32_t)(lo + (int64_t)(((random_bits(r) >> 32) * span) >> 32));
}

/* ---- integer geometry ---- */

/* ONE * sin(angle), by the odd polynomial pi/2 x - 0.6459 x^3 + 0.0752 x^5 on a quarter turn. */
static int32_t sine(int32_t angle)
{
    uint32_t a = (uint32_t)angle & (TURN - 1);
    int64_t x = a & (TURN / 2 - 1);
    if (x > TURN / 4) x = TURN / 2 - x;
    int64_t x2 = x * x / (TURN / 4); /* TURN / 4 stands for 1 */
    int64_t y = x * (25736 - x2 * (10550 - x2 * 1198 / 16384) / 16384) / 16384 * ONE / 16384;
    if (y > ONE) y = ONE;
    return (int32_t)(a >= TURN / 2 ? -y : y);
}

static int32_t cosine(int32_t angle)
{
    return sine(angle + TURN / 4);
}

struct polygon {
    int32_t n;    /* points of all contours */
    int32_t hole; /* first point of the second contour; n where there is none */
    int32_t x[MAX_POINTS], y[MAX_POINTS];
};

static void add(struct polygon *p, int32_t x, int32_t y)
{
    p->x[p->n] = x;
    p->y[p->n] = y;
    p->n++;
}

static void add_polar(struct polygon *p, int32_t radius, int32_t angle)
{
    add(p, radius * cosine(angle) / ONE, radius * sine(angle) / ONE);
}

static void add_circle(struct polygon *p, int32_t radius, int32_t points)
{
    for (int32_t i = 0; i < points; i++) add_polar(p, radius, i * TURN / points);
}

/* ---- the ten figures, each within the unit circle ---- */

static const char *const class_names[FIGURES_CLASSES] = {
    "disc", "ring", "square", "triangle", "star", "cross", "crescent", "heart", "arrow", "spiral"};

static void draw_disc(struct random *r, struct polygon *p)
{
    (void)r;
    add_circle(p, ONE, 32);
}

static void draw_ring(struct random *r, struct polygon *p)
{
    int32_t inner = between(r, 1900, 2900);
    add_circle(p, ONE, 32);
    p->hole = p->n;
    for (int32_t i = 24; i > 0; i--) add_polar(p, inner, i * TURN / 24); /* the other way round */
}

static void draw_square(struct random *r, struct polygon *p)
{
    (void)r;
    for (int32_t i = 0; i < 4; i++) add_polar(p, ONE * 9 / 8, i * TURN / 4 + TURN / 8);
}

static void draw_triangle(struct random *r, struct polygon *p)
{
    int32_t lean = between(r, -2500, 2500);
    add_polar(p, ONE * 9 / 8, lean);
    add_polar(p, ONE * 9 / 8, TURN / 3);
    add_polar(p, ONE * 9 / 8, 2 * TURN / 3);
}

static void draw_star(struct random *r, struct polygon *p)
{
    int32_t inner = between(r, 1600, 2000);
    for (int32_t i = 0; i < 10; i++) add_polar(p, i % 2 ? inner : ONE * 9 / 8, i * TURN / 10);
}

static void draw_cross(struct random *r, struct polygon *p)
{
    int32_t w = between(r, 900, 1450), e = ONE;
    const int32_t xs[12] = {w, w, e, e, w, w, -w, -w, -e, -e, -w, -w};
    const int32_t ys[12] = {-e, -w, -w, w, w, e, e, w, w, -w, -w, -e};
    for (int32_t i = 0; i < 12; i++) add(p, xs[i], ys[i]);
}

static void draw_crescent(struct random *r, struct polygon *p)
{
    int32_t squeeze = between(r, 900, 2000); /* the inner arc is the outer one, pressed flat */
    int32_t chord = cosine(TURN / 6);
    for (int32_t i = 0; i <= 20; i++) add_polar(p, ONE, TURN / 6 + i * (TURN * 2 / 3) / 20);
    for (int32_t i = 19; i > 0; i--) {
        add_polar(p, ONE, TURN / 6 + i * (TURN * 2 / 3) / 20);
        p->x[p->n - 1] = chord + (p->x[p->n - 1] - chord) * squeeze / ONE;
    }
    for (int32_t i = 0; i < p->n; i++) p->x[i] += ONE / 4;
}

static void draw_heart(struct random *r, struct polygon *p)
{
    (void)r;
    for (int32_t i = 0; i < 32; i++) {
        int32_t t = i * TURN / 32;
        int64_t s = sine(t);
        int32_t x = (int32_t)(s * s / ONE * s / ONE);
        int32_t y = 13 * cosine(t) - 5 * cosine(2 * t) - 2 * cosine(3 * t) - cosine(4 * t);
        add(p, x, -y / 16 - ONE / 8);
    }
}

static void draw_arrow(struct random *r, struct polygon *p)
{
    int32_t w = between(r, 650, 1050), b = between(r, 2600, 3200), h = between(r, -300, 800);
    int32_t tip = ONE * 9 / 8;
    const int32_t xs[7] = {-tip, h, h, tip, h, h, -tip};
    const int32_t ys[7] = {-w, -w, -b, 0, b, w, w};
    for (int32_t i = 0; i < 7; i++) add(p, xs[i], ys[i]);
}

static void draw_spiral(struct random *r, struct polygon *p)
{
    int32_t turns = between(r, TURN * 3 / 2, TURN * 7 / 4), half = between(r, 370, 480);
    for (int32_t i = 0; i <= 30; i++) add_polar(p, 500 + i * 3450 / 30 + half, turns * i / 30);
    for (int32_t i = 30; i >= 0; i--) add_polar(p, 500 + i * 3450 / 30 - half, turns * i / 30);
}

static void (*const drawers[FIGURES_CLASSES])(struct random *, struct polygon *) = {
    draw_disc,  draw_ring,     draw_square, draw_triangle, draw_star,
    draw_cross, draw_crescent, draw_heart,  draw_arrow,    draw_spiral};

/* Bends the corners a little, then stretches, mirrors, turns and moves the unit shape into the
 * picture. `radius`, `cx` and `cy` in 1/256 pixel. */
static void place(struct random *r, struct polygon *p, int32_t radius, int32_t cx, int32_t cy)
{
    int32_t angle = between(r, 0, TURN - 1), c = cosine(angle), s = sine(angle);
    int32_t flip = between(r, 0, 1) ? 1 : -1;
    int32_t rx = radius * between(r, 212, 256) / 256, ry = radius * between(r, 212, 256) / 256;
    int32_t skew = between(r, -600, 600);
    int32_t bend = p->n < 16 ? ONE / 24 : ONE / 96;
    for (int32_t i = 0; i < p->n; i++) {
        int64_t x = p->x[i] + between(r, -bend, bend), y = p->y[i] + between(r, -bend, bend);
        x = (x + y * skew / ONE) * rx * flip / ONE;
        y = y * ry / ONE;
        p->x[i] = cx + (int32_t)((x * c - y * s) / ONE);
        p->y[i] = cy + (int32_t)((x * s + y * c) / ONE);
    }
}

/* A piece of something else: three to five corners, long or compact. */
static void draw_shard(struct random *r, struct polygon *p, int32_t length, int32_t width)
{
    int32_t corners = between(r, 3, 5), start = between(r, 0, TURN - 1);
    int32_t cx = between(r, 0, SIDE * PX), cy = between(r, 0, SIDE * PX);
    int32_t turn = between(r, 0, TURN - 1), c = cosine(turn), s = sine(turn);
    p->n = 0;
    for (int32_t i = 0; i < corners; i++) {
        int32_t a = start + i * TURN / corners + between(r, -4000, 4000);
        int32_t x = length * cosine(a) / ONE, y = width * sine(a) / ONE;
        add(p, cx + (x * c - y * s) / ONE, cy + (x * s + y * c) / ONE);
    }
    p->hole = p->n;
}

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
    p.n = 0;
    p.hole = -1;
    drawers[label](r, &p);
    if (p.hole < 0) p.hole = p.n;
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

const char *figures_class_name(int32_t label)
{
    return label >= 0 && label < FIGURES_CLASSES ? class_names[label] : NULL;
}
