/* HTML output of reports, appended to a stream: escaped text, numbers, pictures, charts. Errors
 * stay in the stream (ferror). */
#ifndef DFQ_TOOLS_REPORT_HTML_H
#define DFQ_TOOLS_REPORT_HTML_H

#include <stdio.h>

#include "report/report.h"

void html_text(FILE *f, const char *text); /* NULL writes nothing */
void html_number(FILE *f, const char *format,
                 double v);              /* a format of one double; always a point */
void html_coordinate(FILE *f, double v); /* in a drawing: one digit, the minus sign is a hyphen */
void html_general(FILE *f, double v);    /* four digits; a dash for NaN, the sign of infinity */
void html_bytes(FILE *f, uint64_t bytes);
void html_duration(FILE *f, double seconds);

/* Writes what `write` writes, with a list of contents before its first <h2> and a place to jump to
 * at each. -1 without memory, or what `write` gives. */
int html_page(FILE *f, int (*write)(FILE *f, const void *what), const void *what);

/* Whether the bytes begin like a PNG file. */
int html_is_png(const struct report_image *im);
void html_image(FILE *f, const struct report_image *im);

/* Whether a chart has anything to draw. */
int html_has_points(const struct report_chart *c);
void html_line_chart(FILE *f, const struct report_chart *c);
/* One row a layer; the weakest are marked. */
void html_layer_bars(FILE *f, const struct report_layer *layers, size_t n);

#endif
