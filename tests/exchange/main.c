/* Tests of lib/exchange. */
#include "exchange/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("exchange");
    suite_add_tcase(s, dfqt_float_case());
    suite_add_tcase(s, dfqt_quantized_case());
    suite_add_tcase(s, dfqt_failure_case());
    suite_add_tcase(s, dfqt_import_case());
    suite_add_tcase(s, dfqt_round_trip_case());
    return dfqt_run(s);
}
