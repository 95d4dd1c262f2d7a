/* Jobs: kinds, determinism, what they learn, cancelling, options, results. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "synth/cases.h"
#include "synth/imageset.h"
#include "synth/similarity.h"
#include "synth/synth_priv.h"

START_TEST(test_threads_do_not_matter)
{
    static float one[DFQT_IMAGES * DFQT_PIXELS], two[DFQT_IMAGES * DFQT_PIXELS];
    int32_t one_y[DFQT_IMAGES], two_y[DFQT_IMAGES];
    dfqi_synth_options o = dfqt_options();
    o.kind = (dfqi_synth_kind)_i;
    o.flip = 1;
    dfqt_make(&o, 1, one, one_y);
    dfqt_make(&o, 2, two, two_y);
    ck_assert_mem_eq(one, two, sizeof one);
    ck_assert_mem_eq(one_y, two_y, sizeof one_y);
    o.seed++;
    dfqt_make(&o, 2, two, two_y);
    ck_assert_mem_ne(one, two, sizeof one);
}
END_TEST

START_TEST(test_images_are_in_range)
{
    static float x[DFQT_IMAGES * DFQT_PIXELS];
    int32_t y[DFQT_IMAGES];
    dfqi_synth_options o = dfqt_options();
    o.kind = (dfqi_synth_kind)_i;
    dfqt_make(&o, 2, x, y);
    static const float mean[3] = {0.5f, 0.4f, 0.6f}, std[3] = {0.5f, 0.25f, 0.3f};
    for (int i = 0; i < DFQT_IMAGES * DFQT_PIXELS; i++) {
        int c = i / 256 % 3;
        ck_assert_float_ge(x[i] * std[c] + mean[c], -1e-6f);
        ck_assert_float_le(x[i] * std[c] + mean[c], 1 + 1e-6f);
    }
    for (int i = 0; i < DFQT_IMAGES; i++) ck_assert(y[i] >= 0 && y[i] < 6);
}
END_TEST

/* Batches are independent: more of them do not change the first ones. */
START_TEST(test_batches_are_independent)
{
    static float five[DFQT_IMAGES * DFQT_PIXELS], four[4 * DFQT_PIXELS];
    int32_t five_y[DFQT_IMAGES], four_y[4];
    dfqi_synth_options o = dfqt_options();
    dfqt_make(&o, 2, five, five_y);
    o.images = 4;
    dfqt_make(&o, 2, four, four_y);
    ck_assert_mem_eq(five, four, sizeof four);
    ck_assert_mem_eq(five_y, four_y, sizeof four_y);
}
END_TEST

static float mean_of(const float *losses, int64_t from, int64_t to, int column)
{
    float sum = 0;
    for (int64_t i = from; i < to; i++) sum += losses[i * DFQI_SYNTH_LOSSES + column];
    return sum / (float)(to - from);
}

START_TEST(test_losses_fall_and_heads_agree)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *losses, *before, *after;
    dfqi_synth_options o = dfqt_options();
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    o.images = o.batch = 4;
    o.iterations = 200;
    o.attention_weight = 10.0f;
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(s, &losses), DFQ_OK);
    ck_assert_int_eq(losses->dims[0], 200);
    const float *v = dfqi_tensor_f32(losses);
    for (int c = 0; c < 3; c++) ck_assert_float_lt(mean_of(v, 180, 200, c), mean_of(v, 0, 20, c));
    ck_assert_int_eq(dfqi_synth_similarity(s, 0, &before, &after), DFQ_OK);
    for (int64_t b = 0; b < 2; b++) /* the objective is 1 - S^2: S may grow to either side */
        ck_assert_float_gt(fabsf(dfqi_tensor_f32(after)[b]), fabsf(dfqi_tensor_f32(before)[b]));
    dfqi_tensor_release(losses);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_terms_that_are_off_are_nan)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *t;
    int32_t finished;
    dfqi_synth_options o = dfqt_options();
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    o.class_weight = o.tv_weight = 0;
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    ck_assert_int_eq(t->dims[0], 0);
    dfqi_tensor_release(t);
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    const float *v = dfqi_tensor_f32(t);
    ck_assert_int_eq(t->dims[0], 1);
    ck_assert(v[DFQI_SYNTH_TOTAL] == v[DFQI_SYNTH_INTER_HEAD] && isfinite(v[0]));
    ck_assert(isnan(v[DFQI_SYNTH_CLASS]) && isnan(v[DFQI_SYNTH_TV]));
    dfqi_tensor_release(t);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

static float first_distance(dfqi_distance distance)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *t;
    int32_t finished;
    dfqi_synth_options o = dfqt_options();
    o.distance = distance;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    float first = dfqi_tensor_f32(t)[DFQI_SYNTH_INTER_HEAD];
    dfqi_tensor_release(t);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
    return first;
}

/* S^2 < |S| < 1, so that the absolute distance of the same heads is the smaller one. */
START_TEST(test_distances)
{
    float absolute = first_distance(DFQI_DISTANCE_ABSOLUTE);
    ck_assert_float_gt(absolute, 0);
    ck_assert_float_lt(absolute + 0.05f, first_distance(DFQI_DISTANCE_SQUARE));
}
END_TEST

/* PSAQ-ViT: one offset for both axes, a target for each batch; at 224 x 224 and 32 images it lies
 * in 2500..3000. */
START_TEST(test_draws_of_pse)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    dfqi_synth_options o = dfqt_options();
    float target[2], scale = sqrtf(2 * DFQT_PIXELS / (32.0f * 3 * 224 * 224));
    int mirrored = 0, far_ones = 0;
    o.kind = DFQI_SYNTH_PSE;
    o.images = 4;
    o.iterations = 200;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_start(s), DFQ_OK);
    for (s->at = 0; s->at < 2; s->at++)
        for (s->iteration = 0; s->iteration < 200; s->iteration++) {
            dfqi_draw_augment(s, &s->by_pixels.draws);
            ck_assert(s->by_pixels.draws.roll[0] == s->by_pixels.draws.roll[1]);
            ck_assert(fabsf(s->by_pixels.draws.roll[0]) <= (s->iteration < 100 ? 15 : 30));
            far_ones += fabsf(s->by_pixels.draws.roll[0]) > 15;
            mirrored += s->by_pixels.draws.flip;
            ck_assert(s->by_pixels.draws.offset[0] == 0 && s->by_pixels.draws.mean[0] == 0 &&
                      s->by_pixels.draws.dev[0] == 1);
            if (s->iteration == 0) target[s->at] = s->by_pixels.draws.tv_target;
            ck_assert(s->by_pixels.draws.tv_target == target[s->at]);
        }
    ck_assert(far_ones > 50 && far_ones < 150 && mirrored > 150 && mirrored < 250);
    ck_assert(target[0] != target[1]);
    for (int i = 0; i < 2; i++) ck_assert(target[i] >= 2500 * scale && target[i] <= 3000 * scale);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* -- cancelling -------------------------------------------------------------------------------- */

typedef struct host {
    uint64_t stop_at, last, total;
} host;

static int32_t on_progress(const dfq_progress *p, void *user)
{
    host *h = user;
    h->last = p->done;
    h->total = p->total;
    ck_assert_str_eq(p->stage, "synth");
    return p->done == h->stop_at;
}

START_TEST(test_cancel_and_go_on)
{
    static float want[DFQT_IMAGES * DFQT_PIXELS];
    int32_t want_y[DFQT_IMAGES];
    host h = {.stop_at = 8};
    dfq_context_options co = {
        .struct_size = sizeof co, .threads = 2, .progress = on_progress, .progress_user = &h};
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *x, *y;
    dfqi_synth_options o = dfqt_options();
    dfqt_make(&o, 1, want, want_y);
    ck_assert_int_eq(dfqi_context_create(&co, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_E_CANCELLED);
    ck_assert_uint_eq(h.last, 8);
    ck_assert_uint_eq(h.total, 18);
    ck_assert_int_eq(dfqi_synth_done(s), 8);
    ck_assert_int_eq(dfqi_synth_finished(s), 2);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_int_eq(x->dims[0], 2);
    ck_assert_mem_eq(x->data, want, 2 * DFQT_PIXELS * sizeof *want);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    h.stop_at = 0;
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_uint_eq(h.last, 18);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK); /* nothing left to do */
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, want, sizeof want);
    ck_assert_mem_eq(y->data, want_y, sizeof want_y);
    dfqi_synth_release(s);
    ck_assert_mem_eq(x->data, want, sizeof want); /* images outlive the job */
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* -- cost -------------------------------------------------------------------------------------- */

START_TEST(test_estimate)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m;
    dfqi_synth *s;
    dfqi_synth_cost c;
    int32_t finished;
    dfq_tensor *t;
    dfqi_synth_options o = dfqt_options();
    o.kind = (dfqi_synth_kind)_i;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_estimate(s, 0, &c), DFQ_OK);
    ck_assert_double_gt(c.bytes, sizeof(float) * DFQT_IMAGES * DFQT_PIXELS);
    if (o.kind != DFQI_SYNTH_NOISE) {
        ck_assert(isnan(c.seconds) && isnan(c.seconds_left));
        ck_assert_double_gt(c.macs, 1e5);
        ck_assert_int_eq(dfqi_synth_estimate(s, 1, &c), DFQ_OK);
        ck_assert_double_gt(c.seconds, 0);
        ck_assert_double_eq_tol(c.seconds_left, 18 * c.seconds, 1e-9);
    }
    ck_assert_int_eq(dfqi_synth_done(s), 0); /* the probe changes nothing */
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    ck_assert_int_eq(t->dims[0], 1);
    dfqi_tensor_release(t);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

enum { PNG_ROOM = 100000 }; /* what libpng may take more for a picture of any kind */

/* The whole life of a job takes the memory that was estimated, and little less. */
START_TEST(test_memory_holds)
{
    dfq_context *ctx = dfqt_context(1); /* two threads need not be at their peak together */
    dfqi_meter meter;
    dfqi_model *m;
    dfqi_synth *s;
    dfqi_synth_cost c;
    dfq_tensor *x, *y, *before, *after;
    char folder[64];
    dfqi_synth_options o = dfqt_options();
    o.kind = (dfqi_synth_kind)_i;
    dfqt_folder(folder);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_estimate(s, 0, &c), DFQ_OK);
    dfqi_meter_begin(ctx, &meter);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_int_eq(dfqi_imageset_save(m, x, y, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_similarity(s, 0, &before, &after), DFQ_OK);
    dfqi_meter_end(ctx);
    ck_assert_msg((double)meter.peak <= c.bytes && c.bytes <= 1.2 * (double)meter.peak + PNG_ROOM,
                  "%lld bytes, estimated %.0f", (long long)meter.peak, c.bytes);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
    dfqt_remove(folder);
}
END_TEST

/* Images that are all the same to two equal heads: similarity 1. */
START_TEST(test_similarity_of_equal_heads)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m;
    dfq_tensor *t;
    static float x[5 * DFQT_PIXELS];
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    for (int i = 0; i < 5 * DFQT_PIXELS; i++) x[i] = (float)(i * 7 % 23) / 23.0f;
    float *w = dfqi_tensor_f32(dfqi_network_find(&m->net, "blocks.1.attn.qkv.weight"));
    float *b = dfqi_tensor_f32(dfqi_network_find(&m->net, "blocks.1.attn.qkv.bias"));
    for (int part = 0; part < 2;
         part++) /* queries and keys of heads 1 and 2 like those of head 0 */
        for (int row = 8; row < 24; row++) {
            int to = part * 24 + row, from = part * 24 + row % 8;
            memcpy(w + to * 24, w + from * 24, 24 * sizeof *w);
            b[to] = b[from];
        }
    ck_assert_int_eq(dfqi_head_similarity(m, x, 5, &t), DFQ_OK);
    ck_assert_float_lt(dfqi_tensor_f32(t)[0], 0.99f);
    ck_assert_float_gt(dfqi_tensor_f32(t)[0], -1.0f);
    ck_assert_float_eq_tol(dfqi_tensor_f32(t)[1], 1.0f, 1e-4f);
    dfqi_tensor_release(t);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_job_case(void)
{
    TCase *t = tcase_create("job");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_threads_do_not_matter, DFQI_SYNTH_ATTENTION, DFQI_SYNTH_PSE + 1);
    tcase_add_loop_test(t, test_images_are_in_range, DFQI_SYNTH_ATTENTION, DFQI_SYNTH_PSE + 1);
    tcase_add_test(t, test_batches_are_independent);
    tcase_add_test(t, test_losses_fall_and_heads_agree);
    tcase_add_test(t, test_terms_that_are_off_are_nan);
    tcase_add_test(t, test_distances);
    tcase_add_test(t, test_draws_of_pse);
    tcase_add_test(t, test_cancel_and_go_on);
    tcase_add_loop_test(t, test_estimate, DFQI_SYNTH_ATTENTION, DFQI_SYNTH_PSE + 1);
    tcase_add_loop_test(t, test_memory_holds, DFQI_SYNTH_ATTENTION, DFQI_SYNTH_PSE + 1);
    tcase_add_test(t, test_similarity_of_equal_heads);
    return t;
}
