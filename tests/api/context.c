/* Version, status names, options of any age, the context. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <string.h>

#include "api/cases.h"
#include "support/fail_alloc.h"

START_TEST(test_version)
{
    char text[32];
    uint32_t v = dfq_version();
    ck_assert_uint_eq(v >> 16, DFQ_VERSION_MAJOR);
    ck_assert_uint_eq(v >> 8 & 0xFF, DFQ_VERSION_MINOR);
    ck_assert_uint_eq(v & 0xFF, DFQ_VERSION_PATCH);
    snprintf(text, sizeof text, "%d.%d.%d", DFQ_VERSION_MAJOR, DFQ_VERSION_MINOR,
             DFQ_VERSION_PATCH);
    ck_assert_str_eq(dfq_version_text(), text);
}
END_TEST

START_TEST(test_status_names)
{
    static const struct {
        dfq_status status;
        const char *name;
    } table[] = {{0, "DFQ_OK"},
                 {-1, "DFQ_E_NOMEM"},
                 {-2, "DFQ_E_INVALID"},
                 {-3, "DFQ_E_UNSUPPORTED"},
                 {-4, "DFQ_E_SHAPE"},
                 {-5, "DFQ_E_IO"},
                 {-6, "DFQ_E_CORRUPT"},
                 {-7, "DFQ_E_NUMERIC"},
                 {-8, "DFQ_E_INFEASIBLE"},
                 {-9, "DFQ_E_CANCELLED"},
                 {-10, "DFQ_E_EXISTS"},
                 {-100, "DFQ_E_INTERNAL"},
                 {1, "DFQ_E_?"},
                 {INT32_MIN, "DFQ_E_?"}};
    size_t i;
    for (i = 0; i < sizeof table / sizeof table[0]; i++)
        ck_assert_str_eq(dfq_status_name(table[i].status), table[i].name);
}
END_TEST

START_TEST(test_defaults)
{
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_ge(dfq_context_get_threads(ctx), 1);
    ck_assert_str_eq(dfq_context_get_error(ctx), "");
    ck_assert_uint_gt(strlen(dfq_context_get_kernels(ctx)), 0);
    dfq_context_cancel(ctx);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_null)
{
    dfq_context_release(NULL);
    dfq_context_cancel(NULL);
    dfq_context_options_init(NULL, 64);
    ck_assert_str_eq(dfq_context_get_error(NULL), "");
    ck_assert_int_eq(dfq_context_get_threads(NULL), 0);
    ck_assert_str_eq(dfq_context_get_kernels(NULL), "");
    ck_assert_int_eq(dfq_context_create(NULL, NULL), DFQ_E_INVALID);
}
END_TEST

START_TEST(test_refused_options)
{
    dfq_context_options o;
    dfq_allocator half = {0};
    dfq_context *ctx = NULL;
    fail_alloc fa;

    memset(&o, 0, sizeof o); /* not initialised */
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    dfq_context_options_init(&o, sizeof o);
    o.threads = 257;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    o.threads = -1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    o.threads = 0;
    half = fail_alloc_init(&fa, 0);
    half.free = NULL;
    o.allocator = &half;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    half = fail_alloc_init(&fa, 0);
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_NOMEM);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* A caller of a later version, with a longer struct. */
typedef struct newer_options {
    dfq_context_options known;
    uint64_t later;
} newer_options;

START_TEST(test_newer_caller)
{
    newer_options o;
    dfq_context *ctx = NULL;
    memset(&o, 0xFF, sizeof o);
    dfq_context_options_init(&o.known, sizeof o);
    ck_assert_uint_eq(o.known.struct_size, sizeof o);
    ck_assert_uint_eq(o.later, 0);
    o.known.threads = 3;
    ck_assert_int_eq(dfq_context_create(&o.known, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_context_get_threads(ctx), 3);
    dfq_context_release(ctx);
    ctx = NULL;
    o.later = 1;
    ck_assert_int_eq(dfq_context_create(&o.known, &ctx), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* A caller of an earlier version, whose struct ends after `threads`: what lies behind it is not
 * read, or the garbage there would be taken for callbacks. */
START_TEST(test_older_caller)
{
    dfq_context_options o;
    dfq_context *ctx = NULL;
    memset(&o, 0xFF, sizeof o);
    dfq_context_options_init(&o, 8);
    ck_assert_uint_eq(o.struct_size, 8);
    ck_assert_int_eq(o.threads, 0);
    ck_assert_uint_eq(((unsigned char *)&o)[8], 0xFF);
    o.threads = 2;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_context_get_threads(ctx), 2);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_api_context_case(void)
{
    TCase *t = tcase_create("context");
    tcase_add_test(t, test_version);
    tcase_add_test(t, test_status_names);
    tcase_add_test(t, test_defaults);
    tcase_add_test(t, test_null);
    tcase_add_test(t, test_refused_options);
    tcase_add_test(t, test_newer_caller);
    tcase_add_test(t, test_older_caller);
    return t;
}
