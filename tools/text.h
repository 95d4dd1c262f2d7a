/* Text output: numbers, times and command lines. */
#ifndef DFQ_TOOLS_TEXT_H
#define DFQ_TOOLS_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_SHORT = 32 };

/* "23.1 MB" and "1:02:07", "4:05", "0.8 s"; "?" for NaN. Both return `out`. */
char *text_bytes(double bytes, char out[TEXT_SHORT]);
/* "224", or "224x160": height and width. */
char *text_size(int64_t height, int64_t width, char out[TEXT_SHORT]);
char *text_seconds(double seconds, char out[TEXT_SHORT]);

/* "1 thread", "2 threads"; returns `out`. */
char *text_threads(int n, char out[TEXT_SHORT]);

/* The arguments as a shell reads them back, followed by `more` (NULL: nothing). To be freed; NULL
 * without memory. */
char *text_command(int argc, char *const *argv, const char *more);

/* Writes `text` with '?' for whatever would steer a terminal. All that comes from a command line or
 * a file, and is not known to be plain, goes to a terminal by this or by text_line(). */
void text_put(FILE *f, const char *text);

/* One line on stderr: `before` and what the format makes of `args`, by text_put(). */
void text_line(const char *before, const char *format, va_list args);

/* printf into new memory, to be freed; NULL without memory. */
char *text_format(const char *format, ...);

/* Seconds of a clock that only goes forward. */
double text_now(void);

/* FNV-1a of `size` bytes, continued from `hash` (begin with TEXT_HASH). */
#define TEXT_HASH UINT64_C(14695981039346656037)
uint64_t text_hash(uint64_t hash, const void *bytes, size_t size);

#endif
