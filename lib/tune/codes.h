/* Codes of a network's quantized weights: their values, the distance of each weight from the
 * nearest threshold, and threshold crossings during tuning (docs/METHODS.md, Diagnostics). */
#ifndef DFQI_TUNE_CODES_H
#define DFQI_TUNE_CODES_H

#include "quant/model.h"

/* A quantized weight, borrowed from its model. */
typedef struct dfqi_coded {
    const char *name;
    const dfqi_site *site;
    const float *col; /* [cols] factors of its columns, or NULL */
    dfq_tensor *tensor;
    int32_t param; /* its number among the network's parameters */
    int64_t rows, cols;
    int64_t at; /* where it begins if all of them lie one behind the other */
} dfqi_coded;

/* All of them in the order of the network's parameters, to be freed with dfqi_free; `values`: all
 * their elements. */
DFQI_CHECKED dfq_status dfqi_coded_list(const dfqi_model *m, dfqi_coded **out, int32_t *out_n,
                                        int64_t *values);

typedef struct dfqi_crossings dfqi_crossings;

/* Columns of a measurement. */
enum {
    DFQI_CROSSED_NOW,
    DFQI_CROSSED_EVER,
    DFQI_CROSSED_DISTANCE,
    DFQI_CROSSED_CODES,
    DFQI_CROSSED_COLUMNS
};

/* Remembers the codes of `student` (retained) as they are now. */
DFQI_CHECKED dfq_status dfqi_crossings_new(const dfqi_model *student, dfqi_crossings **out);
void dfqi_crossings_release(dfqi_crossings *c); /* NULL ok */
int32_t dfqi_crossings_count(const dfqi_crossings *c);
const char *dfqi_crossings_name(const dfqi_crossings *c, int32_t i);
/* F32 [weights, DFQI_CROSSED_COLUMNS]: codes that changed since the last measurement (at first:
 * since the beginning) and since the beginning; the mean distance, in codes, of a weight from where
 * its code changes; and the number of codes. */
DFQI_CHECKED dfq_status dfqi_crossings_measure(dfqi_crossings *c, dfq_tensor **out);

#endif
