/* Writes networks as ONNX. The internal graph is walked node by node; each kind of op has an
 * emitter (onnx_ops.c), so a new family of networks needs none of its own. */
#ifndef DFQI_EXCHANGE_ONNX_H
#define DFQI_EXCHANGE_ONNX_H

#include "quant/model.h"

/* Operator sets that can be asked for. */
enum { DFQI_OPSET_MIN = 17, DFQI_OPSET_MAX = 25 };

typedef struct dfqi_onnx_options {
    int32_t opset;   /* 0: 20, with int4 21 */
    int32_t int4;    /* 1: codes of up to 4 bits have 4-bit types */
    int32_t integer; /* 1: a convolutional network computes in integers from end to end */
} dfqi_onnx_options;

/* What was written. */
typedef struct dfqi_onnx_info {
    int32_t opset, ir_version;
    int64_t nodes, initializers;
    int64_t bytes; /* of the file */
} dfqi_onnx_info;

/* DFQ_E_UNSUPPORTED for an op without emitter and for a file over 2 GB. */
DFQI_CHECKED dfq_status dfqi_onnx_write(const dfqi_model *m, const dfqi_onnx_options *o,
                                        const dfqi_st_target *to, dfqi_onnx_info *out);

#endif
