/* Memory through the context's allocator. The allocator's `free` callback takes a size, but callers
 * in the library pass a pointer alone. So a header in front of each block, one alignment unit long,
 * stores the size. */
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

typedef union header {
    size_t size; /* bytes asked for, header not counted */
    char pad[DFQI_ALIGN];
} header;

static header *header_of(void *ptr)
{
    return (header *)ptr - 1;
}

static void count(dfq_context *ctx, int64_t bytes)
{
    dfqi_meter *m = ctx->meter;
    if (m == NULL) return;
    (void)pthread_mutex_lock(&m->lock);
    m->live += bytes;
    if (m->live > m->peak) m->peak = m->live;
    (void)pthread_mutex_unlock(&m->lock);
}

void dfqi_meter_begin(dfq_context *ctx, dfqi_meter *out)
{
    out->live = out->peak = 0;
    (void)pthread_mutex_init(&out->lock, NULL);
    ctx->meter = out;
}

void dfqi_meter_end(dfq_context *ctx)
{
    if (ctx->meter != NULL) (void)pthread_mutex_destroy(&ctx->meter->lock);
    ctx->meter = NULL;
}

void *dfqi_alloc(dfq_context *ctx, size_t size)
{
    size_t total;
    header *h = NULL;
    if (dfqi_add_size(size, sizeof *h, &total))
        h = ctx->allocator.alloc(total, DFQI_ALIGN, ctx->allocator.user);
    if (h == NULL) {
        (void)dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: %zu bytes", size);
        return NULL;
    }
    h->size = size;
    count(ctx, (int64_t)total);
    return h + 1;
}

void *dfqi_calloc(dfq_context *ctx, size_t count, size_t size)
{
    size_t total;
    void *p;
    if (!dfqi_mul_size(count, size, &total)) {
        (void)dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: %zu blocks of %zu bytes", count, size);
        return NULL;
    }
    p = dfqi_alloc(ctx, total);
    if (p != NULL) memset(p, 0, total);
    return p;
}

void *dfqi_realloc(dfq_context *ctx, void *ptr, size_t size)
{
    size_t old;
    void *p = dfqi_alloc(ctx, size);
    if (p == NULL || ptr == NULL) return p;
    old = header_of(ptr)->size;
    memcpy(p, ptr, old < size ? old : size);
    dfqi_free(ctx, ptr);
    return p;
}

void dfqi_free(dfq_context *ctx, void *ptr)
{
    header *h;
    if (ptr == NULL) return;
    h = header_of(ptr);
    count(ctx, -(int64_t)(h->size + sizeof *h));
    ctx->allocator.free(h, h->size + sizeof *h, DFQI_ALIGN, ctx->allocator.user);
}

char *dfqi_strdup(dfq_context *ctx, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = dfqi_alloc(ctx, n);
    if (p != NULL) memcpy(p, text, n);
    return p;
}

char *dfqi_format(dfq_context *ctx, const char *fmt, ...)
{
    va_list args;
    char *p;
    int n;

    va_start(args, fmt);
    n = dfqi_vprint(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        (void)dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: a text cannot be formatted");
        return NULL;
    }
    p = dfqi_alloc(ctx, (size_t)n + 1);
    if (p == NULL) return NULL;
    va_start(args, fmt);
    (void)dfqi_vprint(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

bool dfqi_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

bool dfqi_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool dfqi_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    if (a < 0 || b < 0 || (b != 0 && a > INT64_MAX / b)) return false;
    *out = a * b;
    return true;
}

int64_t dfqi_count_i64(double v)
{
    const double beyond = 9223372036854775808.0; /* 2^63 */
    if (!(v > 0)) return 0;
    return v < beyond ? (int64_t)v : INT64_MAX;
}
