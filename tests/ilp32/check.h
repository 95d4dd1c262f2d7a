/* As much of Check as the tests of the lowest floors use, for 32-bit builds: Debian has the library
 * for the machine's own word size alone. Each test runs in a child process. */
#ifndef DFQT_ILP32_CHECK_H
#define DFQT_ILP32_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ILP32_TESTS = 2048 };

typedef struct TCase {
    const char *name;
    int n;
    struct {
        const char *name;
        void (*run)(int);
        int i;
    } test[ILP32_TESTS];
} TCase;

static inline TCase *tcase_create(const char *name)
{
    TCase *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->name = name;
    return c;
}

static inline void ilp32_add(TCase *c, const char *name, void (*run)(int), int first, int end)
{
    for (int i = first; i < end; i++) {
        if (c->n == ILP32_TESTS) abort();
        c->test[c->n].name = name;
        c->test[c->n].run = run;
        c->test[c->n++].i = i;
    }
}

#define tcase_add_test(c, f)                  ilp32_add(c, #f, f, 0, 1)
#define tcase_add_loop_test(c, f, first, end) ilp32_add(c, #f, f, first, (int)(end))
#define tcase_set_timeout(c, s)               ((void)(c))

#define START_TEST(name) static void name(int _i __attribute__((unused)))
#define END_TEST

#define ck_abort_msg(...)                                                                          \
    do {                                                                                           \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                            \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
        _Exit(1);                                                                                  \
    } while (0)
#define ck_assert_msg(good, ...)                                                                   \
    do {                                                                                           \
        if (!(good)) ck_abort_msg(__VA_ARGS__);                                                    \
    } while (0)
#define ck_assert(good) ck_assert_msg(good, "%s", #good)
#define ILP32_COMPARE(type, format, a, op, b)                                                      \
    do {                                                                                           \
        type ilp32_a = (a), ilp32_b = (b);                                                         \
        ck_assert_msg(ilp32_a op ilp32_b, "%s is " format ", %s is " format, #a, ilp32_a, #b,      \
                      ilp32_b);                                                                    \
    } while (0)
#define ck_assert_int_eq(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, ==, b)
#define ck_assert_int_ne(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, !=, b)
#define ck_assert_int_lt(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, <, b)
#define ck_assert_int_le(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, <=, b)
#define ck_assert_int_gt(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, >, b)
#define ck_assert_int_ge(a, b)           ILP32_COMPARE(intmax_t, "%jd", a, >=, b)
#define ck_assert_uint_eq(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, ==, b)
#define ck_assert_uint_ne(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, !=, b)
#define ck_assert_uint_lt(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, <, b)
#define ck_assert_uint_le(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, <=, b)
#define ck_assert_uint_gt(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, >, b)
#define ck_assert_uint_ge(a, b)          ILP32_COMPARE(uintmax_t, "%ju", a, >=, b)
#define ck_assert_float_eq(a, b)         ILP32_COMPARE(double, "%.9g", (double)(a), ==, (double)(b))
#define ck_assert_float_ne(a, b)         ILP32_COMPARE(double, "%.9g", (double)(a), !=, (double)(b))
#define ck_assert_float_nan(a)           ck_assert(isnan(a))
#define ck_assert_double_eq(a, b)        ILP32_COMPARE(double, "%.17g", a, ==, b)
#define ck_assert_double_lt(a, b)        ILP32_COMPARE(double, "%.17g", a, <, b)
#define ck_assert_double_le(a, b)        ILP32_COMPARE(double, "%.17g", a, <=, b)
#define ck_assert_double_gt(a, b)        ILP32_COMPARE(double, "%.17g", a, >, b)
#define ck_assert_double_ge(a, b)        ILP32_COMPARE(double, "%.17g", a, >=, b)
#define ck_assert_double_eq_tol(a, b, t) ck_assert(fabs((double)(a) - (double)(b)) <= (double)(t))
#define ck_assert_float_eq_tol(a, b, t)  ck_assert_double_eq_tol(a, b, t)
#define ck_assert_ptr_eq(a, b)           ck_assert((const void *)(a) == (const void *)(b))
#define ck_assert_ptr_ne(a, b)           ck_assert((const void *)(a) != (const void *)(b))
#define ck_assert_ptr_null(a)            ck_assert((a) == NULL)
#define ck_assert_ptr_nonnull(a)         ck_assert((a) != NULL)
#define ck_assert_str_eq(a, b)                                                                     \
    ck_assert_msg(strcmp(a, b) == 0, "\"%s\" is not \"%s\"", (const char *)(a), (const char *)(b))
#define ck_assert_str_ne(a, b)    ck_assert(strcmp(a, b) != 0)
#define ck_assert_mem_eq(a, b, n) ck_assert(memcmp(a, b, n) == 0)

#endif
