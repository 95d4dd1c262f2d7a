/* Probes: named values of a network's forward pass, and a pass that computes them. They are
 * query-key products, softmax maps and attention outputs of each head, outputs of blocks and
 * layers, and inputs of BatchNorms. They are named after layers and blocks, so a float network and
 * its quantized form have the same names. */
#ifndef DFQI_QUANT_PROBE_H
#define DFQI_QUANT_PROBE_H

#include <dfq/graph.h>

#include "quant/model.h"

typedef struct dfqi_probe {
    char name[96];
    int32_t kind; /* DFQ_PROBE_* */
    int32_t rank;
    int64_t dims[4]; /* of one image; channels first */
} dfqi_probe;

/* The list, in the order of computation; made once and kept by the model. */
DFQI_CHECKED dfq_status dfqi_probes_of(const dfqi_model *m, int32_t *out_n,
                                       const dfqi_probe **out_probes);
/* The value of a probe in a whole graph of the model (DFQI_GRAPH_WHOLE), and its name and
 * extents. DFQ_E_INVALID for an unknown name. */
DFQI_CHECKED dfq_status dfqi_probe_find(const dfqi_model *m, const dfqi_graph *g, const char *name,
                                        dfqi_id *out_id, dfqi_probe *out);
/* Runs images[n][3][S][S]: fills logits[n][classes] (NULL: not wanted), and for each name makes a
 * new F32 tensor [n, dims] in out[n_names]; out is set only on success. DFQ_E_INVALID for an
 * unknown name. */
DFQI_CHECKED dfq_status dfqi_probe_forward(const dfqi_model *m, const float *images, int64_t n,
                                           int32_t n_names, const char *const *names, float *logits,
                                           dfq_tensor **out);

#endif
