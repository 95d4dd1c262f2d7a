/* Tests of lib/accel. */
#include "accel/cases.h"
#include "support/suite.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

int main(void)
{
    Suite *s = suite_create("accel");
    suite_add_tcase(s, dfqt_mapping_case());
    suite_add_tcase(s, dfqt_energy_case());
    suite_add_tcase(s, dfqt_eyeriss_case());
    suite_add_tcase(s, dfqt_search_case());
    suite_add_tcase(s, dfqt_optimal_case());
    suite_add_tcase(s, dfqt_accel_config_case());
    suite_add_tcase(s, dfqt_network_case());
    suite_add_tcase(s, dfqt_supernet_case());
    suite_add_tcase(s, dfqt_cost_case());
    suite_add_tcase(s, dfqt_agree_case());
    suite_add_tcase(s, dfqt_widths_case());
    suite_add_tcase(s, dfqt_fused_attention_case());
    return dfqt_run(s);
}
