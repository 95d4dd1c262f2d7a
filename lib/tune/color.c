/* Colour operations of the augmentation, as torchvision defines them for floats. Brightness,
 * contrast and saturation blend the image with black, with its mean gray, and with its gray
 * version. Hue is rotated in HSV. */
#include <math.h>

#include "tune/augment.h"

static float clamp01(float v)
{
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

static float gray_of(const float *p, int64_t pixels)
{
    return 0.2989f * p[0] + 0.587f * p[pixels] + 0.114f * p[2 * pixels];
}

/* -- blends ------------------------------------------------------------------------------------ */

static void blend_value(float *image, int64_t count, float factor, float other)
{
    float add = (1.0f - factor) * other;
    for (int64_t i = 0; i < count; i++) image[i] = clamp01(factor * image[i] + add);
}

static void contrast(float *image, int64_t pixels, float factor)
{
    double sum = 0;
    for (int64_t i = 0; i < pixels; i++) sum += gray_of(image + i, pixels);
    blend_value(image, 3 * pixels, factor, (float)(sum / (double)pixels));
}

static void saturation(float *image, int64_t pixels, float factor)
{
    for (int64_t i = 0; i < pixels; i++) {
        float add = (1.0f - factor) * gray_of(image + i, pixels);
        for (int c = 0; c < 3; c++) {
            float *p = image + c * pixels + i;
            *p = clamp01(factor * *p + add);
        }
    }
}

/* -- hue --------------------------------------------------------------------------------------- */

/* Hue in turns and saturation; the value is the largest of r, g, b. */
static void to_hsv(const float rgb[3], float hsv[3])
{
    float r = rgb[0], g = rgb[1], b = rgb[2];
    float top = fmaxf(r, fmaxf(g, b)), range = top - fminf(r, fminf(g, b));
    float div = range > 0 ? range : 1.0f, h;
    float rc = (top - r) / div, gc = (top - g) / div, bc = (top - b) / div;
    if (top == r)
        h = bc - gc;
    else if (top == g)
        h = 2.0f + rc - bc;
    else
        h = 4.0f + gc - rc;
    h = h / 6.0f + 1.0f;
    hsv[0] = h >= 1.0f ? h - 1.0f : h;
    hsv[1] = range > 0 ? range / top : 0.0f;
    hsv[2] = top;
}

static void to_rgb(const float hsv[3], float rgb[3])
{
    float h = hsv[0] * 6.0f, s = hsv[1], v = hsv[2];
    int sector = (int)h;
    float f = h - (float)sector;
    float p = clamp01(v * (1.0f - s)), q = clamp01(v * (1.0f - s * f));
    float t = clamp01(v * (1.0f - s * (1.0f - f)));
    const float rows[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    for (int c = 0; c < 3; c++) rgb[c] = rows[sector % 6][c];
}

static void hue(float *image, int64_t pixels, float turn)
{
    for (int64_t i = 0; i < pixels; i++) {
        float rgb[3] = {image[i], image[i + pixels], image[i + 2 * pixels]}, hsv[3];
        to_hsv(rgb, hsv);
        hsv[0] += turn;
        hsv[0] -= floorf(hsv[0]);
        to_rgb(hsv, rgb);
        for (int c = 0; c < 3; c++) image[i + c * pixels] = rgb[c];
    }
}

/* -- jitter ------------------------------------------------------------------------------------ */

void dfqi_color_jitter(const dfqi_draw *d, const float mean[3], const float std[3], int64_t pixels,
                       float *image)
{
    /* into 0..1: an image is there but for rounding, and hue needs it */
    for (int c = 0; c < 3; c++)
        for (int64_t i = c * pixels; i < (c + 1) * pixels; i++)
            image[i] = clamp01(image[i] * std[c] + mean[c]);
    for (int k = 0; k < 4; k++) {
        float factor = d->color[d->order[k] & 3];
        switch (d->order[k]) {
        case DFQI_COLOR_BRIGHTNESS:
            blend_value(image, 3 * pixels, factor, 0.0f);
            break;
        case DFQI_COLOR_CONTRAST:
            contrast(image, pixels, factor);
            break;
        case DFQI_COLOR_SATURATION:
            saturation(image, pixels, factor);
            break;
        default:
            hue(image, pixels, factor);
        }
    }
    for (int c = 0; c < 3; c++)
        for (int64_t i = c * pixels; i < (c + 1) * pixels; i++)
            image[i] = (image[i] - mean[c]) / std[c];
}

void dfqi_color_gray(int64_t pixels, float *image)
{
    for (int64_t i = 0; i < pixels; i++)
        image[i] = image[i + pixels] = image[i + 2 * pixels] = gray_of(image + i, pixels);
}
