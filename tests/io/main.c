/* Tests of lib/io. */
#include "support/suite.h"
#include "io/cases.h"

int main(void)
{
    Suite *s = suite_create("io");
    suite_add_tcase(s, dfqt_file_case());
    suite_add_tcase(s, dfqt_folder_case());
    suite_add_tcase(s, dfqt_json_case());
    suite_add_tcase(s, dfqt_look_case());
    suite_add_tcase(s, dfqt_safetensors_case());
    suite_add_tcase(s, dfqt_safetensors_broken_case());
    suite_add_tcase(s, dfqt_shards_case());
    suite_add_tcase(s, dfqt_image_case());
    suite_add_tcase(s, dfqt_golden_case());
    suite_add_tcase(s, dfqt_dataset_case());
    suite_add_tcase(s, dfqt_class_names_case());
    suite_add_tcase(s, dfqt_real_case());
    return dfqt_run(s);
}
