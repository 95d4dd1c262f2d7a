/* Model files. Float models are plain safetensors with the names they were read with. A low-bit
 * file is safetensors too. Its metadata are "dfq.format" (the number below), "dfq.mode",
 * "dfq.weight_bits", "dfq.act_bits", "dfq.first_last_bits" where the first and last layer of a CNN
 * have a width of their own, and in parity mode "dfq.weight_grid" (minmax-asym, lsq) and
 * "dfq.act_grid" (minmax) where the grids are not the mode's own, and "dfq.layers" (quant/layers.h)
 * where layers have widths of their own or stay float. Its tensors:
 *
 *   W.codes       U8   codes + 2^(bits-1) of the weight W, row-major, `bits` each, lowest bits
 *                      first, without gaps
 *   W.shape       I64  shape of W
 *   W.bits        U8   [1], only where it is not dfq.weight_bits
 *   W.scale       F32  [O] scale of each row; the weight is (code * scale[o] / column factor[k]),
 *                      where the column factors are the scales of the layer's input if it has one
 *                      for each channel
 *   W.zero_point  F32  [O], of asymmetric grids: the weight is ((code - zero_point[o]) * scale[o])
 *   S.scale, S.zero_point F32, S.range F32 [2]: an activation quantizer's scales, zero points
 *                      (absent for a logarithmic grid, whose last code, range[1] + 1, is 0) and
 *                      smallest and largest code; S is a site (quant/scheme.h)
 *   everything else as in a float model
 *
 * Format 1, without "dfq.format", named the tensors .step and .zero; it is refused. */
#ifndef DFQI_QUANT_FILE_PRIV_H
#define DFQI_QUANT_FILE_PRIV_H

#include "quant/model.h"

#define DFQI_META_FORMAT      "dfq.format"
#define DFQI_META_WEIGHT_GRID "dfq.weight_grid"
#define DFQI_META_ACT_GRID    "dfq.act_grid"
#define DFQI_META_LAYERS      "dfq.layers"
#define DFQI_QUANT_FORMAT     "2"

/* Code i of a row of codes. */
void dfqi_put_code(uint8_t *bytes, int64_t i, int bits, uint32_t code);
uint32_t dfqi_get_code(const uint8_t *bytes, int64_t i, int bits);
int64_t dfqi_code_bytes(int64_t count, int bits);
/* Column factors of a weight: the input's scales when there is one for each column. */
const float *dfqi_column_factors(const dfq_tensor *input_scale, int64_t cols);

#endif
