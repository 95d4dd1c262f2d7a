/* Packing of convolution weights in blocks of 16 x 16: rows go where the layout puts them. */
#include "kernel/x86/block.h"
#include "kernel/x86/isa.h"

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
