/* The fronts of a joint search in `dfq explore MODEL`: what other values of one limit at a time
 * would give. */
#ifndef DFQ_TOOLS_FRONT_H
#define DFQ_TOOLS_FRONT_H

#include "quantize.h"

/* Chooses again with each limit tighter and looser, the others held, and fills q->front. Returns 0
 * or an exit code, after one error line. */
int front_find(struct quantize *q, dfq_sensitivity *s);
/* Lines for stdout. */
void front_print(const struct quantize *q);
/* A member of an open object. */
void front_json(struct json *j, const struct quantize *q);

#endif
