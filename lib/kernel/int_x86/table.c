/* One table of vector kernels, and the peak of its products. */
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/vec_int.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Without vpdpbusd a product is that of words (tile_avx2.h). In assembly: a compiler could do some
 * of it once for all. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
static inline vi products(vi sum, const uint8_t *x)
{
    return vi_dot(sum, x, x);
}
#else
static inline __m256i half_products(__m256i sum, __m256i x)
{
    __m256i even, odd;
    __asm__ __volatile__("vpmaddwd %3, %3, %1\n\t"
                         "vpmaddwd %3, %3, %2\n\t"
                         "vpaddd %1, %0, %0\n\t"
                         "vpaddd %2, %0, %0"
                         : "+x"(sum), "=&x"(even), "=&x"(odd)
                         : "x"(x));
    return sum;
}

static inline vi products(vi sum, const uint8_t *x)
{
    const __m256i one = _mm256_set1_epi16(x[0]);
    return (vi){half_products(sum.a, one), half_products(sum.b, one)};
}
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
    uint8_t ones[64];
    vi acc[CHAINS];
    memset(ones, 1, sizeof ones);
    for (int c = 0; c < CHAINS; c++) acc[c] = vi_set(c);
    const int64_t steps = rounds * 1000 / (CHAINS * VECTORS);
    for (int64_t i = 0; i < steps; i++)
        for (int c = 0; c < CHAINS; c++) acc[c] = products(acc[c], ones);
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
