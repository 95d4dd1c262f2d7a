/* Functions of dfq/graph.h: quantization of a network, and access to its quantizers. */
#include <dfq/graph.h>
#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "base/rng.h"
#include "nn/rotate.h"
#include "quant/layers.h"
#include "quant/model.h"
#include "quant/quantizer.h"
#include "synth/imageset.h"
#include "synth/leaves.h"

enum { DRAWN_STREAM = 0x6c656166 }; /* the first stream of random numbers of drawn images */

static const dfq_quantize_options defaults = {.mode = DFQ_MODE_IMPROVED,
                                              .weight_bits = 4,
                                              .act_bits = 4,
                                              .act_group = DFQ_ACT_GROUP_AUTO,
                                              .weight_group = DFQ_WEIGHT_GROUP_AUTO};

void dfq_quantize_options_init(dfq_quantize_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

/* The layers with settings of their own. */
static dfq_status configure(dfqi_scheme *scheme, const dfq_quantize_options *o)
{
    if (o->n_layers < 0 || (o->n_layers > 0 && o->layers == NULL))
        return dfqi_fail(scheme->ctx, DFQ_E_INVALID, "n_layers is %d, but layers %s", o->n_layers,
                         o->layers == NULL ? "is NULL" : "has none");
    if (o->n_layers == 0) return DFQ_OK;
    size_t stride = o->layers[0].struct_size;
    if (stride != sizeof *o->layers)
        return dfqi_fail(scheme->ctx,
                         stride < sizeof *o->layers ? DFQ_E_INVALID : DFQ_E_UNSUPPORTED,
                         "dfq_layer_config: struct_size is %u, must be %u; set it first",
                         o->layers[0].struct_size, (unsigned)sizeof *o->layers);
    return dfqi_scheme_configure(scheme, o->layers, stride, o->n_layers);
}

static dfq_status check(dfq_context *ctx, const dfq_quantize_options *o)
{
    if (o->mode != DFQ_MODE_PARITY && o->mode != DFQ_MODE_IMPROVED)
        return dfqi_fail(ctx, DFQ_E_INVALID, "mode is %d, must be 0 (parity) or 1 (improved)",
                         o->mode);
    if (o->weight_grid < DFQ_WEIGHT_GRID_AUTO || o->weight_grid > DFQ_WEIGHT_GRID_LSQ ||
        o->act_grid < DFQ_ACT_GRID_AUTO || o->act_grid > DFQ_ACT_GRID_MINMAX)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "weight_grid is %d, must be 0 to 3, and act_grid is %d, must be 0 to 2",
                         o->weight_grid, o->act_grid);
    if (o->rotate < DFQ_ROTATE_AUTO || o->rotate > DFQ_ROTATE_ON)
        return dfqi_fail(ctx, DFQ_E_INVALID, "rotate is %d, must be 0 (auto), 1 (off) or 2 (on)",
                         o->rotate);
    if (o->act_scale < DFQ_ACT_SCALE_AUTO || o->act_scale > DFQ_ACT_SCALE_TENSOR)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "act_scale is %d, must be 0 (auto), 1 (row) or 2 (tensor)", o->act_scale);
    if (o->drawn_images < 0 || o->drawn_images > 65536)
        return dfqi_fail(ctx, DFQ_E_INVALID, "drawn_images is %d, must be 0 to 65536",
                         o->drawn_images);
    return DFQ_OK;
}

/* Both networks begin as `from`, or as `from` with a rotated stream. The teacher of calibration is
 * in the same basis as the student; without rotation it is `from` itself. */
typedef struct pair {
    dfqi_network student, rotated;
    const dfqi_network *teacher;
} pair;

static dfq_status pair_init(const dfqi_network *from, uint64_t rotation, pair *p)
{
    p->teacher = from;
    DFQI_TRY(dfqi_network_clone(from, &p->student));
    if (!rotation) return DFQ_OK;
    DFQI_TRY(dfqi_network_rotate(&p->student, rotation));
    p->teacher = &p->rotated;
    return dfqi_network_clone(&p->student, &p->rotated);
}

/* The seed of the rotation, 0: none. Automatic: with scales of rows, where there is a stream. */
static uint64_t choose_rotation(const dfq_graph *graph, int32_t rotate, dfqi_act_scale scale)
{
    const char *why = dfqi_arch_unrotatable(&graph->net.arch);
    if (rotate == DFQ_ROTATE_ON) return DFQI_ROTATION_SEED;
    if (rotate == DFQ_ROTATE_OFF || scale != DFQI_ACT_SCALE_ROW) return 0;
    if (!why) return DFQI_ROTATION_SEED;
    dfqi_log(graph->ctx, DFQ_LOG_WARNING, "%s is quantized without rotation: %s",
             graph->net.arch.name, why);
    return 0;
}

/* Without images there are no static grids of a CNN: its ranges come later, from a generator. */
static void choose_grids(const dfqi_images *images, const dfq_quantize_options *o,
                         dfqi_grids *grids)
{
    if (images || o->mode == DFQ_MODE_PARITY || grids->weight_grid != DFQI_WEIGHT_GRID_AUTO) return;
    grids->weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM;
    grids->act_grid = DFQI_ACT_GRID_MINMAX;
}

/* Takes over the parts of rounding; AUTO leaves those of the network's family. */
static dfq_status take_rounding(int32_t parts, dfqi_scheme *scheme)
{
    if (parts < 0 || parts > DFQ_ROUNDING_NEAREST)
        return dfqi_fail(
            scheme->ctx, DFQ_E_INVALID,
            "rounding is %d, must be a sum of 1, 2, 4 and 8, or 16 alone, or 0 for auto", parts);
    if (parts != DFQ_ROUNDING_AUTO) scheme->rounding = parts & DFQI_ROUND_ALL;
    return DFQ_OK;
}

bool dfqi_has_row_scales(const dfq_graph *graph, const dfq_quantize_options *o)
{
    bool fits = dfqi_scheme_fits_rows(&graph->net.arch, (dfqi_mode)o->mode);
    return o->act_scale == DFQ_ACT_SCALE_ROW || (o->act_scale == DFQ_ACT_SCALE_AUTO && fits);
}

/* `o` is complete and checked. images: NULL for a CNN whose ranges come later. */
static dfq_status make_scheme(const dfq_graph *graph, const dfqi_images *images,
                              const dfq_quantize_options *o, dfqi_scheme *out)
{
    dfqi_scheme scheme = {0};
    dfqi_widths widths = {o->weight_bits, o->act_bits, o->first_last_bits};
    dfqi_grids grids = {.weight_grid = (dfqi_weight_grid_kind)o->weight_grid,
                        .act_grid = (dfqi_act_grid_kind)o->act_grid};
    if (dfqi_has_row_scales(graph, o)) grids.act_scale = DFQI_ACT_SCALE_ROW;
    grids.act_group = o->act_group;
    grids.weight_group = o->weight_group;
    grids.rotation = choose_rotation(graph, o->rotate, grids.act_scale);
    if (dfqi_arch_is_cnn(&graph->net.arch)) choose_grids(images, o, &grids);
    DFQI_TRY(dfqi_scheme_new_with(&graph->net, (dfqi_mode)o->mode, widths, grids, &scheme));
    dfq_status status = take_rounding(o->rounding, &scheme);
    if (status == DFQ_OK) status = configure(&scheme, o);
    if (status == DFQ_OK)
        status = dfqi_scheme_group_weights(&graph->net, o->weight_group == DFQ_WEIGHT_GROUP_AUTO,
                                           &scheme);
    if (status == DFQ_OK)
        *out = scheme;
    else
        dfqi_scheme_fini(&scheme);
    return status;
}

dfq_status dfqi_scheme_of_options(const dfq_graph *graph, const dfq_quantize_options *options,
                                  dfqi_scheme *out)
{
    dfq_quantize_options o = defaults;
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    DFQI_TRY(check(graph->ctx, &o));
    return make_scheme(graph, NULL, &o, out);
}

dfq_status dfqi_weight_group_of_options(const dfq_graph *graph, const dfq_quantize_options *options,
                                        int32_t *out)
{
    dfq_quantize_options o = defaults;
    dfqi_scheme scheme;
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    o.weight_bits = o.first_last_bits = 2;
    o.n_layers = 0;
    DFQI_TRY(dfqi_scheme_of_options(graph, &o, &scheme));
    *out = scheme.grids.weight_group;
    dfqi_scheme_fini(&scheme);
    return DFQ_OK;
}

/* images: NULL for a CNN whose ranges come later. */
static dfq_status quantize(const dfq_graph *graph, const dfqi_images *images,
                           const dfq_quantize_options *options, dfq_graph **out_graph)
{
    dfq_quantize_options o = defaults;
    pair nets = {.teacher = NULL};
    dfqi_scheme scheme = {0};
    dfq_status status;
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    if (graph->quantized)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "%s is already quantized; give the float network", graph->net.arch.name);
    DFQI_TRY(check(graph->ctx, &o));
    DFQI_GOTO(make_scheme(graph, images, &o, &scheme), out);
    DFQI_GOTO(pair_init(&graph->net, scheme.grids.rotation, &nets), out);
    if (images)
        DFQI_GOTO(dfqi_scheme_calibrate_from(&scheme, nets.teacher, &nets.student, images), out);
    status = dfqi_model_new(&nets.student, &scheme, out_graph);
out:
    dfqi_network_fini(&nets.student);
    dfqi_network_fini(&nets.rotated);
    dfqi_scheme_fini(&scheme);
    return status;
}

/* Copies n of the given images, spread over them. */
static dfq_status copy_given(const dfqi_images *given, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float *x;
        DFQI_TRY(dfqi_images_at(given, i * given->n / n, 1, &x));
        memcpy(out + i * given->pixels, x, (size_t)given->pixels * sizeof *x);
    }
    return DFQ_OK;
}

/* Behind n of the images given, which may be none, `drawn` images of dead leaves, on which weights
 * are rounded nearly as well as on pictures (docs/METHODS.md, Rounding of weights). */
static dfq_status draw_images(dfq_context *ctx, const dfqi_arch *a, const dfqi_images *given,
                              int64_t n, int32_t drawn, uint64_t seed, dfq_tensor **out)
{
    size_t floats = (size_t)(dfqi_leaves_scratch(a->image) * ctx->threads);
    int64_t dims[4] = {n + drawn, 3, a->image.height, a->image.width};
    dfq_tensor *all = NULL;
    float *scratch = dfqi_calloc(ctx, floats, sizeof *scratch);
    dfq_status status = DFQ_E_NOMEM;
    if (scratch) status = dfqi_tensor_new(ctx, DFQI_F32, 4, dims, &all);
    if (status == DFQ_OK && n > 0) status = copy_given(given, n, dfqi_tensor_f32(all));
    if (status == DFQ_OK)
        dfqi_leaves_draw(ctx, a, dfqi_rng_make(seed, DRAWN_STREAM), drawn, scratch,
                         dfqi_tensor_f32(all) + n * dfqi_arch_pixels(a));
    dfqi_free(ctx, scratch);
    if (status == DFQ_OK)
        *out = all;
    else
        dfqi_tensor_release(all);
    return status;
}

/* Weights are rounded on drawn images, together with those given. */
static dfq_status quantize_drawn(const dfq_graph *graph, const dfqi_images *given,
                                 const dfq_quantize_options *o, dfq_graph **out_graph)
{
    const dfqi_arch *a = &graph->net.arch;
    int64_t n = given && given->n > DFQI_GIVEN_IMAGES ? DFQI_GIVEN_IMAGES : given ? given->n : 0;
    dfq_tensor *all;
    DFQI_TRY(draw_images(graph->ctx, a, given, n, o->drawn_images, o->seed, &all));
    dfqi_images images = {
        .n = all->dims[0], .pixels = dfqi_arch_pixels(a), .memory = dfqi_tensor_f32(all)};
    dfq_status status = quantize(graph, &images, o, out_graph);
    dfqi_tensor_release(all);
    return status;
}

/* Scales of rows: the images given, or with `drawn_images` dead leaves beside them. */
static dfq_status quantize_with(const dfq_graph *graph, const dfqi_images *given,
                                const dfq_quantize_options *options, dfq_graph **out_graph)
{
    dfq_quantize_options o = defaults;
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    DFQI_TRY(check(graph->ctx, &o));
    return o.drawn_images > 0 && dfqi_has_row_scales(graph, &o)
               ? quantize_drawn(graph, given, &o, out_graph)
               : quantize(graph, given, options, out_graph);
}

/* Of a transformer: scales of rows need no images, so images that need no network round weights. */
static dfq_status quantize_without(const dfq_graph *graph, const dfq_quantize_options *options,
                                   dfq_graph **out_graph)
{
    dfq_quantize_options o = defaults;
    if (dfqi_arch_blocks(&graph->net.arch) == 0) return quantize(graph, NULL, options, out_graph);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    DFQI_TRY(check(graph->ctx, &o));
    if (o.drawn_images == 0) o.drawn_images = DFQ_DRAWN_IMAGES;
    if (!dfqi_has_row_scales(graph, &o))
        return dfqi_fail(graph->ctx, DFQ_E_INVALID,
                         "images are NULL, but static scales are found on images; give some, or "
                         "take mode improved with act_scale row");
    return quantize_drawn(graph, NULL, &o, out_graph);
}

dfq_status dfq_graph_quantize(const dfq_graph *graph, const dfq_tensor *images,
                              const dfq_quantize_options *options, dfq_graph **out_graph)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_graph);
    if (images == NULL) return quantize_without(graph, options, out_graph);
    DFQI_TRY(dfqi_model_check_images(graph, images, 0));
    dfqi_images all = {.n = images->dims[0],
                       .pixels = dfqi_tensor_count(images) / images->dims[0],
                       .memory = dfqi_tensor_f32(images)};
    return quantize_with(graph, &all, options, out_graph);
}

dfq_status dfq_graph_quantize_from(const dfq_graph *graph, dfq_image_set *set,
                                   const dfq_quantize_options *options, dfq_graph **out_graph)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, set);
    DFQI_NEED(graph->ctx, out_graph);
    if (set->ctx != graph->ctx)
        return dfqi_fail(
            graph->ctx, DFQ_E_INVALID,
            "image set and network belong to different contexts; create both with one");
    DFQI_TRY(dfqi_model_check_images(graph, &set->shape, 0));
    return quantize_with(graph, &set->images, options, out_graph);
}

dfq_status dfq_graph_get_quantizer(const dfq_graph *graph, int32_t i, dfq_quantizer_info *out_info)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_info);
    DFQI_TRY(dfqi_check_index(graph->ctx, "quantizer", i, graph->scheme.n_sites));
    const dfqi_site *site = &graph->scheme.sites[i];
    return dfqi_site_write(graph->ctx, site, site->name, out_info);
}

dfq_status dfq_graph_find_quantizer(const dfq_graph *graph, const char *name, int32_t *out_index)
{
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, out_index);
    return dfqi_model_find_site(graph, name, out_index);
}

dfq_status dfq_graph_get_quantizer_handle(const dfq_graph *graph, const char *name,
                                          dfq_quantizer **out_quantizer)
{
    int32_t i;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, out_quantizer);
    DFQI_TRY(dfqi_model_find_site(graph, name, &i));
    return dfqi_model_get_quantizer(graph, i, out_quantizer);
}

dfq_status dfq_graph_get_weight(const dfq_graph *graph, const char *name, dfq_tensor **out_weight)
{
    int32_t i;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, out_weight);
    DFQI_TRY(dfqi_model_find_site(graph, name, &i));
    return dfqi_model_get_codes(graph, i, NULL, out_weight);
}

dfq_status dfq_graph_get_codes(const dfq_graph *graph, const char *name, dfq_tensor **out_codes)
{
    int32_t i;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, name);
    DFQI_NEED(graph->ctx, out_codes);
    DFQI_TRY(dfqi_model_find_site(graph, name, &i));
    return dfqi_model_get_codes(graph, i, out_codes, NULL);
}
