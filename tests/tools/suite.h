/* The suites of this folder. */
#ifndef DFQ_TESTS_TOOLS_SUITE_H
#define DFQ_TESTS_TOOLS_SUITE_H

#include <check.h>

Suite *report_suite(void);
Suite *figures_suite(void);
Suite *diagnostics_suite(void);
Suite *trajectory_suite(void);
Suite *explore_suite(void);
Suite *axis_suite(void);

#endif
