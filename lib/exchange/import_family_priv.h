/* Networks that were read and are those of a family of nn/: a ViT or a Swin transformer. The draft
 * of the structure is followed from its logits back to the image; each op must be one that such a
 * network has, and data must move as it moves there. Then the network is made by the family, with
 * its names, and everything that is known of it holds: heads, windows, rotation, image sizes. */
#ifndef DFQI_EXCHANGE_IMPORT_FAMILY_PRIV_H
#define DFQI_EXCHANGE_IMPORT_FAMILY_PRIV_H

#include "exchange/import_priv.h"

/* A ViT or Swin transformer becomes a network of its family (import_family.c). *out stays NULL if
 * it is none. */
DFQI_CHECKED dfq_status dfqi_im_as_family(im *m, int32_t logits, int64_t classes,
                                          const dfq_load_options *o, dfqi_model **out);
/* Did this library write the file? */
bool dfqi_im_is_ours(const im *m);
/* Adds what the file and the configurations beside it say to the metadata (import_about.c); of the
 * pictures and classes alone, if a structure has the rest. */
DFQI_CHECKED dfq_status dfqi_im_read_about(const im *m, bool structure, dfqi_safetensors *st);

/* Queries, keys and values by three layers become one (import_qkv.c). */
void dfqi_im_join_heads_layers(im *m);

/* -- where data come from (import_trace.c) ----------------------------------------------------- */

/* The entries of a value are those of another, that no move makes. */
typedef struct im_trace {
    int32_t source;
    int64_t n;
    int32_t *at; /* [n] the entry of the source, -1: a zero of padding; NULL: entry i itself. The
                    caller frees it */
} im_trace;

/* Rows of a value, the last axis, are rows of another: channels first .. of it. */
typedef struct im_rows {
    int32_t source;
    int64_t n, first;
    int32_t *at; /* [n], in the arena; -1: zeros */
} im_rows;

int64_t dfqi_im_entries(const im *m, int32_t value);
int64_t dfqi_im_last(const im *m, int32_t value); /* the extent of its last axis */
/* The value behind moves that a value's first entries come from; -1: it is too far. */
int32_t dfqi_im_computed(const im *m, int32_t value);
/* False: they come from several values, or an error came. */
bool dfqi_im_trace(im *m, int32_t value, im_trace *out);
/* Is the value another one in another shape? */
bool dfqi_im_trace_same(im *m, int32_t value, int32_t *out_source);
/* Rows of `width` entries. */
bool dfqi_im_trace_rows(im *m, int32_t value, int64_t width, im_rows *out);
/* What the rows of `a` are in the source of `b`, whose rows are those of a's source. */
void dfqi_im_rows_through(im_rows *a, const im_rows *b);

/* -- what is found (import_family.c, import_blocks.c) ------------------------------------------ */

/* A transformer block: attention in windows of the tokens, and the MLP. */
typedef struct im_block {
    const dfqi_structure_op *norm1, *qkv[3], *proj, *norm2, *fc1, *fc2;
    const dfqi_structure_op *qk_norm[2]; /* NULL: there is none */
    int64_t first[3];                    /* channels of its layer at which each of qkv begins */
    int64_t width, hidden, heads, head, windows, tokens; /* tokens: of a window */
    int64_t map;                                         /* tokens of the stream */
    int32_t *table; /* [windows * tokens] the token of the stream; -1: padding */
    double scale;   /* of the softmax */
    float *bias;    /* [windows, heads, tokens, tokens] before that scale; NULL: none */
    bool gated;
    int32_t activation; /* dfqi_vit_activation */
    /* Of merging in front of it; NULL: there is none. */
    const dfqi_structure_op *merge_norm, *reduction;
    int32_t *parts; /* [map, 4] tokens of the stream before; -1: zeros */
} im_block;

/* A classifier: of one token, or of the mean of some. */
typedef struct im_head {
    const dfqi_structure_op *linear, *norm;
    bool mean, norm_last; /* norm_last: of the mean */
    im_rows rows;         /* the tokens of the stream */
} im_head;

typedef struct im_family {
    im *m;
    bool fits; /* sticky */
    bool has_eps;
    double eps;
    int32_t n_heads, n_blocks, cap_blocks;
    im_head heads[2];
    im_block *blocks; /* the last one first */
    int32_t stream;   /* the value in front of the first block */
    dfqi_safetensors st;
} im_family;

/* The op that makes a value, if it is of this kind; NULL, and then nothing fits. */
const dfqi_structure_op *dfqi_im_made_by(im_family *f, int32_t value, dfqi_structure_kind kind);
/* The op of a kind whose rows the rows of a value are. */
const dfqi_structure_op *dfqi_im_rows_by(im_family *f, int32_t value, int64_t width,
                                         dfqi_structure_kind kind, im_rows *out);
/* All LayerNorms have one eps. */
void dfqi_im_take_norm(im_family *f, const dfqi_structure_op *norm);
/* Are all tokens of the stream there, in their order? */
bool dfqi_im_all_rows(const im_rows *r, int64_t n);
/* The block that makes the stream `value`; returns the stream in front of it. What of its tokens
 * are left is in `left`. */
int32_t dfqi_im_find_block(im_family *f, int32_t value, im_block *b, im_rows *left);

/* -- what becomes of it ------------------------------------------------------------------------ */

/* Adds a tensor of the network: parameter `value` in another shape of as many entries. */
void dfqi_im_give(im_family *f, const char *name, int32_t value, int32_t rank, const int64_t *dims);
/* Adds a new one; its data, which the caller fills, or NULL after an error. */
float *dfqi_im_give_new(im_family *f, const char *name, int32_t rank, const int64_t *dims);
/* Adds weight and bias of a layer, gamma and beta of a norm: "<name>.weight" and "<name>.bias". */
void dfqi_im_give_pair(im_family *f, const char *name, const dfqi_structure_op *op);
/* A block's tensors: all but those of attention's products. */
void dfqi_im_give_block(im_family *f, const char *prefix, const im_block *b);
void dfqi_im_tell(im_family *f, const char *key, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* The layer of patches of the image; *out_patch: their side. Adds its tensors. */
void dfqi_im_give_patches(im_family *f, const dfqi_structure_op *layer, int64_t *out_patch);
void dfqi_im_as_vit(im_family *f);
void dfqi_im_as_swin(im_family *f);

#endif
