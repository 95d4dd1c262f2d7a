/* ck_assert_msg() for loops over many elements. */
#ifndef DFQT_EACH_H
#define DFQT_EACH_H

#include <check.h>

/* Check writes to a file where each assertion is, which takes longer than most comparisons; this
 * says so of a failure alone. */
#define dfqt_each(expr, ...)                                                                       \
    do {                                                                                           \
        if (!(expr)) ck_abort_msg(__VA_ARGS__);                                                    \
    } while (0)

#endif
