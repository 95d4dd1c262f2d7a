/* GDFQ's generator network (docs/METHODS.md, Generators), and its stack of convolutions, which
 * Qimera's generator network also uses. */
#include "graph/ops.h"
#include "nn/generator_priv.h"

enum { WIDE = 128, NARROW = 64, COLOURS = 3 };

void dfqi_list_stack(dfqi_weights *l, int64_t latent)
{
    const int64_t pixels = dfqi_area(dfqi_size_over(l->a->image, 4));
    dfqi_list_linear(l, "fc", WIDE * pixels, latent);
    dfqi_list_norm(l, "bn0", WIDE);
    dfqi_list_conv(l, "conv1", WIDE, WIDE, 3);
    dfqi_list_norm(l, "bn1", WIDE);
    dfqi_list_conv(l, "conv2", NARROW, WIDE, 3);
    dfqi_list_norm(l, "bn2", NARROW);
    dfqi_list_conv(l, "conv3", COLOURS, NARROW, 3);
}

static dfqi_id norm(dfqi_maker *m, dfqi_id x, float eps)
{
    return dfqi_make_norm(m, x, dfqi_batch_stats(m->g, x), eps);
}

/* Upsampling and conv1 or conv2. */
static dfqi_id larger(dfqi_maker *m, dfqi_id x)
{
    const dfqi_id *w = m->next;
    m->next += 2;
    return dfqi_upsample_conv(m->g, x, w[0], w[1]);
}

dfqi_id dfqi_make_stack(dfqi_maker *m, dfqi_id latent)
{
    const float wide = DFQI_GENERATOR_WIDE_EPS, slope = DFQI_GENERATOR_SLOPE;
    const dfqi_size map = dfqi_size_over(m->a->image, 4);
    dfqi_graph *g = m->g;
    dfqi_id x = dfqi_make_linear(m, "fc", latent);
    x = dfqi_channels_last(g, dfqi_reshape(g, x, 3, (int64_t[]){WIDE, map.height, map.width}));
    x = larger(m, norm(m, x, DFQI_GENERATOR_EPS));
    x = larger(m, dfqi_leaky_relu(g, norm(m, x, wide), slope));
    x = dfqi_leaky_relu(g, norm(m, x, wide), slope);
    return dfqi_make_image(m, dfqi_make_conv(m, "conv3", x, 3, 1));
}

void dfqi_gdfq_list(dfqi_weights *l)
{
    if (!l->a->conditional) dfqi_list_embed(l, l->a->latent);
    dfqi_list_stack(l, l->a->latent);
}

dfqi_id dfqi_gdfq_make(dfqi_maker *m)
{
    dfqi_id x = m->in->noise[0];
    if (!m->a->conditional) x = dfqi_mul(m->g, dfqi_embed(m->g, *m->next++, m->in->labels), x);
    return dfqi_make_stack(m, x);
}
