/* Recognises the format of a file that is not of the expected one, for error texts. */
#ifndef DFQI_IO_LOOK_H
#define DFQI_IO_LOOK_H

#include <stddef.h>

/* The number of first bytes that suffices. */
enum { DFQI_LOOK_BYTES = 512 };

/* `kind`: "a PNG picture", "an ONNX model"; NULL: no idea. `cure`: how somebody who wants the
 * network in it gets a file that is read. Static texts. */
typedef struct dfqi_look {
    const char *kind, *cure;
} dfqi_look;
dfqi_look dfqi_file_look(const void *bytes, size_t size);

#endif
