/* Random numbers, integer geometry, and the shapes: points of unit shapes are in 1/4096. */
#include "figures_shape.h"

#include "figures.h"

/* ---- random numbers: draw n of a stream is a hash of (key, n), there is no other state ---- */

static uint64_t scramble(uint64_t z) /* the finaliser of SplitMix64, a bijection */
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct random random_stream(uint64_t seed, uint64_t stream, uint64_t index)
{
    struct random r = {0, 0};
    r.key = scramble(scramble(scramble(seed + UINT64_C(0x9e3779b97f4a7c15)) + stream) ^
                     (index * UINT64_C(0xd1342543de82ef95)));
    return r;
}

uint64_t random_bits(struct random *r)
{
    return scramble(r->key + ++r->count * UINT64_C(0x9e3779b97f4a7c15));
}

int32_t between(struct random *r, int32_t lo, int32_t hi)
{
    uint64_t span = (uint64_t)((int64_t)hi - lo + 1);
    return (int32_t)(lo + (int64_t)(((random_bits(r) >> 32) * span) >> 32));
}

/* ---- integer geometry ---- */

/* ONE * sin(angle), by the odd polynomial pi/2 x - 0.6459 x^3 + 0.0752 x^5 on a quarter turn. */
int32_t sine(int32_t angle)
{
    uint32_t a = (uint32_t)angle & (TURN - 1);
    int64_t x = a & (TURN / 2 - 1);
    if (x > TURN / 4) x = TURN / 2 - x;
    int64_t x2 = x * x / (TURN / 4); /* TURN / 4 stands for 1 */
    int64_t y = x * (25736 - x2 * (10550 - x2 * 1198 / 16384) / 16384) / 16384 * ONE / 16384;
    if (y > ONE) y = ONE;
    return (int32_t)(a >= TURN / 2 ? -y : y);
}

int32_t cosine(int32_t angle)
{
    return sine(angle + TURN / 4);
}

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

void draw_shape(struct random *r, int32_t label, struct polygon *p)
{
    p->n = 0;
    p->hole = -1;
    drawers[label](r, p);
    if (p->hole < 0) p->hole = p->n;
}

void place(struct random *r, struct polygon *p, int32_t radius, int32_t cx, int32_t cy)
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

void draw_shard(struct random *r, struct polygon *p, int32_t length, int32_t width)
{
    int32_t corners = between(r, 3, 5), start = between(r, 0, TURN - 1);
    int32_t cx = between(r, 0, FIGURES_SIDE * PX), cy = between(r, 0, FIGURES_SIDE * PX);
    int32_t turn = between(r, 0, TURN - 1), c = cosine(turn), s = sine(turn);
    p->n = 0;
    for (int32_t i = 0; i < corners; i++) {
        int32_t a = start + i * TURN / corners + between(r, -4000, 4000);
        int32_t x = length * cosine(a) / ONE, y = width * sine(a) / ONE;
        add(p, cx + (x * c - y * s) / ONE, cy + (x * s + y * c) / ONE);
    }
    p->hole = p->n;
}
