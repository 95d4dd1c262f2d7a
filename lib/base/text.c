/* Number formatting with decimal points, and removal of terminal control characters from texts. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "C" is built in; common C libraries allocate nothing for it. */
locale_t dfqi_points_begin(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

void dfqi_points_end(locale_t before)
{
    locale_t own = uselocale(before);
    if (own != before) freelocale(own);
}

int dfqi_vprint(char *out, size_t size, const char *fmt, va_list args)
{
    locale_t before = dfqi_points_begin();
    int n = vsnprintf(out, size, fmt, args);
    dfqi_points_end(before);
    return n;
}

int dfqi_print(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = dfqi_vprint(out, size, fmt, args);
    va_end(args);
    return n;
}

double dfqi_parse_real(const char *text, char **end)
{
    locale_t before = dfqi_points_begin();
    double v = strtod(text, end);
    dfqi_points_end(before);
    return v;
}

const char *dfqi_cause(int error, char out[DFQI_CAUSE_MAX])
{
    locale_t before = dfqi_points_begin();
    if (strerror_r(error, out, DFQI_CAUSE_MAX) != 0)
        snprintf(out, DFQI_CAUSE_MAX, "error %d", error);
    dfqi_points_end(before);
    return out;
}

size_t dfqi_utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
               : (s[0] & 0xF0) == 0xE0        ? 3
               : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

/* U+0080..9F are control characters; U+200E..F, 2028..E and 2066..9 turn or break a line. */
static int steers(const unsigned char *s, size_t n)
{
    if (n == 1) return s[0] < 0x20 || s[0] == 0x7F;
    if (n == 2) return s[0] == 0xC2 && s[1] < 0xA0;
    if (n != 3 || s[0] != 0xE2) return 0;
    return (s[1] == 0x80 && (s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xA8 && s[2] <= 0xAE))) ||
           (s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9);
}

void dfqi_printable(char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    char *to = text;
    while (*s) {
        size_t n = dfqi_utf8_length(s);
        if (n == 0 || steers(s, n)) {
            *to++ = '?';
            s += n ? n : 1;
        } else {
            memmove(to, s, n);
            to += n;
            s += n;
        }
    }
    *to = '\0';
}
