/* dfq/graph.h and dfq/quantizer.h. */
#include <dfq/graph.h>
#include <dfq/quantizer.h>

#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "quant/evaluate.h"
#include "quant/layers.h"
#include "quant/model.h"
#include "synth/imageset.h"
#include "synth/similarity.h"

static const dfq_load_options nothing_said;

void dfq_load_options_init(dfq_load_options *options, size_t size)
{
    dfqi_options_init(options, size, &nothing_said, sizeof nothing_said);
}

dfq_status dfq_graph_load_with(dfq_context *context, const char *path,
                               const dfq_load_options *options, dfq_graph **out_graph)
{
    dfq_load_options o = nothing_said;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_graph);
    DFQI_TRY(dfqi_options_read(context, "dfq_load_options", options, &o, sizeof o));
    return dfqi_model_load(context, path, &o, out_graph);
}

dfq_status dfq_graph_load(dfq_context *context, const char *path, const char *arch,
                          dfq_graph **out_graph)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_graph);
    const dfq_load_options o = {.struct_size = sizeof o, .arch = arch};
    return dfqi_model_load(context, path, &o, out_graph);
}

dfq_status dfq_graph_save(const dfq_graph *graph, const char *path, int32_t half)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, path);
    if (half != 0 && graph->quantized)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "%s: a quantized network has its own widths, half must be 0", path);
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

const char *dfq_graph_get_layer_config(const dfq_graph *graph)
{
    return graph != NULL && graph->scheme.layers != NULL ? graph->scheme.layers : "";
}

const char *dfq_graph_get_choices(const dfq_graph *graph)
{
    return graph != NULL ? graph->net.arch.choices : "";
}

dfq_status dfq_graph_get_info(const dfq_graph *graph, dfq_graph_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    const dfqi_arch *a = &graph->net.arch;
    double macs;
    DFQI_TRY(dfqi_network_macs(&graph->net, &macs));
    dfq_graph_info info = {.quantized = graph->quantized,
                           .mode = (int32_t)graph->scheme.mode,
                           .weight_bits = graph->quantized ? graph->scheme.weight_bits : 32,
                           .act_bits = graph->quantized ? graph->scheme.act_bits : 32,
                           .quantizers = graph->scheme.n_sites,
                           .image = a->image,
                           .channels = a->channels,
                           .classes = a->classes,
                           .patch = a->vit.patch,
                           .width = a->vit.width,
                           .depth = a->vit.depth,
                           .heads = a->vit.heads,
                           .hidden = a->vit.hidden,
                           .parameters = dfqi_network_values(&graph->net),
                           .macs = dfqi_count_i64(macs),
                           .family = (int32_t)a->family,
                           .batchnorms = dfqi_arch_norms(a)};
    if (a->family == DFQI_FAMILY_STAGES) {
        info.patch = a->space.vit.patch;
        info.width = a->space.vit.tokens;
        info.depth = dfqi_derived_blocks(a);
    }
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
    int32_t count = dfq_graph_get_property_count(graph);
    if (i < 0 || i >= count)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "property %d asked for, there are %d", i,
                         count);
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

/* -- quantization ------------------------------------------------------------------------------ */

static const dfq_quantize_options defaults = {
    .mode = DFQ_MODE_IMPROVED, .weight_bits = 4, .act_bits = 4};

void dfq_quantize_options_init(dfq_quantize_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

/* The layers with settings of their own. */
static dfq_status configure(dfqi_scheme *scheme, const dfq_quantize_options *o)
{
    if (o->n_layers < 0 || (o->n_layers > 0 && o->layers == NULL))
        return dfqi_fail(scheme->ctx, DFQ_E_INVALID, "n_layers is %d, layers %s", o->n_layers,
                         o->layers == NULL ? "is NULL" : "has none");
    if (o->n_layers == 0) return DFQ_OK;
    size_t stride = o->layers[0].struct_size;
    if (stride != sizeof *o->layers)
        return dfqi_fail(
            scheme->ctx, stride < sizeof *o->layers ? DFQ_E_INVALID : DFQ_E_UNSUPPORTED,
            "dfq_layer_config has struct_size %u, this library knows %u: set it to its "
            "size first",
            o->layers[0].struct_size, (unsigned)sizeof *o->layers);
    return dfqi_scheme_configure(scheme, o->layers, stride, o->n_layers);
}

/* images: NULL for a CNN whose ranges come later. */
static dfq_status quantize(const dfq_graph *graph, const dfqi_images *images,
                           const dfq_quantize_options *options, dfq_graph **out_graph)
{
    dfq_quantize_options o = defaults;
    dfqi_network net = {0};
    dfqi_scheme scheme = {0};
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    if (graph->quantized)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "%s is quantized already, a float network is needed",
                         graph->net.arch.name);
    if (o.mode != DFQ_MODE_PARITY && o.mode != DFQ_MODE_IMPROVED)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "mode is %d, must be 0 (parity) or 1 (improved)", o.mode);
    dfq_status status;
    if (o.weight_grid < DFQ_WEIGHT_GRID_AUTO || o.weight_grid > DFQ_WEIGHT_GRID_LSQ ||
        o.act_grid < DFQ_ACT_GRID_AUTO || o.act_grid > DFQ_ACT_GRID_MINMAX)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "weight_grid is %d and act_grid %d, they must be 0 to 3 and 0 to 2",
                         o.weight_grid, o.act_grid);
    dfqi_widths widths = {o.weight_bits, o.act_bits, o.first_last_bits};
    dfqi_grids grids = {(dfqi_weight_grid_kind)o.weight_grid, (dfqi_act_grid_kind)o.act_grid};
    DFQI_GOTO(dfqi_scheme_new_with(&graph->net, (dfqi_mode)o.mode, widths, grids, &scheme), out);
    DFQI_GOTO(configure(&scheme, &o), out);
    DFQI_GOTO(dfqi_network_clone(&graph->net, &net), out);
    if (images) DFQI_GOTO(dfqi_scheme_calibrate_from(&scheme, &graph->net, &net, images), out);
    status = dfqi_model_new(&net, &scheme, out_graph);
out:
    dfqi_network_fini(&net);
    dfqi_scheme_fini(&scheme);
    return status;
}

dfq_status dfq_graph_quantize(const dfq_graph *graph, const dfq_tensor *images,
                              const dfq_quantize_options *options, dfq_graph **out_graph)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_graph);
    if (graph->net.arch.family == DFQI_FAMILY_VIT) DFQI_NEED(graph->ctx, images);
    if (images == NULL) return quantize(graph, NULL, options, out_graph);
    DFQI_TRY(dfqi_model_check_images(graph, images, 0));
    dfqi_images all = {.n = images->dims[0],
                       .pixels = dfqi_tensor_count(images) / images->dims[0],
                       .memory = dfqi_tensor_f32(images)};
    return quantize(graph, &all, options, out_graph);
}

dfq_status dfq_graph_quantize_from(const dfq_graph *graph, dfq_image_set *set,
                                   const dfq_quantize_options *options, dfq_graph **out_graph)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, set);
    DFQI_NEED(graph->ctx, out_graph);
    if (set->ctx != graph->ctx)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "image set and network belong to different contexts");
    DFQI_TRY(dfqi_model_check_images(graph, &set->shape, 0));
    return quantize(graph, &set->images, options, out_graph);
}

dfq_status dfq_graph_get_quantizer(const dfq_graph *graph, int32_t i, dfq_quantizer_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    if (i < 0 || i >= graph->scheme.n_sites)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "quantizer %d asked for, there are %d", i,
                         graph->scheme.n_sites);
    const dfqi_site *site = &graph->scheme.sites[i];
    return dfqi_site_write(graph->ctx, site, site->name, out_info);
}

int32_t dfq_graph_get_tensor_count(const dfq_graph *graph)
{
    return graph != NULL ? graph->net.n_params : 0;
}

dfq_status dfq_graph_get_tensor_info(const dfq_graph *graph, int32_t i, dfq_tensor_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    if (i < 0 || i >= graph->net.n_params)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "tensor %d asked for, there are %d", i,
                         graph->net.n_params);
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
    if (index < 0 || index >= images->dims[0])
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "image %lld asked for, there are %lld",
                         (long long)index, (long long)images->dims[0]);
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
