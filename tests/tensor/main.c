/* Tests of lib/tensor. */
#include "support/suite.h"
#include "tensor/cases.h"

int main(void)
{
    Suite *s = suite_create("tensor");
    suite_add_tcase(s, dfqt_dlpack_case());
    suite_add_tcase(s, dfqt_half_case());
    suite_add_tcase(s, dfqt_tensor_case());
    return dfqt_run(s);
}
