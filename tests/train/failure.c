/* What goes wrong: options, tensors, numbers, memory. */
#include <math.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "train/cases.h"

static void refuse_vit(dfq_context *ctx, const dfq_vit_options *o, const char *word)
{
    dfq_graph *g = NULL;
    ck_assert_int_eq(dfq_graph_create(ctx, o, &g), DFQ_E_INVALID);
    ck_assert_ptr_null(g);
    ck_assert_msg(strstr(ctx->error, word) != NULL, "%s: %s", word, ctx->error);
}

START_TEST(test_vit_options)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_vit_options o;
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        const char *dot;                                                                           \
        char word[16] = #field;                                                                    \
        if ((dot = strchr(word, '[')) != NULL) word[dot - word] = '\0';                            \
        o = dfqt_vit();                                                                            \
        o.field = (value);                                                                         \
        refuse_vit(ctx, &o, word);                                                                 \
    } while (0)
    REFUSE(image, 0);
    REFUSE(image, 9);
    REFUSE(image, INT64_MAX);
    REFUSE(patch, 0);
    REFUSE(patch, 16);
    REFUSE(width, -1);
    REFUSE(width, 17);
    REFUSE(width, INT64_MAX);
    REFUSE(depth, 0);
    REFUSE(depth, 1000);
    REFUSE(heads, 0);
    REFUSE(heads, 3);
    REFUSE(hidden, 0);
    REFUSE(classes, 1);
    REFUSE(classes, INT64_MAX);
    REFUSE(mean[0], NAN);
    REFUSE(std[2], 0.0f);
    REFUSE(std[1], INFINITY);
    REFUSE(name, "");
    REFUSE(name, "resnet");
    REFUSE(name, "vit with spaces");
    REFUSE(name, "vit_0123456789012345678901234567890123456789012345678901234567890");
#undef REFUSE
    dfq_graph *g;
    ck_assert_int_eq(dfq_graph_create(NULL, &o, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_create(ctx, NULL, NULL), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_trainer_options)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o;
    dfq_trainer *t = NULL;
    dfq_graph *g;
    ck_assert_int_eq(dfq_graph_create(ctx, &v, &g), DFQ_OK);
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        o = dfqt_trainer();                                                                        \
        o.field = (value);                                                                         \
        ck_assert_int_eq(dfq_trainer_create(g, &o, &t), DFQ_E_INVALID);                            \
        ck_assert_msg(strstr(ctx->error, #field) != NULL, "%s: %s", #field, ctx->error);           \
    } while (0)
    REFUSE(batch, 0);
    REFUSE(batch, 5000);
    REFUSE(steps, 0);
    REFUSE(warmup_steps, -1);
    REFUSE(learning_rate, -1.0f);
    REFUSE(learning_rate, NAN);
    REFUSE(end_learning_rate, INFINITY);
    REFUSE(beta1, 1.0f);
    REFUSE(beta2, -0.1f);
    REFUSE(eps, 0.0f);
    REFUSE(weight_decay, 1.5f);
#undef REFUSE
    ck_assert_ptr_null(t);
    o = dfqt_trainer();
    ck_assert_int_eq(dfq_trainer_create(NULL, &o, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_create(g, &o, NULL), DFQ_E_INVALID);
    dfq_trainer_release(NULL);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

static void refuse_step(dfq_trainer *t, int32_t x_type, int64_t n, int64_t side, int32_t y_type,
                        int64_t labels, dfq_context *ctx)
{
    dfq_tensor *x, *y;
    float loss = -1;
    int32_t correct = -1;
    ck_assert_int_eq(dfq_tensor_create(ctx, x_type, 4, (int64_t[]){n, 3, side, side}, &x), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_create(ctx, y_type, 1, &labels, &y), DFQ_OK);
    ck_assert_int_eq(dfq_trainer_step(t, x, y, &loss, &correct), DFQ_E_SHAPE);
    ck_assert(loss == -1 && correct == -1);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
}

/* A refused step leaves the network as it was, and the job usable. */
START_TEST(test_steps)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o = dfqt_trainer();
    dfq_graph *g, *untouched;
    dfq_trainer *t;
    dfq_tensor *x, *y;
    ck_assert_int_eq(dfq_graph_create(ctx, &v, &g), DFQ_OK);
    ck_assert_int_eq(dfq_graph_create(ctx, &v, &untouched), DFQ_OK);
    ck_assert_int_eq(dfq_trainer_create(g, &o, &t), DFQ_OK);
    refuse_step(t, DFQ_DTYPE_F16, DFQT_BATCH, DFQT_SIDE, DFQ_DTYPE_I32, DFQT_BATCH, ctx);
    refuse_step(t, DFQ_DTYPE_F32, DFQT_BATCH + 1, DFQT_SIDE, DFQ_DTYPE_I32, DFQT_BATCH, ctx);
    refuse_step(t, DFQ_DTYPE_F32, DFQT_BATCH, DFQT_SIDE + 4, DFQ_DTYPE_I32, DFQT_BATCH, ctx);
    refuse_step(t, DFQ_DTYPE_F32, DFQT_BATCH, DFQT_SIDE, DFQ_DTYPE_I64, DFQT_BATCH, ctx);
    refuse_step(t, DFQ_DTYPE_F32, DFQT_BATCH, DFQT_SIDE, DFQ_DTYPE_I32, DFQT_BATCH - 1, ctx);
    ck_assert_int_eq(dfqt_batch(ctx, 0, &x, &y), DFQ_OK);
    ck_assert_int_eq(dfq_trainer_step(NULL, x, y, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_step(t, NULL, y, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_step(t, x, NULL, NULL, NULL), DFQ_E_INVALID);
    int32_t *label = dfq_tensor_get_data(y), kept = label[3];
    label[3] = DFQT_CLASSES;
    ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_E_INVALID);
    label[3] = -1;
    ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, "must be 0 to 2, a class of") != NULL, "%s", ctx->error);
    label[3] = kept;
    float *pixel = dfq_tensor_get_data(x), value = pixel[5];
    pixel[5] = NAN;
    ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_E_NUMERIC);
    pixel[5] = value;
    ck_assert(dfqt_same(g, untouched));
    ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_OK);
    ck_assert(!dfqt_same(g, untouched));
    dfq_graph_release(g); /* the job keeps it alive */
    ck_assert_int_eq(dfq_trainer_step(t, x, y, NULL, NULL), DFQ_OK);
    dfq_trainer_release(t);
    dfq_graph_release(untouched);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status whole_life(dfq_context *ctx, void *arg)
{
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o = dfqt_trainer();
    dfq_graph *g = NULL;
    dfq_trainer *t = NULL;
    dfq_tensor *x = NULL, *y = NULL;
    dfq_status status;
    (void)arg;
    v.depth = 1;
    DFQI_GOTO(dfq_graph_create(ctx, &v, &g), out);
    DFQI_GOTO(dfq_trainer_create(g, &o, &t), out);
    DFQI_GOTO(dfqt_batch(ctx, 0, &x, &y), out);
    status = dfq_trainer_step(t, x, y, NULL, NULL);
out:
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_trainer_release(t);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(whole_life, NULL, 2);
}
END_TEST

TCase *dfqt_train_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_test(c, test_vit_options);
    tcase_add_test(c, test_trainer_options);
    tcase_add_test(c, test_steps);
    tcase_add_test(c, test_memory);
    return c;
}
