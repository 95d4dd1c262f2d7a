/* MobileNetV2 of width 1 (Sandler et al., CVPR 2018), in the forms of torchvision and pytorchcv.
 * pytorchcv's first unit has an expanding convolution with factor 1, and its classifier is a 1x1
 * convolution without bias. */
#include <stdio.h>

#include "graph/ops.h"
#include "nn/cnn.h"

enum { WIDTH = 32, UNITS = 17, FEATURES = 1280, ROWS = 7 };

/* Units of equal width; the first of them has the stride. */
static const struct row {
    int8_t stage;  /* in pytorchcv's names */
    int8_t before; /* units of that stage in the rows above */
    int8_t expand, units, stride;
    int16_t out;
} rows[ROWS] = {{1, 0, 1, 1, 1, 16}, {2, 0, 6, 2, 2, 24},  {3, 0, 6, 3, 2, 32}, {4, 0, 6, 4, 2, 64},
                {4, 4, 6, 3, 1, 96}, {5, 0, 6, 3, 2, 160}, {5, 3, 6, 1, 1, 320}};

/* One inverted residual: 1x1, depthwise 3x3, 1x1. */
typedef struct unit {
    char name[DFQI_LAYER_MAX / 2];
    int64_t in, mid, out, stride;
    int32_t convs; /* 3, or 2 without the first */
} unit;

static unit unit_at(const dfqi_arch *a, int32_t index)
{
    const struct row *r = rows;
    unit u = {.in = WIDTH};
    int32_t i = index;
    for (; i >= r->units; r++) {
        i -= r->units;
        u.in = r->out;
    }
    if (i > 0) u.in = r->out;
    u.out = r->out;
    u.mid = u.in * r->expand;
    u.stride = i == 0 ? r->stride : 1;
    u.convs = r->expand > 1 || a->of.cnn.keys == DFQI_KEYS_PYTORCHCV ? 3 : 2;
    if (a->of.cnn.keys == DFQI_KEYS_PYTORCHCV)
        snprintf(u.name, sizeof u.name, "features.stage%d.unit%d", r->stage, r->before + i + 1);
    else
        snprintf(u.name, sizeof u.name, "features.%d", index + 1);
    return u;
}

int32_t dfqi_mobilenet_norms(const dfqi_arch *a)
{
    int32_t n = 2;
    for (int32_t i = 0; i < UNITS; i++) n += unit_at(a, i).convs;
    return n;
}

/* -- layers ------------------------------------------------------------------------------------ */

/* Convolution k of a unit. */
static void unit_layer(const dfqi_arch *a, const unit *u, int32_t k, dfqi_cnn_layer *l)
{
    int32_t left = u->convs - k; /* 3 expands, 2 is depthwise, 1 projects */
    *l = (dfqi_cnn_layer){.in = left == 3 ? u->in : u->mid,
                          .out = left == 1 ? u->out : u->mid,
                          .kernel = left == 2 ? 3 : 1,
                          .stride = left == 2 ? u->stride : 1,
                          .depthwise = left == 2};
    if (a->of.cnn.keys == DFQI_KEYS_PYTORCHCV) {
        snprintf(l->conv, sizeof l->conv, "%s.conv%d.conv", u->name, k + 1);
        snprintf(l->norm, sizeof l->norm, "%s.conv%d.bn", u->name, k + 1);
    } else if (left > 1) {
        snprintf(l->conv, sizeof l->conv, "%s.conv.%d.0", u->name, k);
        snprintf(l->norm, sizeof l->norm, "%s.conv.%d.1", u->name, k);
    } else { /* no activation follows, so it has no group of its own */
        snprintf(l->conv, sizeof l->conv, "%s.conv.%d", u->name, k);
        snprintf(l->norm, sizeof l->norm, "%s.conv.%d", u->name, k + 1);
    }
}

/* The first layer and the one after the units. */
static void end_layer(const dfqi_arch *a, int32_t last, dfqi_cnn_layer *l)
{
    *l = (dfqi_cnn_layer){.in = last ? rows[ROWS - 1].out : a->channels,
                          .out = last ? FEATURES : WIDTH,
                          .kernel = last ? 1 : 3,
                          .stride = last ? 1 : 2};
    if (a->of.cnn.keys == DFQI_KEYS_PYTORCHCV) {
        const char *block = last ? "final_block" : "init_block";
        snprintf(l->conv, sizeof l->conv, "features.%s.conv", block);
        snprintf(l->norm, sizeof l->norm, "features.%s.bn", block);
    } else {
        snprintf(l->conv, sizeof l->conv, "features.%d.0", last ? UNITS + 1 : 0);
        snprintf(l->norm, sizeof l->norm, "features.%d.1", last ? UNITS + 1 : 0);
    }
}

void dfqi_mobilenet_layer(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out)
{
    if (i-- == 0) {
        end_layer(a, 0, out);
        return;
    }
    for (int32_t k = 0; k < UNITS; k++) {
        unit u = unit_at(a, k);
        if (i < u.convs) {
            unit_layer(a, &u, i, out);
            return;
        }
        i -= u.convs;
    }
    end_layer(a, 1, out);
}

void dfqi_mobilenet_head(const dfqi_arch *a, dfqi_cnn_head *out)
{
    int32_t conv = a->of.cnn.keys == DFQI_KEYS_PYTORCHCV;
    *out = (dfqi_cnn_head){.in = FEATURES, .conv = conv, .bias = !conv};
    snprintf(out->name, sizeof out->name, "%s", conv ? "output" : "classifier.1");
}

/* -- forward ----------------------------------------------------------------------------------- */

static dfqi_id conv_relu6(dfqi_cnn_pass *p, dfqi_id x)
{
    x = dfqi_cnn_conv(p, x);
    return dfqi_cnn_relu(p, x, 6.0f);
}

void dfqi_mobilenet_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                            dfqi_taps *taps)
{
    dfqi_cnn_pass p = {.a = a, .g = g, .params = params, .taps = taps};
    x = conv_relu6(&p, dfqi_channels_last(g, x));
    for (int32_t i = 0; i < UNITS; i++) {
        unit u = unit_at(a, i);
        dfqi_id y = x;
        for (int32_t k = 1; k < u.convs; k++) y = conv_relu6(&p, y);
        y = dfqi_cnn_conv(&p, y);
        x = u.stride == 1 && u.in == u.out ? dfqi_add(g, y, x) : y;
        dfqi_graph_probe(g, x, "%s", u.name);
    }
    taps->logits = dfqi_cnn_classify(&p, conv_relu6(&p, x));
}
