/* What the kernel tests share: guarded buffers of random numbers, comparison, the list of slots. */
#ifndef DFQT_KERNEL_SUPPORT_H
#define DFQT_KERNEL_SUPPORT_H

#include <check.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "support/each.h"

/* The buffers of one check. Each begins at another misalignment and lies between guard values. */
enum { POOL_MAX = 32, POOL_GUARD = 32 };
typedef struct pool {
    dfqi_rng rng;
    int n;
    float *base[POOL_MAX];
    size_t size[POOL_MAX];
    size_t shift[POOL_MAX];
} pool;

pool pool_begin(uint64_t seed);
/* n floats uniform in [lo, hi). */
float *pool_take(pool *p, size_t n, float lo, float hi);
/* A copy of `from`. */
float *pool_copy(pool *p, size_t n, const float *from);
/* A random extent in [lo, hi]. */
int64_t pool_extent(pool *p, int64_t lo, int64_t hi);
/* Fails if anything was written outside the buffers; releases them. */
void pool_end(pool *p);

/* |got - want| <= tol * max(1, |want|) everywhere. */
void check_close(size_t n, const float *got, const float *want, double tol, const char *what);
/* At most `limit` elements may differ by more than tol: for roundings that sit on an edge. */
void check_mostly(size_t n, const float *got, const float *want, double tol, size_t limit,
                  const char *what);
void check_number(double got, double want, double tol, const char *what);

const dfqi_kernels *reference(void);
/* Number of tables, and one of them. Tests loop to DFQT_TABLES_MAX and return beyond the last one:
 * the tables are built in the forked test, since the choice among them is made once per process. */
enum { DFQT_TABLES_MAX = 8 };
int n_tables(void);
void need_table(int i); /* skips the test where there are fewer */
const dfqi_kernels *table(int i);

/* A slot and its test: compares table t with ref (or with doubles, which tests ref as well). */
typedef struct slot_test {
    const char *name;
    size_t offset; /* in dfqi_kernels */
    void (*run)(const dfqi_kernels *t, pool *p);
} slot_test;
#define SLOT(member)                                                                               \
    {                                                                                              \
#member, offsetof(dfqi_kernels, member), slot_##member                                     \
    }

extern const slot_test product_slots[], conv_slots[], elementwise_slots[], row_slots[],
    column_slots[], quant_slots[], quant_row_slots[], weight_slots[], layout_slots[],
    attention_slots[]; /* each ends with a NULL name */

TCase *dfqt_gradients_case(void);
TCase *dfqt_golden_case(void);
TCase *dfqt_invariance_case(void);
TCase *dfqt_weights_case(void);

#endif
