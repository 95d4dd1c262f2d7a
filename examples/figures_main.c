/* figures OUT N SEED [SHEET.png]: writes N figures as a CIFAR-10 binary file (one label byte, then
 * red, green and blue planes of 32 x 32), which `dfq eval --data OUT` reads, and if asked a contact
 * sheet with one column per class. */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

#define ZOOM         2
#define GAP          6
#define ROWS         8
#define CELL         (FIGURES_SIDE * ZOOM + GAP)
#define SHEET_WIDTH  (FIGURES_CLASSES * CELL + GAP)
#define SHEET_HEIGHT (ROWS * CELL + GAP)

static int write_set(const char *path, uint64_t n, uint64_t seed)
{
    FILE *f = fopen(path, "wb");
    if (!f) {
        fprintf(stderr, "figures: cannot write %s: %s\n", path, strerror(errno));
        return 1;
    }
    int bad = 0;
    for (uint64_t i = 0; i < n && !bad; i++) {
        uint8_t rgb[FIGURES_BYTES], row[1 + FIGURES_BYTES];
        int32_t label;
        figures_draw(seed, i, rgb, &label);
        row[0] = (uint8_t)label;
        for (int p = 0; p < FIGURES_SIDE * FIGURES_SIDE; p++)
            for (int k = 0; k < 3; k++)
                row[1 + k * FIGURES_SIDE * FIGURES_SIDE + p] = rgb[3 * p + k];
        bad = fwrite(row, sizeof row, 1, f) != 1;
    }
    if (fclose(f) != 0) bad = 1;
    if (bad) {
        fprintf(stderr, "figures: writing %s failed\n", path);
        remove(path);
    }
    return bad;
}

static void paste(uint8_t *sheet, int left, int top, const uint8_t rgb[FIGURES_BYTES])
{
    for (int y = 0; y < FIGURES_SIDE * ZOOM; y++)
        for (int x = 0; x < FIGURES_SIDE * ZOOM; x++)
            memcpy(sheet + ((size_t)(top + y) * SHEET_WIDTH + (size_t)(left + x)) * 3,
                   rgb + (y / ZOOM * FIGURES_SIDE + x / ZOOM) * 3, 3);
}

static int write_sheet(const char *path, uint64_t seed)
{
    uint8_t *sheet = malloc((size_t)SHEET_WIDTH * SHEET_HEIGHT * 3);
    png_image image;
    if (!sheet) {
        fprintf(stderr, "figures: no memory for the contact sheet\n");
        return 1;
    }
    memset(sheet, 246, (size_t)SHEET_WIDTH * SHEET_HEIGHT * 3);
    /* Every ten images hold each class once, so this many fill the sheet. */
    for (uint64_t i = 0; i < FIGURES_CLASSES * ROWS; i++) {
        uint8_t rgb[FIGURES_BYTES];
        int32_t label;
        figures_draw(seed, i, rgb, &label);
        paste(sheet, GAP + label * CELL, GAP + (int)(i / FIGURES_CLASSES) * CELL, rgb);
    }
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = SHEET_WIDTH;
    image.height = SHEET_HEIGHT;
    image.format = PNG_FORMAT_RGB;
    int ok = png_image_write_to_file(&image, path, 0, sheet, 0, NULL);
    if (!ok) fprintf(stderr, "figures: cannot write %s: %s\n", path, image.message);
    free(sheet);
    return !ok;
}

static int parse_count(const char *text, const char *what, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno) {
        fprintf(stderr, "figures: %s is not a whole number: %s\n", what, text);
        return 1;
    }
    *out = v;
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t n, seed;
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: figures OUT N SEED [SHEET.png]\nclasses:");
        for (int32_t c = 0; c < FIGURES_CLASSES; c++)
            fprintf(stderr, " %d %s", (int)c, figures_class_name(c));
        fprintf(stderr, "\n");
        return 2;
    }
    if (parse_count(argv[2], "N", &n) || parse_count(argv[3], "SEED", &seed)) return 2;
    if (write_set(argv[1], n, seed)) return 1;
    return argc == 5 && write_sheet(argv[4], seed);
}
