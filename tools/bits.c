/* Bit widths of layers in `dfq quantize`. */
#include "bits.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"

/* The rows of the table, then those of the command line, which win. */
static int merge(struct quantize *q)
{
    int32_t n = dfq_bits_get_count(q->bits), own = q->full.n_layers;
    q->layers = calloc((size_t)n + (size_t)own, sizeof *q->layers);
    if (!q->layers) return session_error(q->s, CODE_FAILED, "out of memory: the bits of layers");
    memcpy(q->layers, dfq_bits_get_configs(q->bits), (size_t)n * sizeof *q->layers);
    if (own > 0) memcpy(q->layers + n, q->full.layers, (size_t)own * sizeof *q->layers);
    q->full.layers = q->layers;
    q->full.n_layers = n + own;
    return CODE_DONE;
}

int bits_open(struct quantize *q)
{
    const struct options *o = q->s->o;
    if (!o->bits_file) return CODE_DONE;
    dfq_status status = dfq_bits_load(q->net, o->bits_file, &q->bits);
    if (status == DFQ_E_INVALID) /* the file's fault, not the command line's */
        return session_error(q->s, CODE_INPUT, "%s", dfq_context_get_error(q->s->ctx));
    return status == DFQ_OK ? merge(q) : session_fail(q->s, status, PHASE_READ);
}

int bits_write(struct quantize *q)
{
    const struct options *o = q->s->o;
    dfq_bits *bits = NULL;
    if (!o->bits_file_out) return CODE_DONE;
    int code = places_appeared(q->s, OPT_BITS_FILE_OUT);
    if (code) return code;
    dfq_status status = dfq_bits_create(q->low, NULL, &bits);
    if (status == DFQ_OK) status = dfq_bits_save(bits, o->bits_file_out);
    dfq_bits_release(bits);
    return status == DFQ_OK ? CODE_DONE : session_fail(q->s, status, PHASE_WRITE);
}

void bits_close(struct quantize *q)
{
    dfq_bits_release(q->bits);
    free(q->layers);
}
