/* HTML output of reports: escaping, numbers, pictures, the page. */
#include "report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* ---- text and numbers ---- */

void html_text(FILE *f, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!s) return;
    while (*s) {
        size_t n = utf8_length(s);
        int c = *s;
        if (n == 0 || (utf8_steers(s, n) && c != '\n' && c != '\t'))
            fputs("\xef\xbf\xbd", f);
        else if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '>')
            fputs("&gt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else if (c == '\'')
            fputs("&#39;", f);
        else
            fwrite(s, 1, n, f);
        s += n ? n : 1;
    }
}

void html_number(FILE *f, const char *format, double v)
{
    char text[400]; /* the longest double in %f has 309 digits before the point */
    snprintf(text, sizeof text, format, v);
    for (char *c = text; *c; c++) {
        if (*c == '-') {
            fputs("\xe2\x88\x92", f); /* a true minus sign */
            continue;
        }
        fputc(*c, f);
    }
}

void html_coordinate(FILE *f, double v)
{
    fprintf(f, "%.1f", v);
}

void html_general(FILE *f, double v)
{
    if (isnan(v))
        fputs("\xe2\x80\x93", f);
    else if (isinf(v))
        fputs(v > 0 ? "\xe2\x88\x9e" : "\xe2\x88\x92\xe2\x88\x9e", f);
    else
        html_number(f, "%.4g", v);
}

void html_bytes(FILE *f, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    size_t u = 0;
    if (bytes < 1000) {
        fprintf(f, "%d bytes", (int)bytes);
        return;
    }
    for (v /= 1000; v >= 999.5 && u + 1 < sizeof units / sizeof *units; u++) v /= 1000;
    html_number(f, v < 9.995 ? "%.2f" : v < 99.95 ? "%.1f" : "%.0f", v);
    fprintf(f, " %s", units[u]);
}

void html_duration(FILE *f, double seconds)
{
    if (seconds < 59.95) {
        html_number(f, seconds < 9.995 ? "%.2f s" : "%.1f s", seconds);
        return;
    }
    double minutes = floor((seconds + 0.5) / 60);
    if (minutes < 60)
        fprintf(f, "%.0f min %.0f s", minutes, floor(seconds + 0.5 - minutes * 60));
    else
        fprintf(f, "%.0f h %.0f min", floor(minutes / 60), fmod(minutes, 60));
}

/* ---- pictures ---- */

int html_is_png(const struct report_image *im)
{
    static const unsigned char head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    return im->png && im->size >= 24 && memcmp(im->png, head, sizeof head) == 0;
}

static void base64(FILE *f, const unsigned char *b, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned long v = (unsigned long)b[i] << 16;
        if (i + 1 < n) v |= (unsigned long)b[i + 1] << 8;
        if (i + 2 < n) v |= b[i + 2];
        fputc(digits[v >> 18], f);
        fputc(digits[v >> 12 & 63], f);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digits[v & 63] : '=', f);
    }
}

static unsigned long big_endian(const unsigned char *b)
{
    return (unsigned long)b[0] << 24 | (unsigned long)b[1] << 16 | (unsigned long)b[2] << 8 | b[3];
}

void html_image(FILE *f, const struct report_image *im)
{
    const unsigned char *b = im->png;
    unsigned long w = big_endian(b + 16), h = big_endian(b + 20);
    unsigned long zoom =
        w && w < 240 && h < 4096 ? 480 / w : 1; /* small maps are shown in blocks */
    fputs("<figure class=\"card\">", f);
    if (im->title) {
        fputs("<h3>", f);
        html_text(f, im->title);
        fputs("</h3>", f);
    }
    fprintf(f, "<img%s width=\"%lu\" height=\"%lu\" alt=\"", zoom > 1 ? " class=\"blocks\"" : "",
            w * zoom, h * zoom);
    html_text(f, im->title ? im->title : im->caption ? im->caption : "picture");
    fputs("\" src=\"data:image/png;base64,", f);
    base64(f, b, im->size);
    fputs("\">", f);
    if (im->caption) {
        fputs("<figcaption>", f);
        html_text(f, im->caption);
        fputs("</figcaption>", f);
    }
    fputs("</figure>\n", f);
}

/* ---- the whole page ---- */

static const char heading[] = "<h2>", heading_end[] = "</h2>";

static void write_contents(FILE *f, const char *page)
{
    fputs("<nav aria-label=\"Contents\"><ul>", f);
    int n = 0;
    for (const char *at = page; (at = strstr(at, heading)) != NULL; n++) {
        at += sizeof heading - 1;
        const char *end = strstr(at, heading_end);
        fprintf(f, "<li><a href=\"#s%d\">%.*s</a></li>", n, end ? (int)(end - at) : 0, at);
    }
    fputs("</ul></nav>\n", f);
}

int html_page(FILE *f, int (*write)(FILE *f, const void *what), const void *what)
{
    char *page = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&page, &size);
    int failed = memory ? write(memory, what) : -1, n = 0;
    if (memory && fclose(memory) != 0) failed = -1;
    const char *at = page;
    if (!failed) {
        for (const char *next; (next = strstr(at, heading)) != NULL; at = next + 1, n++) {
            fwrite(at, 1, (size_t)(next - at), f);
            if (n == 0) write_contents(f, page);
            fprintf(f, "<a id=\"s%d\"></a>", n);
            fputc(*next, f);
        }
        fputs(at, f);
    }
    free(page);
    return failed;
}
