/* Tests of lib/runtime. */
#include "runtime/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("runtime");
    suite_add_tcase(s, dfqt_bits_case());
    suite_add_tcase(s, dfqt_groups_case());
    suite_add_tcase(s, dfqt_input_case());
    suite_add_tcase(s, dfqt_oblong_case());
    suite_add_tcase(s, dfqt_life_case());
    suite_add_tcase(s, dfqt_runtime_file_case());
    suite_add_tcase(s, dfqt_real_case());
    suite_add_tcase(s, dfqt_told_case());
    return dfqt_run(s);
}
