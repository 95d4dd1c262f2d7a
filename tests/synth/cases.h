/* The cases of the synth suite, one file each, and what they share. */
#ifndef DFQT_SYNTH_CASES_H
#define DFQT_SYNTH_CASES_H

#include <check.h>

#include "synth/synth.h"

TCase *dfqt_api_case(void);
TCase *dfqt_checkpoint_case(void);
TCase *dfqt_checkpoint_images_case(void);
TCase *dfqt_cnn_case(void);
TCase *dfqt_draw_case(void);
TCase *dfqt_failure_case(void);
TCase *dfqt_golden_case(void);
TCase *dfqt_golden_generator_case(void);
TCase *dfqt_generator_trainer_case(void);
TCase *dfqt_imageset_case(void);
TCase *dfqt_job_case(void);
TCase *dfqt_option_ranges_case(void);
TCase *dfqt_pse_case(void);
TCase *dfqt_leaves_case(void);
TCase *dfqt_pyramid_case(void);
TCase *dfqt_real_case(void);
TCase *dfqt_spool_case(void);
TCase *dfqt_unwritten_case(void);

/* -- support.c --------------------------------------------------------------------------------- */

dfq_context *dfqt_context(int32_t threads);
/* A transformer of random weights: 16 pixels, patches of 4, width 24, 2 blocks, 3 heads, 6 classes.
 */
dfq_status dfqt_random_model(dfq_context *ctx, dfqi_model **out);
/* A ResNet of random weights: 8 pixels, 5 convolutions, 4 classes. */
dfq_status dfqt_random_cnn(dfq_context *ctx, dfqi_model **out);
dfq_status dfqt_random_cnn_of(dfq_context *ctx, int64_t classes, dfqi_model **out);
/* 5 images, batches of 2, 6 iterations. */
dfqi_synth_options dfqt_options(void);
/* Runs a new job to the end on `threads` threads; images and labels are copied out. */
void dfqt_make(const dfqi_synth_options *o, int32_t threads, float *images, int32_t *labels);
enum { DFQT_IMAGES = 5, DFQT_PIXELS = 3 * 16 * 16, DFQT_CNN_PIXELS = 3 * 8 * 8 };
/* A new empty folder under the working directory; dfqt_remove takes it away with its files. */
void dfqt_folder(char path[64]);
void dfqt_remove(const char *path);

#endif
