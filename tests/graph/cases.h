/* The cases of the graph suite, one file each. */
#ifndef DFQT_GRAPH_CASES_H
#define DFQT_GRAPH_CASES_H

#include <check.h>

TCase *dfqt_build_case(void);
TCase *dfqt_conv_case(void);
TCase *dfqt_gradients_case(void);
TCase *dfqt_image_ops_case(void);
TCase *dfqt_images_case(void);
TCase *dfqt_memory_case(void);
TCase *dfqt_plan_case(void);
TCase *dfqt_quant_case(void);
TCase *dfqt_run_case(void);
TCase *dfqt_walk_case(void);
TCase *dfqt_windows_case(void);

#endif
