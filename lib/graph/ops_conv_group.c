/* Convolutions in groups of channels, neither one group nor one for each channel (ResNeXt, RegNet):
 * the channels of a group are copied beside each other, and the kernels of dense convolutions do
 * the rest. */
#include "graph/ops_conv_priv.h"

#include <string.h>

static dfqi_conv_shape group_of(const dfqi_conv_shape *s, int64_t groups)
{
    dfqi_conv_shape one = *s;
    one.c = s->c / groups;
    one.o = s->o / groups;
    return one;
}

static int64_t in_floats(const dfqi_conv_shape *s)
{
    return s->in_y * s->in_x * s->c;
}

static int64_t out_floats(const dfqi_conv_shape *s)
{
    return s->out_y * s->out_x * s->o;
}

int64_t dfqi_conv_group_scratch(const dfqi_conv_shape *s, int64_t groups, int64_t images)
{
    const dfqi_conv_shape one = group_of(s, groups);
    return images * (in_floats(&one) + out_floats(&one)) + (int64_t)dfqi_conv_scratch(&one);
}

/* Channels of one group, n of each pixel: wide[pixels, channels] <-> narrow[pixels, n]. */
static void gather(int64_t pixels, int64_t channels, int64_t n, const float *wide, float *narrow)
{
    for (int64_t i = 0; i < pixels; i++)
        memcpy(narrow + i * n, wide + i * channels, (size_t)n * sizeof *narrow);
}

static void scatter(int64_t pixels, int64_t channels, int64_t n, const float *narrow, float *wide)
{
    for (int64_t i = 0; i < pixels; i++)
        memcpy(wide + i * channels, narrow + i * n, (size_t)n * sizeof *wide);
}

void dfqi_conv_group_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups)
{
    const dfqi_conv_shape one = group_of(s, groups);
    int64_t packed = r->in[2].count / groups;
    float *x = r->scratch, *y = x + in_floats(&one), *rest = y + out_floats(&one);
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t i = 0; i < groups; i++) {
            const float *bias = r->in[3].data ? r->in[3].data + i * one.o : NULL;
            gather(s->in_y * s->in_x, s->c, one.c, r->in[0].data + b * in_floats(s) + i * one.c, x);
            r->k->conv(&one, x, r->in[2].data + i * packed, bias, y, rest);
            scatter(s->out_y * s->out_x, s->o, one.o, y,
                    r->out[0].data + b * out_floats(s) + i * one.o);
        }
}

void dfqi_conv_group_dx_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups)
{
    const dfqi_conv_shape one = group_of(s, groups);
    int64_t packed = r->in[2].count / groups;
    float *x = r->scratch, *y = x + in_floats(&one), *rest = y + out_floats(&one);
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t i = 0; i < groups; i++) {
            gather(s->out_y * s->out_x, s->o, one.o, r->in[0].data + b * out_floats(s) + i * one.o,
                   y);
            r->k->conv_dx(&one, y, r->in[2].data + i * packed, x, rest);
            scatter(s->in_y * s->in_x, s->c, one.c, x,
                    r->out[0].data + b * in_floats(s) + i * one.c);
        }
}

void dfqi_conv_group_dw_run(const dfqi_run *r, const dfqi_conv_shape *s, int64_t groups,
                            int64_t group, int64_t images, const float *x, const float *dy,
                            float *dw)
{
    const dfqi_conv_shape one = group_of(s, groups);
    float *in = r->scratch, *out = in + images * in_floats(&one);
    gather(images * s->in_y * s->in_x, s->c, one.c, x + group * one.c, in);
    gather(images * s->out_y * s->out_x, s->o, one.o, dy + group * one.o, out);
    r->k->conv_dw(&one, images, 0, one.o, in, out, dw, out + images * out_floats(&one));
}
