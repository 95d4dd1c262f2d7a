/* The functions of dfq/sensitivity.h. */
#include <dfq/sensitivity.h>

#include <dfq/graph.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/handles.h"
#include "api/sensitivity_priv.h"
#include "base/memory.h"
#include "base/progress.h"
#include "bits/sensitivity_file.h"
#include "kernel/weight_groups.h"
#include "nn/rotate.h"
#include "quant/fold_batchnorm.h"
#include "synth/leaves.h"

enum { MEASURED_STREAM = 0x62697473 }; /* of drawn images: others than weights are rounded on */

static const dfq_sensitivity_options defaults = {.images = 32};

void dfq_sensitivity_options_init(dfq_sensitivity_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check(const dfq_graph *graph, const dfq_tensor *images,
                        const dfq_quantize_options *q, const dfq_sensitivity_options *o)
{
    dfq_context *ctx = graph->ctx;
    const char *name = graph->net.arch.name;
    if (graph->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s is already quantized; give the float network",
                         name);
    if (dfqi_arch_blocks(&graph->net.arch) == 0 && !dfqi_arch_is_cnn(&graph->net.arch))
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s has neither attention heads nor BatchNorms, and bits of layers are "
                         "chosen for vision transformers and convolutional networks; give the "
                         "bits of layers by hand",
                         name);
    if ((dfqi_arch_is_cnn(&graph->net.arch) || q->act_scale == DFQ_ACT_SCALE_TENSOR) &&
        images == NULL)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "images is NULL, and the scales of %s are found on images; give some",
                         name);
    DFQI_TRY(dfqi_arch_need_classes(ctx, &graph->net.arch, "a choice of bits"));
    if (o->images < 1 || o->images > 4096)
        return dfqi_fail(ctx, DFQ_E_INVALID, "images is %d, must be 1 to 4096", o->images);
    if (q->mode != DFQ_MODE_IMPROVED)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "mode is %d, bits of layers are chosen in mode 1 "
                         "(improved)",
                         q->mode);
    if (q->n_layers != 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "n_layers is %d, must be 0: the bits of all layers are chosen",
                         q->n_layers);
    return images ? dfqi_model_check_images(graph, images, 0) : DFQ_OK;
}

/* The first of those given, or drawn ones. */
static dfq_status take_images(dfq_sensitivity *s, const dfq_sensitivity_options *o)
{
    const dfqi_arch *a = &s->graph->net.arch;
    dfq_context *ctx = s->graph->ctx;
    int64_t n = o->images, pixels = dfqi_arch_pixels(a);
    if (s->given && s->given->dims[0] < n) n = s->given->dims[0];
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 4,
                             (int64_t[]){n, a->channels, a->image.height, a->image.width},
                             &s->images));
    if (s->given) {
        memcpy(dfqi_tensor_f32(s->images), dfqi_tensor_f32(s->given),
               (size_t)(n * pixels) * sizeof(float));
        return DFQ_OK;
    }
    size_t floats = (size_t)(dfqi_leaves_scratch(a->image) * ctx->threads);
    float *scratch = dfqi_calloc(ctx, floats, sizeof *scratch);
    if (!scratch) return DFQ_E_NOMEM;
    dfqi_leaves_draw(ctx, a, dfqi_rng_make(o->seed, MEASURED_STREAM), n, scratch,
                     dfqi_tensor_f32(s->images));
    dfqi_free(ctx, scratch);
    return DFQ_OK;
}

static dfq_status take_table(dfq_sensitivity *s)
{
    dfqi_scheme scheme = {0};
    DFQI_TRY(dfqi_scheme_of_options(s->graph, &s->quantize, &scheme));
    s->quantize.act_group = scheme.grids.act_group; /* the same at all widths */
    dfq_status status = dfqi_bits_new(s->graph, &scheme, scheme.grids.weight_group, &s->table);
    if (status == DFQ_OK) status = dfqi_network_clone(&s->graph->net, &s->basis);
    if (status == DFQ_OK && scheme.grids.rotation)
        status = dfqi_network_rotate(&s->basis, scheme.grids.rotation);
    if (status == DFQ_OK && dfqi_arch_is_cnn(&s->graph->net.arch)) dfqi_fold_batchnorm(&s->basis);
    dfqi_scheme_fini(&scheme);
    return status;
}

static dfq_status begin(dfq_sensitivity *s)
{
    const dfqi_mixed m = {.ctx = s->graph->ctx,
                          .base = &s->basis,
                          .table = s->table,
                          .n = s->images->dims[0],
                          .images = dfqi_tensor_f32(s->images)};
    return dfqi_sensitivity_init(&m, &s->core);
}

dfq_status dfq_sensitivity_create(const dfq_graph *graph, const dfq_tensor *images,
                                  const dfq_quantize_options *quantize,
                                  const dfq_sensitivity_options *options,
                                  dfq_sensitivity **out_sensitivity)
{
    dfq_sensitivity_options o = defaults;
    dfq_quantize_options q;
    if (graph == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = graph->ctx;
    DFQI_NEED(ctx, out_sensitivity);
    dfq_quantize_options_init(&q, sizeof q);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_quantize_options", quantize, &q, sizeof q));
    DFQI_TRY(dfqi_options_read(ctx, "dfq_sensitivity_options", options, &o, sizeof o));
    DFQI_TRY(check(graph, images, &q, &o));
    dfq_sensitivity *s = dfqi_calloc(ctx, 1, sizeof *s);
    if (s == NULL) return DFQ_E_NOMEM;
    s->graph = dfqi_model_retain(graph);
    s->given = images ? dfqi_tensor_retain(images) : NULL;
    s->quantize = q;
    /* any width will do; at the least one weights have the groups that they may have */
    s->quantize.weight_bits = s->quantize.first_last_bits = DFQI_BITS_MIN;
    dfq_status status = take_table(s);
    if (status == DFQ_OK) status = take_images(s, &o);
    if (status == DFQ_OK) status = begin(s);
    if (status == DFQ_OK)
        *out_sensitivity = s;
    else
        dfq_sensitivity_release(s);
    return status;
}

void dfq_sensitivity_release(dfq_sensitivity *s)
{
    if (s == NULL) return;
    dfqi_model *graph = s->graph;
    dfqi_sensitivity_forget_costs(s);
    dfqi_sensitivity_fini(&s->core);
    for (int32_t b = 0; b <= DFQI_BITS_MAX; b++) dfqi_model_release(s->forms[b]);
    dfqi_network_fini(&s->basis);
    dfqi_bits_free(s->table);
    dfqi_tensor_release(s->images);
    dfqi_tensor_release(s->given);
    dfqi_free(graph->ctx, s);
    dfqi_model_release(graph);
}

/* -- work -------------------------------------------------------------------------------------- */

/* The network with all weights and activations of one width: weights are rounded behind activations
 * that are as narrow, which corrects them for what these lose. */
static dfq_status make_form(dfq_sensitivity *s)
{
    int32_t bits = DFQI_BITS_MIN + s->n_forms;
    dfq_quantize_options q = s->quantize;
    q.weight_bits = q.first_last_bits = q.act_bits = bits;
    if (bits > DFQI_GROUP_BITS) q.weight_group = 0;
    DFQI_TRY(dfq_graph_quantize(s->graph, s->given, &q, &s->forms[bits]));
    s->n_forms++;
    return DFQ_OK;
}

/* The forms, if they are not there yet, and the float network's probabilities. */
dfq_status dfqi_sensitivity_prepare(dfq_sensitivity *s)
{
    while (s->n_forms < DFQI_BITS_WIDTHS) DFQI_TRY(make_form(s));
    if (s->ready) return DFQ_OK;
    for (int32_t b = DFQI_BITS_MIN; b <= DFQI_BITS_MAX; b++) s->core.mixed.forms[b] = s->forms[b];
    DFQI_TRY(dfqi_mixed_init(&s->core.mixed));
    s->ready = true;
    return DFQ_OK;
}

static dfq_status step(dfq_sensitivity *s)
{
    if (dfqi_sensitivity_is_finished(s)) return DFQ_OK;
    if (s->n_forms < DFQI_BITS_WIDTHS) return make_form(s);
    DFQI_TRY(dfqi_sensitivity_prepare(s));
    return dfqi_sensitivity_step(&s->core);
}

dfq_status dfq_sensitivity_step(dfq_sensitivity *sensitivity, int32_t *out_finished)
{
    if (sensitivity == NULL) return DFQ_E_INVALID;
    DFQI_NEED(sensitivity->graph->ctx, out_finished);
    DFQI_TRY(step(sensitivity));
    *out_finished = dfqi_sensitivity_is_finished(sensitivity);
    return DFQ_OK;
}

dfq_status dfq_sensitivity_run(dfq_sensitivity *sensitivity)
{
    dfq_sensitivity *s = sensitivity;
    if (s == NULL) return DFQ_E_INVALID;
    uint64_t all = DFQI_BITS_WIDTHS + (uint64_t)s->table->n;
    uint64_t done = (uint64_t)s->n_forms + (uint64_t)s->core.done;
    dfqi_stage stage = dfqi_stage_begin(s->graph->ctx, "sensitivity", done, all);
    while (!dfqi_sensitivity_is_finished(s)) {
        DFQI_TRY(step(s));
        done = (uint64_t)s->n_forms + (uint64_t)s->core.done;
        DFQI_TRY(dfqi_stage_report(&stage, done, (double)NAN));
    }
    return DFQ_OK;
}

dfq_status dfqi_sensitivity_take(const dfq_sensitivity *s, const dfq_bits *bits, dfqi_pair *out)
{
    const dfqi_bits *own = s->table;
    bool same = bits->n == own->n;
    for (int32_t i = 0; same && i < own->n; i++)
        same = strcmp(bits->rows[i].name, own->rows[i].name) == 0;
    if (!same)
        return dfqi_fail(s->graph->ctx, DFQ_E_INVALID,
                         "the table of bits is of %s, and the job of %s with other layers",
                         bits->network, own->network);
    for (int32_t i = 0; i < own->n; i++)
        out[i] = (dfqi_pair){bits->rows[i].weight_bits, bits->rows[i].act_bits};
    return DFQ_OK;
}

/* What decides how layers are quantized. */
static void options_text(const dfq_sensitivity *s, char *out, size_t cap)
{
    const dfq_quantize_options *q = &s->quantize;
    snprintf(out, cap,
             "rotate %d act_scale %d groups %d %d rounding %d drawn %d seed %" PRIu64 " given %d",
             q->rotate, q->act_scale, q->act_group, q->weight_group, q->rounding, q->drawn_images,
             q->seed, s->given != NULL);
}

dfq_status dfq_sensitivity_save_checkpoint(dfq_sensitivity *sensitivity, const char *path)
{
    char text[256];
    if (sensitivity == NULL) return DFQ_E_INVALID;
    DFQI_NEED(sensitivity->graph->ctx, path);
    options_text(sensitivity, text, sizeof text);
    return dfqi_sensitivity_save(&sensitivity->core, text, path);
}

dfq_status dfq_sensitivity_load_checkpoint(dfq_sensitivity *sensitivity, const char *path)
{
    char text[256];
    if (sensitivity == NULL) return DFQ_E_INVALID;
    DFQI_NEED(sensitivity->graph->ctx, path);
    options_text(sensitivity, text, sizeof text);
    return dfqi_sensitivity_load(&sensitivity->core, text, path);
}

/* -- results ----------------------------------------------------------------------------------- */

dfq_status dfq_sensitivity_get_damages(const dfq_sensitivity *sensitivity, dfq_tensor **out_damages)
{
    dfq_tensor *t;
    if (sensitivity == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = sensitivity->graph->ctx;
    DFQI_NEED(ctx, out_damages);
    const int32_t n = sensitivity->table->n;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 3, (int64_t[]){n, 2, DFQI_BITS_WIDTHS}, &t));
    float *out = dfqi_tensor_f32(t);
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < DFQI_BITS_WIDTHS; k++) {
            const dfqi_damage *d = &sensitivity->core.damages[i];
            out[(2 * i) * DFQI_BITS_WIDTHS + k] = (float)d->w[k];
            out[(2 * i + 1) * DFQI_BITS_WIDTHS + k] = (float)d->a[k];
        }
    *out_damages = t;
    return DFQ_OK;
}

dfq_status dfq_sensitivity_evaluate(dfq_sensitivity *sensitivity, const dfq_bits *bits,
                                    double *out_predicted, double *out_measured)
{
    double kl = 0;
    if (sensitivity == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = sensitivity->graph->ctx;
    DFQI_NEED(ctx, bits);
    dfqi_pair *widths = dfqi_calloc(ctx, (size_t)sensitivity->table->n, sizeof *widths);
    if (!widths) return DFQ_E_NOMEM;
    dfq_status status = dfqi_sensitivity_take(sensitivity, bits, widths);
    if (status == DFQ_OK && out_measured) status = dfqi_sensitivity_prepare(sensitivity);
    if (status == DFQ_OK && out_measured)
        status = dfqi_mixed_kl(&sensitivity->core.mixed, widths, NULL, &kl);
    if (status == DFQ_OK && out_measured) *out_measured = kl;
    if (status == DFQ_OK && out_predicted)
        *out_predicted = dfqi_sensitivity_is_finished(sensitivity)
                             ? dfqi_sensitivity_predict(&sensitivity->core, widths)
                             : (double)NAN;
    dfqi_free(ctx, widths);
    return status;
}
