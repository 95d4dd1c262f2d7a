/* Loading the model, judging it on labelled images. */
#ifndef DFQ_TOOLS_MODEL_H
#define DFQ_TOOLS_MODEL_H

#include "session.h"

/* Loads s->o->input. Returns 0 or an exit code, after one line. */
int model_load(struct session *s, dfq_graph **out_graph, dfq_graph_info *out_info);

/* "weight, per channel" and the like. Static text. */
const char *model_quantizer_kind(const dfq_quantizer_info *q);

/* Counts of an evaluation that may be interrupted and go on. */
struct tally {
    int64_t n, correct, correct5;
};

/* Seconds for one image, decoding included; measured on the first images. */
int model_measure(struct session *s, const dfq_graph *g, const dfq_dataset *d, double *out_seconds);

/* Goes on from t->n to image `count`; t holds what was done also when interrupted. */
int model_judge(struct session *s, const dfq_graph *g, const dfq_dataset *d, int64_t count,
                const char *label, double later, struct tally *t);

#endif
