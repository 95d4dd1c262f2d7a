/* Functions of dfq/runtime.h. */
#include <dfq/runtime.h>

#include "api/api.h"
#include "exchange/import.h"
#include "api/handles.h"
#include "base/check.h"
#include "runtime/runtime.h"
#include "tensor/dlpack.h"

static const dfq_runtime_options defaults = {.batch = 1};

void dfq_runtime_options_init(dfq_runtime_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

dfq_status dfq_runtime_create(const dfq_graph *graph, const dfq_runtime_options *options,
                              dfq_runtime **out_runtime)
{
    dfq_runtime_options o = defaults;
    if (graph == NULL) return DFQ_E_INVALID;
    DFQI_NEED(graph->ctx, out_runtime);
    DFQI_TRY(dfqi_options_read(graph->ctx, "dfq_runtime_options", options, &o, sizeof o));
    return dfqi_runtime_new(graph, &o, out_runtime);
}

dfq_status dfq_runtime_load(dfq_context *context, const char *path, const dfq_load_options *load,
                            const dfq_runtime_options *options, dfq_runtime **out_runtime)
{
    dfq_load_options l = {.struct_size = sizeof l};
    dfq_runtime_options o = defaults;
    dfqi_model *m;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, path);
    DFQI_NEED(context, out_runtime);
    DFQI_TRY(dfqi_options_read(context, "dfq_load_options", load, &l, sizeof l));
    DFQI_TRY(dfqi_options_read(context, "dfq_runtime_options", options, &o, sizeof o));
    DFQI_TRY(dfqi_import_is_onnx(path) ? dfqi_import_load(context, path, &l, &m)
                                       : dfqi_model_load_lazily(context, path, &l, &m));
    DFQI_TRY(dfqi_graph_named(m, l.class_names, &m));
    dfq_status status = dfqi_runtime_new(m, &o, out_runtime);
    dfqi_model_release(m);
    dfqi_context_trim(context);
    return status;
}

dfq_status dfq_runtime_clone(const dfq_runtime *runtime, dfq_context *context,
                             dfq_runtime **out_runtime)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, runtime);
    DFQI_NEED(context, out_runtime);
    return dfqi_runtime_clone(runtime, context, out_runtime);
}

void dfq_runtime_release(dfq_runtime *runtime)
{
    dfqi_runtime_free(runtime);
}

dfq_status dfq_runtime_get_info(const dfq_runtime *runtime, dfq_runtime_info *out_info)
{
    dfq_runtime_info info;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, out_info);
    dfqi_runtime_info(runtime, &info);
    return dfqi_info_write(ctx, "dfq_runtime_info", &info, sizeof info, out_info);
}

const char *dfq_runtime_get_class_name(const dfq_runtime *runtime, int64_t i)
{
    const dfqi_class_names *names = runtime != NULL ? dfqi_runtime_names(runtime) : NULL;
    if (names == NULL || i < 0 || i >= dfqi_class_names_count(names)) return "";
    return dfqi_class_names_get(names, i);
}

/* -- runs -------------------------------------------------------------------------------------- */

void dfq_runtime_input_init(dfq_runtime_input *input, size_t size, const dfq_runtime *runtime)
{
    dfq_runtime_info info;
    dfq_runtime_input own = {.pixels = DFQ_PIXELS_U8_NHWC, .n = 1};
    if (runtime != NULL) {
        dfqi_runtime_info(runtime, &info);
        own.height = info.image_height;
        own.width = info.image_width;
        own.channels = info.channels;
    }
    dfqi_options_init(input, size, &own, sizeof own);
}

/* The sizes of images and the room for logits. */
static dfq_status check_sizes(const dfq_runtime *rt, int64_t n, int64_t channels, int64_t height,
                              int64_t width, const float *logits, int64_t capacity)
{
    dfq_context *ctx = dfqi_runtime_context(rt);
    dfq_runtime_info info;
    dfqi_runtime_info(rt, &info);
    if (channels != info.channels || height != info.image_height || width != info.image_width)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "run: images have %lld channels and %lld x %lld pixels, must have %lld "
                         "and %lld x %lld; resize them",
                         (long long)channels, (long long)height, (long long)width,
                         (long long)info.channels, (long long)info.image_height,
                         (long long)info.image_width);
    if (logits && n > 0 && n <= info.batch && capacity < n * info.classes)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "run: out_logits has room for %lld floats, must have %lld for %lld images",
                         (long long)capacity, (long long)(n * info.classes), (long long)n);
    return DFQ_OK;
}

dfq_status dfq_runtime_run(dfq_runtime *runtime, const dfq_runtime_input *input, float *out_logits,
                           int64_t capacity)
{
    dfq_runtime_input in = {.pixels = DFQ_PIXELS_U8_NHWC};
    dfqi_pixels x;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, input);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_runtime_input", input, &in, sizeof in));
    DFQI_TRY(
        dfqi_check_whole(ctx, "run", "pixels", in.pixels, DFQ_PIXELS_U8_NHWC, DFQ_PIXELS_F32_NHWC));
    if (in.data == NULL) return dfqi_fail(ctx, DFQ_E_INVALID, "run: data is NULL");
    DFQI_TRY(check_sizes(runtime, in.n, in.channels, in.height, in.width, out_logits, capacity));
    dfqi_pixels_init(runtime, in.pixels, in.data, in.n, &x);
    return dfqi_runtime_run(runtime, &x, out_logits);
}

dfq_status dfq_runtime_run_dlpack(dfq_runtime *runtime,
                                  const struct DLManagedTensorVersioned *images,
                                  int32_t channels_last, float *out_logits, int64_t capacity)
{
    static const int32_t first_axes[4] = {0, 1, 2, 3}, last_axes[4] = {0, 3, 1, 2};
    const int32_t *axes = channels_last ? last_axes : first_axes;
    dfqi_dl_view v;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, images);
    DFQI_TRY(dfqi_dlpack_view(ctx, images, &v));
    if (v.rank != 4)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "run: the DLPack tensor has rank %d, must have 4",
                         (int)v.rank);
    if (v.dtype != DFQI_F32 && v.dtype != DFQI_U8)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "run: the DLPack tensor has elements of type %s, must have U8 or F32",
                         dfqi_dtype_name(v.dtype));
    DFQI_TRY(check_sizes(runtime, v.dims[0], v.dims[axes[1]], v.dims[axes[2]], v.dims[axes[3]],
                         out_logits, capacity));
    dfqi_pixels x = {.data = v.data, .bytes = v.dtype == DFQI_U8, .n = v.dims[0]};
    for (int i = 0; i < 4; i++) x.stride[i] = v.strides[axes[i]];
    return dfqi_runtime_run(runtime, &x, out_logits);
}

int32_t dfq_runtime_get_output_count(const dfq_runtime *runtime)
{
    return runtime != NULL ? dfqi_runtime_outputs(runtime) : 0;
}

dfq_status dfq_runtime_get_output(const dfq_runtime *runtime, int32_t i,
                                  dfq_runtime_output *out_output)
{
    dfq_runtime_output out;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, out_output);
    DFQI_TRY(dfqi_check_index(ctx, "output", i, dfqi_runtime_outputs(runtime)));
    dfqi_runtime_output(runtime, i, &out);
    return dfqi_info_write(ctx, "dfq_runtime_output", &out, sizeof out, out_output);
}

int32_t dfq_runtime_get_part_count(const dfq_runtime *runtime)
{
    return runtime != NULL ? dfqi_runtime_parts(runtime) : 0;
}

dfq_status dfq_runtime_get_part(const dfq_runtime *runtime, int32_t i, dfq_runtime_part *out_part)
{
    dfq_runtime_part part;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, out_part);
    DFQI_TRY(dfqi_check_index(ctx, "part", i, dfqi_runtime_parts(runtime)));
    dfqi_runtime_part(runtime, i, &part);
    return dfqi_info_write(ctx, "dfq_runtime_part", &part, sizeof part, out_part);
}

dfq_status dfq_runtime_measure_peak(dfq_runtime *runtime, double *out_float, double *out_integer)
{
    if (runtime == NULL) return DFQ_E_INVALID;
    DFQI_NEED(dfqi_runtime_context(runtime), out_float);
    DFQI_NEED(dfqi_runtime_context(runtime), out_integer);
    dfqi_runtime_peak(runtime, out_float, out_integer);
    return DFQ_OK;
}

dfq_status dfq_runtime_evaluate(dfq_runtime *runtime, const dfq_dataset *dataset, int64_t first,
                                int64_t n, dfq_accuracy *out_accuracy)
{
    dfqi_accuracy acc;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, dataset);
    DFQI_NEED(ctx, out_accuracy);
    if (n == 0 && first >= 0) n = dfqi_dataset_count(dataset->d) - first;
    DFQI_TRY(dfqi_dataset_range(dataset, first, n));
    DFQI_TRY(dfqi_runtime_evaluate(runtime, dataset->d, first, n, &acc));
    dfq_accuracy out = {
        .n = acc.n, .correct = acc.correct, .correct5 = acc.correct5, .not_finite = acc.not_finite};
    return dfqi_info_write(ctx, "dfq_accuracy", &out, sizeof out, out_accuracy);
}

dfq_status dfq_runtime_read_picture(const dfq_runtime *runtime, const char *path,
                                    uint8_t *out_pixels, size_t capacity)
{
    dfq_runtime_info info;
    if (runtime == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = dfqi_runtime_context(runtime);
    DFQI_NEED(ctx, path);
    DFQI_NEED(ctx, out_pixels);
    dfqi_runtime_info(runtime, &info);
    size_t need = (size_t)(info.image_height * info.image_width * 3);
    if (capacity < need)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "%s: out_pixels has room for %zu bytes, must have %zu",
                         path, capacity, need);
    return dfqi_runtime_picture(runtime, path, out_pixels);
}
