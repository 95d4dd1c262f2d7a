/* Supernets: layers and their parameters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "nn/supernet_priv.h"

const dfqi_super_row *dfqi_super_row_of(const dfqi_supernet_space *s)
{
    static const dfqi_super_row *const rows[DFQI_SUPER_FAMILIES] = {&dfqi_super_row_mbconv,
                                                                    &dfqi_super_row_vit};
    return rows[s->family];
}

/* -- layers ------------------------------------------------------------------------------------ */

int dfqi_supernet_on_path(const dfqi_super_layer *l, const int32_t *path)
{
    return l->cell < 0 || (l->uses >> path[l->cell] & 1);
}

int32_t dfqi_supernet_choices(const dfqi_supernet *net, int32_t cell)
{
    return net->space.n_choices + net->skips[cell];
}

int32_t dfqi_super_layer_tensors(const dfqi_super_layer *l)
{
    static const int32_t tensors[] = {DFQI_SUPER_TENSORS, 2, 2, 1};
    return tensors[l->kind];
}

int32_t dfqi_super_layer_dims(const dfqi_super_layer *l, int32_t k, int64_t dims[4])
{
    static const int32_t ranks[] = {4, 2, 1, 2};
    memcpy(dims, (int64_t[4]){l->out, l->depthwise ? 1 : l->in, l->kernel, l->kernel},
           4 * sizeof *dims);
    return k == 0 ? ranks[l->kind] : 1;
}

int32_t dfqi_super_layer_trained(const dfqi_super_layer *l)
{
    static const int32_t trained[] = {3, 2, 2, 1};
    return trained[l->kind];
}

int dfqi_super_layer_decays(const dfqi_super_layer *l, int32_t k)
{
    return k == 0 && (l->kind == DFQI_SUPER_CONV || l->kind == DFQI_SUPER_LINEAR);
}

dfqi_super_list dfqi_super_list_make(dfqi_super_layer *rows, const int32_t *path)
{
    return (dfqi_super_list){.rows = rows, .path = path, .cell = -1, .choice = -1, .index = -1};
}

void dfqi_super_list_add(dfqi_super_list *l, const dfqi_super_layer *layer)
{
    dfqi_super_layer row = *layer;
    row.index = row.cell == l->cell && row.choice == l->choice ? l->index + 1 : 0;
    l->cell = row.cell;
    l->choice = row.choice;
    l->index = row.index;
    if (row.cell >= 0) l->tail = 1;
    row.tail = row.cell < 0 && l->tail;
    if (l->path && !dfqi_supernet_on_path(&row, l->path)) return;
    if (l->each) l->each(l->user, &row);
    if (l->rows) l->rows[l->n] = row;
    l->tensors += dfqi_super_layer_tensors(&row);
    l->n++;
}

/* user: bytes so far */
static void add_bytes(void *user, const dfqi_super_layer *l)
{
    double *bytes = user;
    for (int32_t k = 0; k < dfqi_super_layer_tensors(l); k++) {
        int64_t dims[4];
        int32_t rank = dfqi_super_layer_dims(l, k, dims);
        double size = sizeof(float);
        for (int32_t i = 0; i < rank; i++) size *= (double)dims[i];
        *bytes += size;
    }
}

double dfqi_super_bytes(const dfqi_supernet_space *space, int32_t *out_layers)
{
    double bytes = 0;
    dfqi_supernet whole = {.space = *space};
    dfqi_super_list l = dfqi_super_list_make(NULL, NULL);
    l.each = add_bytes;
    l.user = &bytes;
    dfqi_super_row_of(space)->list(&whole, &l);
    *out_layers = l.n;
    return bytes;
}

void dfqi_super_outline(const dfqi_supernet_space *space, const int32_t *path, dfqi_supernet *out)
{
    *out = (dfqi_supernet){.space = *space, .derived = 1};
    out->n_cells = (int32_t)dfqi_super_row_of(space)->cells(space);
    memcpy(out->path, path, (size_t)out->n_cells * sizeof *path);
}

void dfqi_super_choice_name(const dfqi_supernet_space *s, int32_t choice,
                            char out[DFQI_SUPER_CHOICE_NAME])
{
    if (choice == s->n_choices) {
        snprintf(out, DFQI_SUPER_CHOICE_NAME, "skip");
    } else if (s->family == DFQI_SUPER_VIT) {
        dfqi_super_blocks b = dfqi_super_vit_choice(&s->vit, choice);
        snprintf(out, DFQI_SUPER_CHOICE_NAME, "w%dd%dh%dr%d", (int)b.width, (int)b.depth,
                 (int)b.heads, (int)b.ratio);
    } else {
        const dfqi_super_choice *c = &s->choices[choice];
        snprintf(out, DFQI_SUPER_CHOICE_NAME, "k%de%d", (int)c->kernel, (int)c->expand);
    }
}

void dfqi_supernet_largest(const dfqi_supernet *net, int32_t *path)
{
    memset(path, 0, (size_t)net->n_cells * sizeof *path);
    for (int32_t c = 0; c < net->n_cells; c++) {
        int32_t best = 0;
        double most = -1;
        for (path[c] = 0; path[c] < dfqi_supernet_choices(net, c); path[c]++) {
            double macs = dfqi_super_row_of(&net->space)->work(net, path);
            if (macs > most) best = path[c];
            if (macs > most) most = macs;
        }
        path[c] = best;
    }
}

dfq_status dfqi_supernet_inherit(dfqi_supernet *net, const int32_t *path)
{
    const dfqi_super_row *row = dfqi_super_row_of(&net->space);
    return row->inherit ? row->inherit(net, path) : DFQ_OK;
}

/* -- parameters -------------------------------------------------------------------------------- */

/* Norms start as the identity. */
static void draw(dfqi_super_layer *l, float gain, uint64_t seed, int32_t index)
{
    dfqi_rng r = dfqi_rng_make(seed, (uint64_t)index);
    int64_t n = dfqi_tensor_count(l->t[0]);
    float *w = dfqi_tensor_f32(l->t[0]), size = sqrtf(gain * (float)l->out / (float)n);
    if (l->kind == DFQI_SUPER_POSITIONS) size = 0.02f;
    for (int64_t i = 0; i < n; i++)
        w[i] = l->kind == DFQI_SUPER_NORM ? 1.0f : size * dfqi_rng_normal(&r);
    for (int32_t k = 1; k < DFQI_SUPER_TENSORS && l->t[k]; k++) {
        bool one = l->kind == DFQI_SUPER_CONV && (k == 1 || k == 4); /* gamma and variance */
        float *v = dfqi_tensor_f32(l->t[k]);
        for (int64_t i = 0; i < l->out; i++) v[i] = one ? 1.0f : 0.0f;
    }
}

static dfq_status make_tensors(dfq_context *ctx, dfqi_super_layer *l)
{
    for (int32_t k = 0; k < dfqi_super_layer_tensors(l); k++) {
        int64_t dims[4];
        int32_t rank = dfqi_super_layer_dims(l, k, dims);
        DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, rank, dims, &l->t[k]));
    }
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

static dfq_status check_space(dfq_context *ctx, const dfqi_supernet_space *s, const int32_t *path)
{
    const dfqi_super_row *row = dfqi_super_row_of(s);
    int64_t cells = row->cells(s);
    if (s->n_choices < 1 || s->n_choices > DFQI_SUPER_CHOICES)
        return dfqi_fail(ctx, DFQ_E_INVALID, "space %s: there are %d choices, must be 1 to %d",
                         s->name, s->n_choices, DFQI_SUPER_CHOICES);
    if (row->check) DFQI_TRY(row->check(ctx, s));
    if (cells > DFQI_SUPER_CELLS)
        return dfqi_fail(ctx, DFQ_E_INVALID, "space %s: there are %lld cells, must be at most %d",
                         s->name, (long long)cells, DFQI_SUPER_CELLS);
    for (int64_t i = 0; path && i < cells; i++)
        if (path[i] < 0 || path[i] > s->n_choices)
            return dfqi_fail(ctx, DFQ_E_INVALID, "the choice of cell %lld is %d, must be 0 to %d",
                             (long long)i, path[i], s->n_choices);
    return DFQ_OK;
}

dfq_status dfqi_super_make(dfq_context *ctx, const dfqi_supernet_space *space, const int32_t *path,
                           dfqi_supernet *out)
{
    const dfqi_super_row *row = dfqi_super_row_of(space);
    dfqi_supernet net = {.ctx = ctx, .space = *space};
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(check_space(ctx, space, path));
    net.n_cells = (int32_t)row->cells(space);
    net.derived = path != NULL;
    if (path) memcpy(net.path, path, (size_t)net.n_cells * sizeof *path);
    dfqi_super_list list = dfqi_super_list_make(NULL, NULL);
    row->list(&net, &list);
    net.n_layers = list.n;
    net.layers = dfqi_calloc(ctx, (size_t)net.n_layers, sizeof *net.layers);
    net.work = dfqi_calloc(ctx, 1, sizeof *net.work);
    if (!net.layers || !net.work) goto fail;
    list = dfqi_super_list_make(net.layers, NULL);
    row->list(&net, &list);
    for (int32_t i = 0; i < net.n_layers; i++) {
        if (path && !dfqi_supernet_on_path(&net.layers[i], path)) continue;
        DFQI_GOTO(make_tensors(ctx, &net.layers[i]), fail);
    }
    *out = net;
    return DFQ_OK;
fail:
    dfqi_supernet_fini(&net);
    return status;
}

dfq_status dfqi_supernet_new(dfq_context *ctx, const dfqi_supernet_space *space,
                             const int32_t *path, uint64_t seed, dfqi_supernet *out)
{
    float gain = dfqi_super_row_of(space)->gain;
    DFQI_TRY(dfqi_super_make(ctx, space, path, out));
    for (int32_t i = 0; i < out->n_layers; i++)
        if (out->layers[i].t[0]) draw(&out->layers[i], gain, seed, i);
    return DFQ_OK;
}
