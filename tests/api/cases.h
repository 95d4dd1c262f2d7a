/* The cases of the api suite, one file per public header. */
#ifndef DFQT_API_CASES_H
#define DFQT_API_CASES_H

#include <check.h>

TCase *dfqt_api_accelerator_case(void);
TCase *dfqt_api_bits_case(void);
TCase *dfqt_api_context_case(void);
TCase *dfqt_api_cost_model_case(void);
TCase *dfqt_api_dataset_case(void);
TCase *dfqt_api_dataset_source_case(void);
TCase *dfqt_api_derived_case(void);
TCase *dfqt_api_explorer_case(void);
TCase *dfqt_api_explorer_told_case(void);
TCase *dfqt_api_options_case(void);
TCase *dfqt_api_layer_config_case(void);
TCase *dfqt_api_quantizer_case(void);
TCase *dfqt_api_sensitivity_case(void);
TCase *dfqt_api_graph_case(void);
TCase *dfqt_api_stream_case(void);
TCase *dfqt_api_export_case(void);
TCase *dfqt_api_tensor_case(void);

#endif
