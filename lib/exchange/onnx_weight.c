/* Linear layers and their weights. */
#include "exchange/onnx_priv.h"

/* w[O,K] as [K,O], which is how MatMul reads it. */
static dfqi_ref transposed_weight(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 1);
    const float *w = dfqi_onnx_param(e, n, 1);
    int64_t o = v->dims[0], k = dfqi_value_count(v) / o;
    const int64_t dims[2] = {k, o};
    float *t = dfqi_onnx_floats(e, o * k);
    if (!t) return NULL;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < o; j++) t[i * o + j] = w[j * k + i];
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight", n->name),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 2, dims, t);
}

void dfqi_emit_linear(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", x, transposed_weight(e, n));
    if (n->in[3] >= 0) y = dfqi_onnx_binary(e, "Add", y, dfqi_onnx_in(e, n, 3, DFQI_LAYOUT_SAME));
    dfqi_onnx_out(e, n, 0, y, DFQI_LAYOUT_SAME);
}
