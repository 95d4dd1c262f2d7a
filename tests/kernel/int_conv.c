/* Convolutions and pooling of codes. */
#include "kernel/int_support.h"

enum { ROUNDS = 120 };

static dfqi_conv_shape take_shape(pages *p, int pooling)
{
    dfqi_conv_shape s = {.in_y = draw(p, 1, 18), .in_x = draw(p, 1, 30), .c = draw(p, 1, 40)};
    s.o = draw(p, 1, 40);
    s.kernel_y = draw(p, 1, 5);
    s.kernel_x = draw(p, 0, 1) ? s.kernel_y : draw(p, 1, 5);
    s.stride = draw(p, 1, 3);
    s.dilation = draw(p, 0, 4) || pooling ? 1 : draw(p, 2, 3);
    int64_t least = s.kernel_y < s.kernel_x ? s.kernel_y : s.kernel_x;
    s.pad = draw(p, 0, 1) ? least / 2 : 0;
    /* padding behind the image beyond that before it */
    int64_t more = least > 2 * s.pad && !draw(p, 0, 2) ? least - 2 * s.pad - 1 : 0;
    int64_t reach_y = (s.kernel_y - 1) * s.dilation + 1 - 2 * s.pad - more;
    int64_t reach_x = (s.kernel_x - 1) * s.dilation + 1 - 2 * s.pad - more;
    if (s.in_y < reach_y) s.in_y = reach_y;
    if (s.in_x < reach_x) s.in_x = reach_x;
    s.out_y = (s.in_y - reach_y) / s.stride + 1;
    s.out_x = (s.in_x - reach_x) / s.stride + 1;
    return s;
}

/* A random image with one grid. */
static dfqi_int_rows take_image(pages *p, const dfqi_conv_shape *s)
{
    dfqi_int_rows a = {.ld = dfqi_int_row(s->c), .one_grid = 1, .most = take_most(p)};
    int how = (int)draw(p, 0, 3);
    const int32_t most = a.most ? a.most : 255;
    a.codes = take_bytes(p, (size_t)(s->in_y * s->in_x * a.ld), how == 0 ? most : 0, most);
    a.scale = take_floats(p, 1, 1e-3f, 1.0f);
    a.zero_point = how == 1 ? NULL : take_ints(p, 1, 0, most);
    return a;
}

/* The code under tap t of output pixel i. */
static int64_t code_under(const dfqi_conv_shape *s, const dfqi_int_rows *a, int64_t i, int64_t t,
                          int64_t c)
{
    int64_t y = i / s->out_x * s->stride + t / s->kernel_x * s->dilation - s->pad;
    int64_t x = i % s->out_x * s->stride + t % s->kernel_x * s->dilation - s->pad;
    if (y < 0 || y >= s->in_y || x < 0 || x >= s->in_x) return a->zero_point ? *a->zero_point : 0;
    return a->codes[(y * s->in_x + x) * a->ld + c];
}

/* Sums of all outputs; of a depthwise convolution each channel reads itself alone. */
static int64_t *sums_of(pages *p, const dfqi_conv_shape *s, const dfqi_int_rows *a,
                        const int8_t *codes, int depthwise)
{
    int64_t m = s->out_y * s->out_x, o = depthwise ? s->c : s->o, taps = s->kernel_y * s->kernel_x;
    int64_t channels = depthwise ? 1 : s->c;
    int64_t *sums = pages_take(p, (size_t)(m * o) * sizeof *sums, sizeof *sums);
    for (int64_t i = 0; i < m * o; i++) {
        const int8_t *filter = codes + i % o * channels * taps;
        sums[i] = 0;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t++)
                sums[i] += filter[c * taps + t] * code_under(s, a, i / o, t, depthwise ? i % o : c);
    }
    return sums;
}

static void check_conv(const dfqi_int_kernels *t, dfq_context *ctx, pages *p,
                       const dfqi_conv_shape *s, int bits, int depthwise)
{
    int64_t taps = s->kernel_y * s->kernel_x, o = depthwise ? s->c : s->o, m = s->out_y * s->out_x;
    const int8_t *codes = take_codes(p, (size_t)(o * taps * (depthwise ? 1 : s->c)), bits);
    int64_t bytes =
        depthwise ? dfqi_int_depthwise_bytes(s)
                  : dfqi_int_packed_bytes(o, dfqi_int_conv_spans(s), dfqi_int_conv_span(s), bits);
    uint8_t *packed = pages_take(p, (size_t)bytes, 1);
    const int64_t room = depthwise ? dfqi_int_depthwise_scratch(s) : dfqi_int_conv_scratch(s);
    uint8_t *scratch = pages_take(p, (size_t)room, 1);
    const float *scale = take_floats(p, (size_t)o, 1e-3f, 0.1f);
    dfqi_int_matrix b;
    ck_assert_int_eq((depthwise ? dfqi_int_pack_depthwise
                                : dfqi_int_pack_conv)(ctx, "conv", s, bits, codes, scale, packed,
                                                      take_ints(p, (size_t)o, 0, 0), &b),
                     DFQ_OK);
    dfqi_int_rows a = take_image(p, s);
    target out = take_target(p, m, o);
    wanted w = want_product(p, &out, &a, &b, m, sums_of(p, s, &a, codes, depthwise));
    char what[128];
    snprintf(what, sizeof what, "%s: %s of %d x %d x %d by %d x %d, stride %d, pad %d, %d bits",
             t->name, depthwise ? "depthwise" : "conv", (int)s->in_y, (int)s->in_x, (int)s->c,
             (int)s->kernel_y, (int)s->kernel_x, (int)s->stride, (int)s->pad, bits);
    out.out.grid = &out.grid;
    const int64_t first = draw(p, 0, s->out_y); /* in two parts, of which one may be empty */
    for (int part = 0; part < 2; part++)
        (depthwise ? t->depthwise : t->conv)(s, part ? first : 0, part ? s->out_y - first : first,
                                             &a, &b, &out.out, scratch);
    check_target(&out, m, &w, what);
    pages_end(p);
}

static void check_convs(const dfqi_int_kernels *t, int depthwise)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    pages p = pages_begin((uint64_t)depthwise);
    for (int round = 0; round < ROUNDS; round++) {
        dfqi_conv_shape s = take_shape(&p, 0);
        check_conv(t, ctx, &p, &s, 2 + round % 7, depthwise);
    }
    /* ResNet-50's stem, a stage of ResNet-20, a last stage of 7 x 7; the image may be the scratch's
     * size many times over */
    static const dfqi_conv_shape real[] = {{112, 30, 3, 56, 15, 20, 7, 7, 2, 3, 1},
                                           {32, 32, 16, 32, 32, 16, 3, 3, 1, 1, 1},
                                           {7, 7, 96, 7, 7, 40, 3, 3, 1, 1, 1},
                                           {15, 15, 80, 8, 8, 70, 3, 3, 2, 1, 1},
                                           {14, 14, 64, 7, 7, 33, 1, 1, 2, 0, 1}};
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        for (int bits = 4; bits <= 8; bits += 4) check_conv(t, ctx, &p, &real[i], bits, depthwise);
    dfq_context_release(ctx);
}

START_TEST(test_conv)
{
    check_convs(int_table(_i), 0);
}
END_TEST

START_TEST(test_depthwise)
{
    check_convs(int_table(_i), 1);
}
END_TEST

/* Sums of all pixels are half a step of the grid, or some steps more, as nearly as floats are. */
START_TEST(test_depthwise_ties)
{
    enum { SIDE = 6, TAPS = 9 };
    const dfqi_int_kernels *t = int_table(_i);
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t c = draw(&p, 1, 90), stride = draw(&p, 1, 2), out = SIDE / stride;
        const dfqi_conv_shape s = {SIDE + 2, SIDE + 2, c, out, out, c, 3, 3, stride, 0, 1};
        const int32_t code = (int32_t)draw(&p, 1, 255);
        int8_t *ones = pages_take(&p, (size_t)(c * TAPS), 1);
        float *scales = take_floats(&p, 2, 0.01f, 1.0f), *of_b = take_floats(&p, (size_t)c, 0, 0);
        uint8_t *packed = pages_take(&p, (size_t)dfqi_int_depthwise_bytes(&s), 1);
        dfqi_int_matrix b;
        memset(ones, 1, (size_t)(c * TAPS));
        for (int64_t j = 0; j < c; j++)
            of_b[j] =
                ((float)draw(&p, 0, 99) + 0.5f) * scales[1] / ((float)(TAPS * code) * *scales);
        ck_assert_int_eq(dfqi_int_pack_depthwise(ctx, "conv", &s, 8, ones, of_b, packed,
                                                 take_ints(&p, (size_t)c, 0, 0), &b),
                         DFQ_OK);
        const size_t pixels = (size_t)(s.in_y * s.in_x * dfqi_int_row(c));
        const dfqi_int_rows a = {
            take_bytes(&p, pixels, code, code), dfqi_int_row(c), scales, NULL, 1, 0};
        target to = {.grid = {scales + 1, NULL, 1, 0.0f, 255.0f}};
        to.out = (dfqi_int_output){.q = take_bytes(&p, (size_t)(out * out * c), 0, 0), .ld_q = c};
        wanted w = want_product(&p, &to, &a, &b, out * out, sums_of(&p, &s, &a, ones, 1));
        to.out.grid = &to.grid;
        t->depthwise(&s, 0, out, &a, &b, &to.out,
                     pages_take(&p, (size_t)dfqi_int_depthwise_scratch(&s), 1));
        check_target(&to, out * out, &w, t->name);
        pages_end(&p);
    }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_max_pool)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        dfqi_conv_shape s = take_shape(&p, 1);
        int32_t zero = 0; /* no code of the padding is the largest one */
        dfqi_int_rows a = take_image(&p, &s);
        s.o = s.c;
        a.zero_point = &zero;
        int64_t m = s.out_y * s.out_x, ldq = s.c + draw(&p, 0, 5);
        uint8_t *q = take_bytes(&p, (size_t)(m * ldq), 7, 7);
        t->max_pool(&s, a.codes, a.ld, q, ldq);
        for (int64_t i = 0; i < m * ldq; i++) {
            int64_t top = i % ldq < s.c ? 0 : 7;
            for (int64_t tap = 0; tap < s.kernel_y * s.kernel_x && i % ldq < s.c; tap++) {
                int64_t code = code_under(&s, &a, i / ldq, tap, i % ldq);
                top = code > top ? code : top;
            }
            dfqt_each(q[i] == top, "%s: max_pool[%d] is %d, expected %d", t->name, (int)i, q[i],
                      (int)top);
        }
        pages_end(&p);
    }
}
END_TEST

START_TEST(test_mean)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t pixels = round % 9 ? draw(&p, 1, 200) : 70000, c = draw(&p, 1, 70);
        dfqi_int_rows a = {.ld = c + draw(&p, 0, 5), .one_grid = 1};
        a.codes = take_bytes(&p, (size_t)((pixels - 1) * a.ld + c), round % 9 ? 0 : 250, 255);
        a.scale = take_floats(&p, 1, 1e-3f, 1.0f);
        a.zero_point = draw(&p, 0, 1) ? take_ints(&p, 1, 0, 255) : NULL;
        float *y = take_floats(&p, (size_t)c, 0.0f, 1.0f);
        t->mean(pixels, c, &a, y);
        for (int64_t j = 0; j < c; j++) {
            int64_t sum = 0;
            for (int64_t i = 0; i < pixels; i++)
                sum += a.codes[i * a.ld + j] - (a.zero_point ? *a.zero_point : 0);
            volatile float scale = *a.scale / (float)pixels;
            ck_assert_float_eq(y[j], (float)sum * scale);
        }
        pages_end(&p);
    }
}
END_TEST

TCase *dfqt_int_conv_case(void)
{
    TCase *c = tcase_create("conv");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_conv, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_depthwise, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_depthwise_ties, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_max_pool, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_mean, 0, DFQT_INT_TABLES);
    return c;
}
