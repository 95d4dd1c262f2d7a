/* Memory: allocation through the context's allocator, overflow-checked size arithmetic, and an
 * arena for parsers that free everything at once. */
#ifndef DFQI_BASE_MEMORY_H
#define DFQI_BASE_MEMORY_H

#include <stddef.h>

#include "base/context.h"

/* Blocks are aligned to DFQI_ALIGN and store their size. Returns NULL if the allocator fails; the
 * error text then gives the requested size. Size 0 gives a valid block. */
void *dfqi_alloc(dfq_context *ctx, size_t size);
void *dfqi_calloc(dfq_context *ctx, size_t count, size_t size); /* zeroed, product checked */
/* Grows or shrinks; the old block stays valid on failure. `ptr` may be NULL. */
void *dfqi_realloc(dfq_context *ctx, void *ptr, size_t size);
void dfqi_free(dfq_context *ctx, void *ptr); /* NULL ok */
char *dfqi_strdup(dfq_context *ctx, const char *text);
/* A formatted copy; NULL on failure. */
char *dfqi_format(dfq_context *ctx, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* False when the result does not fit; `*out` is then untouched. */
bool dfqi_add_size(size_t a, size_t b, size_t *out);
bool dfqi_mul_size(size_t a, size_t b, size_t *out);
bool dfqi_mul_i64(int64_t a, int64_t b, int64_t *out); /* both operands must be >= 0 */
/* The whole part of a count. Larger counts give INT64_MAX; negative numbers and NaN give 0. */
int64_t dfqi_count_i64(double v);

/* Counts the bytes of a context's blocks between begin and end; one meter at a time. Freeing an
 * older block counts negative. The meter must not move in memory. */
typedef struct dfqi_meter {
    pthread_mutex_t lock; /* bodies of one loop may allocate at the same time */
    int64_t live, peak;   /* now, and at most */
} dfqi_meter;
void dfqi_meter_begin(dfq_context *ctx, dfqi_meter *out);
void dfqi_meter_end(dfq_context *ctx);

/* An arena: many small blocks, one release. */
typedef struct dfqi_arena {
    dfq_context *ctx;
    struct dfqi_arena_block *blocks;
} dfqi_arena;
void dfqi_arena_init(dfqi_arena *a, dfq_context *ctx);
void *dfqi_arena_alloc(dfqi_arena *a, size_t size); /* aligned to 16, zeroed */
char *dfqi_arena_strdup(dfqi_arena *a, const char *text);
void dfqi_arena_fini(dfqi_arena *a);

#endif
