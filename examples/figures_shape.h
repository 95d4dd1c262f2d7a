/* What the drawn figures are made of: random numbers and polygons. Points are in 1/256 pixel, unit
 * shapes in 1/4096, angles in 1/65536 turn. */
#ifndef FIGURES_SHAPE_H
#define FIGURES_SHAPE_H

#include <stdint.h>

#define ONE        4096  /* 1.0 of a unit shape */
#define TURN       65536 /* a full turn */
#define PX         256   /* one pixel */
#define MAX_POINTS 72

/* Draw n of a stream is a hash of (key, n), there is no other state. */
struct random {
    uint64_t key, count;
};

struct random random_stream(uint64_t seed, uint64_t stream, uint64_t index);
uint64_t random_bits(struct random *r);
/* Uniform in lo..hi, both included. */
int32_t between(struct random *r, int32_t lo, int32_t hi);

/* ONE * sin(angle) */
int32_t sine(int32_t angle);
int32_t cosine(int32_t angle);

struct polygon {
    int32_t n;    /* points of all contours */
    int32_t hole; /* first point of the second contour; n where there is none */
    int32_t x[MAX_POINTS], y[MAX_POINTS];
};

/* The figure of a class, within the unit circle. */
void draw_shape(struct random *r, int32_t label, struct polygon *p);
/* Bends the corners a little, then stretches, mirrors, turns and moves the unit shape into the
 * picture. `radius`, `cx` and `cy` in 1/256 pixel. */
void place(struct random *r, struct polygon *p, int32_t radius, int32_t cx, int32_t cy);
/* A piece of something else: three to five corners, long or compact, anywhere in the picture. */
void draw_shard(struct random *r, struct polygon *p, int32_t length, int32_t width);

#endif
