/* Quantization of a rotated network: its file says the rotation, its inputs have one scale, and at
 * 8 bits it computes what the float network does. */
#include <dfq/graph.h>
#include <dfq/quantizer.h>
#include <math.h>
#include <string.h>

#include "quant/cases.h"
#include "support/fail_alloc.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES };

static dfq_status make_images(dfq_context *ctx, dfq_tensor **out)
{
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){DFQT_IMAGES, 3, 16, 16}, out));
    dfqt_images(dfqi_tensor_f32(*out));
    return DFQ_OK;
}

static dfq_status quantize(const dfq_graph *t, const dfq_tensor *images, int32_t mode, int32_t bits,
                           int32_t rotate, dfq_graph **out)
{
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    o.act_scale = DFQ_ACT_SCALE_TENSOR; /* test_rows has scales of rows */
    o.mode = mode;
    o.weight_bits = o.act_bits = bits;
    o.rotate = rotate;
    return dfq_graph_quantize(t, images, &o, out);
}

typedef struct scene {
    dfq_context *ctx;
    dfq_graph *t;
    dfq_tensor *images;
} scene;

static scene begin(int32_t threads)
{
    scene s = {.ctx = dfqt_context(threads)};
    ck_assert_int_eq(dfqt_teacher(s.ctx, &s.t), DFQ_OK);
    ck_assert_int_eq(make_images(s.ctx, &s.images), DFQ_OK);
    return s;
}

static void end(scene *s)
{
    dfqi_tensor_release(s->images);
    dfqi_model_release(s->t);
    dfqi_context_release(s->ctx);
}

/* Relative squared difference of logits. */
static double error(const dfqi_model *a, const dfqi_model *b)
{
    float x[LOGITS], y[LOGITS];
    double sum = 0, power = 0;
    dfqt_logits(a, x);
    dfqt_logits(b, y);
    for (int i = 0; i < LOGITS; i++) {
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        power += (double)x[i] * (double)x[i];
    }
    return sum / power;
}

/* Both modes. With static scales auto is off, and off is what it was. */
START_TEST(test_computes_the_same)
{
    scene s = begin(2);
    dfq_graph *on, *off, *automatic;
    dfq_graph_info info = {.struct_size = sizeof info};
    float x[LOGITS], y[LOGITS];
    ck_assert_int_eq(quantize(s.t, s.images, _i, 8, DFQ_ROTATE_ON, &on), DFQ_OK);
    ck_assert_int_eq(quantize(s.t, s.images, _i, 8, DFQ_ROTATE_OFF, &off), DFQ_OK);
    ck_assert_int_eq(quantize(s.t, s.images, _i, 8, DFQ_ROTATE_AUTO, &automatic), DFQ_OK);
    ck_assert_double_lt(error(s.t, on), 0.03);
    dfqt_logits(off, x);
    dfqt_logits(automatic, y);
    ck_assert_mem_eq(x, y, sizeof x);
    ck_assert_uint_ne(dfqi_model_outline_hash(on), dfqi_model_outline_hash(off));
    ck_assert_int_eq(dfq_graph_get_info(on, &info), DFQ_OK);
    ck_assert_uint_eq(info.rotation, DFQI_ROTATION_SEED);
    ck_assert_int_eq(dfq_graph_get_info(off, &info), DFQ_OK);
    ck_assert_uint_eq(info.rotation, 0);
    /* the affine part of the norms went into the layers, the float network has its own */
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&on->net, "blocks.1.norm2.weight"))[3] == 1);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&s.t->net, "blocks.1.norm2.weight"))[3] != 1);
    dfq_graph_release(on);
    dfq_graph_release(off);
    dfq_graph_release(automatic);
    end(&s);
}
END_TEST

/* Weights of 4 bits are rounded towards the outputs of the float network in the same basis. */
START_TEST(test_rounded)
{
    scene s = begin(1);
    dfq_graph *on, *off;
    ck_assert_int_eq(quantize(s.t, s.images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_ON, &on), DFQ_OK);
    ck_assert_int_eq(quantize(s.t, s.images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_OFF, &off), DFQ_OK);
    double turned = error(s.t, on), plain = error(s.t, off);
    ck_assert_msg(turned < 0.06 && plain < 0.06, "errors of %g, %g without rotation", turned,
                  plain);
    dfq_graph_release(on);
    dfq_graph_release(off);
    end(&s);
}
END_TEST

/* Scales of rows: auto is on, and what is off is not rotated. */
START_TEST(test_rows)
{
    static const int32_t rotate[3] = {DFQ_ROTATE_AUTO, DFQ_ROTATE_ON, DFQ_ROTATE_OFF};
    scene s = begin(1);
    float x[3][LOGITS];
    for (int i = 0; i < 3; i++) {
        dfq_quantize_options o;
        dfq_graph *g;
        dfq_quantize_options_init(&o, sizeof o);
        o.weight_bits = o.act_bits = 8;
        o.act_scale = DFQ_ACT_SCALE_ROW;
        o.rotate = rotate[i];
        ck_assert_int_eq(dfq_graph_quantize(s.t, s.images, &o, &g), DFQ_OK);
        ck_assert_uint_eq(g->scheme.grids.rotation, i < 2 ? DFQI_ROTATION_SEED : 0);
        ck_assert_double_lt(error(s.t, g), 0.01);
        dfqt_logits(g, x[i]);
        dfq_graph_release(g);
    }
    ck_assert_mem_eq(x[0], x[1], sizeof x[0]);
    ck_assert_mem_ne(x[0], x[2], sizeof x[0]);
    end(&s);
}
END_TEST

/* One scale for each input of a linear layer, and nothing to fold. */
START_TEST(test_one_scale)
{
    scene s = begin(1);
    dfq_graph *g;
    int inputs = 0;
    ck_assert_int_eq(quantize(s.t, s.images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_ON, &g), DFQ_OK);
    for (int32_t i = 0; i < g->scheme.n_sites; i++) {
        const dfqi_site *site = &g->scheme.sites[i];
        ck_assert_int_eq(site->input, -1);
        if (!strstr(site->name, ".input")) continue;
        ck_assert_int_eq(dfqi_tensor_count(site->scale), 1);
        inputs++;
    }
    ck_assert_int_eq(inputs, 4 * 2 + 1); /* the head; the patches of the image stay float */
    dfq_graph_release(g);
    end(&s);
}
END_TEST

/* The same bits with any number of threads, and again from the bytes of the file. */
START_TEST(test_file)
{
    float x[3][LOGITS];
    for (int i = 0; i < 2; i++) {
        scene s = begin(i ? 3 : 1);
        dfq_graph *g, *back;
        dfq_tensor *bytes;
        ck_assert_int_eq(quantize(s.t, s.images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_ON, &g), DFQ_OK);
        dfqt_logits(g, x[i]);
        ck_assert_int_eq(dfq_graph_save_to_memory(g, 0, &bytes), DFQ_OK);
        ck_assert_int_eq(dfq_graph_load_from_memory(s.ctx, bytes->data,
                                                    (size_t)dfqi_tensor_count(bytes), NULL, &back),
                         DFQ_OK);
        ck_assert_uint_eq(back->scheme.grids.rotation, DFQI_ROTATION_SEED);
        dfqt_logits(back, x[2]);
        ck_assert_mem_eq(x[2], x[i], sizeof x[i]);
        dfq_graph_release(g);
        dfq_graph_release(back);
        dfqi_tensor_release(bytes);
        end(&s);
    }
    ck_assert_mem_eq(x[0], x[1], sizeof x[0]);
}
END_TEST

/* Seeds in files that are none: with the text in place of `"1"` in the bytes of a file. */
START_TEST(test_broken_file)
{
    static const char *const seeds[] = {"0", "x", "-"};
    static const char key[] = "\"dfq.rotation\":\"";
    scene s = begin(1);
    dfq_graph *g, *back;
    dfq_tensor *bytes;
    ck_assert_int_eq(quantize(s.t, s.images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_ON, &g), DFQ_OK);
    ck_assert_int_eq(dfq_graph_save_to_memory(g, 0, &bytes), DFQ_OK);
    char *text = bytes->data, *at = NULL;
    size_t size = (size_t)dfqi_tensor_count(bytes);
    for (size_t i = 0; !at && i + sizeof key < size; i++)
        if (memcmp(text + i, key, sizeof key - 1) == 0) at = text + i + sizeof key - 1;
    ck_assert_ptr_nonnull(at);
    *at = *seeds[_i];
    ck_assert_int_eq(dfq_graph_load_from_memory(s.ctx, text, size, NULL, &back), DFQ_E_CORRUPT);
    ck_assert_msg(strstr(s.ctx->error, "dfq.rotation") != NULL, "%s", s.ctx->error);
    dfq_graph_release(g);
    dfqi_tensor_release(bytes);
    end(&s);
}
END_TEST

static int32_t warnings;

static void count_warnings(int32_t level, const char *text, void *user)
{
    (void)text, (void)user;
    warnings += level == DFQ_LOG_WARNING;
}

/* A convolutional network is quantized without; asked for, the rotation is refused in one line. */
START_TEST(test_convolutional)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *t = dfqt_family(ctx, DFQI_FAMILY_RESNET), *g;
    dfq_tensor *images = dfqt_family_images(t, 2);
    ctx->log = count_warnings;
    warnings = 0;
    ck_assert_int_eq(quantize(t, images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_ON, &g),
                     DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, "convolutional network") && !strchr(ctx->error, '\n'), "%s",
                  ctx->error);
    ck_assert_int_eq(quantize(t, images, DFQ_MODE_IMPROVED, 4, DFQ_ROTATE_AUTO, &g), DFQ_OK);
    ck_assert_int_eq(warnings, 0); /* its grids are static: it was not to be rotated */
    ck_assert_uint_eq(g->scheme.grids.rotation, 0);
    dfq_graph_release(g);
    dfqi_tensor_release(images);
    dfq_graph_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    scene s = begin(1);
    dfq_quantize_options o;
    dfq_graph *g;
    dfq_quantize_options_init(&o, sizeof o);
    ck_assert(o.rotate == DFQ_ROTATE_AUTO);
    o.rotate = 3;
    ck_assert_int_eq(dfq_graph_quantize(s.t, s.images, &o, &g), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(s.ctx->error, "rotate is 3"));
    end(&s);
}
END_TEST

static dfq_status make_rotated(dfq_context *ctx, void *arg)
{
    dfqi_model *t = NULL, *g = NULL;
    dfq_tensor *images = NULL;
    (void)arg;
    dfq_status status = dfqt_teacher(ctx, &t);
    if (status == DFQ_OK) status = make_images(ctx, &images);
    if (status == DFQ_OK) status = quantize(t, images, DFQ_MODE_PARITY, 4, DFQ_ROTATE_ON, &g);
    dfqi_tensor_release(images);
    dfqi_model_release(t);
    dfqi_model_release(g);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(make_rotated, NULL, 1);
}
END_TEST

TCase *dfqt_rotate_case(void)
{
    TCase *c = tcase_create("rotate");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_computes_the_same, DFQ_MODE_PARITY, DFQ_MODE_IMPROVED + 1);
    tcase_add_test(c, test_rounded);
    tcase_add_test(c, test_rows);
    tcase_add_test(c, test_one_scale);
    tcase_add_test(c, test_file);
    tcase_add_loop_test(c, test_broken_file, 0, 3);
    tcase_add_test(c, test_convolutional);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
