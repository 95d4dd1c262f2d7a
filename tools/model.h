/* Loads models, and evaluates them on labelled images. */
#ifndef DFQ_TOOLS_MODEL_H
#define DFQ_TOOLS_MODEL_H

#include "session.h"

/* Loads s->o->input as the options say. Returns 0 or an exit code, after one error line.
 * `decides`: of DFQ_DECIDES_*, what matters to the verb; one line on stderr warns of what was
 * assumed of it. */
int model_load(struct session *s, int32_t decides, dfq_graph **out_graph, dfq_graph_info *out_info);

/* The options that say what the network is, as "name value" lines. To be freed; NULL: no memory. */
char *model_describe(const struct options *o);

/* CODE_INPUT, after one error line, for a network that has no classes. */
int model_need_classes(struct session *s, int64_t classes);
/* Opens s->o->data for a network of so many classes. Returns 0 or an exit code, after one error
 * line. */
int model_open_data(struct session *s, const dfq_graph *g, int64_t classes, dfq_dataset **out);
/* Lines if the middle alone of pictures was judged, or pictures lie on their side. */
void model_say_pictures(struct session *s, const dfq_dataset *d);

/* Has the network attention heads for losses to look at? */
int model_has_heads(const dfq_graph_info *info);

/* "the metadata" and the like, of DFQ_SOURCE_*. Static text. */
const char *model_source_name(int32_t source);

/* "weight, per channel" and the like. Static text. */
const char *model_quantizer_kind(const dfq_quantizer_info *q);

/* Counts of an evaluation that may be interrupted and go on. */
struct tally {
    int64_t n, correct, correct5, not_finite;
};

/* Can these be counts of an evaluation? */
int tally_holds(const struct tally *t);

/* What is evaluated: the runtime, if there is one, else the graph. */
struct evaluated {
    const dfq_graph *graph;
    dfq_runtime *runtime;
};

/* Seconds for one image, decoding included; measured on the first images. */
int model_measure(struct session *s, struct evaluated net, const dfq_dataset *d,
                  double *out_seconds);

/* A line on stderr if images have logits that are not finite. */
void model_say_not_finite(struct session *s, const char *network, int64_t n, int64_t not_finite);

/* Goes on from t->n to image `count`; t holds what was done also when interrupted. */
int model_judge(struct session *s, struct evaluated net, const dfq_dataset *d, int64_t count,
                const char *label, double later, struct tally *t);

#endif
