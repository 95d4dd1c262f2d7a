/* Accuracy of a model on labelled images. */
#ifndef DFQI_QUANT_EVALUATE_H
#define DFQI_QUANT_EVALUATE_H

#include "io/dataset.h"
#include "quant/model.h"

typedef struct dfqi_accuracy {
    int64_t n, correct, correct5;
    int64_t not_finite; /* images with a logit that is NaN or infinite: they count as wrong */
} dfqi_accuracy;

/* Counts an image with these logits. Returns its class as dfqi_best_class. */
int32_t dfqi_judge(const float *logits, int64_t classes, int64_t label, dfqi_accuracy *acc);

/* The preprocessing of a model. */
dfqi_preprocess dfqi_model_preprocess(const dfqi_model *m);

/* Runs images first..first+n-1 of the data set. predicted[n] receives the class of each image if it
 * is not NULL, -1 if it has none. Of equal logits the lower class wins. Reports progress
 * ("eval"). */
DFQI_CHECKED dfq_status dfqi_evaluate(const dfqi_model *m, const dfqi_dataset *d, int64_t first,
                                      int64_t n, int32_t *predicted, dfqi_accuracy *out);

/* The class with the largest logit, the lower one of equals; -1 if any logit is not finite, since
 * then the other logits mean nothing. */
int32_t dfqi_best_class(const float *logits, int64_t classes);

/* Logits[n][classes] of images[n][3][S][S] in memory. */
DFQI_CHECKED dfq_status dfqi_model_logits(const dfqi_model *m, const float *images, int64_t n,
                                          float *logits);

#endif
