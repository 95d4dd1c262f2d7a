/* The cases of the quant suite, one file each, and what they share. */
#ifndef DFQT_QUANT_CASES_H
#define DFQT_QUANT_CASES_H

#include <check.h>

#include "quant/model.h"

TCase *dfqt_calibrate_case(void);
TCase *dfqt_file_case(void);
TCase *dfqt_evaluate_case(void);
TCase *dfqt_failure_case(void);
TCase *dfqt_cnn_case(void);
TCase *dfqt_cnn_grids_case(void);
TCase *dfqt_reload_case(void);
TCase *dfqt_rotate_case(void);
TCase *dfqt_levels_case(void);
TCase *dfqt_parts_case(void);
TCase *dfqt_modes_case(void);
TCase *dfqt_layers_case(void);
TCase *dfqt_quantizer_case(void);
TCase *dfqt_quantizer_model_case(void);
TCase *dfqt_memory_case(void);
TCase *dfqt_second_moments_case(void);
TCase *dfqt_rounding_case(void);
TCase *dfqt_contents_case(void);
TCase *dfqt_estimate_case(void);
TCase *dfqt_row_case(void);
TCase *dfqt_row_groups_case(void);
TCase *dfqt_weight_groups_case(void);

enum { DFQT_IMAGES = 6, DFQT_IMAGE = 3 * 16 * 16, DFQT_CLASSES = 5 };

dfq_context *dfqt_context(int32_t threads);
/* A random transformer (16 pixels, patches of 4, width 24, 2 blocks, 3 heads) as a float model, and
 * DFQT_IMAGES random images. */
dfq_status dfqt_teacher(dfq_context *ctx, dfqi_model **out);
/* The same with so many channels between its linear layers of an MLP, in place of 40. */
dfq_status dfqt_teacher_with(dfq_context *ctx, int64_t hidden, dfqi_model **out);
void dfqt_images(float *x);
/* Its student, calibrated on the images. */
dfq_status dfqt_quantize(const dfqi_model *teacher, dfqi_mode mode, int32_t weight_bits,
                         int32_t act_bits, dfqi_model **out);
/* The same with grids of MimiQ's other modes, or with scales of rows. */
dfq_status dfqt_quantize_with(const dfqi_model *teacher, dfqi_mode mode, dfqi_widths widths,
                              dfqi_grids grids, dfqi_model **out);
/* Logits of the images, [DFQT_IMAGES][DFQT_CLASSES]. */
void dfqt_logits(const dfqi_model *m, float *z);

/* A random network of each family, small but for MobileNetV2's width, whose classes are 3 (1000);
 * random images for it; its student in improved mode with 4 bits, of all but DFQI_FAMILY_STAGES. */
/* Beside DFQI_FAMILY_*: forms of vision transformers. */
enum {
    DFQT_VIT_HEADS = 100, /* class token, distillation token and two heads */
    DFQT_VIT_MEAN,        /* registers, a mean, fc_norm, SwiGLU */
    DFQT_VIT_NORMS,       /* norms in front and of queries and keys, two heads, QuickGELU */
    DFQT_VIT_END,
    DFQT_OBLONG = 200 /* DFQI_FAMILY_* behind it: inputs that are no squares */
};
dfq_status dfqt_family_new(dfq_context *ctx, int family, dfq_graph **out);
dfq_graph *dfqt_family(dfq_context *ctx, int family);
dfq_tensor *dfqt_family_images(const dfq_graph *g, int64_t n);
dfq_graph *dfqt_family_low(const dfq_graph *g);

#endif
