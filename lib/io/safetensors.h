/* The safetensors format: an 8-byte length, a JSON header, and raw little-endian tensors. Files are
 * untrusted: every size, offset and shape is checked before use. */
#ifndef DFQI_IO_SAFETENSORS_H
#define DFQI_IO_SAFETENSORS_H

#include <stdio.h>

#include "io/source.h"
#include "tensor/tensor.h"

typedef struct dfqi_st_entry {
    char *name;
    dfq_tensor *tensor;
} dfqi_st_entry;

typedef struct dfqi_st_meta {
    char *key;
    char *value;
} dfqi_st_meta;

/* The whole content of a file, tensors in the order of their offsets. */
typedef struct dfqi_safetensors {
    dfq_context *ctx;
    int64_t n_entries;
    dfqi_st_entry *entries;
    int64_t n_meta;
    dfqi_st_meta *meta;
    uint64_t bytes; /* of the file, or of all shards together */
} dfqi_safetensors;

/* Limits: header 100 MB, rank 6, extents >= 0, no overlap, no unused byte. A dtype
 * that is not in st_types.h is DFQ_E_UNSUPPORTED, other breaches are DFQ_E_CORRUPT. Types beside
 * those of dfqi_dtype are converted, F64 and F8 to F32; others are read straight into the tensor's
 * memory. */
DFQI_CHECKED dfq_status dfqi_st_read(dfq_context *ctx, const char *path, dfqi_safetensors *out);
/* The same from memory; `name` is what error texts call it. */
DFQI_CHECKED dfq_status dfqi_st_parse(dfq_context *ctx, const char *name, const void *bytes,
                                      size_t size, dfqi_safetensors *out);
/* The same from any source, which is read from its first byte. */
DFQI_CHECKED dfq_status dfqi_st_read_source(dfqi_source *s, dfqi_safetensors *out);
/* Reads all tensors of a file except `but`, if there is one of that name: for a tensor that does
 * not fit into memory. */
DFQI_CHECKED dfq_status dfqi_st_read_but(dfq_context *ctx, const char *path, const char *but,
                                         dfqi_safetensors *out);
/* Reads the metadata alone and no tensor. */
DFQI_CHECKED dfq_status dfqi_st_read_meta(dfq_context *ctx, const char *path,
                                          dfqi_safetensors *out);

/* -- shards: several files as one (st_shards.c) ------------------------------------------------ */

/* Is this the name of an index, ending in ".json"? */
bool dfqi_st_is_index(const char *path);
/* Reads the shards named by an index (model.safetensors.index.json: "weight_map" from names to
 * files), which lie in its folder. Each shard must have exactly the tensors that the index says.
 * The metadata are those of all shards and the texts in "metadata" of the index; no two may differ.
 * Errors name the file, the tensor and the cure. */
DFQI_CHECKED dfq_status dfqi_st_read_index(dfq_context *ctx, const char *path,
                                           dfqi_safetensors *out);
/* The same from sources; shards are found by their names. index NULL: reads all tensors of all
 * shards; no two may have the same name. */
DFQI_CHECKED dfq_status dfqi_st_read_shards(dfq_context *ctx, dfqi_source *index, int32_t n_shards,
                                            dfqi_source *shards, dfqi_safetensors *out);

void dfqi_st_fini(dfqi_safetensors *st);
const dfq_tensor *dfqi_st_find(const dfqi_safetensors *st, const char *name); /* NULL: none */
const char *dfqi_st_meta_find(const dfqi_safetensors *st, const char *key);   /* NULL: none */
/* Adds a copy of a text; one that is there already stays. */
DFQI_CHECKED dfq_status dfqi_st_meta_add(dfqi_safetensors *st, const char *key, const char *value);

/* Locates tensor `name` in an open file without reading its data: type, extents, and the position
 * of its first byte. DFQ_E_CORRUPT if there is no such tensor; the header is checked as for a full
 * read. */
DFQI_CHECKED dfq_status dfqi_st_locate(dfq_context *ctx, const char *path, FILE *f, uint64_t size,
                                       const char *name, dfq_tensor *out_shape,
                                       uint64_t *out_begin);

/* Writes entries and metadata beside `path` and renames (io/file.h): no half-written file is ever
 * seen under that name. The bytes depend on the content alone: metadata is sorted by key, tensors
 * by element size (largest first) and name. The first tensor begins at a multiple of 64 bytes, each
 * at a multiple of its element size; the format allows no gaps that would align them further. */
DFQI_CHECKED dfq_status dfqi_st_write(dfq_context *ctx, const char *path, int64_t n_entries,
                                      const dfqi_st_entry *entries, int64_t n_meta,
                                      const dfqi_st_meta *meta);
/* Writes to a path, to a writer, or to memory. One of `path` and `writer` is NULL; if both are, the
 * content goes to `bytes`, a new U8 tensor. */
typedef struct dfqi_st_target {
    const char *path;
    const dfq_writer *writer;
    dfq_tensor **bytes;
} dfqi_st_target;
DFQI_CHECKED dfq_status dfqi_st_write_to(dfq_context *ctx, const dfqi_st_target *to,
                                         int64_t n_entries, const dfqi_st_entry *entries,
                                         int64_t n_meta, const dfqi_st_meta *meta);
/* The same, where one entry is a tensor without data: its values are `images` (io/images.h). */
struct dfqi_images;
DFQI_CHECKED dfq_status dfqi_st_write_from(dfq_context *ctx, const char *path, int64_t n_entries,
                                           const dfqi_st_entry *entries, int64_t n_meta,
                                           const dfqi_st_meta *meta,
                                           const struct dfqi_images *images);

#endif
