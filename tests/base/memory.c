/* Blocks, checked sizes, the arena, and the detail text. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/cases.h"
#include "base/memory.h"
#include "support/fail_alloc.h"

static dfq_context *make(fail_alloc *fa)
{
    static dfq_allocator a; /* copied by the context */
    dfq_context_options o = {0};
    dfq_context *ctx = NULL;
    a = fail_alloc_init(fa, -1);
    o.allocator = &a;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void done(dfq_context *ctx, const fail_alloc *fa)
{
    dfqi_context_release(ctx);
    ck_assert_int_eq(fa->live_bytes, 0);
    ck_assert_int_eq(fa->live_blocks, 0);
}

START_TEST(test_blocks)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    size_t size;
    for (size = 0; size < 300; size += 7) {
        unsigned char *p = dfqi_alloc(ctx, size);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % DFQI_ALIGN, 0);
        memset(p, 0xA5, size);
        p = dfqi_realloc(ctx, p, size * 3 + 1);
        ck_assert(size == 0 || (p[0] == 0xA5 && p[size - 1] == 0xA5));
        p = dfqi_realloc(ctx, p, size / 2);
        ck_assert(size < 2 || p[size / 2 - 1] == 0xA5);
        dfqi_free(ctx, p);
    }
    dfqi_free(ctx, NULL);
    done(ctx, &fa);
}
END_TEST

START_TEST(test_calloc_is_zero_and_checked)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    unsigned char *p = dfqi_calloc(ctx, 33, 3);
    size_t i;
    for (i = 0; i < 99; i++) ck_assert_uint_eq(p[i], 0);
    dfqi_free(ctx, p);
    ck_assert_ptr_null(dfqi_calloc(ctx, SIZE_MAX / 2, 3));
    ck_assert_ptr_nonnull(strstr(ctx->error, "out of memory"));
    ck_assert_ptr_null(dfqi_alloc(ctx, SIZE_MAX - 8));
    done(ctx, &fa);
}
END_TEST

START_TEST(test_refusal_keeps_the_old_block)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    char *p = dfqi_strdup(ctx, "kept");
    fa.fail_at = fa.calls;
    ck_assert_ptr_null(dfqi_realloc(ctx, p, 1000));
    ck_assert_str_eq(ctx->error, "out of memory: 1000 bytes");
    ck_assert_str_eq(p, "kept");
    dfqi_free(ctx, p);
    done(ctx, &fa);
}
END_TEST

START_TEST(test_format)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    char *p = dfqi_format(ctx, "%s.%d.%s", "blocks", 11, "weight");
    ck_assert_str_eq(p, "blocks.11.weight");
    dfqi_free(ctx, p);
    done(ctx, &fa);
}
END_TEST

/* What is alive and what was at most, between begin and end alone. */
START_TEST(test_meter)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    dfqi_meter m;
    void *before = dfqi_alloc(ctx, 500);
    int64_t live = fa.live_bytes;
    dfqi_meter_begin(ctx, &m);
    void *a = dfqi_alloc(ctx, 1000), *b = dfqi_alloc(ctx, 100);
    ck_assert_int_eq(m.live, fa.live_bytes - live);
    int64_t most = m.live;
    dfqi_free(ctx, a);
    ck_assert_int_eq(m.live, fa.live_bytes - live);
    ck_assert_int_eq(m.peak, most);
    dfqi_free(ctx, before);
    ck_assert_int_eq(m.live, fa.live_bytes - live);
    dfqi_meter_end(ctx);
    most = m.live;
    dfqi_free(ctx, dfqi_alloc(ctx, 5000));
    ck_assert_int_eq(m.live, most);
    dfqi_free(ctx, b);
    done(ctx, &fa);
}
END_TEST

START_TEST(test_checked_sizes)
{
    size_t s = 7;
    int64_t i = 7;
    ck_assert(!dfqi_add_size(SIZE_MAX, 1, &s) && s == 7);
    ck_assert(dfqi_add_size(SIZE_MAX - 1, 1, &s) && s == SIZE_MAX);
    ck_assert(dfqi_mul_size(SIZE_MAX, 1, &s) && s == SIZE_MAX);
    ck_assert(dfqi_mul_size(SIZE_MAX, 0, &s) && s == 0);
    ck_assert(!dfqi_mul_size(SIZE_MAX / 2 + 1, 2, &s) && s == 0);
    ck_assert(!dfqi_mul_i64(-1, 1, &i) && i == 7);
    ck_assert(!dfqi_mul_i64(INT64_MAX / 2 + 1, 2, &i) && i == 7);
    ck_assert(dfqi_mul_i64(INT64_MAX, 1, &i) && i == INT64_MAX);
    ck_assert_int_eq(dfqi_count_i64(2.9), 2);
    ck_assert_int_eq(dfqi_count_i64(9223372036854774784.0), INT64_MAX - 1023);
    ck_assert_int_eq(dfqi_count_i64(9223372036854775808.0), INT64_MAX);
    ck_assert_int_eq(dfqi_count_i64((double)INFINITY), INT64_MAX);
    ck_assert_int_eq(dfqi_count_i64((double)NAN), 0);
    ck_assert_int_eq(dfqi_count_i64(-1e300), 0);
}
END_TEST

START_TEST(test_arena)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    dfqi_arena a;
    size_t n, i;
    dfqi_arena_init(&a, ctx);
    for (n = 0; n < 9000; n += 501) {
        unsigned char *p = dfqi_arena_alloc(&a, n);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        for (i = 0; i < n; i++) ck_assert_uint_eq(p[i], 0);
        memset(p, 0xFF, n);
    }
    ck_assert_str_eq(dfqi_arena_strdup(&a, "name"), "name");
    ck_assert_ptr_null(dfqi_arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(dfqi_arena_alloc(&a, SIZE_MAX - 40));
    dfqi_arena_fini(&a);
    dfqi_arena_fini(&a);
    done(ctx, &fa);
}
END_TEST

START_TEST(test_detail_text)
{
    fail_alloc fa;
    dfq_context *ctx = make(&fa);
    char many[2 * DFQI_ERROR_MAX];
    size_t n;
    ck_assert_int_eq(dfqi_fail(ctx, DFQ_E_IO, "file %s", "a\nb"), DFQ_E_IO);
    ck_assert_str_eq(ctx->error, "file a?b");
    (void)dfqi_fail(ctx, DFQ_E_IO, "%s: again", ctx->error);
    ck_assert_str_eq(ctx->error, "file a?b: again");
    /* A cut must not leave half a UTF-8 sequence. */
    for (n = 0; n + 2 < sizeof many; n += 2) memcpy(many + n, "\xC3\xA9", 2);
    many[n] = '\0';
    (void)dfqi_fail(ctx, DFQ_E_IO, "%s", many);
    ck_assert_uint_eq(strlen(ctx->error), DFQI_ERROR_MAX - 2);
    (void)dfqi_fail(ctx, DFQ_E_IO, "-%s", many);
    ck_assert_uint_eq(strlen(ctx->error), DFQI_ERROR_MAX - 1);
    done(ctx, &fa);
}
END_TEST

static void keep_line(int32_t level, const char *line, void *user)
{
    if (level == DFQ_LOG_WARNING) strcpy(user, line);
}

START_TEST(test_log)
{
    dfq_context_options o = {0};
    dfq_context *ctx = NULL;
    char line[64] = "";
    o.log = keep_line;
    o.log_user = line;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    dfqi_log(ctx, DFQ_LOG_WARNING, "step %d", 3);
    ck_assert_str_eq(line, "step 3");
    dfqi_context_release(ctx);
}
END_TEST

#if defined(__GLIBC__)
static int64_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void trim_libc(const dfq_context *ctx)
{
    (void)ctx;
    (void)malloc_trim(0);
}

/* Bytes that `trim` gives back when 32 MB of small blocks are free below one that stays. */
static int64_t given_back(const dfq_context *ctx, void (*trim)(const dfq_context *))
{
    enum { BLOCKS = 2048, BYTES = 16384 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = ctx->allocator.alloc(BYTES, DFQI_ALIGN, ctx->allocator.user);
        ck_assert_ptr_nonnull(blocks[i]);
        memset(blocks[i], 1, BYTES);
    }
    for (int i = 0; i + 1 < BLOCKS; i++)
        ctx->allocator.free(blocks[i], BYTES, DFQI_ALIGN, ctx->allocator.user);
    const int64_t before = resident_bytes();
    trim(ctx);
    const int64_t after = resident_bytes();
    ctx->allocator.free(blocks[BLOCKS - 1], BYTES, DFQI_ALIGN, ctx->allocator.user);
    return before - after;
}

START_TEST(test_trim)
{
    enum { MOST = 24 << 20 };
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(NULL, &ctx), DFQ_OK);
    if (given_back(ctx, trim_libc) > MOST) /* else a sanitizer's malloc, or valgrind's */
        ck_assert_int_gt(given_back(ctx, dfqi_context_trim), MOST);
    dfqi_context_release(ctx);
}
END_TEST
#endif

TCase *dfqt_memory_case(void)
{
    TCase *t = tcase_create("memory");
    tcase_add_test(t, test_blocks);
    tcase_add_test(t, test_calloc_is_zero_and_checked);
    tcase_add_test(t, test_refusal_keeps_the_old_block);
    tcase_add_test(t, test_format);
    tcase_add_test(t, test_meter);
    tcase_add_test(t, test_checked_sizes);
    tcase_add_test(t, test_arena);
    tcase_add_test(t, test_detail_text);
    tcase_add_test(t, test_log);
#if defined(__GLIBC__)
    tcase_add_test(t, test_trim);
#endif
    return t;
}
