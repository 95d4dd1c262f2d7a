/* The table of the plain C kernels, and the size of a packed matrix. */
#include "kernel/kernel_priv.h"
#include "kernel/ref/ref.h"

const dfqi_kernels dfqi_kernels_ref = {
    .name = "ref",
    .gemm = dfqi_ref_gemm,
    .pack = dfqi_ref_pack,
    .gemm_packed = dfqi_ref_gemm_packed,
    .gemm_nt = dfqi_ref_gemm_nt,
    .conv_pack = dfqi_ref_conv_pack,
    .conv_unpack = dfqi_ref_conv_unpack,
    .conv = dfqi_ref_conv,
    .conv_dx = dfqi_ref_conv_dx,
    .conv_dw = dfqi_ref_conv_dw,
    .winograd_pack = dfqi_ref_winograd_pack,
    .winograd_unpack = dfqi_ref_winograd_unpack,
    .winograd = dfqi_ref_winograd,
    .winograd_dx = dfqi_ref_winograd_dx,
    .winograd_dw = dfqi_ref_winograd_dw,
    .depthwise = dfqi_ref_depthwise,
    .depthwise_dx = dfqi_ref_depthwise_dx,
    .depthwise_dw = dfqi_ref_depthwise_dw,
    .add = dfqi_ref_add,
    .axpy = dfqi_ref_axpy,
    .scale = dfqi_ref_scale,
    .gelu = dfqi_ref_gelu,
    .gelu_bwd = dfqi_ref_gelu_bwd,
    .relu = dfqi_ref_relu,
    .relu_bwd = dfqi_ref_relu_bwd,
    .leaky_relu = dfqi_ref_leaky_relu,
    .leaky_relu_bwd = dfqi_ref_leaky_relu_bwd,
    .softmax = dfqi_ref_softmax,
    .softmax_bwd = dfqi_ref_softmax_bwd,
    .layernorm = dfqi_ref_layernorm,
    .layernorm_bwd = dfqi_ref_layernorm_bwd,
    .col_sum = dfqi_ref_col_sum,
    .col_scale = dfqi_ref_col_scale,
    .col_affine = dfqi_ref_col_affine,
    .col_moments = dfqi_ref_col_moments,
    .col_dots = dfqi_ref_col_dots,
    .fq = dfqi_ref_fq,
    .fq_bwd = dfqi_ref_fq_bwd,
    .fq_log = dfqi_ref_fq_log,
    .fq_row = dfqi_ref_fq_row,
    .fq_row_bwd = dfqi_ref_fq_row_bwd,
    .fq_weight = dfqi_ref_fq_weight,
    .fq_weight_range = dfqi_ref_fq_weight_range,
    .crossings = dfqi_ref_crossings,
    .extremes = dfqi_ref_extremes,
    .transpose = dfqi_ref_transpose,
    .inter_head = dfqi_ref_inter_head,
    .head_ssim = dfqi_ref_head_ssim,
};

size_t dfqi_packed_floats(int64_t k, int64_t n)
{
    return (size_t)((n + DFQI_PANEL - 1) / DFQI_PANEL) * (size_t)k * DFQI_PANEL;
}
