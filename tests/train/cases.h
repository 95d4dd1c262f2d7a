/* The cases of the train suite (dfq/trainer.h over lib/tune/train.c) and what they share. */
#ifndef DFQT_TRAIN_CASES_H
#define DFQT_TRAIN_CASES_H

#include <check.h>
#include <dfq/dfq.h>

#include "quant/model.h"

enum { DFQT_SIDE = 8, DFQT_PIXELS = 3 * DFQT_SIDE * DFQT_SIDE, DFQT_CLASSES = 3, DFQT_BATCH = 10 };

TCase *dfqt_train_create_case(void);
TCase *dfqt_train_job_case(void);
TCase *dfqt_train_failure_case(void);
TCase *dfqt_train_run_case(void);

dfq_context *dfqt_context(int32_t threads);
/* Options of a network of two blocks on 8 x 8 pixels, and of short training. */
dfq_vit_options dfqt_vit(void);
dfq_trainer_options dfqt_trainer(void);
/* Batch number k of an easy task: noise, with one colour channel brighter; which one is the label.
 * Two new references. */
dfq_status dfqt_batch(dfq_context *ctx, uint64_t k, dfq_tensor **out_images,
                      dfq_tensor **out_labels);
/* `steps` steps on batches 0, 1, ...; the mean loss of the last four. */
double dfqt_train(dfq_graph *g, const dfq_trainer_options *o, int steps);
/* Whether all parameters of two models have the same bits. */
int dfqt_same(const dfq_graph *a, const dfq_graph *b);

#endif
