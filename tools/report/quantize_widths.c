/* Bits of layers for the quantization report. */
#include <stdlib.h>

#include "report/quantize_page.h"

static dfq_status fill(const dfq_bits *bits, struct page *p)
{
    const size_t n = (size_t)dfq_bits_get_count(bits);
    dfq_bits_means means = {.struct_size = sizeof means};
    p->widths = calloc(n + 1, sizeof *p->widths);
    p->width_names = calloc(n + 1, sizeof *p->width_names);
    if (!p->widths || !p->width_names) return DFQ_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        dfq_bits_layer l = {.struct_size = sizeof l};
        dfq_status status = dfq_bits_get_layer(bits, (int32_t)i, &l);
        if (status != DFQ_OK) return status;
        snprintf(p->width_names[i], PAGE_TEXT, "%s", l.name);
        p->widths[i] = (struct report_width){p->width_names[i], l.weight_bits, l.act_bits};
    }
    p->r.widths = p->widths;
    p->r.n_widths = n;
    dfq_status status = dfq_bits_get_means(bits, &means);
    if (status != DFQ_OK) return status;
    p->r.mean_weight_bits = means.weight_bits;
    p->r.mean_activation_bits = means.act_bits;
    return DFQ_OK;
}

dfq_status page_widths_fill(const struct quantize *q, struct page *p)
{
    dfq_bits *bits;
    if (!q->bits) return DFQ_OK;
    dfq_status status = dfq_bits_create(q->low, NULL, &bits);
    if (status != DFQ_OK) return status;
    status = fill(bits, p);
    dfq_bits_release(bits);
    return status;
}
