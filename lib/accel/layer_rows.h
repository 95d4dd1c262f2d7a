/* The layers of a network as dfq_graph_get_layer() describes them: name, tensor shapes, MACs and
 * bit widths. Row i belongs to entry i of the list of layer.h. */
#ifndef DFQI_ACCEL_LAYER_ROWS_H
#define DFQI_ACCEL_LAYER_ROWS_H

#include <dfq/graph.h>

#include "quant/model.h"

typedef struct dfqi_layer_row {
    char name[80];
    char weight[96]; /* the parameter; "": none */
    dfq_layer_info info;
} dfqi_layer_row;

/* Made once and kept by the model; the infos' texts point into it. */
DFQI_CHECKED dfq_status dfqi_layer_rows_of(const dfqi_model *m, int32_t *out_n,
                                           const dfqi_layer_row **out_rows);

#endif
