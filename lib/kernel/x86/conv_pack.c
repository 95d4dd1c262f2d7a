/* Packs convolution weights in blocks of 16 x 16 floats, and unpacks their gradients. */
#include "kernel/x86/block.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/winograd.h"

enum { TAPS = DFQI_WINOGRAD_TAPS };

/* 16 filters: entry (channel, tap) of each lies in column `tap depth + channel` of the panel. */
void ISA(conv_unpack)(int64_t o, int64_t c, int64_t taps, const float *packed, float *w)
{
    const int64_t filter = c * taps;
    for (int64_t i = 0; i < o; i += VF, packed += filter * VF, w += filter * VF)
        for (int64_t k = 0; k < filter; k += VF) {
            const int64_t n = at_most_16(filter - k);
            vf v[16];
            for (int64_t e = 0; e < VF; e++)
                v[e] = e < n ? vf_load(packed + ((k + e) % taps * c + (k + e) / taps) * VF)
                             : vf_set(0.0f);
            vf_transpose(v);
            for (int64_t e = 0; e < at_most_16(o - i); e++)
                vf_store_tail(w + e * filter + k, n, v[e]);
        }
}

/* Panels of filters. */
static void pack_filters(int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                         float *out)
{
    const int64_t filter = c * taps;
    for (int64_t i = 0; i < o; i += VF, w += next * VF, out += filter * VF)
        for (int64_t k = 0; k < filter; k += VF) {
            const int64_t n = at_most_16(filter - k);
            vf v[16];
            load_block(at_most_16(o - i), n, w + k, next, v);
            for (int64_t e = 0; e < n; e++)
                vf_store(out + ((k + e) % taps * c + (k + e) / taps) * VF, v[e]);
        }
}

/* Panels of channels, taps backwards. */
static void pack_channels(int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                          float *out)
{
    for (int64_t j = 0; j < c; j += VF, w += taps * VF, out += taps * o * VF)
        for (int64_t i = 0; i < o; i++)
            for (int64_t t = 0; t < taps; t += VF) {
                const int64_t n = at_most_16(taps - t);
                vf v[16];
                load_block(at_most_16(c - j), n, w + i * next + t, taps, v);
                for (int64_t e = 0; e < n; e++)
                    vf_store(out + ((taps - 1 - t - e) * o + i) * VF, v[e]);
            }
}

void ISA(conv_pack)(int trans, int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                    float *out)
{
    if (trans)
        pack_channels(o, c, taps, w, next, out);
    else
        pack_filters(o, c, taps, w, next, out);
}

/* G w G^T of the nine taps in v, to 16 rows `next` floats apart. */
static void store_taps(const vf v[16], float *out, int64_t next)
{
    const vf4 a = winograd_weight(v[0], v[3], v[6]);
    const vf4 b = winograd_weight(v[1], v[4], v[7]);
    const vf4 c = winograd_weight(v[2], v[5], v[8]);
    const vf4 row[4] = {winograd_weight(a.a, b.a, c.a), winograd_weight(a.b, b.b, c.b),
                        winograd_weight(a.c, b.c, c.c), winograd_weight(a.d, b.d, c.d)};
    for (int i = 0; i < 4; i++, out += 4 * next) {
        vf_store(out, row[i].a);
        vf_store(out + next, row[i].b);
        vf_store(out + 2 * next, row[i].c);
        vf_store(out + 3 * next, row[i].d);
    }
}

static void winograd_filters(int64_t o, int64_t c, const float *w, int64_t next, float *out)
{
    for (int64_t i = 0; i < o; i += VF, w += next * VF, out += TAPS * c * VF)
        for (int64_t j = 0; j < c; j++) {
            vf v[16];
            load_block(at_most_16(o - i), 9, w + j * 9, next, v);
            store_taps(v, out + j * VF, c * VF);
        }
}

static void winograd_channels(int64_t o, int64_t c, const float *w, int64_t next, float *out)
{
    for (int64_t j = 0; j < c; j += VF, w += 9 * (int64_t)VF, out += TAPS * o * VF)
        for (int64_t i = 0; i < o; i++) {
            vf v[16];
            load_block(at_most_16(c - j), 9, w + i * next, 9, v);
            for (int t = 0; t < 4; t++) {
                const vf swap = v[t];
                v[t] = v[8 - t];
                v[8 - t] = swap;
            }
            store_taps(v, out + i * VF, o * VF);
        }
}

void ISA(winograd_pack)(int trans, int64_t o, int64_t c, const float *w, int64_t next, float *out)
{
    if (trans)
        winograd_channels(o, c, w, next, out);
    else
        winograd_filters(o, c, w, next, out);
}

static vf3 load_row_back(const float *in, int64_t next)
{
    return winograd_weight_back(vf_load(in), vf_load(in + next), vf_load(in + 2 * next),
                                vf_load(in + 3 * next));
}

void ISA(winograd_unpack)(int64_t o, int64_t c, const float *packed, float *w)
{
    const int64_t next = c * VF;
    for (int64_t i = 0; i < o; i += VF, packed += TAPS * next, w += 9 * next)
        for (int64_t j = 0; j < c; j++) {
            const float *in = packed + j * VF;
            const vf3 a = load_row_back(in, next);
            const vf3 b = load_row_back(in + 4 * next, next);
            const vf3 d = load_row_back(in + 8 * next, next);
            const vf3 e = load_row_back(in + 12 * next, next);
            const vf3 x = winograd_weight_back(a.a, b.a, d.a, e.a);
            const vf3 y = winograd_weight_back(a.b, b.b, d.b, e.b);
            const vf3 z = winograd_weight_back(a.c, b.c, d.c, e.c);
            const vf zero = vf_set(0.0f);
            vf v[16] = {x.a, y.a,  z.a,  x.b,  y.b,  z.b,  x.c,  y.c,
                        z.c, zero, zero, zero, zero, zero, zero, zero};
            vf_transpose(v);
            for (int64_t f = 0; f < at_most_16(o - i); f++)
                vf_store_n(w + (f * c + j) * 9, 9, v[f]);
        }
}
