/* Model files. A float model is a safetensors file with the tensor names it was read with. A
 * low-bit model is a safetensors file with these metadata:
 *
 *   dfq.format            the number of the format, below
 *   dfq.mode              parity or improved
 *   dfq.weight_bits, dfq.act_bits   widths of weights and activations
 *   dfq.first_last_bits   if the first and last layer have a width of their own; always in format 3
 *   dfq.weight_grid       minmax-asym or lsq, if it is not the mode's own grid
 *   dfq.act_grid          minmax, if it is not the mode's own grid
 *   dfq.act_scale         row: activations have grids found at run time, and no tensors here
 *   dfq.act_group         channels of a linear layer's input that share a grid of a row, if not all
 *   dfq.weight_group      columns of a weight of at most four bits that share a grid, if not all
 *   dfq.rotation          the seed, if the network's stream is rotated (nn/rotate.h)
 *   dfq.layers            if layers have widths of their own or stay float (quant/layers.h)
 *
 * Its tensors:
 *
 *   W.codes       U8   codes + 2^(bits-1) of the weight W, row-major, `bits` each, lowest bits
 *                      first, without gaps
 *   W.shape       I64  shape of W
 *   W.bits        U8   [1], only if it differs from dfq.weight_bits
 *   W.scale       F32  [O] scale of each row; the weight is (code * scale[o] / column factor[k]),
 *                      where the column factors are the scales of the layer's input if it has one
 *                      for each channel
 *   W.groups      U8   [O,groups] grids of the groups of each row (kernel/weight_groups.h): the
 *                      weight is (number * scale[o] / column factor[k])
 *   W.zero_point  F32  [O], of asymmetric grids: the weight is ((code - zero_point[o]) * scale[o])
 *   S.scale, S.zero_point F32, S.range F32 [2]: scales, whole zero points (absent where they are
 *                      0, and for a logarithmic grid, whose last code, range[1] + 1, is 0), and
 *                      smallest and largest code of an activation quantizer; S is a site
 *                      (quant/scheme.h)
 *   other tensors      as in a float model
 *
 * docs/FORMAT.md is the page for those who read it from outside.
 *
 * Format 3 is format 2 with dfq.act_scale, format 4 is format 3 with dfq.act_group, format 5 has
 * dfq.weight_group and what the others have; a network is written in the lowest that holds it, so
 * that older libraries read what they can. Format 1 has no "dfq.format" and named the tensors .step
 * and .zero; it is refused. */
#ifndef DFQI_QUANT_FILE_PRIV_H
#define DFQI_QUANT_FILE_PRIV_H

#include "quant/model.h"

#define DFQI_META_FORMAT        "dfq.format"
#define DFQI_META_WEIGHT_GRID   "dfq.weight_grid"
#define DFQI_META_ACT_GRID      "dfq.act_grid"
#define DFQI_META_ROTATION      "dfq.rotation"
#define DFQI_META_LAYERS        "dfq.layers"
#define DFQI_META_ACT_SCALE     "dfq.act_scale"
#define DFQI_QUANT_FORMAT       "2"
#define DFQI_META_ACT_GROUP     "dfq.act_group"
#define DFQI_QUANT_FORMAT_ROW   "3"
#define DFQI_QUANT_FORMAT_GROUP "4"
#define DFQI_META_WEIGHT_GROUP  "dfq.weight_group"
#define DFQI_QUANT_FORMAT_5     "5"

/* Code i of a row of codes. */
void dfqi_put_code(uint8_t *bytes, int64_t i, int bits, uint32_t code);
uint32_t dfqi_get_code(const uint8_t *bytes, int64_t i, int bits);
int64_t dfqi_code_bytes(int64_t count, int bits);
/* A copy as kernels take them, rounded half to even: learned zero points have fractions. */
DFQI_CHECKED dfq_status dfqi_whole_zero_points(const dfq_tensor *t, dfq_tensor **out);
/* Column factors of a weight: the input's scales when there is one for each column. */
const float *dfqi_column_factors(const dfq_tensor *input_scale, int64_t cols);

/* -- tensors of a file, NULL: there is none ---------------------------------------------------- */

const dfq_tensor *dfqi_file_find(const dfqi_safetensors *st, const char *name, const char *suffix);
/* An F32 tensor name + suffix with `count` elements (0: any), all finite and, if asked,
 * positive. */
DFQI_CHECKED dfq_status dfqi_file_need(const dfqi_safetensors *st, const char *path,
                                       const char *name, const char *suffix, int64_t count,
                                       int positive, const dfq_tensor **out);
/* The width of name.codes: *bits unless name.bits says otherwise. */
DFQI_CHECKED dfq_status dfqi_file_bits(const dfqi_safetensors *st, const char *path,
                                       const char *name, int *bits);
/* name.groups of a weight[rows, cols] with codes of `bits`, all of whose numbers fit; NULL: there
 * is none. */
DFQI_CHECKED dfq_status dfqi_file_groups(const dfqi_safetensors *st, const char *path,
                                         const char *name, int64_t rows, int64_t cols, int bits,
                                         const dfq_tensor **out);
/* The float weight of name.codes, most of which are `bits` wide. lazy: its values are made when
 * they are asked for (dfqi_tensor_new_filled), unless they may not be finite. */
DFQI_CHECKED dfq_status dfqi_file_decode(const dfqi_safetensors *st, const char *path,
                                         const char *name, int bits, bool lazy, dfq_tensor **out);
/* The tensors of a site of a new scheme. */
DFQI_CHECKED dfq_status dfqi_file_read_site(const dfqi_safetensors *st, const char *path,
                                            dfqi_site *site);

#endif
