/* The table of nodes that are understood. */
#include <string.h>

#include "exchange/import_nodes_priv.h"

static const struct {
    const char *op;
    size_t least, most; /* operands */
    im_lower lower;
} rows[] = {
    {"Conv", 2, 3, dfqi_im_conv},
    {"Gemm", 2, 3, dfqi_im_gemm},
    {"MatMul", 2, 2, dfqi_im_matmul},
    {"Einsum", 1, IM_INPUTS, dfqi_im_einsum},
    {"BatchNormalization", 5, 5, dfqi_im_batchnorm},
    {"LayerNormalization", 2, 3, dfqi_im_layernorm},
    {"Softmax", 1, 1, dfqi_im_softmax},
    {"MaxPool", 1, 1, dfqi_im_max_pool},
    {"AveragePool", 1, 1, dfqi_im_avg_pool},
    {"Pad", 1, 4, dfqi_im_pad},
    {"GlobalAveragePool", 1, 1, dfqi_im_global_pool},
    {"ReduceMean", 1, 2, dfqi_im_reduce_mean},
    {"ReduceSum", 1, 2, dfqi_im_reduce_sum},
    {"ReduceL2", 1, 2, dfqi_im_reduce_l2},
    {"ReduceMax", 1, 2, dfqi_im_reduce_max},
    {"Reciprocal", 1, 1, dfqi_im_reciprocal},
    {"Elu", 1, 1, dfqi_im_elu},
    {"Exp", 1, 1, dfqi_im_exp},
    {"Softplus", 1, 1, dfqi_im_softplus},
    {"LeakyRelu", 1, 1, dfqi_im_leaky_relu},
    {"Max", 2, 2, dfqi_im_max},
    {"Expand", 2, 2, dfqi_im_expand_to},
    {"Tile", 2, 2, dfqi_im_tile},
    {"Resize", 1, 4, dfqi_im_resize},
    {"InstanceNormalization", 3, 3, dfqi_im_instance_norm},
    {"GroupNormalization", 3, 3, dfqi_im_group_norm},
    {"Add", 2, 2, dfqi_im_add},
    {"Sub", 2, 2, dfqi_im_sub},
    {"Mul", 2, 2, dfqi_im_mul},
    {"Div", 2, 2, dfqi_im_div},
    {"Pow", 2, 2, dfqi_im_pow},
    {"Sqrt", 1, 1, dfqi_im_sqrt},
    {"Erf", 1, 1, dfqi_im_erf},
    {"Gelu", 1, 1, dfqi_im_gelu},
    {"Tanh", 1, 1, dfqi_im_tanh},
    {"Relu", 1, 1, dfqi_im_relu},
    {"Sigmoid", 1, 1, dfqi_im_sigmoid},
    {"HardSigmoid", 1, 1, dfqi_im_hard_sigmoid},
    {"HardSwish", 1, 1, dfqi_im_hard_swish},
    {"Clip", 1, 3, dfqi_im_clip},
    {"Identity", 1, 1, dfqi_im_identity},
    {"Dropout", 1, 3, dfqi_im_identity},
    {"Cast", 1, 1, dfqi_im_identity},
    {"Reshape", 2, 2, dfqi_im_reshape},
    {"Flatten", 1, 1, dfqi_im_flatten},
    {"Squeeze", 1, 2, dfqi_im_squeeze},
    {"Unsqueeze", 1, 2, dfqi_im_unsqueeze},
    {"Transpose", 1, 1, dfqi_im_transpose},
    {"Slice", 3, 5, dfqi_im_slice},
    {"Split", 1, 2, dfqi_im_split},
    {"Gather", 2, 2, dfqi_im_gather},
    {"GatherND", 2, 2, dfqi_im_gather_nd},
    {"Neg", 1, 1, dfqi_im_neg},
    {"Greater", 2, 2, dfqi_im_greater},
    {"IsNaN", 1, 1, dfqi_im_is_nan},
    {"Where", 3, 3, dfqi_im_where},
    {"Concat", 1, IM_INPUTS, dfqi_im_concat},
    {"Shape", 1, 1, dfqi_im_shape},
};

im_lower dfqi_im_lower_of(const char *op, size_t operands, int32_t *out_needed)
{
    *out_needed = 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, op) == 0 && operands >= rows[i].least && operands <= rows[i].most) {
            *out_needed = (int32_t)rows[i].least;
            return rows[i].lower;
        }
    return NULL;
}
