/* dfq/generator.h. */
#include <dfq/generator.h>

#include <string.h>

#include "api/api.h"
#include "base/memory.h"
#include "synth/imageset.h"
#include "synth/similarity.h"
#include "synth/synth.h"

struct dfq_generator {
    dfq_context *ctx; /* kept alive by the job's network */
    dfqi_synth *s;
};

static dfq_generator_options defaults(void)
{
    dfqi_synth_options d;
    dfqi_synth_defaults(&d);
    return (dfq_generator_options){.kind = (int32_t)d.kind,
                                   .images = d.images,
                                   .batch = d.batch,
                                   .iterations = d.iterations,
                                   .seed = d.seed,
                                   .attention_weight = d.attention_weight,
                                   .class_weight = d.class_weight,
                                   .tv_weight = d.tv_weight,
                                   .rate = d.rate,
                                   .end_rate = d.end_rate,
                                   .weight_decay = d.weight_decay,
                                   .roll_first = d.roll_first,
                                   .roll_second = d.roll_second,
                                   .flip = d.flip,
                                   .jitter = d.jitter,
                                   .natural = d.natural,
                                   .distance = (int32_t)d.distance};
}

void dfq_generator_options_init(dfq_generator_options *options, size_t size)
{
    dfq_generator_options d = defaults();
    dfqi_options_init(options, size, &d, sizeof d);
}

dfq_status dfq_generator_create(const dfq_graph *graph, const dfq_generator_options *options,
                                dfq_generator **out_generator)
{
    dfq_generator_options o = defaults();
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_generator);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_generator_options", options, &o, sizeof o));
    dfqi_synth_options own = {.kind = (dfqi_synth_kind)o.kind,
                              .images = o.images,
                              .batch = o.batch,
                              .iterations = o.iterations,
                              .seed = o.seed,
                              .attention_weight = o.attention_weight,
                              .class_weight = o.class_weight,
                              .tv_weight = o.tv_weight,
                              .rate = o.rate,
                              .end_rate = o.end_rate,
                              .weight_decay = o.weight_decay,
                              .roll_first = o.roll_first,
                              .roll_second = o.roll_second,
                              .flip = o.flip,
                              .jitter = o.jitter,
                              .natural = o.natural,
                              .distance = (dfqi_distance)o.distance};
    dfq_generator *gen = dfqi_calloc(graph->ctx, 1, sizeof *gen);
    if (gen == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_synth_new(graph, &own, &gen->s);
    if (status != DFQ_OK) {
        dfqi_free(graph->ctx, gen);
        return status;
    }
    gen->ctx = graph->ctx;
    *out_generator = gen;
    return DFQ_OK;
}

void dfq_generator_release(dfq_generator *generator)
{
    if (generator == NULL) return;
    dfqi_synth *s = generator->s;
    dfqi_free(generator->ctx, generator);
    dfqi_synth_release(s); /* last: it keeps the context */
}

dfq_status dfq_generator_step(dfq_generator *generator, int32_t *out_finished)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_finished);
    return dfqi_synth_step(generator->s, out_finished);
}

dfq_status dfq_generator_run(dfq_generator *generator)
{
    if (generator == NULL) return DFQ_E_INVALID;
    return dfqi_synth_run(generator->s);
}

/* Images and labels come together; what the caller did not ask for goes back. */
static dfq_status get_both(const dfq_generator *generator, dfq_tensor **out_images,
                           dfq_tensor **out_labels)
{
    dfq_tensor *images, *labels;
    DFQI_TRY(dfqi_synth_images(generator->s, &images, &labels));
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

dfq_status dfq_generator_get_images(const dfq_generator *generator, dfq_tensor **out_images)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_images);
    return get_both(generator, out_images, NULL);
}

dfq_status dfq_generator_get_labels(const dfq_generator *generator, dfq_tensor **out_labels)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_labels);
    return get_both(generator, NULL, out_labels);
}

dfq_status dfq_generator_get_losses(const dfq_generator *generator, dfq_tensor **out_losses)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_losses);
    return dfqi_synth_losses(generator->s, out_losses);
}

dfq_status dfq_generator_get_similarity(const dfq_generator *generator, int64_t n,
                                        dfq_tensor **out_before, dfq_tensor **out_after)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_before);
    DFQI_NEED(generator->ctx, out_after);
    if (n < 0)
        return dfqi_fail(generator->ctx, DFQ_E_INVALID, "%lld images asked for, must be 0 or more",
                         (long long)n);
    return dfqi_synth_similarity(generator->s, n, out_before, out_after);
}

dfq_status dfq_generator_estimate(dfq_generator *generator, int32_t probe,
                                  dfq_generator_cost *out_cost)
{
    dfqi_synth_cost c;
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_cost);
    DFQI_TRY(dfqi_synth_estimate(generator->s, probe != 0, &c));
    dfq_generator_cost out = {.bytes = dfqi_count_i64(c.bytes),
                              .macs = dfqi_count_i64(c.macs),
                              .seconds = c.seconds,
                              .seconds_left = c.seconds_left,
                              .units = dfqi_synth_units(generator->s),
                              .done = dfqi_synth_done(generator->s),
                              .images_done = dfqi_synth_finished(generator->s)};
    return dfqi_info_write(generator->ctx, "dfq_generator_cost", &out, sizeof out, out_cost);
}

dfq_status dfq_generator_spool(dfq_generator *generator, const char *folder)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, folder);
    return dfqi_synth_spool(generator->s, folder);
}

dfq_status dfq_generator_get_set(const dfq_generator *generator, dfq_image_set **out_set)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, out_set);
    return dfqi_synth_set(generator->s, out_set);
}

dfq_status dfq_generator_save(const dfq_generator *generator, const char *folder, int32_t replace)
{
    dfqi_images images;
    dfq_tensor shape, labels;
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, folder);
    DFQI_TRY(dfqi_synth_finished_images(generator->s, &images, &shape, &labels));
    return dfqi_imageset_save_from(dfqi_synth_model(generator->s), &images, &shape, &labels, folder,
                                   replace != 0);
}

dfq_status dfq_generator_save_checkpoint(const dfq_generator *generator, const char *path)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, path);
    return dfqi_synth_save(generator->s, path);
}

dfq_status dfq_generator_load_checkpoint(dfq_generator *generator, const char *path)
{
    if (generator == NULL) return DFQ_E_INVALID;
    DFQI_NEED(generator->ctx, path);
    return dfqi_synth_restore(generator->s, path);
}

dfq_status dfq_images_save(const dfq_graph *graph, const dfq_tensor *images,
                           const dfq_tensor *labels, const char *folder, int32_t replace)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, labels);
    DFQI_NEED(graph->ctx, folder);
    return dfqi_imageset_save(graph, images, labels, folder, replace != 0);
}

dfq_status dfq_images_load(const dfq_graph *graph, const char *folder, dfq_tensor **out_images,
                           dfq_tensor **out_labels)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, folder);
    DFQI_NEED(graph->ctx, out_images);
    DFQI_NEED(graph->ctx, out_labels);
    return dfqi_imageset_load(graph, folder, out_images, out_labels);
}

dfq_status dfq_images_save_attention(const dfq_graph *graph, const dfq_tensor *images,
                                     int64_t index, const char *path)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, path);
    DFQI_TRY(dfqi_imageset_check(graph, images, NULL));
    if (index < 0 || index >= images->dims[0])
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "image %lld asked for, there are %lld",
                         (long long)index, (long long)images->dims[0]);
    return dfqi_attention_sheet(graph, images, index, path);
}

dfq_status dfq_images_get_similarity(const dfq_graph *graph, const dfq_tensor *images,
                                     dfq_tensor **out_similarity)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, out_similarity);
    DFQI_TRY(dfqi_imageset_check(graph, images, NULL));
    return dfqi_head_similarity(graph, dfqi_tensor_f32(images), images->dims[0], out_similarity);
}
