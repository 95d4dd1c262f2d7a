/* Tests of the integer kernels, for every table of this machine. Under an emulated CPU this program
 * tests the tables that the machine at hand would not choose (emulated.sh). */
#include "kernel/int_support.h"
#include "support/skip.h"
#include "support/suite.h"

START_TEST(test_tables)
{
    const dfqi_int_kernels *list[DFQT_INT_TABLES];
    int n = dfqi_int_kernels_list(list, DFQT_INT_TABLES);
    ck_assert_int_ge(n, 1);
    ck_assert_str_eq(list[n - 1]->name, "ref");
    for (int i = 0; i < n; i++) {
        typedef void (*any_fn)(void);
        size_t first = offsetof(dfqi_int_kernels, burst);
        for (size_t at = first; at < sizeof *list[i]; at += sizeof(any_fn)) {
            any_fn fn;
            memcpy(&fn, (const char *)list[i] + at, sizeof fn);
            ck_assert_msg(fn != NULL, "%s lacks slot %d", list[i]->name,
                          (int)((at - first) / sizeof(any_fn)));
        }
        for (int j = 0; j < i; j++) ck_assert_str_ne(list[i]->name, list[j]->name);
        ck_assert_int_eq(list[i]->burst(10) > 0.0, i + 1 < n);
    }
}
END_TEST

/* DFQ_KERNELS chooses both tables, once per process: in a fork of its own. */
static void check_choice(const char *name, const char *integer, const char *level)
{
    if (getenv("CK_FORK") && strcmp(getenv("CK_FORK"), "no") == 0) dfqt_skip("CK_FORK is no");
    setenv("DFQ_KERNELS", name, 1);
    ck_assert_str_eq(dfqi_int_kernels_get(NULL)->name, integer);
    const char *has = dfqi_kernels_get(NULL)->name;
    ck_assert_msg(strncmp(has, level, strlen(level)) == 0, "DFQ_KERNELS=%s gives %s", name, has);
}

START_TEST(test_choice_by_name)
{
    const dfqi_int_kernels *t = int_table(_i);
    check_choice(t->name, t->name, t->level);
}
END_TEST

START_TEST(test_choice_by_level)
{
    const dfqi_int_kernels *t = int_table(0);
    check_choice(_i ? "no-such-kernels" : "", t->name, strcmp(t->level, "ref") ? t->level : "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("int_kernel");
    TCase *tables = tcase_create("tables");
    tcase_add_loop_test(tables, test_choice_by_name, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(tables, test_choice_by_level, 0, 2);
    tcase_add_test(tables, test_tables);
    suite_add_tcase(s, tables);
    suite_add_tcase(s, dfqt_int_product_case());
    suite_add_tcase(s, dfqt_int_quantize_case());
    suite_add_tcase(s, dfqt_int_rows_case());
    suite_add_tcase(s, dfqt_int_conv_case());
    return dfqt_run(s);
}
