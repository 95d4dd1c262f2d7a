/* One table of vector kernels, and the peak of its products. */
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/vec_int.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Without vpdpbusd a product is many operations, some of which a compiler could do once for all. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define HIDE(x)
#else
#define HIDE(x) __asm__ __volatile__("" : "+r"(x) : : "memory")
#endif

/* Independent chains: enough to hide the latency of the units, few enough to
 * stay in registers. */
double INT_ISA(burst)(int64_t rounds)
{
#if defined(__AVX512F__)
    enum { CHAINS = 12, VECTORS = 1 };
#else
    enum { CHAINS = 5, VECTORS = 2 }; /* of registers to a chain */
#endif
    uint8_t ones[64], *x = ones;
    vi acc[CHAINS];
    memset(ones, 1, sizeof ones);
    for (int c = 0; c < CHAINS; c++) acc[c] = vi_set(c);
    const int64_t steps = rounds * 1000 / (CHAINS * VECTORS);
    for (int64_t i = 0; i < steps; i++)
        for (int c = 0; c < CHAINS; c++) {
            HIDE(x);
            acc[c] = vi_dot(acc[c], x, x);
        }
    vi sum = vi_set(0);
    for (int c = 0; c < CHAINS; c++) sum = vi_add(sum, acc[c]);
    int32_t lanes[VF];
    vi_store(lanes, sum);
    volatile int32_t sink = lanes[0];
    (void)sink;
    return 2.0 * 64.0 * (double)CHAINS * (double)steps;
}

/* Without "int_". */
#define NAME (&TEXT(DFQI_INT_ISA)[4])

const dfqi_int_kernels INT_ISA(kernels) = {
    .name = NAME,
    .level = TEXT(DFQI_ISA),
    .burst = INT_ISA(burst),
    .quantize_rows = INT_ISA(quantize_rows),
    .quantize = INT_ISA(quantize),
    .pack_rows = INT_ISA(pack_rows),
    .pack_columns = INT_ISA(pack_columns),
    .layernorm = INT_ISA(layernorm),
    .gelu = INT_ISA(gelu),
    .softmax = INT_ISA(softmax),
    .product = INT_ISA(product),
    .product_spans = INT_ISA(product_spans),
    .conv = INT_ISA(conv),
    .depthwise = INT_ISA(depthwise),
    .max_pool = INT_ISA(max_pool),
    .mean = INT_ISA(mean),
};
