/* The cases of the base suite, one file each. */
#ifndef DFQT_BASE_CASES_H
#define DFQT_BASE_CASES_H

#include <check.h>

TCase *dfqt_check_case(void);
TCase *dfqt_cores_case(void);
TCase *dfqt_memory_case(void);
TCase *dfqt_progress_case(void);
TCase *dfqt_rng_case(void);
TCase *dfqt_text_case(void);
TCase *dfqt_thread_pool_case(void);
TCase *dfqt_threads_case(void);

#endif
