/* Convolution and its gradient to the input. The sums of a tile (neighbouring pixels times one or
 * two panels of 16 columns) stay in registers during the loop over taps. Each output sums over taps
 * and channels in one order, whatever the tile. */
#include "kernel/x86/conv_tile.h"
#include "kernel/x86/repeat.h"

/* `pixels` from number `first` of the row on; `lanes` columns of the last panel exist. */
typedef struct tile {
    const conv_row *row;
    int64_t first;
    const float *weights, *bias; /* of the first panel */
    int64_t panel;               /* floats to the next panel of weights */
    int64_t lanes;
    float *out;
} tile;

/* The work of a tile for pixel p, with one panel (sums a) or two (sums a and b). */
#define BEGIN_1(p) vf a##p = bias;
#define BEGIN_2(p) vf a##p = bias, b##p = bias_b;
#define STEP_1(p)  a##p = vf_fma(vf_set(x[(p)*step]), weight, a##p);
#define STEP_2(p)                                                                                  \
    {                                                                                              \
        const vf one = vf_set(x[(p)*step]);                                                        \
        a##p = vf_fma(one, weight, a##p);                                                          \
        b##p = vf_fma(one, weight_b, b##p);                                                        \
    }
#define END_1(p) vf_store_tail(t->out + (p)*r->out_step, t->lanes, a##p);
#define END_2(p)                                                                                   \
    vf_store(t->out + (p)*r->out_step, a##p);                                                      \
    vf_store_tail(t->out + (p)*r->out_step + VF, t->lanes, b##p);
#define BIAS_1 const vf bias = t->bias ? vf_load_n(t->bias, t->lanes) : vf_set(0.0f);
#define BIAS_2                                                                                     \
    const vf bias = t->bias ? vf_load(t->bias) : vf_set(0.0f);                                     \
    const vf bias_b = t->bias ? vf_load_n(t->bias + VF, t->lanes) : vf_set(0.0f);
#define WEIGHT_1 const vf weight = vf_load(w);
#define WEIGHT_2                                                                                   \
    const vf weight = vf_load(w);                                                                  \
    const vf weight_b = vf_load(w + panel);

/* P pixels, V panels: P * V sums, V weights and a broadcast fit in the registers. */
#define TILE(P, V)                                                                                 \
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        const conv_row *r = t->row;                                                                \
        const int64_t step = r->in_step;                                                           \
        const int64_t panel = t->panel;                                                            \
        BIAS_##V REPEAT_##P(BEGIN_##V);                                                            \
        (void)panel;                                                                               \
        for (int32_t s = 0; s < r->n; s++) {                                                       \
            const float *x = r->in[s] + t->first * step;                                           \
            const float *w = t->weights + r->weight[s] * VF;                                       \
            const float *end = w + r->length[s] * VF;                                              \
            for (; w < end; w += VF, x++) {                                                        \
                WEIGHT_##V REPEAT_##P(STEP_##V)                                                    \
            }                                                                                      \
        }                                                                                          \
        REPEAT_##P(END_##V)                                                                        \
    }

#define TILE_ARGUMENT tile
#include "kernel/x86/tile_table.h"

/* Uses tiles of about the same size. */
void ISA(conv_tiles)(const conv_walk *q, const conv_row *r, int64_t first)
{
    const int64_t left = q->columns - first;
    const int64_t panels = left > VF ? CONV_PANELS : 1;
    int64_t most;
    const tile_fn *tiles = tiles_of(panels, &most);
    const int64_t panel = q->y.kernel * q->x.kernel * q->depth * VF;
    tile t = {.row = r,
              .weights = q->weights + first / VF * panel,
              .bias = q->bias ? q->bias + first : NULL,
              .panel = panel,
              .lanes = conv_min(left - (panels - 1) * VF, VF)};
    const int64_t n = (r->pixels + most - 1) / most;
    for (int64_t i = 0; i < n; i++) {
        const int64_t end = (i + 1) * r->pixels / n;
        t.out = r->out + t.first * r->out_step + first;
        tiles[end - t.first - 1](&t);
        t.first = end;
    }
}

void ISA(conv)(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
               float *y, float *scratch)
{
    conv_walk q = conv_walk_make(0, 0, s, x, scratch);
    q.weights = packed;
    q.bias = bias;
    q.out = y;
    conv_walk_rows(&q, (int64_t)CONV_PANELS * VF, ISA(conv_tiles));
}

void ISA(conv_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                  float *scratch)
{
    conv_walk q = conv_walk_make(1, 0, s, dy, scratch);
    q.weights = packed;
    q.out = dx;
    conv_walk_rows(&q, (int64_t)CONV_PANELS * VF, ISA(conv_tiles));
}
