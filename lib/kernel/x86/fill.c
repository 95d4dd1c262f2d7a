/* Fills a table with the kernels of one instruction set, and measures the peak rate of fused
 * multiply-adds. */
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

void ISA(fill)(dfqi_kernels *t)
{
    t->pack = ISA(pack);
#if !defined(__AVX512F__) /* with AVX-512, libxsmm is faster */
    t->gemm = ISA(gemm);
#endif
    t->gemm_packed = ISA(gemm_packed);
    t->gemm_nt = ISA(gemm_nt);
    t->minus_nt = ISA(minus_nt);
    t->conv_pack = ISA(conv_pack);
    t->conv_unpack = ISA(conv_unpack);
    t->conv = ISA(conv);
    t->conv_dx = ISA(conv_dx);
    t->conv_dw = ISA(conv_dw);
    t->winograd_pack = ISA(winograd_pack);
    t->winograd_unpack = ISA(winograd_unpack);
    t->winograd = ISA(winograd);
    t->winograd_dx = ISA(winograd_dx);
    t->winograd_dw = ISA(winograd_dw);
    t->depthwise = ISA(depthwise);
    t->depthwise_dx = ISA(depthwise_dx);
    t->depthwise_dw = ISA(depthwise_dw);
    t->add = ISA(add);
    t->axpy = ISA(axpy);
    t->scale = ISA(scale);
    t->gelu = ISA(gelu);
    t->gelu_bwd = ISA(gelu_bwd);
    t->sigmoid = ISA(sigmoid);
    t->relu = ISA(relu);
    t->relu_bwd = ISA(relu_bwd);
    t->leaky_relu = ISA(leaky_relu);
    t->leaky_relu_bwd = ISA(leaky_relu_bwd);
    t->softmax = ISA(softmax);
    t->softmax_bwd = ISA(softmax_bwd);
    t->layernorm = ISA(layernorm);
    t->layernorm_bwd = ISA(layernorm_bwd);
    t->col_sum = ISA(col_sum);
    t->col_scale = ISA(col_scale);
    t->col_affine = ISA(col_affine);
    t->col_moments = ISA(col_moments);
    t->col_dots = ISA(col_dots);
    t->fq = ISA(fq);
    t->fq_bwd = ISA(fq_bwd);
    t->fq_log = ISA(fq_log);
    t->fq_row = ISA(fq_row);
    t->fq_row_bwd = ISA(fq_row_bwd);
    t->fq_weight = ISA(fq_weight);
    t->fq_weight_range = ISA(fq_weight_range);
    t->crossings = ISA(crossings);
    t->extremes = ISA(extremes);
    t->transpose = ISA(transpose);
    t->inter_head = ISA(inter_head);
    t->head_ssim = ISA(head_ssim);
}

/* Independent chains: enough to hide the latency of two FMA units, few enough to stay in registers.
 */
double ISA(fma_burst)(int64_t rounds)
{
#if defined(__AVX512F__)
    enum { CHAINS = 12 };
#else
    enum { CHAINS = 6 }; /* of two registers each */
#endif
    vf acc[CHAINS];
    const vf a = vf_set(0.999f);
    const vf b = vf_set(0.001f);
    for (int c = 0; c < CHAINS; c++) acc[c] = vf_set((float)c);
    const int64_t steps = rounds * 1000 / CHAINS;
    for (int64_t i = 0; i < steps; i++)
        for (int c = 0; c < CHAINS; c++) acc[c] = vf_fma(acc[c], a, b);
    vf sum = vf_set(0.0f);
    for (int c = 0; c < CHAINS; c++) sum = vf_add(sum, acc[c]);
    volatile float sink = vf_sum(sum);
    (void)sink;
    return 2.0 * VF * (double)CHAINS * (double)steps;
}
