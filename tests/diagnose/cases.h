/* The cases of the diagnose suite, one file each. */
#ifndef DFQT_DIAGNOSE_CASES_H
#define DFQT_DIAGNOSE_CASES_H

#include <check.h>

TCase *dfqt_diagnose_api_case(void);
TCase *dfqt_diagnose_failure_case(void);
TCase *dfqt_diagnose_checkpoint_case(void);
TCase *dfqt_codes_case(void);
TCase *dfqt_diagnose_golden_case(void);
TCase *dfqt_diagnose_job_case(void);
TCase *dfqt_plane_case(void);

#endif
