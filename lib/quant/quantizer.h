/* A fake-quant module, stand-alone or taken from a model; the struct behind dfq_quantizer. It
 * computes with the kernels (kernel/kernel.h, fake quantization).
 *
 * With scale s, zero point z and column factors c (1 if there are none):
 *
 *   code     q = clamp(rint(c x / s + rint(z)), qmin, qmax)
 *   forward  y = (q - rint(z)) s / c
 *
 * On a logarithmic grid q = rint(-2 log2(x / s)), and y = s 2^(-q/2), or 0 above qmax.
 *
 * Kinds row and column find s and z from each row or column at run time (quantizer_rows.c). */
#ifndef DFQI_QUANT_QUANTIZER_H
#define DFQI_QUANT_QUANTIZER_H

#include <dfq/quantizer.h>

#include "quant/model.h"

struct dfq_quantizer {
    dfq_context *ctx; /* retained */
    int32_t refs;     /* atomic */
    dfqi_site_kind kind;
    int32_t bits;
    float qmin, qmax;
    int64_t group;                /* of a model's row or weight: channels with one grid; 0: all */
    int32_t granularity, axis;    /* DFQ_GRANULARITY_* */
    int32_t input_gradient;       /* DFQ_INPUT_GRADIENT_*, never AUTO */
    float scale_grad_factor;      /* 0: LSQ's 1 / sqrt(N qmax) */
    float zero_point_grad_factor; /* 0: the same, for zero points */
    dfq_tensor *scales; /* NULL: weights, rows, columns: from each tensor; else not known yet */
    dfq_tensor *zero_points;    /* NULL: 0 */
    dfq_tensor *column_factors; /* weights, [K]; or NULL */
    double error;               /* of the last calibration; < 0: not measured */
    char name[80];              /* of a model's site; else "" */
};
typedef struct dfq_quantizer dfqi_quantizer;

/* The split of a tensor into parts. Part p has grid p % groups, which has `n_scales` consecutive
 * scales: one for the whole part, or one for each column. */
typedef struct dfqi_quantizer_parts {
    int64_t parts, groups, rows, cols, n_scales;
    int64_t count; /* of all values */
    int64_t chunk,
        chunks_of_a_part; /* values that one body of a loop takes, whole rows if n_scales > 1 */
} dfqi_quantizer_parts;

/* A piece of work: values from .. from + n of the tensor, which lie in rows of `cols`, and their
 * first scale. */
typedef struct dfqi_quantizer_chunk {
    int64_t from, n, rows, cols, scale;
} dfqi_quantizer_chunk;

/* `o` is checked (api/quantizer.c); scales and zero points may be NULL. */
DFQI_CHECKED dfq_status dfqi_quantizer_new(dfq_context *ctx, const dfq_quantizer_options *o,
                                           dfqi_quantizer **out);
dfqi_quantizer *dfqi_quantizer_retain(const dfqi_quantizer *q);
void dfqi_quantizer_release(dfqi_quantizer *q); /* NULL ok */

bool dfqi_quantizer_is_weight(const dfqi_quantizer *q);
/* Kind row or column: grids found at run time. */
bool dfqi_quantizer_is_runtime(const dfqi_quantizer *q);
/* Are the scales computed from each tensor? True for weights without scales of their own. */
bool dfqi_quantizer_follows(const dfqi_quantizer *q);
/* Checks shapes and values, then holds on to the tensors. scales NULL: forgets both. */
DFQI_CHECKED dfq_status dfqi_quantizer_set_scales(dfqi_quantizer *q, const dfq_tensor *scales,
                                                  const dfq_tensor *zero_points);
DFQI_CHECKED dfq_status dfqi_quantizer_set_columns(dfqi_quantizer *q, const dfq_tensor *factors);

/* DFQ_E_SHAPE where x does not fit scales, axis or column factors. */
DFQI_CHECKED dfq_status dfqi_quantizer_split(const dfqi_quantizer *q, const dfq_tensor *x,
                                             dfqi_quantizer_parts *out);
int64_t dfqi_quantizer_chunks(const dfqi_quantizer_parts *p);
dfqi_quantizer_chunk dfqi_quantizer_chunk_at(const dfqi_quantizer_parts *p, int64_t i);
/* x times the column factors, or divided by them; a new tensor. */
DFQI_CHECKED dfq_status dfqi_quantizer_by_columns(const dfqi_quantizer *q, const dfq_tensor *x,
                                                  bool divide, dfq_tensor **out);

/* -- what it does (quantizer_apply.c) ---------------------------------------------------------- */

DFQI_CHECKED dfq_status dfqi_quantizer_apply(const dfqi_quantizer *q, const dfq_tensor *x,
                                             dfq_tensor **out_y);
/* Each out may be NULL. DFQ_E_UNSUPPORTED if scales or zero points are asked for and have no
 * gradient. */
DFQI_CHECKED dfq_status dfqi_quantizer_backward(const dfqi_quantizer *q, const dfq_tensor *x,
                                                const dfq_tensor *dy, dfq_tensor **out_dx,
                                                dfq_tensor **out_dscale, dfq_tensor **out_dzero);
/* I8 where codes are signed, else U8. */
DFQI_CHECKED dfq_status dfqi_quantizer_codes(const dfqi_quantizer *q, const dfq_tensor *x,
                                             dfq_tensor **out_codes);
/* codes: I8, U8 or I32. */
DFQI_CHECKED dfq_status dfqi_quantizer_dequantize(const dfqi_quantizer *q, const dfq_tensor *codes,
                                                  dfq_tensor **out_x);

/* The first three for kinds row and column. */
DFQI_CHECKED dfq_status dfqi_quantizer_rows_apply(const dfqi_quantizer *q, const dfq_tensor *x,
                                                  dfq_tensor **out_y);
DFQI_CHECKED dfq_status dfqi_quantizer_rows_backward(const dfqi_quantizer *q, const dfq_tensor *x,
                                                     const dfq_tensor *dy, dfq_tensor **out_dx);
DFQI_CHECKED dfq_status dfqi_quantizer_rows_codes(const dfqi_quantizer *q, const dfq_tensor *x,
                                                  dfq_tensor **out_codes);

/* -- scales (quantizer_calibrate.c) ------------------------------------------------------------ */

/* Scales and zero points (NULL where the kind has none) that reach from the smallest to the largest
 * value of x; new tensors. */
DFQI_CHECKED dfq_status dfqi_quantizer_minmax(const dfqi_quantizer *q, const dfq_tensor *x,
                                              const dfqi_quantizer_parts *p,
                                              dfq_tensor **out_scales,
                                              dfq_tensor **out_zero_points);
/* DFQ_CALIBRATION_*. */
DFQI_CHECKED dfq_status dfqi_quantizer_calibrate(dfqi_quantizer *q, const dfq_tensor *x,
                                                 int32_t method);

/* -- of a model (quantizer_model.c) ------------------------------------------------------------ */

/* Number of the site, or DFQ_E_INVALID naming the nearest names. */
DFQI_CHECKED dfq_status dfqi_model_find_site(const dfqi_model *m, const char *name, int32_t *out);
/* A quantizer with copies of the site's scales. The scales of weights keep their current values. */
DFQI_CHECKED dfq_status dfqi_model_get_quantizer(const dfqi_model *m, int32_t site,
                                                 dfqi_quantizer **out);
/* Codes of the weight that the site quantizes, and their values; each may be NULL. */
DFQI_CHECKED dfq_status dfqi_model_get_codes(const dfqi_model *m, int32_t site,
                                             dfq_tensor **out_codes, dfq_tensor **out_values);

#endif
