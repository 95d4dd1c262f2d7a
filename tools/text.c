/* Text output: numbers, times and command lines. */
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "utf8.h"

char *text_threads(int n, char out[TEXT_SHORT])
{
    snprintf(out, TEXT_SHORT, "%d thread%s", n, n == 1 ? "" : "s");
    return out;
}

char *text_size(int64_t height, int64_t width, char out[TEXT_SHORT])
{
    if (height == width)
        snprintf(out, TEXT_SHORT, "%lld", (long long)height);
    else
        snprintf(out, TEXT_SHORT, "%lldx%lld", (long long)height, (long long)width);
    return out;
}

char *text_bytes(double bytes, char out[TEXT_SHORT])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    size_t k = 0;
    while (bytes >= 999.5 && k + 1 < sizeof unit / sizeof *unit) bytes /= 1000, k++;
    snprintf(out, TEXT_SHORT, k == 0 || bytes >= 99.5 ? "%.0f %s" : "%.3g %s", bytes, unit[k]);
    return out;
}

char *text_seconds(double seconds, char out[TEXT_SHORT])
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        snprintf(out, TEXT_SHORT, "?");
        return out;
    }
    long s = lround(seconds);
    if (seconds < 9.95)
        snprintf(out, TEXT_SHORT, "%.1f s", seconds);
    else if (s < 60)
        snprintf(out, TEXT_SHORT, "%ld s", s);
    else if (s < 3600)
        snprintf(out, TEXT_SHORT, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(out, TEXT_SHORT, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return out;
}

static int is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-_./=:,+@%";
    return *text && text[strspn(text, plain)] == '\0';
}

/* Writes to `at` unless it is NULL; returns the length. */
static size_t quote(const char *text, char *at)
{
    size_t n = 0;
    int plain = is_plain(text);
#define PUT(c)                                                                                     \
    do {                                                                                           \
        if (at) at[n] = (c);                                                                       \
        n++;                                                                                       \
    } while (0)
    if (!plain) PUT('\'');
    for (; *text; text++) {
        if (*text == '\'' && !plain) { /* ends the quotes, an escaped quote, begins them again */
            PUT('\'');
            PUT('\\');
            PUT('\'');
        }
        PUT(*text);
    }
    if (!plain) PUT('\'');
#undef PUT
    return n;
}

char *text_command(int argc, char *const *argv, const char *more)
{
    size_t size = 2 + (more ? strlen(more) : 0), at = 0;
    for (int i = 0; i < argc; i++) size += quote(argv[i], NULL) + 1;
    char *out = malloc(size);
    if (!out) return NULL;
    for (int i = 0; i < argc; i++) {
        if (i) out[at++] = ' ';
        at += quote(argv[i], out + at);
    }
    snprintf(out + at, size - at, "%s%s", more ? " " : "", more ? more : "");
    return out;
}

/* The next character of `*text` as a terminal may have it, and its length. */
static const char *next_plain(const char **text, size_t *n)
{
    const unsigned char *p = (const unsigned char *)*text;
    size_t have = utf8_length(p);
    int bad = have == 0 || utf8_steers(p, have);
    *text += have ? have : 1;
    *n = bad ? 1 : have;
    return bad ? "?" : (const char *)p;
}

void text_put(FILE *f, const char *text)
{
    size_t n;
    while (*text) {
        const char *p = next_plain(&text, &n);
        fwrite(p, 1, n, f);
    }
}

static char *make_plain(char *text)
{
    const char *from = text;
    char *to = text;
    size_t n;
    while (*from) {
        const char *p = next_plain(&from, &n);
        memmove(to, p, n);
        to += n;
    }
    *to = '\0';
    return text;
}

void text_line(const char *before, const char *format, va_list args)
{
    char some[512]; /* of a long line, where there is no memory */
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(some, sizeof some, format, args);
    char *all = n >= (int)sizeof some ? malloc((size_t)n + 1) : NULL;
    if (all) vsnprintf(all, (size_t)n + 1, format, again);
    va_end(again);
    if (n < 0) *some = '\0';
    fprintf(stderr, "%s%s\n", before, make_plain(all ? all : some)); /* written at once */
    free(all);
}

char *text_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = n < 0 ? NULL : malloc((size_t)n + 1);
    if (!out) return NULL;
    va_start(args, format);
    vsnprintf(out, (size_t)n + 1, format, args);
    va_end(args);
    return out;
}

double text_now(void)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t text_hash(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}
