/* Energy (pJ) and area (um2) of an accelerator's components in a 45 nm class process
 * (docs/METHODS.md, Prices). */
#ifndef DFQI_ACCEL_ENERGY_H
#define DFQI_ACCEL_ENERGY_H

#include "base/context.h"

/* A multiply-accumulate of a weight of `w_bits` and an activation of `a_bits`, added in `sum_bits`:
 * the multiplier grows with the product of the widths, the adder with its own. */
double dfqi_mac_pj(double w_bits, double a_bits, double sum_bits);
/* How wide such a product's sum is kept. */
int32_t dfqi_sum_bits(int32_t w_bits, int32_t a_bits);

/* What multiplies in a processing element. `word_bits` is the widest operand it takes. */
typedef enum dfqi_pe {
    DFQI_PE_FIXED = 0, /* one product a cycle, whatever the widths */
    DFQI_PE_FUSION,    /* 2-bit bricks that join: twice as many products when an operand halves */
    DFQI_PE_SERIAL,    /* the activation goes in bit by bit */
    DFQI_PE_COUNT
} dfqi_pe;

/* Products of these widths that one element makes in a cycle, relative to full width. */
double dfqi_pe_rate(dfqi_pe pe, int32_t word_bits, int32_t w_bits, int32_t a_bits);
double dfqi_pe_um2(dfqi_pe pe, int32_t word_bits);

/* A register file of `words` words of `bits`: one access, and its area. A word alone is a
 * register. */
double dfqi_rf_pj(int64_t words, int32_t bits);
double dfqi_rf_um2(int64_t words, int32_t bits);

/* A buffer of `kb` KB (CACTI, one port, rows of 64 bits): reading and writing one bit of a row, its
 * area. Logarithmic interpolation, and extrapolation by the outermost slopes. */
double dfqi_sram_read_pj(double kb);
double dfqi_sram_write_pj(double kb);
double dfqi_sram_um2(double kb);

#define DFQI_DRAM_PJ_PER_BIT 8.0 /* LPDDR4 */
/* Moving a 16-bit word from the buffer to one element over the array's network. */
#define DFQI_NOC_PJ_PER_BIT (0.2006 / 16)

#endif
