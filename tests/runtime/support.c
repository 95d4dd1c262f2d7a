/* Networks, and runs of them. */
#include "runtime/cases.h"

dfq_runtime *dfqt_runtime(const dfq_graph *g, int64_t batch, int32_t n_probes,
                          const char *const *probes)
{
    dfq_runtime_options o;
    dfq_runtime *rt;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = batch;
    o.n_probes = n_probes;
    o.probes = probes;
    OK(g->ctx, dfq_runtime_create(g, &o, &rt));
    return rt;
}

void dfqt_run_images(dfq_runtime *rt, const dfq_tensor *images, int64_t first, int64_t n,
                     float *logits)
{
    dfq_runtime_info info = {.struct_size = sizeof info};
    dfq_runtime_input in;
    dfq_runtime_input_init(&in, sizeof in, rt);
    OK(images->ctx, dfq_runtime_get_info(rt, &info));
    in.pixels = DFQ_PIXELS_F32_NCHW;
    in.data =
        dfqi_tensor_f32(images) + first * info.channels * info.image_height * info.image_width;
    in.n = n;
    OK(images->ctx, dfq_runtime_run(rt, &in, logits, n * info.classes));
}

dfq_tensor *dfqt_forward(const dfq_graph *g, const dfq_tensor *images)
{
    dfq_tensor *z;
    OK(g->ctx, dfq_graph_forward(g, images, &z));
    return z;
}

static void make_wide(dfq_context *ctx, dfq_graph **out)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_wide",
        .image = {8, 8},
        .channels = 3,
        .classes = 3,
        .eps = 1e-5f,
        .std = {0.5f, 0.25f, 0.5f},
        .of.cnn = {
            .keys = DFQI_KEYS_AKAMASTER, .width = 40, .units = {2, 1}, .small = 1, .padded = 1}};
    dfqi_network net;
    OK(ctx, dfqi_network_new(ctx, &a, &net));
    dfqi_network_init(&net, 6);
    OK(ctx, dfqi_model_new(&net, NULL, out));
    dfqi_network_fini(&net);
}

/* A convolutional network on the grids of a mode. */
static dfq_graph *quantize_cnn(const dfq_graph *net, int32_t mode)
{
    dfq_tensor *x = dfqt_family_images(net, 4);
    dfq_quantize_options o;
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    o.mode = mode;
    OK(net->ctx, dfq_graph_quantize(net, x, &o, &low));
    dfq_tensor_release(x);
    return low;
}

dfq_graph *dfqt_network(dfq_context *ctx, int i)
{
    dfqi_mode mode = i == DFQT_LOW_PARITY ? DFQI_MODE_PARITY : DFQI_MODE_IMPROVED;
    const int groups = i >= DFQT_LOW_STATIC_GROUPS && i <= DFQT_LOW_ROW_GROUPS;
    const int rows = i == DFQT_LOW_ROW || (groups && i != DFQT_LOW_STATIC_GROUPS);
    dfqi_grids grids = {.act_scale = rows ? DFQI_ACT_SCALE_ROW : DFQI_ACT_SCALE_TENSOR,
                        .act_group = i == DFQT_LOW_ROW_GROUPS ? 16 : 0,
                        .weight_group = groups ? 16 : 0};
    dfq_graph *net, *low;
    if (i < DFQI_FAMILY_COUNT) return dfqt_family(ctx, i);
    if (i == DFQT_FLOAT_VIT_HEADS) return dfqt_family(ctx, DFQT_VIT_HEADS);
    if (i == DFQT_LOW_RESNET || i == DFQT_LOW_MBCONV) {
        net = dfqt_family(ctx, i == DFQT_LOW_RESNET ? DFQI_FAMILY_RESNET : DFQI_FAMILY_MBCONV);
        low = dfqt_family_low(net);
    } else if (i >= DFQT_LOW_SWIN) {
        net = dfqt_family(ctx, i == DFQT_LOW_SWIN ? DFQI_FAMILY_SWIN
                                                  : DFQT_VIT_HEADS + i - DFQT_LOW_VIT_HEADS);
        low = quantize_cnn(net, DFQ_MODE_IMPROVED);
    } else if (i == DFQT_LOW_WIDE || i == DFQT_LOW_RANGES) {
        make_wide(ctx, &net);
        low = quantize_cnn(net, i == DFQT_LOW_WIDE ? DFQ_MODE_IMPROVED : DFQ_MODE_PARITY);
    } else {
        OK(ctx, dfqt_teacher_with(ctx, groups ? 48 : 40, &net));
        OK(ctx, dfqt_quantize_with(net, mode, (dfqi_widths){4, 4, 0}, grids, &low));
    }
    dfqi_model_release(net);
    return low;
}

double dfqt_integer_share(int i)
{
    static const double share[DFQT_NETWORKS] = {
        [DFQT_LOW_RESNET] = 0.9,         [DFQT_LOW_MBCONV] = 0.85,
        [DFQT_LOW_WIDE] = 0.9,           [DFQT_LOW_RANGES] = 0.9,
        [DFQT_LOW_PARITY] = 0.65,        [DFQT_LOW_STATIC] = 0.65,
        [DFQT_LOW_STATIC_GROUPS] = 0.65, [DFQT_LOW_WEIGHT_GROUPS] = 0.85,
        [DFQT_LOW_ROW] = 0.85,           [DFQT_LOW_ROW_GROUPS] = 0.85,
        [DFQT_LOW_SWIN] = 0.8,           [DFQT_LOW_VIT_HEADS] = 0.8,
        [DFQT_LOW_VIT_MEAN] = 0.8,       [DFQT_LOW_VIT_NORMS] = 0.6};
    return share[i];
}

int dfqt_is_exact(int i)
{
    return i < DFQI_FAMILY_COUNT || i == DFQT_LOW_ROW || i >= DFQT_LOW_WEIGHT_GROUPS;
}
