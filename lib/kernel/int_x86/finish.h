/* What becomes of the sums of a product, for sixteen columns and any rows. */
#ifndef DFQI_INT_X86_FINISH_H
#define DFQI_INT_X86_FINISH_H

#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"

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
 * code times `added`. Where that comes nearer to a tie than `far`, the code may be another one than
 * that of the order of operations of int_kernel.h, which is gone through then. */
typedef struct finish_coder {
    vf scale, bias, far;
    float added;
    int usable;
} finish_coder;

typedef struct finish_columns {
    finish_factors factors;
    finish_coder fast;
    static_coder coder; /* if there are codes to write */
    finish_kind kind;
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

#endif
