/* The functions of dfq/synthesizer.h. */
#include <dfq/quantizer.h>
#include <dfq/synthesizer.h>

#include <string.h>

#include "api/api.h"
#include "base/memory.h"
#include "synth/imageset.h"
#include "synth/synth.h"

struct dfq_synthesizer {
    dfq_context *ctx; /* kept alive by the job's network */
    dfqi_synth *s;
};

static dfq_synthesizer_options recipe_of(int32_t kind, int32_t mode, const dfq_graph *graph)
{
    dfqi_synth_options d;
    dfqi_synth_recipe((dfqi_synth_kind)kind, mode == DFQ_MODE_PARITY,
                      graph ? &graph->net.arch : NULL, &d);
    return (dfq_synthesizer_options){.kind = (int32_t)d.kind,
                                     .images = d.images,
                                     .batch = d.batch,
                                     .iterations = d.iterations,
                                     .seed = d.seed,
                                     .attention_weight = d.attention_weight,
                                     .class_weight = d.class_weight,
                                     .tv_weight = d.tv_weight,
                                     .learning_rate = d.learning_rate,
                                     .end_learning_rate = d.end_learning_rate,
                                     .weight_decay = d.weight_decay,
                                     .roll_first = d.roll_first,
                                     .roll_second = d.roll_second,
                                     .flip = d.flip,
                                     .jitter = d.jitter,
                                     .multi_scale = d.multi_scale,
                                     .distance = (int32_t)d.distance};
}

void dfq_synthesizer_options_init(dfq_synthesizer_options *options, size_t size, int32_t kind,
                                  int32_t mode, const dfq_graph *graph)
{
    dfq_synthesizer_options d = recipe_of(kind, mode, graph);
    dfqi_options_init(options, size, &d, sizeof d);
}

dfq_status dfq_synthesizer_create(const dfq_graph *graph, const dfq_synthesizer_options *options,
                                  dfq_synthesizer **out_synthesizer)
{
    dfq_synthesizer_options o = recipe_of(DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NULL);
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_synthesizer);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_synthesizer_options", options, &o, sizeof o));
    dfqi_synth_options own = {.kind = (dfqi_synth_kind)o.kind,
                              .images = o.images,
                              .batch = o.batch,
                              .iterations = o.iterations,
                              .seed = o.seed,
                              .attention_weight = o.attention_weight,
                              .class_weight = o.class_weight,
                              .tv_weight = o.tv_weight,
                              .learning_rate = o.learning_rate,
                              .end_learning_rate = o.end_learning_rate,
                              .weight_decay = o.weight_decay,
                              .roll_first = o.roll_first,
                              .roll_second = o.roll_second,
                              .flip = o.flip,
                              .jitter = o.jitter,
                              .multi_scale = o.multi_scale,
                              .distance = (dfqi_distance)o.distance};
    dfq_synthesizer *synth = dfqi_calloc(graph->ctx, 1, sizeof *synth);
    if (synth == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_synth_new(graph, &own, &synth->s);
    if (status != DFQ_OK) {
        dfqi_free(graph->ctx, synth);
        return status;
    }
    synth->ctx = graph->ctx;
    *out_synthesizer = synth;
    return DFQ_OK;
}

void dfq_synthesizer_release(dfq_synthesizer *synthesizer)
{
    if (synthesizer == NULL) return;
    dfqi_synth *s = synthesizer->s;
    dfqi_free(synthesizer->ctx, synthesizer);
    dfqi_synth_release(s); /* last: it keeps the context */
}

dfq_status dfq_synthesizer_step(dfq_synthesizer *synthesizer, int32_t *out_finished)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_finished);
    return dfqi_synth_step(synthesizer->s, out_finished);
}

dfq_status dfq_synthesizer_run(dfq_synthesizer *synthesizer)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    return dfqi_synth_run(synthesizer->s);
}

/* Images and labels come together; what the caller did not ask for goes back. */
static dfq_status get_both(const dfq_synthesizer *synthesizer, dfq_tensor **out_images,
                           dfq_tensor **out_labels)
{
    dfq_tensor *images, *labels;
    DFQI_TRY(dfqi_synth_images(synthesizer->s, &images, &labels));
    if (out_images != NULL)
        *out_images = images;
    else
        dfqi_tensor_release(images);
    if (out_labels != NULL)
        *out_labels = labels;
    else
        dfqi_tensor_release(labels);
    return DFQ_OK;
}

dfq_status dfq_synthesizer_get_images(const dfq_synthesizer *synthesizer, dfq_tensor **out_images)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_images);
    return get_both(synthesizer, out_images, NULL);
}

dfq_status dfq_synthesizer_get_labels(const dfq_synthesizer *synthesizer, dfq_tensor **out_labels)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_labels);
    return get_both(synthesizer, NULL, out_labels);
}

dfq_status dfq_synthesizer_get_losses(const dfq_synthesizer *synthesizer, dfq_tensor **out_losses)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_losses);
    return dfqi_synth_losses(synthesizer->s, out_losses);
}

dfq_status dfq_synthesizer_get_similarity(const dfq_synthesizer *synthesizer, int64_t n,
                                          dfq_tensor **out_before, dfq_tensor **out_after)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_before);
    DFQI_NEED(synthesizer->ctx, out_after);
    if (n < 0)
        return dfqi_fail(synthesizer->ctx, DFQ_E_INVALID, "n is %lld, must be 0 or more",
                         (long long)n);
    return dfqi_synth_similarity(synthesizer->s, n, out_before, out_after);
}

dfq_status dfq_synthesizer_estimate(dfq_synthesizer *synthesizer, int32_t probe,
                                    dfq_synthesizer_cost *out_cost)
{
    dfqi_synth_cost c;
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_cost);
    DFQI_TRY(dfqi_synth_estimate(synthesizer->s, probe != 0, &c));
    dfq_synthesizer_cost out = {.bytes = dfqi_count_i64(c.bytes),
                                .macs = dfqi_count_i64(c.macs),
                                .seconds = c.seconds,
                                .seconds_left = c.seconds_left,
                                .units = dfqi_synth_units(synthesizer->s),
                                .done = dfqi_synth_done(synthesizer->s),
                                .images_done = dfqi_synth_finished(synthesizer->s)};
    return dfqi_info_write(synthesizer->ctx, "dfq_synthesizer_cost", &out, sizeof out, out_cost);
}

dfq_status dfq_synthesizer_spool(dfq_synthesizer *synthesizer, const char *folder)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, folder);
    return dfqi_synth_spool(synthesizer->s, folder);
}

dfq_status dfq_synthesizer_get_set(const dfq_synthesizer *synthesizer, dfq_image_set **out_set)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, out_set);
    return dfqi_synth_set(synthesizer->s, out_set);
}

dfq_status dfq_synthesizer_save(const dfq_synthesizer *synthesizer, const char *folder,
                                int32_t replace)
{
    dfqi_images images;
    dfq_tensor shape, labels;
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, folder);
    DFQI_TRY(dfqi_synth_finished_images(synthesizer->s, &images, &shape, &labels));
    return dfqi_imageset_save_from(dfqi_synth_model(synthesizer->s), &images, &shape, &labels,
                                   folder, replace != 0);
}

dfq_status dfq_synthesizer_save_checkpoint(const dfq_synthesizer *synthesizer, const char *path)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, path);
    return dfqi_synth_save(synthesizer->s, path);
}

dfq_status dfq_synthesizer_load_checkpoint(dfq_synthesizer *synthesizer, const char *path)
{
    if (synthesizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(synthesizer->ctx, path);
    return dfqi_synth_restore(synthesizer->s, path);
}
