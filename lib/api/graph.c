/* Functions of dfq/graph.h: loading, saving, info, forward pass, new networks, evaluation. */
#include <dfq/graph.h>

#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "api/handles.h"
#include "base/check.h"
#include "exchange/import.h"
#include "quant/evaluate.h"
#include "quant/layers.h"
#include "quant/model.h"
#include "tune/train.h"
#include "tune/tune.h"
#include "synth/similarity.h"

static const dfq_load_options nothing_said;

void dfq_load_options_init(dfq_load_options *options, size_t size)
{
    dfqi_options_init(options, size, &nothing_said, sizeof nothing_said);
}

static dfq_status load(dfq_context *ctx, const char *path, const dfq_load_options *o,
                       dfq_graph **out_graph)
{
    dfq_graph *g;
    DFQI_TRY(dfqi_import_is_onnx(path) ? dfqi_import_load(ctx, path, o, &g)
                                       : dfqi_model_load(ctx, path, o, &g));
    return dfqi_graph_named(g, o->class_names, out_graph);
}

dfq_status dfqi_graph_named(dfq_graph *take_graph, const char *class_names, dfq_graph **out_graph)
{
    dfq_status status =
        class_names != NULL ? dfqi_model_read_names(take_graph, class_names) : DFQ_OK;
    if (status == DFQ_OK)
        *out_graph = take_graph;
    else
        dfq_graph_release(take_graph);
    return status;
}

dfq_status dfq_graph_load_with(dfq_context *context, const char *path,
                               const dfq_load_options *options, dfq_graph **out_graph)
{
    dfq_load_options o = nothing_said;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_graph);
    DFQI_TRY(dfqi_options_read(context, "dfq_load_options", options, &o, sizeof o));
    return load(context, path, &o, out_graph);
}

dfq_status dfq_graph_load(dfq_context *context, const char *path, const char *arch,
                          dfq_graph **out_graph)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_graph);
    const dfq_load_options o = {.struct_size = sizeof o, .arch = arch};
    return load(context, path, &o, out_graph);
}

dfq_status dfq_graph_save(const dfq_graph *graph, const char *path, int32_t half)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, path);
    if (half != 0 && graph->quantized)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "%s: half must be 0 for a quantized network, which has its own widths",
                         path);
    return dfqi_model_save(graph, path, half);
}

dfq_graph *dfq_graph_retain(const dfq_graph *graph)
{
    return graph != NULL ? dfqi_model_retain(graph) : NULL;
}

void dfq_graph_release(dfq_graph *graph)
{
    dfqi_model_release(graph);
}

const char *dfq_graph_get_name(const dfq_graph *graph)
{
    return graph != NULL ? graph->net.arch.name : "";
}

const char *dfq_graph_get_naming(const dfq_graph *graph)
{
    return graph != NULL ? dfqi_naming_word(graph->naming, &graph->net.arch) : "";
}

int64_t dfq_graph_get_leftover_count(const dfq_graph *graph)
{
    return graph != NULL ? graph->n_leftover : 0;
}

const char *dfq_graph_get_leftover(const dfq_graph *graph, int64_t i)
{
    return i >= 0 && i < dfq_graph_get_leftover_count(graph) ? graph->leftover[i] : "";
}

const char *dfq_graph_get_structure(const dfq_graph *graph)
{
    return graph != NULL ? dfqi_arch_structure(&graph->net.arch) : "";
}

const char *dfq_graph_get_layer_config(const dfq_graph *graph)
{
    return graph != NULL && graph->scheme.layers != NULL ? graph->scheme.layers : "";
}

const char *dfq_graph_get_choices(const dfq_graph *graph)
{
    return graph != NULL ? graph->net.arch.of.derived.choices : "";
}

const char *dfq_graph_get_class_name(const dfq_graph *graph, int64_t i)
{
    const dfqi_class_names *names = graph != NULL ? graph->net.names : NULL;
    if (names == NULL || i < 0 || i >= dfqi_class_names_count(names)) return "";
    return dfqi_class_names_get(names, i);
}

dfq_status dfq_graph_get_info(const dfq_graph *graph, dfq_graph_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    const dfqi_arch *a = &graph->net.arch;
    const dfqi_sizes sizes = dfqi_arch_sizes(a);
    double macs;
    DFQI_TRY(dfqi_network_macs(&graph->net, &macs));
    dfq_graph_info info = {.quantized = graph->quantized,
                           .mode = (int32_t)graph->scheme.mode,
                           .weight_bits = graph->quantized ? graph->scheme.weight_bits : 32,
                           .act_bits = graph->quantized ? graph->scheme.act_bits : 32,
                           .quantizers = graph->scheme.n_sites,
                           .image = dfqi_longer(a->image),
                           .image_height = a->image.height,
                           .image_width = a->image.width,
                           .channels = a->channels,
                           .classes = dfqi_arch_is_backbone(a) ? 0 : a->classes,
                           .patch = sizes.patch,
                           .width = sizes.width,
                           .depth = sizes.depth,
                           .heads = sizes.heads,
                           .hidden = sizes.hidden,
                           .stages = sizes.stages,
                           .window = sizes.window,
                           .parameters = dfqi_network_values(&graph->net),
                           .macs = dfqi_count_i64(macs),
                           .family = (int32_t)a->family,
                           .batchnorms = dfqi_arch_norms(a),
                           .file_bytes = (int64_t)graph->bytes,
                           .rotation = graph->scheme.grids.rotation};
    int row = graph->scheme.grids.act_scale == DFQI_ACT_SCALE_ROW;
    if (graph->quantized) info.act_scale = row ? DFQ_ACT_SCALE_ROW : DFQ_ACT_SCALE_TENSOR;
    info.act_group = graph->scheme.grids.act_group;
    info.weight_group = graph->scheme.grids.weight_group;
    info.first_last_bits = graph->quantized ? graph->scheme.first_last_bits : 32;
    memcpy(info.mean, a->mean, sizeof info.mean);
    memcpy(info.std, a->std, sizeof info.std);
    return dfqi_info_write(graph->ctx, "dfq_graph_info", &info, sizeof info, out_info);
}

int32_t dfq_graph_get_property_count(const dfq_graph *graph)
{
    int32_t n = 0;
    for (int p = 0; graph != NULL && p < DFQI_PROP_COUNT; p++)
        n += dfqi_prop_applies(&graph->net.arch, (dfqi_prop)p);
    return n;
}

dfq_status dfq_graph_get_property(const dfq_graph *graph, int32_t i, dfq_property_info *out_info)
{
    int p = -1;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    const dfqi_arch *a = &graph->net.arch;
    DFQI_TRY(dfqi_check_index(graph->ctx, "property", i, dfq_graph_get_property_count(graph)));
    for (int32_t left = i; left >= 0; left -= dfqi_prop_applies(a, (dfqi_prop)p)) p++;
    dfq_property_info info = {.source = a->source[p],
                              .decides = dfqi_prop_decides((dfqi_prop)p),
                              .name = dfqi_prop_name((dfqi_prop)p)};
    dfqi_prop_text(a, (dfqi_prop)p, info.value);
    return dfqi_info_write(graph->ctx, "dfq_property_info", &info, sizeof info, out_info);
}

dfq_status dfq_graph_forward(const dfq_graph *graph, const dfq_tensor *images,
                             dfq_tensor **out_logits)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, out_logits);
    DFQI_TRY(dfqi_model_check_images(graph, images, 0));
    dfq_tensor *z;
    int64_t n = images->dims[0];
    DFQI_TRY(dfqi_tensor_new(graph->ctx, DFQI_F32, 2, (int64_t[]){n, graph->net.arch.classes}, &z));
    dfq_status status = dfqi_model_logits(graph, dfqi_tensor_f32(images), n, dfqi_tensor_f32(z));
    if (status != DFQ_OK)
        dfqi_tensor_release(z);
    else
        *out_logits = z;
    return status;
}

int32_t dfq_graph_get_tensor_count(const dfq_graph *graph)
{
    return graph != NULL ? graph->net.n_params : 0;
}

dfq_status dfq_graph_get_tensor_info(const dfq_graph *graph, int32_t i, dfq_tensor_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    DFQI_TRY(dfqi_check_index(graph->ctx, "tensor", i, graph->net.n_params));
    const dfqi_param *p = &graph->net.params[i];
    int32_t bits;
    int64_t n = dfqi_tensor_count(p->tensor), bytes = dfqi_model_tensor_bytes(graph, i, &bits);
    dfq_tensor_info info = {
        .bits = bits, .values = n, .float_bytes = 4 * n, .bytes = bytes, .name = p->name};
    return dfqi_info_write(graph->ctx, "dfq_tensor_info", &info, sizeof info, out_info);
}

dfq_status dfq_graph_save_attention(const dfq_graph *graph, const dfq_tensor *images, int64_t index,
                                    const char *path)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, path);
    DFQI_TRY(dfqi_imageset_check(graph, images, NULL));
    DFQI_TRY(dfqi_check_index(graph->ctx, "image", index, images->dims[0]));
    return dfqi_attention_sheet(graph, images, index, path);
}

dfq_status dfq_graph_get_head_similarity(const dfq_graph *graph, const dfq_tensor *images,
                                         dfq_tensor **out_similarity)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, images);
    DFQI_NEED(graph->ctx, out_similarity);
    DFQI_TRY(dfqi_imageset_check(graph, images, NULL));
    return dfqi_head_similarity(graph, dfqi_tensor_f32(images), images->dims[0], out_similarity);
}

/* -- a new network ----------------------------------------------------------------------------- */

static const dfq_vit_options vit_defaults = {.image = 32,
                                             .patch = 4,
                                             .width = 128,
                                             .depth = 6,
                                             .heads = 4,
                                             .hidden = 512,
                                             .classes = 10,
                                             .mean = {0.5f, 0.5f, 0.5f},
                                             .std = {0.5f, 0.5f, 0.5f}};

void dfq_vit_options_init(dfq_vit_options *options, size_t size)
{
    dfqi_options_init(options, size, &vit_defaults, sizeof vit_defaults);
}

dfq_status dfq_graph_create(dfq_context *context, const dfq_vit_options *options,
                            dfq_graph **out_graph)
{
    dfq_vit_options o = vit_defaults;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, out_graph);
    DFQI_TRY(dfqi_options_read(context, "dfq_vit_options", options, &o, sizeof o));
    dfqi_arch arch = {.image = {o.image, o.image_width ? o.image_width : o.image},
                      .classes = o.classes,
                      .of.vit.patch = o.patch,
                      .of.vit.width = o.width,
                      .of.vit.depth = o.depth,
                      .of.vit.heads = o.heads,
                      .of.vit.hidden = o.hidden};
    if (o.name != NULL) {
        size_t length = strlen(o.name);
        if (length < 1 || length >= sizeof arch.name)
            return dfqi_fail(context, DFQ_E_INVALID,
                             "the name has %zu characters, must have 1 to %zu", length,
                             sizeof arch.name - 1);
        memcpy(arch.name, o.name, length + 1);
    }
    memcpy(arch.mean, o.mean, sizeof arch.mean);
    memcpy(arch.std, o.std, sizeof arch.std);
    return dfqi_train_create_model(context, &arch, o.seed, out_graph);
}

/* -- judging ----------------------------------------------------------------------------------- */

dfq_status dfq_graph_evaluate(const dfq_graph *graph, const dfq_dataset *dataset, int64_t first,
                              int64_t n, dfq_accuracy *out_accuracy)
{
    dfqi_accuracy acc;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, dataset);
    DFQI_NEED(graph->ctx, out_accuracy);
    if (n == 0 && first >= 0) n = dfqi_dataset_count(dataset->d) - first;
    DFQI_TRY(dfqi_dataset_range(dataset, first, n));
    DFQI_TRY(dfqi_evaluate(graph, dataset->d, first, n, NULL, &acc));
    dfq_accuracy out = {
        .n = acc.n, .correct = acc.correct, .correct5 = acc.correct5, .not_finite = acc.not_finite};
    return dfqi_info_write(graph->ctx, "dfq_accuracy", &out, sizeof out, out_accuracy);
}

dfq_status dfq_graph_get_layer_errors(const dfq_graph *teacher, const dfq_graph *student,
                                      const dfq_tensor *images, dfq_tensor **out_db)
{
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, images);
    DFQI_NEED(student->ctx, out_db);
    DFQI_TRY(dfqi_model_check_images(student, images, 0));
    return dfqi_layer_errors(teacher, student, dfqi_tensor_f32(images), images->dims[0], out_db);
}
