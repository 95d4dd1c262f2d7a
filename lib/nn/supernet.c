/* Supernets: spaces, layers and their parameters. */
#include "nn/supernet.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

const dfqi_super_space dfqi_super_cifar_full = {
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

const dfqi_super_space dfqi_super_cifar_small = {
    .name = "cifar10-small",
    .image = 32,
    .classes = 10,
    .stem = 16,
    .first = 8,
    .head = 256,
    .n_stages = 3,
    .n_choices = 6,
    .stages = {{24, 3, 2}, {40, 3, 2}, {80, 3, 2}},
    .choices = {{3, 3}, {3, 6}, {5, 3}, {5, 6}, {7, 3}, {7, 6}}};

/* -- layers ------------------------------------------------------------------------------------ */

typedef struct list {
    dfqi_super_layer *rows; /* NULL: only counted */
    int32_t n;
    int32_t cell, choice;
} list;

static void add_layer(list *l, int64_t in, int64_t out, int64_t kernel, int64_t stride, int depth,
                      int relu)
{
    if (l->rows)
        l->rows[l->n] = (dfqi_super_layer){.in = in,
                                           .out = out,
                                           .kernel = kernel,
                                           .stride = stride,
                                           .cell = l->cell,
                                           .choice = l->choice,
                                           .depthwise = (uint8_t)depth,
                                           .relu = (uint8_t)relu};
    l->n++;
}

static void add_mbconv(list *l, int64_t in, int64_t out, int64_t stride, dfqi_super_choice c)
{
    int64_t mid = in * c.expand;
    if (c.expand > 1) add_layer(l, in, mid, 1, 1, 0, 1);
    add_layer(l, mid, mid, c.kernel, stride, 1, 1);
    add_layer(l, mid, out, 1, 1, 0, 0);
}

/* All layers in the order of use; `net` gets the number of cells and which may be left out. */
static int32_t list_layers(dfqi_supernet *net, dfqi_super_layer *rows)
{
    const dfqi_super_space *s = &net->space;
    list l = {.rows = rows, .cell = -1, .choice = -1};
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
    net->n_cells = cell;
    return l.n;
}

int dfqi_supernet_on_path(const dfqi_super_layer *l, const int32_t *path)
{
    return l->cell < 0 || path[l->cell] == l->choice;
}

int32_t dfqi_supernet_choices(const dfqi_supernet *net, int32_t cell)
{
    return net->space.n_choices + net->skips[cell];
}

int32_t dfqi_super_layer_trained(const dfqi_super_layer *l)
{
    return l->kernel ? 3 : 2;
}

/* -- parameters -------------------------------------------------------------------------------- */

static void draw(dfqi_super_layer *l, uint64_t seed, int32_t index)
{
    dfqi_rng r = dfqi_rng_make(seed, (uint64_t)index);
    int64_t n = dfqi_tensor_count(l->t[0]);
    float *w = dfqi_tensor_f32(l->t[0]), size = sqrtf(2.0f * (float)l->out / (float)n);
    for (int64_t i = 0; i < n; i++) w[i] = size * dfqi_rng_normal(&r);
    for (int32_t k = 1; k < DFQI_SUPER_TENSORS && l->t[k]; k++) {
        bool one = l->kernel && (k == 1 || k == 4); /* gamma and variance */
        float *v = dfqi_tensor_f32(l->t[k]);
        for (int64_t i = 0; i < l->out; i++) v[i] = one ? 1.0f : 0.0f;
    }
}

static dfq_status make_tensors(dfq_context *ctx, dfqi_super_layer *l)
{
    int64_t dims[4] = {l->out, l->depthwise ? 1 : l->in, l->kernel, l->kernel};
    int32_t n = l->kernel ? DFQI_SUPER_TENSORS : 2;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, l->kernel ? 4 : 2, dims, &l->t[0]));
    for (int32_t k = 1; k < n; k++) DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 1, &l->out, &l->t[k]));
    return DFQ_OK;
}

void dfqi_supernet_fini(dfqi_supernet *net)
{
    for (int32_t i = 0; net->layers && i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) dfqi_tensor_release(net->layers[i].t[k]);
    if (net->ctx) dfqi_free(net->ctx, net->layers);
    if (net->work) dfqi_workspace_fini(net->ctx, net->work);
    if (net->ctx) dfqi_free(net->ctx, net->work);
    memset(net, 0, sizeof *net);
}

static dfq_status check_space(dfq_context *ctx, const dfqi_super_space *s, const int32_t *path)
{
    int64_t cells = 0;
    for (int32_t i = 0; i < s->n_stages; i++) cells += s->stages[i].cells;
    if (cells > DFQI_SUPER_CELLS)
        return dfqi_fail(ctx, DFQ_E_INVALID, "space %s has %lld cells, at most %d are possible",
                         s->name, (long long)cells, DFQI_SUPER_CELLS);
    for (int64_t i = 0; path && i < cells; i++)
        if (path[i] < 0 || path[i] > s->n_choices)
            return dfqi_fail(ctx, DFQ_E_INVALID, "choice of cell %lld is %d, must be 0 to %d",
                             (long long)i, path[i], s->n_choices);
    return DFQ_OK;
}

dfq_status dfqi_supernet_new(dfq_context *ctx, const dfqi_super_space *space, const int32_t *path,
                             uint64_t seed, dfqi_supernet *out)
{
    dfqi_supernet net = {.ctx = ctx, .space = *space};
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(check_space(ctx, space, path));
    net.n_layers = list_layers(&net, NULL);
    net.layers = dfqi_calloc(ctx, (size_t)net.n_layers, sizeof *net.layers);
    net.work = dfqi_calloc(ctx, 1, sizeof *net.work);
    if (!net.layers || !net.work) goto fail;
    list_layers(&net, net.layers);
    for (int32_t i = 0; i < net.n_layers; i++) {
        if (path && !dfqi_supernet_on_path(&net.layers[i], path)) continue;
        DFQI_GOTO(make_tensors(ctx, &net.layers[i]), fail);
        draw(&net.layers[i], seed, i);
    }
    *out = net;
    return DFQ_OK;
fail:
    dfqi_supernet_fini(&net);
    return status;
}

/* As convolutions and the linear layer alone count, those of stride s at their output. */
double dfqi_supernet_macs(const dfqi_supernet *net, const int32_t *path)
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
