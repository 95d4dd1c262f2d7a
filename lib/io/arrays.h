/* Checkpoints: named arrays and a few texts in a safetensors file. A job lists its arrays once; the
 * list serves for writing and for reading. */
#ifndef DFQI_IO_ARRAYS_H
#define DFQI_IO_ARRAYS_H

#include "io/safetensors.h"

enum { DFQI_ARRAY_NAME = 128, DFQI_ARRAYS_TEXT = 832 };

/* An array of a job. Doubles are stored as their bits (I64), for safetensors here have no F64. */
typedef struct dfqi_array {
    char name[DFQI_ARRAY_NAME];
    dfqi_dtype dtype;
    int64_t count;
    void *data;
    int32_t finite; /* 1: of an F32, NaN and infinity are refused */
} dfqi_array;

/* An option that a checkpoint was made with. A job may resume only from a checkpoint with the same
 * marks. */
typedef struct dfqi_mark {
    const char *key;  /* "dfq.train.options" */
    const char *what; /* "options": for the error */
    char text[DFQI_ARRAYS_TEXT];
} dfqi_mark;

/* A growing list of arrays. dfqi_arrays_fini frees it; the caller keeps the data. */
typedef struct dfqi_arrays {
    dfq_context *ctx;
    int64_t n, room;
    dfqi_array *items;
    dfq_status status; /* the first failure of an addition */
} dfqi_arrays;

/* Adds prefix + name; data NULL or count 0: nothing. */
void dfqi_arrays_add(dfqi_arrays *a, const char *prefix, const char *name, dfqi_dtype dtype,
                     int64_t count, void *data, int32_t finite);
void dfqi_arrays_fini(dfqi_arrays *a);

/* marks[0].text is the version of the format. */
DFQI_CHECKED dfq_status dfqi_arrays_write(const dfqi_arrays *a, const char *path, int32_t n_marks,
                                          const dfqi_mark *marks);
/* Opens a checkpoint. DFQ_E_CORRUPT if it is not one of this kind of job (`kind`: "a checkpoint of
 * training"), DFQ_E_UNSUPPORTED for another version, DFQ_E_INVALID for other marks. */
DFQI_CHECKED dfq_status dfqi_arrays_open(dfq_context *ctx, const char *path, const char *kind,
                                         int32_t n_marks, const dfqi_mark *marks,
                                         dfqi_safetensors *out);
/* Checks every array of the list, and then copies all of them: on failure nothing has changed. */
DFQI_CHECKED dfq_status dfqi_arrays_check(const dfqi_arrays *a, const dfqi_safetensors *st,
                                          const char *path);
void dfqi_arrays_take(const dfqi_arrays *a, const dfqi_safetensors *st);

#endif
