/* Numbers and command lines for people. */
#ifndef DFQ_TOOLS_TEXT_H
#define DFQ_TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { TEXT_SHORT = 32 };

/* "23.1 MB" and "1:02:07", "4:05", "0.8 s"; "?" for NaN. Both return `out`. */
char *text_bytes(double bytes, char out[TEXT_SHORT]);
char *text_seconds(double seconds, char out[TEXT_SHORT]);

/* The arguments as a shell reads them back, followed by `more` (NULL: nothing). To be freed; NULL
 * without memory. */
char *text_command(int argc, char *const *argv, const char *more);

/* printf into new memory, to be freed; NULL without memory. */
char *text_format(const char *format, ...);

/* Seconds of a clock that only goes forward. */
double text_now(void);

/* FNV-1a of `size` bytes, continued from `hash` (begin with TEXT_HASH). */
#define TEXT_HASH UINT64_C(14695981039346656037)
uint64_t text_hash(uint64_t hash, const void *bytes, size_t size);

#endif
