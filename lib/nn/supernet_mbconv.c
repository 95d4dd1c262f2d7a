/* The MBConv family of supernets: its spaces, its layers, and the graph of a path. */
#include <math.h>
#include <stdio.h>

#include "graph/ops.h"
#include "nn/supernet_priv.h"

#define EPS 1e-3f /* ProxylessNAS's */

const dfqi_supernet_space dfqi_super_cifar_full = {
    .name = "cifar10-full",
    .image = 32,
    .classes = 10,
    .stem = 32,
    .first = 16,
    .head = 1280,
    .n_stages = 6,
    .n_choices = 6,
    .stages = {{24, 4, 1}, {40, 4, 2}, {80, 4, 2}, {96, 4, 1}, {192, 4, 2}, {320, 1, 1}},
    .choices = {{3, 3}, {3, 6}, {5, 3}, {5, 6}, {7, 3}, {7, 6}}};

const dfqi_supernet_space dfqi_super_cifar_small = {
    .name = "cifar10-small",
    .image = 32,
    .classes = 10,
    .stem = 24,
    .first = 8,
    .head = 1280,
    .n_stages = 3,
    .n_choices = 6,
    .stages = {{16, 2, 2}, {24, 3, 2}, {48, 4, 1}},
    .choices = {{3, 3}, {3, 6}, {5, 3}, {5, 6}, {7, 3}, {7, 6}}};

/* -- layers ------------------------------------------------------------------------------------ */

typedef struct list {
    dfqi_super_list *to;
    int32_t cell, choice;
} list;

static void add_layer(list *l, int64_t in, int64_t out, int64_t kernel, int64_t stride, int depth,
                      int relu)
{
    dfqi_super_list_add(l->to,
                        &(dfqi_super_layer){.kind = kernel ? DFQI_SUPER_CONV : DFQI_SUPER_LINEAR,
                                            .in = in,
                                            .out = out,
                                            .kernel = kernel,
                                            .stride = stride,
                                            .cell = l->cell,
                                            .choice = l->choice,
                                            .uses = l->choice >= 0 ? (uint64_t)1 << l->choice : 0,
                                            .groups = 1,
                                            .depthwise = (uint8_t)depth,
                                            .relu = (uint8_t)relu,
                                            .closes = l->cell >= 0 && !relu});
}

static void add_mbconv(list *l, int64_t in, int64_t out, int64_t stride, dfqi_super_choice c)
{
    int64_t mid = in * c.expand;
    if (c.expand > 1) add_layer(l, in, mid, 1, 1, 0, 1);
    add_layer(l, mid, mid, c.kernel, stride, 1, 1);
    add_layer(l, mid, out, 1, 1, 0, 0);
}

static int64_t count_cells(const dfqi_supernet_space *s)
{
    int64_t cells = 0;
    for (int32_t i = 0; i < s->n_stages; i++) cells += s->stages[i].cells;
    return cells;
}

static void list_layers(dfqi_supernet *net, dfqi_super_list *to)
{
    const dfqi_supernet_space *s = &net->space;
    list l = {.to = to, .cell = -1, .choice = -1};
    int64_t in = s->first;
    int32_t cell = 0;
    add_layer(&l, 3, s->stem, 3, 1, 0, 1);
    add_mbconv(&l, s->stem, s->first, 1, (dfqi_super_choice){3, 1});
    for (int32_t i = 0; i < s->n_stages; i++) {
        for (int64_t k = 0; k < s->stages[i].cells; k++, cell++) {
            int64_t stride = k ? 1 : s->stages[i].stride;
            net->skips[cell] = stride == 1 && in == s->stages[i].width;
            l.cell = cell;
            for (l.choice = 0; l.choice < s->n_choices; l.choice++)
                add_mbconv(&l, in, s->stages[i].width, stride, s->choices[l.choice]);
            in = s->stages[i].width;
        }
    }
    l.cell = l.choice = -1;
    add_layer(&l, in, s->head, 1, 1, 0, 1);
    add_layer(&l, s->head, s->classes, 0, 1, 0, 0);
}

/* Counts convolutions and the linear layer only; a convolution of stride s counts its outputs. */
static double path_work(const dfqi_supernet *net, const int32_t *path)
{
    double macs = 0, side = (double)net->space.image;
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        double in = l->depthwise ? 1.0 : (double)l->in, k = (double)l->kernel;
        if (!dfqi_supernet_on_path(l, path)) continue;
        side = ceil(side / (double)l->stride);
        macs += (l->kernel ? side * side * k * k : 1.0) * in * (double)l->out;
    }
    return macs;
}

/* -- forward ----------------------------------------------------------------------------------- */

static dfqi_id conv_layer(dfqi_super_pass *p, const dfqi_super_layer *l, dfqi_super_tap *tap,
                          dfqi_id x, dfqi_super_mode mode)
{
    dfqi_conv_attr a = {.stride = l->stride,
                        .pad = l->kernel / 2,
                        .dilation = 1,
                        .groups = l->depthwise ? l->in : 1};
    dfqi_id mean = tap->t[3], var = tap->t[4];
    char name[DFQI_SUPER_NAME], relu[DFQI_SUPER_NAME + 8];
    dfqi_super_layer_name(l, name);
    snprintf(relu, sizeof relu, "%s.relu", name);
    x = dfqi_conv(p->g, name, x, tap->t[0], DFQI_NONE, &a);
    dfqi_graph_probe(p->g, x, "%s.norm.input", name);
    if (p->norms) *p->norms++ = (dfqi_norm_tap){x, tap->t[1], tap->t[2], mean, var};
    if (mode != DFQI_SUPER_EVAL) {
        if (x != DFQI_NONE) tap->values = dfqi_value_count(dfqi_graph_value(p->g, x)) / l->out;
        mean = tap->mean = dfqi_batch_stats(p->g, x);
        var = tap->var = mean == DFQI_NONE ? DFQI_NONE : dfqi_graph_output(p->g, mean, 1);
        dfqi_graph_keep(p->g, mean);
        dfqi_graph_keep(p->g, var);
    }
    x = dfqi_batchnorm(p->g, x, mean, var, tap->t[1], tap->t[2], p->eps);
    return l->relu ? dfqi_relu(p->g, relu, x, 6.0f) : x;
}

static void forward(dfqi_super_pass *p, const int32_t *path, dfqi_super_mode mode)
{
    const dfqi_supernet *net = p->net;
    dfqi_id x = dfqi_channels_last(p->g, p->x), start = x;
    int32_t cell = -1;
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        dfqi_super_tap *tap = &p->taps[i];
        if (!dfqi_supernet_on_path(l, path)) continue;
        if (l->cell >= 0 && l->cell != cell) {
            cell = l->cell;
            start = x;
            p->span[cell][0] = p->g->n_nodes;
        }
        dfqi_super_params(p, i, l->in, l->out);
        if (l->kind == DFQI_SUPER_LINEAR) {
            char name[DFQI_SUPER_NAME];
            dfqi_super_layer_name(l, name);
            p->logits = dfqi_linear(p->g, name, dfqi_mean_pool(p->g, x), tap->t[0], tap->t[1]);
            return;
        }
        x = conv_layer(p, l, tap, x, mode);
        if (l->closes && net->skips[l->cell]) x = dfqi_add(p->g, x, start);
        if (l->closes) dfqi_graph_probe(p->g, x, "cells.%d", (int)cell);
        if (l->closes) p->span[cell][1] = p->g->n_nodes;
    }
}

const dfqi_super_row dfqi_super_row_mbconv = {
    2.0f, /* after ReLUs */
    EPS,  NULL, count_cells, list_layers, path_work, forward, dfqi_super_inherit_mbconv};
