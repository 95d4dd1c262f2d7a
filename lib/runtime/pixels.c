/* Reads images: bytes or floats, in any layout. */
#include "runtime/program_priv.h"

void dfqi_rt_pixels(const dfqi_rt_frame *f, int64_t i, int64_t c, int64_t y, int64_t x, int64_t n,
                    float *out, int64_t step)
{
    const dfqi_pixels *from = f->pixels;
    const int64_t *stride = from->stride, next = stride[3];
    const int64_t at = (f->first + i) * stride[0] + c * stride[1] + y * stride[2] + x * next;
    if (from->bytes) {
        const uint8_t *v = (const uint8_t *)from->data + at;
        const float *table = f->p->table[c];
        for (int64_t k = 0; k < n; k++) out[k * step] = table[v[k * next]];
    } else {
        const float *v = (const float *)from->data + at;
        for (int64_t k = 0; k < n; k++) out[k * step] = v[k * next];
    }
}

/* A unit is a patch, [C, size, size]. */
void dfqi_rt_run_patches(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                         int64_t count)
{
    const int64_t size = s->attr.i[0], across = f->p->preprocess.size.width / size;
    float *out = dfqi_rt_at(f, s->out[0], s->units, first);
    for (int64_t u = first; u < first + count; u++) {
        const int64_t image = u / s->units, patch = u % s->units;
        for (int64_t c = 0; c < f->p->channels; c++)
            for (int64_t y = 0; y < size; y++, out += size)
                dfqi_rt_pixels(f, image, c, patch / across * size + y, patch % across * size, size,
                               out, 1);
    }
}

/* A unit is a row of pixels, [X, C]. */
void dfqi_rt_run_channels_last(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                               int64_t count)
{
    const int64_t width = f->p->preprocess.size.width, channels = f->p->channels;
    float *out = dfqi_rt_at(f, s->out[0], s->units, first);
    for (int64_t u = first; u < first + count; u++, out += width * channels)
        for (int64_t c = 0; c < channels; c++)
            dfqi_rt_pixels(f, u / s->units, c, u % s->units, 0, width, out + c, channels);
}

/* Three planes of codes become pixels. */
static void interleave(int64_t n, const uint8_t *planes, uint8_t *pixels)
{
    const uint8_t *r = planes, *g = planes + n, *b = planes + 2 * n;
    for (int64_t i = 0; i < n; i++) {
        pixels[4 * i] = r[i];
        pixels[4 * i + 1] = g[i];
        pixels[4 * i + 2] = b[i];
        pixels[4 * i + 3] = 0;
    }
}

/* A unit is a row of pixels, as above. Scratch memory: a row of each channel, and its codes. */
void dfqi_rt_run_image_codes(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first,
                             int64_t count)
{
    const int64_t width = f->p->preprocess.size.width, channels = f->p->channels;
    const dfqi_grid grid = dfqi_rt_static_grid(s, f);
    float *floats = (float *)(void *)f->scratch;
    uint8_t *codes = (uint8_t *)(floats + channels * width);
    uint8_t *out = dfqi_rt_at(f, s->out[0], s->units, first);
    for (int64_t u = first; u < first + count; u++, out += width * dfqi_int_row(channels)) {
        for (int64_t c = 0; c < channels; c++)
            dfqi_rt_pixels(f, u / s->units, c, u % s->units, 0, width, floats + c * width, 1);
        f->p->ik->quantize(channels, width, &grid, floats, width, codes, width);
        interleave(width, codes, out);
    }
}
