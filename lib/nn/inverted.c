/* Layers and forward pass of networks of inverted residuals. */
#include "nn/inverted.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int32_t layers_of(const dfqi_inverted_block *b)
{
    return b->expands + 2;
}

int32_t dfqi_inverted_norms(const dfqi_arch *a)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    int32_t n = 2;
    for (int32_t i = 0; i < c->n_blocks; i++) n += layers_of(&c->blocks[i]);
    return n;
}

static void take_names(const dfqi_inverted_names *names, dfqi_cnn_layer *l)
{
    memcpy(l->conv, names->conv, sizeof l->conv);
    memcpy(l->norm, names->norm, sizeof l->norm);
}

static void end_layer(const dfqi_arch *a, bool last, dfqi_cnn_layer *l)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    dfqi_inverted_names names;
    *l = (dfqi_cnn_layer){.in = last ? c->blocks[c->n_blocks - 1].out : a->channels,
                          .out = last ? c->features : c->stem,
                          .kernel = last ? 1 : 3,
                          .stride = last ? 1 : 2,
                          .same = c->same};
    (last ? dfqi_inverted_name_last : dfqi_inverted_name_stem)(c, &names);
    take_names(&names, l);
}

static void block_layer(const dfqi_inverted_arch *c, int32_t index, int32_t k, dfqi_cnn_layer *l)
{
    const dfqi_inverted_block *b = &c->blocks[index];
    const dfqi_inverted_layer layer = (dfqi_inverted_layer)(k + !b->expands);
    const bool depthwise = layer == DFQI_INVERTED_DEPTHWISE;
    dfqi_inverted_names names;
    *l = (dfqi_cnn_layer){.in = layer == DFQI_INVERTED_EXPAND ? b->in : b->mid,
                          .out = layer == DFQI_INVERTED_PROJECT ? b->out : b->mid,
                          .kernel = depthwise ? b->kernel : 1,
                          .stride = depthwise ? b->stride : 1,
                          .depthwise = depthwise,
                          .same = c->same};
    dfqi_inverted_name_layer(c, index, b, layer, &names);
    take_names(&names, l);
}

void dfqi_inverted_layer_at(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    if (i-- == 0) {
        end_layer(a, false, out);
        return;
    }
    for (int32_t k = 0; k < c->n_blocks; k++) {
        const int32_t n = layers_of(&c->blocks[k]);
        if (i < n) {
            block_layer(c, k, i, out);
            return;
        }
        i -= n;
    }
    end_layer(a, true, out);
}

int32_t dfqi_inverted_biased(const dfqi_arch *a)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    int32_t n = c->hidden > 0;
    for (int32_t i = 0; i < c->n_blocks; i++) n += c->blocks[i].squeeze ? 2 : 0;
    return n;
}

void dfqi_inverted_biased_at(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    for (int32_t k = 0; k < c->n_blocks; k++) {
        const dfqi_inverted_block *b = &c->blocks[k];
        dfqi_inverted_names names;
        if (!b->squeeze) continue;
        if (i >= 2) {
            i -= 2;
            continue;
        }
        *out = (dfqi_cnn_layer){.in = i ? b->squeeze : b->mid, .out = i ? b->mid : b->squeeze};
        dfqi_inverted_name_layer(c, k, b, i ? DFQI_INVERTED_RETURN : DFQI_INVERTED_REDUCE, &names);
        memcpy(out->conv, names.conv, sizeof out->conv);
        return;
    }
    *out = (dfqi_cnn_layer){
        .in = c->features, .out = c->hidden, .linear = c->keys == DFQI_INVERTED_TORCHVISION};
    snprintf(out->conv, sizeof out->conv, "%s", dfqi_inverted_hidden_name(c));
}

void dfqi_inverted_head(const dfqi_arch *a, dfqi_cnn_head *out)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    *out = (dfqi_cnn_head){.in = c->hidden ? c->hidden : c->features, .bias = 1};
    snprintf(out->name, sizeof out->name, "%s", dfqi_inverted_head_name(c));
}

/* -- forward ----------------------------------------------------------------------------------- */

/* The form's activation behind a convolution, or ReLU. */
static dfqi_id activate(dfqi_cnn_pass *p, dfqi_id x, bool curved)
{
    switch (p->a->of.inverted.form) {
    case DFQI_INVERTED_EFFICIENTNET:
        return dfqi_cnn_activation(p, x, DFQI_ACTIVATION_SILU);
    case DFQI_INVERTED_MOBILENETV3_LARGE:
    case DFQI_INVERTED_MOBILENETV3_SMALL:
        if (curved) return dfqi_cnn_activation(p, x, DFQI_ACTIVATION_HARD_SWISH);
        return dfqi_cnn_relu(p, x, INFINITY);
    default:
        return dfqi_cnn_relu(p, x, 6.0f);
    }
}

/* x times the gate that its means over the image open. */
static dfqi_id excite(dfqi_cnn_pass *p, dfqi_id x)
{
    const bool swish = p->a->of.inverted.form == DFQI_INVERTED_EFFICIENTNET;
    dfqi_id s = dfqi_cnn_biased(p, dfqi_mean_pool(p->g, x));
    s = swish ? dfqi_activation(p->g, NULL, s, DFQI_ACTIVATION_SILU)
              : dfqi_relu(p->g, NULL, s, INFINITY);
    s = dfqi_activation(p->g, NULL, dfqi_cnn_biased(p, s),
                        swish ? DFQI_ACTIVATION_SIGMOID : DFQI_ACTIVATION_HARD_SIGMOID);
    return dfqi_gate(p->g, x, s);
}

static dfqi_id block_forward(dfqi_cnn_pass *p, int32_t index, dfqi_id x)
{
    const dfqi_inverted_arch *c = &p->a->of.inverted;
    const dfqi_inverted_block *b = &c->blocks[index];
    dfqi_inverted_names names;
    dfqi_id y = x;
    if (b->expands) y = activate(p, dfqi_cnn_conv(p, y), b->curved);
    y = activate(p, dfqi_cnn_conv(p, y), b->curved);
    if (b->squeeze) y = excite(p, y);
    y = dfqi_cnn_conv(p, y);
    if (b->stride == 1 && b->in == b->out) y = dfqi_add(p->g, y, x);
    dfqi_inverted_name_layer(c, index, b, DFQI_INVERTED_PROJECT, &names);
    const char *end = strstr(names.conv, ".block.");
    if (!end) end = strrchr(names.conv, '.');
    dfqi_graph_probe(p->g, y, "%.*s", (int)(end - names.conv), names.conv);
    return y;
}

void dfqi_inverted_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                           dfqi_taps *taps)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    dfqi_cnn_pass p = {.a = a, .g = g, .params = params, .taps = taps};
    x = activate(&p, dfqi_cnn_conv(&p, dfqi_channels_last(g, x)), true);
    for (int32_t i = 0; i < c->n_blocks; i++) x = block_forward(&p, i, x);
    x = dfqi_mean_pool(g, activate(&p, dfqi_cnn_conv(&p, x), true));
    if (c->hidden) x = dfqi_activation(g, NULL, dfqi_cnn_biased(&p, x), DFQI_ACTIVATION_HARD_SWISH);
    taps->logits = dfqi_cnn_head_on(&p, x);
}
