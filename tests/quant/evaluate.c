/* Which answers are right: of equal logits the lower class wins, among the best five as well, and
 * no image is judged by another one's label. */
#include "quant/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "quant/cases.h"
#include "support/small_vit.h"

enum { CLASSES = 10, IMAGES = 20, RECORD = 3073 };

/* A network that answers every image with these logits. */
static dfqi_model *model_of(dfq_context *ctx, const float logits[CLASSES])
{
    dfqi_arch a = dfqt_vit(
        32, CLASSES, (dfqi_vit_arch){.patch = 16, .width = 4, .depth = 1, .heads = 1, .hidden = 4});
    dfqi_network net;
    dfqi_model *m;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfqi_network_init(&net, 1);
    dfq_tensor *w = dfqi_network_find(&net, "head.weight");
    memset(w->data, 0, (size_t)dfqi_tensor_count(w) * sizeof(float));
    memcpy(dfqi_network_find(&net, "head.bias")->data, logits, CLASSES * sizeof(float));
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &m), DFQ_OK);
    return m;
}

/* Image i is of class i % 10. */
static dfqi_dataset *images_of(dfq_context *ctx)
{
    static unsigned char bytes[IMAGES * RECORD];
    char path[] = "/tmp/dfq-evaluate-XXXXXX";
    dfqi_dataset *d;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    for (int i = 0; i < IMAGES; i++) bytes[i * RECORD] = (unsigned char)(i % CLASSES);
    ck_assert_int_eq(dfqi_file_write(ctx, path, bytes, sizeof bytes), DFQ_OK);
    ck_assert_msg(dfqi_dataset_open(ctx, path, CLASSES, &d) == DFQ_OK, "%s", ctx->error);
    remove(path); /* it stays open */
    return d;
}

START_TEST(test_equal_logits)
{
    /* ranks: 9 0 6 1 2 7 3 8 4 5 */
    static const float logits[CLASSES] = {-2, 5, 1, 5, 2, 1, 2, 1, 2, 2};
    static const int32_t best_five[CLASSES] = {0, 1, 0, 1, 1, 0, 1, 0, 1, 0};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = model_of(ctx, logits);
    dfqi_dataset *d = images_of(ctx);
    for (int first = 0; first < CLASSES; first++) {
        int32_t predicted[1];
        dfqi_accuracy one;
        ck_assert_msg(dfqi_evaluate(m, d, first, 1, predicted, &one) == DFQ_OK, "%s", ctx->error);
        ck_assert_int_eq(predicted[0], 1);
        ck_assert_int_eq(one.correct, first == 1);
        ck_assert_int_eq(one.correct5, best_five[first]);
    }
    dfqi_dataset_release(d);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Images from the middle, more than a batch and no whole number of them. */
START_TEST(test_part)
{
    static const float logits[CLASSES] = {0, 0, 0, 9, 8, 7, 6, 5, 0, 0};
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m = model_of(ctx, logits);
    dfqi_dataset *d = images_of(ctx);
    dfqi_accuracy all;
    ck_assert_int_eq(dfqi_evaluate(m, d, 3, 11, NULL, &all), DFQ_OK);
    ck_assert_int_eq(all.n, 11);
    ck_assert_int_eq(all.correct, 2);  /* images 3 and 13 */
    ck_assert_int_eq(all.correct5, 6); /* 3 to 7, and 13 */
    ck_assert_int_eq(all.not_finite, 0);
    ck_assert_int_eq(dfqi_evaluate(m, d, 10, 11, NULL, &all), DFQ_E_INVALID);
    dfqi_dataset_release(d);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_evaluate_case(void)
{
    TCase *c = tcase_create("evaluate");
    tcase_add_test(c, test_equal_logits);
    tcase_add_test(c, test_part);
    return c;
}
