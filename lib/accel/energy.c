/* Energy and area of components (docs/METHODS.md, Prices). Adder, multiplier, register and
 * comparator are scaled from 32-bit components in a 40 to 45 nm process. */
#include "accel/energy.h"

#include <math.h>

#define ADDER_PJ       0.0857
#define MULTIPLIER_PJ  8.63
#define REGISTER_PJ    0.009 /* a bit */
#define COMPARATOR_PJ  0.029
#define ADDER_UM2      179.0
#define MULTIPLIER_UM2 4600.0
#define REGISTER_UM2   5.98 /* a bit */
#define COMPARATOR_UM2 70.0

double dfqi_mac_pj(double w_bits, double a_bits, double sum_bits)
{
    return MULTIPLIER_PJ * w_bits * a_bits / 1024 + ADDER_PJ * sum_bits / 32;
}

int32_t dfqi_sum_bits(int32_t w_bits, int32_t a_bits)
{
    return w_bits + a_bits + 8 < 32 ? w_bits + a_bits + 8 : 32;
}

/* The width a brick array is configured to: 2, 4, 8 or 16. */
static int32_t up2(int32_t bits)
{
    int32_t b = 2;
    while (b < bits) b *= 2;
    return b;
}

double dfqi_pe_rate(dfqi_pe pe, int32_t word_bits, int32_t w_bits, int32_t a_bits)
{
    double full = word_bits;
    if (pe == DFQI_PE_FUSION) return full / up2(w_bits) * (full / up2(a_bits));
    return pe == DFQI_PE_SERIAL ? full / a_bits : 1;
}

static double adder_um2(double bits)
{
    return ADDER_UM2 * bits / 32;
}

/* Fixed: multiplier and adder. Fusion: 2-bit multipliers, as many as the full width takes, and the
 * adders that join them. Serial: a gate for each bit of the weight, the adder of the sum and its
 * register. The last two are our own estimates. */
double dfqi_pe_um2(dfqi_pe pe, int32_t word_bits)
{
    double b = word_bits, bricks = b / 2 * (b / 2);
    if (pe == DFQI_PE_FUSION)
        return bricks * MULTIPLIER_UM2 * 4 / 1024 + (bricks - 1) * adder_um2(b);
    if (pe == DFQI_PE_SERIAL) return adder_um2(2 * b) + REGISTER_UM2 * 2 * b;
    return MULTIPLIER_UM2 * b * b / 1024 + adder_um2(b);
}

double dfqi_rf_pj(int64_t words, int32_t bits)
{
    return REGISTER_PJ * bits + (double)words * COMPARATOR_PJ * log2((double)words) / 32;
}

double dfqi_rf_um2(int64_t words, int32_t bits)
{
    double d = (double)words;
    return d * bits * REGISTER_UM2 + d * COMPARATOR_UM2 * log2(d) / 32;
}

/* -- buffers ----------------------------------------------------------------------------------- */

enum { SIZES = 11 }; /* 0.5 KB, 1 KB, ... 512 KB */

static const double read64_pj[SIZES] = {0.644, 0.787, 1.315, 2.342, 3.162, 6.034,
                                        7.233, 13.07, 15.55, 20.31, 27.71};
static const double write64_pj[SIZES] = {0.947, 1.441, 1.752, 2.346, 3.244, 4.420,
                                         5.619, 8.063, 10.54, 15.30, 21.42};
static const double um2[SIZES] = {2143,   3600,   7543,   14741,  26282,  50756,
                                  111942, 209084, 429665, 872247, 1856119};

static double interpolate(const double *table, double kb)
{
    double at = log2(kb) + 1;
    int i = at < 0 ? 0 : at > SIZES - 2 ? SIZES - 2 : (int)at;
    return table[i] * pow(table[i + 1] / table[i], at - i);
}

double dfqi_sram_read_pj(double kb)
{
    return interpolate(read64_pj, kb) / 64;
}

double dfqi_sram_write_pj(double kb)
{
    return interpolate(write64_pj, kb) / 64;
}

double dfqi_sram_um2(double kb)
{
    return interpolate(um2, kb);
}
