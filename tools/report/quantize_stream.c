/* The residual stream before and after its rotation, for the quantization report: how large its
 * channels are, behind the block where they differ most. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/quantize_page.h"

enum { STREAM_IMAGES = 8 };

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* out[D]: root mean square of each channel of t [n,N,D] over their mean, largest first. */
static void measure(const dfq_tensor *t, double *out)
{
    const int64_t *dims = dfq_tensor_get_dims(t);
    const float *v = dfq_tensor_get_data(t);
    int64_t rows = dims[0] * dims[1], channels = dims[2];
    double mean = 0;
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += (double)v[r * channels + c] * (double)v[r * channels + c];
        out[c] = sqrt(sum / (double)rows);
        mean += out[c] / (double)channels;
    }
    for (int64_t c = 0; c < channels; c++) out[c] /= mean;
    qsort(out, (size_t)channels, sizeof *out, descending);
}

/* The outputs of blocks first .. first + n - 1. */
static dfq_status probe(const dfq_graph *g, const dfq_tensor *images, int64_t first, int32_t n,
                        dfq_tensor **out)
{
    char(*text)[32] = calloc((size_t)n, sizeof *text);
    const char **names = calloc((size_t)n, sizeof *names);
    dfq_status status = text && names ? DFQ_OK : DFQ_E_NOMEM;
    for (int32_t i = 0; i < n && status == DFQ_OK; i++) {
        snprintf(text[i], sizeof text[i], "blocks.%lld", (long long)first + i);
        names[i] = text[i];
    }
    if (status == DFQ_OK) status = dfq_graph_forward_with_probes(g, images, names, n, NULL, out);
    free(text);
    free(names);
    return status;
}

/* p->stream: the block whose largest channel stands out most, before. Its number in *block. */
static dfq_status measure_before(const struct quantize *q, const dfq_tensor *images, struct page *p,
                                 int64_t *block)
{
    size_t channels = (size_t)q->info.width;
    int32_t depth = (int32_t)q->info.depth;
    double *one = p->stream + channels; /* scratch until `after` is measured */
    dfq_tensor **t = calloc((size_t)depth, sizeof(dfq_tensor *));
    dfq_status status = t ? probe(q->net, images, 0, depth, t) : DFQ_E_NOMEM;
    for (int32_t i = 0; status == DFQ_OK && i < depth; i++) {
        measure(t[i], one);
        if (i == 0 || one[0] > p->stream[0]) {
            memcpy(p->stream, one, channels * sizeof *one);
            *block = i;
        }
        dfq_tensor_release(t[i]);
    }
    free(t);
    return status;
}

dfq_status page_stream_fill(const struct quantize *q, struct page *p)
{
    dfq_graph_info low = {.struct_size = sizeof low};
    dfq_tensor *images = NULL, *after = NULL;
    size_t channels = (size_t)q->info.width;
    int64_t block = 0;
    dfq_status status = dfq_graph_get_info(q->low, &low);
    /* stages of Swin have streams of their own, of several widths */
    if (status != DFQ_OK || !low.rotation || !q->images || q->info.depth < 1 || q->info.stages > 0)
        return status;
    p->stream = calloc(2 * channels, sizeof *p->stream);
    if (!p->stream) return DFQ_E_NOMEM;
    status = quantize_slice(q->s->ctx, q->images, 0, STREAM_IMAGES, &images);
    if (status == DFQ_OK) status = measure_before(q, images, p, &block);
    if (status == DFQ_OK) status = probe(q->low, images, block, 1, &after);
    if (status == DFQ_OK) {
        measure(after, p->stream + channels);
        snprintf(p->stream_block, sizeof p->stream_block, "blocks.%lld", (long long)block);
        p->r.stream_block = p->stream_block;
        p->r.stream_before = p->stream;
        p->r.stream_after = p->stream + channels;
        p->r.n_stream = channels;
    }
    dfq_tensor_release(after);
    dfq_tensor_release(images);
    return status;
}
