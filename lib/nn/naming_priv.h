/* The rows of the table of names, for the files that have some of them. */
#ifndef DFQI_NN_NAMING_PRIV_H
#define DFQI_NN_NAMING_PRIV_H

#include <stddef.h>

#include "nn/naming.h"

/* '#' stands for a number, of a block or a stage, '*' at the end for the rest of a name. In `to`
 * the numbers come in the same order; "#+" is the number plus 1, "#/" half of it. A digit behind
 * '@' says that the tensor is a part of one: queries, keys or values. NULL: no network needs it. */
typedef struct dfqi_naming_pattern {
    const char *from, *to;
} dfqi_naming_pattern;

/* Swin transformers (naming_swin.c). */
enum { DFQI_NAMINGS_SWIN = 4 };
extern const dfqi_naming dfqi_namings_swin[DFQI_NAMINGS_SWIN];

#endif
