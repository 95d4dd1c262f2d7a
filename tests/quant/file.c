/* Low-bit files: what is read is what was written; what is broken is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/safetensors.h"
#include "quant/cases.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES };

static char path[] = "/tmp/dfq-quant-XXXXXX";

static void setup(void)
{
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    remove(path);
}

/* All widths, both modes: the same logits, bit for bit, and the size that the width promises. */
START_TEST(test_round_trip)
{
    int bits = 2 + _i % 7;
    dfqi_mode mode = _i < 7 ? DFQI_MODE_PARITY : DFQI_MODE_IMPROVED;
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *s, *r;
    float z[LOGITS], q[LOGITS];
    unsigned char *bytes;
    size_t size;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, mode, bits, 10 - bits, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(r->quantized, 1);
    ck_assert_int_eq(r->scheme.weight_bits, bits);
    ck_assert_int_eq(r->scheme.act_bits, 10 - bits);
    dfqt_logits(s, z);
    dfqt_logits(r, q);
    ck_assert_mem_eq(z, q, sizeof z);
    ck_assert_int_eq(dfqi_file_read(ctx, path, 1 << 24, &bytes, &size), DFQ_OK);
    dfqi_free(ctx, bytes);
    /* 14 thousand weights; everything else is some 40 kB */
    ck_assert_uint_lt(size, (size_t)(14000 * bits / 8 + 48000));
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* What a tensor is said to take is what it takes in the file: its codes, scales and zero points. */
START_TEST(test_sizes)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_grids grids = {.weight_grid = _i ? DFQI_WEIGHT_GRID_MINMAX_ASYM : DFQI_WEIGHT_GRID_AUTO};
    dfqi_safetensors st;
    dfqi_model *t, *s;
    int quantized = 0;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize_with(t, DFQI_MODE_PARITY, (dfqi_widths){3, 4, 0}, grids, &s),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    for (int32_t i = 0; i < s->net.n_params; i++) {
        static const char *const ends[] = {"", ".codes", ".scale", ".zero_point"};
        char name[128];
        int64_t bytes = 0;
        int32_t bits;
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%s%s", s->net.params[i].name, ends[k]);
            const dfq_tensor *part = dfqi_st_find(&st, name);
            if (part) bytes += dfqi_tensor_count(part) * (int64_t)dfqi_dtype_bytes(part->dtype);
        }
        ck_assert_int_eq(dfqi_model_tensor_bytes(s, i, &bits), bytes);
        quantized += bits == 3;
    }
    ck_assert_int_gt(quantized, 0);
    dfqi_st_fini(&st);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_half)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *r;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(t, path, 1), DFQ_OK);
    ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), DFQ_OK);
    const float *a = dfqi_tensor_f32(dfqi_network_find(&t->net, "head.weight"));
    const float *b = dfqi_tensor_f32(dfqi_network_find(&r->net, "head.weight"));
    for (int i = 0; i < DFQT_CLASSES * 24; i++)
        ck_assert_float_eq(b[i], dfqi_half_to_float(dfqi_float_to_half(a[i])));
    ck_assert_int_eq(r->net.arch.of.vit.heads, 3);
    dfqi_model_release(t);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* Convolutional networks: the names and the architecture of the file, in F32 every bit; in F16 the
 * variances too, however small. */
START_TEST(test_convolutional)
{
    static const float tiny = 1e-30f;
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_test",
        .image = {24, 24},
        .channels = 3,
        .classes = 7,
        .eps = 1e-5f,
        .mean = {0.5f, 0.4f, 0.6f},
        .std = {0.5f, 0.25f, 0.3f},
        .of.cnn = {
            .keys = DFQI_KEYS_AKAMASTER, .width = 4, .units = {1, 1, 1}, .small = 1, .padded = 1}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_network net;
    dfqi_model *m, *r;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfqi_network_init(&net, 3);
    dfqi_tensor_f32(dfqi_network_find(&net, "bn1.running_var"))[1] = tiny;
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(m, path, _i), DFQ_OK);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    memset(r->net.arch.source, 0, sizeof a.source);
    ck_assert_mem_eq(&r->net.arch, &a, sizeof a);
    ck_assert_int_eq(r->net.n_params, m->net.n_params);
    if (_i == 0) ck_assert_uint_eq(dfqi_network_hash(&r->net), dfqi_network_hash(&m->net));
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&r->net, "bn1.running_var"))[1] == tiny);
    dfqi_model_release(m);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* A low-bit file of another format, or of the first, which had no number, is refused by name. */
START_TEST(test_other_format)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r = NULL;
    dfqi_safetensors st;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, DFQI_MODE_PARITY, 4, 4, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_str_eq(dfqi_st_meta_find(&st, "dfq.format"), "2");
    for (int64_t i = 0; i < st.n_meta; i++)
        if (strcmp(st.meta[i].key, "dfq.format") == 0) {
            if (_i)
                st.meta[i].value[0] = '7';
            else
                st.meta[i].key[9] = 'T';
        }
    ck_assert_int_eq(dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, _i ? "format is 7" : "format is 1") != NULL &&
                      strstr(ctx->error, "quantize the float network again") != NULL,
                  "%s", ctx->error);
    dfqi_st_fini(&st);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

/* Zero points are whole in the file. A file of before, with fractions, is the same network. */
START_TEST(test_zero_points_are_whole)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r;
    dfqi_safetensors st;
    float z[LOGITS], q[LOGITS];
    int points = 0;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 4, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    for (int64_t i = 0; i < st.n_entries; i++) {
        if (!strstr(st.entries[i].name, ".zero_point")) continue;
        float *v = st.entries[i].tensor->data;
        for (int64_t k = 0; k < dfqi_tensor_count(st.entries[i].tensor); k++, points++) {
            ck_assert(v[k] == rintf(v[k]) && !(v[k] == 0 && signbit(v[k])));
            v[k] += points % 2 ? 0.4f : -0.3f;
        }
    }
    ck_assert_int_gt(points, 10);
    ck_assert_int_eq(dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta),
                     DFQ_OK);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    for (int32_t i = 0; i < r->scheme.n_sites; i++) {
        const dfq_tensor *p = r->scheme.sites[i].zero_point;
        for (int64_t k = 0; p && k < dfqi_tensor_count(p); k++)
            ck_assert_float_eq(dfqi_tensor_f32(p)[k], rintf(dfqi_tensor_f32(p)[k]));
    }
    dfqt_logits(s, z);
    dfqt_logits(r, q);
    ck_assert_mem_eq(z, q, sizeof z);
    dfqi_st_fini(&st);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_model_release(r);
    dfqi_context_release(ctx);
}
END_TEST

/* Cut at many lengths and with single bits flipped: an error with a text or a model, never a
 * crash. */
START_TEST(test_hostile)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r;
    unsigned char *bytes;
    size_t size;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, DFQI_MODE_IMPROVED, 4, 4, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_file_read(ctx, path, 1 << 24, &bytes, &size), DFQ_OK);
    for (size_t n = 0; n < size; n += 997) {
        ck_assert_int_eq(dfqi_file_write(ctx, path, bytes, n), DFQ_OK);
        ck_assert_int_ne(dfqi_model_load(ctx, path, NULL, &r), DFQ_OK);
        ck_assert_ptr_nonnull(strstr(ctx->error, path));
    }
    for (size_t bit = 0; bit < 8 * size; bit += 1237) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(dfqi_file_write(ctx, path, bytes, size), DFQ_OK);
        if (dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK)
            dfqi_model_release(r);
        else
            ck_assert_str_ne(ctx->error, "");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    dfqi_free(ctx, bytes);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_file_case(void)
{
    TCase *c = tcase_create("file");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_round_trip, 0, 14);
    tcase_add_loop_test(c, test_sizes, 0, 2);
    tcase_add_test(c, test_half);
    tcase_add_loop_test(c, test_convolutional, 0, 2);
    tcase_add_loop_test(c, test_other_format, 0, 2);
    tcase_add_loop_test(c, test_zero_points_are_whole, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_hostile);
    return c;
}
