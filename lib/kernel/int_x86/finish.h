/* What becomes of the sums of a product, for sixteen columns and any rows. */
#ifndef DFQI_INT_X86_FINISH_H
#define DFQI_INT_X86_FINISH_H

#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"

/* Copies of loops for the usual cases need arguments that are constants. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef enum finish_kind {
    FINISH_FLOATS,     /* sixteen floats */
    FINISH_FLOATS_ADD, /* to which others are added */
    FINISH_CODES, /* sixteen codes from rows of one grid; codes or floats may be added. The coder
                          has the ReLU */
    FINISH_ANY,   /* all that there may be, sixteen columns */
    FINISH_TAIL   /* fewer columns */
} finish_kind;

/* What turns sums into floats. */
typedef struct finish_factors {
    vf scale, bias;
    vi sum;
} finish_factors;

/* Sums of a row with this zero point and scale on their way to floats. */
static inline vf finish_scaled(const finish_factors *f, vi sums, vi zero_point, vf scale)
{
    const vf t = vi_to_float(vi_sub(sums, vi_mul(zero_point, f->sum)));
    return vf_add(vf_mul(vf_mul(t, scale), f->scale), f->bias);
}

/* Codes by one multiplication and addition: the sum times `scale`, plus `bias`, and plus the added
 * code, or the added float, times `added`. Where that comes nearer to a tie than `far`, the code
 * may be another one than that of the order of operations of int_kernel.h, which is gone through
 * then. */
typedef struct finish_coder {
    vf scale, bias, far;
    float added;
    int usable;
} finish_coder;

/* The factors of one multiplication and addition, and how far its results may be off: each of the
 * roundings, here and in the order of int_kernel.h, is of a number that is at most `sum`, `bias`,
 * `added` or a code, in units of the grid. Codes clamped to the ends of the grid do not count. */
static inline finish_coder finish_coder_of(float row_scale, const finish_factors *f,
                                           const dfqi_int_output *o)
{
    const float inverse = 1.0f / o->grid->scale[0], code = 257.0f;
    const float zero_point = o->grid->zero_point ? rintf(o->grid->zero_point[0]) : 0.0f;
    const float added = o->add_codes ? o->add_scale * inverse : inverse;
    const float add_zero_point = o->add_codes ? added * (float)o->add_zero_point : 0.0f;
    const vf scale = vf_mul(vf_set(row_scale), f->scale);
    const vf factor = vf_mul(scale, vf_set(inverse));
    const vf bias = vf_mul(f->bias, vf_set(inverse));
    const float offset = zero_point - o->grid->qmin - add_zero_point;
    const float of_bias = vf_largest(vf_abs(bias));
    const float of_added = o->add_codes ? 255.0f * added + add_zero_point : 0.0f;
    const float of_sum = code + of_bias + of_added + fabsf(zero_point);
    const float off = 0x1p-24f * (8.0f * of_sum + 6.0f * (of_bias + of_added) + 4.0f * code +
                                  4.0f * (fabsf(zero_point) + fabsf(o->grid->qmin)));
    const float least = vf_smallest(scale), most = vf_largest(factor);
    const int ordinary = grid_is_ordinary(o->grid->scale[0], zero_point) && least > 0x1p-80f &&
                         vf_smallest(factor) > 0x1p-80f && most < 0.25f && off < 0x1p-8f;
    return (finish_coder){.scale = factor,
                          .bias = vf_add(bias, vf_set(offset)),
                          .far = vf_set(0.5f - off),
                          .added = added,
                          .usable = ordinary};
}

typedef struct finish_columns {
    finish_factors factors;
    finish_coder fast;
    static_coder coder; /* if there are codes to write */
    finish_kind kind;
    int floats;           /* 1: floats are all there is to write, without a ReLU or added codes */
    int64_t first, lanes; /* the first column, and how many there are */
    const dfqi_int_output *out;
    const float *row_scale; /* of row 0 */
    const int32_t *row_zero_point;
    int64_t scale_step, zero_point_step; /* 1, or 0: one for all rows */
} finish_columns;

/* Columns first .. of the product a b^T. */
void INT_ISA(finish_columns)(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                             const dfqi_int_output *out, int64_t first, finish_columns *c);
/* Rows row .. of them, from sums[rows][ld]. */
void INT_ISA(finish)(const finish_columns *c, const int32_t *sums, int64_t ld, int64_t rows,
                     int64_t row);
/* The same for panels that lie beside each other, c[panels], all of kind FINISH_CODES. */
void INT_ISA(finish_codes)(const finish_columns *c, int64_t panels, const int32_t *sums, int64_t ld,
                           int64_t rows, int64_t row);
/* The same by the order of operations of int_kernel.h, always. */
void INT_ISA(finish_codes_exact)(const finish_columns *c, int64_t panels, const int32_t *sums,
                                 int64_t ld, int64_t rows, int64_t row);

#endif
