/* What the tests of the integer kernels share. */
#ifndef DFQT_INT_SUPPORT_H
#define DFQT_INT_SUPPORT_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/int_kernel.h"
#include "support/each.h"

/* Buffers that end at a page which may not be touched: reading or writing behind them ends the
 * test. qemu 7.2 reads whole vectors where the instruction (vmaskmovps) reads a part; with
 * DFQT_LOOSE_PAGES=1 in the environment 64 bytes behind a buffer may be read, not written. */
enum { PAGES_MAX = 32, PAGES_LOOSE = 64 };
typedef struct pages {
    dfqi_rng rng;
    int n;
    size_t loose; /* bytes behind the end */
    char *base[PAGES_MAX];
    size_t size[PAGES_MAX];
} pages;

pages pages_begin(uint64_t seed);
/* `bytes` bytes of noise, which begin at any address that is a multiple of `align`. */
void *pages_take(pages *p, size_t bytes, size_t align);
/* Releases all buffers. */
void pages_end(pages *p);

/* n floats uniform in [lo, hi). */
float *take_floats(pages *p, size_t n, float lo, float hi);
/* n random numbers in lo .. hi. */
uint8_t *take_bytes(pages *p, size_t n, int32_t lo, int32_t hi);
int32_t *take_ints(pages *p, size_t n, int32_t lo, int32_t hi);
/* A random number in lo .. hi. */
int64_t draw(pages *p, int64_t lo, int64_t hi);

/* Fails unless both have the same bits; all NaN are alike. */
void same_floats(size_t n, const float *got, const float *want, const char *what);
void same_bytes(size_t n, const uint8_t *got, const uint8_t *want, const char *what);

/* Tables of this machine; tests loop to DFQT_INT_TABLES and skip where there are fewer. */
enum { DFQT_INT_TABLES = 4 };
const dfqi_int_kernels *int_table(int i); /* skips the test where there are fewer */
/* The float table whose rows the slots layernorm, gelu and softmax of t compute. */
const dfqi_kernels *float_table(const dfqi_int_kernels *t);

/* `count` codes of `bits` bits: random, or of one extreme, or of both. */
int8_t *take_codes(pages *p, size_t count, int bits);

/* -- products ---------------------------------------------------------------------------------- */

/* Some largest code of a left operand, 0: it is not told. */
int32_t take_most(pages *p);
/* Random grids of m rows, or one for all. */
void take_grids(pages *p, dfqi_int_rows *a, int64_t m);

/* Where a product of m x n goes: random choices of all that int_kernel.h offers. Set out.grid to
 * &grid before use, if there is out.q. */
typedef struct target {
    dfqi_int_output out;
    dfqi_grid grid;
    float *grid_scale, *grid_zero_point;
} target;
target take_target(pages *p, int64_t m, int64_t n);

/* What a target must hold behind the product: all bytes of both outputs, also those between rows,
 * which stay as they are. To be computed before, since outputs may be inputs. */
typedef struct wanted {
    float *y;
    uint8_t *q;
} wanted;
/* sums[m,n]: of q c, without zero points. */
wanted want_product(pages *p, const target *t, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                    int64_t m, const int64_t *sums);
void check_target(const target *t, int64_t m, const wanted *w, const char *what);

TCase *dfqt_int_conv_case(void);
TCase *dfqt_int_product_case(void);
TCase *dfqt_int_quantize_case(void);
TCase *dfqt_int_rows_case(void);

#endif
