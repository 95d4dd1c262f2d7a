/* Packing and products. */
#include <stdlib.h>

#include "kernel/int_support.h"
#include "kernel/weight_groups.h"

enum { ROUNDS = 200 };

/* The random left operand q[m,k]. */
static dfqi_int_rows take_rows(pages *p, int64_t m, int64_t k)
{
    int how = (int)draw(p, 0, 3); /* 0: all the largest, 1: 4 bits, which is not told */
    dfqi_int_rows a = {.ld = dfqi_int_row(k) + draw(p, 0, 9), .most = take_most(p)};
    size_t bytes = (size_t)((m - 1) * a.ld + dfqi_int_row(k));
    const int32_t most = a.most ? a.most : 255;
    a.codes = take_bytes(p, bytes, how == 0 ? most : 0, how == 1 && !a.most ? 15 : most);
    take_grids(p, &a, m);
    return a;
}

/* Random weights codes[n,k], packed. */
static dfqi_int_matrix take_matrix(dfq_context *ctx, pages *p, int64_t n, int64_t k, int bits,
                                   const int8_t *codes)
{
    dfqi_int_matrix b;
    uint8_t *packed = pages_take(p, (size_t)dfqi_int_packed_bytes(n, 1, k, bits), 1);
    ck_assert_int_eq(dfqi_int_pack(ctx, "fc", n, k, bits, codes,
                                   take_floats(p, (size_t)n, 1e-3f, 0.1f), packed,
                                   take_ints(p, (size_t)n, 0, 0), &b),
                     DFQ_OK);
    return b;
}

/* Random unsigned codes[n, spans * k] with grids of groups, packed; numbers[n, spans * k] are what
 * they stand for. k: a multiple of 8. */
static dfqi_int_matrix take_groups(dfq_context *ctx, pages *p, int64_t n, int64_t spans, int64_t k,
                                   int8_t **numbers)
{
    const int64_t cols = spans * k, blocks = cols / 8;
    int64_t group = draw(p, 1, blocks);
    while (blocks % group != 0) group--;
    dfqi_int_matrix b = {.n = n, .k = k, .spans = spans, .nibbles = 1, .grid_columns = 8 * group};
    uint8_t *packed = pages_take(p, (size_t)dfqi_int_matrix_bytes(&b), 1);
    int8_t *codes = (int8_t *)take_bytes(p, (size_t)(n * cols), 0, 15);
    float *grids = take_floats(p, (size_t)(n * blocks / group), 0.0f, 0.0f);
    *numbers = pages_take(p, (size_t)(n * cols), 1);
    for (int64_t i = 0; i < n * cols; i++) {
        float *byte = &grids[i / b.grid_columns];
        while (!dfqi_group_fits(dfqi_group_grid_of(*byte), DFQI_GROUP_TOP))
            *byte = (float)draw(p, 0, 255);
        (*numbers)[i] = (int8_t)dfqi_group_number((float)codes[i], dfqi_group_grid_of(*byte));
    }
    ck_assert_int_eq(dfqi_int_pack_weight_groups(ctx, "fc", n, spans, k, b.grid_columns, codes,
                                                 grids, take_floats(p, (size_t)n, 1e-3f, 0.1f),
                                                 packed, take_ints(p, (size_t)(spans * n), 0, 0),
                                                 &b),
                     DFQ_OK);
    return b;
}

static uint8_t *take_scratch(pages *p, const dfqi_int_matrix *b)
{
    return pages_take(p, (size_t)dfqi_int_product_scratch(b), 1);
}

static int64_t *sums_of(pages *p, int64_t m, int64_t n, int64_t k, const dfqi_int_rows *a,
                        const int8_t *codes)
{
    int64_t *sums = pages_take(p, (size_t)(m * n) * sizeof *sums, sizeof *sums);
    for (int64_t i = 0; i < m * n; i++) {
        sums[i] = 0;
        for (int64_t c = 0; c < k; c++)
            sums[i] += a->codes[i / n * a->ld + c] * codes[i % n * k + c];
    }
    return sums;
}

static dfq_context *context(void)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    return ctx;
}

/* bits 0: of groups, k is a multiple of 8. */
static void check_product(const dfqi_int_kernels *t, dfq_context *ctx, pages *p, int64_t m,
                          int64_t n, int64_t k, int bits)
{
    int8_t *codes = bits > 0 ? take_codes(p, (size_t)(n * k), bits) : NULL;
    dfqi_int_matrix b =
        bits > 0 ? take_matrix(ctx, p, n, k, bits, codes) : take_groups(ctx, p, n, 1, k, &codes);
    dfqi_int_rows a = take_rows(p, m, k);
    target out = take_target(p, m, n);
    wanted w = want_product(p, &out, &a, &b, m, sums_of(p, m, n, k, &a, codes));
    char what[96];
    snprintf(what, sizeof what, "%s: %d x %d x %d, %d bits", t->name, (int)m, (int)n, (int)k, bits);
    out.out.grid = &out.grid;
    t->product(m, &a, &b, &out.out, take_scratch(p, &b));
    check_target(&out, m, &w, what);
    pages_end(p);
}

START_TEST(test_product)
{
    const dfqi_int_kernels *t = int_table(_i);
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++)
        check_product(t, ctx, &p, draw(&p, 1, 70), draw(&p, 1, 70),
                      draw(&p, 1, round % 8 ? 90 : 800), 2 + round % 7);
    for (int round = 0; round < ROUNDS; round++)
        check_product(t, ctx, &p, draw(&p, 1, 70), draw(&p, 1, 70),
                      8 * draw(&p, 1, round % 8 ? 12 : 100), 0);
    check_product(t, ctx, &p, 197, 80, 192, 8);
    check_product(t, ctx, &p, 500, 40, 768, 0); /* several blocks of rows */
    check_product(t, ctx, &p, 1, 1000, 192, 4);
    check_product(t, ctx, &p, 3, 17, DFQI_INT_K, 8); /* the longest sums */
    check_product(t, ctx, &p, 2, 5, DFQI_INT_K, 4);
    dfq_context_release(ctx);
}
END_TEST

/* -128 times 255 as long as int32 holds it, and every extreme below. */
START_TEST(test_extremes)
{
    static const int64_t lengths[] = {1, 3, 4, 5, 63, 64, 65, 260, DFQI_INT_K};
    const dfqi_int_kernels *t = int_table(_i);
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    uint8_t *scratch = malloc((size_t)dfqi_int_product_scratch(
        &(dfqi_int_matrix){.k = DFQI_INT_K, .spans = 1})); /* large: pages would take long */
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int bits = 2; bits <= 8; bits++)
            for (int high = 0; high < 8; high++) {
                int64_t k = lengths[l], half = 1 << (bits - 1);
                int8_t code = (int8_t)(high & 1 ? half - 1 : -half);
                const int32_t most = high & 4 ? take_most(&p) : 255;
                uint8_t q = high & 2 ? (uint8_t)(most ? most : 255) : 0;
                int8_t *codes = pages_take(&p, (size_t)k, 1);
                memset(codes, code, (size_t)k);
                dfqi_int_matrix b = take_matrix(ctx, &p, 1, k, bits, codes);
                *(float *)(uintptr_t)b.scale = 1.0f;
                float one = 1.0f, y;
                int32_t zero = 255 - q;
                dfqi_int_rows a = {
                    take_bytes(&p, (size_t)dfqi_int_row(k), q, q), k, &one, &zero, 1, most};
                dfqi_int_output out = {.y = &y, .ld_y = 1};
                t->product(1, &a, &b, &out, scratch);
                ck_assert_int_eq(b.sum[0], code * k);
                ck_assert_float_eq(y, (float)((q - zero) * code * k));
                pages_end(&p);
            }
    free(scratch);
    dfq_context_release(ctx);
}
END_TEST

/* Rows and columns have the same bits whatever is computed beside them. */
START_TEST(test_slices)
{
    enum { M = 37, N = 53, K = 32 };
    const dfqi_int_kernels *t = int_table(_i);
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    for (int bits = 0; bits <= 8; bits += 4) {
        float all[M * N], part[M * N];
        int8_t *numbers;
        dfqi_int_matrix b = bits > 0 ? take_matrix(ctx, &p, N, K, bits, take_codes(&p, N * K, bits))
                                     : take_groups(ctx, &p, N, 1, K, &numbers);
        uint8_t *scratch = take_scratch(&p, &b);
        dfqi_int_rows a = take_rows(&p, M, K);
        dfqi_int_output out = {.y = all, .ld_y = N};
        t->product(M, &a, &b, &out, scratch);
        for (int64_t i = 0, m; i < M; i += m) {
            m = draw(&p, 1, M - i);
            dfqi_int_rows rows = a;
            rows.codes += i * a.ld;
            if (!a.one_grid) rows.scale += i;
            if (!a.one_grid && a.zero_point) rows.zero_point += i;
            for (int64_t j = 0, n; j < N; j += n) {
                n = j + 16 * draw(&p, 1, 2) < N ? 16 : N - j;
                dfqi_int_matrix columns = dfqi_int_matrix_part(&b, j, n);
                out.y = part + i * N + j;
                t->product(m, &rows, &columns, &out, scratch);
            }
        }
        same_floats(M * N, part, all, t->name);
        pages_end(&p);
    }
    dfq_context_release(ctx);
}
END_TEST

/* A row or a column without a grid becomes NaN, no other. */
START_TEST(test_nan)
{
    enum { M = 19, N = 35, K = 9 };
    const dfqi_int_kernels *t = int_table(_i);
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    float y[M * N], *scale = take_floats(&p, M, 0.5f, 1.0f);
    dfqi_int_matrix b = take_matrix(ctx, &p, N, K, 8, take_codes(&p, N * K, 8));
    dfqi_int_rows a = {take_bytes(&p, M * 12, 0, 255), 12, scale, take_ints(&p, M, 0, 255), 0, 0};
    dfqi_int_output out = {.y = y, .ld_y = N, .relu = 1, .cap = 6.0f};
    scale[7] = NAN;
    *(float *)(uintptr_t)&b.scale[20] = NAN;
    t->product(M, &a, &b, &out, take_scratch(&p, &b));
    for (int i = 0; i < M * N; i++)
        ck_assert_msg((isnan(y[i]) != 0) == (i / N == 7 || i % N == 20), "%s: [%d,%d] is %g",
                      t->name, i / N, i % N, (double)y[i]);
    pages_end(&p);
    dfq_context_release(ctx);
}
END_TEST

static dfqi_int_matrix take_spans(dfq_context *ctx, pages *p, int64_t n, int64_t spans, int64_t k,
                                  int bits, const int8_t *codes)
{
    dfqi_int_matrix b;
    uint8_t *packed = pages_take(p, (size_t)dfqi_int_packed_bytes(n, spans, k, bits), 1);
    ck_assert_int_eq(dfqi_int_pack_spans(ctx, "fc", n, spans, k, bits, codes,
                                         take_floats(p, (size_t)n, 1e-3f, 0.1f), packed,
                                         take_ints(p, (size_t)(n * spans), 0, 0), &b),
                     DFQ_OK);
    return b;
}

/* Span g of element (i, j) of a product of spans, to which y is added. */
static float add_span(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const int8_t *codes, int64_t i, int64_t j, int64_t g, float y)
{
    int64_t t = 0;
    for (int64_t p = g * b->k; p < (g + 1) * b->k; p++)
        t += (a->codes[i * a->ld + p] - a->zero_point[a->one_grid ? 0 : g * m + i]) *
             codes[j * b->spans * b->k + p];
    volatile float v = (float)t * a->scale[g * m + i];
    v = v * b->scale[j];
    return v + y;
}

/* bits 0: weights in groups. */
static void check_spans(const dfqi_int_kernels *t, dfq_context *ctx, pages *p, int bits)
{
    const int64_t m = draw(p, 1, 40), spans = draw(p, 1, 5);
    const int64_t n = draw(p, 0, 1) ? draw(p, 1, 70) : 16 * draw(p, 1, 4); /* whole panels */
    const int64_t k = (bits > 0 ? 4 : 8) * draw(p, 1, 20), all = spans * k;
    const size_t ld = (size_t)(n + draw(p, 0, 9)), grids = (size_t)(m * spans);
    int8_t *codes = bits > 0 ? take_codes(p, (size_t)(n * all), bits) : NULL;
    dfqi_int_matrix b = bits > 0 ? take_spans(ctx, p, n, spans, k, bits, codes)
                                 : take_groups(ctx, p, n, spans, k, &codes);
    const int64_t row = all + draw(p, 0, 9);
    const int32_t most = take_most(p), top = most ? most : 255;
    const dfqi_int_rows a = {.codes = take_bytes(p, (size_t)((m - 1) * row + all), 0, top),
                             .most = most,
                             .ld = row,
                             .scale = take_floats(p, grids, 1e-3f, 1.0f),
                             .zero_point = take_ints(p, grids, 0, 255),
                             .one_grid = (int)draw(p, 0, 1)};
    float *scale = (float *)(uintptr_t)a.scale;
    if (draw(p, 0, 3) == 0) scale[draw(p, 0, (int64_t)grids - 1)] = draw(p, 0, 1) ? 1e33f : NAN;
    float *y = take_floats(p, (size_t)m * ld, -1.0f, 1.0f),
          *want = take_floats(p, (size_t)m * ld, 0.0f, 1.0f);
    dfqi_int_output o = {.y = y, .ld_y = (int64_t)ld};
    if (draw(p, 0, 3)) o.bias = take_floats(p, (size_t)n, -5.0f, 5.0f);
    if (draw(p, 0, 1)) o.add = take_floats(p, (size_t)m * ld, -9.0f, 9.0f);
    o.ld_add = (int64_t)ld;
    memcpy(want, y, (size_t)m * ld * sizeof *y);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            volatile float sum = o.bias ? o.bias[j] : -0.0f;
            for (int64_t g = 0; g < spans; g++) sum = add_span(m, &a, &b, codes, i, j, g, sum);
            if (o.add) sum = sum + o.add[i * o.ld_add + j];
            want[i * o.ld_y + j] = sum;
        }
    t->product_spans(m, &a, &b, &o, take_scratch(p, &b));
    same_floats((size_t)m * ld, y, want, t->name);
    pages_end(p);
}

/* Spans with grids of their own, added up in their order. */
START_TEST(test_spans)
{
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++)
        check_spans(int_table(_i), ctx, &p, round % 4 ? 2 + round % 7 : 0);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_pack_refuses)
{
    dfq_context *ctx = context();
    dfqi_int_matrix b;
    int8_t codes[4] = {7, -8, 3, 8};
    uint8_t packed[64];
    float scale = 1.0f;
    ck_assert_int_eq(dfqi_int_pack(ctx, "fc", 1, 4, 4, codes, &scale, packed, NULL, &b),
                     DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(ctx),
                     "fc: row 0 has the code 8, must be -8 to 7 with 4 bits");
    ck_assert_int_eq(dfqi_int_pack(ctx, "fc", 1, 3, 4, codes, &scale, packed, NULL, &b), DFQ_OK);
    ck_assert_int_eq(dfqi_int_pack(ctx, "fc", 1, 3, 9, codes, &scale, packed, NULL, &b),
                     DFQ_E_INVALID);
    ck_assert_int_eq(
        dfqi_int_pack(ctx, "fc", 1, DFQI_INT_K + 1, 8, codes, &scale, packed, NULL, &b),
        DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "fc: 65794 products"));
    dfq_context_release(ctx);
}
END_TEST

/* Codes with grids of groups are 0 .. 15, and their numbers fit in a byte. */
START_TEST(test_pack_refuses_groups)
{
    dfq_context *ctx = context();
    dfqi_int_matrix b;
    const float scale = 1.0f, grid = 15.0f + 16.0f * 8.0f; /* 15 (u - 8) */
    int8_t codes[8] = {0, 15, 1, 2, 3, 4, 5, 6};
    uint8_t packed[64 + 16];
    int32_t sum;
    ck_assert(dfqi_int_takes_weight_groups(64, 16) && !dfqi_int_takes_weight_groups(64, 12) &&
              !dfqi_int_takes_weight_groups(20, 16));
    ck_assert_int_eq(
        dfqi_int_pack_weight_groups(ctx, "fc", 1, 1, 8, 8, codes, &grid, &scale, packed, &sum, &b),
        DFQ_OK);
    ck_assert_int_eq(sum, 15 * (36 - 8 * 8));
    ck_assert_int_eq(dfqi_int_matrix_bytes(&b), sizeof packed);
    codes[7] = 16;
    ck_assert_int_eq(
        dfqi_int_pack_weight_groups(ctx, "fc", 1, 1, 8, 8, codes, &grid, &scale, packed, &sum, &b),
        DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(ctx),
                     "fc: row 0 has the code 16, whose number is 120, must be 0 to 15 and a number "
                     "that fits in a byte");
    dfq_context_release(ctx);
}
END_TEST

/* 4-bit weights take half of the memory, and the rows are added up. */
START_TEST(test_packed_size)
{
    ck_assert_int_eq(dfqi_int_packed_bytes(768, 1, 192, 8), 768 * 192);
    ck_assert_int_eq(dfqi_int_packed_bytes(768, 1, 192, 5), 768 * 192);
    ck_assert_int_eq(dfqi_int_packed_bytes(768, 1, 192, 4), 768 * 192 / 2);
    ck_assert_int_eq(dfqi_int_packed_bytes(17, 1, 5, 8), 2 * 2 * 64);
    ck_assert_int_eq(dfqi_int_packed_bytes(17, 3, 9, 2), 2 * 3 * 2 * 64);
    const dfqi_int_matrix groups = {
        .n = 768, .k = 64, .spans = 3, .nibbles = 1, .grid_columns = 16};
    ck_assert_int_eq(dfqi_int_matrix_bytes(&groups), 768 * 192 / 2 + 768 * 192 / 16);
}
END_TEST

/* Codes of which most lie so near to a tie that roundings on the way decide: sums are odd multiples
 * of one number, which is half a step of the grid, or some steps more. */
static void check_ties(const dfqi_int_kernels *t, dfq_context *ctx, pages *p)
{
    const int64_t m = draw(p, 1, 30), n = draw(p, 1, 70), k = 8, once = draw(p, 1, 25);
    int8_t *ones = pages_take(p, (size_t)(n * k), 1);
    memset(ones, 1, (size_t)(n * k));
    dfqi_int_matrix b = take_matrix(ctx, p, n, k, 8, ones);
    uint8_t *codes = take_bytes(p, (size_t)(m * k), 0, 0);
    for (int64_t i = 0; i < m; i++)
        memset(codes + i * k, (int)(once * (1 + 2 * draw(p, 0, 4))), (size_t)k);
    float *scales = take_floats(p, 3, 0.01f, 1.0f); /* of a, of the grid, of what is added */
    float *of_b = (float *)(uintptr_t)b.scale, *bias = take_floats(p, (size_t)n, 0.0f, 0.0f);
    const float zero_point = (float)draw(p, -3, 9);
    for (int64_t j = 0; j < n; j++) {
        of_b[j] = ((float)draw(p, 0, 20) + 0.5f) * scales[1] / ((float)(once * k) * scales[0]);
        bias[j] = (float)draw(p, -30, 30) * scales[1];
    }
    scales[2] = 3.0f * scales[1];
    const dfqi_int_rows a = {.codes = codes, .ld = k, .scale = scales, .one_grid = 1};
    target out = {.grid = {scales + 1, &zero_point, 1, 0.0f, 255.0f}};
    out.out = (dfqi_int_output){.q = take_bytes(p, (size_t)(m * n), 0, 20), .ld_q = n};
    if (draw(p, 0, 2)) out.out.bias = bias;
    if (draw(p, 0, 1)) out.out.add_codes = out.out.q;
    out.out.ld_add_codes = n;
    out.out.add_scale = scales[2];
    out.out.add_zero_point = (int32_t)draw(p, 0, 20);
    wanted w = want_product(p, &out, &a, &b, m, sums_of(p, m, n, k, &a, ones));
    out.out.grid = &out.grid;
    t->product(m, &a, &b, &out.out, take_scratch(p, &b));
    check_target(&out, m, &w, t->name);
    pages_end(p);
}

START_TEST(test_ties)
{
    dfq_context *ctx = context();
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) check_ties(int_table(_i), ctx, &p);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_int_product_case(void)
{
    TCase *c = tcase_create("product");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_product, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_extremes, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_slices, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_spans, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_ties, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_nan, 0, DFQT_INT_TABLES);
    tcase_add_test(c, test_pack_refuses);
    tcase_add_test(c, test_pack_refuses_groups);
    tcase_add_test(c, test_packed_size);
    return c;
}
