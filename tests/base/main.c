/* Tests of lib/base. */
#include "base/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("base");
    suite_add_tcase(s, dfqt_check_case());
    suite_add_tcase(s, dfqt_cores_case());
    suite_add_tcase(s, dfqt_memory_case());
    suite_add_tcase(s, dfqt_progress_case());
    suite_add_tcase(s, dfqt_rng_case());
    suite_add_tcase(s, dfqt_text_case());
    suite_add_tcase(s, dfqt_thread_pool_case());
    suite_add_tcase(s, dfqt_threads_case());
    return dfqt_run(s);
}
