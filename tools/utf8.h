/* UTF-8: length of a sequence, and sequences that must not reach a terminal. */
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

/* 1 if the sequence of n bytes at p steers a terminal: control characters (C0, C1, DEL), and marks
 * that change the direction of writing or end a line. */
static inline int utf8_steers(const unsigned char *p, size_t n)
{
    if (n == 1) return p[0] < 0x20 || p[0] == 0x7F;
    if (n == 2) return p[0] == 0xC2 && p[1] < 0xA0;
    if (n != 3 || p[0] != 0xE2) return 0;
    return (p[1] == 0x80 && (p[2] == 0x8E || p[2] == 0x8F || (p[2] >= 0xA8 && p[2] <= 0xAE))) ||
           (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9);
}

#endif
