/* ResNets (He et al., CVPR 2016): with three stages for small images, with four for ImageNet; wide
 * ones, ResNeXt (Xie et al., CVPR 2017), and ResNet-C and -D (He et al., CVPR 2019), whose stem is
 * three convolutions and whose shortcuts average. */
#include <math.h>
#include <stdio.h>

#include "graph/ops.h"
#include "nn/cnn.h"

enum { UNIT_NAME_MAX = 48 }; /* of a unit */

/* One residual unit. */
typedef struct unit {
    int32_t stage, index; /* from 0 */
    int64_t in, mid, out, stride;
    int32_t convs; /* on the residual path */
    int32_t moves; /* 1: the shortcut changes the shape */
} unit;

static unit unit_at(const dfqi_arch *a, int32_t stage, int32_t index)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    const int64_t planes = c->planes ? c->planes : c->width;
    unit u = {.stage = stage,
              .index = index,
              .mid = (c->inner ? c->inner : planes) << stage,
              .stride = 1,
              .convs = c->bottleneck ? 3 : 2};
    int64_t widen = c->bottleneck ? 4 : 1;
    u.out = u.in = (planes << stage) * widen;
    if (index == 0) {
        u.in = stage == 0 ? c->width : u.out / 2;
        u.stride = stage == 0 ? 1 : 2;
        u.moves = u.in != u.out;
    }
    return u;
}

/* "layer1.0"; returns text. */
static const char *unit_name(const dfqi_arch *a, const unit *u, char text[UNIT_NAME_MAX])
{
    if (a->of.cnn.keys == DFQI_KEYS_PYTORCHCV)
        snprintf(text, UNIT_NAME_MAX, "features.stage%d.unit%d", u->stage + 1, u->index + 1);
    else
        snprintf(text, UNIT_NAME_MAX, "layer%d.%d", u->stage + 1, u->index);
    return text;
}

static int32_t unit_layers(const dfqi_arch *a, const unit *u)
{
    return u->convs + (u->moves && !a->of.cnn.padded);
}

static int32_t stem_layers(const dfqi_arch *a)
{
    return a->of.cnn.deep[0] ? 3 : 1;
}

int32_t dfqi_resnet_norms(const dfqi_arch *a)
{
    int32_t n = stem_layers(a);
    for (int32_t s = 0; s < DFQI_STAGES; s++)
        for (int32_t i = 0; i < a->of.cnn.units[s]; i++) {
            unit u = unit_at(a, s, i);
            n += unit_layers(a, &u);
        }
    return n;
}

/* -- layers ------------------------------------------------------------------------------------ */

int32_t dfqi_resnet_stem(const dfqi_arch *a)
{
    if (a->of.cnn.stem) return a->of.cnn.stem;
    return a->of.cnn.small ? DFQ_STEM_STRIDE1 : DFQ_STEM_STRIDE2_POOL;
}

static int pools(const dfqi_arch *a)
{
    int32_t stem = dfqi_resnet_stem(a);
    return stem == DFQ_STEM_STRIDE1_POOL || stem == DFQ_STEM_STRIDE2_POOL;
}

/* Layer i of a stem of three; the last has the name of the norm of a stem of one. */
static void deep_stem(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *l)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    *l = (dfqi_cnn_layer){.in = i ? c->deep[i - 1] : a->channels,
                          .out = i < 2 ? c->deep[i] : c->width,
                          .kernel = 3,
                          .stride = i == 0 && dfqi_resnet_stem(a) >= DFQ_STEM_STRIDE2 ? 2 : 1};
    snprintf(l->conv, sizeof l->conv, "conv1.%d", (int)(3 * i));
    if (i < 2)
        snprintf(l->norm, sizeof l->norm, "conv1.%d", (int)(3 * i + 1));
    else
        snprintf(l->norm, sizeof l->norm, "bn1");
}

static void stem(const dfqi_arch *a, dfqi_cnn_layer *l)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    const char *block = c->small ? "features.init_block" : "features.init_block.conv";
    *l = (dfqi_cnn_layer){.in = a->channels,
                          .out = c->width,
                          .kernel = c->small ? 3 : 7,
                          .stride = dfqi_resnet_stem(a) >= DFQ_STEM_STRIDE2 ? 2 : 1};
    if (c->keys == DFQI_KEYS_PYTORCHCV) {
        snprintf(l->conv, sizeof l->conv, "%s.conv", block);
        snprintf(l->norm, sizeof l->norm, "%s.bn", block);
    } else {
        snprintf(l->conv, sizeof l->conv, "conv1");
        snprintf(l->norm, sizeof l->norm, "bn1");
    }
}

static void shortcut(const dfqi_arch *a, const unit *u, dfqi_cnn_layer *l)
{
    static const char *const names[3][2] = {
        [DFQI_KEYS_TORCHVISION] = {"downsample.0", "downsample.1"},
        [DFQI_KEYS_PYTORCHCV] = {"identity_conv.conv", "identity_conv.bn"},
        [DFQI_KEYS_AKAMASTER] = {"shortcut.0", "shortcut.1"}};
    char name[UNIT_NAME_MAX];
    *l = (dfqi_cnn_layer){.in = u->in, .out = u->out, .kernel = 1, .stride = u->stride};
    unit_name(a, u, name);
    if (a->of.cnn.averaged) { /* the average has the first number */
        l->stride = 1;
        snprintf(l->conv, sizeof l->conv, "%s.downsample.1", name);
        snprintf(l->norm, sizeof l->norm, "%s.downsample.2", name);
        return;
    }
    snprintf(l->conv, sizeof l->conv, "%s.%s", name, names[a->of.cnn.keys][0]);
    snprintf(l->norm, sizeof l->norm, "%s.%s", name, names[a->of.cnn.keys][1]);
}

/* Convolution k of the residual path. */
static void residual(const dfqi_arch *a, const unit *u, int32_t k, dfqi_cnn_layer *l)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    char name[UNIT_NAME_MAX];
    int32_t strided = c->bottleneck && !c->stride_first ? 1 : 0;
    *l = (dfqi_cnn_layer){.in = k == 0 ? u->in : u->mid,
                          .out = k + 1 == u->convs ? u->out : u->mid,
                          .kernel = c->bottleneck && k != 1 ? 1 : 3,
                          .stride = k == strided ? u->stride : 1,
                          .groups = c->bottleneck && k == 1 ? c->groups : 0};
    unit_name(a, u, name);
    if (c->keys == DFQI_KEYS_PYTORCHCV) {
        snprintf(l->conv, sizeof l->conv, "%s.body.conv%d.conv", name, k + 1);
        snprintf(l->norm, sizeof l->norm, "%s.body.conv%d.bn", name, k + 1);
    } else {
        snprintf(l->conv, sizeof l->conv, "%s.conv%d", name, k + 1);
        snprintf(l->norm, sizeof l->norm, "%s.bn%d", name, k + 1);
    }
}

void dfqi_resnet_layer(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out)
{
    if (i < stem_layers(a)) {
        if (a->of.cnn.deep[0])
            deep_stem(a, i, out);
        else
            stem(a, out);
        return;
    }
    i -= stem_layers(a);
    for (int32_t s = 0; s < DFQI_STAGES; s++)
        for (int32_t k = 0; k < a->of.cnn.units[s]; k++) {
            unit u = unit_at(a, s, k);
            int32_t n = unit_layers(a, &u);
            if (i < n) {
                if (i < u.convs)
                    residual(a, &u, i, out);
                else
                    shortcut(a, &u, out);
                return;
            }
            i -= n;
        }
}

void dfqi_resnet_head(const dfqi_arch *a, dfqi_cnn_head *out)
{
    static const char *const names[3] = {[DFQI_KEYS_TORCHVISION] = "fc",
                                         [DFQI_KEYS_PYTORCHCV] = "output",
                                         [DFQI_KEYS_AKAMASTER] = "linear"};
    int32_t last = DFQI_STAGES - 1;
    while (last > 0 && a->of.cnn.units[last] == 0) last--;
    *out = (dfqi_cnn_head){.in = unit_at(a, last, 0).out, .bias = 1};
    snprintf(out->name, sizeof out->name, "%s", names[a->of.cnn.keys]);
}

/* -- forward ----------------------------------------------------------------------------------- */

static dfqi_id unit_forward(dfqi_cnn_pass *p, const unit *u, dfqi_id x)
{
    char name[DFQI_LAYER_MAX], of[UNIT_NAME_MAX];
    dfqi_id y = dfqi_cnn_conv(p, x);
    for (int32_t k = 1; k < u->convs; k++) y = dfqi_cnn_conv(p, dfqi_cnn_relu(p, y, INFINITY));
    if (u->moves && p->a->of.cnn.padded) {
        int64_t more = u->out - u->in;
        x = dfqi_subsample_pad(p->g, x, u->stride, more / 2, more - more / 2);
    } else if (u->moves) {
        if (p->a->of.cnn.averaged && u->stride > 1)
            x = dfqi_avg_pool(p->g, x, &(dfqi_pool_attr){.size = 2, .stride = 2, .more = 1});
        x = dfqi_cnn_conv(p, x);
    }
    snprintf(name, sizeof name, "%s.relu", unit_name(p->a, u, of));
    x = dfqi_relu(p->g, name, dfqi_add(p->g, y, x), INFINITY);
    dfqi_graph_probe(p->g, x, "%s", of);
    return x;
}

void dfqi_resnet_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                         dfqi_taps *taps)
{
    dfqi_cnn_pass p = {.a = a, .g = g, .params = params, .taps = taps};
    x = dfqi_channels_last(g, x);
    for (int32_t i = 0; i < stem_layers(a); i++)
        x = dfqi_cnn_relu(&p, dfqi_cnn_conv(&p, x), INFINITY);
    if (pools(a)) x = dfqi_max_pool(g, x, &(dfqi_pool_attr){.size = 3, .stride = 2, .pad = 1});
    for (int32_t s = 0; s < DFQI_STAGES; s++)
        for (int32_t i = 0; i < a->of.cnn.units[s]; i++) {
            unit u = unit_at(a, s, i);
            x = unit_forward(&p, &u, x);
        }
    taps->logits = dfqi_cnn_classify(&p, x);
}
