/* The cases of the runtime suite, and what they share. */
#ifndef DFQT_RUNTIME_CASES_H
#define DFQT_RUNTIME_CASES_H

#include <check.h>
#include <dfq/runtime.h>

#include "quant/cases.h"

TCase *dfqt_bits_case(void);
TCase *dfqt_groups_case(void);
TCase *dfqt_oblong_case(void);
TCase *dfqt_input_case(void);
TCase *dfqt_life_case(void);
TCase *dfqt_runtime_file_case(void);
TCase *dfqt_real_case(void);
TCase *dfqt_told_case(void);

#define OK(ctx, call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

/* A runtime for so many images, with n_probes names. */
dfq_runtime *dfqt_runtime(const dfq_graph *g, int64_t batch, int32_t n_probes,
                          const char *const *probes);
/* Runs images first .. first + n - 1 of a tensor, normalised, into logits. */
void dfqt_run_images(dfq_runtime *rt, const dfq_tensor *images, int64_t first, int64_t n,
                     float *logits);
/* The logits of the graph: a new tensor. */
dfq_tensor *dfqt_forward(const dfq_graph *g, const dfq_tensor *images);

/* Networks by number: DFQI_FAMILY_* and the last are float; the others are quantized. */
enum {
    DFQT_LOW_RESNET = DFQI_FAMILY_COUNT,
    DFQT_LOW_MBCONV,
    DFQT_LOW_WIDE,   /* a ResNet of several panels of filters, which threads share */
    DFQT_LOW_RANGES, /* the same on asymmetric grids that follow the weights */
    DFQT_LOW_PARITY, /* a transformer, like the next */
    DFQT_LOW_STATIC,
    DFQT_LOW_ROW,
    DFQT_LOW_STATIC_GROUPS, /* weights in groups, like the next two */
    DFQT_LOW_WEIGHT_GROUPS, /* rows */
    DFQT_LOW_ROW_GROUPS,    /* inputs of fc2 have a scale for each of three groups */
    DFQT_LOW_SWIN,          /* on grids of rows, like the two before and those behind */
    DFQT_LOW_VIT_HEADS,
    DFQT_LOW_VIT_MEAN,
    DFQT_LOW_VIT_NORMS,
    DFQT_LOW_END,
    DFQT_FLOAT_VIT_HEADS = DFQT_LOW_END, /* DeiT with its distillation token and two heads */
    DFQT_NETWORKS
};
dfq_graph *dfqt_network(dfq_context *ctx, int i);
/* Share of the products that the runtime of a network does on codes, at least. */
double dfqt_integer_share(int i);
/* Has it the bits of the graph? Then both sum floats, or both sum codes. */
int dfqt_is_exact(int i);

#endif
