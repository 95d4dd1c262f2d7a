/* Text helpers. Numbers are written and read with decimal points in any locale. Text from files is
 * cleaned of control characters before it can reach a terminal. */
#ifndef DFQI_BASE_TEXT_H
#define DFQI_BASE_TEXT_H

#include <locale.h>
#include <stdarg.h>
#include <stddef.h>

/* snprintf() and vsnprintf() with decimal points. All numbers with fractions are formatted by
 * them. */
int dfqi_print(char *out, size_t size, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
int dfqi_vprint(char *out, size_t size, const char *fmt, va_list args);

/* strtod() with decimal points. */
double dfqi_parse_real(const char *text, char **end);

/* For calls of other libraries that print or read numbers: the thread's locale is "C" between the
 * two calls. Pass the result of the first to the second. */
locale_t dfqi_points_begin(void);
void dfqi_points_end(locale_t before);

/* The text of an errno value, in English. */
enum { DFQI_CAUSE_MAX = 128 };
const char *dfqi_cause(int error, char out[DFQI_CAUSE_MAX]);

/* Bytes of the UTF-8 sequence at `s`, which is zero-ended; 0 if it is invalid. Overlong forms,
 * surrogates and values beyond U+10FFFF are invalid. */
size_t dfqi_utf8_length(const unsigned char *s);

/* Replaces in place, by '?', everything that does not belong into one line of a terminal: control
 * characters (C0, C1, DEL), marks that change the direction of writing or end a line, and invalid
 * UTF-8. */
void dfqi_printable(char *text);

#endif
