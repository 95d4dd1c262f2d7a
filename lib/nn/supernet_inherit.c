/* Weight inheritance in the MBConv family: the other choices of a cell start from the weights of a
 * trained choice. They then fit the rest of the network, which randomly initialised weights have to
 * learn first. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "nn/supernet_priv.h"

enum { LAYERS = 3 }; /* expansion, depthwise, projection */

typedef struct channel {
    double weight;
    int64_t index;
} channel;

/* The first layer of a choice, if it has all three. */
static dfqi_super_layer *find(dfqi_supernet *net, int32_t cell, int32_t choice)
{
    for (int32_t i = 0; i + LAYERS <= net->n_layers; i++) {
        dfqi_super_layer *l = &net->layers[i];
        if (l->cell != cell || l->choice != choice) continue;
        return l[LAYERS - 1].cell == cell && l[LAYERS - 1].choice == choice ? l : NULL;
    }
    return NULL;
}

/* Sorts inner channels by their weight in the projection, the largest first; they are few enough
 * for a plain sort. */
static void rank(const dfqi_super_layer *project, channel *out)
{
    const float *w = dfqi_tensor_f32(project->t[0]);
    for (int64_t m = 0; m < project->in; m++) {
        channel c = {.index = m};
        for (int64_t o = 0; o < project->out; o++) c.weight += fabs((double)w[o * project->in + m]);
        int64_t k = m;
        for (; k > 0 && out[k - 1].weight < c.weight; k--) out[k] = out[k - 1];
        out[k] = c;
    }
}

/* One output channel of norms, and the middle of its kernel, zeros around it. */
static void copy_norm(const dfqi_super_layer *from, int64_t i, dfqi_super_layer *to, int64_t k)
{
    for (int32_t t = 1; t < DFQI_SUPER_TENSORS; t++)
        dfqi_tensor_f32(to->t[t])[k] = dfqi_tensor_f32(from->t[t])[i];
}

static void copy_kernel(const dfqi_super_layer *from, int64_t i, dfqi_super_layer *to, int64_t k)
{
    int64_t a = from->kernel, b = to->kernel, shift = a / 2 - b / 2;
    const float *in = dfqi_tensor_f32(from->t[0]) + i * a * a;
    float *out = dfqi_tensor_f32(to->t[0]) + k * b * b;
    for (int64_t y = 0; y < b; y++)
        for (int64_t x = 0; x < b; x++) {
            int64_t v = y + shift, u = x + shift;
            out[y * b + x] = v >= 0 && v < a && u >= 0 && u < a ? in[v * a + u] : 0.0f;
        }
}

static void take_over(const dfqi_super_layer *from, dfqi_super_layer *to, const channel *order)
{
    int64_t in = to[0].in, mid = to[1].out, wide = from[1].out;
    for (int64_t m = 0; m < mid; m++) {
        int64_t i = order[m].index;
        memcpy(dfqi_tensor_f32(to[0].t[0]) + m * in, dfqi_tensor_f32(from[0].t[0]) + i * in,
               (size_t)in * sizeof(float));
        copy_norm(&from[0], i, &to[0], m);
        copy_kernel(&from[1], i, &to[1], m);
        copy_norm(&from[1], i, &to[1], m);
        for (int64_t o = 0; o < to[2].out; o++)
            dfqi_tensor_f32(to[2].t[0])[o * mid + m] = dfqi_tensor_f32(from[2].t[0])[o * wide + i];
    }
    for (int64_t o = 0; o < to[2].out; o++) copy_norm(&from[2], o, &to[2], o);
}

dfq_status dfqi_super_inherit_mbconv(dfqi_supernet *net, const int32_t *path)
{
    int64_t widest = 1;
    for (int32_t i = 0; i < net->n_layers; i++)
        if (net->layers[i].out > widest) widest = net->layers[i].out;
    channel *order = dfqi_calloc(net->ctx, (size_t)widest, sizeof *order);
    if (!order) return DFQ_E_NOMEM;
    for (int32_t c = 0; c < net->n_cells; c++) {
        const dfqi_super_layer *from = find(net, c, path[c]);
        if (!from) continue;
        rank(&from[2], order);
        for (int32_t k = 0; k < net->space.n_choices; k++) {
            dfqi_super_layer *to = find(net, c, k);
            if (to && to != from && to[1].out <= from[1].out) take_over(from, to, order);
        }
    }
    dfqi_free(net->ctx, order);
    return DFQ_OK;
}
