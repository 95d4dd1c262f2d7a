/* The cases of the tensor suite, one file each. */
#ifndef DFQT_TENSOR_CASES_H
#define DFQT_TENSOR_CASES_H

#include <check.h>

TCase *dfqt_dlpack_case(void);
TCase *dfqt_half_case(void);
TCase *dfqt_tensor_case(void);

#endif
