/* Tests of lib/nn. */
#include "nn/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("nn");
    suite_add_tcase(s, dfqt_vit_forms_case());
    suite_add_tcase(s, dfqt_naming_case());
    suite_add_tcase(s, dfqt_network_case());
    suite_add_tcase(s, dfqt_optim_case());
    suite_add_tcase(s, dfqt_inundation_case());
    suite_add_tcase(s, dfqt_generator_case());
    suite_add_tcase(s, dfqt_supernet_case());
    suite_add_tcase(s, dfqt_supernet_hand_case());
    suite_add_tcase(s, dfqt_supernet_vit_case());
    suite_add_tcase(s, dfqt_swin_case());
    suite_add_tcase(s, dfqt_derived_case());
    suite_add_tcase(s, dfqt_positions_case());
    suite_add_tcase(s, dfqt_rotate_case());
    suite_add_tcase(s, dfqt_load_case());
    suite_add_tcase(s, dfqt_load_cnn_case());
    suite_add_tcase(s, dfqt_inverted_case());
    suite_add_tcase(s, dfqt_sources_case());
    suite_add_tcase(s, dfqt_contradiction_case());
    suite_add_tcase(s, dfqt_stem_case());
    suite_add_tcase(s, dfqt_golden_case());
    suite_add_tcase(s, dfqt_golden_cnn_case());
    return dfqt_run(s);
}
