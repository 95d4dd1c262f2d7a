/* Lengths of UTF-8 sequences. */
#ifndef DFQ_TOOLS_UTF8_H
#define DFQ_TOOLS_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at p, 1..4; 0 if it is broken. Stops at the terminating zero. */
static inline size_t utf8_length(const unsigned char *p)
{
    size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : (*p & 0xF0) == 0xE0 ? 3 : 4;
    if (n == 4 && (*p < 0xF0 || *p > 0xF4)) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if (n == 3 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))) return 0;
    if (n == 4 && ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))) return 0;
    return n;
}

#endif
