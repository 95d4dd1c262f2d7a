/* Reads networks from ONNX files: a float graph of a classifier, as PyTorch's exporters write it,
 * becomes a network whose structure is a structure (nn/structure.h). */
#ifndef DFQI_EXCHANGE_IMPORT_H
#define DFQI_EXCHANGE_IMPORT_H

#include "io/source.h"
#include "quant/model.h"

/* Operator sets that are read. */
enum { DFQI_IMPORT_OPSET_MIN = 13, DFQI_IMPORT_OPSET_MAX = 23 };

/* Does the path end in ".onnx"? */
bool dfqi_import_is_onnx(const char *path);
/* Do its first bytes look like an ONNX file's, and not like those of safetensors? */
DFQI_CHECKED dfq_status dfqi_import_looks_so(dfqi_source *s, bool *out);
/* Reads a file. Tensors in files of their own must lie in its folder. DFQ_E_CORRUPT for what is no
 * ONNX file, DFQ_E_UNSUPPORTED naming the node and its op for what is not understood. */
DFQI_CHECKED dfq_status dfqi_import_load(dfq_context *ctx, const char *path,
                                         const dfq_load_options *o, dfqi_model **out);
/* The same from any source. `folder` has its tensors in files of their own; NULL: they are
 * refused. */
DFQI_CHECKED dfq_status dfqi_import_from(dfqi_source *s, const char *folder,
                                         const dfq_load_options *o, dfqi_model **out);

#endif
