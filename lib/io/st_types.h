/* Element types of safetensors files beside those of dfqi_dtype, which are read as one of them. */
#ifndef DFQI_IO_ST_TYPES_H
#define DFQI_IO_ST_TYPES_H

#include "tensor/tensor.h"

typedef struct dfqi_st_type {
    const char *name; /* as the header writes it */
    size_t bytes;     /* of an element in the file */
    dfqi_dtype dtype; /* as which it is read */
    /* n elements as they lie in the file -> out; NULL: they are the same */
    void (*convert)(const unsigned char *in, size_t n, void *out);
} dfqi_st_type;

/* NULL: no such type. Static. */
const dfqi_st_type *dfqi_st_type_find(const char *name);

#endif
