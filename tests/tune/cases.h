/* The cases of the tune suite, one file each, and what they share. */
#ifndef DFQT_TUNE_CASES_H
#define DFQT_TUNE_CASES_H

#include <check.h>

#include "io/safetensors.h"
#include "tune/tune.h"

TCase *dfqt_api_case(void);
TCase *dfqt_augment_case(void);
TCase *dfqt_checkpoint_case(void);
TCase *dfqt_failure_case(void);
TCase *dfqt_golden_case(void);
TCase *dfqt_golden_ait_case(void);
TCase *dfqt_image_set_case(void);
TCase *dfqt_job_case(void);
TCase *dfqt_with_generator_case(void);
TCase *dfqt_option_ranges_case(void);
TCase *dfqt_real_case(void);
TCase *dfqt_reconstruct_case(void);
TCase *dfqt_rotated_case(void);
TCase *dfqt_steps_case(void);
TCase *dfqt_super_train_case(void);
TCase *dfqt_super_vit_case(void);
TCase *dfqt_super_mbconv_case(void);
TCase *dfqt_unwritten_case(void);

/* -- support.c --------------------------------------------------------------------------------- */

/* A random transformer (16 pixels, patches of 4, width 24, 2 blocks, 3 heads, 6 classes), its
 * student quantized to 4 bits, and random images. */
typedef struct dfqt_pair {
    dfq_context *ctx;
    dfqi_model *teacher, *student;
    dfq_tensor *images; /* [n,3,16,16] */
} dfqt_pair;

dfq_context *dfqt_context(int32_t threads);
dfq_status dfqt_pair_make(dfq_context *ctx, dfqi_mode mode, int64_t n, dfqt_pair *out);
void dfqt_pair_fini(dfqt_pair *p); /* the context stays */
/* The same with a context of its own, checked. */
dfqt_pair dfqt_pair_new(int32_t threads, dfqi_mode mode, int64_t n);
void dfqt_pair_end(dfqt_pair *p);
/* A random ResNet for images of 8 pixels with two units and 4 classes, its student without ranges;
 * no images. */
dfq_status dfqt_cnn_pair_make(dfq_context *ctx, dfqt_pair *out);
dfqt_pair dfqt_cnn_pair_new(int32_t threads);

/* 12 steps of 3 images, an evaluation every 5 steps, all augmentations, rates that move things. */
dfqi_tune_options dfqt_options(dfqi_mode mode);
/* A number for all bits of the student: parameters, scales and zero points. */
uint64_t dfqt_bits(const dfqi_model *m);

/* A golden file; a tensor of it by two parts of its name; and a check that the largest difference
 * is at most `limit` times the largest magnitude. */
dfqi_safetensors dfqt_golden_read(dfq_context *ctx, const char *name);
const float *dfqt_golden_data(const dfqi_safetensors *st, const char *prefix, const char *name);
void dfqt_golden_compare(const float *have, const float *want, int64_t n, double limit,
                         const char *what, const char *name);

#endif
