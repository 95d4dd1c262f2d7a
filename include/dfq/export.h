/** @file dfq/export.h
 *  @ingroup stable
 *  Networks for other engines: ONNX files of float and of quantized networks. docs/DEPLOY.md says
 *  which form is for which engine. */
#ifndef DFQ_EXPORT_H
#define DFQ_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/status.h>
#include <dfq/stream.h>
#include <dfq/types.h>
#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How an ONNX file is written. */
typedef struct dfq_export_options {
    uint32_t struct_size; /**< set by dfq_export_options_init() */
    /** operator set, 17 to 25; 0: 20, the first one with GELU as a node, and 21 with int4 */
    int32_t opset;
    int32_t int4; /**< 1: codes of up to 4 bits have the types int4 and uint4, operator set 21 and
                          more; 0: codes of all widths are 8-bit, which engines compute with */
    /** 1: a convolutional network of 8 bits is computed in integers from end to end, as fast as
     *  engines can: the image, values that residual sums add as floats, and means in front of the
     *  classifier are rounded to 8 bits once more; 0: they are floats, as the network has them */
    int32_t integer;
} dfq_export_options;

/** What was written. Filled by dfq_graph_export() and dfq_graph_export_to_memory(). */
typedef struct dfq_export_info {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t opset;        /**< operator set of the file */
    int32_t ir_version;   /**< version of the file format, which goes with the operator set */
    int32_t reserved;     /**< 0 */
    int64_t nodes;        /**< operators */
    int64_t constants;    /**< weights and other constants */
    int64_t bytes;        /**< of the file */
} dfq_export_info;

/** Fills `options` with the defaults. @param size sizeof *options */
DFQ_API void dfq_export_options_init(dfq_export_options *options, size_t size);

/** Writes a network as ONNX beside `path` and renames: nothing half-written is ever seen. The input
 *  is "image", F32 [batch,3,S,S], normalised; the output is "logits", F32 [batch,classes]. The
 *  metadata of the file have mean and std of the normalisation, the number of classes, and how the
 *  network is quantized.
 *  @param graph    float, or quantized
 *  @param options  NULL: the defaults
 *  @param out_info what was written, struct_size set; or NULL
 *  @return ::DFQ_E_INVALID (an option out of its range; int4, and nothing has up to 4 bits;
 *          integer, and it is no convolutional network of 8 bits),
 *          ::DFQ_E_UNSUPPORTED (an op of the network has no form in ONNX or in this operator set,
 *          or the file would be larger than 2 GB), ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_graph_export(const dfq_graph *graph, const char *path,
                                        const dfq_export_options *options,
                                        dfq_export_info *out_info);

/** The bytes that dfq_graph_export() writes, in memory.
 *  @param out_bytes a new U8 [size]
 *  @return as dfq_graph_export(), but for ::DFQ_E_IO. */
DFQ_CHECKED dfq_status dfq_graph_export_to_memory(const dfq_graph *graph,
                                                  const dfq_export_options *options,
                                                  dfq_tensor **out_bytes,
                                                  dfq_export_info *out_info);

#ifdef __cplusplus
}
#endif
#endif
