/* The structs behind public handles, and helpers that several files of this folder share. */
#ifndef DFQI_API_HANDLES_H
#define DFQI_API_HANDLES_H

#include <dfq/accelerator.h>
#include <dfq/cost.h>
#include <dfq/dataset.h>
#include <dfq/solver.h>
#include <dfq/quantizer.h>

#include "accel/accel_config.h"
#include "accel/layer.h"
#include "io/dataset.h"
#include "quant/scheme.h"

struct dfq_accelerator {
    dfq_context *ctx; /* retained */
    dfqi_accel_space space;
};

struct dfq_dataset {
    dfq_context *ctx; /* retained */
    dfqi_dataset *d;
};

/* Gives the network the names of its classes from a file; NULL: leaves them. Takes it also on
 * failure. */
DFQI_CHECKED dfq_status dfqi_graph_named(dfq_graph *take_graph, const char *class_names,
                                         dfq_graph **out_graph);

/* As dfqi_info_write, of one accelerator. */
DFQI_CHECKED dfq_status dfqi_config_write(dfq_context *ctx, const dfqi_accel_config *t,
                                          dfq_accelerator_config *out);

/* As dfqi_info_write, of one quantizer; the name stays where it is. */
DFQI_CHECKED dfq_status dfqi_site_write(dfq_context *ctx, const dfqi_site *site, const char *name,
                                        dfq_quantizer_info *out);

/* True if a network gets scales of rows, found at run time, by these options. */
bool dfqi_has_row_scales(const dfq_graph *graph, const dfq_quantize_options *o);
/* The sites and widths that dfq_graph_quantize() would give a float network, without values. */
DFQI_CHECKED dfq_status dfqi_scheme_of_options(const dfq_graph *graph,
                                               const dfq_quantize_options *options,
                                               dfqi_scheme *out);
/* Columns of a weight of few bits that share a grid by these options, 0: all of a row. */
DFQI_CHECKED dfq_status dfqi_weight_group_of_options(const dfq_graph *graph,
                                                     const dfq_quantize_options *options,
                                                     int32_t *out);
/* How many of the images given join drawn ones at most. */
enum { DFQI_GIVEN_IMAGES = 256 };

/* Limits of any age: an array whose elements have the struct_size of the first. `out` has room for
 * DFQ_METRICS_MAX; of a number that is not possible nothing is read. */
DFQI_CHECKED dfq_status dfqi_constraints_read(dfq_context *ctx, const dfq_constraint *given,
                                              int32_t n, dfq_constraint out[DFQ_METRICS_MAX]);

/* Accelerator i of a description; DFQ_E_INVALID if there is none. */
DFQI_CHECKED dfq_status dfqi_config_take(dfq_context *ctx, const dfq_accelerator *a, int64_t i,
                                         dfqi_accel_config *out);
/* Options of costs, checked, and the quantizers that they ask for. */
DFQI_CHECKED dfq_status dfqi_cost_options_take(const dfq_graph *graph,
                                               const dfq_cost_options *given, dfq_cost_options *out,
                                               dfqi_layer_bits *out_bits);
/* DFQ_E_INVALID unless images first .. first + n - 1 are in the data set. */
DFQI_CHECKED dfq_status dfqi_dataset_range(const dfq_dataset *ds, int64_t first, int64_t n);

#endif
