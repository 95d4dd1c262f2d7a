/* The cases of the accel suite, one file each. */
#ifndef DFQT_ACCEL_CASES_H
#define DFQT_ACCEL_CASES_H

#include <check.h>

#include "base/context.h"

dfq_context *dfqt_context(int32_t threads);

TCase *dfqt_mapping_case(void);
TCase *dfqt_energy_case(void);
TCase *dfqt_eyeriss_case(void);
TCase *dfqt_search_case(void);
TCase *dfqt_optimal_case(void);
TCase *dfqt_supernet_case(void);
TCase *dfqt_accel_config_case(void);
TCase *dfqt_network_case(void);
TCase *dfqt_cost_case(void);
TCase *dfqt_agree_case(void);
TCase *dfqt_widths_case(void);
TCase *dfqt_fused_attention_case(void);

#endif
