/* The functions of dfq/trainer.h. */
#include <dfq/trainer.h>

#include <string.h>

#include "api/api.h"
#include "base/memory.h"
#include "tune/train.h"

struct dfq_trainer {
    dfqi_model *graph; /* retained */
    int64_t batch;
    dfqi_train *t;
};

static dfq_trainer_options trainer_defaults(void)
{
    dfqi_train_options d;
    dfqi_train_defaults(&d);
    return (dfq_trainer_options){.batch = d.batch,
                                 .steps = d.steps,
                                 .warmup_steps = d.warmup_steps,
                                 .learning_rate = d.learning_rate,
                                 .end_learning_rate = d.end_learning_rate,
                                 .beta1 = d.beta1,
                                 .beta2 = d.beta2,
                                 .eps = d.eps,
                                 .weight_decay = d.weight_decay,
                                 .seed = d.seed};
}

void dfq_trainer_options_init(dfq_trainer_options *options, size_t size)
{
    dfq_trainer_options d = trainer_defaults();
    dfqi_options_init(options, size, &d, sizeof d);
}

dfq_status dfq_trainer_create(dfq_graph *graph, const dfq_trainer_options *options,
                              dfq_trainer **out_trainer)
{
    dfq_trainer_options o = trainer_defaults();
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_trainer);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_trainer_options", options, &o, sizeof o));
    dfqi_train_options own = {.batch = o.batch,
                              .steps = o.steps,
                              .warmup_steps = o.warmup_steps,
                              .learning_rate = o.learning_rate,
                              .end_learning_rate = o.end_learning_rate,
                              .beta1 = o.beta1,
                              .beta2 = o.beta2,
                              .eps = o.eps,
                              .weight_decay = o.weight_decay,
                              .seed = o.seed};
    dfq_trainer *trainer = dfqi_calloc(graph->ctx, 1, sizeof *trainer);
    if (trainer == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_train_new(graph, &own, &trainer->t);
    if (status != DFQ_OK) {
        dfqi_free(graph->ctx, trainer);
        return status;
    }
    trainer->graph = dfqi_model_retain(graph);
    trainer->batch = o.batch;
    *out_trainer = trainer;
    return DFQ_OK;
}

void dfq_trainer_release(dfq_trainer *trainer)
{
    if (trainer == NULL) return;
    dfqi_model *graph = trainer->graph;
    dfqi_train_release(trainer->t);
    dfqi_free(graph->ctx, trainer);
    dfqi_model_release(graph);
}

dfq_status dfq_trainer_step(dfq_trainer *trainer, const dfq_tensor *images,
                            const dfq_tensor *labels, float *out_loss, int32_t *out_correct)
{
    float loss;
    int32_t correct;
    if (trainer == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = trainer->graph->ctx;
    DFQI_NEED(ctx, images);
    DFQI_NEED(ctx, labels);
    DFQI_TRY(dfqi_model_check_images(trainer->graph, images, trainer->batch));
    DFQI_TRY(dfqi_model_check_labels(trainer->graph, labels, trainer->batch));
    DFQI_TRY(dfqi_train_step(trainer->t, dfqi_tensor_f32(images), labels->data, &loss, &correct));
    if (out_loss != NULL) *out_loss = loss;
    if (out_correct != NULL) *out_correct = correct;
    return DFQ_OK;
}

dfq_status dfq_trainer_run(dfq_trainer *trainer, const dfq_tensor *images, const dfq_tensor *labels)
{
    if (trainer == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = trainer->graph->ctx;
    DFQI_NEED(ctx, images);
    DFQI_NEED(ctx, labels);
    DFQI_TRY(dfqi_model_check_images(trainer->graph, images, 0));
    int64_t n = images->dims[0];
    DFQI_TRY(dfqi_model_check_labels(trainer->graph, labels, n));
    if (n > INT32_MAX)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "%lld images are given, must be at most %d",
                         (long long)n, INT32_MAX);
    return dfqi_train_run(trainer->t, dfqi_tensor_f32(images), labels->data, n);
}

dfq_status dfq_trainer_estimate(const dfq_trainer *trainer, dfq_job_cost *out_cost)
{
    dfqi_train_cost c;
    if (trainer == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = trainer->graph->ctx;
    DFQI_NEED(ctx, out_cost);
    DFQI_TRY(dfqi_train_estimate(trainer->t, &c));
    int64_t left = c.done < c.steps ? c.steps - c.done : 0;
    const dfq_job_cost cost = {.bytes = dfqi_count_i64(c.bytes),
                               .macs = dfqi_count_i64(c.macs * (double)left),
                               .seconds_left = c.seconds_left,
                               .units = c.steps,
                               .done = c.done};
    return dfqi_info_write(ctx, "dfq_job_cost", &cost, sizeof cost, out_cost);
}

dfq_status dfq_trainer_save_checkpoint(const dfq_trainer *trainer, const char *path)
{
    if (trainer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(trainer->graph->ctx, path);
    return dfqi_train_save(trainer->t, path);
}

dfq_status dfq_trainer_load_checkpoint(dfq_trainer *trainer, const char *path)
{
    if (trainer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(trainer->graph->ctx, path);
    return dfqi_train_restore(trainer->t, path);
}
