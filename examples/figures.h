/* A labelled image set that needs no download: ten classes of drawn figures, 32 x 32 pixels, in any
 * colour, place, size and rotation, textured, partly covered and noisy.
 *
 * Image `index` of set `seed` is a pure function of the two numbers: integer arithmetic only and a
 * counter-based generator, so every machine, compiler and thread draws the same bytes. Ten
 * consecutive images starting at a multiple of ten hold every class once, in random order. */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FIGURES_CLASSES 10
#define FIGURES_SIDE    32
#define FIGURES_BYTES   (FIGURES_SIDE * FIGURES_SIDE * 3)

/* Draws one image as rgb[y][x][3] and tells its class, 0 to FIGURES_CLASSES - 1. Thread-safe. */
void figures_draw(uint64_t seed, uint64_t index, uint8_t rgb[FIGURES_BYTES], int32_t *label);

/* "disc", "ring", ...; NULL outside of the range. */
const char *figures_class_name(int32_t label);

#ifdef __cplusplus
}
#endif
#endif
