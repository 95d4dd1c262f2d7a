/* The table of the plain C integer kernels. */
#include "kernel/int_ref/int_ref.h"

static double no_burst(int64_t rounds)
{
    (void)rounds;
    return 0.0;
}

const dfqi_int_kernels dfqi_int_kernels_ref = {
    .name = "ref",
    .level = "ref",
    .burst = no_burst,
    .quantize_rows = dfqi_int_ref_quantize_rows,
    .quantize = dfqi_int_ref_quantize,
    .pack_rows = dfqi_int_ref_pack_rows,
    .pack_columns = dfqi_int_ref_pack_columns,
    .layernorm = dfqi_int_ref_layernorm,
    .gelu = dfqi_int_ref_gelu,
    .softmax = dfqi_int_ref_softmax,
    .product = dfqi_int_ref_product,
    .product_spans = dfqi_int_ref_product_spans,
    .conv = dfqi_int_ref_conv,
    .depthwise = dfqi_int_ref_depthwise,
    .max_pool = dfqi_int_ref_max_pool,
    .mean = dfqi_int_ref_mean,
};
