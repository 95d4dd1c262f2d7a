/* Tests of the public interface, against the shared library. */
#include "api/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("api");
    suite_add_tcase(s, dfqt_api_accelerator_case());
    suite_add_tcase(s, dfqt_api_bits_case());
    suite_add_tcase(s, dfqt_api_context_case());
    suite_add_tcase(s, dfqt_api_cost_model_case());
    suite_add_tcase(s, dfqt_api_dataset_case());
    suite_add_tcase(s, dfqt_api_dataset_source_case());
    suite_add_tcase(s, dfqt_api_derived_case());
    suite_add_tcase(s, dfqt_api_explorer_case());
    suite_add_tcase(s, dfqt_api_explorer_told_case());
    suite_add_tcase(s, dfqt_api_options_case());
    suite_add_tcase(s, dfqt_api_layer_config_case());
    suite_add_tcase(s, dfqt_api_quantizer_case());
    suite_add_tcase(s, dfqt_api_sensitivity_case());
    suite_add_tcase(s, dfqt_api_graph_case());
    suite_add_tcase(s, dfqt_api_stream_case());
    suite_add_tcase(s, dfqt_api_export_case());
    suite_add_tcase(s, dfqt_api_tensor_case());
    return dfqt_run(s);
}
