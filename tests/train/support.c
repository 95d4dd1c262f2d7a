/* A small network and an easy task. */
#include <string.h>

#include "base/rng.h"
#include "train/cases.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o;
    dfq_context *ctx = NULL;
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

dfq_vit_options dfqt_vit(void)
{
    dfq_vit_options o;
    dfq_vit_options_init(&o, sizeof o);
    o.image = DFQT_SIDE;
    o.patch = 4;
    o.width = 16;
    o.depth = 2;
    o.heads = 2;
    o.hidden = 24;
    o.classes = DFQT_CLASSES;
    o.seed = 7;
    return o;
}

dfq_trainer_options dfqt_trainer(void)
{
    dfq_trainer_options o;
    dfq_trainer_options_init(&o, sizeof o);
    o.batch = DFQT_BATCH;
    o.steps = 60;
    o.warmup_steps = 5;
    o.learning_rate = 5e-3f;
    return o;
}

dfq_status dfqt_batch(dfq_context *ctx, uint64_t k, dfq_tensor **out_images,
                      dfq_tensor **out_labels)
{
    const int64_t dims[4] = {DFQT_BATCH, 3, DFQT_SIDE, DFQT_SIDE};
    dfqi_rng r = dfqi_rng_make(99, k);
    dfq_tensor *images, *labels;
    DFQI_TRY(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, &images));
    dfq_status status = dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, dims, &labels);
    if (status != DFQ_OK) {
        dfq_tensor_release(images);
        return status;
    }
    float *x = dfq_tensor_get_data(images);
    int32_t *y = dfq_tensor_get_data(labels);
    dfqi_rng_fill_normal(&r, x, DFQT_BATCH * DFQT_PIXELS);
    for (int i = 0; i < DFQT_BATCH; i++) {
        y[i] = (int32_t)dfqi_rng_below(&r, DFQT_CLASSES);
        float *channel = x + i * DFQT_PIXELS + y[i] * DFQT_SIDE * DFQT_SIDE;
        for (int p = 0; p < DFQT_SIDE * DFQT_SIDE; p++) channel[p] += 0.7f;
    }
    *out_images = images;
    *out_labels = labels;
    return DFQ_OK;
}

double dfqt_train(dfq_graph *g, const dfq_trainer_options *o, int steps)
{
    dfq_trainer *t;
    double last = 0;
    ck_assert_msg(dfq_trainer_create(g, o, &t) == DFQ_OK, "%s", g->ctx->error);
    for (int k = 0; k < steps; k++) {
        dfq_tensor *x, *y;
        float loss = -1;
        int32_t correct = -1;
        ck_assert_int_eq(dfqt_batch(g->ctx, (uint64_t)k, &x, &y), DFQ_OK);
        ck_assert_msg(dfq_trainer_step(t, x, y, &loss, &correct) == DFQ_OK, "%s", g->ctx->error);
        ck_assert(loss > 0 && correct >= 0 && correct <= DFQT_BATCH);
        if (k >= steps - 4) last += (double)loss / 4;
        dfq_tensor_release(x);
        dfq_tensor_release(y);
    }
    dfq_trainer_release(t);
    return last;
}

int dfqt_same(const dfq_graph *a, const dfq_graph *b)
{
    for (int32_t i = 0; i < a->net.n_params; i++)
        if (memcmp(a->net.params[i].tensor->data, b->net.params[i].tensor->data,
                   dfq_tensor_get_bytes(a->net.params[i].tensor)) != 0)
            return 0;
    return 1;
}
