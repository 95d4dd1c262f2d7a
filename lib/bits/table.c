/* Tables of bit widths (table.h). */
#include "bits/table.h"

#include <stdio.h>
#include <string.h>

#include "accel/layer.h"
#include "accel/layer_rows.h"
#include "base/nearest.h"
#include "io/json.h"
#include "kernel/weight_groups.h"
#include "quant/layers.h"

enum { FLOAT_BITS = 32 };

/* What the network's own layers say of a row: its weights and multiplications. */
static void count(dfqi_bits_row *row, int32_t n, const dfqi_layer_row *layers, int32_t group)
{
    for (int32_t i = 0; i < n; i++) {
        const dfq_layer_info *l = &layers[i].info;
        if (strcmp(layers[i].name, row->name) != 0) continue;
        row->macs = l->macs;
        row->weights = layers[i].weight[0] != '\0';
        for (int32_t k = 0; row->weights && k < l->weight_rank; k++)
            row->weights *= l->weight_dims[k];
        if (row->weights > 0)
            row->weight_group = dfqi_group_of(group, row->weights / l->weight_dims[0]);
        return;
    }
}

/* Multiplications that read what a ReLU makes: those of products whose input has the bits of this
 * row alone. */
static dfq_status count_readers(const dfqi_model *m, const dfqi_scheme *all, dfqi_bits_row *row)
{
    enum { OTHERS = 8, OWN = 7 };
    char layer[80];
    dfqi_layer_list list;
    dfqi_scheme scheme = *all;
    scheme.sites = dfqi_calloc(m->ctx, (size_t)all->n_sites, sizeof *scheme.sites);
    if (!scheme.sites) return DFQ_E_NOMEM;
    memcpy(scheme.sites, all->sites, (size_t)all->n_sites * sizeof *scheme.sites);
    for (int32_t i = 0; i < all->n_sites; i++) {
        dfqi_site_layer(&all->sites[i], layer);
        scheme.sites[i].bits = strcmp(layer, row->name) == 0 ? OWN : OTHERS;
    }
    const dfqi_model asked = {.ctx = m->ctx, .net = m->net, .quantized = 1, .scheme = scheme};
    dfq_status status = dfqi_layers_of(&asked, (dfqi_layer_bits){0}, &list);
    dfqi_free(m->ctx, scheme.sites);
    if (status != DFQ_OK) return status;
    for (int32_t i = 0; i < list.n_layers; i++) {
        const dfqi_layer *l = &list.shapes[list.layers[i].shape];
        if (l->kind == DFQI_LAYER_PRODUCT && l->bits[DFQI_I] == OWN)
            row->macs += (int64_t)dfqi_layer_macs(l);
    }
    dfqi_layer_list_fini(&list);
    return DFQ_OK;
}

/* A row for each layer of a scheme with all sites. */
static void add_rows(dfqi_bits *b, const dfqi_scheme *all)
{
    char layer[80];
    for (int32_t i = 0; i < all->n_sites; i++) {
        dfqi_site_layer(&all->sites[i], layer);
        int32_t at = dfqi_bits_find(b, layer);
        if (at < 0) memcpy(b->rows[at = b->n++].name, layer, sizeof layer);
        *(dfqi_site_is_weight(&all->sites[i]) ? &b->rows[at].has_weight : &b->rows[at].has_act) = 1;
    }
}

static void take_widths(dfqi_bits *b, const dfqi_scheme *s)
{
    char layer[80];
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        dfqi_site_layer(site, layer);
        int32_t at = dfqi_bits_find(b, layer);
        if (at < 0) continue;
        *(dfqi_site_is_weight(site) ? &b->rows[at].weight_bits : &b->rows[at].act_bits) =
            site->bits;
    }
    for (int32_t i = 0; i < b->n; i++)
        dfqi_bits_set(b, i, b->rows[i].weight_bits, b->rows[i].act_bits);
}

static dfq_status new_table(dfq_context *ctx, int32_t room, dfqi_bits **out)
{
    dfqi_bits *b = dfqi_calloc(ctx, 1, sizeof *b);
    if (!b) return DFQ_E_NOMEM;
    b->ctx = dfqi_context_retain(ctx);
    b->rows = dfqi_calloc(ctx, (size_t)room, sizeof *b->rows);
    b->configs = dfqi_calloc(ctx, (size_t)room, sizeof *b->configs);
    if (!b->rows || !b->configs) {
        dfqi_bits_free(b);
        return DFQ_E_NOMEM;
    }
    *out = b;
    return DFQ_OK;
}

dfq_status dfqi_bits_new(const dfqi_model *m, const dfqi_scheme *s, int32_t weight_group,
                         dfqi_bits **out)
{
    const dfqi_layer_row *layers;
    const dfqi_grids grids = {.act_scale = s->grids.act_scale};
    dfqi_scheme all = {0};
    dfqi_bits *b = NULL;
    int32_t n;
    dfq_status status;
    DFQI_TRY(dfqi_layer_rows_of(m, &n, &layers));
    DFQI_TRY(dfqi_scheme_outline(&m->net, s->mode, (dfqi_widths){8, 8, 8}, grids, &all));
    DFQI_GOTO(new_table(m->ctx, all.n_sites, &b), out);
    memcpy(b->network, m->net.arch.name, sizeof b->network);
    add_rows(b, &all);
    for (int32_t i = 0; i < b->n; i++) {
        count(&b->rows[i], n, layers, weight_group);
        if (b->rows[i].macs == 0) DFQI_GOTO(count_readers(m, &all, &b->rows[i]), out);
    }
    take_widths(b, s);
    *out = b;
    b = NULL;
out:
    dfqi_bits_free(b);
    dfqi_scheme_fini(&all);
    return status;
}

dfq_status dfqi_bits_copy(const dfqi_bits *b, dfqi_bits **out)
{
    dfqi_bits *c;
    DFQI_TRY(new_table(b->ctx, b->n, &c));
    memcpy(c->network, b->network, sizeof c->network);
    memcpy(c->rows, b->rows, (size_t)b->n * sizeof *b->rows);
    c->n = b->n;
    for (int32_t i = 0; i < c->n; i++)
        dfqi_bits_set(c, i, c->rows[i].weight_bits, c->rows[i].act_bits);
    *out = c;
    return DFQ_OK;
}

void dfqi_bits_free(dfqi_bits *b)
{
    if (!b) return;
    dfq_context *ctx = b->ctx;
    dfqi_free(ctx, b->rows);
    dfqi_free(ctx, b->configs);
    dfqi_free(ctx, b);
    dfqi_context_release(ctx);
}

int32_t dfqi_bits_find(const dfqi_bits *b, const char *name)
{
    for (int32_t i = 0; i < b->n; i++)
        if (strcmp(b->rows[i].name, name) == 0) return i;
    return -1;
}

static dfq_status check_width(const dfqi_bits *b, const char *where, const char *layer,
                              const char *what, int32_t bits, int32_t there)
{
    char show[DFQI_SHOW_MAX];
    dfqi_show(where, show);
    if (there && (bits < 2 || bits > 8))
        return dfqi_fail(b->ctx, DFQ_E_INVALID, "%s: layer %s: %s have %d bits, must have 2 to 8",
                         show, layer, what, bits);
    if (!there && bits != 0)
        return dfqi_fail(b->ctx, DFQ_E_INVALID,
                         "%s: layer %s has no quantizer of %s and takes no bits of them", show,
                         layer, what);
    return DFQ_OK;
}

dfq_status dfqi_bits_check(const dfqi_bits *b, const char *where, int32_t row, int32_t weight_bits,
                           int32_t act_bits)
{
    const dfqi_bits_row *r = &b->rows[row];
    if (weight_bits == 0 && act_bits == 0) return DFQ_OK;
    DFQI_TRY(check_width(b, where, r->name, "weights", weight_bits, r->has_weight));
    return check_width(b, where, r->name, "activations", act_bits, r->has_act);
}

void dfqi_bits_set(dfqi_bits *b, int32_t row, int32_t weight_bits, int32_t act_bits)
{
    dfqi_bits_row *r = &b->rows[row];
    r->weight_bits = weight_bits;
    r->act_bits = act_bits;
    b->configs[row] = (dfq_layer_config){.struct_size = sizeof *b->configs,
                                         .weight_bits = weight_bits,
                                         .act_bits = act_bits,
                                         .skip = weight_bits == 0 && act_bits == 0,
                                         .name = r->name};
}

dfq_status dfqi_bits_unknown(const dfqi_bits *b, const char *where, const char *name)
{
    char text[320], show[DFQI_SHOW_MAX], file[DFQI_SHOW_MAX];
    dfqi_nearest near = dfqi_nearest_to(name);
    for (int32_t i = 0; i < b->n; i++) dfqi_nearest_add(&near, b->rows[i].name);
    return dfqi_fail(b->ctx, DFQ_E_INVALID,
                     "%s: %s has no layer \"%s\" with quantizers; similar names: %s",
                     dfqi_show(where, file), b->network, dfqi_show(name, show),
                     dfqi_nearest_text(&near, text, sizeof text));
}

static int32_t or_float(int32_t bits)
{
    return bits ? bits : FLOAT_BITS;
}

double dfqi_bits_of_weight(const dfqi_bits_row *r, int32_t bits)
{
    const double grid = 8; /* bits of a group's multiplier and zero point */
    bool grouped = r->weight_group > 0 && bits > 0 && bits <= DFQI_GROUP_BITS;
    return or_float(bits) + (grouped ? grid / (double)r->weight_group : 0);
}

double dfqi_bits_mean_weight(const dfqi_bits *b)
{
    double sum = 0, count = 0;
    for (int32_t i = 0; i < b->n; i++) {
        const dfqi_bits_row *r = &b->rows[i];
        if (!r->has_weight) continue;
        sum += (double)r->weights * dfqi_bits_of_weight(r, r->weight_bits);
        count += (double)r->weights;
    }
    return count > 0 ? sum / count : 0;
}

double dfqi_bits_mean_act(const dfqi_bits *b)
{
    double sum = 0, count = 0;
    for (int32_t i = 0; i < b->n; i++) {
        const dfqi_bits_row *r = &b->rows[i];
        if (!r->has_act) continue;
        sum += (double)r->macs * or_float(r->act_bits);
        count += (double)r->macs;
    }
    return count > 0 ? sum / count : 0;
}
