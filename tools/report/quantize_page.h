/* State of the quantization report while it is filled, for the quantize_*.c files. */
#ifndef DFQ_TOOLS_REPORT_QUANTIZE_PAGE_H
#define DFQ_TOOLS_REPORT_QUANTIZE_PAGE_H

#include "quantize.h"
#include "report/report.h"

enum {
    PAGE_SHEETS = 3,
    PAGE_PICTURES = 2 * PAGE_SHEETS,
    PAGE_CHARTS = 6 + FRONT_METRICS,
    PAGE_ROWS = 20,
    PAGE_TEXT = 256,
    PAGE_SENTENCES = 5,
    PAGE_SENTENCE = 320
};

struct page {
    struct report r;
    struct report_image contact, attention[PAGE_PICTURES];
    char titles[PAGE_PICTURES][PAGE_TEXT];
    double *numbers; /* one block for all series */
    size_t used, cap;
    struct report_series *weights; /* of the chart of crossings */
    struct report_chart charts[PAGE_CHARTS];
    struct report_series series[PAGE_CHARTS][4];
    struct report_layer *layers;
    struct report_width *widths;
    char (*width_names)[PAGE_TEXT];
    struct report_part parts[PARTS_MAX];
    char (*layer_names)[PAGE_TEXT];
    struct report_quantizer *quantizers;
    const char *verdict[PAGE_SENTENCES];
    char said[PAGE_SENTENCES][PAGE_SENTENCE];
    struct report_row rows[PAGE_ROWS];
    char values[PAGE_ROWS][PAGE_TEXT];
    struct report_file input;
    double *stream; /* before and after rotation; NULL: not rotated */
    char stream_block[PAGE_TEXT];
    char *command;
    struct diagnose_page *diagnosis; /* NULL: none */
};

/* How many numbers a tensor has; 0 for NULL. */
size_t page_count(const dfq_tensor *t);

/* The numbers that all series together take: the least that p->cap must be. */
size_t page_curves_room(const struct quantize *q);
/* A piece of p->numbers; NULL if it is used up. */
double *page_numbers(struct page *p, size_t n);
/* Fills the charts. 0, or -1 without memory. */
int page_curves_fill(const struct quantize *q, struct page *p);

/* Fills the channels of the residual stream of a rotated network. */
dfq_status page_stream_fill(const struct quantize *q, struct page *p);

/* Fills the bits of layers that a file gave or that were chosen. */
dfq_status page_widths_fill(const struct quantize *q, struct page *p);

/* The joint search: charts of the fronts, a sentence, and the accelerator in words. */
void page_front_fill(const struct quantize *q, struct page *p);
void page_front_verdict(const struct quantize *q, char *out, size_t size);
void page_front_accelerator(const struct quantize *q, char *out, size_t size);

/* Fills the verdict, once accuracies and layers are there. */
void page_verdict_fill(const struct quantize *q, struct page *p);

#endif
