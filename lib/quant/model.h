/* A model, the struct behind the public dfq_graph: a network, and its quantizers if it is
 * quantized. */
#ifndef DFQI_QUANT_MODEL_H
#define DFQI_QUANT_MODEL_H

#include "io/safetensors.h"
#include "nn/load.h"
#include "quant/scheme.h"

struct dfq_graph {
    dfq_context *ctx; /* retained */
    int32_t refs;
    dfqi_network net;
    int32_t quantized;         /* scheme is there */
    dfqi_scheme scheme;        /* calibrated if quantized */
    uint64_t bytes;            /* of the files it was read from; 0: of none */
    const dfqi_naming *naming; /* whose names that file had; NULL: see nn/naming.h */
    char **leftover; /* names of its tensors that the network does without, n_leftover; owned */
    int64_t n_leftover;
    /* made on first use, from the architecture and the widths, which do not change */
    struct dfqi_probe *probes;   /* quant/probe.h */
    struct dfqi_layer_row *rows; /* accel/layer_rows.h */
    int32_t n_probes, n_rows;
};
typedef struct dfq_graph dfqi_model;

/* Takes over net and scheme (NULL: a float model) on success. */
DFQI_CHECKED dfq_status dfqi_model_new(dfqi_network *take_net, dfqi_scheme *take_scheme,
                                       dfqi_model **out);
dfqi_model *dfqi_model_retain(const dfqi_model *m);
void dfqi_model_release(dfqi_model *m); /* NULL ok */

/* DFQ_E_SHAPE unless `images` are F32 [n,C,S,S] as the network takes them; n 0: any number from 1
 * on. Only the shape is looked at. */
DFQI_CHECKED dfq_status dfqi_model_check_images(const dfqi_model *m, const dfq_tensor *images,
                                                int64_t n);
/* DFQ_E_SHAPE unless `labels` are I32 [n], DFQ_E_INVALID unless the network has all these
 * classes. */
DFQI_CHECKED dfq_status dfqi_model_check_labels(const dfqi_model *m, const dfq_tensor *labels,
                                                int64_t n);
/* Fingerprints: one of names, shapes and quantizers with their scales, which training does not
 * change, and one of these and all parameters. */
uint64_t dfqi_model_outline_hash(const dfqi_model *m);
uint64_t dfqi_model_hash(const dfqi_model *m);

/* DFQ_E_INVALID for a CNN whose ranges are not known yet. */
DFQI_CHECKED dfq_status dfqi_model_ready(const dfqi_model *m);

/* A float model (nn/load.h) or a low-bit one (quant/file_priv.h) from the content of its file,
 * which error texts call `path`. o, of full size, may be NULL. */
DFQI_CHECKED dfq_status dfqi_model_from(const dfqi_safetensors *st, const char *path,
                                        const dfq_load_options *o, dfqi_model **out);
/* Reads such a file, or the shards of an index. */
DFQI_CHECKED dfq_status dfqi_model_load(dfq_context *ctx, const char *path,
                                        const dfq_load_options *o, dfqi_model **out);
/* The same for who compiles the model and gives it back: coded weights are no floats in memory, and
 * only dfqi_tensor_read() has their values. */
DFQI_CHECKED dfq_status dfqi_model_load_lazily(dfq_context *ctx, const char *path,
                                               const dfq_load_options *o, dfqi_model **out);
/* Low-bit if quantized: codes at their real width, scales and zero points; else F32, or F16 if
 * half. */
DFQI_CHECKED dfq_status dfqi_model_save(const dfqi_model *m, const char *path, int half);
DFQI_CHECKED dfq_status dfqi_model_save_to(const dfqi_model *m, const dfqi_st_target *to, int half);

/* Reads the names of its classes from a file (io/class_names.h), as many as there are. */
DFQI_CHECKED dfq_status dfqi_model_read_names(dfqi_model *m, const char *path);

/* The metadata of such a file: meta[DFQI_MODEL_META], and their number. Keys and values belong to
 * `arena` or are static. */
enum { DFQI_MODEL_META = DFQI_ARCH_META + 13 };
DFQI_CHECKED dfq_status dfqi_model_meta(const dfqi_model *m, dfqi_arena *arena, dfqi_st_meta *meta,
                                        int64_t *out_n);

/* Bytes that parameter i takes in such a file, with its scales and zero points, and bits of a
 * value. */
int64_t dfqi_model_tensor_bytes(const dfqi_model *m, int32_t i, int32_t *out_bits);

/* Forward pass for `batch` images, float or fake-quantized, frozen: the graph, its input and its
 * taps (arrays in taps may be NULL). The caller frees the graph. */
DFQI_CHECKED dfq_status dfqi_model_graph(const dfqi_model *m, int64_t batch, dfqi_graph **out,
                                         dfqi_id *out_x, dfqi_taps *taps);
/* The same graph, for some of its values alone: flags below. */
enum {
    DFQI_GRAPH_LEAN = 1,  /* the logits; of a quantized network, too, the rest is left out */
    DFQI_GRAPH_WHOLE = 2, /* all nodes of the network are there, even those that nobody reads */
    DFQI_GRAPH_EXACT = 4, /* products on grids of rows sum codes: the bits of the runtime */
    DFQI_GRAPH_IMAGE_CODES = 8 /* the image of a quantized network is rounded to 8 bits, and
                                  the means in front of a classifier */
};
DFQI_CHECKED dfq_status dfqi_model_graph_with(const dfqi_model *m, int64_t batch, int32_t flags,
                                              dfqi_graph **out, dfqi_id *out_x,
                                              dfqi_id *out_logits);

#endif
