/* The cases of the nn suite, one file each. */
#ifndef DFQT_NN_CASES_H
#define DFQT_NN_CASES_H

#include <check.h>

TCase *dfqt_generator_case(void);
TCase *dfqt_golden_case(void);
TCase *dfqt_golden_cnn_case(void);
TCase *dfqt_inundation_case(void);
TCase *dfqt_inverted_case(void);
TCase *dfqt_derived_case(void);
TCase *dfqt_load_case(void);
TCase *dfqt_load_cnn_case(void);
TCase *dfqt_naming_case(void);
TCase *dfqt_vit_forms_case(void);
TCase *dfqt_network_case(void);
TCase *dfqt_optim_case(void);
TCase *dfqt_positions_case(void);
TCase *dfqt_rotate_case(void);
TCase *dfqt_sources_case(void);
TCase *dfqt_contradiction_case(void);
TCase *dfqt_stem_case(void);
TCase *dfqt_supernet_case(void);
TCase *dfqt_supernet_hand_case(void);
TCase *dfqt_supernet_vit_case(void);
TCase *dfqt_swin_case(void);

#endif
