/* Helpers of all public functions: options and info structs of older or newer callers, checks of
 * arguments. */
#ifndef DFQI_API_H
#define DFQI_API_H

#include "base/context.h"

/* Every options struct begins with `uint32_t struct_size`, all of them grow at the end only, and
 * caller and library may have been compiled against different lengths.
 *
 * The body of every dfq_*_options_init(): the first `size` bytes of `defaults` (own_size bytes) go
 * to `options`, zeros where the library knows less than the caller, then struct_size = size. */
void dfqi_options_init(void *options, size_t size, const void *defaults, size_t own_size);

/* The first act of every function that takes options. `own` is the library's struct of `own_size`
 * bytes with the defaults filled in; what the caller knows of it replaces them, `given` NULL leaves
 * them. Fields that this library does not know must be zero: an old library refuses a new request
 * rather than ignore it (DFQ_E_UNSUPPORTED). DFQ_E_INVALID: a struct_size too small to be one, and
 * structs without what init sets; the text names the init.
 * `ctx` takes the detail text and may be NULL; `what` names the struct in it. */
DFQI_CHECKED dfq_status dfqi_options_read(dfq_context *ctx, const char *what, const void *given,
                                          void *own, size_t own_size);

/* The same for structs that callers fill by hand, from zeros, and that are not NULL. */
DFQI_CHECKED dfq_status dfqi_struct_read(dfq_context *ctx, const char *what, const void *given,
                                         void *own, size_t own_size);

/* The last act of functions that fill an info struct (struct_size first, set by the caller): as
 * much of `own` as the caller has room for. A struct_size too small to be one is DFQ_E_INVALID. */
DFQI_CHECKED dfq_status dfqi_info_write(dfq_context *ctx, const char *what, const void *own,
                                        size_t own_size, void *out);

/* Returns DFQ_E_INVALID from a public function if a required argument is NULL. */
#define DFQI_NEED(ctx, argument)                                                                   \
    do {                                                                                           \
        if ((argument) == NULL)                                                                    \
            return dfqi_fail((ctx), DFQ_E_INVALID, "%s: argument %s is NULL", __func__,            \
                             #argument);                                                           \
    } while (0)

#endif
