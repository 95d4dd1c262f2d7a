/* Random small layers (small_layers.h): convolutions, depthwise ones, products of one and two
 * heads. Buffers and register files are so small that they bind. */
#include "support/small_layers.h"

#include "base/rng.h"

static int64_t pick(dfqi_rng *r, const int64_t *from, uint32_t n)
{
    return from[dfqi_rng_below(r, n)];
}

static void draw_layer(dfqi_rng *r, dfqi_layer *l)
{
    static const int64_t wide[] = {3, 4, 6, 8, 12}, side[] = {3, 4, 5, 6}, taps[] = {1, 2, 3},
                         rows[] = {4, 8, 10, 12, 16}, bits[] = {2, 4, 8, 16};
    const int64_t c = pick(r, wide, 5), m = pick(r, wide, 5), p = pick(r, side, 4);
    const int64_t k = pick(r, taps, 3);
    *l = (dfqi_layer){.dim = {1, 1, c, m, p, p, k, k}, .stride = 1 + dfqi_rng_below(r, 2)};
    switch (dfqi_rng_below(r, 3)) {
    case 0:
        l->dim[DFQI_DIM_G] = c;
        l->dim[DFQI_DIM_C] = l->dim[DFQI_DIM_M] = 1;
        break;
    case 1:
        l->dim[DFQI_DIM_G] = 1 + dfqi_rng_below(r, 2);
        l->dim[DFQI_DIM_C] = pick(r, rows, 5);
        l->dim[DFQI_DIM_M] = pick(r, rows, 5);
        l->dim[DFQI_DIM_P] = pick(r, rows, 5);
        l->stride = l->dim[DFQI_DIM_Q] = l->dim[DFQI_DIM_R] = l->dim[DFQI_DIM_S] = 1;
        break;
    default:
        break;
    }
    for (int v = 0; v < DFQI_OPERANDS; v++) l->bits[v] = (int32_t)pick(r, bits, 4);
}

bool dfqt_small_layer(dfq_context *ctx, uint64_t seed, uint64_t number, dfqt_small *out)
{
    static const int64_t array[] = {2, 3, 4, 6}, file[] = {8, 16, 32}, buffer[] = {16, 32, 64, 128};
    dfqi_rng r = dfqi_rng_make(seed, number);
    dfqi_accel_space s;
    dfqi_layer l;
    draw_layer(&r, &l);
    if (dfqi_accel_space_load(ctx, "hdx-space", &s) != DFQ_OK) return false;
    s.pe_x = (dfqi_values){1, {(double)pick(&r, array, 4)}};
    s.pe_y = (dfqi_values){1, {(double)pick(&r, array, 4)}};
    s.rf_words = (dfqi_values){1, {(double)pick(&r, file, 3)}};
    s.glb_kb = (dfqi_values){1, {(double)pick(&r, buffer, 4) / 32}};
    s.dataflow = (dfqi_values){1, {dfqi_rng_below(&r, DFQI_FLOW_COUNT)}};
    dfqi_accel_space_config(&s, 0, &out->t);
    return dfqi_layer_resolve(ctx, "layer", &l, &out->t, &out->layer) == DFQ_OK;
}
