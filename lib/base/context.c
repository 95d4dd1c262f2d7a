/* The context: its lifetime, its error text and its log. The struct is allocated by its own
 * allocator, so it holds a copy of the callbacks that free it. */
#include "base/context.h"

#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/compiler.h"
#include "base/parallel.h"
#include "base/text.h"

enum { STACK_KIB = 2048 }; /* also holds the thread-local variables of all libraries of the host */

static void *libc_alloc(size_t size, size_t align, void *user)
{
    void *p = NULL;
    (void)user;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void libc_free(void *ptr, size_t size, size_t align, void *user)
{
    (void)size;
    (void)align;
    (void)user;
    free(ptr);
}

void dfqi_context_trim(const dfq_context *ctx)
{
#if defined(__GLIBC__)
    if (ctx->allocator.free == libc_free) (void)malloc_trim(0);
#else
    (void)ctx;
#endif
}

static int32_t threads_of(int32_t wanted)
{
    int32_t n = wanted > 0 ? wanted : dfqi_cores();
    return n < DFQI_THREADS_MAX ? n : DFQI_THREADS_MAX;
}

dfq_status dfqi_context_create(const dfq_context_options *o, dfq_context **out)
{
    static const dfq_allocator libc_allocator = {.alloc = libc_alloc, .free = libc_free};
    static const dfq_context_options defaults = {0};
    const dfq_allocator *a;
    dfq_context *ctx;

    if (o == NULL) o = &defaults;
    a = o->allocator != NULL ? o->allocator : &libc_allocator;
    ctx = a->alloc(sizeof *ctx, DFQI_ALIGN, a->user);
    if (ctx == NULL) return DFQ_E_NOMEM;
    memset(ctx, 0, sizeof *ctx);
    ctx->allocator = *a;
    ctx->log = o->log;
    ctx->log_user = o->log_user;
    ctx->progress = o->progress;
    ctx->progress_user = o->progress_user;
    ctx->active = threads_of(o->threads);
    ctx->threads = o->max_threads > ctx->active ? o->max_threads : ctx->active;
    ctx->stack_bytes = (size_t)(o->stack_kib > 0 ? o->stack_kib : STACK_KIB) << 10;
    ctx->refs = 1;
    if (dfqi_pool_create(ctx, ctx->active, &ctx->pool) != DFQ_OK) {
        a->free(ctx, sizeof *ctx, DFQI_ALIGN, a->user);
        return DFQ_E_NOMEM;
    }
    pthread_mutex_init(&ctx->error_lock, NULL);
    *out = ctx;
    return DFQ_OK;
}

dfq_context *dfqi_context_retain(dfq_context *ctx)
{
    dfqi_ref_inc(&ctx->refs);
    return ctx;
}

void dfqi_context_release(dfq_context *ctx)
{
    dfq_allocator a;
    if (ctx == NULL || dfqi_ref_dec(&ctx->refs) > 0) return;
    dfqi_pool_release(ctx, ctx->pool);
    pthread_mutex_destroy(&ctx->error_lock);
    a = ctx->allocator;
    a.free(ctx, sizeof *ctx, DFQI_ALIGN, a.user);
}

/* -- threads ----------------------------------------------------------------------------------- */

/* Handles have scratch memory for each thread. There are live handles if the context has more than
 * one reference. */
static dfq_status check_threads(dfq_context *ctx, int32_t n)
{
    if (ctx->looping)
        return dfqi_fail(ctx, DFQ_E_INVALID, "threads cannot change while a parallel loop runs");
    if (n <= ctx->threads || ctx->refs == 1) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "threads is %d, must be at most %d while objects of this context exist; "
                     "release them first, or set max_threads when the context is created",
                     (int)n, (int)ctx->threads);
}

/* A new thread count needs a new pool; its threads start with the next loop. */
static dfq_status change_threads(dfq_context *ctx, int32_t n)
{
    dfqi_pool *pool;
    if (n == ctx->active) return DFQ_OK;
    DFQI_TRY(dfqi_pool_create(ctx, n, &pool));
    dfqi_pool_release(ctx, ctx->pool);
    ctx->pool = pool;
    ctx->active = n;
    if (n > ctx->threads) ctx->threads = n;
    return DFQ_OK;
}

dfq_status dfqi_context_set_threads(dfq_context *ctx, int32_t n)
{
    n = threads_of(n);
    DFQI_TRY(check_threads(ctx, n));
    return change_threads(ctx, n);
}

dfq_status dfqi_context_set_pool(dfq_context *ctx, const dfq_thread_pool *pool)
{
    DFQI_TRY(check_threads(ctx, pool ? pool->threads : ctx->active));
    if (pool) DFQI_TRY(change_threads(ctx, pool->threads));
    ctx->host_pool = pool ? *pool : (dfq_thread_pool){0};
    if (pool) dfqi_pool_rest(ctx->pool);
    return DFQ_OK;
}

/* -- texts ------------------------------------------------------------------------------------- */

/* Length of `text` without a UTF-8 sequence that its end cuts off. */
static size_t whole_length(const char *text, size_t length)
{
    size_t lead = length, need;
    unsigned char c;
    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80) lead--;
    if (lead == 0) return length;
    c = (unsigned char)text[--lead];
    need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return length - lead < need ? lead : length;
}

/* Formats one line of at most DFQI_ERROR_MAX - 1 bytes. Names from files may hold any bytes;
 * terminal control characters are removed. */
static void format_line(char *line, const char *fmt, va_list args)
{
    int n = dfqi_vprint(line, DFQI_ERROR_MAX, fmt, args);
    if (n < 0) line[0] = '\0';
    if (n >= DFQI_ERROR_MAX) line[whole_length(line, DFQI_ERROR_MAX - 1)] = '\0';
    dfqi_printable(line);
}

void dfqi_set_error(dfq_context *ctx, const char *fmt, ...)
{
    char line[DFQI_ERROR_MAX]; /* the arguments may point into ctx->error */
    va_list args;
    va_start(args, fmt);
    format_line(line, fmt, args);
    va_end(args);
    pthread_mutex_lock(&ctx->error_lock);
    memcpy(ctx->error, line, strlen(line) + 1);
    pthread_mutex_unlock(&ctx->error_lock);
}

void dfqi_log(dfq_context *ctx, int32_t level, const char *fmt, ...)
{
    char line[DFQI_ERROR_MAX];
    va_list args;
    if (ctx->log == NULL) return;
    va_start(args, fmt);
    format_line(line, fmt, args);
    va_end(args);
    ctx->log(level, line, ctx->log_user);
}
