/* What a file looks like that is not what was asked for. */
#ifndef DFQI_IO_LOOK_H
#define DFQI_IO_LOOK_H

#include <stddef.h>

/* How many of the first bytes are enough. */
enum { DFQI_LOOK_BYTES = 512 };

/* `kind`: "a PNG picture", "an ONNX model"; NULL: no idea. `cure`: how somebody who wants the
 * network in it gets a file that is read. Static texts. */
typedef struct dfqi_look {
    const char *kind, *cure;
} dfqi_look;
dfqi_look dfqi_file_look(const void *bytes, size_t size);

#endif
