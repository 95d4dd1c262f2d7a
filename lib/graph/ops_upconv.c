/* A 3x3 convolution after nearest upsampling, computed on the small image. Pixels 2i and 2i + 1 of
 * the large image are equal, so taps that read the same small pixel are summed first. Along an
 * axis, output 2i + p reads x[i - 1], x[i] with weights w0, w1 + w2 (p = 0), or x[i], x[i + 1] with
 * w0 + w1, w2 (p = 1). This is the transposed convolution of stride 2 with the 4x4 filter
 *
 *   f_t = w_{2-t} + w_{3-t},  t = 0..3, along both axes (w_3 = w_-1 = 0)
 *
 * It needs 4 products for each 9 of the plain convolution, and the large image is never stored. */
#include "graph/ops_priv.h"

#include <string.h>

enum { TAPS = 3, SPREAD = 4 };

/* -- filter: w[O,C,3,3] -> [C,O,4,4] ----------------------------------------------------------- */

static dfq_status up_filter_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, 0);
    if (w->batched || w->rank != 4 || w->dims[2] != TAPS || w->dims[3] != TAPS)
        return dfqi_bad_shape(g, n, 0, "unbatched [O,C,3,3]");
    dfqi_out(g, n, 0, 0, 4, (int64_t[]){w->dims[1], w->dims[0], SPREAD, SPREAD});
    return DFQ_OK;
}

/* Taps that tap t of the larger filter sums: first .. last. */
static int first_tap(int t)
{
    return t < TAPS ? TAPS - 1 - t : 0;
}

static int last_tap(int t)
{
    return t > 0 ? TAPS - t : TAPS - 1;
}

static void up_filter_run(const dfqi_run *r)
{
    int64_t filters = r->in[0].dims[0], channels = r->in[0].dims[1];
    for (int64_t i = 0; i < filters * channels; i++) {
        const float *w = r->in[0].data + i * TAPS * TAPS;
        float *f = r->out[0].data + (i % channels * filters + i / channels) * SPREAD * SPREAD;
        for (int t = 0; t < SPREAD * SPREAD; t++) {
            int ty = t / SPREAD, tx = t % SPREAD;
            f[t] = 0;
            for (int y = first_tap(ty); y <= last_tap(ty); y++)
                for (int x = first_tap(tx); x <= last_tap(tx); x++) f[t] += w[y * TAPS + x];
        }
    }
}

static void up_filter_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    (void)n;
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_UP_FILTER_DW, NULL, 1, dout);
}

/* -- its adjoint: df[C,O,4,4] -> [O,C,3,3] ----------------------------------------------------- */

static dfq_status up_filter_dw_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *f = dfqi_in(g, n, 0)->dims;
    dfqi_out(g, n, 0, 0, 4, (int64_t[]){f[1], f[0], TAPS, TAPS});
    return DFQ_OK;
}

static void up_filter_dw_run(const dfqi_run *r)
{
    int64_t filters = r->out[0].dims[0], channels = r->out[0].dims[1];
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t i = 0; i < filters * channels; i++) {
        const float *f = r->in[0].data + (i % channels * filters + i / channels) * SPREAD * SPREAD;
        float *w = r->out[0].data + i * TAPS * TAPS;
        for (int t = 0; t < SPREAD * SPREAD; t++) {
            int ty = t / SPREAD, tx = t % SPREAD;
            for (int y = first_tap(ty); y <= last_tap(ty); y++)
                for (int x = first_tap(tx); x <= last_tap(tx); x++) w[y * TAPS + x] += f[t];
        }
    }
}

/* -- builder ----------------------------------------------------------------------------------- */

dfqi_id dfqi_upsample_conv(dfqi_graph *g, dfqi_id x, dfqi_id w, dfqi_id b)
{
    static const dfqi_conv_attr a = {.stride = 2, .pad = 1, .dilation = 1, .groups = 1};
    dfqi_id filter = dfqi_make(g, DFQI_OP_UP_FILTER, NULL, 1, &w);
    int64_t side[2] = {0};
    for (int i = 0; i < 2 && dfqi_has_value(g, x); i++) side[i] = 2 * g->values[x].dims[1 + i];
    return dfqi_conv_transposed(g, x, filter, b, &a, side[0], side[1]);
}

const dfqi_op dfqi_ops_upconv[] = {
    {"up_filter", 1, 1, 1, 0, up_filter_shape, up_filter_run, up_filter_grad, NULL, NULL, NULL},
    {"up_filter_dw", 1, 1, 1, 0, up_filter_dw_shape, up_filter_dw_run, NULL, NULL, NULL, NULL},
};
