/* A network whose layers have widths of their own, for measuring: made of quantized forms of it
 * that have one width each, without calibrating again. A layer's parameters and the grids of its
 * activations are those of the form of that width; float layers have those of `base`. */
#ifndef DFQI_BITS_MIXED_H
#define DFQI_BITS_MIXED_H

#include "bits/cut.h"
#include "bits/table.h"
#include "nn/network.h"

enum { DFQI_BITS_MIN = 2, DFQI_BITS_MAX = 8, DFQI_BITS_WIDTHS = 7 };

/* Widths of a layer; 0: float, or no such quantizer. */
typedef struct dfqi_pair {
    int32_t w, a;
} dfqi_pair;

typedef struct dfqi_mixed {
    dfq_context *ctx;
    const dfqi_network *base;                   /* float, in the basis of the forms */
    const dfqi_model *forms[DFQI_BITS_MAX + 1]; /* by width */
    const dfqi_bits *table;                     /* names of layers */
    int64_t n, classes;                         /* images */
    const float *images;
    double *teacher; /* [n][classes] logarithms of the base's probabilities */
    float *logits;   /* [n][classes] scratch */
    dfqi_workspace work;
} dfqi_mixed;

/* All is borrowed. Runs the base. */
DFQI_CHECKED dfq_status dfqi_mixed_init(dfqi_mixed *m);
void dfqi_mixed_fini(dfqi_mixed *m);

/* A graph of all images with these widths [table->n]. */
typedef struct dfqi_mixed_graph {
    dfq_context *ctx;
    dfqi_graph *g;
    dfqi_id image;
    dfqi_cut cut;
} dfqi_mixed_graph;
DFQI_CHECKED dfq_status dfqi_mixed_build(const dfqi_mixed *m, const dfqi_pair *widths,
                                         dfqi_mixed_graph *out);
void dfqi_mixed_graph_fini(dfqi_mixed_graph *g);
/* Number of the first node that the widths of a layer can change. */
int32_t dfqi_mixed_first(const dfqi_mixed_graph *g, const char *layer);

/* Mean KL divergence of the base's probabilities and those with these widths. `from` NULL: of a
 * whole run; else the state of a graph whose widths are the same up to there. DFQ_E_NUMERIC if
 * logits are not finite. */
DFQI_CHECKED dfq_status dfqi_mixed_kl(dfqi_mixed *m, const dfqi_pair *widths,
                                      const dfqi_cut_state *from, double *out);

#endif
