/* The report of a quantization job: one self-contained HTML file without scripts or network access,
 * for light and dark themes and small screens. The caller fills `struct report`; pointers are
 * borrowed until report_write returns. What is absent (NULL, count 0, NaN) is left out, with its
 * heading. No clock is read: the same input gives the same bytes. */
#ifndef DFQ_TOOLS_REPORT_REPORT_H
#define DFQ_TOOLS_REPORT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "report/diagnostics.h"

/* Any UTF-8; it is escaped, and broken sequences become U+FFFD. */
struct report_row {
    const char *name, *value;
};

struct report_image {
    const char *title, *caption; /* either may be NULL */
    const void *png;             /* the bytes of a PNG file; anything else is left out */
    size_t size;
};

/* Points in drawing order. NaN and infinite values interrupt the line, and so do values below or
 * at zero on a logarithmic axis. */
struct report_series {
    const char *name; /* NULL: one of many, drawn thin and without a legend; give those first */
    const double *step, *value;
    size_t n;
};

struct report_chart {
    const char *title, *x_label; /* x_label may be NULL */
    const struct report_series *series;
    size_t n_series;
    int log_y;
};

struct report_part {
    const char *name;
    double with_db, without_db; /* signal to quantization noise of the logits */
};

struct report_layer {
    const char *name;
    double sqnr_db; /* signal to quantization noise */
};

/* One quantizer of the network; equal minimum and maximum stand for one scale (or zero point). */
struct report_quantizer {
    const char *site, *kind; /* "blocks.0.attn.qkv" and "weight, per channel" */
    int32_t bits;
    double scale_min, scale_max;
    double zero_point_min, zero_point_max; /* NaN: none, the quantizer is symmetric */
};

/* Bits of one layer; 0: it has no such quantizers, both 0: it is float. */
struct report_width {
    const char *name;
    int32_t weight_bits, activation_bits;
};

struct report_file {
    const char *name;
    uint64_t bytes;
};

struct report {
    const char *title; /* NULL: "Quantization report" */
    const char *model, *mode;
    int32_t weight_bits, activation_bits;          /* 0: not told */
    double mean_weight_bits, mean_activation_bits; /* told in their place; NaN: not */
    uint64_t float_bytes, quantized_bytes;         /* file sizes; 0: not told */
    double float_accuracy, quantized_accuracy;     /* 0 to 1; NaN: not measured */
    uint64_t accuracy_images;                      /* on how many; 0: not told */
    double seconds;                                /* NaN: not told */
    uint64_t peak_bytes;                           /* memory; 0: not told */

    const char *const *verdict; /* sentences; the first is what matters most */
    size_t n_verdict;

    const struct report_image *synthetic;
    size_t n_synthetic;
    const struct report_image *attention;
    size_t n_attention;

    /* Inter-head similarity of each block; either may be NULL. */
    const double *similarity_before, *similarity_after;
    size_t n_similarity;

    /* Channels of the residual stream behind a block, before and after its rotation: root mean
     * squares over their mean, largest first; NULL: it is not rotated. */
    const double *stream_before, *stream_after;
    size_t n_stream;
    const char *stream_block;

    const struct report_chart *charts;
    size_t n_charts;
    const struct report_width *widths; /* in network order */
    size_t n_widths;
    const struct report_layer *layers; /* in network order */
    size_t n_layers;
    const struct report_part *parts; /* of the quantization */
    size_t n_parts;
    const struct report_quantizer *quantizers;
    size_t n_quantizers;
    const struct report_diagnostics *diagnostics; /* NULL: none */

    const char *command;                 /* the command line */
    const struct report_row *provenance; /* seed, versions, kernels, ... */
    size_t n_provenance;
    const struct report_file *inputs;
    size_t n_inputs;
};

/* Everything absent. */
void report_init(struct report *r);

/* Writes beside `path` and renames, replacing what is there. 0, or -1 with one line in err; then
 * nothing is left behind and an older file at `path` is as it was. */
int report_write(const char *path, const struct report *r, char *err, size_t cap);

#endif
