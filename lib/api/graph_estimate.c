/* Functions of dfq/graph.h: cost estimates of calibration and evaluation. */
#include <dfq/dataset.h>
#include <dfq/graph.h>
#include <dfq/quantizer.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "base/memory.h"
#include "quant/estimate.h"

static dfq_status write_cost(dfq_context *ctx, const dfqi_cost *c, int64_t n, dfq_job_cost *out)
{
    const dfq_job_cost cost = {.bytes = dfqi_count_i64(c->bytes),
                               .macs = dfqi_count_i64(c->macs),
                               .seconds_left = c->seconds,
                               .units = n};
    return dfqi_info_write(ctx, "dfq_job_cost", &cost, sizeof cost, out);
}

static dfq_status run(const dfqi_model *m, const dfq_tensor *images, void *user)
{
    dfq_graph *made = NULL;
    dfq_status status = dfq_graph_quantize(m, images, user, &made);
    dfq_graph_release(made);
    return status;
}

/* Drawn images join those that are given, in a copy of both; the measurement goes without them. */
static int64_t take_drawn(const dfq_graph *graph, int64_t n_images, dfq_quantize_options *o,
                          double *out_bytes)
{
    const int64_t drawn = o->drawn_images;
    *out_bytes = 0;
    o->drawn_images = 0;
    if (drawn <= 0 || !dfqi_has_row_scales(graph, o)) return n_images;
    int64_t n = drawn + (n_images < DFQI_GIVEN_IMAGES ? n_images : DFQI_GIVEN_IMAGES);
    *out_bytes = (double)sizeof(float) * (double)n * (double)dfqi_arch_pixels(&graph->net.arch);
    return n;
}

dfq_status dfq_graph_quantize_estimate(const dfq_graph *graph, int64_t n_images,
                                       const dfq_quantize_options *options, dfq_job_cost *out_cost)
{
    dfq_quantize_options o;
    dfqi_cost c;
    double copy;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_cost);
    if (n_images < 1)
        return dfqi_fail(graph->ctx, DFQ_E_INVALID, "n_images is %lld, must be 1 or more",
                         (long long)n_images);
    dfq_quantize_options_init(&o, sizeof o);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_quantize_options", options, &o, sizeof o));
    int vit = !dfqi_arch_is_cnn(&graph->net.arch), follows = o.act_grid == DFQ_ACT_GRID_MINMAX;
    const int32_t walking = DFQ_ROUNDING_RIDGE | DFQ_ROUNDING_GPTQ | DFQ_ROUNDING_BIAS;
    int rows = dfqi_has_row_scales(graph, &o);
    int64_t rounded = take_drawn(graph, n_images, &o, &copy);
    const dfqi_quantize_job job = {
        .run = run,
        .user = &o,
        .parity = vit && o.mode == DFQ_MODE_PARITY && !follows,
        .sweeps = vit && o.mode == DFQ_MODE_IMPROVED,
        .samples = !vit && o.mode == DFQ_MODE_IMPROVED && !follows,
        .rotated = (rows && o.rotate == DFQ_ROTATE_AUTO) || o.rotate == DFQ_ROTATE_ON,
        .rows = rows,
        .walks = o.rounding == DFQ_ROUNDING_AUTO || (o.rounding & walking) != 0};
    DFQI_TRY(dfqi_quantize_estimate(graph, rounded, &job, &c));
    c.bytes += copy;
    return write_cost(graph->ctx, &c, n_images, out_cost);
}

dfq_status dfq_graph_evaluate_estimate(const dfq_graph *graph, const dfq_dataset *dataset,
                                       int64_t first, int64_t n, dfq_job_cost *out_cost)
{
    dfqi_cost c;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, dataset);
    DFQI_NEED(graph->ctx, out_cost);
    int64_t count = dfqi_dataset_count(dataset->d);
    if (n == 0) n = count - first;
    DFQI_TRY(dfqi_check_span(graph->ctx, "images of the data set", first, n, 1, count));
    DFQI_TRY(dfqi_evaluate_estimate(graph, dataset->d, first, n, &c));
    return write_cost(graph->ctx, &c, n, out_cost);
}
