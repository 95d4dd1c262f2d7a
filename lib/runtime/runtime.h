/* Runtimes, the struct behind the public dfq_runtime: a network that only runs. Weights are packed
 * once, memory is planned and taken when the runtime is made, and a run allocates nothing.
 *
 * What a network computes is a *program*: steps, constants and the plan of the memory. It never
 * changes, so the clones of a runtime share it; each has memory of its own for values.
 *
 * A batch of many images is shared out by images: a thread runs all steps of its images. What
 * remains, and a batch smaller than the number of threads, is shared out by parts of a step: rows
 * of tokens, attention heads. Bits depend on neither. */
#ifndef DFQI_RUNTIME_RUNTIME_H
#define DFQI_RUNTIME_RUNTIME_H

#include <dfq/runtime.h>

#include "quant/evaluate.h"

typedef struct dfq_runtime dfqi_runtime;

/* Images of the caller, of the network's size. */
typedef struct dfqi_pixels {
    const void *data;
    int32_t bytes;     /* 1: uint8, 0..255; 0: float32, normalised */
    int64_t n;         /* images */
    int64_t stride[4]; /* elements from an image, channel, row and pixel to the next */
} dfqi_pixels;

/* Compiles a network. `o` has its full size and is checked here. */
DFQI_CHECKED dfq_status dfqi_runtime_new(const dfqi_model *m, const dfq_runtime_options *o,
                                         dfqi_runtime **out);
/* Another runtime of the same program, for the threads and the allocator of `ctx`. */
DFQI_CHECKED dfq_status dfqi_runtime_clone(const dfqi_runtime *rt, dfq_context *ctx,
                                           dfqi_runtime **out);
void dfqi_runtime_free(dfqi_runtime *rt); /* NULL ok */
dfq_context *dfqi_runtime_context(const dfqi_runtime *rt);
void dfqi_runtime_info(const dfqi_runtime *rt, dfq_runtime_info *out);
/* Of its classes; NULL: not known. */
const dfqi_class_names *dfqi_runtime_names(const dfqi_runtime *rt);
int32_t dfqi_runtime_outputs(const dfqi_runtime *rt);
/* Output i in range: 0 the logits, then the probes. */
void dfqi_runtime_output(const dfqi_runtime *rt, int32_t i, dfq_runtime_output *out);
/* Fills in strides. DFQ_PIXELS_*, checked by the caller. */
void dfqi_pixels_init(const dfqi_runtime *rt, int32_t pixels, const void *data, int64_t n,
                      dfqi_pixels *out);
/* logits[n][classes], or NULL. DFQ_E_SHAPE for fewer than 1 or more than the batch. */
DFQI_CHECKED dfq_status dfqi_runtime_run(dfqi_runtime *rt, const dfqi_pixels *x, float *logits);
int32_t dfqi_runtime_parts(const dfqi_runtime *rt);
/* Kind i of steps, in range. */
void dfqi_runtime_part(const dfqi_runtime *rt, int32_t i, dfq_runtime_part *out);
/* Operations a second on registers alone, by all threads; 0: not known. */
void dfqi_runtime_peak(dfqi_runtime *rt, double *out_float, double *out_integer);
/* Runs images first .. first + n - 1 of the data set. Reports progress ("eval"). */
DFQI_CHECKED dfq_status dfqi_runtime_evaluate(dfqi_runtime *rt, const dfqi_dataset *d,
                                              int64_t first, int64_t n, dfqi_accuracy *out);
/* A picture file as the network takes it: resized and cropped, rgb[S][S][3]. */
DFQI_CHECKED dfq_status dfqi_runtime_picture(const dfqi_runtime *rt, const char *path,
                                             uint8_t *rgb);

#endif
